/**
 * How a run begins: claim the job, then read what is left of the run before, then coordinate from there.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { Claim, CommitterError, Fenced, JobName, Origin } from "../checkpoint/CheckpointCommitter.ts"
import { CheckpointCommitter, TakenOver } from "../checkpoint/CheckpointCommitter.ts"
import type { CheckpointConfig } from "../checkpoint/CheckpointConfig.ts"
import * as Coordinator from "../checkpoint/CheckpointCoordinator.ts"
import { CheckpointCoordinator } from "../checkpoint/CheckpointCoordinator.ts"
import { countFenced, restoredTimestamp } from "../checkpoint/CheckpointMetrics.ts"
import type { Manifest } from "../checkpoint/Manifest.ts"
import { ledgerIdOf } from "../checkpoint/Manifest.ts"
import * as Retry from "../checkpoint/Retry.ts"
import { StateBackend } from "../state/StateBackend.ts"
import type { WalError } from "../state/WalError.ts"
import { StateUnusable } from "../state/WalError.ts"
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
 * A state, as far as it takes to know whether it is the job's newest.
 *
 * @category models
 * @since 0.1.0
 */
export interface NewestCheckpoint {
  readonly jobId: string
  readonly uid: string
  readonly epoch: number
  readonly checkpointId: number
  /** Null where it is known by its name only, because it is damaged. */
  readonly records: number | null
  /** As in its manifest; not there where that has none, or is damaged. */
  readonly ledgerId?: string | undefined
}

/**
 * A ledger, as far as it takes to know whether it is about a state.
 *
 * @category models
 * @since 0.1.0
 */
export type KnownLedger = Pick<Claim, "ledgerId" | "publishedEpoch"> & { readonly describe: string }

const named = ({ jobId, uid }: JobName): string => `job '${jobId}' (uid '${uid}')`

const progressOf = ({ checkpointId, epoch, records }: NewestCheckpoint): string =>
  `checkpoint ${checkpointId} of epoch ${epoch}` + (records === null ? "" : `, after ${records} records`)

const adviceToRestore =
  "take a savepoint of this directory, and begin with it in an empty one (--from-savepoint): its " +
  "pending rows are then sent with the timestamps that they have, and replace nothing newer."

/** The marks of another ledger are not about the rows of this state, nor is it known to be of the cluster that has them. */
const otherLedger = (path: string, newest: NewestCheckpoint | null, ledger: KnownLedger): StateUnusable | null => {
  const { describe, ledgerId, publishedEpoch } = ledger
  // What an older version has written has none. And nothing is at stake where nothing was read.
  if (newest?.ledgerId === undefined || ledgerId === undefined || newest.records === 0) return null
  if (ledgerId === newest.ledgerId) return null
  return new StateUnusable({
    path,
    reason: "other-ledger",
    detail: `The state in ${path} was made with another ledger than ${describe} is now. It ends with ` +
      `${progressOf(newest)}, and ` + (publishedEpoch === 0
        ? `that ledger knows no checkpoint of ${
          named(newest)
        }. If this is another cluster or keyspace than before, what was ` +
          `committed there is not here: go back to that one (--contact-points, --checkpoint-keyspace), or load the input from ` +
          `its beginning, with another --state. If the ledger was dropped, and the table has its rows, ` +
          `--accept-new-ledger (acceptNewLedger in a program) goes on from that checkpoint, and sends again what is pending ` +
          `in it.`
        : `epoch ${publishedEpoch} of ${
          named(newest)
        } has gone on with another state there. Go back to the cluster and the ` +
          `keyspace that this state was made with (--contact-points, --checkpoint-keyspace). If they are lost, ` +
          adviceToRestore)
  })
}

/**
 * A `StateUnusable` if what `ledger` says is not about the rows of `newest`, the newest checkpoint at `path`, or null. Null, no
 * checkpoint, agrees with every ledger.
 *
 * - `other-ledger`: it was written under another one. That one may have been lost; or this is another cluster, where what was
 *   committed before is not.
 * - `outdated`: it is of an earlier epoch than the one that published last. A checkpoint is published when its manifest is
 *   durable. So a published one of a later epoch than all manifests here has its manifest elsewhere: this state was left behind.
 *   `publishedEpoch` has to be read before the manifests are: what is published until then has its manifest already.
 *
 * @category getters
 * @since 0.1.0
 */
export const mismatch = (path: string, newest: NewestCheckpoint | null, ledger: KnownLedger): StateUnusable | null => {
  const other = otherLedger(path, newest, ledger)
  if (other !== null) return other
  const { describe, publishedEpoch } = ledger
  if (newest === null || publishedEpoch <= newest.epoch) return null
  return new StateUnusable({
    path,
    reason: "outdated",
    detail: `The state in ${path} is not the newest of ${named(newest)}: it ends with ${progressOf(newest)}, and ` +
      `${describe} says that epoch ${publishedEpoch} has gone on with another one. Run with that one. If it is lost, move ` +
      `this directory away to load the input from its beginning; or ${adviceToRestore}`
  })
}

const compare = Effect.fnUntraced(function*(
  found: Manifest | null,
  known: Claim
): Effect.fn.Return<void, StateUnusable, CheckpointCommitter | StateBackend> {
  const backend = yield* StateBackend
  const { describe } = yield* CheckpointCommitter
  const why = mismatch(backend.describe, found, { describe, ...known })
  if (why !== null) return yield* why
})

/**
 * Fails with `StateUnusable` if the job has gone on with another state than this one, or has another ledger than this one was made
 * with (`mismatch`). Asked before anything is claimed: whoever works with the newer state is not to be disturbed. Gives what the
 * ledger says.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mustBeCurrent: Effect.Effect<Claim, CommitterError | WalError, CheckpointCommitter | StateBackend> = Effect
  .gen(function*() {
    const backend = yield* StateBackend
    const committer = yield* CheckpointCommitter
    // In this order: what is published until now has its manifest already.
    const known = yield* Effect.retry(committer.current, claimRetry)
    yield* compare(yield* backend.latestCheckpoint, known)
    return known
  })

/**
 * Fails with `TakenOver` if another job than `takeOverFrom` has gone on from a savepoint of this one; or if that one has, from an
 * earlier point than this is (`records`). Nothing is claimed.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mustBeOwner = Effect.fnUntraced(function*(
  job: Origin,
  takeOverFrom?: string | undefined
): Effect.fn.Return<void, CommitterError | TakenOver, CheckpointCommitter> {
  const { takenOverBy } = yield* CheckpointCommitter
  const refusal = takenOverBy === undefined ? null : yield* Effect.retry(takenOverBy(job), claimRetry)
  const refused = refusal?.refuses(takeOverFrom, job.records) ?? null
  if (refused !== null) return yield* refused
})

/**
 * What a claim says of another job that has taken this one over: it may have come between `mustBeOwner` and the claim. Fails
 * with `TakenOver` unless that is `takeOverFrom`, which is fenced, and this one is its own again.
 *
 * @category combinators
 * @since 0.1.0
 */
export const takeBackClaimed = Effect.fnUntraced(function*(
  job: Origin,
  { takenOverBy: by }: Claim,
  takeOverFrom?: string | undefined
): Effect.fn.Return<void, CommitterError | Fenced | TakenOver, CheckpointCommitter> {
  if (by === undefined) return
  const committer = yield* CheckpointCommitter
  if (takeOverFrom === undefined || committer.takenOverBy === undefined) {
    return yield* new TakenOver({ job, by, ledger: committer.describe, upTo: by.records })
  }
  yield* Effect.retry(committer.supersede(job, takeOverFrom), claimRetry)
})

/**
 * Claims the job, and takes it back from `takeOverFrom`, which has gone on from a savepoint of it: what is left of that job is
 * fenced. Gives the epoch, with which the start goes on. Where nobody has it, it is only claimed. Fails with `TakenOver` if the
 * state here has come further than that savepoint: what that job has written of the records in between would stay.
 *
 * @category combinators
 * @since 0.1.0
 */
export const takeBack = Effect.fnUntraced(function*(
  takeOverFrom: string
): Effect.fn.Return<number, CommitterError | Fenced | TakenOver | WalError, CheckpointCommitter | StateBackend> {
  const { jobId, latestCheckpoint, uid } = yield* StateBackend
  const committer = yield* CheckpointCommitter
  yield* mustBeCurrent
  const own = Effect.map(latestCheckpoint, (last): Origin => ({ jobId, uid, records: last?.records ?? 0 }))
  yield* mustBeOwner(yield* own, takeOverFrom)
  const claimed = yield* countFenced(Effect.retry(committer.claimEpoch(null), claimRetry))
  yield* takeBackClaimed(yield* own, claimed, takeOverFrom)
  return claimed.epoch
})

/**
 * Of a job that has nothing to do: false if it is still its own, true if `takeOverFrom` has gone on from a savepoint of it.
 * Fails as a start does, if another one has, or if it has gone on with another state. Nothing is claimed.
 *
 * @category combinators
 * @since 0.1.0
 */
export const wasLeftTo = Effect.fnUntraced(function*(
  takeOverFrom?: string | undefined
): Effect.fn.Return<boolean, CommitterError | TakenOver | WalError, CheckpointCommitter | StateBackend> {
  const { jobId, uid } = yield* StateBackend
  const own = { jobId, uid }
  const { takenOverBy } = yield* mustBeCurrent
  if (takenOverBy === undefined) return false
  const owned = yield* Effect.result(mustBeOwner(own))
  if (Result.isSuccess(owned)) return false
  if (owned.failure._tag === "TakenOver" && owned.failure.by.jobId === takeOverFrom) return true
  return yield* owned.failure
})

/**
 * Goes on with a ledger that the state was not made with, because its own was lost: the newest checkpoint is written again under
 * an epoch of the new one. Gives that epoch, with which the start goes on; null where the state has its own ledger. Fails with
 * `StateUnusable` (`other-ledger`) if a checkpoint was published in the new one: then its marks are about another state's rows.
 *
 * What the checkpoint lists as pending is sent again, but for segments that are not there any more: a segment is removed when its
 * commit is recorded, and only the ledger that is lost knew of it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const acceptLedger: Effect.Effect<
  number | null,
  CommitterError | Fenced | WalError,
  CheckpointCommitter | StateBackend
> = Effect.gen(function*() {
  const backend = yield* StateBackend
  const committer = yield* CheckpointCommitter
  const refusal = (found: Manifest | null, known: Claim) =>
    otherLedger(backend.describe, found, { describe: committer.describe, ...known })
  const found = yield* backend.latestCheckpoint
  const known = yield* Effect.retry(committer.current, claimRetry)
  const before = refusal(found, known)
  if (found === null || before === null) return null
  if (known.publishedEpoch > 0) return yield* before
  const claimed = yield* countFenced(Effect.retry(committer.claimEpoch(null, found.epoch), claimRetry))
  // Under the claim: what another process has published until then, and what it has written.
  const newest = yield* backend.latestCheckpoint
  const why = refusal(newest, claimed)
  if (newest === null || why === null) return claimed.epoch
  if (claimed.publishedEpoch > 0) return yield* why
  const pending = yield* Effect.filter(newest.pending, backend.holdsSegment)
  yield* backend.completeCheckpoint({ ...newest, ...ledgerIdOf(claimed), epoch: claimed.epoch, pending })
  const removed = newest.pending.length - pending.length
  yield* Effect.logWarning(
    `The ledger ${committer.describe} is a new one. The job goes on in it from checkpoint ${newest.checkpointId}, after ` +
      `${newest.records} records.` +
      (removed === 0
        ? ""
        : ` Segments that are not there any more count as sent: ${removed} of ${newest.pending.length}.`)
  )
  return claimed.epoch
})

/**
 * Claims the job for the state that is here. The epoch is claimed before the manifest is read: what a superseded process
 * did until then is seen, and what it does later no longer counts. `previousEpoch` is that of this same process, null if it
 * had none.
 *
 * @category combinators
 * @since 0.1.0
 */
export const claim = Effect.fnUntraced(function*(previousEpoch: number | null): Effect.fn.Return<
  { readonly claim: Claim; readonly restored: Manifest | null },
  CommitterError | Fenced | TakenOver | WalError,
  CheckpointCommitter | StateBackend
> {
  const backend = yield* StateBackend
  const committer = yield* CheckpointCommitter
  const claimEpoch = (previous: number | null, above?: number) =>
    countFenced(Effect.retry(committer.claimEpoch(previous, above), claimRetry))
  const { jobId, uid } = backend
  if (previousEpoch === null) {
    const { takenOverBy } = yield* mustBeCurrent
    if (takenOverBy !== undefined) yield* mustBeOwner({ jobId, uid })
  }
  let claimed = yield* claimEpoch(previousEpoch)
  let restored = yield* backend.latestCheckpoint
  yield* compare(restored, claimed)
  // Between the question and the claim. From now on nobody takes it over without fencing this process.
  yield* takeBackClaimed({ jobId, uid }, claimed)
  // Manifests are ordered by epoch. If the ledger was lost, it has begun anew below those of the state.
  while (restored !== null && restored.epoch >= claimed.epoch) {
    yield* Effect.logWarning(
      `The state in ${backend.describe} is of epoch ${restored.epoch}, but the ledger ${committer.describe} knew none ` +
        `from ${claimed.epoch} on: it was lost, or it is not the one the state was made with.`
    )
    claimed = yield* claimEpoch(claimed.epoch, restored.epoch)
    restored = yield* backend.latestCheckpoint
  }
  return { claim: claimed, restored }
})

/**
 * Claims the job, and coordinates from where its last run has left it. Files of no checkpoint are removed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const start = Effect.fnUntraced(function*(
  options: RecoveryOptions
): Effect.fn.Return<
  CheckpointCoordinator["Service"],
  CommitterError | Fenced | TakenOver | WalError,
  CheckpointCommitter | StateBackend | Scope.Scope
> {
  const backend = yield* StateBackend
  const committer = yield* CheckpointCommitter
  const { claim: claimed, restored } = yield* claim(options.previousEpoch)
  if (restored === null && claimed.publishedCheckpointId > 0) {
    yield* Effect.logWarning(
      `The ledger ${committer.describe} knows checkpoints up to ${claimed.publishedCheckpointId} of this job, but ` +
        `${backend.describe} holds none: the state was lost or moved. The input is loaded again from its beginning; ` +
        `each row is written again with a newer timestamp.`
    )
  }
  const coordinator = yield* Coordinator.make({
    jobId: backend.jobId,
    uid: backend.uid,
    parallelism: options.parallelism,
    attempt: options.attempt,
    claim: claimed,
    restored,
    config: options.config,
    completeCheckpoint: backend.completeCheckpoint
  })
  yield* Metric.update(Metrics.logSize, (yield* coordinator.status).pendingBytes)
  // Only now: the coordinator's first manifest is of this epoch. Before it, a superseded process could still complete a
  // manifest that is the newest, of segments that were swept.
  yield* backend.sweep(restored?.pending ?? [], claimed.epoch)
  if (restored !== null) yield* Metric.update(restoredTimestamp, (yield* Clock.currentTimeMillis) / 1000)
  if (restored !== null && restored.records > 0) {
    const pending = restored.pending.filter((h) => h.checkpointId > (claimed.ledger.get(h.subtask) ?? 0))
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
): Layer.Layer<
  CheckpointCoordinator,
  CommitterError | Fenced | TakenOver | WalError,
  CheckpointCommitter | StateBackend
> => Layer.effect(CheckpointCoordinator, start({ parallelism: 1, attempt: 0, previousEpoch: null, config }))
