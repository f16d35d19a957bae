/**
 * Savepoints on a disk that is damaged, full, or loses its power.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FileSystem, Result, Stream } from "effect"
import type { Manifest } from "../../src/checkpoint/Manifest.ts"
import * as DirectorySnapshot from "../../src/state/DirectorySnapshot.ts"
import * as RowFrame from "../../src/state/RowFrame.ts"
import * as Savepoint from "../../src/state/Savepoint.ts"
import type { StateBackend } from "../../src/state/StateBackend.ts"
import type { CrashMode } from "../../src/testing/SimulatedDisk.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { manifest, open, sealed } from "./fixture.ts"

const snapshotOf = (backend: StateBackend["Service"], checkpoint: Manifest): Savepoint.Snapshot => ({
  checkpoint,
  ledger: null,
  openSegment: backend.openSegment,
  isCommitted: () => Effect.succeed(false),
  stillOwned: Effect.void
})

/** A state with two pending segments, and what a savepoint of it is made from. */
const state = Effect.gen(function*() {
  const backend = yield* open("/state")
  const pending = [yield* sealed(backend, 0, 3, 2, 1), yield* sealed(backend, 1, 2, 2, 1)]
  const checkpoint = { ...manifest(1, pending), records: 10, position: { next: 10 } }
  yield* backend.completeCheckpoint(checkpoint)
  return { backend, checkpoint }
})

const take = Effect.scoped(Effect.gen(function*() {
  const { backend, checkpoint } = yield* state
  return yield* Savepoint.writeTo("/savepoints")(snapshotOf(backend, checkpoint))
}))

const places = (savepoint: Savepoint.Savepoint) =>
  Effect.forEach(savepoint.checkpoint.pending, (handle) =>
    Effect.scoped(
      Effect.flatMap(savepoint.openSegment(handle), ({ blocks }) =>
        Effect.map(
          Stream.runCollect(blocks),
          (all) => all.flatMap(({ payload }) => RowFrame.read(payload).map(({ place }) => place))
        ))
    ))

const value = <A, E>(exit: Exit.Exit<A, E> | null): A => {
  if (exit === null || Exit.isFailure(exit)) return assert.fail(String(exit))
  return exit.value
}

describe("Savepoint", () => {
  it.effect("is a copy, byte for byte, that needs nothing of where it was taken", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const taken = value(yield* disk.boot().run(take))
      const files = disk.files()
      for (const { name } of taken.checkpoint.pending) {
        assert.deepStrictEqual(files.get(`${taken.describe}/segments/${name}`), files.get(`/state/segments/${name}`))
      }
      const found = value(
        yield* disk.boot().run(Effect.gen(function*() {
          const fs = yield* FileSystem.FileSystem
          yield* fs.remove("/state", { recursive: true })
          yield* fs.rename(taken.describe, "/elsewhere")
          const savepoint = yield* Savepoint.open("/elsewhere/")
          return { savepoint, places: yield* places(savepoint) }
        }))
      )
      assert.deepStrictEqual(found.savepoint.checkpoint, taken.checkpoint)
      assert.deepStrictEqual([found.savepoint.id, found.savepoint.describe], [taken.id, "/elsewhere"])
      assert.deepStrictEqual(found.places, [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3]])
      assert.deepStrictEqual(found.savepoint.statements.map(({ query }) => query), [
        "INSERT INTO t (k, v) VALUES (?, ?)"
      ])
    }))

  it.effect("no flipped bit is missed: each is told with its file and byte, and the way out", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const { describe: path } = value(yield* disk.boot().run(take))
      let tried = 0
      for (const [file, bytes] of disk.files()) {
        if (!file.startsWith(path)) continue
        for (let bit = 0; bit < bytes.length * 8; bit += 7) {
          const fork = disk.fork()
          fork.flipBit(file, bit)
          const error = value(yield* fork.boot().run(Effect.flip(Savepoint.open(path))))
          tried++
          if (error._tag === "StateUnusable") assert.strictEqual(error.reason, "other-version", `bit ${bit} of ${file}`)
          else {
            assert.strictEqual(error._tag, "StateCorrupt", `bit ${bit} of ${file}`)
            assert.include(error.message, "Copy the savepoint again from where it was taken")
          }
          assert.include(error.message, file)
        }
      }
      assert.isAbove(tried, 500)
    }))

  it.effect(
    "a death at any step, with any loss of power: what looks complete is whole, and what was told of is there",
    () =>
      Effect.gen(function*() {
        const modes: ReadonlyArray<CrashMode> = ["kill", "lost", "kept", "scattered", "mixed"]
        let [whole, none] = [0, 0]
        for (let step = 1, isOver = false; !isOver; step++) {
          for (const mode of modes) {
            const disk = SimulatedDisk.make({ seed: step })
            let steps = 0
            disk.observe(() =>
              Effect.sync(() => {
                if (++steps === step) disk.crash({ mode })
              })
            )
            const told = yield* disk.boot().run(take)
            disk.observe(null)
            if (told !== null) {
              isOver = true
              disk.crash({ mode })
            }
            const found = value(
              yield* disk.boot().run(Effect.gen(function*() {
                const fs = yield* FileSystem.FileSystem
                if (!(yield* fs.exists("/savepoints"))) return []
                const complete = (yield* Savepoint.list("/savepoints")).filter(({ file }) => Result.isSuccess(file))
                return yield* Effect.forEach(complete, ({ path }) => Effect.flatMap(Savepoint.open(path), places))
              }))
            )
            if (told !== null) assert.strictEqual(found.length, 1, `${mode} behind the last step`)
            for (const rows of found) {
              assert.deepStrictEqual(rows.map(({ length }) => length), [6, 4], `${mode} at ${step}`)
            }
            if (found.length > 0) {
              whole++
            } else none++
          }
        }
        assert.isAbove(whole, 5)
        assert.isAbove(none, 50)
      }),
    60_000
  )

  it.effect("a disk that is full, or fails, at any point: an error that names the file, and nothing is left", () =>
    Effect.gen(function*() {
      const empty = SimulatedDisk.make()
      const checkpoint = value(yield* empty.boot().run(Effect.scoped(Effect.map(state, (made) => made.checkpoint))))
      const before = empty.usedBytes()
      let failed = 0
      for (let room = 0;; room += 40) {
        const disk = empty.fork()
        disk.setCapacity(before + 120 + room)
        const process = disk.boot()
        const result = value(
          yield* process.run(Effect.scoped(Effect.gen(function*() {
            const backend = yield* open("/state", { takeOver: true })
            return yield* Effect.result(Savepoint.writeTo("/savepoints")(snapshotOf(backend, checkpoint)))
          })))
        )
        if (Result.isSuccess(result)) break
        failed++
        assert.strictEqual(result.failure._tag, "StateIoError")
        assert.match(result.failure.message, /\/savepoints\/savepoint-job-\S+ .*(?:full|no space)/i)
        assert.deepStrictEqual([...disk.files().keys()].filter((path) => path.startsWith("/savepoints")), [])
      }
      assert.isAbove(failed, 10)
    }))

  it.effect("a state that was restored from it may outlive it; what is no savepoint is not deleted", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const { describe: path } = value(yield* disk.boot().run(take))
      value(
        yield* disk.boot().run(Effect.gen(function*() {
          const fs = yield* FileSystem.FileSystem
          const refused = yield* Effect.flip(Savepoint.remove("/state"))
          assert.match(refused.message, /\/state is no savepoint, or has more in it than one/)
          yield* fs.writeFileString(`${path}/notes.txt`, "mine")
          assert.match(
            (yield* Effect.flip(Savepoint.remove(path))).message,
            /has more in it than one, so it was not deleted/
          )
          yield* fs.remove(`${path}/notes.txt`)
          yield* Savepoint.remove(path)
          assert.isFalse(yield* fs.exists(path))
          assert.match((yield* Effect.flip(Savepoint.remove(path))).message, /There is no savepoint/)
          assert.match((yield* Effect.flip(Savepoint.open(path))).message, /There is no savepoint/)
        }))
      )
    }))

  it.live("of a directory whose job goes on meanwhile: it is taken of the newer checkpoint", () =>
    Effect.scoped(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const backend = yield* open(`${directory}/state`)
      const [first, second] = [yield* sealed(backend, 0, 1, 2, 1), yield* sealed(backend, 1, 1, 3, 2)]
      yield* backend.completeCheckpoint(manifest(1, [first]))
      let attempts = 0
      const taken = yield* DirectorySnapshot.take(`${directory}/state`, null, (snapshot) =>
        Effect.gen(function*() {
          if (++attempts === 1) {
            yield* backend.completeCheckpoint(manifest(2, [second]))
            yield* backend.discardSegment(first)
          }
          return yield* Savepoint.writeTo(`${directory}/savepoints`)(snapshot)
        }))
      assert.deepStrictEqual([attempts, taken.checkpoint.checkpointId, taken.checkpoint.pending.length], [2, 2, 1])
      // Gone, and still needed: nobody can tell that its rows are in.
      yield* backend.discardSegment(second)
      const error = yield* Effect.flip(
        DirectorySnapshot.take(`${directory}/state`, null, Savepoint.writeTo(`${directory}/savepoints`))
      )
      assert.match(error.message, /n1\.wal of checkpoint 2 is corrupt at byte 0: the file is gone.*the ledger tells/)
      const known = { describe: "the ledger", committed: Effect.succeed(new Map([[0, 2]])) }
      const without = yield* DirectorySnapshot.take(
        `${directory}/state`,
        known,
        Savepoint.writeTo(`${directory}/savepoints`)
      )
      assert.deepStrictEqual(without.checkpoint.pending, [])
    })).pipe(Effect.provide(NodeServices.layer)))
})
