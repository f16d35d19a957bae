/**
 * The service of a run, and what its parts tell each other by it: a subtask acknowledges a barrier and is notified of what
 * became of its checkpoint, the coordinator says how far it is and why it ends.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type { CommitterError, Fenced } from "../CheckpointCommitter.ts"
import type { Barrier } from "../Element.ts"
import type { Manifest, SegmentHandle } from "../Manifest.ts"
import type { PendingTotals } from "../SealedSegments.ts"

/**
 * More checkpoints in a row failed than are tolerated.
 *
 * @category errors
 * @since 0.1.0
 */
export class CheckpointsFailed extends Schema.TaggedError<CheckpointsFailed>("effect-cassandra/CheckpointsFailed")(
  "CheckpointsFailed",
  { checkpointId: Schema.Int, failures: Schema.Int, detail: Schema.String, isRetryable: Schema.Boolean }
) {
  override get message(): string {
    return `Checkpoint ${this.checkpointId} failed (${this.detail}), number ${this.failures} in a row. ` +
      `Its rows are in the log and go with the next one.`
  }
}

/**
 * Why a coordinator ends its run: too many failed checkpoints, a ledger that does not answer, or a successor.
 *
 * @category errors
 * @since 0.1.0
 */
export type CoordinatorError = CheckpointsFailed | CommitterError | Fenced

/**
 * A subtask has sealed everything before `barrier`. `segment` is null when there was nothing to seal.
 *
 * @category models
 * @since 0.1.0
 */
export interface Acknowledgement {
  readonly subtask: number
  readonly barrier: Barrier
  readonly segment: SegmentHandle | null
}

/**
 * What a subtask is told. `Completed n`: everything it sealed up to n may be sent. `Aborted n`: n will not complete.
 *
 * @category models
 * @since 0.1.0
 */
export type Notification =
  | { readonly _tag: "Completed"; readonly checkpointId: number }
  | { readonly _tag: "Aborted"; readonly checkpointId: number }

/**
 * What became of a checkpoint: complete (or subsumed by a later one that is), or aborted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Outcome {
  readonly completed: boolean
}

/**
 * A snapshot for people and metrics.
 *
 * @category models
 * @since 0.1.0
 */
export interface CoordinatorStatus extends PendingTotals {
  readonly lastCompletedId: number
  /** When it completed, maybe in an earlier run; when this run began, if there is none. Milliseconds since 1970. */
  readonly lastCompletedAt: number
  /** Records that the source gave up to the last completed checkpoint, over all runs. */
  readonly records: number
  readonly completed: number
  readonly failed: number
  /** Checkpoints that are complete and not yet committed by all subtasks. */
  readonly pendingCheckpoints: number
  readonly committedRows: number
}

/**
 * What source, subtasks and coordinator of one run have in common: when checkpoints begin, what they are made of, when
 * they are complete, and what of them is committed.
 *
 * @category services
 * @since 0.1.0
 */
export class CheckpointCoordinator extends Context.Service<CheckpointCoordinator, {
  readonly epoch: number
  readonly attempt: number
  readonly parallelism: number
  /** False when checkpointing is switched off; a write-ahead sink refuses to open then. */
  readonly enabled: boolean
  /** The checkpoint that this run continues, with the segments that were still pending in it. */
  readonly restored: Manifest | null
  /** Every write timestamp of this epoch is at least this, microseconds since 1970. */
  readonly firstTimestamp: number
  /** Ids of checkpoints whose barriers the source has to put into the stream, in order. */
  readonly triggers: Queue.Dequeue<number>
  /** Starts a checkpoint now, whatever the interval; the caller puts its barrier into the stream. */
  readonly begin: Effect.Effect<number>
  /** Asks for a checkpoint soon: the log has grown too large. */
  readonly requestCheckpoint: Effect.Effect<void>
  /**
   * Asks for a checkpoint that begins from now on, again if it is aborted, and waits until one is complete; where a stop
   * was asked for, it is the last one. Null if the run ends before.
   */
  readonly takeCheckpoint: Effect.Effect<Manifest | null>
  /** A subtask has logged, durably, all that came before the barrier. */
  readonly acknowledge: (acknowledgement: Acknowledgement) => Effect.Effect<void>
  /** What a subtask is told, in order: a checkpoint is complete (send its rows), or was aborted. It fails when the run does. */
  readonly notifications: (subtask: number) => Queue.Dequeue<Notification, CoordinatorError | Cause.Done>
  /**
   * Returns when the ledger says so. Commits of several subtasks go together in one request. `setAside` of the rows are not
   * in the table, but among the dead letters, and do not count; default 0.
   */
  readonly commit: (subtask: number, checkpointId: number, setAside?: number) => Effect.Effect<void, CoordinatorError>
  /** Waits until the checkpoint is complete (or subsumed by a later one), or aborted. */
  readonly awaitOutcome: (checkpointId: number) => Effect.Effect<Outcome>
  /** Back-pressure: a subtask waits for Cassandra (true) or goes on (false). An expiry meanwhile counts as no failure. */
  readonly setBackPressured: (subtask: number, waiting: boolean) => Effect.Effect<void>
  /** No trigger comes any more, and the source is asked to end with a last checkpoint. */
  readonly stop: Effect.Effect<void>
  readonly awaitStop: Effect.Effect<void>
  /** Writes the last completed checkpoint again, without the segments that were committed since. */
  readonly settleManifest: Effect.Effect<void>
  /** Never succeeds; fails when the coordination has failed, and with it the run. */
  readonly failure: Effect.Effect<never, CoordinatorError>
  readonly status: Effect.Effect<CoordinatorStatus>
}>()("effect-cassandra/CheckpointCoordinator") {}
