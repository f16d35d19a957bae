/**
 * The token of a partition key, as Cassandra's Murmur3Partitioner has it: the first 64 bits of MurmurHash3 x64/128 with its
 * own reading of the last bytes, which it takes for signed (`org.apache.cassandra.utils.MurmurHash.hash3_x64_128`).
 *
 * The driver has the same in 16-bit pieces, as objects, which takes some five times as long; and a token is wanted for each row.
 *
 * @since 0.1.0
 */

/** The upper and the lower half of what the last function gave. */
let high = 0
let low = 0

const give = (h: number, l: number): void => {
  high = h
  low = l
}

const multiply = (ah: number, al: number, bh: number, bl: number): void => {
  const a0 = al & 0xffff
  const a1 = al >>> 16
  const b0 = bl & 0xffff
  const b1 = bl >>> 16
  const middle1 = Math.imul(a0, b1) >>> 0
  const middle2 = Math.imul(a1, b0) >>> 0
  const carry = ((Math.imul(a0, b0) >>> 16) + (middle1 & 0xffff) + (middle2 & 0xffff)) >>> 16
  give(
    (Math.imul(a1, b1) + (middle1 >>> 16) + (middle2 >>> 16) + carry + Math.imul(ah, bl) + Math.imul(al, bh)) | 0,
    Math.imul(al, bl)
  )
}

const add = (ah: number, al: number, bh: number, bl: number): void => {
  const l = (al >>> 0) + (bl >>> 0)
  give((ah + bh + (l > 0xffff_ffff ? 1 : 0)) | 0, l | 0)
}

/** By 1 to 63 bits, but not 32. */
const rotate = (h: number, l: number, bits: number): void => {
  if (bits < 32) give((h << bits) | (l >>> (32 - bits)), (l << bits) | (h >>> (32 - bits)))
  else give((l << (bits - 32)) | (h >>> (64 - bits)), (h << (bits - 32)) | (l >>> (64 - bits)))
}

const mix = (h: number, l: number): void => {
  multiply(h, l ^ (h >>> 1), 0xff51afd7 | 0, 0xed558ccd | 0)
  multiply(high, low ^ (high >>> 1), 0xc4ceb9fe | 0, 0x1a85ec53 | 0)
  low ^= high >>> 1
}

const c1h = 0x87c37b91 | 0
const c1l = 0x114253d5
const c2h = 0x4cf5ad43
const c2l = 0x2745937f

/** What a block's first half is mixed into the first half of the state with; likewise the second. */
const mixFirst = (h: number, l: number): void => {
  multiply(h, l, c1h, c1l)
  rotate(high, low, 31)
  multiply(high, low, c2h, c2l)
}

const mixSecond = (h: number, l: number): void => {
  multiply(h, l, c2h, c2l)
  rotate(high, low, 33)
  multiply(high, low, c1h, c1l)
}

/** Little endian, sign and all: the bytes from `from` to `to`, at most 8. */
const signedBytes = (bytes: Buffer, from: number, to: number): void => {
  let h = 0
  let l = 0
  for (let i = from; i < to; i++) {
    const byte = (bytes[i]! << 24) >> 24
    const shift = (i - from) * 8
    if (shift >= 32) h ^= byte << (shift - 32)
    else {
      l ^= byte << shift
      h ^= byte >> (shift === 0 ? 31 : 32 - shift)
    }
  }
  give(h, l)
}

/**
 * The upper half of the token of the key that lies from `from` (in) to `to` (out), a signed 32-bit number; `lowHalf` has
 * the other one until the next call.
 *
 * @category combinators
 * @since 0.1.0
 */
export const highHalf = (bytes: Buffer, from: number, to: number): number => {
  const length = to - from
  const blocks = from + (length & ~15)
  let h1h = 0
  let h1l = 0
  let h2h = 0
  let h2l = 0
  for (let at = from; at < blocks; at += 16) {
    mixFirst(bytes.readInt32LE(at + 4), bytes.readInt32LE(at))
    rotate(h1h ^ high, h1l ^ low, 27)
    add(high, low, h2h, h2l)
    multiply(high, low, 0, 5)
    add(high, low, 0, 0x52dce729)
    h1h = high
    h1l = low
    mixSecond(bytes.readInt32LE(at + 12), bytes.readInt32LE(at + 8))
    rotate(h2h ^ high, h2l ^ low, 31)
    add(high, low, h1h, h1l)
    multiply(high, low, 0, 5)
    add(high, low, 0, 0x38495ab5)
    h2h = high
    h2l = low
  }
  if (to > blocks + 8) {
    signedBytes(bytes, blocks + 8, to)
    mixSecond(high, low)
    h2h ^= high
    h2l ^= low
  }
  if (to > blocks) {
    signedBytes(bytes, blocks, Math.min(to, blocks + 8))
    mixFirst(high, low)
    h1h ^= high
    h1l ^= low
  }
  h1l ^= length
  h2l ^= length
  add(h1h, h1l, h2h, h2l)
  h1h = high
  h1l = low
  add(h2h, h2l, h1h, h1l)
  mix(high, low)
  h2h = high
  h2l = low
  mix(h1h, h1l)
  add(high, low, h2h, h2l)
  return high
}

/**
 * The lower half of the token that `highHalf` was last asked for, without a sign.
 *
 * @category getters
 * @since 0.1.0
 */
export const lowHalf = (): number => low >>> 0
