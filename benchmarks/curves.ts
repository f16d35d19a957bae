/**
 * Curves from the samples of a run.
 */
import type { Measurement } from "./model.ts"
import type { Sample } from "./sample.ts"
import { spread } from "./stats.ts"

const pointsMax = 150

/** At most `pointsMax` of them, evenly. */
export const thin = <A>(samples: ReadonlyArray<A>): ReadonlyArray<A> => {
  const step = Math.ceil(samples.length / pointsMax)
  return step <= 1 ? samples : samples.filter((_, i) => i % step === 0 || i === samples.length - 1)
}

/** The run whose value is nearest to the median of all. */
export const medianRun = (
  measurements: ReadonlyArray<Measurement>,
  benchmark: string,
  key: string
): Measurement | null => {
  const runs = measurements.filter((run) => run.benchmark === benchmark && run.values[key] !== undefined)
  const middle = spread(runs.map((run) => run.values[key]!))?.median
  if (middle === undefined) return null
  const distance = (run: Measurement) => Math.abs(run.values[key]! - middle)
  return runs.toSorted((a, b) => distance(a) - distance(b))[0] ?? null
}

/**
 * Whenever something was committed: how long the oldest row of it had been under way, from the moment it was read. A sink
 * that commits a checkpoint at once is not flattered by the checkpoint's last row.
 */
export const latencies = (
  samples: ReadonlyArray<Sample>
): ReadonlyArray<{ readonly t: number; readonly seconds: number }> => {
  const readAt = (row: number): number | null => {
    for (let i = 1; i < samples.length; i++) {
      const { read, t } = samples[i]!
      if (read === undefined || read < row) continue
      const before = samples[i - 1]!
      const readBefore = before.read ?? 0
      return read === readBefore ? t : before.t + (t - before.t) * (row - readBefore) / (read - readBefore)
    }
    return null
  }
  let last = 0
  return samples.flatMap(({ committed, t }) => {
    if (committed === undefined || committed <= last) return []
    const from = readAt(last + 1)
    last = committed
    return from === null ? [] : [{ t, seconds: Math.max(0, t - from) }]
  })
}
