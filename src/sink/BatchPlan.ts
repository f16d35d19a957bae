/**
 * How rows become requests: unlogged batches, of one partition where several rows share one, else of a few partitions on the
 * same nodes, within the bounds that the server's warnings draw. The order of requests does not matter: each row has its timestamp.
 *
 * So rows are sent in the order of their tokens, in which a server keeps them: what it looks for lies beside what it has just
 * found, and it needs a fifth less time for a row. As all of them would then be for one node and, in it, one place, the sorted
 * rows are cut into stripes, and requests are taken from these in turn.
 *
 * @since 0.1.0
 */
import type { ReplicaSets } from "../cassandra/ReplicaSets.ts"
import type { LoggedRow } from "../state/RowFrame.ts"
import * as PartitionToken from "../wire/PartitionToken.ts"
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

/**
 * Rows on their way into requests, which are made when they are asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface BatchPlan {
  /** The next one; null when every row is in one. */
  readonly next: () => Request | null
}

/** A batch of several partitions that is not full yet. */
interface Mixed extends Request {
  readonly rows: Array<LoggedRow>
  bytes: number
  partitions: number
}

/** Enough that the requests under way are for all nodes of a small cluster, and for more than one core of each. */
const stripesMax = 16
/** Each leaves a batch that is not full. */
const stripeRowsMin = 1000

/**
 * All of `rows`, which are of one statement, in requests. `keys` are the values that make the partition key (empty: unknown,
 * one request a row). With `replicaSets` the rows of a batch are all of one set. `many` are the values that become several
 * cells.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  rows: ReadonlyArray<LoggedRow>,
  keys: ReadonlyArray<number>,
  bounds: BatchBounds = defaultBounds,
  replicaSets: ReplicaSets | null = null,
  many: ReadonlyArray<ManyCells> = []
): BatchPlan => {
  if (keys.length === 0) {
    let i = 0
    return {
      next: () => {
        const row = rows[i++]
        return row === undefined ? null : { rows: [row], bytes: ServerSize.ofRow(row, many) }
      }
    }
  }
  const sorted = sortByToken(rows, keys, replicaSets, many)
  const stripes = stripesOf(sorted).map(([from, to]) => stripe(rows, sorted, from, to, bounds))
  let turn = 0
  return {
    next: () => {
      while (stripes.length > 0) {
        if (turn >= stripes.length) turn = 0
        const request = stripes[turn]!()
        if (request !== null) {
          turn++
          return request
        }
        stripes.splice(turn, 1)
      }
      return null
    }
  }
}

/** The rows of a plan in the order of their tokens; those of one partition stay in the order of the input. */
interface Sorted {
  /** Where each stands in the input. */
  readonly order: Int32Array
  /** 1 where a partition begins. */
  readonly isFirst: Uint8Array
  /** The size of each row in the input, on the server. */
  readonly sizes: Int32Array
  /** The set of each row in the input; null if there is only one. */
  readonly sets: Int32Array | null
}

/** Bits of an integer that a double holds exactly. */
const exactBits = 53

/**
 * One number for each row, so that they are sorted by native code: the upper bits of its token, 32 of them or more, and behind them
 * where it stands in the input.
 */
const sortByToken = (
  rows: ReadonlyArray<LoggedRow>,
  keys: ReadonlyArray<number>,
  replicaSets: ReplicaSets | null,
  many: ReadonlyArray<ManyCells>
): Sorted => {
  const rowBits = Math.ceil(Math.log2(rows.length + 1))
  const rowUnit = 2 ** rowBits
  const lowBits = Math.max(0, exactBits - 32 - rowBits)
  const highUnit = 2 ** lowBits
  const lowUnit = 2 ** (32 - lowBits)
  const numbers = new Float64Array(rows.length)
  const sizes = new Int32Array(rows.length)
  const sets = replicaSets === null ? null : new Int32Array(rows.length)
  // All that is asked of a row, while it is in the processor's cache: in the other order each is far from the one before.
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    sizes[i] = ServerSize.ofRow(row, many)
    const high = PartitionToken.highHalf(row.bytes, row.from, keys)
    const low = PartitionToken.lowHalf()
    numbers[i] = ((high + 0x8000_0000) * highUnit + Math.floor(low / lowUnit)) * rowUnit + i
    if (replicaSets !== null) sets![i] = replicaSets.setOf(high, low)
  }
  numbers.sort()
  const order = new Int32Array(rows.length)
  const isFirst = new Uint8Array(rows.length)
  let last = -1
  for (let i = 0; i < rows.length; i++) {
    const token = Math.floor(numbers[i]! / rowUnit)
    order[i] = numbers[i]! - token * rowUnit
    if (token !== last) isFirst[i] = 1
    last = token
  }
  return { order, isFirst, sizes, sets }
}

/** Where they begin and end; none begins within a partition. */
const stripesOf = ({ isFirst }: Sorted): Array<readonly [number, number]> => {
  const rows = isFirst.length
  const count = Math.max(1, Math.min(stripesMax, Math.floor(rows / stripeRowsMin)))
  const stripes: Array<readonly [number, number]> = []
  let from = 0
  for (let i = 1; i <= count; i++) {
    let to = Math.max(from, Math.floor(rows * i / count))
    while (to < rows && isFirst[to] === 0) to++
    if (to > from) stripes.push([from, to])
    from = to
  }
  return stripes
}

/** The requests of the sorted rows from `from` (in) to `to` (out), one after another. */
const stripe = (
  rows: ReadonlyArray<LoggedRow>,
  { isFirst, order, sets, sizes }: Sorted,
  from: number,
  to: number,
  bounds: BatchBounds
): () => Request | null => {
  const { mixedBytesMax, partitionBytesMax, partitionRowsMax, partitionsMax } = bounds
  const open: Array<Mixed | undefined> = []
  let at = from
  /** The open batches with a lower number were handed out, when all rows were looked at. */
  let left = 0

  const take = (begin: number, end: number, into: Array<LoggedRow>): void => {
    for (let i = begin; i < end; i++) into.push(rows[order[i]!]!)
  }

  return () => {
    while (at < to) {
      // As many rows of one partition as go together.
      const begin = at
      let bytes = sizes[order[begin]!]!
      let isFull = false
      at++
      while (at < to && isFirst[at] === 0) {
        const more = sizes[order[at]!]!
        isFull = at - begin >= partitionRowsMax || bytes + more > partitionBytesMax
        if (isFull) break
        bytes += more
        at++
      }
      // What would fill half a mixed batch by itself goes alone.
      if (isFull || (at - begin > 1 && bytes * 2 > mixedBytesMax)) {
        const own: Array<LoggedRow> = []
        take(begin, at, own)
        return { rows: own, bytes }
      }
      const set = sets === null ? 0 : sets[order[begin]!]!
      const before = open[set]
      if (
        before !== undefined && before.partitions < partitionsMax && before.bytes + bytes <= mixedBytesMax
      ) {
        take(begin, at, before.rows)
        before.bytes += bytes
        before.partitions++
        continue
      }
      const mixed: Mixed = { rows: [], bytes, partitions: 1 }
      take(begin, at, mixed.rows)
      open[set] = mixed
      if (before !== undefined) return before
    }
    while (left < open.length) {
      const mixed = open[left++]
      if (mixed !== undefined) return mixed
    }
    return null
  }
}
