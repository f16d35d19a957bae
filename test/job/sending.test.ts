/**
 * When rows are sent, on a simulated Cassandra and virtual time: soon after a start, and beside the commits of those before.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Layer, Stream } from "effect"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import { CheckpointCommitter } from "../../src/checkpoint/CheckpointCommitter.ts"
import { Record } from "../../src/checkpoint/Element.ts"
import * as Job from "../../src/job/Job.ts"
import type { Source } from "../../src/source/Source.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"
import { pass } from "./virtualTime.ts"

interface Row {
  readonly id: number
  readonly v: number
}

const query = "INSERT INTO sim.t (id, v) VALUES (?, ?)"

/** `chunks` of `rows` each, `pause` milliseconds apart, then nothing for ever. */
const source = (chunks: number, rows: number, pause: number): Source<Row> => ({
  describe: "rows",
  total: null,
  progress: () => 0,
  read: (from) =>
    Stream.range(Number(from?.["next"] ?? 0), chunks - 1).pipe(
      Stream.rechunk(1),
      Stream.mapEffect((chunk) => Effect.as(Effect.sleep(pause), chunk)),
      Stream.map((chunk) => ({
        records: Array.from({ length: rows }, (_, i) => {
          const id = chunk * rows + i
          return new Record({ id, v: id }, id)
        }),
        position: { next: chunk + 1 }
      })),
      Stream.concat(Stream.never)
    )
})

/** A cluster, and a job's services whose commits and requests wait for latches. */
const world = Effect.gen(function*() {
  const cluster = SimulatedCassandra.makeCluster()
  const setup = cluster.session()
  yield* setup.query("CREATE KEYSPACE sim WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
  yield* setup.query("CREATE TABLE sim.t (id int PRIMARY KEY, v int)")
  const mayCommit = yield* Latch.make(true)
  const mayWrite = yield* Latch.make(true)
  /** Requests that were asked for. */
  let asked = 0
  const committed: Array<number> = []
  const committer = Layer.effect(
    CheckpointCommitter,
    Effect.map(CheckpointCommitter, (inner) => ({
      ...inner,
      commitCheckpoints: (commits) =>
        Effect.andThen(mayCommit.await, inner.commitCheckpoints(commits)).pipe(
          Effect.tap(() => Effect.sync(() => committed.push(...commits.map(({ checkpointId }) => checkpointId))))
        )
    }))
  )
  const services = Layer.mergeAll(
    committer.pipe(Layer.provide(CassandraCommitter.layer({ jobId: "job", uid: "sink" }))),
    MemoryStateBackend.layer({ jobId: "job", uid: "sink" })
  ).pipe(Layer.provideMerge(
    Layer.effect(
      CassandraSession,
      Effect.map(CassandraSession, (inner) => ({
        ...inner,
        batchesEncoded: (batches, options) => {
          asked += batches.length
          return Effect.andThen(mayWrite.await, inner.batchesEncoded(batches, options))
        }
      }))
    ).pipe(Layer.provide(SimulatedCassandra.layer(cluster)))
  ))
  const written = Effect.map(cluster.rows("sim.t"), (all) => all.length)
  return { written, asked: () => asked, mayCommit, mayWrite, committed, services }
})

/** Ten checkpoints of five rows each. */
const eachSecond = {
  source: source(10, 5, 1000),
  checkpoint: { interval: "1 second", minPause: 0 },
  sink: { query }
} as const

describe("sending", () => {
  it.effect("what is complete is sent while the checkpoint before it is committed, and commits keep the order", () =>
    Effect.gen(function*() {
      const { committed, mayCommit, services, written } = yield* world
      mayCommit.closeUnsafe()
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(eachSecond)
        let first = 0
        while (first === 0) {
          yield* pass(100)
          first = yield* written
        }
        yield* pass(4000)
        assert.isAbove(yield* written, first, "rows of the next checkpoint")
        assert.deepStrictEqual([committed, (yield* handle.progress).rowsCommitted], [[], 0])
        yield* mayCommit.open
        yield* pass(20_000)
        assert.strictEqual((yield* handle.progress).rowsCommitted, 50)
        assert.deepStrictEqual(committed, committed.toSorted((a, b) => a - b))
      })).pipe(Effect.provide(services))
      assert.strictEqual(yield* written, 50)
    }))

  it.effect("nothing of a checkpoint is sent before all of the one before it was acknowledged", () =>
    Effect.gen(function*() {
      const { asked, mayWrite, services, written } = yield* world
      mayWrite.closeUnsafe()
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start(eachSecond)
        yield* pass(6000)
        assert.isAbove((yield* handle.progress).pendingCheckpoints, 1)
        assert.deepStrictEqual([asked(), yield* written], [1, 0], "one batch, of the first checkpoint")
        yield* mayWrite.open
        yield* pass(20_000)
        assert.strictEqual(yield* written, 50)
      })).pipe(Effect.provide(services))
    }))

  it.effect("the first rows of a run are sent long before a checkpoint is due, and then in ever longer steps", () =>
    Effect.gen(function*() {
      const { committed, services, written } = yield* world
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Job.start({
          source: source(24, 1000, 100),
          checkpoint: { interval: "1 hour" },
          sink: { query }
        })
        yield* pass(1500)
        assert.isAbove(yield* written, 5000)
        yield* pass(2000)
        assert.deepStrictEqual(committed.length, 2, "256 KiB, then 512")
      })).pipe(Effect.provide(services))
    }))
})
