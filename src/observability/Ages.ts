/**
 * How old the last checkpoint and the oldest uncommitted row are. Nothing updates an age: it is computed when somebody
 * looks, so that it grows most of all when nothing happens any more.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { lastCompletedTimestamp, oldestPendingTimestamp } from "../checkpoint/CheckpointMetrics.ts"

/**
 * Seconds since the last checkpoint was completed, at the moment it is read; 0 while no job runs.
 *
 * @category metrics
 * @since 0.1.0
 */
export const lastCompleted = Metric.gauge("effect_cassandra.checkpoint.last_completed.age", {
  description: "Age of the last completed checkpoint; 0 while no job runs",
  attributes: { unit: "s" }
})

/**
 * Seconds since the oldest row was logged that is not committed, at the moment it is read; 0 when there is none.
 *
 * @category metrics
 * @since 0.1.0
 */
export const oldestPending = Metric.gauge("effect_cassandra.sink.pending.oldest_age", {
  description: "Age of the oldest row that is logged and not committed; 0 when there is none",
  attributes: { unit: "s" }
})

/**
 * Registers both for as long as it is there.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.effectDiscard(Effect.gen(function*() {
  const context = yield* Effect.context<never>()
  const clock = Context.get(context, Clock.Clock)
  const since = (seconds: number) => seconds === 0 ? 0 : Math.max(0, clock.currentTimeMillisUnsafe() / 1000 - seconds)
  const register = (age: Metric.Gauge<number>, timestamp: Metric.Gauge<number>) =>
    Effect.acquireRelease(
      Effect.sync(() =>
        Metric.registerUnsafe(age, context, {
          get: () => ({ value: since(timestamp.valueUnsafe(context).value) }),
          update: () => {},
          modify: () => {}
        })
      ),
      (registration) => Effect.sync(() => registration.remove())
    )
  yield* register(lastCompleted, lastCompletedTimestamp)
  yield* register(oldestPending, oldestPendingTimestamp)
}))
