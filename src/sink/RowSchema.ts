/**
 * Rows of a Schema: encoded by it before they become CQL values, and the Schema compared with the statement before a row
 * is read.
 *
 * What a Schema encodes to is what `CqlValue` takes: text, numbers, bigints, Dates, bytes, arrays, Sets, Maps, objects. The
 * comparison looks at that side, so `Schema.DateFromString` fits a timestamp as `Schema.Date` does.
 *
 * @since 0.1.0
 */
import { types } from "cassandra-driver"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import type { CqlType } from "../cassandra/CqlValue.ts"
import { resolved, typeName } from "../cassandra/CqlValue.ts"
import type { Param } from "./RowEncoder.ts"

/**
 * A Schema whose encoded side is an object of the markers' names, or an array in their order. It needs no services.
 *
 * @category models
 * @since 0.1.0
 */
export type RowSchema = Schema.ConstraintEncoder<unknown>

/**
 * What a value does not satisfy in its Schema, and the field it is in.
 *
 * @category models
 * @since 0.1.0
 */
export interface Unfit {
  readonly field: string
  readonly problem: string
}

const fieldOf = (issue: SchemaIssue.Issue): string => {
  switch (issue._tag) {
    case "Pointer":
      return issue.path.length > 0 ? String(issue.path[0]) : fieldOf(issue.issue)
    case "Composite":
      return fieldOf(issue.issues[0])
    case "Encoding":
    case "Filter":
      return fieldOf(issue.issue)
    default:
      return ""
  }
}

/**
 * Compiles the Schema once. The function gives the encoded value, or why there is none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const encoder = (schema: RowSchema): (value: unknown) => Result.Result<unknown, Unfit> => {
  const encode = Schema.encodeUnknownResult(schema)
  return (value) => {
    const result = encode(value)
    if (Result.isSuccess(result)) return Result.succeed(result.success)
    const { issue, message } = result.failure
    return Result.fail({ field: fieldOf(issue), problem: message.replace(/\s*\n\s*/g, " ") })
  }
}

const { dataTypes } = types

type Kind = "text" | "number" | "bigint" | "boolean" | "date" | "bytes" | "array" | "set" | "map" | "object"

const integer: ReadonlyArray<Kind> = ["number", "bigint", "text"]

/** What `CqlValue` takes for each type, besides the driver's own values. */
const accepted: { readonly [code: number]: ReadonlyArray<Kind> } = {
  [dataTypes.ascii]: ["text", "number", "boolean", "bigint"],
  [dataTypes.bigint]: integer,
  [dataTypes.blob]: ["bytes", "text"],
  [dataTypes.boolean]: ["boolean", "text"],
  [dataTypes.counter]: integer,
  [dataTypes.date]: ["text", "date"],
  [dataTypes.decimal]: integer,
  [dataTypes.double]: integer,
  [dataTypes.duration]: ["text"],
  [dataTypes.float]: integer,
  [dataTypes.inet]: ["text"],
  [dataTypes.int]: integer,
  [dataTypes.list]: ["array", "text"],
  [dataTypes.map]: ["map", "object", "text"],
  [dataTypes.set]: ["array", "set", "text"],
  [dataTypes.smallint]: integer,
  [dataTypes.text]: ["text", "number", "boolean", "bigint"],
  [dataTypes.time]: ["text", "number", "bigint"],
  [dataTypes.timestamp]: ["date", "number", "bigint", "text"],
  [dataTypes.timeuuid]: ["text"],
  [dataTypes.tinyint]: integer,
  [dataTypes.tuple]: ["array", "text"],
  [dataTypes.udt]: ["object", "text"],
  [dataTypes.uuid]: ["text"],
  [dataTypes.varchar]: ["text", "number", "boolean", "bigint"],
  [dataTypes.varint]: integer
}

/** Declarations of effect/Schema whose values are known here; others may be anything, as the driver's own classes. */
const declared: { readonly [id: string]: Kind | "unfit" } = {
  "effect/schema/Date": "date",
  "effect/schema/Uint8Array": "bytes",
  "effect/schema/ReadonlySet": "set",
  "effect/schema/ReadonlyMap": "map",
  "effect/schema/Option": "unfit",
  "effect/schema/Redacted": "unfit",
  "effect/schema/DateTimeUtc": "unfit",
  "effect/schema/DateTimeZoned": "unfit",
  "effect/schema/BigDecimal": "unfit",
  "effect/schema/Duration": "unfit"
}

interface Described {
  readonly kind: Kind | "any" | "null" | "unfit"
  readonly name: string
}

const ofPrimitive = (value: unknown): Described => {
  const kind = typeof value
  return kind === "string"
    ? { kind: "text", name: "text" }
    : kind === "number" || kind === "bigint" || kind === "boolean"
    ? { kind, name: kind }
    : { kind: "unfit", name: kind }
}

const describe = (ast: SchemaAST.AST): Described => {
  switch (ast._tag) {
    case "String":
    case "TemplateLiteral":
      return { kind: "text", name: "text" }
    case "Number":
      return { kind: "number", name: "number" }
    case "BigInt":
      return { kind: "bigint", name: "bigint" }
    case "Boolean":
      return { kind: "boolean", name: "boolean" }
    case "Literal":
      return ofPrimitive(ast.literal)
    case "Null":
    case "Undefined":
    case "Void":
      return { kind: "null", name: ast._tag.toLowerCase() }
    case "Arrays":
      return { kind: "array", name: "array" }
    case "Objects":
      return { kind: "object", name: "object" }
    case "Declaration": {
      const { expected, representation } = (ast.annotations ?? {}) as {
        readonly expected?: string
        readonly representation?: { readonly id: string }
      }
      const known = declared[representation?.id ?? ""]
      return { kind: known ?? "any", name: expected ?? "a value of its own" }
    }
    case "Symbol":
    case "UniqueSymbol":
    case "Never":
      return { kind: "unfit", name: ast._tag.toLowerCase() }
    default:
      return { kind: "any", name: "anything" }
  }
}

const alternatives = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> =>
  ast._tag === "Union" ? ast.types.flatMap(alternatives) : [ast]

const words: { readonly [K in Kind]: string } = {
  text: "text",
  number: "a number",
  bigint: "a bigint",
  boolean: "a boolean",
  date: "a Date",
  bytes: "bytes",
  array: "an array",
  set: "a Set",
  map: "a Map",
  object: "an object"
}

const isVector = (type: CqlType): boolean => type.code === dataTypes.custom && type.customTypeName === "vector"

/** Why the values of `ast` do not fit a type; nested ones with their path. Null and missing are the caller's. */
const misfits = (ast: SchemaAST.AST, unresolved: CqlType, path: string): ReadonlyArray<string> => {
  const type = resolved(unresolved)
  const takes = isVector(type) ? (["array", "text"] as const) : accepted[type.code]
  // A type that only the driver knows.
  if (takes === undefined) return []
  const problems: Array<string> = []
  for (const one of alternatives(ast)) {
    const { kind, name } = describe(one)
    if (kind === "any" || kind === "null") continue
    if (kind === "unfit" || !(takes as ReadonlyArray<Kind>).includes(kind)) {
      const instead = takes.map((taken) => words[taken]).join(" or ")
      problems.push(`${path} is ${name}, which is no ${typeName(type)}: encode it to ${instead}`)
    } else if (one._tag === "Arrays") problems.push(...ofArray(one, type, path))
    else if (type.code === dataTypes.udt && one._tag === "Objects") problems.push(...ofObject(one, type, path))
    else if (type.code === dataTypes.map || type.code === dataTypes.set) problems.push(...ofCollection(one, type, path))
  }
  return problems
}

const ofArray = (ast: SchemaAST.Arrays, type: CqlType, path: string): ReadonlyArray<string> => {
  if (type.code !== dataTypes.tuple) {
    const element = isVector(type) ? (type.info as ReadonlyArray<CqlType>)[0]! : type.info as CqlType
    return [...ast.elements, ...ast.rest].flatMap((each) => misfits(each, element, `${path}[]`))
  }
  const parts = type.info as ReadonlyArray<CqlType>
  return ast.rest.length > 0 || ast.elements.length === parts.length
    ? ast.elements.flatMap((each, i) => misfits(each, parts[i]!, `${path}[${i}]`))
    : [`${path} has ${ast.elements.length} parts, and the ${typeName(type)} has ${parts.length}`]
}

const ofObject = (ast: SchemaAST.Objects, type: CqlType, path: string): ReadonlyArray<string> => {
  const { fields } = type.info as {
    readonly fields: ReadonlyArray<{ readonly name: string; readonly type: CqlType }>
  }
  return ast.propertySignatures.flatMap(({ name, type: value }) => {
    const field = fields.find((candidate) => candidate.name === String(name))
    return field === undefined
      ? [
        `${path}.${String(name)} is no field of ${typeName(type)}; it has ${fields.map((each) => each.name).join(", ")}`
      ]
      : misfits(value, field.type, `${path}.${String(name)}`)
  })
}

/** Elements of a Set; keys and values of a Map, or the values of an object with any keys. */
const ofCollection = (ast: SchemaAST.AST, type: CqlType, path: string): ReadonlyArray<string> => {
  const inner = type.code === dataTypes.set ? [type.info as CqlType] : type.info as ReadonlyArray<CqlType>
  if (ast._tag === "Declaration") {
    return ast.typeParameters.flatMap((part, i) => misfits(SchemaAST.toEncoded(part), inner[i]!, `${path}{}`))
  }
  return ast._tag === "Objects"
    ? ast.indexSignatures.flatMap((signature) => misfits(signature.type, inner[1]!, `${path}{}`))
    : []
}

const isNullable = (ast: SchemaAST.AST): boolean =>
  SchemaAST.isOptional(ast) || alternatives(ast).some((one) => describe(one).kind === "null")

/**
 * Every way in which what the Schema encodes to does not fit the markers; empty if it fits.
 *
 * @category getters
 * @since 0.1.0
 */
export const mismatches = (
  schema: RowSchema,
  params: ReadonlyArray<Param>,
  /** Whether a field may be missing. */
  mayBeMissing: boolean
): ReadonlyArray<string> => {
  const ast = SchemaAST.toEncoded(schema.ast)
  const markers = params.map(({ name, type }) => `${name} ${typeName(type)}`).join(", ")
  if (ast._tag === "Arrays") {
    return ast.rest.length > 0 || ast.elements.length !== params.length
      ? [`it has ${ast.elements.length} elements, and the statement has ${params.length} markers: ${markers}`]
      : ast.elements.flatMap((element, i) => ofParam(element, params[i]!))
  }
  if (ast._tag !== "Objects") {
    return alternatives(ast).every((one) => one._tag === "Objects")
      ? []
      : [`it encodes to ${describe(ast).name}, not to an object with a field for each marker: ${markers}`]
  }
  if (ast.indexSignatures.length > 0) return []
  const fields = new Map(ast.propertySignatures.map(({ name, type }) => [String(name), type]))
  const names = [...fields.keys()].join(", ")
  const known = new Set(params.map(({ name }) => name))
  return [
    ...params.filter(({ name }, i) => params.findIndex((other) => other.name === name) === i).flatMap((param) => {
      const field = fields.get(param.name)
      if (field !== undefined) return ofParam(field, param)
      return mayBeMissing && !param.isKey && param.isTimestamp !== true
        ? []
        : [`no field fills the marker ${param.name} (${typeName(param.type)}); the schema has ${names}`]
    }),
    ...[...fields.keys()].filter((name) => !known.has(name)).map((name) =>
      `the field ${name} fills no marker; the statement has ${markers}`
    )
  ]
}

const ofParam = (ast: SchemaAST.AST, { isKey, isTimestamp, name, type }: Param): ReadonlyArray<string> => [
  ...(isKey || isTimestamp === true) && isNullable(ast)
    ? [`${name} is ${isKey ? "part of the primary key" : "the row's write timestamp"} and may be null or missing`]
    : [],
  ...misfits(ast, type, name)
]
