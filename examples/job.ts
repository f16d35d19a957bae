/**
 * A job out of its parts: a file of measurements, an operator, a table; the session, the ledger and the log as Layers.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer } from "effect"
import { Barriers, CassandraCommitter, CassandraConfig, CassandraSession, Job, RestartStrategy } from "effect-cassandra"
import * as NdjsonSource from "effect-cassandra/source/NdjsonSource"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"

const names = { jobId: "measurements", uid: "by_station" }

const program = Effect.gen(function*() {
  const summary = yield* Job.run({
    source: yield* NdjsonSource.make(process.argv[2] ?? "measurements.ndjson"),
    pipeline: Barriers.map((line) => ({
      station: line["station"],
      at: line["time"],
      celsius: (Number(line["fahrenheit"]) - 32) / 1.8
    })),
    sink: { query: "INSERT INTO weather.by_station (station, at, celsius) VALUES (:station, :at, :celsius)" },
    parallelism: 4,
    checkpoint: { interval: "10 seconds" },
    restart: RestartStrategy.fixedDelay({ attempts: 3, delay: "10 seconds" })
  })
  yield* Console.log(
    `${summary.outcome}: ${summary.committed} rows, ${summary.replayedCheckpoints} checkpoints replayed`
  )
})

// Contact points, data centre, user and password come from the environment (CASSANDRA_CONTACT_POINTS, ...).
const Session = CassandraSession.layerConfig(CassandraConfig.config)

const Services = Layer.mergeAll(
  CassandraCommitter.layer({ ...names, keyspace: "flink_auxiliary" }),
  FileStateBackend.layer({ ...names, directory: "./state" })
).pipe(Layer.provideMerge(Session), Layer.provideMerge(NodeServices.layer))

NodeRuntime.runMain(Effect.provide(program, Services))
