/**
 * How rows become requests: unlogged batches, of one partition where several rows share one, else of a few partitions on the
 * same nodes, within the bounds that the server's warnings draw. The order of requests does not matter: each row has its timestamp.
 *
 * @since 0.1.0
 */
import type { ReplicaSets } from "../cassandra/ReplicaSets.ts"
import type { LoggedRow } from "../state/RowFrame.ts"
import { partitionHash } from "../wire/WireValues.ts"
import type { ManyCells } from "./ServerSize.ts"
import * as ServerSize from "./ServerSize.ts"

/**
 * How large a batch may become.
 *
 * @category models
 * @since 0.1.0
 */
export interface BatchBounds {
  /** Rows in a batch of one partition. */
  readonly partitionRowsMax: number
  /** Bytes of a batch of one partition, of which the server does not warn. */
  readonly partitionBytesMax: number
  /** Partitions in a batch of several; the server warns beyond 10. */
  readonly partitionsMax: number
  /** Bytes of a batch of several partitions as the server counts them (`ServerSize`); it warns beyond 5 KiB. */
  readonly mixedBytesMax: number
}

/**
 * No more than a Cassandra with its default settings takes without a warning.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultBounds: BatchBounds = {
  partitionRowsMax: 100,
  partitionBytesMax: 32 * 1024,
  partitionsMax: 10,
  mixedBytesMax: 5 * 1024
}

/**
 * Rows that go in one request; `bytes` is their size on the server, or a little more.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  readonly rows: ReadonlyArray<LoggedRow>
  readonly bytes: number
}

/** Makes no object for a partition: most of them have one row, and there are as many as rows. */
class Groups {
  /** Index of a group by hash, open addressing; -1 is free. */
  private slots = new Int32Array(0)
  private hashes = new Uint32Array(0)
  /** Of each group its rows as a chain: the first, the last, how many, their estimated bytes. */
  private first = new Int32Array(0)
  private last = new Int32Array(0)
  count = new Int32Array(0)
  bytes = new Float64Array(0)
  /** The next row of the same group. */
  private next = new Int32Array(0)
  length = 0

  /** For at most so many rows. */
  clear(rows: number): void {
    this.length = 0
    if (rows > this.next.length) {
      const size = 2 ** Math.ceil(Math.log2(rows))
      this.hashes = new Uint32Array(size)
      this.first = new Int32Array(size)
      this.last = new Int32Array(size)
      this.count = new Int32Array(size)
      this.bytes = new Float64Array(size)
      this.next = new Int32Array(size)
      this.slots = new Int32Array(2 * size)
    }
    this.slots.fill(-1)
  }

  /** The group of this hash; a new one is empty. */
  of(hash: number): number {
    const mask = this.slots.length - 1
    let slot = hash & mask
    while (true) {
      const group = this.slots[slot]!
      if (group === -1) break
      if (this.hashes[group] === hash) return group
      slot = (slot + 1) & mask
    }
    const group = this.length++
    this.slots[slot] = group
    this.hashes[group] = hash
    this.empty(group)
    return group
  }

  empty(group: number): void {
    this.count[group] = 0
    this.bytes[group] = 0
  }

  add(group: number, row: number, bytes: number): void {
    if (this.count[group] === 0) this.first[group] = row
    else this.next[this.last[group]!] = row
    this.last[group] = row
    this.count[group]!++
    this.bytes[group]! += bytes
  }

  firstOf(group: number): number {
    return this.first[group]!
  }

  /** Appends the rows of a group, in their order. */
  take(group: number, rows: ReadonlyArray<LoggedRow>, into: Array<LoggedRow>): void {
    let row = this.first[group]!
    for (let left = this.count[group]!; left > 0; left--) {
      into.push(rows[row]!)
      row = this.next[row]!
    }
  }
}

/** Used by one call at a time: `plan` does not wait for anything. */
const groups = new Groups()

/**
 * The rows of each statement, in order: those of different ones never share a request.
 *
 * @category combinators
 * @since 0.1.0
 */
export const byStatement = (rows: ReadonlyArray<LoggedRow>, statements: number): Array<Array<LoggedRow>> => {
  const parts = Array.from({ length: statements }, (): Array<LoggedRow> => [])
  for (let i = 0; i < rows.length; i++) parts[rows[i]!.statement]!.push(rows[i]!)
  return parts
}

/** Of the nodes that have a row. */
const setOf = (replicaSets: ReplicaSets, { bytes, from }: LoggedRow, keys: ReadonlyArray<number>): number =>
  replicaSets.setOf(bytes, from, keys)

/** A batch of several partitions that is not full yet. */
interface Mixed extends Request {
  readonly rows: Array<LoggedRow>
  bytes: number
  partitions: number
}

/**
 * All of `rows`, which are of one statement, in requests. `keys` are the values that make the partition key (empty: unknown,
 * one request a row). With `replicaSets` the rows of a batch are all of one set. `many` are the values that become several
 * cells.
 *
 * @category combinators
 * @since 0.1.0
 */
export const plan = (
  rows: ReadonlyArray<LoggedRow>,
  keys: ReadonlyArray<number>,
  bounds: BatchBounds = defaultBounds,
  replicaSets: ReplicaSets | null = null,
  many: ReadonlyArray<ManyCells> = []
): Array<Request> => {
  const requests: Array<Request> = []
  if (keys.length === 0) {
    for (const row of rows) requests.push({ rows: [row], bytes: ServerSize.ofRow(row, many) })
    return requests
  }
  groups.clear(rows.length)
  const request = (group: number): Request => {
    const own: Array<LoggedRow> = []
    groups.take(group, rows, own)
    return { rows: own, bytes: groups.bytes[group]! }
  }
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    const bytes = ServerSize.ofRow(row, many)
    const group = groups.of(partitionHash(row.bytes, row.from, keys))
    const count = groups.count[group]!
    if (count >= bounds.partitionRowsMax || (count > 0 && groups.bytes[group]! + bytes > bounds.partitionBytesMax)) {
      requests.push(request(group))
      groups.empty(group)
    }
    groups.add(group, i, bytes)
  }
  const open: Array<Mixed | undefined> = []
  for (let group = 0; group < groups.length; group++) {
    const bytes = groups.bytes[group]!
    // A group that would fill half a mixed batch by itself goes alone.
    if (groups.count[group]! > 1 && bytes * 2 > bounds.mixedBytesMax) {
      requests.push(request(group))
      continue
    }
    const set = replicaSets === null ? 0 : setOf(replicaSets, rows[groups.firstOf(group)]!, keys)
    let mixed = open[set]
    if (
      mixed !== undefined &&
      (mixed.partitions >= bounds.partitionsMax || mixed.bytes + bytes > bounds.mixedBytesMax)
    ) {
      requests.push(mixed)
      mixed = undefined
    }
    mixed ??= open[set] = { rows: [], bytes: 0, partitions: 0 }
    groups.take(group, rows, mixed.rows)
    mixed.bytes += bytes
    mixed.partitions++
  }
  for (const mixed of open) if (mixed !== undefined) requests.push(mixed)
  return requests
}
