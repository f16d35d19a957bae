/**
 * The library without driver and server: the schema comes from the simulated Cassandra, and each batch of rows is
 * accepted as soon as it is handed over. The ledger is in memory.
 *
 * `job` runs a whole job on files and subtracts what making the rows costs. `barrier` and `checkpoint` run as many
 * checkpoints as they can in some seconds, without and with rows, in memory and on files. `encode` encodes.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { CassandraSession } from "effect-cassandra/cassandra/CassandraSession"
import * as CheckpointCommitter from "effect-cassandra/checkpoint/CheckpointCommitter"
import * as Metrics from "effect-cassandra/checkpoint/CheckpointMetrics"
import { Record } from "effect-cassandra/checkpoint/Element"
import * as Job from "effect-cassandra/job/Job"
import * as ChunkEncoder from "effect-cassandra/sink/ChunkEncoder"
import * as Sink from "effect-cassandra/sink/WriteAheadSink"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"
import * as MemoryStateBackend from "effect-cassandra/state/MemoryStateBackend"
import { StateBackend } from "effect-cassandra/state/StateBackend"
import * as SimulatedCassandra from "effect-cassandra/testing/SimulatedCassandra"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type { BenchRow, Workload } from "../rows.ts"
import { insertInto, makeRowAt, tableColumns } from "../rows.ts"
import * as GeneratorSource from "./generatorSource.ts"
import { config, cpuSeconds, finish } from "./inside.ts"
import { uid } from "./services.ts"

export interface StubConfig {
  readonly mode: "job" | "barrier" | "checkpoint" | "encode"
  readonly workload: Workload
  readonly rows: number
  readonly parallelism: number
  readonly seconds: number
  readonly state: string
}

const options = config<StubConfig>()
const { workload } = options
const table = "bench.rows"
const sink = { query: insertInto(table, workload.shape) }

const Session = Layer.effect(
  CassandraSession,
  Effect.gen(function*() {
    const session = SimulatedCassandra.makeCluster().session()
    yield* session.query(
      "CREATE KEYSPACE bench WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    yield* session.query(`CREATE TABLE ${table} (${tableColumns(workload.shape)})`)
    return { ...session, batchesEncoded: (batches) => Effect.succeed(batches.map(() => null)) }
  })
)

let jobs = 0
/** A job that no run before it has left anything for. */
const fresh = <A, E>(
  self: Effect.Effect<A, E, CassandraSession | CheckpointCommitter.CheckpointCommitter | StateBackend>,
  inMemory: boolean
) =>
  Effect.suspend(() => {
    const names = { jobId: `stub_${jobs++}`, uid }
    const backend = inMemory
      ? MemoryStateBackend.layer(names)
      : Layer.provide(
        FileStateBackend.layer({ ...names, directory: `${options.state}-${names.jobId}` }),
        NodeServices.layer
      )
    return Effect.scoped(Effect.provide(self, Layer.mergeAll(Session, CheckpointCommitter.layerMemory(), backend)))
  })

/** CPU microseconds of `self`, all threads. */
const cpuMicros = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const before = cpuSeconds()
    return Effect.map(self, (value) => ({ value, micros: (cpuSeconds() - before) * 1e6 }))
  })

const emptyLoop = Effect.sync(() => {
  const rowAt = makeRowAt(workload)
  let sum = 0
  for (let i = 0; i < options.rows; i++) sum += rowAt(i).payload.length
  return sum
})

const wholeJob = Effect.gen(function*() {
  const source = GeneratorSource.make(workload, { rows: options.rows })
  const job = fresh(
    Job.run({ source, sink, parallelism: options.parallelism, checkpoint: { interval: "1 second" } }),
    false
  )
  // The first time is for the compiler.
  yield* emptyLoop
  yield* job
  const loop = yield* cpuMicros(emptyLoop)
  const measured = yield* cpuMicros(job)
  return {
    committed: measured.value.committed,
    microsPerRow: (measured.micros - loop.micros) / options.rows,
    loopMicrosPerRow: loop.micros / options.rows
  }
})

const encode = Effect.gen(function*() {
  const open = yield* Sink.open<BenchRow>(sink)
  const encoder = ChunkEncoder.make(open, options.parallelism)
  const rowAt = makeRowAt(workload)
  const chunk = Array.from({ length: 1024 }, (_, i) => new Record(rowAt(i), i))
  const chunks = Math.max(1, Math.round(options.rows / chunk.length))
  const loop = Effect.gen(function*() {
    let rows = 0
    const written = (parts: ChunkEncoder.Parts) =>
      Effect.sync(() => {
        for (const part of parts) {
          for (const element of part) {
            if ("_tag" in element) continue
            rows += element.rows
            element.release?.()
          }
        }
      })
    for (let i = 0; i < chunks; i++) yield* encoder.encode(chunk, written)
    return rows
  })
  yield* loop
  const { micros, value } = yield* cpuMicros(loop)
  return { nanosPerRow: micros * 1000 / value, rowsPerCpuSecond: value / micros * 1e6 }
})

const checkpoints = (withRows: boolean) => {
  const seals: Array<number> = []
  const manifests: Array<number> = []
  const timed = <A, E, R>(self: Effect.Effect<A, E, R>, into: Array<number>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const startedAt = performance.now()
      return Effect.tap(self, () => Effect.sync(() => into.push(performance.now() - startedAt)))
    })
  const source = withRows
    ? GeneratorSource.make(workload, { rows: Number.MAX_SAFE_INTEGER, rate: 20_000 })
    : GeneratorSource.make(workload, { rows: 0, isEndless: true })
  const run = Effect.gen(function*() {
    const handle = yield* Job.start({
      source,
      sink,
      parallelism: options.parallelism,
      checkpoint: { interval: withRows ? "20 millis" : "1 millis", minPause: 0 }
    })
    yield* Effect.sleep(500)
    const before = yield* handle.progress
    const { micros } = yield* cpuMicros(Effect.sleep(options.seconds * 1000))
    const taken = (yield* handle.progress).lastCheckpointId - before.lastCheckpointId
    yield* handle.stop
    yield* handle.result
    return { taken, cpuMicrosPerBarrier: micros / taken }
  })
  const watched = Effect.flatMap(StateBackend, (backend) =>
    Effect.provideService(run, StateBackend, {
      ...backend,
      createSegment: (header) =>
        Effect.map(backend.createSegment(header), (writer) => ({
          ...writer,
          seal: (checkpointId) => timed(writer.seal(checkpointId), seals)
        })),
      completeCheckpoint: (manifest) => timed(backend.completeCheckpoint(manifest), manifests)
    }))
  const median = (values: Array<number>) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
  return Effect.scoped(Effect.gen(function*() {
    const counts = yield* fresh(Effect.scoped(watched), !withRows)
    const latency = yield* Metric.value(Metrics.checkpointLatency)
    return {
      ...counts,
      checkpointMs: latency.sum / latency.count * 1000,
      slowestMs: latency.max * 1000,
      sealMs: median(seals),
      manifestMs: median(manifests)
    }
  }))
}

const modes = {
  job: wholeJob,
  encode: Effect.provide(encode, Session),
  barrier: checkpoints(false),
  checkpoint: checkpoints(true)
}

finish(await Effect.runPromise(modes[options.mode] as Effect.Effect<object, unknown>))
