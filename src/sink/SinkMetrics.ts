/**
 * What the sink measures.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * @category metrics
 * @since 0.1.0
 */
export const rowsLogged = Metric.counter("effect_cassandra.sink.rows.logged", {
  description: "Rows appended to the log",
  incremental: true
})

/**
 * @category metrics
 * @since 0.1.0
 */
export const rowsSent = Metric.counter("effect_cassandra.sink.rows.sent", {
  description: "Rows acknowledged by Cassandra",
  incremental: true
})

/**
 * @category metrics
 * @since 0.1.0
 */
export const sendRetries = Metric.counter("effect_cassandra.sink.send.retries", {
  description: "Requests that failed in a way that repeating may mend",
  incremental: true
})

/**
 * Segments of an earlier run whose rows were sent (again) after a restart.
 *
 * @category metrics
 * @since 0.1.0
 */
export const replays = Metric.counter("effect_cassandra.sink.replays", {
  description: "Segments of an earlier run that were sent after a restart",
  incremental: true
})
