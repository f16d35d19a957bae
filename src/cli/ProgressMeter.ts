/**
 * What the snapshots of a job's progress amount to: rate, lag, and the time that is left.
 *
 * @since 0.1.0
 */
import type { JobProgress } from "../job/Job.ts"

/**
 * What a report is made with.
 *
 * - `pendingBefore`: rows of earlier runs that were logged and not committed.
 * - `rowsPerRecord`: with how many statements each record is written. Default 1.
 * - `windowMillis`: what the rate is an average over. Commits come in bursts, one a checkpoint, so it should not be
 *   shorter than their interval.
 *
 * @category models
 * @since 0.1.0
 */
export interface MeterOptions {
  readonly pendingBefore: number
  readonly rowsPerRecord?: number | undefined
  readonly windowMillis: number
}

/**
 * What a snapshot amounts to, seen with those before it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Measured {
  /** Rows committed a second. */
  readonly rate: number
  /** Rows that were read and are not committed. */
  readonly lag: number
  /** Until all is committed; null where it can't be told. */
  readonly etaSeconds: number | null
}

/**
 * Measures snapshots. It remembers the last few of them, for the rate of commits.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMeter = (options: MeterOptions): (progress: JobProgress, now: number) => Measured => {
  const samples: Array<{ readonly at: number; readonly committed: number }> = []
  const perRecord = options.rowsPerRecord ?? 1
  let firstPosition: number | null = null

  return ({ deadLetters, deadLettersBefore, position, rowsCommitted, rowsRead, total }, now) => {
    samples.push({ at: now, committed: rowsCommitted })
    while (samples.length > 2 && samples[1]!.at <= now - options.windowMillis) samples.shift()
    const oldest = samples[0]!
    const rate = now > oldest.at ? (rowsCommitted - oldest.committed) * 1000 / (now - oldest.at) : 0
    if (rowsRead === 0) firstPosition = position
    // What was set aside is not waited for.
    const lag = Math.max(
      0,
      (rowsRead - (deadLetters - deadLettersBefore)) * perRecord + options.pendingBefore - rowsCommitted
    )
    if (position === null || total === null || rate <= 0 || rowsRead === 0) return { rate, lag, etaSeconds: null }
    const bytesPerRow = Math.max(1, position - (firstPosition ?? 0)) / rowsRead
    return { rate, lag, etaSeconds: ((total - position) / bytesPerRow * perRecord + lag) / rate }
  }
}
