/**
 * Which rows lie on the same nodes: what they share a request by on a cluster where not every node has every row. Any of
 * these nodes then writes all of them itself, and sends none on.
 *
 * @since 0.1.0
 */

/**
 * Where the tokens of one keyspace lie, as numbers from 0 for each set of nodes of the session's own data centre.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReplicaSets {
  /** How many there are, at least two. */
  readonly count: number
  /** The set that has a token: its halves, the upper one signed, the lower one without a sign (`wire/PartitionToken`). */
  readonly setOf: (high: number, low: number) => number
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
    setOf: (high, low) => {
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
