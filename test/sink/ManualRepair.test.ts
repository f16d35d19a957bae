/**
 * A repair that was frozen when its claim stood, and wakes up beside the job that somebody has started meanwhile.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as Committer from "../../src/checkpoint/CheckpointCommitter.ts"
import { CheckpointCommitter } from "../../src/checkpoint/CheckpointCommitter.ts"
import * as ManualRepair from "../../src/sink/ManualRepair.ts"
import { StateBackend } from "../../src/state/StateBackend.ts"
import * as StateDirectory from "../../src/state/StateDirectory.ts"
import * as StateRepair from "../../src/state/StateRepair.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { manifest, open, sealed } from "../state/fixture.ts"

const look = Effect.map(StateDirectory.look("/state"), (state) => state!)

/** One checkpoint with a segment of four blocks, the third of them damaged, and a job and a repair that share a ledger. */
const damaged = Effect.gen(function*() {
  const ledger = Committer.makeMemoryLedger()
  const disk = SimulatedDisk.make()
  const { layer } = disk.boot()
  const backend = yield* Effect.provide(open("/state", { retainedCheckpoints: Number.MAX_SAFE_INTEGER }), layer)
  const job = Committer.makeMemory(ledger)
  yield* job.claimEpoch(null)
  const segment = yield* sealed(backend, 0, 4, 10)
  yield* backend.completeCheckpoint(manifest(1, [segment]))
  yield* job.publishCheckpoint(1, segment.lastTimestamp)
  disk.flipBit(`/state/segments/${segment.name}`, 8 * Math.floor(segment.bytes * 0.6))
  const repair = Committer.makeMemory(ledger)
  const claimed = yield* ManualRepair.claim(look).pipe(
    Effect.provideService(CheckpointCommitter, repair),
    Effect.provide(layer)
  )
  assert.strictEqual(claimed.plan.kind, "cut")
  const carryOut = ManualRepair.carryOut(claimed.state, claimed.plan as StateRepair.Feasible, claimed.claim).pipe(
    Effect.provideService(StateBackend, backend),
    Effect.provideService(CheckpointCommitter, repair),
    Effect.provide(layer)
  )
  const planned = Effect.provide(Effect.flatMap(look, (state) => StateRepair.plan(state, new Map())), layer)
  return { backend, disk, job, segment, carryOut, planned }
})

describe("a repair that is late", () => {
  it.effect("writes and moves nothing", () =>
    Effect.scoped(Effect.gen(function*() {
      const { backend, carryOut, disk, job, segment } = yield* damaged
      const { epoch } = yield* job.claimEpoch(null)
      yield* backend.completeCheckpoint(manifest(1, [segment], epoch))
      const before = [...disk.files().keys()].toSorted()
      const ended = yield* Effect.result(carryOut)
      assert.strictEqual(Result.isFailure(ended) ? ended.failure._tag : "done", "Fenced")
      assert.deepStrictEqual([...disk.files().keys()].toSorted(), before)
    })))

  it.effect("what it has cut is no checkpoint to go back to for whoever has the whole segment", () =>
    Effect.scoped(Effect.gen(function*() {
      const { backend, carryOut, job, planned, segment } = yield* damaged
      yield* carryOut
      // As if its manifest, older by its epoch, had come just behind the job's own.
      const { epoch } = yield* job.claimEpoch(null)
      yield* backend.completeCheckpoint(manifest(1, [segment], epoch))
      const plan = yield* planned
      assert.notStrictEqual(plan.kind, "back", "the rows of the cut would be lost without a word")
    })))
})
