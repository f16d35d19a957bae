/**
 * Makes the state of a job out of a savepoint, which may be of another job.
 *
 * It is done under a claim of its own, before the job's first start, in an order that can be broken off anywhere and begun
 * again:
 *
 *     it is asked whether a third job has gone on from the savepoint's before: then nothing is claimed
 *     -> the job's epoch is claimed, and that of the job which the savepoint is of: whoever still works on either is fenced,
 *     and it is recorded there which job goes on (`supersede`)
 *     -> the job's ledger is raised above all that was ever sent under either name (`publishCheckpoint`)
 *     -> the pending rows are logged anew, for this job, with the timestamps that they have
 *     -> the manifest: from here on there is a state, and it says which savepoint it came from
 *
 * Checkpoint ids are moved above those that the job's ledger knows, and lineages stay as they are. So none of the rows
 * counts as committed because of what another job, or an earlier life of this one, has committed under the same number;
 * those that had reached the table after the savepoint are written again, byte for byte, and change nothing.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Claim, CommitterError, Fenced, TakenOver } from "../checkpoint/CheckpointCommitter.ts"
import { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import { countFenced } from "../checkpoint/CheckpointMetrics.ts"
import type { Manifest, SegmentHandle } from "../checkpoint/Manifest.ts"
import { ledgerIdOf } from "../checkpoint/Manifest.ts"
import * as SegmentRows from "../state/SegmentRows.ts"
import type { Savepoint } from "../state/Snapshot.ts"
import { StateBackend } from "../state/StateBackend.ts"
import type { WalError } from "../state/WalError.ts"
import { StateUnusable } from "../state/WalError.ts"
import { claimRetry, mustBeOwner } from "./Recovery.ts"

/**
 * Whether there is nothing left to do: the state came from this savepoint, maybe long ago. Fails if it came from anywhere
 * else; nothing is claimed by asking.
 *
 * @category getters
 * @since 0.1.0
 */
export const isRestored = Effect.fnUntraced(function*(
  savepoint: Savepoint
): Effect.fn.Return<boolean, WalError, StateBackend> {
  const backend = yield* StateBackend
  const found = yield* backend.latestCheckpoint
  if (found === null) return false
  if (found.restoredFrom === savepoint.id) return true
  return yield* new StateUnusable({
    path: backend.describe,
    reason: "not-empty",
    detail: `${savepoint.describe} can't be restored into ${backend.describe}: it holds checkpoint ` +
      `${found.checkpointId} of job '${found.jobId}' already, after ${found.records} records` +
      (found.restoredFrom === undefined ? "" : `, restored from savepoint ${found.restoredFrom}`) +
      `. Run without the savepoint to go on from there; or give another --state, or another --job, to begin from the ` +
      `savepoint; or move the directory away to go back to it.`
  })
})

/** The rows of a segment as one of this job. */
const logAnew = Effect.fnUntraced(function*(
  savepoint: Savepoint,
  handle: SegmentHandle,
  target: { readonly epoch: number; readonly number: number; readonly checkpointId: number }
) {
  const backend = yield* StateBackend
  const { blocks, header } = yield* savepoint.openSegment(handle)
  const writer = yield* backend.createSegment({
    ...header,
    jobId: backend.jobId,
    uid: backend.uid,
    epoch: target.epoch,
    attempt: 0,
    number: target.number
  })
  yield* Stream.runForEach(
    blocks,
    (block) => Effect.map(SegmentRows.append(writer, block), () => SegmentRows.release([block]))
  )
  return yield* writer.seal(target.checkpointId)
})

/**
 * Whether the ledger that was claimed under the name of the savepoint's job is another one than that job had: it has another id;
 * or, where either has none, there was none, or one that has not come to the epoch of the savepoint.
 */
const isElsewhere = ({ checkpoint }: Savepoint, claimed: Pick<Claim, "epoch" | "ledgerId"> | null): boolean => {
  if (claimed === null) return true
  const { ledgerId } = claimed
  const isKnown = checkpoint.ledgerId !== undefined && typeof ledgerId === "string"
  return isKnown ? ledgerId !== checkpoint.ledgerId : claimed.epoch <= checkpoint.epoch
}

/**
 * Gives the epoch that was claimed, which the job's start continues; null if none was, because the state was there already,
 * made from the same savepoint. Fails with `TakenOver` if another job has gone on from it, or from what came of it, unless
 * that is `takeOverFrom`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const restore = Effect.fnUntraced(function*(
  savepoint: Savepoint,
  takeOverFrom?: string | undefined
): Effect.fn.Return<number | null, CommitterError | Fenced | TakenOver | WalError, CheckpointCommitter | StateBackend> {
  const backend = yield* StateBackend
  const committer = yield* CheckpointCommitter
  const { checkpoint } = savepoint
  const goOn = Effect.logInfo(
    `The state in ${backend.describe} was restored from savepoint ${savepoint.id} before, and goes on.`
  )
  // A state that is there disturbs no running process.
  if (yield* isRestored(savepoint)) return yield* Effect.as(goOn, null)
  const { jobId, uid } = checkpoint
  // Once more, and for certain, in `supersede`; here it is before anybody is fenced.
  const origin = { jobId, uid, records: checkpoint.records }
  yield* mustBeOwner(origin, takeOverFrom)
  const claim = yield* countFenced(Effect.retry(committer.claimEpoch(null), claimRetry))
  // What another process has restored until the claim; or after it, and then this one is superseded.
  if (yield* isRestored(savepoint)) return yield* Effect.as(goOn, claim.epoch)
  const isSameJob = jobId === backend.jobId && uid === backend.uid
  const other = isSameJob && committer.takenOverBy === undefined
    ? null
    : yield* Effect.retry(committer.supersede(origin, takeOverFrom), claimRetry)
  const name = `job '${jobId}' (uid '${uid}')`
  if (isElsewhere(savepoint, isSameJob ? claim : other)) {
    const where = savepoint.ledger === null || savepoint.ledger === committer.describe
      ? "another one than this job's"
      : `${savepoint.ledger}, and this job's is`
    yield* Effect.logWarning(
      `The savepoint is of ${name}, whose ledger was ${where} ${committer.describe}: so it could not be recorded there that ` +
        `this one goes on, and nobody stops that job, or a third one that restores the same savepoint there. Make sure that no process of it runs, take it out of its ` +
        `supervisor, and do not start it again: both would own what comes behind the savepoint, each winning where it was ` +
        `the last to write.`
    )
  }
  const maxTimestamp = Math.max(checkpoint.maxTimestamp, claim.maxTimestamp, other?.maxTimestamp ?? 0)
  const known = Math.max(claim.publishedCheckpointId, ...claim.ledger.values())
  const least = checkpoint.pending.reduce((id, handle) => Math.min(id, handle.checkpointId), checkpoint.checkpointId)
  const shift = Math.max(0, known + 1 - least)
  const checkpointId = checkpoint.checkpointId + shift
  yield* Effect.retry(committer.publishCheckpoint(checkpointId, maxTimestamp), claimRetry)
  const pending: Array<SegmentHandle> = []
  for (const [number, handle] of checkpoint.pending.entries()) {
    const target = { epoch: claim.epoch, number, checkpointId: handle.checkpointId + shift }
    pending.push(yield* Effect.scoped(logAnew(savepoint, handle, target)))
  }
  const { ledgerId: _, ...rest } = checkpoint
  const manifest: Manifest = {
    ...rest,
    ...ledgerIdOf(claim),
    jobId: backend.jobId,
    uid: backend.uid,
    epoch: claim.epoch,
    checkpointId,
    maxTimestamp,
    pending,
    restoredFrom: savepoint.id
  }
  yield* backend.completeCheckpoint(manifest)
  const rows = pending.reduce((sum, handle) => sum + handle.rows, 0)
  yield* Effect.logInfo(
    `Restored from ${savepoint.describe}: checkpoint ${checkpoint.checkpointId} of ${name}, ` +
      `${checkpoint.records} records read, ${rows} rows pending` + (shift === 0 ? "" : `; it is ${checkpointId} here`)
  )
  return claim.epoch
})
