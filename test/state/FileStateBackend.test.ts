import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Semaphore, Stream } from "effect"
import * as RowFrame from "../../src/state/RowFrame.ts"
import type { StateBackend } from "../../src/state/StateBackend.ts"
import { header, manifest, open, rows, sealed } from "./fixture.ts"

const inDirectory = <A, E>(
  body: (directory: string, fs: FileSystem.FileSystem) => Effect.Effect<A, E, any>
) =>
  Effect.scoped(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return yield* body(yield* fs.makeTempDirectoryScoped(), fs)
  })).pipe(Effect.provide(NodeServices.layer)) as Effect.Effect<A, E>

const readAll = (backend: StateBackend["Service"], handle: any) =>
  Effect.scoped(
    Effect.flatMap(backend.openSegment(handle), ({ blocks }) =>
      Effect.map(Stream.runCollect(blocks), (all) => all.flatMap((block) => RowFrame.read(block.payload))))
  )

describe("FileStateBackend", () => {
  it.live.each([undefined, 1000, 300_000])(
    "a sealed segment reads back as it was logged, whatever its size; reads of %s",
    (readBufferBytes) =>
      inDirectory(Effect.fnUntraced(function*(directory) {
        const backend = yield* open(directory, { writeBufferBytes: 1000, readBufferBytes })
        for (const [number, blocks, perBlock] of [[0, 1, 1], [1, 7, 3], [2, 40, 500], [3, 2, 30_000]] as const) {
          const handle = yield* sealed(backend, number, blocks, perBlock)
          assert.strictEqual(handle.rows, blocks * perBlock)
          const read = yield* readAll(backend, handle)
          assert.strictEqual(read.length, blocks * perBlock)
          read.forEach((row, i) => {
            assert.strictEqual(row.place, i)
            assert.strictEqual(row.timestamp, handle.firstTimestamp + i)
          })
          const last = read[read.length - 1]!
          assert.deepStrictEqual(last.values.map((v) => v?.toString("latin1").slice(0, 4) ?? v), [
            "key-",
            String.fromCharCode(last.place % 256).repeat(4),
            null,
            undefined
          ])
          assert.strictEqual(handle.lastTimestamp, last.timestamp)
        }
      }))
  )

  it.live.each([undefined, 40])(
    "every flipped bit of a sealed segment is found, with file, offset and checkpoint; reads of %s",
    (readBufferBytes) =>
      inDirectory(Effect.fnUntraced(function*(directory, fs) {
        const backend = yield* open(directory, { readBufferBytes })
        const handle = yield* sealed(backend, 0, 4, 2)
        const path = `${directory}/segments/${handle.name}`
        const whole = Uint8Array.from(yield* fs.readFile(path))
        for (let bit = 0; bit < whole.length * 8; bit += 5) {
          const damaged = Uint8Array.from(whole)
          damaged[bit >> 3]! ^= 1 << (bit & 7)
          yield* fs.writeFile(path, damaged)
          const error = yield* Effect.flip(readAll(backend, handle))
          // A flipped bit in the version field can only say that it is a version unknown here.
          if (bit >> 3 >= 8 && bit >> 3 < 12) {
            assert.strictEqual(error._tag, "StateUnusable", `bit ${bit}: ${error.message}`)
            continue
          }
          assert.strictEqual(error._tag, "StateCorrupt", `bit ${bit}`)
          if (error._tag !== "StateCorrupt") continue
          assert.strictEqual(error.path, path)
          assert.strictEqual(error.checkpointId, 1)
          assert.isAtMost(error.offset, Math.max(20, bit >> 3))
          assert.include(error.message, `byte ${error.offset}`)
        }
        yield* fs.writeFile(path, whole)
        assert.strictEqual((yield* readAll(backend, handle)).length, 8)
      }))
  )

  it.live("a segment that is cut, longer, swapped or gone is corrupt, not shorter", () =>
    inDirectory(Effect.fnUntraced(function*(directory, fs) {
      const backend = yield* open(directory)
      const handle = yield* sealed(backend, 0, 4, 2)
      const other = yield* sealed(backend, 1, 4, 2)
      const path = `${directory}/segments/${handle.name}`
      const whole = Uint8Array.from(yield* fs.readFile(path))
      const damaged = [
        whole.subarray(0, whole.length - 1),
        whole.subarray(0, 30),
        new Uint8Array(0),
        Buffer.concat([whole, Buffer.from([0])]),
        yield* fs.readFile(`${directory}/segments/${other.name}`)
      ]
      for (const bytes of damaged) {
        yield* fs.writeFile(path, bytes)
        assert.strictEqual((yield* Effect.flip(readAll(backend, handle)))._tag, "StateCorrupt")
      }
      yield* fs.remove(path)
      const gone = yield* Effect.flip(readAll(backend, handle))
      assert.include(gone.message, "8 rows that are not yet in Cassandra")
    })))

  it.live("the newest checkpoint is the one of the newest epoch, and one is retained", () =>
    inDirectory(Effect.fnUntraced(function*(directory, fs) {
      const backend = yield* open(directory)
      assert.isNull(yield* backend.latestCheckpoint)
      yield* backend.completeCheckpoint(manifest(7, [], 1))
      yield* backend.completeCheckpoint(manifest(7, [], 2))
      // What a superseded process still completes is never the newest.
      yield* backend.completeCheckpoint(manifest(9, [], 1))
      const latest = yield* backend.latestCheckpoint
      assert.deepStrictEqual([latest?.epoch, latest?.checkpointId], [2, 7])
      assert.deepStrictEqual(yield* fs.readDirectory(`${directory}/checkpoints`), ["e2-c7.manifest"])
    })))

  it.live("a flipped bit in a manifest stops recovery", () =>
    inDirectory(Effect.fnUntraced(function*(directory, fs) {
      const backend = yield* open(directory)
      yield* backend.completeCheckpoint(manifest(3))
      const path = `${directory}/checkpoints/e1-c3.manifest`
      const whole = Uint8Array.from(yield* fs.readFile(path))
      for (let byte = 12; byte < whole.length; byte++) {
        const damaged = Uint8Array.from(whole)
        damaged[byte]! ^= 4
        yield* fs.writeFile(path, damaged)
        assert.strictEqual((yield* Effect.flip(backend.latestCheckpoint))._tag, "StateCorrupt", `byte ${byte}`)
      }
    })))

  it.live("orphans are swept, what a checkpoint or the caller needs stays", () =>
    inDirectory(Effect.fnUntraced(function*(directory, fs) {
      const backend = yield* open(directory)
      const [a, b, c] = [
        yield* sealed(backend, 0, 1, 1),
        yield* sealed(backend, 1, 1, 1),
        yield* sealed(backend, 2, 1, 1)
      ]
      yield* backend.completeCheckpoint(manifest(1, [a]))
      yield* fs.writeFileString(`${directory}/checkpoints/e1-c9.manifest.tmp`, "half")
      const swept = yield* backend.sweep([b!], 1)
      assert.deepStrictEqual(swept, { segments: 1, manifests: 0, temporary: 1 })
      assert.deepStrictEqual((yield* fs.readDirectory(`${directory}/segments`)).toSorted(), [a!.name, b!.name])
      assert.strictEqual((yield* readAll(backend, a)).length, 1)
      assert.strictEqual((yield* Effect.flip(readAll(backend, c)))._tag, "StateCorrupt")
    })))

  it.live("what a later epoch has written is not swept by one that was superseded", () =>
    inDirectory(Effect.fnUntraced(function*(directory) {
      const backend = yield* open(directory)
      const newer = yield* backend.createSegment({ ...header(0), epoch: 2 })
      yield* newer.append(rows(1), 1, 1)
      const handle = yield* newer.seal(5)
      const swept = yield* backend.sweep([], 1)
      assert.deepStrictEqual(swept, { segments: 0, manifests: 0, temporary: 0 })
      assert.strictEqual((yield* readAll(backend, handle)).length, 1)
      assert.strictEqual((yield* backend.sweep([], 2)).segments, 1)
    })))

  it.live("a segment that was never sealed goes with its Scope, and no other", () =>
    inDirectory(Effect.fnUntraced(function*(directory, fs) {
      const backend = yield* open(directory)
      const kept = yield* Effect.scoped(sealed(backend, 0, 1, 1))
      yield* Effect.scoped(Effect.flatMap(backend.createSegment(header(1)), (writer) => writer.append(rows(1), 1, 1)))
      assert.strictEqual((yield* Effect.flip(Effect.scoped(backend.createSegment(header(0)))))._tag, "StateIoError")
      assert.deepStrictEqual(yield* fs.readDirectory(`${directory}/segments`), [kept.name])
    })))

  it.live("after a failed write the segment is closed for good", () =>
    inDirectory((directory, fs) =>
      Effect.gen(function*() {
        let syncs = 0
        const failing = FileSystem.make({
          ...fs,
          open: (path, options) =>
            Effect.map(fs.open(path, options), (file) =>
              path.endsWith(".wal")
                ? Object.create(file, {
                  sync: { value: Effect.suspend(() => ++syncs === 1 ? Effect.fail(noSpace) : Effect.void) }
                })
                : file)
        })
        const noSpace = yield* Effect.flip(fs.readFile(`${directory}/missing`))
        const backend = yield* Effect.provideService(open(directory), FileSystem.FileSystem, failing)
        const writer = yield* backend.createSegment(header(0))
        yield* writer.append(rows(1), 1, 1)
        const first = yield* Effect.flip(writer.seal(1))
        assert.strictEqual(first._tag, "StateIoError")
        // The second fsync would succeed; it must not be asked.
        assert.strictEqual(yield* Effect.flip(writer.seal(1)), first)
        assert.strictEqual(yield* Effect.flip(writer.append(rows(1), 2, 2)), first)
        assert.strictEqual(syncs, 1)
      })
    ))

  it.live("what rows were encoded into is given back when they are written, never while a write may read it", () =>
    inDirectory((directory, fs) =>
      Effect.gen(function*() {
        let isFull = false
        let isGated = false
        const writes = Semaphore.makeUnsafe(0)
        const failing = FileSystem.make({
          ...fs,
          open: (path, options) =>
            Effect.map(fs.open(path, options), (file) =>
              Object.create(file, {
                writeAll: {
                  value: (bytes: Uint8Array) =>
                    Effect.flatMap(isGated ? writes.take(1) : Effect.succeed(1), () =>
                      isFull ? Effect.fail(noSpace) : file.writeAll(bytes))
                }
              }))
        })
        const noSpace = yield* Effect.flip(fs.readFile(`${directory}/missing`))
        const backend = yield* Effect.provideService(
          open(directory, { writeBufferBytes: 1000 }),
          FileSystem.FileSystem,
          failing
        )
        isGated = true
        const writer = yield* backend.createSegment(header(0))
        const released: Array<string> = []
        const append = (name: string, bytes: number) => {
          const block = {
            ...rows(1, 0, bytes),
            release: () =>
              void released.push(name)
          }
          return writer.append(block, RowFrame.stamp(block, 1), 1)
        }
        // A small one is copied. A large one is written while its caller goes on, one at a time.
        yield* append("small", 20)
        assert.deepStrictEqual(released, ["small"])
        const first = yield* Effect.forkChild(append("first", 2000), { startImmediately: true })
        yield* Effect.sleep(10)
        assert.isUndefined(first.pollUnsafe())
        yield* writes.release(1)
        yield* Fiber.join(first)
        assert.deepStrictEqual(released, ["small"])
        const second = yield* Effect.forkChild(append("second", 2000), { startImmediately: true })
        yield* Effect.sleep(10)
        assert.deepStrictEqual(released, ["small"])
        assert.isUndefined(second.pollUnsafe())
        yield* writes.release(1)
        yield* Fiber.join(second)
        assert.deepStrictEqual(released, ["small", "first"])
        isFull = true
        yield* writes.release(1)
        yield* Effect.flip(writer.seal(1))
        assert.deepStrictEqual(released, ["small", "first"])
      })
    ))

  it.live("a buffer that came back is used again, and what is in the log stays as it was", () =>
    inDirectory(Effect.fnUntraced(function*(directory) {
      const backend = yield* open(directory, { writeBufferBytes: 1000 })
      const frames = new RowFrame.FrameWriter()
      const segment = yield* backend.createSegment(header(0))
      const buffers = new Set<ArrayBufferLike>()
      const count = 200
      for (let place = 0; place < count; place++) {
        // Some are gathered, some written at once, some too long for the buffer.
        frames.add(place, 0, [Buffer.alloc(place % 50 === 49 ? 1_000_000 : place * 7, place)])
        const block = frames.take()
        buffers.add(block.bytes.buffer)
        RowFrame.stamp(block, 1 + place)
        yield* segment.append(block, 1 + place, 1 + place)
      }
      const read = yield* readAll(backend, yield* segment.seal(1))
      assert.strictEqual(read.length, count)
      for (const { place, values: [value] } of read) {
        const expected = Buffer.alloc(place % 50 === 49 ? 1_000_000 : place * 7, place)
        assert.isTrue(value?.equals(expected), `row ${place}`)
      }
      assert.isBelow(buffers.size, 30)
    })))

  it.live("a segment is read into buffers that came back, and blocks that did not come back stay as they were", () =>
    inDirectory(Effect.fnUntraced(function*(directory) {
      const backend = yield* open(directory, { readBufferBytes: 5000 })
      const segment = yield* backend.createSegment(header(0))
      const count = 300
      for (let place = 0; place < count; place++) {
        const block = RowFrame.fromFrames(rows(1, place, 10 + place * 7 % 3000).bytes, 1)
        yield* segment.append(block, 1, RowFrame.stamp(block, 1 + place))
      }
      const handle = yield* segment.seal(1)
      const buffers = new Set<ArrayBufferLike>()
      const kept: Array<{ readonly payload: Buffer; readonly copy: Buffer }> = []
      let read = 0
      yield* Effect.scoped(
        Effect.flatMap(
          backend.openSegment(handle),
          ({ blocks }) =>
            Stream.runForEach(blocks, (block) =>
              Effect.sync(() => {
                buffers.add(block.payload.buffer)
                read += block.rows
                if (kept.length < 5) {
                  kept.push({ payload: block.payload, copy: Buffer.from(block.payload) })
                } else {
                  block.release!()
                  block.release!()
                }
              }))
        )
      )
      assert.strictEqual(read, count)
      for (const { copy, payload } of kept) assert.isTrue(payload.equals(copy))
      assert.isBelow(buffers.size, 12)
      assert.isAbove(handle.bytes / 5000, 50)
    })))

  it.live("a directory belongs to one job, and says whose it is", () =>
    inDirectory(Effect.fnUntraced(function*(directory) {
      yield* Effect.scoped(open(directory))
      const error = yield* Effect.flip(Effect.scoped(open(directory, { jobId: "other" })))
      assert.strictEqual(error._tag, "StateUnusable")
      assert.include(error.message, "belongs to job 'job'")
    })))

  it.live("one process at a time: the second is told who holds it, a dead one's lock is taken over", () =>
    inDirectory(Effect.fnUntraced(function*(directory, fs) {
      const second = yield* Effect.scoped(Effect.gen(function*() {
        yield* open(directory)
        return yield* Effect.flip(Effect.scoped(open(directory)))
      }))
      assert.include(second.message, `by process ${process.pid}`)
      // Released: open again, and again.
      yield* Effect.scoped(open(directory))
      yield* Effect.scoped(open(directory))
      // A lock of a process that is no more (a pid that can't exist), of another boot, and an empty one.
      const lock = (yield* fs.readDirectory(directory)).find((name) => name.startsWith("lock."))!
      const n = Number(lock.slice(5))
      for (
        const content of [
          JSON.stringify({ pid: 2 ** 30, host: "", started: "", since: 0, released: false }),
          JSON.stringify({ pid: process.pid, host: "elsewhere", started: "boot:1", since: 0, released: false }),
          ""
        ]
      ) {
        yield* fs.writeFileString(`${directory}/lock.${n + 10}`, content)
        yield* Effect.scoped(open(directory))
        for (const name of yield* fs.readDirectory(directory)) {
          if (name.startsWith("lock.") && name !== `lock.${n}`) yield* fs.remove(`${directory}/${name}`)
        }
      }
    })))
})
