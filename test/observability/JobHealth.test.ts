/**
 * Ready or not, and why, of a job on a simulated Cassandra and virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import * as RestartStrategy from "../../src/checkpoint/RestartStrategy.ts"
import * as Job from "../../src/job/Job.ts"
import * as JobHealth from "../../src/observability/JobHealth.ts"
import type { Source } from "../../src/source/Source.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"
import { endless, makeCluster, pass, query } from "./endlessJob.ts"

const world = Effect.fnUntraced(function*() {
  const cluster = yield* makeCluster()
  const services = Layer.mergeAll(
    CassandraCommitter.layer({ jobId: "job", uid: "sink" }),
    MemoryStateBackend.layer({ jobId: "job", uid: "sink" }),
    JobHealth.layer({ checkpointAgeMax: "30 seconds" })
  ).pipe(Layer.provideMerge(SimulatedCassandra.layer(cluster)))
  return { cluster, services }
})

/** Long after the last answer, so that Cassandra is asked; long enough for it not to answer. */
const ask = Effect.gen(function*() {
  const { readiness } = yield* JobHealth.JobHealth
  const fiber = yield* Effect.forkChild(Effect.andThen(Effect.sleep("2 seconds"), readiness))
  yield* pass(5)
  return yield* Fiber.join(fiber)
})

const options = {
  source: endless,
  checkpoint: { interval: "1 second" },
  sink: { query }
} as const

describe("JobHealth", () => {
  it.effect("is ready while the job runs and checkpoints complete, and says in words why not", () =>
    Effect.gen(function*() {
      const { cluster, services } = yield* world()
      yield* Effect.scoped(Effect.gen(function*() {
        assert.deepStrictEqual(yield* ask, {
          ready: false,
          reasons: ["The job has not started: it is still connecting."]
        })
        const job = yield* Job.start(options)
        yield* (yield* JobHealth.JobHealth).watch({ job, session: yield* CassandraSession })
        yield* pass(40)
        assert.deepStrictEqual(yield* ask, { ready: true, reasons: [] })

        cluster.setOutage(true)
        const away = yield* ask
        assert.isFalse(away.ready)
        assert.strictEqual(away.reasons.length, 1)
        assert.match(away.reasons[0]!, /^Cassandra does not answer: /)
        yield* pass(60)
        const [, old] = (yield* ask).reasons
        assert.match(
          old ?? "",
          /^No checkpoint has completed for \S+.* \(at most 30s are expected\)\. Rows have been waiting for Cassandra for 1m/
        )

        cluster.setOutage(false)
        yield* pass(10)
        assert.deepStrictEqual(yield* ask, { ready: true, reasons: [] })
        yield* job.stop
        yield* pass(5)
        assert.deepStrictEqual((yield* ask).reasons, ["The job was stopped."])
      })).pipe(Effect.provide(services))
    }))

  it.effect("a job that waits to start again, or has given up, says what failed", () =>
    Effect.gen(function*() {
      const { services } = yield* world()
      yield* Effect.scoped(Effect.gen(function*() {
        const broken: Source<{ readonly id: number; readonly v: number }, string> = {
          ...endless,
          read: () => Stream.fail("the source is broken")
        }
        const job = yield* Job.start({
          ...options,
          source: broken,
          restart: RestartStrategy.fixedDelay({ attempts: 1, delay: "20 seconds" })
        })
        yield* (yield* JobHealth.JobHealth).watch({ job, session: yield* CassandraSession })
        assert.deepStrictEqual((yield* ask).reasons, [
          "The last run failed, and the next one has not begun: the source is broken"
        ])
        yield* pass(30)
        assert.deepStrictEqual((yield* ask).reasons, ["The job has failed: the source is broken"])
      })).pipe(Effect.provide(services))
    }))

  it.effect("many who ask at once are one question to Cassandra", () =>
    Effect.gen(function*() {
      const { cluster, services } = yield* world()
      yield* Effect.scoped(Effect.gen(function*() {
        const job = yield* Job.start({ ...options, checkpoint: { interval: "1 hour" } })
        const health = yield* JobHealth.JobHealth
        yield* health.watch({ job, session: yield* CassandraSession })
        yield* pass(2)
        const before = cluster.requests.get("select") ?? 0
        yield* Effect.all(Array.from({ length: 50 }, () => health.readiness), { concurrency: "unbounded" })
        assert.strictEqual((cluster.requests.get("select") ?? 0) - before, 1)
      })).pipe(Effect.provide(services))
    }))
})
