/**
 * What the sink measures. What is pending is in `checkpoint/CheckpointMetrics`.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import type { Stage } from "../checkpoint/Element.ts"
import { family } from "../checkpoint/MetricFamily.ts"

/**
 * Rows appended to the log, durable or not yet.
 *
 * @category metrics
 * @since 0.1.0
 */
export const rowsLogged = Metric.counter("effect_cassandra.sink.rows.logged", {
  description: "Rows appended to the log",
  attributes: { unit: "{row}" },
  incremental: true
})

/**
 * Open segments and sealed ones that are not committed.
 *
 * @category metrics
 * @since 0.1.0
 */
export const logSize = Metric.gauge("effect_cassandra.sink.log.size", {
  description: "Bytes in the log",
  attributes: { unit: "By" }
})

/**
 * Of all subtasks together.
 *
 * @category metrics
 * @since 0.1.0
 */
export const pendingLimit = Metric.gauge("effect_cassandra.sink.pending.limit", {
  description: "Bytes in the log, over which the job waits for Cassandra",
  attributes: { unit: "By" }
})

/**
 * Below its maximum while Cassandra is slow or fails.
 *
 * @category metrics
 * @since 0.1.0
 */
export const requestsLimit = Metric.gauge("effect_cassandra.sink.requests.limit", {
  description: "Requests that may be under way at once",
  attributes: { unit: "{request}" }
})

/**
 * Rows that Cassandra has acknowledged; those that are sent again count again.
 *
 * @category metrics
 * @since 0.1.0
 */
export const rowsSent = Metric.counter("effect_cassandra.sink.rows.sent", {
  description: "Rows acknowledged by Cassandra",
  attributes: { unit: "{row}" },
  incremental: true
})

/**
 * Of the same rows, as they are in the log and in a request: each value with its length before it.
 *
 * @category metrics
 * @since 0.1.0
 */
export const bytesSent = Metric.counter("effect_cassandra.sink.bytes.sent", {
  description: "Bytes of the values of rows acknowledged by Cassandra",
  attributes: { unit: "By" },
  incremental: true
})

/**
 * How many rows went in one request, which is a batch if they were several.
 *
 * @category metrics
 * @since 0.1.0
 */
export const batchRows = Metric.histogram("effect_cassandra.sink.batch.rows", {
  description: "Rows in a request",
  attributes: { unit: "{row}" },
  boundaries: [1, 2, 5, 10, 20, 50, 100, 200]
})

/**
 * By the reason of the failure, as `error.type`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const sendRetries = family((reason) =>
  Metric.counter("effect_cassandra.sink.send.retries", {
    description: "Requests that failed in a way that repeating may mend, by the reason",
    attributes: { unit: "{request}", "error.type": reason },
    incremental: true
  })
)

/**
 * Segments of an earlier run whose rows were sent (again) after a restart.
 *
 * @category metrics
 * @since 0.1.0
 */
export const replays = Metric.counter("effect_cassandra.sink.replays", {
  description: "Segments of an earlier run that were sent after a restart",
  attributes: { unit: "{segment}" },
  incremental: true
})

const deadLettersOf = (stage: Stage) =>
  Metric.counter("effect_cassandra.sink.dead_letters", {
    description: "Records and rows put aside because they can't be written, by the stage where they failed",
    attributes: { unit: "{record}", stage },
    incremental: true
  })

/**
 * Records and rows that were set aside because they can never be written, by the stage where they failed.
 *
 * @category metrics
 * @since 0.1.0
 */
export const deadLetters = {
  read: deadLettersOf("read"),
  encode: deadLettersOf("encode"),
  write: deadLettersOf("write")
}

/**
 * Their checkpoint is not committed, and they are written again, so none is lost; but the job does not go on without them.
 *
 * @category metrics
 * @since 0.1.0
 */
export const deadLettersFailed = Metric.counter("effect_cassandra.sink.dead_letters.failed", {
  description: "Dead letters that could not be kept where they belong, each attempt counted",
  attributes: { unit: "{record}" },
  incremental: true
})
