/**
 * How a run begins: claim the job, then read what is left of the run before, then coordinate from there.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { CommitterError, Fenced } from "../checkpoint/CheckpointCommitter.ts"
import { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import type { CheckpointConfig } from "../checkpoint/CheckpointConfig.ts"
import * as Coordinator from "../checkpoint/CheckpointCoordinator.ts"
import { CheckpointCoordinator } from "../checkpoint/CheckpointCoordinator.ts"
import { countFenced } from "../checkpoint/CheckpointMetrics.ts"
import * as Retry from "../checkpoint/Retry.ts"
import { StateBackend } from "../state/StateBackend.ts"
import type { WalError } from "../state/WalError.ts"
import * as Metrics from "./SinkMetrics.ts"

/**
 * What a run knows of itself before it begins.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecoveryOptions {
  readonly parallelism: number
  /** Counts the attempts of one process, from 0. */
  readonly attempt: number
  /** The epoch this process held before, null at its first attempt. */
  readonly previousEpoch: number | null
  /** Null switches checkpointing off. */
  readonly config: CheckpointConfig | null
}

/**
 * A claim is repeated for as long as a short outage lasts; a longer one is told to the user at once.
 *
 * @category constants
 * @since 0.1.0
 */
export const claimRetry = Retry.exponential("30 seconds")

/**
 * The epoch is claimed before the manifest is read: what a superseded process did until then is seen, and what it does
 * later no longer counts. Files of no checkpoint are removed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const start = Effect.fnUntraced(function*(
  options: RecoveryOptions
): Effect.fn.Return<
  CheckpointCoordinator["Service"],
  CommitterError | Fenced | WalError,
  CheckpointCommitter | StateBackend | Scope.Scope
> {
  const backend = yield* StateBackend
  const committer = yield* CheckpointCommitter
  const claimEpoch = (previous: number | null, above?: number) =>
    countFenced(Effect.retry(committer.claimEpoch(previous, above), claimRetry))
  let claim = yield* claimEpoch(options.previousEpoch)
  let restored = yield* backend.latestCheckpoint
  // Manifests are ordered by epoch. If the ledger was lost, it has begun anew below those of the state.
  while (restored !== null && restored.epoch >= claim.epoch) {
    yield* Effect.logWarning(
      `The state in ${backend.describe} is of epoch ${restored.epoch}, but the ledger ${committer.describe} knew none ` +
        `from ${claim.epoch} on: it was lost, or it is not the one the state was made with.`
    )
    claim = yield* claimEpoch(claim.epoch, restored.epoch)
    restored = yield* backend.latestCheckpoint
  }
  if (restored === null && claim.publishedCheckpointId > 0) {
    yield* Effect.logWarning(
      `The ledger ${committer.describe} knows checkpoints up to ${claim.publishedCheckpointId} of this job, but ` +
        `${backend.describe} holds none: the state was lost or moved. The input is loaded again from its beginning; ` +
        `each row is written again with a newer timestamp.`
    )
  }
  const coordinator = yield* Coordinator.make({
    jobId: backend.jobId,
    uid: backend.uid,
    parallelism: options.parallelism,
    attempt: options.attempt,
    claim,
    restored,
    config: options.config,
    completeCheckpoint: backend.completeCheckpoint
  })
  yield* Metric.update(Metrics.logSize, (yield* coordinator.status).pendingBytes)
  // Only now: the coordinator's first manifest is of this epoch. Before it, a superseded process could still complete a
  // manifest that is the newest, of segments that were swept.
  yield* backend.sweep(restored?.pending ?? [], claim.epoch)
  if (restored !== null && restored.records > 0) {
    const pending = restored.pending.filter((h) => h.checkpointId > (claim.ledger.get(h.subtask) ?? 0))
    const rows = pending.reduce((sum, handle) => sum + handle.rows, 0)
    yield* Effect.logInfo(
      `Resuming from checkpoint ${restored.checkpointId}: ${restored.records} records were read, ` +
        (rows === 0 ? "all of them are in" : `${rows} rows are still to be sent`)
    )
  }
  return coordinator
})

/**
 * The coordinator of a stream without a Job (one subtask): claims the job and restores its last checkpoint when the
 * layer is built. `CheckpointCoordinator.restored` then tells where the input goes on.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerCoordinator = (
  config: CheckpointConfig = {}
): Layer.Layer<CheckpointCoordinator, CommitterError | Fenced | WalError, CheckpointCommitter | StateBackend> =>
  Layer.effect(CheckpointCoordinator, start({ parallelism: 1, attempt: 0, previousEpoch: null, config }))
