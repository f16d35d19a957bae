import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Latch, Layer, Stream } from "effect"
import { layerMemory } from "../../src/checkpoint/CheckpointCommitter.ts"
import { CheckpointCoordinator } from "../../src/checkpoint/CheckpointCoordinator.ts"
import type { Element } from "../../src/checkpoint/Element.ts"
import { Barrier, Record } from "../../src/checkpoint/Element.ts"
import * as WriteAheadSink from "../../src/sink/WriteAheadSink.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import type { SegmentWriter } from "../../src/state/StateBackend.ts"
import { StateBackend } from "../../src/state/StateBackend.ts"
import { StateIoError } from "../../src/state/WalError.ts"
import { live, makeTable, readTable } from "../real/fixture.ts"

interface Row {
  readonly id: number
  readonly v: number
}

/** A log in memory whose writers are as `change` has them. */
const logOf = (change: (writer: SegmentWriter, number: number) => SegmentWriter) =>
  Layer.effect(
    StateBackend,
    Effect.map(StateBackend, (backend) => ({
      ...backend,
      createSegment: (header) => Effect.map(backend.createSegment(header), (writer) => change(writer, header.number))
    }))
  ).pipe(Layer.provide(MemoryStateBackend.layer({ jobId: "job", uid: "sink" })))

const coordinatorOn = (log: Layer.Layer<StateBackend>) =>
  WriteAheadSink.layerCoordinator({ interval: "1 hour", maxConcurrent: 8 }).pipe(
    Layer.provideMerge(Layer.mergeAll(layerMemory(), log))
  )

/** A barrier of a checkpoint that begins when the stream comes to it. */
const barrier = (isLast: boolean) =>
  Stream.fromEffect(
    Effect.flatMap(
      CheckpointCoordinator,
      ({ begin }) => Effect.map(begin, (id): Element<Row> => new Barrier(id, null, 0, isLast))
    )
  )

const rows = (...ids: ReadonlyArray<number>) =>
  Stream.fromIterable(ids.map((id): Element<Row> => new Record({ id, v: 1 }, id)))

layer(live, { timeout: 60_000, excludeTestServices: true })("sealing beside the stream", (it) => {
  it.effect("rows behind a barrier are logged while the segment before it is sealed, which is then the first to be sent", () =>
    Effect.gen(function*() {
      const table = yield* makeTable("id int PRIMARY KEY, v int")
      const disk = yield* Latch.make(false)
      const seen: Array<string> = []
      const log = logOf((writer, number) => ({
        append: (encoded, first, last) =>
          Effect.andThen(Effect.sync(() => seen.push(`append ${number}`)), writer.append(encoded, first, last)),
        seal: (checkpointId) =>
          Effect.gen(function*() {
            seen.push(`seal ${number}`)
            if (number === 0) yield* disk.await
            const handle = yield* writer.seal(checkpointId)
            seen.push(`sealed ${number}`)
            return handle
          })
      }))
      const running = yield* Effect.forkScoped(
        rows(1, 2).pipe(
          Stream.concat(barrier(false)),
          Stream.concat(rows(3)),
          Stream.concat(barrier(true)),
          WriteAheadSink.transform<Row>({ query: `INSERT INTO ${table} (id, v) VALUES (?, ?)`, input: "rows" }),
          Stream.runCollect,
          Effect.provide(coordinatorOn(log))
        )
      )
      yield* Effect.sync(() => seen.includes("append 1")).pipe(
        Effect.delay("5 millis"),
        Effect.repeat({ until: (isThere) => isThere }),
        Effect.timeout("20 seconds")
      )
      assert.sameMembers(seen, ["append 0", "seal 0", "append 1"])
      assert.strictEqual((yield* readTable(table, "id", "v")).size, 0)
      yield* disk.open
      const committed = yield* Fiber.join(running)
      assert.deepStrictEqual(committed.map(({ rows }) => rows), [2, 1])
      assert.deepStrictEqual(seen.slice(3), ["sealed 0", "seal 1", "sealed 1"])
      assert.strictEqual((yield* readTable(table, "id", "v")).size, 3)
    }))

  it.effect("a segment that can't be sealed ends the sink though nothing further comes", () =>
    Effect.gen(function*() {
      const table = yield* makeTable("id int PRIMARY KEY, v int")
      const full = new StateIoError({ path: "/log/0.wal", operation: "sync", code: "ENOSPC", detail: "no space left" })
      const log = logOf((writer) => ({ ...writer, seal: () => Effect.fail(full) }))
      const error = yield* rows(1).pipe(
        Stream.concat(barrier(false)),
        Stream.concat(Stream.never),
        WriteAheadSink.transform<Row>({ query: `INSERT INTO ${table} (id, v) VALUES (?, ?)`, input: "rows" }),
        Stream.runCollect,
        Effect.provide(coordinatorOn(log)),
        Effect.flip,
        Effect.timeout("20 seconds")
      )
      assert.strictEqual(error._tag, "StateIoError")
      assert.strictEqual((yield* readTable(table, "id", "v")).size, 0)
    }))

  it.effect("the stream waits for a disk that is two segments behind", () =>
    Effect.gen(function*() {
      const table = yield* makeTable("id int PRIMARY KEY, v int")
      const disk = yield* Latch.make(false)
      let appended = 0
      const log = logOf((writer) => ({
        append: (encoded, first, last) =>
          Effect.andThen(Effect.sync(() => appended++), writer.append(encoded, first, last)),
        seal: (checkpointId) => Effect.andThen(disk.await, writer.seal(checkpointId))
      }))
      const running = yield* Effect.forkScoped(
        Stream.range(1, 10).pipe(
          Stream.flatMap((id) => Stream.concat(rows(id), barrier(id === 10))),
          WriteAheadSink.transform<Row>({ query: `INSERT INTO ${table} (id, v) VALUES (?, ?)`, input: "rows" }),
          Stream.runCollect,
          Effect.provide(coordinatorOn(log))
        )
      )
      yield* Effect.sleep("500 millis")
      // One is sealed, one waits to be, and the barrier behind the third has to wait.
      assert.isAtMost(appended, 4)
      yield* disk.open
      const committed = yield* Fiber.join(running)
      assert.strictEqual(committed.length, 10)
      assert.strictEqual(appended, 10)
      assert.strictEqual((yield* readTable(table, "id", "v")).size, 10)
    }))
})
