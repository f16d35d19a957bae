/**
 * A job that can be watched: metrics and health beside it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer } from "effect"
import { CassandraCommitter, CassandraConfig, CassandraSession, IterableSource, Job } from "effect-cassandra"
import * as JobHealth from "effect-cassandra/observability/JobHealth"
import * as MetricsServer from "effect-cassandra/observability/MetricsServer"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"
import * as HttpServer from "effect/http/HttpServer"

const names = { jobId: "cubes", uid: "table" }

const program = Effect.scoped(Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  yield* Console.log(`Metrics at ${HttpServer.formatAddress(address)}/metrics`)
  const job = yield* Job.start({
    source: IterableSource.fromIterable(Array.from({ length: 10_000 }, (_, n) => ({ n, cube: n ** 3 }))),
    sink: { query: "INSERT INTO numbers.cubes (n, cube) VALUES (?, ?)" }
  })
  // From here on, /ready tells of this job.
  const health = yield* JobHealth.JobHealth
  yield* health.watch({ job, session: yield* CassandraSession.CassandraSession })
  const { committed, outcome } = yield* job.result
  yield* Console.log(`${outcome}: ${committed} rows`)
}))

const Watched = MetricsServer.layer({ port: Number(process.argv[2] ?? 9464) }).pipe(
  Layer.provideMerge(JobHealth.layer())
)

const Services = Layer.mergeAll(
  CassandraCommitter.layer(names),
  FileStateBackend.layer({ ...names, directory: "./state" })
).pipe(
  Layer.provideMerge(CassandraSession.layerConfig(CassandraConfig.config)),
  Layer.provideMerge(NodeServices.layer),
  Layer.provideMerge(Watched)
)

NodeRuntime.runMain(Effect.provide(program, Services))
