/**
 * A job's life besides its rows, on a simulated Cassandra and virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import { Record } from "../../src/checkpoint/Element.ts"
import * as RestartStrategy from "../../src/checkpoint/RestartStrategy.ts"
import * as Job from "../../src/job/Job.ts"
import * as IterableSource from "../../src/source/IterableSource.ts"
import type { Source } from "../../src/source/Source.ts"
import type { Failure } from "../../src/state/FailureLog.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"
import { end, pass } from "./virtualTime.ts"

interface Row {
  readonly id: number
  readonly v: number
}

const rows = (count: number) => Array.from({ length: count }, (_, id): Row => ({ id, v: id }))
const query = "INSERT INTO sim.t (id, v) VALUES (?, ?)"

const world = Effect.fnUntraced(function*(options: SimulatedCassandra.ClusterOptions = {}) {
  const cluster = SimulatedCassandra.makeCluster(options)
  const setup = cluster.session()
  yield* setup.query("CREATE KEYSPACE sim WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
  yield* setup.query("CREATE TABLE sim.t (id int PRIMARY KEY, v int)")
  const store = MemoryStateBackend.makeStore()
  /** A process: what is in memory of the state backend stands for its disk. */
  const process = () =>
    Layer.mergeAll(
      CassandraCommitter.layer({ jobId: "job", uid: "sink" }),
      MemoryStateBackend.layer({ jobId: "job", uid: "sink", store })
    ).pipe(Layer.provideMerge(SimulatedCassandra.layer(cluster)))
  const written = Effect.map(cluster.rows("sim.t"), (all) => all.length)
  const epoch = Effect.map(
    cluster.rows("flink_auxiliary.checkpoints_job"),
    (all) => Number(all.find(({ row }) => row["sub_id"] === -1)?.row["checkpoint_id"] ?? 0)
  )
  return { cluster, store, process, written, epoch }
})

/** Ten rows, a second apart, then nothing for ever. */
const endless: Source<Row> = {
  describe: "endless",
  total: null,
  progress: () => 0,
  read: (from) => {
    const next = Number(from?.["next"] ?? 0)
    return Stream.concat(Stream.fromIterable(rows(10).slice(next)), Stream.never).pipe(
      Stream.rechunk(1),
      Stream.mapEffect((row) => Effect.as(Effect.sleep("1 second"), row)),
      Stream.map((row) => ({ records: [new Record(row, row.id)], position: { next: row.id + 1 } }))
    )
  }
}

describe("Job", () => {
  it.effect("an empty source is done at once; a job that is done has nothing to do, and claims nothing", () =>
    Effect.gen(function*() {
      const { epoch, process } = yield* world()
      const run = (count: number) =>
        Effect.flatMap(
          Effect.forkChild(
            Job.run({ source: IterableSource.fromIterable(rows(count)), sink: { query } }).pipe(
              Effect.provide(process())
            )
          ),
          end
        )
      const first = yield* run(0)
      assert.deepStrictEqual([first.outcome, first.rows, first.committed, first.epoch], ["finished", 0, 0, 1])
      assert.strictEqual((yield* run(0)).outcome, "nothing-to-do")
      assert.strictEqual(yield* epoch, 1)
      // A source that has grown is gone on with.
      const grown = yield* run(5)
      assert.deepStrictEqual([grown.outcome, grown.rows, grown.committed, grown.epoch], ["finished", 5, 5, 2])
    }))

  it.effect("a stop takes a last checkpoint, commits it, and leaves what resumes", () =>
    Effect.gen(function*() {
      const { process, written } = yield* world()
      const session = Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({ source: endless, checkpoint: { interval: "1 hour" }, sink: { query } })
        yield* pass(3500)
        assert.strictEqual(yield* written, 0, "no checkpoint was due")
        yield* handle.stop
        return yield* end(yield* Effect.forkChild(handle.result))
      }))
      const first = yield* Effect.provide(session, process())
      assert.deepStrictEqual([first.outcome, first.rows, first.committed], ["stopped", 3, 3])
      assert.strictEqual(yield* written, 3)
    }))

  it.effect("a stop while the job waits to start again ends it", () =>
    Effect.gen(function*() {
      const { cluster, process } = yield* world()
      const session = Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({
          source: endless,
          checkpoint: { interval: "1 second", commitRetry: undefined },
          restart: RestartStrategy.fixedDelay({ attempts: 5, delay: "1 hour" }),
          sink: { query }
        })
        yield* TestClock.adjust("1 second")
        // Cassandra stays away for longer than anything is repeated: the run fails and waits an hour.
        cluster.setOutage(true)
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual((yield* handle.progress).restarts, 0)
        yield* handle.stop
        return yield* end(yield* Effect.forkChild(handle.result))
      }))
      const summary = yield* Effect.provide(session, process())
      assert.strictEqual(summary.outcome, "stopped")
    }))

  it.effect("onFailure is told of each run that fails, the last one too; that it dies is no reason for anything", () =>
    Effect.gen(function*() {
      const { cluster, process } = yield* world()
      const told: Array<Failure> = []
      const job = Job.run({
        source: endless,
        checkpoint: { interval: "1 second", commitRetry: Schedule.recurs(0) },
        restart: RestartStrategy.fixedDelay({ attempts: 2, delay: "3 seconds" }),
        sink: { query, sendRetry: Schedule.recurs(0) },
        onFailure: (failure) =>
          Effect.suspend(() => told.push(failure) === 1 ? Effect.die(new Error("no disk")) : Effect.void)
      })
      const fiber = yield* Effect.forkChild(Effect.provide(job, process()))
      yield* pass(2500)
      assert.deepStrictEqual(told, [])
      cluster.setOutage(true)
      const exit = yield* Effect.exit(end(fiber))
      assert.strictEqual(exit._tag, "Failure")
      // While it is away, no epoch is claimed: the later ones have that of the first.
      assert.deepStrictEqual(
        told.map(({ attempt, epoch, restartsInMillis }) => ({ attempt, epoch, restartsInMillis })),
        [
          { attempt: 1, epoch: 1, restartsInMillis: 3000 },
          { attempt: 2, epoch: 1, restartsInMillis: 3000 },
          { attempt: 3, epoch: 1, restartsInMillis: null }
        ]
      )
      for (const { error, message } of told) {
        assert.match(error, /^(?:CassandraError|CommitterError|SendFailed)$/)
        assert.isAbove(message.length, 10)
      }
      assert.deepStrictEqual(told.map(({ at }) => at), told.map(({ at }) => at).toSorted((a, b) => a - b))
    }))

  it.effect("a stop while Cassandra is away ends the job once its attempt has failed", () =>
    Effect.gen(function*() {
      const { cluster, process } = yield* world()
      const session = Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({
          source: endless,
          checkpoint: { interval: "1 second", commitRetry: Schedule.recurs(0) },
          restart: RestartStrategy.fixedDelay({ attempts: 1_000_000, delay: "1 second" }),
          sink: { query, sendRetry: Schedule.recurs(0) }
        })
        yield* pass(1000)
        cluster.setOutage(true)
        yield* handle.stop
        return yield* end(yield* Effect.forkChild(handle.result))
      }))
      assert.strictEqual((yield* Effect.provide(session, process())).outcome, "stopped")
    }))

  it.effect("sending the last rows may take longer than a checkpoint", () =>
    Effect.gen(function*() {
      const { process, written } = yield* world({
        onRequest: ({ kind, statements }) =>
          kind === "batch" && statements.some((cql) => cql.includes("sim.t"))
            ? { _tag: "Slow", beforeMillis: 5000, afterMillis: 5000 }
            : null
      })
      const fiber = yield* Job.run({
        source: IterableSource.fromIterable(rows(100)),
        checkpoint: { interval: "1 second", timeout: "2 seconds", tolerableFailures: 0 },
        restart: RestartStrategy.none,
        sink: { query, requestsInFlightMax: 1 }
      }).pipe(Effect.provide(process()), Effect.forkChild)
      const summary = yield* end(fiber)
      assert.deepStrictEqual([summary.committed, summary.restarts], [100, 0])
      assert.isAbove(summary.seconds, 60)
      assert.strictEqual(yield* written, 100)
    }))

  it.effect("a state of before ledgers had an id goes on in one that was lost, above the epochs that it knows", () =>
    Effect.gen(function*() {
      const { cluster, process, store, written } = yield* world()
      const run = (count: number) =>
        Effect.flatMap(
          Effect.forkChild(
            Job.run({ source: IterableSource.fromIterable(rows(count)), sink: { query } }).pipe(
              Effect.provide(process())
            )
          ),
          end
        )
      yield* run(10)
      assert.strictEqual((yield* run(20)).epoch, 2)
      yield* cluster.session().query("DROP TABLE flink_auxiliary.checkpoints_job")
      const { ledgerId: _, ...old } = store.manifests[0]!
      store.manifests.splice(0, store.manifests.length, old)
      const third = yield* run(30)
      assert.deepStrictEqual([third.epoch, third.rows, third.committed], [3, 10, 10])
      assert.strictEqual(store.manifests[0]!.epoch, 3)
      assert.strictEqual(yield* written, 30)
    }))

  it.effect("a second run on the same services is an epoch of its own", () =>
    Effect.gen(function*() {
      let refusing = true
      const { process, written } = yield* world({
        onRequest: ({ kind, statements }) =>
          refusing && kind === "batch" && statements.some((cql) => cql.includes("sim.t"))
            ? { _tag: "Unavailable" }
            : null
      })
      const run = (count: number) =>
        Job.run({
          source: IterableSource.fromIterable(rows(count), { chunkSize: 10 }),
          restart: RestartStrategy.none,
          sink: { query, sendRetry: Schedule.recurs(0) }
        })
      const both = Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(run(100)))._tag, "SendFailed")
        refusing = false
        return yield* run(200)
      })
      const summary = yield* end(yield* Effect.forkChild(Effect.provide(both, process())))
      assert.deepStrictEqual([summary.epoch, summary.committed], [2, 200])
      assert.strictEqual(yield* written, 200)
    }))

  it.effect("whoever waits for the result hears of it when the Scope closes first", () =>
    Effect.gen(function*() {
      const { process } = yield* world()
      const result = yield* Effect.scoped(Effect.map(
        Job.start({ source: endless, sink: { query } }),
        (handle) => handle.result
      )).pipe(Effect.provide(process()))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(result)))
    }))

  it.effect("a schedule that repeats everything does not repeat a row that is refused", () =>
    Effect.gen(function*() {
      const { process, written } = yield* world({ refuses: ({ row }) => row["id"] === 7 ? "no sevens" : null })
      const fiber = yield* Job.run({
        source: IterableSource.fromIterable(rows(20)),
        restart: RestartStrategy.none,
        sink: { query, sendRetry: Schedule.spaced("1 second") }
      }).pipe(Effect.provide(process()), Effect.flip, Effect.forkChild)
      const error = yield* end(fiber)
      assert.isTrue(error._tag === "RowRefused" && error.place === 7 && error.detail.includes("no sevens"))
      assert.isAtLeast(yield* written, 9, "what was beside it in its batch is in")
    }))

  it.effect("a statement that is refused claims nothing and is not tried again", () =>
    Effect.gen(function*() {
      const { epoch, process } = yield* world()
      const error = yield* Job.run({
        source: endless,
        sink: { query: "INSERT INTO sim.t (id, v) VALUES (?, ?) IF NOT EXISTS" }
      }).pipe(Effect.provide(process()), Effect.flip)
      assert.strictEqual(error._tag, "StatementRefused")
      assert.strictEqual(yield* epoch, 0)
    }))

  it.effect("a user's own error starts the job again, and ends it when the strategy does", () =>
    Effect.gen(function*() {
      const { epoch, process, written } = yield* world()
      let failures = 0
      const breaking = (times: number): Source<Row, string> => ({
        ...endless,
        read: () =>
          Stream.concat(
            Stream.succeed({ records: rows(3).map((row) => new Record(row, row.id)), position: { next: 3 } }),
            Stream.suspend(() => failures++ < times ? Stream.fail("broken") : Stream.empty)
          )
      })
      const run = (times: number) =>
        Effect.flatMap(
          Effect.forkChild(
            Effect.exit(
              Job.run({
                source: breaking(times),
                restart: RestartStrategy.fixedDelay({ attempts: 2, delay: "1 second" }),
                sink: { query }
              }).pipe(Effect.provide(process()))
            )
          ),
          end
        )
      const given = yield* run(3)
      assert.include(JSON.stringify(given), "broken")
      assert.strictEqual(yield* epoch, 3, "an epoch an attempt")
      assert.strictEqual(yield* written, 0, "nothing of an unfinished checkpoint was sent")
      failures = 0
      const mended = yield* run(2)
      assert.isTrue(mended._tag === "Success" && mended.value.restarts === 2)
      assert.strictEqual(yield* written, 3)
    }))

  it.effect("another number of subtasks continues what the one before left pending, each lineage with one owner", () =>
    Effect.gen(function*() {
      let refusing = true
      const { process, written } = yield* world({
        onRequest: ({ kind, statements }) =>
          refusing && kind === "batch" && statements.some((cql) => cql.includes("sim.t"))
            ? { _tag: "Unavailable" }
            : null
      })
      const source = IterableSource.fromIterable(rows(500), { chunkSize: 50 })
      const run = (parallelism: number) =>
        Effect.flatMap(
          Effect.forkChild(
            Effect.exit(
              Job.run({
                source,
                parallelism,
                restart: RestartStrategy.none,
                sink: { query, sendRetry: undefined }
              }).pipe(Effect.provide(process()))
            )
          ),
          end
        )
      assert.strictEqual((yield* run(5))._tag, "Failure")
      refusing = false
      const second = yield* run(2)
      assert.isTrue(second._tag === "Success" && second.value.committed === 500)
      assert.strictEqual(yield* written, 500)
    }))

  it.effect("the layers release what they hold, whatever the job was doing", () =>
    Effect.gen(function*() {
      const { process } = yield* world()
      const released: Array<string> = []
      const watched = Layer.effectDiscard(
        Effect.acquireRelease(Effect.void, () => Effect.sync(() => void released.push("released")))
      )
      const fiber = yield* Job.run({ source: endless, sink: { query } }).pipe(
        Effect.provide(Layer.merge(process(), watched)),
        Effect.forkChild
      )
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(released, [])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(released, ["released"])
    }))
})
