/**
 * How far a job is, in one line for a person: live on a terminal, every few seconds elsewhere.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { JobProgress } from "../job/Job.ts"
import { StatusLine } from "./StatusLine.ts"

/**
 * `1,240,000`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const formatCount = (value: number): string => String(Math.trunc(value)).replace(/\B(?=(?:\d{3})+$)/g, ",")

/**
 * `820/s`, `48.2k/s`, `1.2M/s`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const formatRate = (perSecond: number): string =>
  perSecond < 999.5
    ? `${Math.round(perSecond)}/s`
    : perSecond < 999_950
    ? `${(perSecond / 1000).toFixed(1)}k/s`
    : `${(perSecond / 1_000_000).toFixed(1)}M/s`

/**
 * `820 bytes`, `12.3 KiB`, `4.0 GiB`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const formatBytes = (bytes: number): string => {
  const power = Math.min(4, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  return power === 0
    ? `${bytes} bytes`
    : `${(bytes / 1024 ** power).toFixed(1)} ${["KiB", "MiB", "GiB", "TiB"][power - 1]}`
}

/**
 * `14 s`, `3 min 10 s`, `2 h 5 min`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const formatTime = (seconds: number): string => {
  const whole = Math.max(0, Math.ceil(seconds))
  return whole < 60
    ? `${whole} s`
    : whole < 3600
    ? `${Math.trunc(whole / 60)} min ${whole % 60} s`
    : `${Math.trunc(whole / 3600)} h ${Math.trunc((whole % 3600) / 60)} min`
}

/**
 * Turns snapshots into lines. It remembers the last few of them, for the rate of commits.
 *
 * - `pendingBefore`: rows of earlier runs that were logged and not committed.
 * - `rowsPerRecord`: with how many statements each record is written. Default 1.
 * - `windowMillis`: what the rate is an average over. Commits come in bursts, one a checkpoint, so it should not be
 *   shorter than their interval.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeFormatter = (options: {
  readonly pendingBefore: number
  readonly rowsPerRecord?: number | undefined
  readonly windowMillis: number
}) => {
  const samples: Array<{ readonly at: number; readonly committed: number }> = []
  const perRecord = options.rowsPerRecord ?? 1
  let firstPosition: number | null = null

  return (progress: JobProgress, now: number): string => {
    const {
      deadLetters,
      deadLettersBefore,
      lastCheckpointId,
      pendingCheckpoints,
      position,
      restarts,
      rowsCommitted,
      rowsLogged,
      rowsRead,
      total
    } = progress
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

    const parts = [
      `rows ${formatCount(rowsRead)}` +
      (position === null || total === null || total === 0
        ? ""
        : ` (${Math.min(100, Math.floor(position * 100 / total))}%)`),
      `logged ${formatCount(rowsLogged)}`,
      `committed ${formatCount(rowsCommitted)}`,
      formatRate(rate),
      `checkpoint ${lastCheckpointId}` + (pendingCheckpoints > 0 ? ` (${pendingCheckpoints} pending)` : ""),
      `lag ${formatCount(lag)}`
    ]
    if (deadLetters > 0) parts.push(`set aside ${formatCount(deadLetters)}`)
    if (restarts > 0) parts.push(`restarts ${restarts}`)
    if (position !== null && total !== null && rate > 0 && rowsRead > 0) {
      const bytesPerRow = Math.max(1, position - (firstPosition ?? 0)) / rowsRead
      parts.push(`eta ${formatTime(((total - position) / bytesPerRow * perRecord + lag) / rate)}`)
    }
    return parts.join(" · ")
  }
}

/** What a narrow terminal can do without, the least first. */
const dispensable = ["logged", "lag", "checkpoint", "restarts"]

/**
 * As much of a line as there is room for, in whole parts: what is left to do is the last that goes.
 *
 * @category formatting
 * @since 0.1.0
 */
export const shorten = (text: string, columns: number): string => {
  let parts = text.split(" · ")
  for (const word of dispensable) {
    if (parts.join(" · ").length <= columns) break
    parts = parts.filter((part) => !part.startsWith(`${word} `))
  }
  return parts.join(" · ")
}

/**
 * Shows the progress as long as the Scope is open, with a last line at its end where lines are plain.
 *
 * @category constructors
 * @since 0.1.0
 */
export const display = Effect.fnUntraced(function*(options: {
  readonly mode: "auto" | "plain" | "none"
  readonly progress: Effect.Effect<JobProgress>
  readonly pendingBefore: number
  readonly rowsPerRecord?: number | undefined
  readonly windowMillis: number
}): Effect.fn.Return<void, never, Scope.Scope> {
  if (options.mode === "none") return
  const line = yield* StatusLine
  const isLive = line.isLive && options.mode === "auto"
  const formatter = makeFormatter(options)
  const next = Effect.zipWith(options.progress, Clock.currentTimeMillis, formatter)
  if (isLive) {
    yield* Effect.addFinalizer(() => Effect.sync(() => line.show(null)))
    yield* Effect.forkScoped(Effect.forever(
      Effect.andThen(
        Effect.flatMap(next, (text) => Effect.sync(() => line.show(shorten(text, line.columns())))),
        Effect.sleep("200 millis")
      )
    ))
    return
  }
  const print = Effect.flatMap(next, (text) => Effect.sync(() => line.print(text)))
  // Nothing to do, or ended before anything was done: then the last line would say nothing.
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(
      options.progress,
      ({ rowsCommitted, rowsRead }) => rowsRead + rowsCommitted > 0 ? print : Effect.void
    )
  )
  // Sampled each second, so that the rate is of the window and not of the last five seconds.
  let seconds = 0
  yield* Effect.forkScoped(Effect.forever(
    Effect.andThen(Effect.sleep("1 second"), Effect.suspend(() => ++seconds % 5 === 0 ? print : Effect.asVoid(next)))
  ))
})
