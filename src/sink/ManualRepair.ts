/**
 * Does what `StateRepair` found to be possible, under a claim of its own. What is moved aside stays in the directory as
 * `NAME.broken`, where no start looks.
 *
 * Each step leaves a state that can be started or repaired again: the manifest of the own epoch is the newest before
 * anything is moved away, and refers to nothing that is damaged.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { Claim, CommitterError, Fenced, TakenOver } from "../checkpoint/CheckpointCommitter.ts"
import { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import type { Manifest, SegmentHandle } from "../checkpoint/Manifest.ts"
import { ledgerIdOf } from "../checkpoint/Manifest.ts"
import { ioError, syncDirectory } from "../state/internal/files.ts"
import * as SegmentRows from "../state/SegmentRows.ts"
import { StateBackend } from "../state/StateBackend.ts"
import * as StateDirectory from "../state/StateDirectory.ts"
import type { Cut, Feasible, Plan } from "../state/StateRepair.ts"
import * as StateRepair from "../state/StateRepair.ts"
import type { StateIoError, StateUnusable, WalError } from "../state/WalError.ts"
import * as CurrentState from "./CurrentState.ts"
import * as Recovery from "./Recovery.ts"

/**
 * A repair under its claim: what can be done, and what is to be done it with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Claimed {
  readonly claim: Claim
  /** As it was found when the claim stood. */
  readonly state: StateDirectory.StateDirectory
  readonly plan: Plan
}

/**
 * Claims the job, and plans what is to be done under the claim: what a process that still ran did until then is in it.
 * `look` looks at the state, each time that it is run.
 *
 * Fails with `StateUnusable` if the job has gone on with another state: repaired, this one would be taken for the newest,
 * with the ledger's marks about the rows of the other. Fails with `TakenOver` if another job than `takeOverFrom` has gone on
 * from a savepoint of this one; `takeOverFrom` itself is fenced, as by a start. Both are asked before anything is claimed, so
 * as not to disturb whoever works with the newer state.
 *
 * @category combinators
 * @since 0.1.0
 */
export const claim = Effect.fnUntraced(function*<E, R>(
  look: Effect.Effect<StateDirectory.StateDirectory, E, R>,
  takeOverFrom?: string | undefined
): Effect.fn.Return<
  Claimed,
  E | CommitterError | Fenced | StateIoError | StateUnusable | TakenOver,
  R | CheckpointCommitter | FileSystem.FileSystem
> {
  const committer = yield* CheckpointCommitter
  const { describe } = committer
  const current = Effect.retry(committer.current, Recovery.claimRetry)
  const before = yield* CurrentState.find(Effect.map(current, (known) => ({ describe, ...known })), look)
  const { jobId, uid } = before.state
  // A repair goes on from this one or, if its segments are damaged, from an older one.
  const records = StateDirectory.newest(before.state)?.records ?? 0
  yield* Recovery.mustBeOwner({ jobId, uid, records }, takeOverFrom)
  const above = before.state.checkpoints[0]?.epoch ?? 0
  const claimEpoch = Effect.retry(committer.claimEpoch(null, above), Recovery.claimRetry)
  const { ledger: claim, state } = yield* CurrentState.find(
    Effect.map(claimEpoch, (claim) => ({ describe, ...claim })),
    look
  )
  yield* Recovery.takeBackClaimed({ jobId, uid, records }, claim, takeOverFrom)
  return { claim, state, plan: yield* StateRepair.plan(state, claim.ledger) }
})

/** Moves a file out of the way of every start, durably. */
const setAside = Effect.fnUntraced(function*(
  { directory }: StateDirectory.StateDirectory,
  room: "checkpoints" | "segments",
  name: string
): Effect.fn.Return<void, WalError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const path = `${directory}/${room}/${name}`
  yield* ioError("rename", path)(fs.rename(path, `${directory}/${name}.broken`))
  yield* syncDirectory(fs, directory)
  yield* syncDirectory(fs, `${directory}/${room}`)
})

/** The whole rows of a segment as one of their own, sealed under a new name; null if there are none. */
const keep = Effect.fnUntraced(function*({ handle, scan }: Cut, epoch: number, number: number) {
  if (scan.header === null || scan.blocks.length === 0) return null
  const backend = yield* StateBackend
  const writer = yield* backend.createSegment({ ...scan.header, epoch, attempt: 0, subtask: handle.subtask, number })
  for (const block of scan.blocks) yield* SegmentRows.append(writer, block)
  return yield* writer.seal(handle.checkpointId)
})

/**
 * Does what the plan says: writes a manifest that the next start goes on from, and puts aside what is damaged. Nothing
 * is deleted. Fails with `Fenced` if the job was claimed since: the plan may then be about what somebody works with.
 *
 * @category combinators
 * @since 0.1.0
 */
export const carryOut = Effect.fnUntraced(function*(
  state: StateDirectory.StateDirectory,
  plan: Feasible,
  claim: Claim
): Effect.fn.Return<
  void,
  CommitterError | Fenced | WalError,
  CheckpointCommitter | FileSystem.FileSystem | StateBackend
> {
  const { epoch, ledger } = claim
  const backend = yield* StateBackend
  const committer = yield* CheckpointCommitter
  const mustHold = Effect.retry(committer.checkEpoch, Recovery.claimRetry)
  yield* mustHold
  const from = plan.kind === "back" ? plan.to : plan.manifest
  const cuts = plan.kind === "back" ? [] : plan.cuts
  const kept = new Map<string, SegmentHandle | null>()
  for (const [number, cut] of cuts.entries()) {
    kept.set(cut.handle.name, yield* Effect.scoped(keep(cut, epoch, number)))
  }
  const pending: Array<SegmentHandle> = []
  for (const handle of from.pending) {
    if (handle.checkpointId <= (ledger.get(handle.subtask) ?? 0)) continue
    const instead = kept.has(handle.name) ? kept.get(handle.name)! : handle
    if (instead !== null) pending.push(instead)
  }
  const adopted: Manifest = { ...from, ...ledgerIdOf(claim), epoch, pending }
  yield* backend.completeCheckpoint(adopted)
  // The manifest would be older than a successor's. A file that is moved is gone for him as well.
  yield* mustHold
  for (const { name } of plan.aside) yield* setAside(state, "checkpoints", name)
  for (const { handle } of cuts) yield* setAside(state, "segments", handle.name)
})
