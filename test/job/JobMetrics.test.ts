/**
 * What a job reports of itself, on a simulated Cassandra and virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Metric, Schedule, Stream } from "effect"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import * as CheckpointMetrics from "../../src/checkpoint/CheckpointMetrics.ts"
import type { Position } from "../../src/checkpoint/Position.ts"
import * as RestartStrategy from "../../src/checkpoint/RestartStrategy.ts"
import * as Job from "../../src/job/Job.ts"
import * as JobMetrics from "../../src/job/JobMetrics.ts"
import * as Ages from "../../src/observability/Ages.ts"
import * as SinkMetrics from "../../src/sink/SinkMetrics.ts"
import * as IterableSource from "../../src/source/IterableSource.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import { StateBackend } from "../../src/state/StateBackend.ts"
import { StateIoError } from "../../src/state/WalError.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"
import { endless, makeCluster, pass, query } from "../observability/endlessJob.ts"

const world = Effect.fnUntraced(function*(
  wrap: (backend: StateBackend["Service"]) => StateBackend["Service"] = (backend) => backend
) {
  let refusing = false
  const cluster = yield* makeCluster({
    onRequest: ({ kind, statements }) =>
      refusing && kind === "batch" && statements.some((cql) => cql.includes("sim.t")) ? { _tag: "Unavailable" } : null
  })
  const store = MemoryStateBackend.makeStore()
  const process = () =>
    Layer.mergeAll(
      CassandraCommitter.layer({ jobId: "job", uid: "sink" }),
      Layer.effect(StateBackend, Effect.map(StateBackend, wrap)).pipe(
        Layer.provide(MemoryStateBackend.layer({ jobId: "job", uid: "sink", store }))
      )
    ).pipe(Layer.provideMerge(SimulatedCassandra.layer(cluster)))
  /** Rows are not taken, while the ledger is written as always. */
  const refuseRows = (isRefusing: boolean) => {
    refusing = isRefusing
  }
  return { cluster, process, refuseRows }
})

const valueOf = (metric: Metric.Gauge<number>) => Effect.map(Metric.value(metric), ({ value }) => value)
const countOf = (metric: Metric.Counter<number>) => Effect.map(Metric.value(metric), ({ count }) => count)

const stateOf = Effect.map(
  Effect.filter(
    JobMetrics.jobStates,
    (state) => Effect.map(valueOf(JobMetrics.jobState(state)), (value) => value === 1)
  ),
  (states) => states.join()
)

const isolated = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(Effect.provide(Ages.layer), Effect.provideService(Metric.MetricRegistry, new Map()))

describe("metrics of a job", () => {
  it.effect("tells how much of the input is not read, and goes on from there in the next process", () =>
    isolated(Effect.gen(function*() {
      const { process } = yield* world()
      const lag = valueOf(JobMetrics.sourceLag)
      const input = IterableSource.fromIterable(Array.from({ length: 100 }, (_, id) => ({ id, v: id })), {
        chunkSize: 10
      })
      // Three chunks, and then it waits.
      const halting = {
        ...input,
        read: (from: Position | null) => Stream.concat(Stream.take(input.read(from), 3), Stream.never)
      }
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({ source: halting, checkpoint: { interval: "2 seconds" }, sink: { query } })
        yield* pass(1)
        assert.strictEqual(yield* lag, 70)
        const stopped = yield* Effect.forkChild(Effect.andThen(handle.stop, handle.result))
        yield* pass(5)
        yield* Fiber.join(stopped)
      })).pipe(Effect.provide(process()))
      yield* Metric.update(JobMetrics.sourceLag, -1)
      yield* Effect.scoped(Effect.gen(function*() {
        const hanging = { ...input, read: () => Stream.never }
        yield* Job.start({ source: hanging, checkpoint: { interval: "2 seconds" }, sink: { query } })
        yield* pass(1)
        assert.strictEqual(yield* lag, 70)
      })).pipe(Effect.provide(process()))
    })))

  it.effect("counts checkpoints and rows, and tells how old what is pending is while Cassandra is away", () =>
    isolated(Effect.gen(function*() {
      const { cluster, process } = yield* world()
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({ source: endless, checkpoint: { interval: "2 seconds" }, sink: { query } })
        yield* pass(21)
        assert.strictEqual(yield* stateOf, "running")
        const completed = yield* countOf(CheckpointMetrics.checkpointsCompleted)
        assert.isAtLeast(completed, 8)
        assert.strictEqual(yield* valueOf(CheckpointMetrics.lastCompletedId), completed)
        assert.strictEqual((yield* Metric.value(CheckpointMetrics.checkpointLatency)).count, completed)
        assert.strictEqual((yield* Metric.value(CheckpointMetrics.checkpointSize)).count, completed)
        assert.isAtLeast(yield* countOf(CheckpointMetrics.checkpointCommits), 8)
        assert.strictEqual(yield* valueOf(CheckpointMetrics.checkpointInterval), 2)
        assert.strictEqual(yield* valueOf(CheckpointMetrics.epoch), 1)
        assert.strictEqual(yield* countOf(JobMetrics.recordsRead), 20)
        const committed = yield* countOf(CheckpointMetrics.rowsCommitted)
        assert.strictEqual(yield* countOf(SinkMetrics.rowsSent), committed)
        const batches = yield* Metric.value(SinkMetrics.batchRows)
        assert.strictEqual(batches.sum, committed)
        assert.isAtMost(batches.count, committed)
        assert.isAtLeast(yield* countOf(SinkMetrics.bytesSent), committed * 8)
        assert.strictEqual(yield* valueOf(CheckpointMetrics.restoredTimestamp), 0, "it began anew")
        assert.strictEqual(yield* valueOf(CheckpointMetrics.pendingRows), 0)
        assert.strictEqual(yield* valueOf(CheckpointMetrics.oldestPendingTimestamp), 0)
        assert.isAtMost(yield* valueOf(Ages.lastCompleted), 3)

        cluster.setOutage(true)
        yield* pass(60)
        assert.strictEqual(yield* stateOf, "running")
        const rows = yield* valueOf(CheckpointMetrics.pendingRows)
        assert.isAtLeast(rows, 16)
        assert.isAtMost(rows + committed, yield* countOf(SinkMetrics.rowsLogged))
        assert.isAbove(yield* valueOf(CheckpointMetrics.pendingBytes), 0)
        assert.isAtLeast(yield* valueOf(SinkMetrics.logSize), yield* valueOf(CheckpointMetrics.pendingBytes))
        assert.strictEqual(yield* valueOf(CheckpointMetrics.pendingCheckpoints), 8, "no more are triggered")
        assert.approximately(yield* valueOf(Ages.oldestPending), 60, 4)
        assert.isAbove(yield* valueOf(Ages.lastCompleted), 30)
        const status = yield* handle.status
        assert.strictEqual(status.state, "running")
        assert.isAbove(status.oldestPendingAt!, status.startedAt)

        cluster.setOutage(false)
        yield* pass(20)
        assert.isAtMost(yield* valueOf(CheckpointMetrics.pendingCheckpoints), 1)
        assert.isAtMost(yield* valueOf(Ages.lastCompleted), 3)
        yield* handle.stop
        const fiber = yield* Effect.forkChild(handle.result)
        yield* pass(10)
        yield* Fiber.join(fiber)
        assert.strictEqual(yield* stateOf, "stopped")
        assert.strictEqual(yield* valueOf(CheckpointMetrics.pendingRows), 0)
        assert.strictEqual(yield* valueOf(SinkMetrics.logSize), 0)
        assert.strictEqual(yield* valueOf(Ages.lastCompleted), 0, "what is over does not grow old")
        assert.isAbove(yield* countOf(CheckpointMetrics.commitRetries), 0)
      })).pipe(Effect.provide(process()))
    })))

  it.effect("failures in a row count over restarts, and the age of the last success is not made younger by them", () =>
    isolated(Effect.gen(function*() {
      let isFull = false
      let adopting = false
      const { process } = yield* world((backend) => ({
        ...backend,
        completeCheckpoint: (manifest) =>
          isFull && !(adopting = !adopting)
            ? Effect.fail(new StateIoError({ path: "disk", operation: "write", code: null, detail: "no space" }))
            : backend.completeCheckpoint(manifest)
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Job.start({
          source: endless,
          checkpoint: { interval: "1 second" },
          restart: RestartStrategy.fixedDelay({ attempts: 100, delay: "1 second" }),
          sink: { query }
        })
        yield* pass(5)
        isFull = true
        adopting = true
        yield* pass(30)
        const failures = yield* valueOf(CheckpointMetrics.consecutiveFailures)
        assert.isAtLeast(failures, 5)
        assert.strictEqual(yield* countOf(CheckpointMetrics.checkpointsFailed["not-written"]), failures)
        assert.isAtLeast(yield* countOf(JobMetrics.jobRestarts), 5)
        assert.approximately(yield* valueOf(Ages.lastCompleted), 30, 3)
        assert.include((yield* handle.status).lastFailure ?? "", "no space")
        const restored = yield* valueOf(CheckpointMetrics.restoredTimestamp)
        assert.approximately(restored, (yield* Clock.currentTimeMillis) / 1000, 4, "each run goes on from a checkpoint")
        isFull = false
        yield* pass(10)
        assert.strictEqual(yield* valueOf(CheckpointMetrics.consecutiveFailures), 0)
        assert.isAtMost(yield* valueOf(Ages.lastCompleted), 3)
      })).pipe(Effect.provide(process()))
    })))

  it.effect("tells that a full log waits for Cassandra, and that the checkpoint behind it is under way, expires, and is no failure", () =>
    isolated(Effect.gen(function*() {
      const { process, refuseRows } = yield* world()
      const waiting = valueOf(CheckpointMetrics.subtasksWaiting)
      const underWay = valueOf(CheckpointMetrics.checkpointsInProgress)
      yield* Effect.scoped(Effect.gen(function*() {
        refuseRows(true)
        const handle = yield* Job.start({
          source: endless,
          checkpoint: { interval: "2 seconds", minPause: "0 seconds", timeout: "6 seconds" },
          // A few rows of it.
          sink: { query, pendingBytesMax: 300, sendRetry: Schedule.spaced("1 second") }
        })
        yield* pass(1)
        assert.deepStrictEqual([yield* waiting, yield* underWay], [0, 0])
        let most = 0
        for (let second = 0; second < 30; second++) {
          yield* pass(1)
          most = Math.max(most, yield* underWay)
        }
        assert.strictEqual(yield* waiting, 1)
        assert.strictEqual(most, 1)
        assert.strictEqual(yield* valueOf(SinkMetrics.pendingLimit), 300)
        assert.isAbove(yield* valueOf(SinkMetrics.logSize), 240, "as the alert on it wants it")
        assert.isAtLeast(yield* countOf(CheckpointMetrics.checkpointsFailed["back-pressured"]), 1)
        assert.strictEqual(yield* countOf(CheckpointMetrics.checkpointsFailed.expired), 0)
        assert.strictEqual(yield* valueOf(CheckpointMetrics.consecutiveFailures), 0)
        const read = yield* countOf(JobMetrics.recordsRead)
        yield* pass(10)
        assert.strictEqual(yield* countOf(JobMetrics.recordsRead), read, "nothing is read meanwhile")

        refuseRows(false)
        yield* pass(10)
        assert.deepStrictEqual([yield* waiting, yield* stateOf], [0, "running"])
        yield* handle.stop
        const fiber = yield* Effect.forkChild(handle.result)
        yield* pass(10)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual([yield* waiting, yield* underWay], [0, 0])
      })).pipe(Effect.provide(process()))
    })))

  it.effect("a process that was superseded counts it", () =>
    isolated(Effect.gen(function*() {
      const { process } = yield* world()
      const run = Job.run({ source: endless, checkpoint: { interval: "1 second" }, sink: { query } })
      const first = yield* Effect.forkChild(Effect.flip(Effect.provide(run, process())))
      yield* pass(5)
      assert.strictEqual(yield* countOf(CheckpointMetrics.fenced), 0)
      const second = yield* Effect.forkChild(
        Effect.provideService(Effect.provide(run, process()), Metric.MetricRegistry, new Map())
      )
      yield* pass(5)
      assert.strictEqual((yield* Fiber.join(first))._tag, "Fenced")
      assert.strictEqual(yield* countOf(CheckpointMetrics.fenced), 1)
      assert.strictEqual(yield* stateOf, "failed")
      yield* Fiber.interrupt(second)
    })))

  it.effect("what an earlier run left is replayed, and counted", () =>
    isolated(Effect.gen(function*() {
      const { process, refuseRows } = yield* world()
      const run = Job.run({
        source: endless,
        checkpoint: { interval: "1 second" },
        sink: { query, sendRetry: Schedule.spaced("1 second") }
      })
      const first = yield* Effect.forkChild(Effect.provide(run, process()))
      yield* pass(3)
      refuseRows(true)
      yield* pass(5)
      const pending = yield* valueOf(CheckpointMetrics.pendingCheckpoints)
      assert.isAbove(pending, 1)
      assert.isAtLeast(yield* countOf(SinkMetrics.sendRetries("Unavailable")), 4)
      yield* Fiber.interrupt(first)
      assert.strictEqual(yield* stateOf, "stopped")
      refuseRows(false)
      assert.strictEqual(yield* countOf(SinkMetrics.replays), 0)
      const second = yield* Effect.forkChild(Effect.provide(run, process()))
      yield* pass(5)
      assert.strictEqual(yield* countOf(SinkMetrics.replays), pending)
      assert.strictEqual(yield* valueOf(CheckpointMetrics.epoch), 2)
      yield* Fiber.interrupt(second)
    })))
})
