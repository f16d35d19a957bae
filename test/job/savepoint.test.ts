/**
 * Savepoints of jobs in a program, on a simulated Cassandra, in memory and on a simulated disk.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Stream } from "effect"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import * as RestartStrategy from "../../src/checkpoint/RestartStrategy.ts"
import * as Job from "../../src/job/Job.ts"
import type { Source } from "../../src/source/Source.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import * as Savepoint from "../../src/state/Savepoint.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import type { Row } from "./timedRows.ts"
import { timedRows } from "./timedRows.ts"
import { end, pass, toEnd } from "./virtualTime.ts"

const query = "INSERT INTO sim.t (id, v) VALUES (?, ?)"

/** A row a second, of four keys by turns. */
const seconds = (count: number) => timedRows(count, 1000, 4)

const hour = { interval: "1 hour" } as const

const world = Effect.gen(function*() {
  const cluster = SimulatedCassandra.makeCluster()
  const setup = cluster.session()
  yield* setup.query("CREATE KEYSPACE sim WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
  yield* setup.query("CREATE TABLE sim.t (id int PRIMARY KEY, v int)")
  yield* setup.query("CREATE TABLE sim.other (id int PRIMARY KEY, v int)")
  const disk = SimulatedDisk.make()
  /** A process of a job; what is in memory of its state backend stands for its disk, savepoints lie on a real one. */
  const process = (jobId: string, store = MemoryStateBackend.makeStore()) =>
    Layer.mergeAll(
      CassandraCommitter.layer({ jobId, uid: "sink" }),
      MemoryStateBackend.layer({ jobId, uid: "sink", store }),
      disk.boot().layer
    ).pipe(Layer.provideMerge(SimulatedCassandra.layer(cluster)))
  const table = Effect.map(
    cluster.rows("sim.t"),
    (all) => all.map(({ row }) => [Number(row["id"]), Number(row["v"])] as const).toSorted(([a], [b]) => a - b)
  )
  const ledger = (jobId: string) =>
    Effect.map(
      cluster.rows(`flink_auxiliary.checkpoints_${jobId}`),
      (all) => new Map(all.map(({ row }) => [Number(row["sub_id"]), Number(row["checkpoint_id"])]))
    )
  /** Jobs that read a source, each to its end, whatever that is. */
  const jobsOf = (source: Source<Row>) => (jobId: string, options: object, store: MemoryStateBackend.MemoryStore) =>
    toEnd(
      Effect.exit(Job.run({ source, checkpoint: hour, sink: { query }, ...options })).pipe(
        Effect.provide(process(jobId, store))
      )
    )
  return { cluster, process, table, ledger, jobsOf }
})

describe("JobHandle.savepoint and Job.start({ fromSavepoint })", () => {
  it.effect("a running job gives a checkpoint of now, and goes on; another job goes on from it", () =>
    Effect.gen(function*() {
      const { ledger, process, table } = yield* world
      const [savepoint, stillRunning] = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({ source: seconds(100), checkpoint: hour, sink: { query } })
        yield* pass(3500)
        const savepoint = yield* end(yield* Effect.forkChild(handle.savepoint(Savepoint.writeTo("/savepoints"))))
        const { state } = yield* handle.status
        return [savepoint, state] as const
      })).pipe(Effect.provide(process("a")))
      assert.strictEqual(stillRunning, "running")
      assert.deepStrictEqual([savepoint.checkpoint.position, savepoint.checkpoint.records], [{ next: 3 }, 3])
      const summary = yield* Effect.gen(function*() {
        const fromSavepoint = yield* Savepoint.open(savepoint.describe)
        const fiber = yield* Effect.forkChild(
          Job.run({ source: seconds(6), fromSavepoint, parallelism: 3, checkpoint: hour, sink: { query } })
        )
        return yield* end(fiber)
      }).pipe(Effect.provide(process("b")))
      assert.deepStrictEqual([summary.outcome, summary.rows], ["finished", 3])
      assert.deepStrictEqual(yield* table, [[0, 4], [1, 5], [2, 2], [3, 3]])
      const [a, b] = [yield* ledger("a"), yield* ledger("b")]
      assert.strictEqual(a.get(-1), 2, "the old name is superseded")
      assert.isAtLeast(b.get(-3)!, Math.max(a.get(-3) ?? 0, savepoint.checkpoint.maxTimestamp), "and known to be below")
    }))

  it.effect("a job that has ended, or waits to start again, gives its last checkpoint; one without any says so", () =>
    Effect.gen(function*() {
      const { cluster, process } = yield* world
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({ source: seconds(5), checkpoint: hour, sink: { query } })
        const early = yield* Effect.flip(handle.savepoint(Savepoint.writeTo("/savepoints")))
        assert.match(String(early), /no completed checkpoint yet/)
        yield* end(yield* Effect.forkChild(handle.result))
        const { checkpoint } = yield* handle.savepoint(Savepoint.writeTo("/savepoints"))
        assert.deepStrictEqual([checkpoint.finished, checkpoint.records, checkpoint.pending], [true, 5, []])
      })).pipe(Effect.provide(process("ended")))
      yield* Effect.scoped(Effect.gen(function*() {
        let fails = false
        const source = seconds(100)
        const handle = yield* Job.start({
          source: {
            ...source,
            read: (from) => Stream.tap(source.read(from), () => fails ? Effect.fail("broken" as const) : Effect.void)
          },
          checkpoint: { interval: "1 second", minPause: "0 seconds" },
          restart: RestartStrategy.fixedDelay({ attempts: 5, delay: "1 hour" }),
          sink: { query }
        })
        yield* pass(3500)
        fails = true
        const waiting = yield* Effect.forkChild(handle.savepoint(Savepoint.writeTo("/savepoints")))
        const { checkpoint } = yield* end(waiting)
        assert.isAtLeast(checkpoint.records, 2)
        yield* pass(2000)
        assert.strictEqual((yield* handle.status).state, "restarting")
        const last = yield* end(yield* Effect.forkChild(handle.savepoint(Savepoint.writeTo("/savepoints"))))
        assert.isAtLeast(last.checkpoint.records, checkpoint.records)
      })).pipe(Effect.provide(process("failing")))
      assert.isAbove((yield* cluster.rows("sim.t")).length, 0)
    }))

  it.effect("restored once: the same again goes on, another one is refused, and a refused statement claims nothing", () =>
    Effect.gen(function*() {
      const { ledger, process } = yield* world
      const savepoints = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({ source: seconds(4), checkpoint: hour, sink: { query } })
        yield* pass(2500)
        const first = yield* end(yield* Effect.forkChild(handle.savepoint(Savepoint.writeTo("/savepoints"))))
        yield* end(yield* Effect.forkChild(handle.result))
        return [first, yield* handle.savepoint(Savepoint.writeTo("/savepoints"))] as const
      })).pipe(Effect.provide(process("a")))
      const store = MemoryStateBackend.makeStore()
      const run = (fromSavepoint: Savepoint.Savepoint, statement = query) =>
        Effect.flatMap(
          Effect.forkChild(
            Effect.exit(Job.run({ source: seconds(8), fromSavepoint, checkpoint: hour, sink: { query: statement } }))
              .pipe(
                Effect.provide(process("b", store))
              )
          ),
          end
        )
      const refused = yield* run(savepoints[0], "INSERT INTO sim.nowhere (id) VALUES (?)")
      assert.isTrue(Exit.isFailure(refused))
      assert.deepStrictEqual([(yield* ledger("a")).get(-1), (yield* ledger("b")).size], [1, 0])
      const done = yield* run(savepoints[0])
      assert.isTrue(Exit.isSuccess(done) && done.value.rows === 6)
      const again = yield* run(savepoints[0])
      assert.isTrue(Exit.isSuccess(again) && again.value.outcome === "nothing-to-do")
      assert.strictEqual((yield* ledger("a")).get(-1), 2)
      const other = yield* run(savepoints[1])
      assert.match(String(other), /can't be restored into memory: .*, restored from savepoint .*another --job/)
    }))

  it.effect("a name that was used before: its ledger has the same ids, and the savepoint's rows are sent all the same", () =>
    Effect.gen(function*() {
      const { ledger, process, table } = yield* world
      // Ten checkpoints of another life of this name, whose state is lost.
      const before = Job.run({
        source: seconds(10),
        checkpoint: { interval: "1 second", minPause: "0 seconds" },
        sink: { query: "INSERT INTO sim.other (id, v) VALUES (?, ?)" }
      })
      yield* end(yield* Effect.forkChild(Effect.provide(before, process("b"))))
      const committed = (yield* ledger("b")).get(0)!
      const savepoint = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({ source: seconds(100), checkpoint: hour, sink: { query } })
        yield* pass(3500)
        return yield* end(yield* Effect.forkChild(handle.savepoint(Savepoint.writeTo("/savepoints"))))
      })).pipe(Effect.provide(process("a")))
      const [pending] = savepoint.checkpoint.pending
      assert.isAtMost(pending!.checkpointId, committed, "the ledger would call it committed")
      const run = Job.run({ source: seconds(3), fromSavepoint: savepoint, checkpoint: hour, sink: { query } })
      const summary = yield* end(yield* Effect.forkChild(Effect.provide(run, process("b"))))
      assert.deepStrictEqual([summary.rows, summary.committed], [0, 3])
      assert.deepStrictEqual(yield* table, [[0, 0], [1, 1], [2, 2]])
      assert.isAbove((yield* ledger("b")).get(0)!, committed)
    }))

  it.effect("a job that was moved is not started under its old name, unless it is taken back", () =>
    Effect.gen(function*() {
      const { cluster, ledger, process, table, jobsOf } = yield* world
      const store = MemoryStateBackend.makeStore()
      const savepoint = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({ source: seconds(100), checkpoint: hour, sink: { query } })
        yield* pass(3500)
        return yield* end(yield* Effect.forkChild(handle.savepoint(Savepoint.writeTo("/savepoints"))))
      })).pipe(Effect.provide(process("a", store)))
      const run = jobsOf(seconds(6))
      const other = MemoryStateBackend.makeStore()
      assert.isTrue(Exit.isSuccess(yield* run("b", { fromSavepoint: savepoint }, other)))
      const before = yield* ledger("a")
      const refused = yield* run("a", {}, store)
      assert.match(String(refused), /Job 'a' \(uid 'sink'\) was taken over by job 'b' .*--take-over-from b/)
      assert.match(String(yield* run("a", { takeOverFrom: "c" }, store)), /was taken over by job 'b'/)
      const mistaken = { takeOverFrom: "b", sink: { query: "INSERT INTO sim.nowhere (id) VALUES (?)" } }
      assert.isTrue(Exit.isFailure(yield* run("a", mistaken, store)))
      assert.deepStrictEqual(yield* ledger("a"), before, "nobody is disturbed")
      const back = yield* run("a", { takeOverFrom: "b" }, store)
      assert.isTrue(Exit.isSuccess(back) && back.value.rows === 3, String(back))
      assert.deepStrictEqual(yield* table, [[0, 4], [1, 5], [2, 2], [3, 3]])
      const written = (yield* cluster.rows("sim.t")).map(({ writetimes }) => Number(writetimes.get("v")))
      assert.isAtLeast((yield* ledger("a")).get(-3)!, Math.max(...written))
      // The other says where it has gone on, whether it had come to its end or has more to read.
      const ended = yield* run("b", { fromSavepoint: savepoint }, other)
      assert.match(String(ended), /Job 'b' \(uid 'sink'\) was taken over by job 'a'/)
      const more = yield* run("b", { fromSavepoint: savepoint, source: seconds(8) }, other)
      assert.match(String(more), /Job 'b' \(uid 'sink'\) was taken over by job 'a'/)
    }))

  it.effect("one that is done says who has gone on from it, and can be taken back; then there is nothing to do", () =>
    Effect.gen(function*() {
      const { ledger, process, jobsOf } = yield* world
      const own = MemoryStateBackend.makeStore()
      const savepoint = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({ source: seconds(4), checkpoint: hour, sink: { query } })
        yield* end(yield* Effect.forkChild(handle.result))
        return yield* handle.savepoint(Savepoint.writeTo("/savepoints"))
      })).pipe(Effect.provide(process("a", own)))
      const run = jobsOf(seconds(4))
      const isDone = (exit: Effect.Success<ReturnType<typeof run>>) =>
        Exit.isSuccess(exit) && exit.value.outcome === "nothing-to-do"
      assert.isTrue(isDone(yield* run("a", {}, own)))
      const other = MemoryStateBackend.makeStore()
      assert.isTrue(isDone(yield* run("b", { fromSavepoint: savepoint }, other)))
      const before = [yield* ledger("a"), yield* ledger("b")]
      const taken = /Job 'a' \(uid 'sink'\) was taken over by job 'b'/
      assert.match(String(yield* run("a", {}, own)), taken)
      assert.match(String(yield* run("a", { takeOverFrom: "c" }, own)), taken)
      const mistaken = { takeOverFrom: "b", sink: { query: "INSERT INTO sim.nowhere (id) VALUES (?)" } }
      assert.isTrue(Exit.isFailure(yield* run("a", mistaken, own)))
      assert.deepStrictEqual([yield* ledger("a"), yield* ledger("b")], before, "nothing is claimed by asking")
      for (let time = 0; time < 2; time++) assert.isTrue(isDone(yield* run("a", { takeOverFrom: "b" }, own)))
      assert.isTrue(isDone(yield* run("a", {}, own)))
      assert.match(String(yield* run("b", {}, other)), /Job 'b' \(uid 'sink'\) was taken over by job 'a'/)
      assert.strictEqual((yield* ledger("a")).get(-1), before[0]!.get(-1)! + 1, "claimed once")
    }))

  it.effect("one that was ahead of the savepoint is not taken back behind it, where older values would stay; from the savepoint it is", () =>
    Effect.gen(function*() {
      const { process, table, jobsOf } = yield* world
      const own = MemoryStateBackend.makeStore()
      const savepoint = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({ source: seconds(6), checkpoint: hour, sink: { query } })
        yield* pass(1500)
        const taken = yield* end(yield* Effect.forkChild(handle.savepoint(Savepoint.writeTo("/savepoints"))))
        yield* end(yield* Effect.forkChild(handle.result))
        return taken
      })).pipe(Effect.provide(process("a", own)))
      const run = jobsOf(seconds(6))
      const all: Array<readonly [number, number]> = [[0, 4], [1, 5], [2, 2], [3, 3]]
      assert.deepStrictEqual(yield* table, all)
      // It reads one record again, and is given up.
      const given = yield* run("b", { fromSavepoint: savepoint, source: seconds(2) }, MemoryStateBackend.makeStore())
      assert.isTrue(Exit.isSuccess(given))
      assert.deepStrictEqual(yield* table, [[0, 4], [1, 1], [2, 2], [3, 3]])
      const tooLate = yield* run("a", { takeOverFrom: "b" }, own)
      assert.match(
        String(tooLate),
        /Job 'a' \(uid 'sink'\) can't go on behind 6 records: job 'b' \(uid 'sink'\) has gone on from a point behind 1 records/
      )
      const back = { fromSavepoint: savepoint, takeOverFrom: "b" }
      assert.isTrue(Exit.isSuccess(yield* run("a", back, MemoryStateBackend.makeStore())))
      assert.deepStrictEqual(yield* table, all)
    }))

  it.effect("a ledger elsewhere is said not to be stopped", () =>
    Effect.gen(function*() {
      const { process } = yield* world
      const savepoint = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({ source: seconds(4), checkpoint: hour, sink: { query } })
        yield* end(yield* Effect.forkChild(handle.result))
        return yield* handle.savepoint(Savepoint.writeTo("/savepoints"))
      })).pipe(Effect.provide(process("a")))
      const said: Array<string> = []
      const elsewhere = yield* world
      const run = Job.run({ source: seconds(4), fromSavepoint: savepoint, checkpoint: hour, sink: { query } }).pipe(
        Effect.provide(elsewhere.process("b")),
        Effect.provide(Logger.layer([Logger.make(({ message }) => said.push(String(message)))]))
      )
      const summary = yield* end(yield* Effect.forkChild(run))
      assert.strictEqual(summary.outcome, "nothing-to-do")
      assert.isTrue(said.some((text) =>
        /savepoint is of job 'a' \(uid 'sink'\), whose ledger was \S+checkpoints_a .*do not start it again/
          .test(text)
      ))
    }))
})
