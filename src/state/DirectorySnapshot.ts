/**
 * The newest completed checkpoint of a state directory, for a savepoint: of a job that is stopped, dead or at work.
 *
 * Nothing is locked and nobody is asked before it is needed: a sealed segment and a manifest never change, their names are
 * not used twice, and what a job removes meanwhile is either committed or makes room for a newer checkpoint.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import type { CommitterError, Fenced } from "../checkpoint/CheckpointCommitter.ts"
import type { SegmentHandle } from "../checkpoint/Manifest.ts"
import { syncDirectory } from "./internal/files.ts"
import type { Snapshot } from "./Snapshot.ts"
import * as StateDirectory from "./StateDirectory.ts"
import type { WalError } from "./WalError.ts"
import { StateUnusable } from "./WalError.ts"

/**
 * What the ledger of the job has committed, by subtask.
 *
 * @category models
 * @since 0.1.0
 */
export interface KnownLedger {
  readonly describe: string
  readonly committed: Effect.Effect<ReadonlyMap<number, number>, CommitterError>
}

/** Of a job that goes on, there is a newer checkpoint each time; one that can't be caught up with is asked to stop. */
const attemptsMax = 20

const snapshot = Effect.fnUntraced(function*(
  state: StateDirectory.StateDirectory,
  ledger: KnownLedger | null
): Effect.fn.Return<Snapshot, WalError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const context = yield* Effect.context<FileSystem.FileSystem>()
  const newest = state.checkpoints[0]
  if (newest === undefined) {
    return yield* new StateUnusable({
      path: state.directory,
      reason: "no-savepoint",
      detail:
        `Job '${state.jobId}' has no completed checkpoint in ${state.directory} yet, so there is nothing to make a ` +
        `savepoint of`
    })
  }
  if (Result.isFailure(newest.manifest)) return yield* newest.manifest.failure
  // Renamed by a process that may not have come to make it durable: what is taken from it must not be ahead of it.
  if (state.savepoint === null) yield* syncDirectory(fs, `${state.directory}/checkpoints`)
  return {
    checkpoint: newest.manifest.success,
    ledger: ledger?.describe ?? state.savepoint?.ledger ?? null,
    openSegment: (handle) => Effect.provideContext(StateDirectory.open(state, handle), context),
    isCommitted: ({ checkpointId, subtask }) =>
      ledger === null
        ? Effect.succeed(false)
        : Effect.map(ledger.committed, (committed) => checkpointId <= (committed.get(subtask) ?? 0)),
    stillOwned: Effect.void
  }
})

const adviceToAsk =
  "No savepoint was written. If its rows are committed, it is not needed: the ledger tells (--contact-points). " +
  "If they are not, see docs/recovery.md"

/**
 * Hands the newest checkpoint of a state directory to `write`, such as `Savepoint.writeTo(target)`; again, when the job
 * has completed another one and removed what the first one needed.
 *
 * @category combinators
 * @since 0.1.0
 */
export const take = Effect.fnUntraced(function*<A, R>(
  directory: string,
  ledger: KnownLedger | null,
  write: (snapshot: Snapshot) => Effect.Effect<A, WalError | CommitterError | Fenced, R>
): Effect.fn.Return<A, WalError | CommitterError | Fenced, R | FileSystem.FileSystem> {
  for (let attempt = 1;; attempt++) {
    const state = yield* StateDirectory.look(directory)
    if (state === null) {
      return yield* new StateUnusable({
        path: directory,
        reason: "no-savepoint",
        detail: StateDirectory.describeNone(directory)
      })
    }
    const from = yield* snapshot(state, ledger)
    const written = yield* Effect.result(write(from))
    if (Result.isSuccess(written)) return written.success
    const { failure } = written
    if (failure._tag !== "StateCorrupt" || attempt === attemptsMax) return yield* failure
    const now = (yield* StateDirectory.look(directory))?.checkpoints[0]
    const { checkpointId, epoch } = from.checkpoint
    const isNewer = now !== undefined && (now.epoch > epoch || now.checkpointId !== checkpointId)
    const lists = now !== undefined && Result.isSuccess(now.manifest) ? now.manifest.success.pending : []
    const needsIt = lists.some((handle: SegmentHandle) => failure.path.endsWith(`/${handle.name}`))
    if (!isNewer || needsIt) return yield* ledger === null ? failure.withAdvice(adviceToAsk) : failure
  }
})
