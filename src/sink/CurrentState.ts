/**
 * Whether a state is the one that its job has gone on with: one that a person is about to change by hand has to be.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { StateDirectory } from "../state/StateDirectory.ts"
import type { StateUnusable } from "../state/WalError.ts"
import * as Recovery from "./Recovery.ts"

/** The newest checkpoint may be one that can't be read, but its name can. */
const newestOf = ({ checkpoints, jobId, uid }: StateDirectory): Recovery.NewestCheckpoint | null => {
  const newest = checkpoints[0]
  if (newest === undefined) return null
  const { checkpointId, epoch, manifest } = newest
  const isWhole = Result.isSuccess(manifest)
  return {
    jobId,
    uid,
    epoch,
    checkpointId,
    records: isWhole ? manifest.success.records : null,
    ledgerId: isWhole ? manifest.success.ledgerId : undefined
  }
}

/**
 * Why nothing that `ledger` says is about the rows of `state`: it is not the one that the state was made with, or the job has
 * gone on with another state (`StateUnusable`, `other-ledger` and `outdated`). Null if neither is so, which is only certain of a
 * ledger that was read before the state was looked at.
 *
 * @category getters
 * @since 0.1.0
 */
export const mismatch = (state: StateDirectory, ledger: Recovery.KnownLedger): StateUnusable | null =>
  Recovery.mismatch(state.directory, newestOf(state), ledger)

/**
 * What `ledger` reads, and the state that `look` finds behind that. Fails with `StateUnusable` if nothing that the ledger says
 * is about the rows of this state (`mismatch`).
 *
 * @category combinators
 * @since 0.1.0
 */
export const find = Effect.fnUntraced(function*<
  L extends Recovery.KnownLedger,
  E,
  R,
  E2,
  R2
>(
  ledger: Effect.Effect<L, E, R>,
  look: Effect.Effect<StateDirectory, E2, R2>
): Effect.fn.Return<{ readonly ledger: L; readonly state: StateDirectory }, E | E2 | StateUnusable, R | R2> {
  // In this order: what the ledger knows as published has its manifest by now.
  const known = yield* ledger
  const state = yield* look
  const why = mismatch(state, known)
  if (why !== null) return yield* why
  return { ledger: known, state }
})
