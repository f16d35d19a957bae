/**
 * A table as a Schema of `effect/Schema`: a value for a running program, and the TypeScript of it for a person to keep.
 *
 * Both say the same. Columns of the primary key are needed, the others may be null. Whole numbers beyond 32 bits are
 * bigints, timestamps Dates, blobs bytes, sets and maps Sets and Maps; uuids, addresses, dates, times and durations are
 * their text; a decimal is a `BigDecimal` that is written as text. A type that is not known here is left open.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CassandraError } from "./CassandraError.ts"
import type { Session } from "./CassandraSession.ts"

type AnySchema = Schema.Codec<any, any>

/** A type in both forms. */
interface Form {
  readonly schema: AnySchema
  readonly source: string
}

const form = (source: string, schema: AnySchema): Form => ({ source, schema })

const text = form("Schema.String", Schema.String)
const small = form("Schema.Int", Schema.Int)
const large = form("Schema.BigInt", Schema.BigInt)
const floating = form("Schema.Finite", Schema.Finite)
const anything = form("Schema.Unknown", Schema.Unknown)

const scalars: { readonly [name: string]: Form } = {
  ascii: text,
  bigint: large,
  blob: form("Schema.Uint8Array", Schema.Uint8Array),
  boolean: form("Schema.Boolean", Schema.Boolean),
  counter: large,
  date: text,
  decimal: form("Schema.BigDecimalFromString", Schema.BigDecimalFromString),
  double: floating,
  duration: text,
  float: floating,
  inet: text,
  int: small,
  smallint: small,
  text,
  time: text,
  timestamp: form("Schema.Date", Schema.Date),
  timeuuid: text,
  tinyint: small,
  uuid: text,
  varchar: text,
  varint: large
}

const nullable = ({ schema, source }: Form): Form => form(`Schema.NullOr(${source})`, Schema.NullOr(schema))

/** The parts between the outermost brackets, at the commas that are in no others. */
const parts = (inside: string): Array<string> => {
  const found: Array<string> = []
  let depth = 0
  let from = 0
  for (let i = 0; i <= inside.length; i++) {
    const character = inside[i] ?? ","
    if (character === "<") depth++
    else if (character === ">") depth--
    else if (character === "," && depth === 0) {
      found.push(inside.slice(from, i).trim())
      from = i + 1
    }
  }
  return found
}

const key = (name: string): string => /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name)

const struct = (fields: ReadonlyArray<readonly [name: string, Form]>, indent: string): Form =>
  form(
    `Schema.Struct({\n${
      fields.map(([name, { source }]) => `${indent}  ${key(name)}: ${source}`).join(",\n")
    }\n${indent}})`,
    Schema.Struct(Object.fromEntries(fields.map(([name, { schema }]) => [name, schema]))) as AnySchema
  )

/** Types by their text; `udts` are those of the keyspace that come before. */
const typeForm = (type: string, udts: ReadonlyMap<string, Form>): Form => {
  const [, kind, inside] = /^(\w+)<(.*)>$/s.exec(type) ?? []
  if (kind === undefined) return scalars[type] ?? udts.get(type.replace(/^"|"$/g, "")) ?? anything
  const inner = kind === "vector"
    ? [typeForm(parts(inside!)[0]!, udts)]
    : parts(inside!).map((part) => typeForm(part, udts))
  const [first, second] = inner as [Form, Form | undefined]
  switch (kind) {
    case "frozen":
      return first
    case "list":
    case "vector":
      return form(`Schema.Array(${first.source})`, Schema.Array(first.schema))
    case "set":
      return form(`Schema.ReadonlySet(${first.source})`, Schema.ReadonlySet(first.schema))
    case "map":
      return form(
        `Schema.ReadonlyMap(${first.source}, ${second!.source})`,
        Schema.ReadonlyMap(first.schema, second!.schema)
      )
    case "tuple": {
      const each = inner.map(nullable)
      return form(
        `Schema.Tuple([${each.map(({ source }) => source).join(", ")}])`,
        Schema.Tuple(each.map(({ schema }) => schema)) as AnySchema
      )
    }
    default:
      return anything
  }
}

/** `by_station` as `ByStation`. */
const typeName = (name: string): string => {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== "")
  const joined = words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join("")
  return /^[A-Za-z]/.test(joined) ? joined : `T${joined}`
}

/**
 * A table's rows. `source` is a module of its own: constants for the user-defined types, then one for the table, and the
 * type of its rows.
 *
 * @category models
 * @since 0.1.0
 */
export interface TableSchema {
  readonly name: string
  readonly schema: Schema.Codec<Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>>
  readonly source: string
}

const selectTypes = "SELECT type_name, field_names, field_types FROM system_schema.types WHERE keyspace_name = ?"

interface Udt {
  readonly name: string
  readonly fields: ReadonlyArray<readonly [name: string, type: string]>
}

/** Those that others have fields of first, and only those that `types` needs. */
const needed = (udts: ReadonlyArray<Udt>, types: ReadonlyArray<string>): ReadonlyArray<Udt> => {
  const found: Array<Udt> = []
  const visit = (type: string) => {
    for (const [word] of type.matchAll(/"[^"]+"|\w+/g)) {
      const udt = udts.find(({ name }) => name === word.replace(/^"|"$/g, ""))
      if (udt === undefined || found.includes(udt)) continue
      for (const [, inner] of udt.fields) visit(inner)
      found.push(udt)
    }
  }
  types.forEach(visit)
  return found
}

/**
 * The Schema of a table's rows, null if there is no such table.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  session: Session,
  keyspace: string,
  table: string
): Effect.fn.Return<TableSchema | null, CassandraError> {
  const info = yield* session.table(keyspace, table)
  if (info === null) return null
  const all = (yield* session.query(selectTypes, [keyspace])).map((row): Udt => {
    const types = row["field_types"] as ReadonlyArray<string>
    return {
      name: String(row["type_name"]),
      fields: (row["field_names"] as ReadonlyArray<string>).map((name, i) => [name, types[i]!])
    }
  })
  const udts = new Map<string, Form>()
  const lines = ["import * as Schema from \"effect/Schema\"\n"]
  for (const { fields, name } of needed(all, info.columns.map(({ type }) => type))) {
    const made = struct(fields.map(([field, type]) => [field, nullable(typeForm(type, udts))]), "")
    lines.push(`const ${typeName(name)} = ${made.source}\n`)
    udts.set(name, form(typeName(name), made.schema))
  }
  const row = struct(
    info.columns.map(({ kind, name, type }) => {
      const each = typeForm(type, udts)
      return [name, kind === "partition_key" || kind === "clustering" ? each : nullable(each)]
    }),
    ""
  )
  const name = typeName(table)
  lines.push(
    `/** The rows of ${keyspace}.${table}. */`,
    `export const ${name} = ${row.source}`,
    `export type ${name} = typeof ${name}.Type\n`
  )
  return { name, schema: row.schema, source: lines.join("\n") }
})
