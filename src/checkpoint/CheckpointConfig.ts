/**
 * When checkpoints are taken, and when one counts as failed. The names are Flink's `CheckpointConfig`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Schedule from "effect/Schedule"
import * as Retry from "./Retry.ts"

/**
 * The mode is exactly-once; there is no other.
 *
 * @category models
 * @since 0.1.0
 */
export interface CheckpointConfig {
  /** From one trigger to the next. `Duration.infinity` triggers none by itself. Default 10 seconds. */
  readonly interval?: Duration.Input | undefined
  /** At least this long from the end of a checkpoint to the next trigger. Default 5 seconds, or half a shorter interval. */
  readonly minPause?: Duration.Input | undefined
  /** A checkpoint that is not complete after this long is aborted; its rows go with a later one. Default 60 seconds. */
  readonly timeout?: Duration.Input | undefined
  /** Checkpoints that may be under way at once (not yet complete). Default 1, at least 1. */
  readonly maxConcurrent?: number | undefined
  /** Checkpoints in a row that may fail before the job does. Default 0, as in Flink. */
  readonly tolerableFailures?: number | undefined
  /** Complete checkpoints that may wait for Cassandra; beyond it none is triggered by the interval. Default 8. */
  readonly pendingCheckpointsMax?: number | undefined
  /** How publishing and committing are repeated while Cassandra does not answer. Default `Retry.standard`. */
  readonly commitRetry?: Schedule.Schedule<unknown, { readonly isRetryable: boolean }> | undefined
}

/**
 * With every default filled in, times in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResolvedCheckpointConfig {
  readonly intervalMillis: number
  readonly minPauseMillis: number
  readonly timeoutMillis: number
  readonly maxConcurrent: number
  readonly tolerableFailures: number
  readonly pendingCheckpointsMax: number
  readonly commitRetry: Schedule.Schedule<unknown, { readonly isRetryable: boolean }>
}

const millis = (input: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(input))

/**
 * All settings, the defaults put in, in milliseconds.
 *
 * @category combinators
 * @since 0.1.0
 */
export const resolve = (config: CheckpointConfig = {}): ResolvedCheckpointConfig => ({
  intervalMillis: millis(config.interval ?? "10 seconds"),
  minPauseMillis: millis(config.minPause ?? Math.min(5000, millis(config.interval ?? "10 seconds") / 2)),
  timeoutMillis: millis(config.timeout ?? "60 seconds"),
  maxConcurrent: Math.max(1, Math.trunc(config.maxConcurrent ?? 1)),
  tolerableFailures: Math.max(0, Math.trunc(config.tolerableFailures ?? 0)),
  pendingCheckpointsMax: Math.max(1, Math.trunc(config.pendingCheckpointsMax ?? 8)),
  commitRetry: config.commitRetry ?? Retry.standard
})
