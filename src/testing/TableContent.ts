/**
 * What a test puts into a table, and whether a table holds what a test says it holds: every row, and no other; write times and
 * times to live on demand. Over any session, a simulated one too.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import type { ColumnInfo, Row, Session } from "../cassandra/CassandraSession.ts"
import { CassandraSession } from "../cassandra/CassandraSession.ts"
import { identifier } from "../cassandra/CqlIdentifier.ts"
import * as CqlText from "../cassandra/CqlText.ts"
import type { CqlType } from "../cassandra/CqlValue.ts"
import * as CqlValue from "../cassandra/CqlValue.ts"

/**
 * The table is not as expected. Each difference is one sentence; `count` is how many there are, of which the first are
 * listed.
 *
 * @category errors
 * @since 0.1.0
 */
export class TableDiffers extends Schema.TaggedError<TableDiffers>("effect-cassandra/testing/TableDiffers")(
  "TableDiffers",
  { table: Schema.String, rows: Schema.Int, count: Schema.Int, differences: Schema.Array(Schema.String) }
) {
  override get message(): string {
    const more = this.count - this.differences.length
    return `${this.table} has ${this.rows} rows and is not as expected:\n` +
      this.differences.map((difference) => `- ${difference}`).join("\n") + (more > 0 ? `\n- and ${more} more` : "")
  }
}

/** As many as a person reads. */
const shownMax = 20

interface Cell {
  /** As the expected row names it. */
  readonly key: string
  readonly select: string
  /** Whether what is expected and what was found are the same, and how either is shown. */
  readonly isSame: (expected: unknown, found: unknown) => boolean
  readonly show: (value: unknown) => string
}

/** `INSERT` for ordinary tables, `UPDATE` for counters: what tells the types of all columns. */
const typesOf = Effect.fnUntraced(function*(session: Session, name: string, columns: ReadonlyArray<ColumnInfo>) {
  const counters = columns.filter(({ type }) => type === "counter").map((column) => identifier(column.name))
  const keys = columns.filter(({ kind }) => kind === "partition_key" || kind === "clustering")
  const { params } = yield* session.prepare(
    counters.length === 0
      ? `INSERT INTO ${name} (${columns.map((column) => identifier(column.name)).join(", ")}) VALUES (${
        columns.map(() => "?").join(", ")
      })`
      : `UPDATE ${name} SET ${counters.map((counter) => `${counter} = ${counter} + ?`).join(", ")} WHERE ${
        keys.map((column) => `${identifier(column.name)} = ?`).join(" AND ")
      }`
  )
  return new Map(params.map((param) => [param.name, param.type]))
})

/** NaN and the infinities are only taken as text, so that nobody writes one by mistake. */
const bytesOf = (encode: (value: unknown) => Buffer, value: unknown): Buffer | null =>
  value === null || value === undefined
    ? null
    : encode(typeof value === "number" && !Number.isFinite(value) ? String(value) : value)

const valueCell = ({ name, type: text }: ColumnInfo, type: CqlType): Cell => {
  const encode = CqlValue.encoder(type)
  const canonical = CqlValue.canonical(type) ?? ((bytes: Buffer) => bytes)
  const toText = CqlText.toText(CqlValue.typeName(type))
  const isMulticell = /^(?:list|set|map)</.test(text)
  const toBytes = (value: unknown) => {
    const bytes = bytesOf(encode, value)
    // An empty collection that is not frozen is no value to the server.
    return isMulticell && bytes?.length === 4 ? null : bytes
  }
  return {
    key: name,
    select: identifier(name),
    isSame: (expected, found) => {
      const [a, b] = [toBytes(expected), toBytes(found)]
      return a === null || b === null ? a === b : canonical(a).equals(canonical(b))
    },
    show: (value) => {
      const bytes = toBytes(value)
      return bytes === null ? "null" : toText(bytes)
    }
  }
}

const plain = (value: unknown): string =>
  JSON.stringify(value ?? null, (_, inner: unknown) => typeof inner === "bigint" ? String(inner) : inner)

/** `WRITETIME(name)` or `TTL(name)`, in microseconds and seconds. Numbers and bigints are the same here. */
const metaCell = (key: string, of: "WRITETIME" | "TTL", column: string): Cell => ({
  key,
  select: `${of}(${identifier(column)})`,
  isSame: (expected, found) => plain(expected).replaceAll("\"", "") === plain(found).replaceAll("\"", ""),
  show: plain
})

/**
 * Succeeds if the table has exactly these rows, in any order; fails with all that is different.
 *
 * A row names its columns as the table does, and must name all of the primary key; other columns are only compared where
 * a row names them. Values are those that `CqlValue` takes, and null is no value. `WRITETIME(column)` and `TTL(column)`
 * are names too. A column that the table does not have, or a value that does not fit, is a difference like any other.
 *
 * **Example**
 *
 * ```ts
 * import * as TableContent from "effect-cassandra/testing/TableContent"
 *
 * const check = TableContent.expectTable("demo", "flights", [
 *   { id: 1n, delay: 12, "WRITETIME(delay)": 1700000000000000n },
 *   { id: 2n, delay: null }
 * ])
 * ```
 *
 * @category assertions
 * @since 0.1.0
 */
export const expectTable = Effect.fnUntraced(function*(
  keyspace: string,
  table: string,
  rows: ReadonlyArray<Row>
): Effect.fn.Return<void, CassandraError | TableDiffers, CassandraSession> {
  const session = yield* CassandraSession
  const name = `${identifier(keyspace)}.${identifier(table)}`
  const fail = (found: number, differences: ReadonlyArray<string>) =>
    new TableDiffers({
      table: name,
      rows: found,
      count: differences.length,
      differences: differences.slice(0, shownMax)
    })
  const info = yield* session.table(keyspace, table)
  if (info === null) return yield* fail(0, [`there is no such table at ${session.describe}`])
  const types = yield* typesOf(session, name, info.columns)
  const keys = info.columns.filter(({ kind }) => kind === "partition_key" || kind === "clustering")
  const cells = new Map<string, Cell>()
  const problems: Array<string> = []
  for (const key of new Set([...keys.map((column) => column.name), ...rows.flatMap((row) => Object.keys(row))])) {
    const [, meta, inside] = /^(WRITETIME|TTL)\((.+)\)$/i.exec(key) ?? []
    const column = info.columns.find((column) => column.name === (inside ?? key))
    if (column === undefined) {
      problems.push(`it has no column ${inside ?? key}; it has ${info.columns.map((one) => one.name).join(", ")}`)
    } else if (meta === undefined) {
      cells.set(key, valueCell(column, types.get(column.name)!))
    } else {
      cells.set(key, metaCell(key, meta.toUpperCase() as "WRITETIME" | "TTL", column.name))
    }
  }
  if (problems.length > 0) return yield* fail(0, problems)

  const selected = [...cells.values()]
  const found = yield* session.query(
    `SELECT ${selected.map(({ select }, i) => `${select} AS c${i}`).join(", ")} FROM ${name}`
  )
  const keyCells = keys.map((column) => cells.get(column.name)!)
  const keyOf = (value: (cell: Cell) => unknown) =>
    keyCells.map((cell) => `${cell.key} ${cell.show(value(cell))}`).join(", ")
  const index = new Map(selected.map((cell, i) => [cell, `c${i}`]))
  const there = new Map(found.map((row) => [keyOf((cell) => row[index.get(cell)!]), row]))
  for (const [i, row] of rows.entries()) {
    try {
      const key = keyOf((cell) => row[cell.key])
      const one = there.get(key)
      if (one === undefined) {
        problems.push(`the row ${key} is not there, or is expected twice`)
        continue
      }
      there.delete(key)
      for (const cell of selected) {
        if (!Object.hasOwn(row, cell.key) || cell.isSame(row[cell.key], one[index.get(cell)!])) continue
        problems.push(
          `the row ${key} has ${cell.key} ${cell.show(one[index.get(cell)!])}, not ${cell.show(row[cell.key])}`
        )
      }
    } catch (error) {
      if (!(error instanceof CqlValue.CqlValueError)) throw error
      problems.push(`expected row ${i + 1} does not fit the table: ${error.message}`)
    }
  }
  for (const key of there.keys()) problems.push(`the row ${key} is there, and is not expected`)
  if (problems.length > 0) return yield* fail(found.length, problems)
})

/**
 * Writes rows, each with the columns that it names: what a test begins with. Null deletes a value, undefined leaves it as it
 * is. Rows of one key are written in no order.
 *
 * @category constructors
 * @since 0.1.0
 */
export const insert = Effect.fnUntraced(function*(
  keyspace: string,
  table: string,
  rows: ReadonlyArray<Row>
): Effect.fn.Return<void, CassandraError, CassandraSession> {
  const session = yield* CassandraSession
  const name = `${identifier(keyspace)}.${identifier(table)}`
  yield* Effect.forEach(rows, (row) => {
    const cells = Object.entries(row).filter(([, value]) => value !== undefined)
    return session.execute(
      `INSERT INTO ${name} (${cells.map(([column]) => identifier(column)).join(", ")}) VALUES (${
        cells.map(() => "?").join(", ")
      })`,
      cells.map(([, value]) => value)
    )
  }, { concurrency: 32, discard: true })
})
