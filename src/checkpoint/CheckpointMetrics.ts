/**
 * What the protocol measures, as Effect metrics. Times are seconds, sizes bytes.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

const seconds = Metric.exponentialBoundaries({ start: 0.001, factor: 2, count: 18 })

/**
 * Subtask commits recorded in the ledger.
 *
 * @category metrics
 * @since 0.1.0
 */
export const checkpointCommits = Metric.counter("checkpoint_commits", {
  description: "Checkpoints of subtasks recorded as committed",
  incremental: true
})

/**
 * From the trigger to the completed (durable) checkpoint.
 *
 * @category metrics
 * @since 0.1.0
 */
export const checkpointLatency = Metric.histogram("checkpoint_latency", {
  description: "Seconds from the trigger of a checkpoint to its completion",
  attributes: { unit: "s" },
  boundaries: seconds
})

/**
 * @category metrics
 * @since 0.1.0
 */
export const checkpointsCompleted = Metric.counter("effect_cassandra.checkpoint.completed", {
  description: "Checkpoints completed",
  incremental: true
})

const failed = Metric.counter("effect_cassandra.checkpoint.failed", {
  description: "Checkpoints that expired or could not be written",
  incremental: true
})

/**
 * By reason, as an attribute.
 *
 * @category metrics
 * @since 0.1.0
 */
export const checkpointsFailed = {
  expired: Metric.withAttributes(failed, { reason: "expired" }),
  "back-pressured": Metric.withAttributes(failed, { reason: "back-pressured" }),
  "not-written": Metric.withAttributes(failed, { reason: "not-written" })
}

/**
 * Rows that are logged, and not yet known to be in Cassandra.
 *
 * @category metrics
 * @since 0.1.0
 */
export const pendingRows = Metric.gauge("effect_cassandra.sink.pending.rows", {
  description: "Rows logged and not yet committed"
})

/**
 * @category metrics
 * @since 0.1.0
 */
export const pendingBytes = Metric.gauge("effect_cassandra.sink.pending.bytes", {
  description: "Bytes of sealed segments not yet committed",
  attributes: { unit: "By" }
})

/**
 * @category metrics
 * @since 0.1.0
 */
export const pendingCheckpoints = Metric.gauge("effect_cassandra.sink.pending.checkpoints", {
  description: "Completed checkpoints not yet committed by all subtasks"
})

/**
 * Publications and commits that were repeated.
 *
 * @category metrics
 * @since 0.1.0
 */
export const commitRetries = Metric.counter("effect_cassandra.commit.retries", {
  description: "Repeated attempts to write to the ledger",
  incremental: true
})
