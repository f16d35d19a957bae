/**
 * What the protocol measures, as Effect metrics. Times are seconds, sizes bytes. `docs/metrics.md` lists all of them.
 *
 * Ids are OpenTelemetry's: dotted, the unit as the attribute `unit`, no `total`. For Prometheus they are renamed by
 * `observability/MetricNames`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { SegmentHandle } from "./Manifest.ts"

const seconds = Metric.exponentialBoundaries({ start: 0.001, factor: 2, count: 18 })

/**
 * Subtask commits recorded in the ledger.
 *
 * @category metrics
 * @since 0.1.0
 */
export const checkpointCommits = Metric.counter("checkpoint_commits", {
  description: "Checkpoints of subtasks recorded as committed",
  attributes: { unit: "{commit}" },
  incremental: true
})

/**
 * From the trigger to the completed (durable) checkpoint.
 *
 * @category metrics
 * @since 0.1.0
 */
export const checkpointLatency = Metric.histogram("checkpoint_latency", {
  description: "Time from the trigger of a checkpoint to its completion",
  attributes: { unit: "s" },
  boundaries: seconds
})

/**
 * Checkpoints whose manifest is durable.
 *
 * @category metrics
 * @since 0.1.0
 */
export const checkpointsCompleted = Metric.counter("effect_cassandra.checkpoint.completed", {
  description: "Checkpoints completed",
  attributes: { unit: "{checkpoint}" },
  incremental: true
})

const failed = (reason: string) =>
  Metric.counter("effect_cassandra.checkpoint.failed", {
    description: "Checkpoints that expired or could not be written, by reason",
    attributes: { unit: "{checkpoint}", reason },
    incremental: true
  })

/**
 * By reason: it was not acknowledged in time; the same while a subtask waited for Cassandra, which counts as no failure;
 * its manifest could not be written.
 *
 * @category metrics
 * @since 0.1.0
 */
export const checkpointsFailed = {
  expired: failed("expired"),
  "back-pressured": failed("back-pressured"),
  "not-written": failed("not-written")
}

/**
 * Goes on over restarts, until a checkpoint completes.
 *
 * @category metrics
 * @since 0.1.0
 */
export const consecutiveFailures = Metric.gauge("effect_cassandra.checkpoint.consecutive_failures", {
  description: "Checkpoints that failed since the last one that completed",
  attributes: { unit: "{checkpoint}" }
})

/**
 * Checkpoints that were triggered and are neither complete nor aborted.
 *
 * @category metrics
 * @since 0.1.0
 */
export const checkpointsInProgress = Metric.gauge("effect_cassandra.checkpoint.in_progress", {
  description: "Checkpoints triggered, and neither complete nor failed",
  attributes: { unit: "{checkpoint}" }
})

/**
 * The bytes of a checkpoint are those of the segments that were sealed for it.
 *
 * @category metrics
 * @since 0.1.0
 */
export const checkpointSize = Metric.histogram("effect_cassandra.checkpoint.size", {
  description: "Bytes sealed for a checkpoint",
  attributes: { unit: "By" },
  boundaries: Metric.exponentialBoundaries({ start: 1024, factor: 4, count: 12 })
})

/**
 * Id of the last completed checkpoint.
 *
 * @category metrics
 * @since 0.1.0
 */
export const lastCompletedId = Metric.gauge("effect_cassandra.checkpoint.last_completed.id", {
  description: "Id of the last completed checkpoint"
})

/**
 * When the last checkpoint completed, over all runs of the job; when the job began, if none has. 0 while no job runs.
 * `observability/Ages` has its age.
 *
 * @category metrics
 * @since 0.1.0
 */
export const lastCompletedTimestamp = Metric.gauge("effect_cassandra.checkpoint.last_completed.timestamp", {
  description: "When the last checkpoint completed, seconds since 1970",
  attributes: { unit: "s" }
})

/**
 * When a run last went on from a checkpoint. 0 for a job that began anew.
 *
 * @category metrics
 * @since 0.1.0
 */
export const restoredTimestamp = Metric.gauge("effect_cassandra.checkpoint.restored.timestamp", {
  description: "When a run last went on from a checkpoint, seconds since 1970",
  attributes: { unit: "s" }
})

/**
 * What ages are to be compared with; 0 when none is triggered by the interval.
 *
 * @category metrics
 * @since 0.1.0
 */
export const checkpointInterval = Metric.gauge("effect_cassandra.checkpoint.interval", {
  description: "Configured time from one checkpoint to the next",
  attributes: { unit: "s" }
})

/**
 * Rows that are logged, and not yet known to be in Cassandra.
 *
 * @category metrics
 * @since 0.1.0
 */
export const pendingRows = Metric.gauge("effect_cassandra.sink.pending.rows", {
  description: "Rows of sealed segments not yet committed",
  attributes: { unit: "{row}" }
})

/**
 * Bytes of sealed segments that are not yet committed.
 *
 * @category metrics
 * @since 0.1.0
 */
export const pendingBytes = Metric.gauge("effect_cassandra.sink.pending.bytes", {
  description: "Bytes of sealed segments not yet committed",
  attributes: { unit: "By" }
})

/**
 * Completed checkpoints that are not yet committed.
 *
 * @category metrics
 * @since 0.1.0
 */
export const pendingCheckpoints = Metric.gauge("effect_cassandra.sink.pending.checkpoints", {
  description: "Completed checkpoints not yet committed by all subtasks",
  attributes: { unit: "{checkpoint}" }
})

/**
 * When the oldest row that is not committed was logged, seconds since 1970; 0 when there is none. `observability/Ages`
 * has its age.
 *
 * @category metrics
 * @since 0.1.0
 */
export const oldestPendingTimestamp = Metric.gauge("effect_cassandra.sink.pending.oldest.timestamp", {
  description: "When the oldest row that is not committed was logged, seconds since 1970; 0 when there is none",
  attributes: { unit: "s" }
})

/**
 * Subtasks whose log is full, and that wait for Cassandra.
 *
 * @category metrics
 * @since 0.1.0
 */
export const subtasksWaiting = Metric.gauge("effect_cassandra.sink.back_pressured", {
  description: "Subtasks whose log is full and that wait for Cassandra",
  attributes: { unit: "{subtask}" }
})

/**
 * Rows that the ledger has as committed.
 *
 * @category metrics
 * @since 0.1.0
 */
export const rowsCommitted = Metric.counter("effect_cassandra.sink.rows.committed", {
  description: "Rows recorded as committed in the ledger",
  attributes: { unit: "{row}" },
  incremental: true
})

/**
 * Publications and commits that were repeated.
 *
 * @category metrics
 * @since 0.1.0
 */
export const commitRetries = Metric.counter("effect_cassandra.commit.retries", {
  description: "Repeated attempts to write to the ledger",
  attributes: { unit: "{attempt}" },
  incremental: true
})

/**
 * This process was superseded: another one has claimed the job.
 *
 * @category metrics
 * @since 0.1.0
 */
export const fenced = Metric.counter("effect_cassandra.sink.fenced", {
  description: "Times this process found that another one had taken over the job",
  attributes: { unit: "{event}" },
  incremental: true
})

/**
 * It goes up with each start, wherever: a job that two processes fight for changes it all the time.
 *
 * @category metrics
 * @since 0.1.0
 */
export const epoch = Metric.gauge("effect_cassandra.job.epoch", {
  description: "Epoch that this process claimed"
})

/**
 * Counts a `Fenced`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const countFenced = <A, E extends { readonly _tag: string }, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.tapError(self, (error) => error._tag === "Fenced" ? Metric.update(fenced, 1) : Effect.void)

/**
 * When a run begins. An interval without end, which no gauge shows, is 0.
 *
 * @category combinators
 * @since 0.1.0
 */
export const reportStarted = (run: {
  readonly epoch: number
  readonly intervalMillis: number
}): Effect.Effect<void> =>
  Effect.all([
    Metric.update(epoch, run.epoch),
    Metric.update(checkpointInterval, Number.isFinite(run.intervalMillis) ? run.intervalMillis / 1000 : 0),
    Metric.update(checkpointsInProgress, 0),
    Metric.update(subtasksWaiting, 0)
  ], { discard: true })

/**
 * When a checkpoint is complete; `segments` are those sealed for it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const reportCompleted = (checkpoint: {
  readonly segments: ReadonlyArray<SegmentHandle | null>
  readonly seconds: number
}): Effect.Effect<void> => {
  let bytes = 0
  for (const segment of checkpoint.segments) bytes += segment?.bytes ?? 0
  return Effect.all([
    Metric.update(checkpointsCompleted, 1),
    Metric.update(checkpointLatency, checkpoint.seconds),
    Metric.update(checkpointSize, bytes),
    Metric.update(consecutiveFailures, 0)
  ], { discard: true })
}

/**
 * When a job is over: from then on nothing has an age.
 *
 * @category combinators
 * @since 0.1.0
 */
export const clearTimestamps: Effect.Effect<void> = Effect.andThen(
  Metric.update(lastCompletedTimestamp, 0),
  Metric.update(oldestPendingTimestamp, 0)
)
