/**
 * All metrics of effect-cassandra, and their registration before anything has happened: a series that appears only with
 * its first event is one that no rule can compare with before.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Metric from "effect/Metric"
import * as SessionMetrics from "../cassandra/SessionMetrics.ts"
import * as CheckpointMetrics from "../checkpoint/CheckpointMetrics.ts"
import * as JobMetrics from "../job/JobMetrics.ts"
import * as SinkMetrics from "../sink/SinkMetrics.ts"
import * as Ages from "./Ages.ts"

type AnyMetric = Metric.Metric<never, unknown>

/** Series that are there from the start. */
const registered: ReadonlyArray<AnyMetric> = [
  CheckpointMetrics.checkpointCommits,
  CheckpointMetrics.checkpointLatency,
  CheckpointMetrics.checkpointsCompleted,
  ...Object.values(CheckpointMetrics.checkpointsFailed),
  CheckpointMetrics.consecutiveFailures,
  CheckpointMetrics.checkpointsInProgress,
  CheckpointMetrics.checkpointSize,
  CheckpointMetrics.lastCompletedId,
  CheckpointMetrics.lastCompletedTimestamp,
  CheckpointMetrics.restoredTimestamp,
  CheckpointMetrics.checkpointInterval,
  CheckpointMetrics.commitRetries,
  CheckpointMetrics.pendingRows,
  CheckpointMetrics.pendingBytes,
  CheckpointMetrics.pendingCheckpoints,
  CheckpointMetrics.oldestPendingTimestamp,
  CheckpointMetrics.subtasksWaiting,
  CheckpointMetrics.rowsCommitted,
  CheckpointMetrics.fenced,
  SinkMetrics.rowsLogged,
  SinkMetrics.logSize,
  SinkMetrics.pendingLimit,
  SinkMetrics.requestsLimit,
  SinkMetrics.rowsSent,
  SinkMetrics.bytesSent,
  SinkMetrics.batchRows,
  SinkMetrics.replays,
  ...Object.values(SinkMetrics.deadLetters),
  SinkMetrics.deadLettersFailed,
  ...JobMetrics.jobStates.map(JobMetrics.jobState),
  JobMetrics.jobRestarts,
  JobMetrics.recordsRead,
  JobMetrics.sourceLag,
  SessionMetrics.requestsInFlight
]

/** One of each kind whose series depend on what happens; an epoch of 0 would look like one that others raised. */
const kinds: ReadonlyArray<AnyMetric> = [
  CheckpointMetrics.epoch,
  SinkMetrics.sendRetries("Connection"),
  SessionMetrics.operationDuration({ operation: "BATCH INSERT", table: null, error: null }),
  JobMetrics.info("0.0.0")
]

const unique = (metrics: ReadonlyArray<AnyMetric>): ReadonlyArray<AnyMetric> => {
  const byId = new Map(metrics.map((metric) => [metric.id, metric]))
  return [...byId.values()]
}

/**
 * One of each id.
 *
 * @category metrics
 * @since 0.1.0
 */
export const all: ReadonlyArray<AnyMetric> = unique([...registered, Ages.lastCompleted, Ages.oldestPending, ...kinds])

/**
 * Registers all series that are known before anything has happened, and keeps the ages right as long as it is there.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.merge(
  Layer.effectDiscard(Effect.contextWith((context: Context.Context<never>) =>
    Effect.sync(() => {
      for (const metric of registered) metric.valueUnsafe(context)
    })
  )),
  Ages.layer
)
