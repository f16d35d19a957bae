/**
 * Which rows lie on the same nodes: what they share a request by on a cluster where not every node has every row. Any of
 * these nodes then writes all of them itself, and sends none on.
 *
 * @since 0.1.0
 */
import * as MurmurToken from "../wire/MurmurToken.ts"
import { valueOffset } from "../wire/WireValues.ts"

/**
 * Where the tokens of one keyspace lie, as numbers from 0 for each set of nodes of the session's own data centre.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReplicaSets {
  /** How many there are, at least two. */
  readonly count: number
  /**
   * The set of the row whose values begin at `from`, each with its length before it as `WireValues` tells. `keys` are the
   * indexes of those that make the partition key, in its order.
   */
  readonly setOf: (bytes: Buffer, from: number, keys: ReadonlyArray<number>) => number
}

/**
 * The last token of a range, halves of a signed 64-bit number (the lower one without a sign), and the number of the set of
 * nodes that have the range.
 *
 * @category models
 * @since 0.1.0
 */
export interface RangeEnd {
  readonly high: number
  readonly low: number
  readonly set: number
}

/** The key of several columns, put together: each value with its length before it and a zero behind it. */
let composed = Buffer.alloc(256)

const tokenOf = (bytes: Buffer, from: number, keys: ReadonlyArray<number>): number => {
  if (keys.length === 1) {
    const at = valueOffset(bytes, from, keys[0]!)
    return MurmurToken.highHalf(bytes, at + 4, at + 4 + Math.max(0, bytes.readInt32BE(at)))
  }
  let length = 0
  for (let i = 0; i < keys.length; i++) {
    const at = valueOffset(bytes, from, keys[i]!)
    const size = Math.max(0, bytes.readInt32BE(at))
    if (length + size + 3 > composed.length) {
      const longer = Buffer.alloc(2 * (length + size + 3))
      composed.copy(longer, 0, 0, length)
      composed = longer
    }
    composed.writeUInt16BE(size & 0xffff, length)
    bytes.copy(composed, length + 2, at + 4, at + 4 + size)
    composed[length + 2 + size] = 0
    length += size + 3
  }
  return MurmurToken.highHalf(composed, 0, length)
}

/**
 * From the ends of all ranges of a ring of the Murmur3Partitioner, in ascending order. Null where all nodes have all rows.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (ends: ReadonlyArray<RangeEnd>): ReplicaSets | null => {
  const sets = Int32Array.from(ends, ({ set }) => set)
  const count = new Set(sets).size
  if (count < 2) return null
  const highs = Int32Array.from(ends, ({ high }) => high)
  const lows = Uint32Array.from(ends, ({ low }) => low)
  return {
    count,
    setOf: (bytes, from, keys) => {
      const high = tokenOf(bytes, from, keys)
      const low = MurmurToken.lowHalf()
      // The first range that does not end before the token; behind the last one the ring begins again.
      let least = 0
      let behind = highs.length
      while (least < behind) {
        const middle = (least + behind) >>> 1
        const isBefore = highs[middle]! < high || (highs[middle] === high && lows[middle]! < low)
        if (isBefore) least = middle + 1
        else behind = middle
      }
      return sets[least === highs.length ? 0 : least]!
    }
  }
}
