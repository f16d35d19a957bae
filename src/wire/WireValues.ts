/**
 * Values as the native protocol v4 has them, and the log too: 4 bytes length (big endian, signed; -1 null, -2 unset), then
 * the bytes. Plain code for plain loops.
 *
 * @since 0.1.0
 */

const two32 = 0x1_0000_0000

/**
 * A microsecond timestamp fits a double exactly until the year 2255, so plain numbers are used and no BigInt is made per row.
 *
 * @category combinators
 * @since 0.1.0
 */
export const writeInt64 = (buffer: Buffer, value: number, offset: number): void => {
  const high = Math.floor(value / two32)
  buffer.writeInt32BE(high, offset)
  buffer.writeUInt32BE(value - high * two32, offset + 4)
}

/**
 * @category combinators
 * @since 0.1.0
 */
export const readInt64 = (buffer: Buffer, offset: number): number =>
  buffer.readInt32BE(offset) * two32 + buffer.readUInt32BE(offset + 4)

/**
 * Where value number `index` of those from `from` on begins, with its length.
 *
 * @category combinators
 * @since 0.1.0
 */
export const valueOffset = (bytes: Buffer, from: number, index: number): number => {
  let at = from
  for (let i = 0; i < index; i++) {
    const length = bytes.readInt32BE(at)
    at += length > 0 ? 4 + length : 4
  }
  return at
}

/**
 * The values between `from` and `to` as views on `bytes`; `undefined` is unset.
 *
 * @category combinators
 * @since 0.1.0
 */
export const valuesOf = (bytes: Buffer, from: number, to: number): Array<Buffer | null | undefined> => {
  const values: Array<Buffer | null | undefined> = []
  for (let at = from; at < to;) {
    const length = bytes.readInt32BE(at)
    at += 4
    if (length < 0) {
      values.push(length === -1 ? null : undefined)
      continue
    }
    values.push(bytes.subarray(at, at + length))
    at += length
  }
  return values
}

/** FNV-1a, 32 bits: a key has some ten bytes, for which a call of native code costs more than this loop. */
const prime = 0x0100_0193
export const hashSeed = 0x811c_9dc5 | 0

/**
 * Goes on from `seed`, which is `hashSeed` for the first bytes.
 *
 * @category combinators
 * @since 0.1.0
 */
export const hashBytes = (bytes: Buffer, from: number, to: number, seed: number): number => {
  let hash = seed
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ bytes[i]!, prime)
  return hash
}

/**
 * A number from 0 that is the same for all rows whose values with these indexes are the same: which makes a partition.
 * (Two partitions with the same number only share a subtask or a batch.)
 *
 * @category combinators
 * @since 0.1.0
 */
export const partitionHash = (bytes: Buffer, from: number, keys: ReadonlyArray<number>): number => {
  let hash = hashSeed
  for (let i = 0; i < keys.length; i++) {
    const at = valueOffset(bytes, from, keys[i]!)
    const length = bytes.readInt32BE(at)
    if (length > 0) hash = hashBytes(bytes, at + 4, at + 4 + length, hash)
  }
  return hash >>> 0
}
