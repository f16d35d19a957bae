/**
 * When a failed job starts again: Flink's restart strategies, as `Schedule`s for `Effect.retry`.
 *
 * A strategy counts restarts exactly as the class of its name in Flink 1.19 to 2.x does
 * (`FixedDelayRestartBackoffTimeStrategy`, `ExponentialDelayRestartBackoffTimeStrategy`,
 * `FailureRateRestartBackoffTimeStrategy`). State belongs to one run of `Effect.retry`: a job that is started by hand
 * begins to count anew. Whether an error is worth a restart at all is not decided here; add a `while` to the retry.
 *
 * One thing differs, because here a job fails as a whole: Flink merges failures of several tasks that happen while a
 * restart is pending, and there is nothing to merge.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"

/**
 * Steps once for each failure. The output is the number of restarts so far, the coming one included.
 *
 * @category models
 * @since 0.1.0
 */
export type RestartStrategy = Schedule.Schedule<number>

/**
 * - `attempts`: restarts at most, over the whole life of the job; default 3, 0 for none, `Infinity` for no limit.
 *   (Flink: 1.)
 * - `delay`: between a failure and its restart; default 10 seconds. (Flink: 1 second.)
 *
 * @category models
 * @since 0.1.0
 */
export interface FixedDelayOptions {
  readonly attempts?: number | undefined
  readonly delay?: Duration.Input | undefined
}

/**
 * Defaults are Flink's.
 *
 * - `initialBackoff`: the first delay, and the shortest one; at least 1 ms; default 1 second.
 * - `maxBackoff`: the longest delay, jitter included; default 1 minute.
 * - `backoffMultiplier`: the factor from one delay to the next, above 1; default 1.5.
 * - `resetBackoffThreshold`: a job that ran this long between a restart and the next failure starts over with the first
 *   delay and with all its attempts; default 1 hour.
 * - `jitterFactor`: a delay is longer or shorter by a random part of itself up to this one, 0 to 1; default 0.1.
 * - `attemptsBeforeReset`: restarts at most without such a calm time between them; default `Infinity`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExponentialDelayOptions {
  readonly initialBackoff?: Duration.Input | undefined
  readonly maxBackoff?: Duration.Input | undefined
  readonly backoffMultiplier?: number | undefined
  readonly resetBackoffThreshold?: Duration.Input | undefined
  readonly jitterFactor?: number | undefined
  readonly attemptsBeforeReset?: number | undefined
}

/**
 * - `maxFailures`: failures within `interval` that are followed by a restart; one more ends the job; at least 1; default
 *   5. (Flink: 1.)
 * - `interval`: the sliding time in which failures are counted; above 0; default 5 minutes. (Flink: 1 minute.)
 * - `delay`: between a failure and its restart; default 30 seconds. (Flink: 1 second.)
 *
 * A job that fails as soon as it starts fails every `delay`: if `delay * maxFailures` is longer than `interval`, it
 * restarts for ever.
 *
 * @category models
 * @since 0.1.0
 */
export interface FailureRateOptions {
  readonly maxFailures?: number | undefined
  readonly interval?: Duration.Input | undefined
  readonly delay?: Duration.Input | undefined
}

/**
 * A restart strategy as data: what a command line or a configuration file holds. The kinds are Flink's values of
 * `restart-strategy.type` (`exponential` is its `exponential-delay`).
 *
 * @category models
 * @since 0.1.0
 */
export type RestartStrategyConfig =
  | { readonly kind: "none" }
  | { readonly kind: "fixed-delay" } & FixedDelayOptions
  | { readonly kind: "exponential" } & ExponentialDelayOptions
  | { readonly kind: "failure-rate" } & FailureRateOptions

const check = (holds: boolean, option: string, rule: string, value: unknown): void => {
  if (!holds) throw new RangeError(`restart strategy: ${option} must be ${rule}, not ${String(value)}`)
}

const isCount = (value: number): boolean => value === Infinity || (Number.isSafeInteger(value) && value >= 0)

// Whole milliseconds, as in Flink and as on the clock.
const millis = (option: string, input: Duration.Input, atLeast: number): number => {
  const duration = Duration.fromInputUnsafe(input)
  const value = Math.trunc(Duration.toMillis(duration))
  check(value >= atLeast && value < Infinity, option, `at least ${atLeast} ms and finite`, Duration.format(duration))
  return value
}

const fixedDelaySettings = (options: FixedDelayOptions) => {
  const attempts = options.attempts ?? 3
  const delayMillis = millis("delay", options.delay ?? "10 seconds", 0)
  check(isCount(attempts), "attempts", "a whole number of at least 0, or Infinity", attempts)
  return { attempts, delayMillis }
}

const exponentialDelaySettings = (options: ExponentialDelayOptions) => {
  const initialMillis = millis("initialBackoff", options.initialBackoff ?? "1 second", 1)
  const maxMillis = millis("maxBackoff", options.maxBackoff ?? "1 minute", 1)
  const resetMillis = millis("resetBackoffThreshold", options.resetBackoffThreshold ?? "1 hour", 1)
  const multiplier = options.backoffMultiplier ?? 1.5
  const jitter = options.jitterFactor ?? 0.1
  const attempts = options.attemptsBeforeReset ?? Infinity
  check(initialMillis <= maxMillis, "initialBackoff", `at most maxBackoff (${maxMillis} ms)`, `${initialMillis} ms`)
  check(multiplier > 1 && multiplier < Infinity, "backoffMultiplier", "greater than 1", multiplier)
  check(jitter >= 0 && jitter <= 1, "jitterFactor", "between 0 and 1", jitter)
  check(
    isCount(attempts) && attempts > 0,
    "attemptsBeforeReset",
    "a whole number of at least 1, or Infinity",
    attempts
  )
  return { initialMillis, maxMillis, resetMillis, multiplier, jitter, attempts }
}

const failureRateSettings = (options: FailureRateOptions) => {
  const maxFailures = options.maxFailures ?? 5
  const intervalMillis = millis("interval", options.interval ?? "5 minutes", 1)
  const delayMillis = millis("delay", options.delay ?? "30 seconds", 0)
  check(
    Number.isSafeInteger(maxFailures) && maxFailures > 0,
    "maxFailures",
    "a whole number of at least 1",
    maxFailures
  )
  return { maxFailures, intervalMillis, delayMillis }
}

const restart = (restarts: number, delayMillis: number): Effect.Effect<[number, Duration.Duration]> =>
  Effect.succeed([restarts, Duration.millis(delayMillis)])

/**
 * Never restarts: the first failure ends the job.
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: RestartStrategy = Schedule.fromStep(Effect.succeed(() => Cause.done(0)))

/**
 * Restarts `attempts` times, `delay` after each failure; the failure after that ends the job. The count is never reset,
 * however long the job ran between failures: for a job that runs for weeks, take `exponentialDelay` or `failureRate`.
 *
 * Throws a `RangeError` for options out of range.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fixedDelay = (options: FixedDelayOptions = {}): RestartStrategy => {
  const { attempts, delayMillis } = fixedDelaySettings(options)
  return Schedule.fromStep(Effect.sync(() => {
    let restarts = 0
    return () => Effect.suspend(() => restarts >= attempts ? Cause.done(restarts) : restart(++restarts, delayMillis))
  }))
}

/**
 * Restarts with growing delays: `initialBackoff * backoffMultiplier ^ n`, plus or minus jitter, never outside
 * `initialBackoff` and `maxBackoff`. After `attemptsBeforeReset` restarts without a calm time of `resetBackoffThreshold`
 * (counted from the restart, not from the failure before it), the next failure ends the job.
 *
 * This is what Flink does with checkpoints enabled. Throws a `RangeError` for options out of range.
 *
 * @category constructors
 * @since 0.1.0
 */
export const exponentialDelay = (options: ExponentialDelayOptions = {}): RestartStrategy => {
  const { attempts, initialMillis, jitter, maxMillis, multiplier, resetMillis } = exponentialDelaySettings(options)
  return Schedule.fromStep(Effect.sync(() => {
    let sinceReset = 0
    let restarts = 0
    let restartAt = -Infinity
    return (now: number) =>
      Effect.suspend(() => {
        if (now - restartAt >= resetMillis) sinceReset = 0
        if (sinceReset >= attempts) return Cause.done(restarts)
        // The power grows without end; random integers need a safe one.
        const backoff = Math.min(Math.trunc(initialMillis * multiplier ** sinceReset), Number.MAX_SAFE_INTEGER / 2)
        const spread = Math.trunc(backoff * jitter)
        return Effect.flatMap(spread === 0 ? Effect.succeed(0) : Random.nextIntBetween(-spread, spread), (offset) => {
          const delay = Math.max(initialMillis, Math.min(backoff + offset, maxMillis))
          restartAt = now + delay
          sinceReset++
          return restart(++restarts, delay)
        })
      })
  }))
}

/**
 * Restarts, `delay` after each failure, for as long as failures are rare: the failure that is the (`maxFailures` + 1)th
 * within `interval` ends the job. Two failures exactly `interval` apart are within it.
 *
 * Throws a `RangeError` for options out of range.
 *
 * @category constructors
 * @since 0.1.0
 */
export const failureRate = (options: FailureRateOptions = {}): RestartStrategy => {
  const { delayMillis, intervalMillis, maxFailures } = failureRateSettings(options)
  return Schedule.fromStep(Effect.sync(() => {
    const failedAt: Array<number> = []
    let restarts = 0
    return (now: number) =>
      Effect.suspend(() => {
        if (failedAt.length > maxFailures) failedAt.shift()
        failedAt.push(now)
        return failedAt.length > maxFailures && now - failedAt[0]! <= intervalMillis
          ? Cause.done(restarts)
          : restart(++restarts, delayMillis)
      })
  }))
}

/**
 * The strategy that a configuration describes. Throws a `RangeError` for options out of range.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromConfig = (config: RestartStrategyConfig): RestartStrategy => {
  switch (config.kind) {
    case "none":
      return none
    case "fixed-delay":
      return fixedDelay(config)
    case "exponential":
      return exponentialDelay(config)
    case "failure-rate":
      return failureRate(config)
  }
}

const time = (value: number): string => Duration.format(Duration.millis(value))

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`

/**
 * A configuration in words, defaults included, for a log line or a help text: `fixed delay: 3 restarts, 10s after each
 * failure`. Throws a `RangeError` for options out of range.
 *
 * @category formatting
 * @since 0.1.0
 */
export const describe = (config: RestartStrategyConfig): string => {
  switch (config.kind) {
    case "none":
      return "none: the first failure ends the job"
    case "fixed-delay": {
      const { attempts, delayMillis } = fixedDelaySettings(config)
      const count = attempts === Infinity ? "any number of restarts" : plural(attempts, "restart")
      return `fixed delay: ${count}, ${time(delayMillis)} after each failure`
    }
    case "exponential": {
      const { attempts, initialMillis, jitter, maxMillis, multiplier, resetMillis } = exponentialDelaySettings(config)
      const count = attempts === Infinity ? "any number of restarts" : plural(attempts, "restart")
      return `exponential delay: ${count}, ${time(initialMillis)} to ${time(maxMillis)} after each failure ` +
        `(times ${multiplier}, jitter ${jitter}), from the start again after ${time(resetMillis)} without one`
    }
    case "failure-rate": {
      const { delayMillis, intervalMillis, maxFailures } = failureRateSettings(config)
      return `failure rate: ends at more than ${plural(maxFailures, "failure")} within ${time(intervalMillis)}, ` +
        `restarts ${time(delayMillis)} after each`
    }
  }
}
