/**
 * How requests to Cassandra are repeated. Repeating is always safe here: every write carries the timestamp that was
 * fixed when its row was logged, and the ledger moves by conditional updates.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"

/**
 * Exponential from 100 ms to at most 5 s, jittered by 20 %, as long as the error says that repeating may help and not
 * longer than `during`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const exponential = (
  during: Duration.Input
): Schedule.Schedule<unknown, { readonly isRetryable: boolean }> =>
  Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")]).pipe(
    Schedule.jittered,
    Schedule.upTo({ duration: during }),
    Schedule.setInputType<{ readonly isRetryable: boolean }>(),
    Schedule.while(({ input }) => input.isRetryable)
  )

/**
 * The default: `exponential` for five minutes. Longer outages are left to the job's restart strategy.
 *
 * @category constants
 * @since 0.1.0
 */
export const standard = exponential("5 minutes")
