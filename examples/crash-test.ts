// A pipeline of one's own under crash tests: killed, frozen, without power, with failing disks and requests.
import { Console, Effect, Layer } from "effect"
import { Barriers, CassandraCommitter, IterableSource, Job } from "effect-cassandra"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"
import { CrashTest } from "effect-cassandra/testing"

const names = { jobId: "readings", uid: "by_sensor" }
const readings = Array.from({ length: 50 }, (_, i) => ({ sensor: i % 7, raw: i * 10 }))
const last = new Map(readings.map(({ raw, sensor }) => [sensor, raw / 10]))

// One process, as in production but for its input.
const main = ({ parallelism, takeOver }: CrashTest.CrashProcess) =>
  Job.run({
    source: IterableSource.fromIterable(readings, { chunkSize: 5 }),
    pipeline: Barriers.map(({ raw, sensor }) => ({ sensor, value: raw / 10 })),
    sink: { query: "INSERT INTO lab.by_sensor (sensor, value) VALUES (?, ?)" },
    checkpoint: { interval: "10 millis" },
    parallelism
  }).pipe(Effect.provide(Layer.mergeAll(
    CassandraCommitter.layer(names),
    FileStateBackend.layer({ ...names, directory: "/state", takeOver })
  )))

const report = CrashTest.hunt({
  setup: [
    "CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TABLE lab.by_sensor (sensor int PRIMARY KEY, value int)"
  ],
  main,
  // Whatever happened: each sensor has its last reading.
  check: ({ rows }) => {
    const found = new Map(rows("lab.by_sensor").map(({ row }) => [row["sensor"], row["value"]]))
    return [...last].filter(([sensor, value]) => found.get(sensor) !== value)
      .map(([sensor, value]) => `sensor ${sensor} has ${found.get(sensor)}, not ${value}`)
  }
}, { seeds: Number(process.argv[2] ?? 200) })

Effect.runSync(Console.log(
  report.failure === null
    ? `${report.runs} runs with ${report.deaths} deaths: nothing lost, nothing wrong`
    : CrashTest.explain(report.failure)
))
process.exitCode = report.failure === null ? 0 : 1
