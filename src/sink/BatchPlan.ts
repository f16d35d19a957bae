/**
 * How rows become requests: unlogged batches, of one partition where several rows share one, else of a few partitions,
 * within the bounds that the server's warnings draw. The order of requests does not matter: each row has its timestamp.
 *
 * @since 0.1.0
 */
import type { LoggedRow } from "../state/RowFrame.ts"
import { partitionHash } from "../wire/WireValues.ts"

/**
 * How large a batch may become.
 *
 * @category models
 * @since 0.1.0
 */
export interface BatchBounds {
  /** Rows in a batch of one partition. */
  readonly partitionRowsMax: number
  /** Estimated bytes of a batch of one partition, on which the server sets no warning. */
  readonly partitionBytesMax: number
  /** Partitions in a batch of several; the server warns beyond 10. */
  readonly partitionsMax: number
  /** Estimated bytes of a batch of several partitions; the server warns beyond 5 KiB. */
  readonly mixedBytesMax: number
}

/**
 * A little below where a Cassandra with its default settings warns.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultBounds: BatchBounds = {
  partitionRowsMax: 100,
  partitionBytesMax: 32 * 1024,
  partitionsMax: 10,
  mixedBytesMax: 4 * 1024
}

/**
 * Rows that go in one request; `bytes` is their estimated size on the server.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  readonly rows: Array<LoggedRow>
  readonly bytes: number
}

/**
 * What a row counts on the server, in bytes: keys, values, and for each cell its timestamp and flags. This is a little
 * above it. `wireBytes` are those of all values with their lengths before them, as in a frame.
 *
 * @category combinators
 * @since 0.1.0
 */
export const estimateBytes = (valueCount: number, wireBytes: number): number => 48 + 12 * valueCount + wireBytes

const estimate = ({ from, to, valueCount }: LoggedRow): number => estimateBytes(valueCount, to - from)

interface Group {
  readonly rows: Array<LoggedRow>
  bytes: number
}

/**
 * All of `rows` in requests. `keys` are the values that make the partition key (empty: unknown, one request a row).
 *
 * @category combinators
 * @since 0.1.0
 */
export const plan = (
  rows: ReadonlyArray<LoggedRow>,
  keys: ReadonlyArray<number>,
  bounds: BatchBounds = defaultBounds
): Array<Request> => {
  const requests: Array<Request> = []
  if (keys.length === 0) {
    for (const row of rows) requests.push({ rows: [row], bytes: estimate(row) })
    return requests
  }
  const open = new Map<number, Group>()
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    const bytes = estimate(row)
    const hash = partitionHash(row.bytes, row.from, keys)
    const group = open.get(hash)
    if (group === undefined) {
      open.set(hash, { rows: [row], bytes })
    } else if (group.rows.length >= bounds.partitionRowsMax || group.bytes + bytes > bounds.partitionBytesMax) {
      requests.push(group)
      open.set(hash, { rows: [row], bytes })
    } else {
      group.rows.push(row)
      group.bytes += bytes
    }
  }
  let mixed: Group = { rows: [], bytes: 0 }
  let partitions = 0
  for (const group of open.values()) {
    // A group that would fill half a mixed batch by itself goes alone.
    if (group.rows.length > 1 && group.bytes * 2 > bounds.mixedBytesMax) {
      requests.push(group)
      continue
    }
    if (partitions >= bounds.partitionsMax || (partitions > 0 && mixed.bytes + group.bytes > bounds.mixedBytesMax)) {
      requests.push(mixed)
      mixed = { rows: [], bytes: 0 }
      partitions = 0
    }
    for (const row of group.rows) mixed.rows.push(row)
    mixed.bytes += group.bytes
    partitions++
  }
  if (partitions > 0) requests.push(mixed)
  return requests
}
