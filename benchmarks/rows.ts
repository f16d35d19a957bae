/**
 * The rows that every contender writes: the same for all, computed from their index alone, so that nobody needs to be
 * trusted with them and each table can be checked against them afterwards.
 *
 * `unique` has a partition for each row. `shared` has 100 rows in each partition; they do not arrive one partition after
 * another, but as if 50 devices reported in turn.
 */
import * as Fs from "node:fs"

export type Shape = "unique" | "shared"

export interface Workload {
  /** `unique-100`, `shared-1k`, ... */
  readonly name: string
  readonly shape: Shape
  /** Bytes of a row's values. */
  readonly rowBytes: number
}

export const rowsInPartition = 100
const partitionsAtOnce = 50

/** An id (bigint), a kind (int), a value (double) and, in `shared`, a position (int) go before the payload. */
const fixedBytes = (shape: Shape): number => shape === "unique" ? 20 : 24

export const payloadBytes = ({ rowBytes, shape }: Workload): number => rowBytes - fixedBytes(shape)

const sizes: ReadonlyArray<readonly [name: string, bytes: number]> = [["100", 100], ["1k", 1024], ["10k", 10_240]]

export const workloads: ReadonlyArray<Workload> = sizes.flatMap(([size, rowBytes]) =>
  (["unique", "shared"] as const).map((shape) => ({ name: `${shape}-${size}`, shape, rowBytes }))
)

/** `--rows` is for rows of up to 1 KiB; larger ones are fewer, so that the bytes stay bounded. */
export const rowCount = ({ rowBytes }: Workload, rows: number): number =>
  rowBytes <= 1024 ? rows : Math.max(1, Math.floor(rows * 1024 / rowBytes))

export const columns = (shape: Shape): ReadonlyArray<string> =>
  shape === "unique" ? ["id", "kind", "value", "payload"] : ["id", "pos", "kind", "value", "payload"]

export const tableColumns = (shape: Shape): string =>
  shape === "unique"
    ? "id bigint PRIMARY KEY, kind int, value double, payload text"
    : "id bigint, pos int, kind int, value double, payload text, PRIMARY KEY (id, pos)"

export const insertInto = (table: string, shape: Shape): string =>
  `INSERT INTO ${table} (${columns(shape).join(", ")}) VALUES (${columns(shape).map(() => "?").join(", ")})`

/** Printable ASCII without quotes, backslashes or commas, by a linear congruential generator (peers/java has the same). */
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
const textLength = 64 * 1024

const makeText = (): string => {
  let state = 42
  let text = ""
  for (let i = 0; i < textLength; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    text += alphabet[(state >>> 16) & 63]
  }
  return text
}

export interface BenchRow {
  readonly id: number
  readonly pos: number
  readonly kind: number
  readonly value: number
  readonly payload: string
}

/** The row with index `i`. */
export type RowAt = (i: number) => BenchRow

export const makeRowAt = (workload: Workload): RowAt => {
  const text = makeText()
  const length = payloadBytes(workload)
  const range = textLength - length
  const isShared = workload.shape === "shared"
  const block = partitionsAtOnce * rowsInPartition
  return (i) => {
    const from = (i * 7919) % range
    const inBlock = i % block
    return {
      id: isShared ? (i - inBlock) / rowsInPartition + inBlock % partitionsAtOnce : i,
      pos: isShared ? Math.floor(inBlock / partitionsAtOnce) : 0,
      kind: i % 1000,
      value: i / 2,
      payload: text.slice(from, from + length)
    }
  }
}

/** The index of the row with this key: the inverse of `makeRowAt`. */
export const indexOf = (shape: Shape, id: number, pos: number): number => {
  if (shape === "unique") return id
  const partition = id % partitionsAtOnce
  return (id - partition) * rowsInPartition + pos * partitionsAtOnce + partition
}

/** Values in the order of `columns`. */
export const valuesOf = (shape: Shape, row: BenchRow): Array<unknown> =>
  shape === "unique"
    ? [row.id, row.kind, row.value, row.payload]
    : [row.id, row.pos, row.kind, row.value, row.payload]

/** Starts anew each time it is iterated. */
export const iterate = (workload: Workload, from: number, to: number): Iterable<BenchRow> => ({
  *[Symbol.iterator]() {
    const rowAt = makeRowAt(workload)
    for (let i = from; i < to; i++) yield rowAt(i)
  }
})

/** Both formats hold the table's columns and nothing else. */
const formats = {
  ndjson: {
    header: () => "",
    line: (shape: Shape) => {
      const names = columns(shape)
      return (row: BenchRow) =>
        JSON.stringify(Object.fromEntries(names.map((name) => [name, row[name as keyof BenchRow]])))
    }
  },
  csv: {
    header: (shape: Shape) => `${columns(shape).join(",")}\n`,
    line: (shape: Shape) => (row: BenchRow) => valuesOf(shape, row).join(",")
  }
}

export const writeFile = (
  path: string,
  format: keyof typeof formats,
  workload: Workload,
  count: number
): void => {
  const { header, line } = formats[format]
  const rowAt = makeRowAt(workload)
  const toLine = line(workload.shape)
  const temporary = `${path}.${process.pid}.tmp`
  const file = Fs.openSync(temporary, "w")
  Fs.writeSync(file, header(workload.shape))
  let lines: Array<string> = []
  for (let i = 0; i < count; i++) {
    lines.push(toLine(rowAt(i)))
    if (lines.length === 1024 || i === count - 1) {
      Fs.writeSync(file, `${lines.join("\n")}\n`)
      lines = []
    }
  }
  Fs.closeSync(file)
  Fs.renameSync(temporary, path)
}
