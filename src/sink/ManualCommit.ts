/**
 * What a person decides about the oldest checkpoint that is pending: its rows are in by other means, or shall not be.
 *
 * It is done as a start of the job would: the epoch is claimed before the newest manifest is read, so a process that
 * still runs is fenced; a manifest of the own epoch is written and published; then the ledger moves, and only contiguously.
 * A death in between leaves what a death of a start leaves.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CommitterError, Fenced, TakenOver } from "../checkpoint/CheckpointCommitter.ts"
import { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import type { Manifest, SegmentHandle } from "../checkpoint/Manifest.ts"
import { ledgerIdOf } from "../checkpoint/Manifest.ts"
import { StateBackend } from "../state/StateBackend.ts"
import type { WalError } from "../state/WalError.ts"
import * as Recovery from "./Recovery.ts"

/**
 * The checkpoint is not the oldest that is pending, so the ledger would not be contiguous.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotOldest extends Schema.TaggedError<NotOldest>("effect-cassandra/NotOldest")("NotOldest", {
  checkpointId: Schema.Int,
  /** Null if nothing is pending. */
  oldest: Schema.NullOr(Schema.Int)
}) {
  override get message(): string {
    return `Checkpoint ${this.checkpointId} can't be decided on: ` + (this.oldest === null
      ? "nothing is pending, all that was checkpointed is committed."
      : this.checkpointId < this.oldest
      ? `it is committed already; the oldest that is pending is ${this.oldest}.`
      : `the oldest that is pending is ${this.oldest}, and checkpoints are committed in order. Decide on ` +
        `${this.oldest} first, or let a load send it.`)
  }
}

/**
 * The segments of a checkpoint of `manifest` that the ledger does not have.
 *
 * @category getters
 * @since 0.1.0
 */
export const oldestPending = (
  manifest: Manifest | null,
  committed: ReadonlyMap<number, number>,
  checkpointId: number
): Effect.Effect<ReadonlyArray<SegmentHandle>, NotOldest> => {
  const pending = (manifest?.pending ?? []).filter((handle) =>
    handle.checkpointId > (committed.get(handle.subtask) ?? 0)
  )
  const oldest = pending.reduce((least, handle) => Math.min(least, handle.checkpointId), Number.POSITIVE_INFINITY)
  return oldest === checkpointId
    ? Effect.succeed(pending.filter((handle) => handle.checkpointId === checkpointId))
    : Effect.fail(new NotOldest({ checkpointId, oldest: Number.isFinite(oldest) ? oldest : null }))
}

/**
 * Records that everything of a checkpoint is done with. `before` is run when the claim stands and the segments are
 * known, and before anything is recorded. Another job that has gone on from a savepoint of this one is refused with
 * `TakenOver`, unless it is `takeOverFrom`: that one is fenced, as by a start.
 *
 * @category combinators
 * @since 0.1.0
 */
export const commit = Effect.fnUntraced(function*<E, R>(
  checkpointId: number,
  before: (segments: ReadonlyArray<SegmentHandle>) => Effect.Effect<void, E, R>,
  takeOverFrom?: string | undefined
): Effect.fn.Return<
  { readonly epoch: number; readonly left: number },
  E | CommitterError | Fenced | NotOldest | TakenOver | WalError,
  R | CheckpointCommitter | StateBackend
> {
  const committer = yield* CheckpointCommitter
  const backend = yield* StateBackend
  const held = takeOverFrom === undefined ? null : yield* Recovery.takeBack(takeOverFrom)
  const { claim, restored: manifest } = yield* Recovery.claim(held)
  const { epoch, ledger } = claim
  const segments = yield* oldestPending(manifest, ledger, checkpointId)
  yield* before(segments)
  const adopted: Manifest = {
    ...manifest!,
    ...ledgerIdOf(claim),
    epoch,
    pending: manifest!.pending.filter((handle) => handle.checkpointId > (ledger.get(handle.subtask) ?? 0))
  }
  yield* backend.completeCheckpoint(adopted)
  yield* committer.publishCheckpoint(adopted.checkpointId, adopted.maxTimestamp)
  yield* committer.commitCheckpoints(segments.map(({ subtask }) => ({ subtask, checkpointId })))
  const left = adopted.pending.filter((handle) => handle.checkpointId !== checkpointId)
  // From here on it is only tidiness: a start asks the ledger before it opens a segment.
  yield* backend.completeCheckpoint({ ...adopted, pending: left })
  yield* Effect.forEach(segments, backend.discardSegment, { discard: true })
  return { epoch, left: new Set(left.map((handle) => handle.checkpointId)).size }
})
