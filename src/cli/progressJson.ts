/**
 * How far a job is, for a program: one object for each report. Its fields are told in docs/command.md.
 *
 * @since 0.1.0
 */
import type { JobProgress } from "../job/Job.ts"
import type { MeterOptions } from "./ProgressMeter.ts"
import { makeMeter } from "./ProgressMeter.ts"
import type { Entry } from "./StatusLine.ts"

const rounded = (value: number): number => Math.round(value * 10) / 10

/**
 * Turns snapshots into objects. Those of a summary of `--json` have its names. `startedAt` is in milliseconds since 1970.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeEntries = (
  options: MeterOptions & { readonly job: string; readonly uid: string },
  startedAt: number
) => {
  const measure = makeMeter(options)
  return (progress: JobProgress, now: number, isLast: boolean): Entry => {
    const { etaSeconds, lag, rate } = measure(progress, now)
    const { oldestPendingAt } = progress
    return {
      type: "progress",
      time: new Date(now).toISOString(),
      jobId: options.job,
      uid: options.uid,
      seconds: rounded((now - startedAt) / 1000),
      rows: progress.rowsRead,
      logged: progress.rowsLogged,
      committed: progress.rowsCommitted,
      rowsPerSecond: rounded(rate),
      lag,
      checkpoint: progress.lastCheckpointId,
      pendingCheckpoints: progress.pendingCheckpoints,
      pendingRows: progress.pendingRows,
      pendingBytes: progress.pendingBytes,
      oldestPendingSeconds: oldestPendingAt === null ? null : rounded(Math.max(0, now - oldestPendingAt) / 1000),
      deadLetters: progress.deadLetters,
      restarts: progress.restarts,
      position: progress.position,
      total: progress.total,
      etaSeconds: etaSeconds === null ? null : Math.ceil(Math.max(0, etaSeconds)),
      last: isLast
    }
  }
}
