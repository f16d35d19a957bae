/**
 * Medians with their spread, and ratios of runs of the same round.
 */
import type { Measurement } from "./model.ts"

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly count: number
}

/** Null for nothing. */
export const spread = (values: ReadonlyArray<number>): Spread | null => {
  if (values.length === 0) return null
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return {
    median: sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2,
    min: sorted[0]!,
    max: sorted[sorted.length - 1]!,
    count: sorted.length
  }
}

export const valuesOf = (
  measurements: ReadonlyArray<Measurement>,
  benchmark: string,
  key: string
): ReadonlyMap<number, number> =>
  new Map(
    measurements.flatMap(({ benchmark: name, round, values }): ReadonlyArray<readonly [number, number]> => {
      const value = values[key]
      return name === benchmark && value !== undefined ? [[round, value]] : []
    })
  )

export const spreadOf = (
  measurements: ReadonlyArray<Measurement>,
  benchmark: string,
  key: string
): Spread | null => spread([...valuesOf(measurements, benchmark, key).values()])

/** `a` over `b`, round by round: what slows the machine down for a while slows down both. */
export const ratio = (
  measurements: ReadonlyArray<Measurement>,
  a: readonly [benchmark: string, key: string],
  b: readonly [benchmark: string, key: string]
): Spread | null => {
  const below = valuesOf(measurements, ...b)
  return spread(
    [...valuesOf(measurements, ...a)].flatMap(([round, value]) => {
      const other = below.get(round)
      return other === undefined || other === 0 ? [] : [value / other]
    })
  )
}
