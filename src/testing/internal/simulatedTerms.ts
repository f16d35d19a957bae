/**
 * Reading one statement for the simulation: its markers with their types, and the values written in it.
 */
import { types } from "cassandra-driver"
import type { CqlType } from "../../cassandra/CqlValue.ts"
import { encoder, typeName } from "../../cassandra/CqlValue.ts"
import { makeReader } from "../../cassandra/internal/cqlTerms.ts"
import { CqlSyntax } from "../../cassandra/internal/cqlTokens.ts"
import { codes, invalid, Refusal, unsupported } from "./simulatedRefusal.ts"
import type { Column, Table } from "./simulatedSchema.ts"
import { makeType, type ParsedType } from "./simulatedType.ts"

/** @internal */
export interface MarkerSpec {
  readonly name: string
  readonly type: CqlType
  /** The column of the partition key that it fills. */
  readonly partitionKey: string | null
}

/**
 * A value: the marker that gives it, or its bytes.
 *
 * @internal
 */
export type Term =
  | { readonly kind: "marker"; readonly index: number; readonly type: CqlType }
  | { readonly kind: "bytes"; readonly bytes: Buffer | null }

const { dataTypes } = types

const textual = new Set([
  dataTypes.ascii,
  dataTypes.text,
  dataTypes.varchar,
  dataTypes.timestamp,
  dataTypes.date,
  dataTypes.time,
  dataTypes.inet
])
const whole = new Set([
  dataTypes.int,
  dataTypes.bigint,
  dataTypes.smallint,
  dataTypes.tinyint,
  dataTypes.varint,
  dataTypes.timestamp
])
const fractional = new Set([dataTypes.float, dataTypes.double, dataTypes.decimal])

const fits = (literal: string, code: number): boolean => {
  if (/^0x/i.test(literal)) return code === dataTypes.blob
  if (literal.length === 36 && literal[8] === "-") return code === dataTypes.uuid || code === dataTypes.timeuuid
  if (/^-?\d+$/.test(literal)) return whole.has(code) || fractional.has(code)
  if (/^-?\d+(\.\d*)?(e[+-]?\d+)?$/i.test(literal)) return fractional.has(code)
  return code === dataTypes.duration
}

/** @internal */
export type Cursor = ReturnType<typeof makeCursor>

/** @internal */
export const makeCursor = (cql: string) => {
  const reader = makeReader(cql)
  const { identifier, isMarker, needOperator, next, peek, shown, takeOperator, takeWord } = reader
  const markers: Array<MarkerSpec> = []

  const literal = (type: CqlType, what: string): unknown => {
    const token = peek()
    const wrong = (kind: string) =>
      invalid(`Invalid ${kind} constant (${token.value}) for "${what}" of type ${typeName(type)}`)
    if (token.kind === "string") {
      if (!textual.has(type.code)) return wrong("STRING")
      return next().value
    }
    if (token.kind === "constant") {
      if (!fits(token.value, type.code)) return wrong("INTEGER")
      return next().value
    }
    if (takeWord("true") || takeWord("false")) {
      if (type.code !== dataTypes.boolean) return wrong("BOOLEAN")
      return token.value === "true"
    }
    if (takeWord("null")) return null
    const info = type.info as CqlType & ReadonlyArray<CqlType>
    if (type.code === dataTypes.set && takeOperator("{")) {
      const elements: Array<unknown> = []
      if (takeOperator("}")) return elements
      do elements.push(literal(info, what))
      while (takeOperator(","))
      needOperator("}")
      return elements
    }
    if (type.code === dataTypes.map && takeOperator("{")) {
      const entries = new Map<unknown, unknown>()
      if (takeOperator("}")) return entries
      do {
        const key = literal(info[0]!, what)
        needOperator(":")
        entries.set(key, literal(info[1]!, what))
      } while (takeOperator(","))
      needOperator("}")
      return entries
    }
    return unsupported(`the value ${shown(token)} for ${what}`)
  }

  const term = (type: CqlType, what: string, markerName: string, partitionKey: string | null = null): Term => {
    if (isMarker()) {
      const name = takeOperator("?") ? markerName : (needOperator(":"), identifier("the name of a marker"))
      markers.push({ name, type, partitionKey })
      return { kind: "marker", index: markers.length - 1, type }
    }
    const value = literal(type, what)
    if (value === null) return { kind: "bytes", bytes: null }
    try {
      return { kind: "bytes", bytes: encoder(type)(value) }
    } catch (error) {
      return invalid(error instanceof Error ? error.message : String(error))
    }
  }

  const tableName = (keyspace: string | null): readonly [keyspace: string | null, name: string] => {
    const name = identifier("the name of a table")
    return takeOperator(".") ? [name, identifier("the name of a table")] : [keyspace, name]
  }

  const type = (): ParsedType => {
    const name = identifier("a type")
    const inner: Array<ParsedType | number> = []
    if (takeOperator("<")) {
      do inner.push(/^\d+$/.test(peek().value) ? Number(next().value) : type())
      while (takeOperator(","))
      needOperator(">")
    }
    return makeType(name, inner)
  }

  const end = (): void => {
    while (takeOperator(";")) continue
    if (peek().kind !== "end") unsupported(`what stands at ${shown(peek())} in ${cql}`)
  }

  return { ...reader, markers, term, tableName, type, end }
}

/** @internal */
export const columnOf = (table: Table, name: string): Column =>
  table.columns.get(name) ?? invalid(`Undefined column name ${name} in table ${table.keyspace}.${table.name}`)

/**
 * What `read` gives; CQL that can't be read becomes the server's syntax error.
 *
 * @internal
 */
export const reading = <A>(read: () => A): A => {
  try {
    return read()
  } catch (error) {
    if (error instanceof CqlSyntax) throw new Refusal(codes.syntax, `line 1:${error.offset} ${error.reason}`)
    throw error
  }
}
