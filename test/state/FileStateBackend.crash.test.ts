/**
 * Crashes that need two processes: one that dies without the machine, one that goes on where it left off.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Scope } from "effect"
import { stamp } from "../../src/state/RowFrame.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { header, manifest, open, rows } from "./fixture.ts"

/** An unreadable lock is looked at again after a moment; here that moment is over at once. */
const impatient: Clock.Clock = {
  currentTimeMillisUnsafe: () => 0,
  currentTimeMillis: Effect.succeed(0),
  currentTimeNanosUnsafe: () => 0n,
  currentTimeNanos: Effect.succeed(0n),
  monotonicTimeNanosUnsafe: () => 0n,
  monotonicTimeNanos: Effect.succeed(0n),
  sleep: () => Effect.void
}

describe("FileStateBackend, after a process was killed at any step of opening it", () => {
  // Found by a random program: the killed process had made the directory and not yet synced its name, the next one saw
  // that it was there, and a power loss after that took the directory with all that was synced in it.
  for (const directory of ["/state", "/a/b/state"]) {
    it.live(`what its successor completes survives a power loss (${directory})`, () =>
      Effect.gen(function*() {
        for (let step = 1;; step++) {
          const disk = SimulatedDisk.make({ seed: step })
          const first = disk.boot()
          let steps = 0
          disk.observe((at) =>
            Effect.sync(() => {
              if (at.process === first.id && ++steps === step) first.kill()
            })
          )
          const opened = yield* first.run(Effect.scoped(open(directory)))
          disk.observe(null)
          const second = yield* disk.boot().run(Effect.scoped(Effect.gen(function*() {
            const backend = yield* open(directory)
            yield* backend.completeCheckpoint(manifest(1))
          })))
          assert.isTrue(second !== null && Exit.isSuccess(second))
          disk.crash({ mode: "lost" })
          const third = yield* disk.boot().run(
            Effect.scoped(Effect.flatMap(open(directory), (backend) => backend.latestCheckpoint))
          )
          assert.strictEqual(
            third !== null && Exit.isSuccess(third) ? third.value?.checkpointId : third,
            1,
            `killed at step ${step}`
          )
          if (opened !== null) return
        }
      }).pipe(Effect.provideService(Clock.Clock, impatient)))
  }
})

describe("FileStateBackend, with a manifest whose new name is not durable yet", () => {
  /** Each change of names since the last sync survives a power loss or does not; 64 times. */
  const latestAfterPowerLoss = Effect.fnUntraced(function*(disk: SimulatedDisk.SimulatedDisk) {
    const found = new Set<string>()
    for (let seed = 0; seed < 64; seed++) {
      const fork = disk.fork(seed)
      fork.crash({ mode: "scattered" })
      const exit = yield* fork.boot().run(
        Effect.scoped(Effect.flatMap(open("/state"), (backend) => backend.latestCheckpoint))
      )
      if (exit === null || Exit.isFailure(exit)) return assert.fail(String(exit))
      found.add(exit.value === null ? "none" : `e${exit.value.epoch}-c${exit.value.checkpointId}`)
    }
    return [...found].toSorted()
  })

  // Both found by exploring all states of small programs (test/model).
  it.live("the next start does not sweep what is older before it is", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const first = disk.boot()
      disk.observe(({ operation, path, phase }) =>
        Effect.sync(() => {
          if (operation === "rename" && path.includes("c2.manifest") && phase === "after") first.kill()
        })
      )
      yield* first.run(Effect.scoped(Effect.gen(function*() {
        const backend = yield* open("/state")
        yield* backend.completeCheckpoint(manifest(1))
        yield* backend.completeCheckpoint(manifest(2))
      })))
      assert.isFalse(first.isAlive())
      disk.observe(null)
      const second = yield* disk.boot().run(Effect.scoped(Effect.gen(function*() {
        const backend = yield* open("/state")
        assert.strictEqual((yield* backend.latestCheckpoint)?.checkpointId, 2)
        yield* backend.sweep([], 1)
      })))
      assert.isTrue(second !== null && Exit.isSuccess(second))
      assert.deepStrictEqual(yield* latestAfterPowerLoss(disk), ["e1-c2"])
    }).pipe(Effect.provideService(Clock.Clock, impatient)))

  it.live("a superseded process does not remove its own for its successor's before that is", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const zombie = disk.boot()
      let renamed = false
      const successor = Effect.gen(function*() {
        const process = disk.boot()
        disk.observe(({ operation, path, phase }) =>
          Effect.sync(() => {
            if (operation === "rename" && path.includes("e2-c1.manifest") && phase === "after") process.kill()
          })
        )
        yield* process.run(Effect.scoped(Effect.gen(function*() {
          const backend = yield* open("/state", { takeOver: true })
          yield* backend.completeCheckpoint(manifest(1, [], 2))
        })))
        assert.isFalse(process.isAlive())
        disk.observe(null)
      })
      disk.observe(({ operation, path, phase }) => {
        if (operation === "rename" && path.includes("e1-c2.manifest")) renamed = true
        const isBetween = renamed && operation === "syncDirectory" && phase === "after"
        return isBetween ? successor : Effect.void
      })
      const exit = yield* zombie.run(Effect.scoped(Effect.gen(function*() {
        const backend = yield* open("/state")
        yield* backend.completeCheckpoint(manifest(1))
        yield* backend.completeCheckpoint(manifest(2))
      })))
      assert.isTrue(exit !== null && Exit.isSuccess(exit))
      assert.deepStrictEqual(yield* latestAfterPowerLoss(disk), ["e2-c1"])
    }).pipe(Effect.provideService(Clock.Clock, impatient)))
})

describe("FileStateBackend, when the lock can't be written", () => {
  // Found by a random program.
  it.live("the same process may try again, though the file is there", () =>
    Effect.gen(function*() {
      for (const outcome of ["none", "partial", "done"] as const) {
        const disk = SimulatedDisk.make({
          faults: [{ operation: "write", path: "lock.", code: "EIO", times: 1, outcome }]
        })
        const process = disk.boot()
        const first = yield* process.run(Effect.scoped(open("/state")))
        assert.isTrue(first !== null && Exit.isFailure(first))
        const second = yield* process.run(Effect.scoped(open("/state")))
        assert.isTrue(second !== null && Exit.isSuccess(second), outcome)
      }
    }).pipe(Effect.provideService(Clock.Clock, impatient)))
})

describe("FileStateBackend, when the Scope of a segment closes while it is sealed", () => {
  // Found by a random program: one subtask failed, the file of another was being removed, and this one sealed it and gave
  // out its handle; a checkpoint was completed with a segment that was gone a moment later.
  it.live("a handle that is given out is that of a file that stays", () =>
    Effect.gen(function*() {
      const sealedAt: Array<boolean> = []
      for (let step = 1;; step++) {
        const disk = SimulatedDisk.make()
        const process = disk.boot()
        let isOver = false
        const exit = yield* process.run(Effect.scoped(Effect.gen(function*() {
          const backend = yield* open("/state")
          const ofSegment = yield* Scope.make()
          const writer = yield* Scope.provide(backend.createSegment(header(0)), ofSegment)
          const block = rows(3)
          yield* writer.append(block, 1, stamp(block, 1) - 1)
          let steps = 0
          disk.observe(() =>
            ++steps === step
              ? Effect.asVoid(Effect.forkDetach(Scope.close(ofSegment, Exit.void), { startImmediately: true }))
              : Effect.void
          )
          const sealed = yield* Effect.result(writer.seal(1))
          isOver = steps < step
          disk.observe(null)
          yield* Scope.close(ofSegment, Exit.void)
          for (let turn = 0; turn < 100; turn++) yield* Effect.yieldNow
          return sealed
        })))
        assert.isTrue(exit !== null && Exit.isSuccess(exit))
        const isSealed = exit !== null && Exit.isSuccess(exit) && exit.value._tag === "Success"
        const isThere = [...disk.files().keys()].some((path) => path.endsWith(".wal"))
        assert.strictEqual(isThere, isSealed, `its Scope closed at step ${step}`)
        sealedAt.push(isSealed)
        if (isOver) break
      }
      assert.include(sealedAt, true)
      assert.include(sealedAt, false)
    }).pipe(Effect.provideService(Clock.Clock, impatient)))
})
