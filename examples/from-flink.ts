/**
 * A job as docs/from-flink.md shows it beside the same job for Flink: the numbers are those of its parts there.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Config, Console, Effect, Layer } from "effect"
import { Barriers, CassandraCommitter, CassandraConfig, CassandraSession, Job, RestartStrategy } from "effect-cassandra"
import * as CsvSource from "effect-cassandra/source/CsvSource"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"

// 8: the names under which it resumes.
const names = { jobId: "readings", uid: "by_sensor" }

const program = Effect.gen(function*() {
  const { committed, outcome } = yield* Job.run({
    // 4: a source that can be read again.
    source: yield* CsvSource.make("readings.csv", { columns: ["sensor", "at", "fahrenheit"] }),
    // 5: operators.
    pipeline: (lines) =>
      lines.pipe(
        Barriers.filter(({ fahrenheit }) => fahrenheit !== null),
        Barriers.map(({ at, fahrenheit, sensor }) => [sensor, at, (Number(fahrenheit) - 32) / 1.8])
      ),
    // 7: the write-ahead sink.
    sink: { query: "INSERT INTO lab.readings (sensor, at, celsius) VALUES (?, ?, ?)", bind: (row) => row },
    parallelism: 2,
    // 1: checkpoints.
    checkpoint: {
      interval: "10 seconds",
      minPause: "5 seconds",
      timeout: "1 minute",
      maxConcurrent: 1,
      tolerableFailures: 2
    },
    // 3: restarts.
    restart: RestartStrategy.fixedDelay({ attempts: 3, delay: "10 seconds" })
  })
  yield* Console.log(`${outcome}: ${committed} rows`)
})

// 6: the cluster. Contact points, user and password come from the environment, the rest is said here.
const Session = CassandraSession.layerConfig(
  Config.map(CassandraConfig.config, (options) => ({ ...options, consistency: "LOCAL_QUORUM" as const }))
)

const Services = Layer.mergeAll(
  // 7: the committer.
  CassandraCommitter.layer({ ...names, keyspace: "flink_auxiliary" }),
  // 2: where checkpoints are kept.
  FileStateBackend.layer({ ...names, directory: "./checkpoints", retainedCheckpoints: 1 })
).pipe(Layer.provideMerge(Session), Layer.provideMerge(NodeServices.layer))

NodeRuntime.runMain(Effect.provide(program, Services))
