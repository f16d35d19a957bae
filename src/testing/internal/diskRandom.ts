/**
 * The only source of chance of a simulated disk: same seed, same disk.
 */

/** A number in [0, 1). */
export type Random = () => number

/** mulberry32: 32 bits of state are enough to choose faults with, and a draw costs a few nanoseconds. */
export const makeRandom = (seed: number): Random => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

/** From a seed, or a source of one's own. */
export const randomFrom = (source: number | Random | undefined, fallback: () => Random): Random =>
  source === undefined ? fallback() : typeof source === "number" ? makeRandom(source) : source

/** An integer from 0 to `below`, exclusive. */
export const below = (random: Random, limit: number): number => Math.floor(random() * limit)

export const chance = (random: Random, probability: number): boolean => random() < probability

/** In place. */
export const shuffle = <A>(random: Random, items: Array<A>): Array<A> => {
  for (let i = items.length - 1; i > 0; i--) {
    const j = below(random, i + 1)
    const item = items[i]!
    items[i] = items[j]!
    items[j] = item
  }
  return items
}
