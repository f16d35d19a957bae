/**
 * The token of a row: where its partition lies on the ring. Two partitions with the same token are as good as one here.
 *
 * @since 0.1.0
 */
import * as MurmurToken from "./MurmurToken.ts"
import { valueOffset } from "./WireValues.ts"

/** The key of several columns, put together: each value with its length before it and a zero behind it. */
let composed = Buffer.alloc(256)

/**
 * The upper half of the token, a signed 32-bit number, of the row whose values begin at `from`, each with its length before it
 * as `WireValues` tells. `keys` are the indexes of those that make the partition key, in its order.
 *
 * @category combinators
 * @since 0.1.0
 */
export const highHalf = (bytes: Buffer, from: number, keys: ReadonlyArray<number>): number => {
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
 * The lower half of the token that `highHalf` was last asked for, without a sign.
 *
 * @category getters
 * @since 0.1.0
 */
export const lowHalf = MurmurToken.lowHalf
