/**
 * The INSERT for a table, from its columns, the mapping and the fields that the input has.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { ColumnInfo, TableInfo } from "../cassandra/CassandraSession.ts"
import { identifier } from "../cassandra/CqlIdentifier.ts"
import type { Mapping } from "./Mapping.ts"
import { didYouMean, nearest, someOf } from "./nearest.ts"

/**
 * The fields of the input. `isComplete`: no record has another one (CSV); otherwise they are those of the first records.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fields {
  readonly input: string
  readonly names: ReadonlyArray<string>
  readonly isComplete: boolean
}

/**
 * `left`: fields of the input that no column is filled from. `absent`: fields that columns are filled from, and that the
 * first records don't have.
 *
 * @category models
 * @since 0.1.0
 */
export interface Inferred {
  readonly query: string
  readonly left: ReadonlyArray<string>
  readonly absent: ReadonlyArray<string>
}

interface Filled {
  readonly field: string
  /** Null for the time to live. */
  readonly column: string | null
}

const isKey = ({ kind }: ColumnInfo): boolean => kind === "partition_key" || kind === "clustering"

/** What the first line of CSV may be, if it does not name the fields. */
const aboutTheHeader = (names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const [only] = names
  const [between] = names.length === 1 ? /[,;\t|:]/.exec(only!) ?? [] : []
  if (between !== undefined) {
    const shown = between === "\t" ? "tab" : `"${between}"`
    return [`its first line is one field: if ${shown} stands between the fields, add --delimiter ${shown}`]
  }
  return names.some((name) => /^[-+]?\d+(?:[.,]\d+)?$|^\d{4}-\d\d-\d\d/.test(name.trim()))
    ? ["its first line does not look like names: if it is a record already, add --no-header"]
    : []
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const inferInsert = (
  table: TableInfo,
  mapping: Mapping,
  fields: Fields,
  /** Whether the fields are numbered, as those of CSV without a header. */
  isNumbered: boolean
): Result.Result<Inferred, ReadonlyArray<string>> => {
  const { columns } = table
  const columnNames = columns.map(({ name }) => name)
  const given = new Set(fields.names)
  const problems: Array<string> = []
  const name = `${table.keyspace}.${table.name}`

  const unknown = (column: string) =>
    problems.push(
      `${name} has no column ${column}${didYouMean(column, columnNames)}; its columns are ${someOf(columnNames)}`
    )
  const filled: Array<Filled> = mapping.columns === null
    ? [...mapping.entries]
    : mapping.columns.map((column, i) => ({ field: isNumbered ? String(i) : column, column }))
  for (const { column } of filled) {
    if (column !== null && !columnNames.includes(column)) unknown(column)
  }
  for (const column of mapping.rest?.except ?? []) {
    if (!columnNames.includes(column)) unknown(column)
  }
  if (mapping.rest !== null) {
    const taken = new Set([...mapping.rest.except, ...filled.map(({ column }) => column)])
    for (const column of columnNames) {
      // What no record can have is not written; what some later record may have is.
      if (!taken.has(column) && (given.has(column) || !fields.isComplete)) filled.push({ field: column, column })
    }
  }
  for (const { name: column, type } of columns) {
    if (!type.startsWith("list<") || !filled.some((entry) => entry.column === column)) continue
    problems.push(
      `the list ${column} can't be written exactly once, as a repeated write adds its elements again: make it a ` +
        `frozen<${type}>, or leave it out: --mapping "*=-${column}"`
    )
  }

  const byColumn = new Map(filled.map((entry) => [entry.column, entry]))
  const mapped = new Set(filled.map(({ field }) => field))
  const left = fields.names.filter((field) => !mapped.has(field))
  for (const { name: column } of columns.filter(isKey)) {
    const field = byColumn.get(column)?.field
    if (field !== undefined && (given.has(field) || given.size === 0)) continue
    const candidate = nearest(field ?? column, left)
    problems.push(
      field === undefined
        ? `the key column ${column} is filled from no field: every row needs a value for it`
        : `the key column ${column} needs the field ${field}, which ${fields.input} does not have`
    )
    problems[problems.length - 1] += isNumbered
      ? `; its fields are numbered: say which one it is, as in --mapping "0=${column}, ..."`
      : `; it has ${someOf(fields.names)}: say which one it is, as in --mapping "${
        candidate ?? "field"
      }=${column}, *=*"`
  }
  if (problems.length > 0 && fields.isComplete && !isNumbered) problems.push(...aboutTheHeader(fields.names))
  // Each key column is told of above.
  const keys = new Set(columns.filter(isKey).map((column) => column.name))
  const absent = filled.filter(({ column, field }) => given.size > 0 && !given.has(field) && !keys.has(column ?? ""))
  if (fields.isComplete) {
    for (const { column, field } of absent) {
      problems.push(
        `the ${
          column === null ? "time to live" : `column ${column}`
        } needs the field ${field}, which ${fields.input} ` +
          `does not have${didYouMean(field, left)}; it has ${someOf(fields.names)}`
      )
    }
  }
  if (problems.length > 0) return Result.fail(problems)

  // In the table's order, so that the same table and mapping always give the same text.
  const written = columnNames.flatMap((column) => byColumn.get(column) ?? [])
  const ttl = byColumn.get(null)
  const isByName = ttl !== undefined || written.some(({ column, field }) => column !== field)
  const marker = ({ field }: Filled) => isByName ? `:${identifier(field)}` : "?"
  const query = `INSERT INTO ${identifier(table.keyspace)}.${identifier(table.name)} (` +
    `${written.map(({ column }) => identifier(column!)).join(", ")}) VALUES (${written.map(marker).join(", ")})` +
    (ttl === undefined ? "" : ` USING TTL ${marker(ttl)}`)
  return Result.succeed({
    query,
    left,
    // With *=* a column that no record fills is ordinary; a field that was asked for by name is not.
    absent: fields.isComplete ?
      [] :
      absent.filter(({ column, field }) =>
        mapping.rest === null || mapping.entries.some((entry) => entry.field === field && entry.column === column)
      ).map(({ field }) => field)
  })
}
