/**
 * Chance from a seed, with the words that programs are drawn with.
 */

/** Numbers from a seed (sfc32). */
export interface Dice {
  readonly next: () => number
  readonly below: (bound: number) => number
  readonly between: (from: number, to: number) => number
  readonly chance: (probability: number) => boolean
  readonly pick: <A>(items: ReadonlyArray<A>) => A
}

export const makeDice = (seed: number): Dice => {
  let a = 0x9e3779b9 | 0
  let b = Math.floor(seed / 0x1_0000_0000) | 0
  let c = seed | 0
  let d = 1
  const next = (): number => {
    const t = (a + b + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + t) | 0
    return (t >>> 0) / 0x1_0000_0000
  }
  for (let i = 0; i < 15; i++) next()
  const below = (bound: number) => Math.floor(next() * bound)
  return {
    next,
    below,
    between: (from, to) => from + below(to - from + 1),
    chance: (probability) => next() < probability,
    pick: (items) => items[below(items.length)]!
  }
}
