/**
 * How far a job is, in one line for a person: live on a terminal, every few seconds elsewhere. For a program, as JSON.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { JobProgress } from "../job/Job.ts"
import { makeEntries } from "./progressJson.ts"
import type { MeterOptions } from "./ProgressMeter.ts"
import { makeMeter } from "./ProgressMeter.ts"
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
 * Turns snapshots into lines.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeFormatter = (options: MeterOptions) => {
  const measure = makeMeter(options)

  return (progress: JobProgress, now: number): string => {
    const {
      deadLetters,
      lastCheckpointId,
      pendingCheckpoints,
      position,
      restarts,
      rowsCommitted,
      rowsLogged,
      rowsRead,
      total
    } = progress
    const { etaSeconds, lag, rate } = measure(progress, now)

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
    if (etaSeconds !== null) parts.push(`eta ${formatTime(etaSeconds)}`)
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
 * Makes a mode of `json` that of all that is written on stderr: to be done before anything is.
 *
 * @category combinators
 * @since 0.1.0
 */
export const speak = (mode: Mode): Effect.Effect<void> =>
  Effect.map(StatusLine, (line) => {
    if (mode === "json") line.speakJson()
  })

/**
 * How the progress is shown.
 *
 * @category models
 * @since 0.1.0
 */
export type Mode = "auto" | "plain" | "json" | "none"

/**
 * Shows the progress as long as the Scope is open, with a last line at its end where lines are plain, or JSON.
 *
 * @category constructors
 * @since 0.1.0
 */
export const display = Effect.fnUntraced(function*(
  options: MeterOptions & {
    readonly mode: Mode
    readonly job: string
    readonly uid: string
    readonly progress: Effect.Effect<JobProgress>
  }
): Effect.fn.Return<void, never, Scope.Scope> {
  if (options.mode === "none") return
  const line = yield* StatusLine
  const isLive = line.isLive && options.mode === "auto"
  if (isLive) {
    const formatter = makeFormatter(options)
    const next = Effect.zipWith(options.progress, Clock.currentTimeMillis, formatter)
    yield* Effect.addFinalizer(() => Effect.sync(() => line.show(null)))
    yield* Effect.forkScoped(Effect.forever(
      Effect.andThen(
        Effect.flatMap(next, (text) => Effect.sync(() => line.show(shorten(text, line.columns())))),
        Effect.sleep("200 millis")
      )
    ))
    return
  }
  const isJson = options.mode === "json"
  const format = makeFormatter(options)
  const toEntry = makeEntries(options, yield* Clock.currentTimeMillis)
  // Each is measured, whether it is printed or not, so that the rate is of the window and not of the last five seconds.
  const sample = (isShown: boolean, isLast: boolean) =>
    Effect.map(Effect.zip(options.progress, Clock.currentTimeMillis), ([progress, now]) => {
      const text = isJson ? "" : format(progress, now)
      const entry = isJson ? toEntry(progress, now, isLast) : null
      if (isShown) line.put(text, () => entry!)
    })
  // Nothing to do, or ended before anything was done: then a last line for a person would say nothing.
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(
      options.progress,
      ({ rowsCommitted, rowsRead }) => sample(isJson || rowsRead + rowsCommitted > 0, true)
    )
  )
  let seconds = 0
  yield* Effect.forkScoped(Effect.forever(
    Effect.andThen(Effect.sleep("1 second"), Effect.suspend(() => sample(++seconds % 5 === 0, false)))
  ))
})
