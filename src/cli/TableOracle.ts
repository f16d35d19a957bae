/**
 * What a table has to hold once records are written to it in order, and how what it holds differs from that.
 *
 * Each cell is known by the last record that set it; its value, and as far as the server tells it, its write time: the
 * cells that one record set have the same, and within a partition those of a later record have a greater one.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import type { ColumnInfo, Row, Session } from "../cassandra/CassandraSession.ts"
import { identifier } from "../cassandra/CqlIdentifier.ts"
import * as CqlStatement from "../cassandra/CqlStatement.ts"
import * as CqlText from "../cassandra/CqlText.ts"
import type { CqlType } from "../cassandra/CqlValue.ts"
import * as CqlValue from "../cassandra/CqlValue.ts"
import type { Values } from "../sink/RowEncoder.ts"
import { partitionHash } from "../sink/RowEncoder.ts"
import type { SinkStatement } from "../sink/SinkStatement.ts"
import { excerpt } from "../source/SourceError.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Verdict {
  /** Rows that the records make; those that only records make that were set aside are not among them. */
  rows: number
  /** Cells of these that are in the table and were compared. */
  cells: number
  /** Rows that the table does not have. */
  missing: number
  /** Cells with another value. */
  different: number
  /** Rows, or whole partitions, that no record made; null if they were not looked for. */
  unknown: number | null
  /** Cells whose write times were compared. */
  timed: number
  /** Write times that are not in the order of the records, or differ within one record. */
  unordered: number
}

/**
 * Called for each difference with the place of the record that says otherwise; null where no record does.
 *
 * @category models
 * @since 0.1.0
 */
export type OnDifference = (place: number | null, what: string) => void

interface Column {
  readonly name: string
  readonly type: CqlType
  /** Among the values of a record. */
  readonly index: number
  readonly encode: (value: unknown) => Buffer
  readonly canonical: ((bytes: Buffer) => Buffer) | null
  readonly isMulticell: boolean
}

/** The last record that set each cell, and what it set it to. */
interface Cells {
  readonly values: Array<Buffer | null | undefined>
  readonly setBy: Array<number>
  readonly places: Array<number>
}

interface ExpectedRow {
  readonly cells: Cells
  /** What records would have set that were set aside: they may have been loaded since. */
  aside: Cells | null
  /** A record that was not set aside makes it. */
  isCertain: boolean
  readonly keys: string
  lastPlace: number
  isSeen: boolean
}

interface Partition {
  readonly hash: number
  readonly key: Array<Buffer>
  readonly statics: Cells
  asideStatics: Cells | null
  readonly rows: Map<string, ExpectedRow>
}

const multicell = (type: string): boolean =>
  !/^(?:frozen|tuple|vector)</.test(type) &&
  (/^(?:list|set|map)</.test(type) ||
    !/^(?:ascii|bigint|blob|boolean|counter|date|decimal|double|duration|float|inet|int|smallint|text|time|timestamp|timeuuid|tinyint|uuid|varchar|varint)$/
      .test(type))

const keyText = (parts: ReadonlyArray<Buffer>): string => {
  let text = ""
  for (const part of parts) text += `${part.length}:${part.toString("latin1")}`
  return text
}

const show = (type: CqlType, bytes: Buffer | null | undefined): string => {
  if (bytes == null) return "nothing"
  const value = CqlValue.decode(type, bytes)
  if (Buffer.isBuffer(value)) return excerpt(`0x${value.toString("hex")}`)
  const plain = value instanceof Set || value instanceof Map ? [...value] : value
  const text = plain instanceof Date && !Number.isNaN(plain.getTime()) ? plain.toISOString() : String(plain)
  return excerpt(
    Array.isArray(plain) || text === "[object Object]"
      ? JSON.stringify(plain, (_, inner: unknown) => typeof inner === "bigint" ? String(inner) : inner)
      : text
  )
}

const emptyCells = (count: number): Cells => ({
  values: Array.from({ length: count }),
  setBy: Array.from({ length: count }, () => -1),
  places: Array.from({ length: count }, () => 0)
})

/** Whether a server takes it as a partition key: it has neither an empty one, nor one of more than 65535 bytes. */
const isPossible = (key: ReadonlyArray<Buffer>): boolean => {
  const bytes = key.length === 1 ? key[0]!.length : key.reduce((sum, part) => sum + part.length + 3, 0)
  return bytes > 0 && bytes <= 65_535
}

/** About what a record needs in memory, beside the bytes of its values. */
const overheadBytes = 400

/**
 * What `make` gives: `add` the records in order, then `compare`. Partitions are only kept while `isMine` says so of their
 * hash, so that a table larger than memory is compared in parts.
 *
 * @category models
 * @since 0.1.0
 */
export interface TableOracle {
  /** How much memory is needed for what was added, in bytes. */
  readonly bytes: () => number
  /** `isAside`: the record was set aside, so that what it sets may be in the table, and need not. */
  readonly add: (values: Values, ordinal: number, place: number, isAside?: boolean) => void
  /** Forgets the partitions that are no longer to be kept. */
  readonly keep: (isMine: (hash: number) => boolean) => void
  readonly compare: (
    session: Session,
    options: {
      readonly concurrency: number
      /** Also looks for what no record made. */
      readonly exact: boolean
      readonly onDifference: OnDifference
      readonly verdict: Verdict
    }
  ) => Effect.Effect<void, CassandraError>
}

/**
 * Fails with the reason for a statement whose result can't be told from its values alone.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  { params, query, table }: SinkStatement,
  initialIsMine: (hash: number) => boolean
): Result.Result<TableOracle, string> => {
  const parsed = CqlStatement.parse(query)
  if (Result.isFailure(parsed)) return Result.fail(parsed.failure.message)
  const { assignments, markers, timestamp, verb } = parsed.success
  if (timestamp !== null) {
    return Result.fail(
      "its rows bring write timestamps of their own, so the last record of a key need not be the one that won"
    )
  }
  if (verb === "DELETE" || assignments.some(({ kind, term }) => kind !== "replace" || term !== "marker")) {
    return Result.fail("only INSERT, and UPDATE with column = ? for each column, can be compared with a table")
  }
  const infos = new Map(table.columns.map((info) => [info.name, info]))
  const columns = (kinds: ReadonlyArray<ColumnInfo["kind"]>): ReadonlyArray<Column> =>
    table.columns.filter(({ kind }) => kinds.includes(kind)).flatMap(({ name, type }) => {
      const marker = markers.find(({ column, usage }) => column === name && (usage === "value" || usage === "key"))
      if (marker === undefined) return []
      const param = params[marker.index]!
      return {
        name,
        type: param.type,
        index: marker.index,
        encode: CqlValue.encoder(param.type),
        canonical: CqlValue.canonical(param.type),
        isMulticell: multicell(type)
      }
    })
  const partitionKey = columns(["partition_key"])
  const clustering = columns(["clustering"])
  const statics = columns(["static"])
  const regulars = columns(["regular"])
  const count = (kind: ColumnInfo["kind"]) => [...infos.values()].filter((info) => info.kind === kind).length
  if (partitionKey.length < count("partition_key") || clustering.length < count("clustering")) {
    return Result.fail("every column of the primary key needs a marker of its own (column = ?) to find its rows by")
  }

  const keyIndexes = partitionKey.map(({ index }) => index)
  const partitions = new Map<string, Partition>()
  let isMine = initialIsMine
  let bytes = 0

  const set = (cells: Cells, of: ReadonlyArray<Column>, values: Values, ordinal: number, place: number) => {
    for (let i = 0; i < of.length; i++) {
      const value = values[of[i]!.index]
      if (value === undefined) continue
      cells.values[i] = value
      cells.setBy[i] = ordinal
      cells.places[i] = place
      bytes += value?.length ?? 0
    }
  }

  const add: TableOracle["add"] = (values, ordinal, place, isAside = false) => {
    const hash = partitionHash(values, keyIndexes)
    if (!isMine(hash)) return
    const key = keyIndexes.map((index) => values[index]!)
    const text = keyText(key)
    let partition = partitions.get(text)
    if (partition === undefined) {
      partition = { hash, key, statics: emptyCells(statics.length), asideStatics: null, rows: new Map() }
      partitions.set(text, partition)
      bytes += overheadBytes + text.length * 2
    }
    const ofPartition = isAside ? partition.asideStatics ??= emptyCells(statics.length) : partition.statics
    set(ofPartition, statics, values, ordinal, place)
    const keys = keyText(clustering.map(({ index }) => values[index]!))
    let row = partition.rows.get(keys)
    if (row === undefined) {
      const cells = emptyCells(regulars.length)
      row = { cells, aside: null, isCertain: false, keys, lastPlace: place, isSeen: false }
      partition.rows.set(keys, row)
      bytes += overheadBytes + keys.length
    }
    if (!isAside) {
      row.lastPlace = place
      row.isCertain = true
    }
    set(isAside ? row.aside ??= emptyCells(regulars.length) : row.cells, regulars, values, ordinal, place)
  }

  const keep: TableOracle["keep"] = (next) => {
    isMine = next
    const before = partitions.size
    for (const [text, { hash }] of partitions) if (!next(hash)) partitions.delete(text)
    bytes = Math.floor(bytes * partitions.size / Math.max(1, before))
  }

  const cellColumns = [...regulars, ...statics]
  const selected = [
    ...clustering.map(({ name }, i) => `${identifier(name)} AS k${i}`),
    ...cellColumns.map(({ isMulticell, name }, i) =>
      `${identifier(name)} AS c${i}` + (isMulticell ? "" : `, WRITETIME(${identifier(name)}) AS w${i}`)
    )
  ]
  const from = `${identifier(table.keyspace)}.${identifier(table.name)}`
  const select =
    `SELECT ${selected.length === 0 ? partitionKey.map(({ name }) => identifier(name)) : selected.join(", ")}` +
    ` FROM ${from} WHERE ${partitionKey.map(({ name }) => `${identifier(name)} = ?`).join(" AND ")}`
  const selectKeys = `SELECT DISTINCT ${
    partitionKey.map(({ name }, i) => `${identifier(name)} AS k${i}`).join(", ")
  } FROM ${from}`

  /** The bytes of what the table has. An encoder takes NaN and the infinities as text alone, at any depth. */
  const bytesOf = ({ encode }: Column, value: unknown): Buffer | null => {
    if (value == null) return null
    if (typeof value === "number") return encode(Number.isFinite(value) ? value : String(value))
    try {
      return encode(value)
    } catch (error) {
      if (!(error instanceof CqlValue.CqlValueError)) throw error
      return encode(CqlText.ofValue(value))
    }
  }

  const isSame = (column: Column, expected: Buffer | null, found: Buffer | null): boolean => {
    const { canonical, isMulticell } = column
    // An empty collection that is not frozen is no value to the server.
    const wanted = isMulticell && expected !== null && expected.length === 4 && expected.readInt32BE(0) === 0
      ? null
      : expected
    if (wanted === null || found === null) return wanted === found
    const [a, b] = canonical === null ? [wanted, found] : [canonical(wanted), canonical(found)]
    if (a.equals(b)) return true
    // What came out of a row may have lost what JavaScript does not tell apart (-0 and 0 in a Set): so may this.
    const seen = bytesOf(column, CqlValue.decode(column.type, wanted))
    return seen !== null && (canonical === null ? seen : canonical(seen)).equals(b)
  }

  const compare: TableOracle["compare"] = (session, { concurrency, exact, onDifference, verdict }) => {
    const describeKey = (partition: Partition, keys: ReadonlyArray<Buffer | null>) =>
      [
        ...partitionKey.map((column, i) => [column, partition.key[i]!] as const),
        ...clustering.map((column, i) => [column, keys[i] ?? null] as const)
      ]
        .map(([column, value]) => `${column.name} ${show(column.type, value)}`).join(", ")

    const compareCells = (
      cells: Cells,
      aside: Cells | null,
      of: ReadonlyArray<Column>,
      offset: number,
      found: Row,
      key: () => string,
      times: Array<readonly [number, number, number]>
    ) => {
      for (let i = 0; i < of.length; i++) {
        const expected = cells.values[i]
        if (expected === undefined) continue
        const column = of[i]!
        verdict.cells++
        const there = bytesOf(column, found[`c${offset + i}`])
        if (!isSame(column, expected, there)) {
          const late = aside?.values[i]
          if (late !== undefined && isSame(column, late, there)) continue
          verdict.different++
          onDifference(
            cells.places[i]!,
            `column ${column.name} of the row ${key()}: it has ${show(column.type, expected)}, the table ` +
              show(column.type, there)
          )
          continue
        }
        const time = found[`w${offset + i}`]
        if (there !== null && time != null) times.push([cells.setBy[i]!, Number(time), cells.places[i]!])
      }
    }

    const comparePartition = Effect.fnUntraced(function*(partition: Partition) {
      const times: Array<readonly [setBy: number, time: number, place: number]> = []
      let isFirst = true
      const there = isPossible(partition.key) ? session.stream(select, partition.key) : Stream.empty
      yield* Stream.runForEachArray(there, (rows) =>
        Effect.sync(() => {
          for (const row of rows) {
            const keys = clustering.map((column, i) => bytesOf(column, row[`k${i}`]))
            const key = () => describeKey(partition, keys)
            if (isFirst) {
              isFirst = false
              compareCells(partition.statics, partition.asideStatics, statics, regulars.length, row, key, times)
            }
            // A partition of static columns alone has a row without a key.
            if (keys.some((part) => part === null)) continue
            const expected = partition.rows.get(keyText(keys as Array<Buffer>))
            if (expected === undefined) {
              if (exact) {
                verdict.unknown = (verdict.unknown ?? 0) + 1
                onDifference(null, `the row ${key()} is in the table, and no record makes it`)
              }
              continue
            }
            expected.isSeen = true
            compareCells(expected.cells, expected.aside, regulars, 0, row, key, times)
          }
        }))
      for (const row of partition.rows.values()) {
        if (!row.isCertain) continue
        verdict.rows++
        // An UPDATE that sets nothing makes no row.
        if (row.isSeen || (verb === "UPDATE" && row.cells.values.every((value) => value == null))) continue
        verdict.missing++
        onDifference(row.lastPlace, "its row is not in the table")
      }
      verdict.timed += times.length
      times.sort(([a], [b]) => a - b)
      for (let i = 1; i < times.length; i++) {
        const [before, earlier] = times[i - 1]!
        const [setBy, time, place] = times[i]!
        if (before === setBy ? earlier === time : earlier < time) continue
        verdict.unordered++
        onDifference(
          place,
          before === setBy
            ? `its cells have different write times (${earlier} and ${time}): another write set some of them`
            : `its write time ${time} is not after that of an earlier record of its partition (${earlier})`
        )
      }
    })

    const findUnknown = Stream.runForEachArray(session.stream(selectKeys), (rows) =>
      Effect.sync(() => {
        for (const row of rows) {
          const key = partitionKey.map((column, i) => bytesOf(column, row[`k${i}`])!)
          if (!isMine(partitionHash(key, key.map((_, i) => i))) || partitions.has(keyText(key))) continue
          verdict.unknown = (verdict.unknown ?? 0) + 1
          const shown = partitionKey.map(({ name, type }, i) => `${name} ${show(type, key[i])}`).join(", ")
          onDifference(null, `the partition ${shown} is in the table, and no record makes a row of it`)
        }
      }))

    return Effect.andThen(
      Effect.forEach(partitions.values(), comparePartition, { concurrency, discard: true }),
      exact ? findUnknown : Effect.void
    )
  }

  return Result.succeed({ bytes: () => bytes, add, keep, compare })
}
