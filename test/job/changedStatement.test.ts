/**
 * A job that is started with another statement while rows of the one before wait in its log.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric } from "effect"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import * as CheckpointMetrics from "../../src/checkpoint/CheckpointMetrics.ts"
import * as Job from "../../src/job/Job.ts"
import * as SinkMetrics from "../../src/sink/SinkMetrics.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import { StateBackend } from "../../src/state/StateBackend.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"
import { endless, makeCluster, pass, query } from "../observability/endlessJob.ts"

describe("a job with another statement than its log", () => {
  it.effect("is refused before a row is logged, however slow its disk is, and goes on with the first one", () =>
    Effect.gen(function*() {
      let takesRows = false
      const cluster = yield* makeCluster({
        onRequest: ({ kind, statements }) =>
          !takesRows && kind === "batch" && statements.some((cql) => cql.includes("sim.t"))
            ? { _tag: "Unavailable" }
            : null
      })
      const store = MemoryStateBackend.makeStore()
      const names = { jobId: "job", uid: "sink" }
      const slow = (backend: StateBackend["Service"]) => ({
        ...backend,
        openSegment: (handle: Parameters<typeof backend.openSegment>[0]) =>
          Effect.delay(backend.openSegment(handle), "10 seconds")
      })
      const start = (statement: string) =>
        Job.run({ source: endless, checkpoint: { interval: "1 second" }, sink: { query: statement } }).pipe(
          Effect.provide(
            Layer.mergeAll(
              CassandraCommitter.layer(names),
              Layer.effect(StateBackend, Effect.map(StateBackend, slow)).pipe(
                Layer.provide(MemoryStateBackend.layer({ ...names, store }))
              )
            ).pipe(Layer.provideMerge(SimulatedCassandra.layer(cluster)))
          )
        )
      const logged = Effect.map(Metric.value(SinkMetrics.rowsLogged), ({ count }) => count)

      const first = yield* Effect.forkChild(start(query))
      yield* pass(20)
      yield* Fiber.interrupt(first)
      const before = yield* logged
      assert.isAbove(before, 0)

      const second = yield* Effect.forkChild(Effect.flip(start(`${query} USING TTL 60`)))
      yield* pass(15)
      const refused = yield* Fiber.join(second)
      assert.strictEqual(refused._tag, "SinkMisuse")
      assert.include(refused.message, "USING TTL 60")
      assert.strictEqual(yield* logged, before)

      takesRows = true
      const third = yield* Effect.forkChild(start(query))
      yield* pass(40)
      assert.isAbove((yield* Metric.value(CheckpointMetrics.rowsCommitted)).count, 0)
      yield* Fiber.interrupt(third)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})
