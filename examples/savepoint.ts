/**
 * A job that moves: a savepoint is taken of it while it runs, and another job goes on from there, under another name, with
 * another parallelism and a state directory of its own.
 *
 *     node examples/savepoint.ts                       loads some, takes a savepoint, stops, and prints its path
 *     node examples/savepoint.ts ./savepoints/...      goes on from it; run again after any end, it goes on where it is
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Schedule, Stream } from "effect"
import { CassandraCommitter, CassandraConfig, CassandraSession, IterableSource, Job } from "effect-cassandra"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"
import * as Savepoint from "effect-cassandra/state/Savepoint"

const [path] = process.argv.slice(2)

// What is the same in both lives of the job: the input and the statement.
const source = IterableSource.fromIterable(Array.from({ length: 40_000 }, (_, n) => ({ n, square: BigInt(n) ** 2n })))
const sink = {
  query: "INSERT INTO numbers.squares (n, square) VALUES (?, ?)",
  segmentBytesMax: 50_000,
  pendingBytesMax: 200_000
}
const checkpoint = { interval: "200 millis", minPause: 0 } as const

// A source is a value with a stream inside. This one gives its 40 chunks as an input would that is still being written, so
// that the first life has not read all of it when it ends.
const live: typeof source = {
  ...source,
  read: (from) => Stream.mapEffect(source.read(from), (chunk) => Effect.delay(Effect.succeed(chunk), "250 millis"))
}

const first = Effect.gen(function*() {
  const job = yield* Job.start({ source: live, sink, checkpoint, parallelism: 1 })
  yield* Effect.repeat(job.progress, {
    schedule: Schedule.spaced("20 millis"),
    until: ({ rowsCommitted }) => rowsCommitted > 0
  })
  // A checkpoint of its own, with the rows that are not known to be in Cassandra; the job goes on meanwhile.
  const { checkpoint: taken, describe } = yield* job.savepoint(Savepoint.writeTo("./savepoints"))
  yield* job.stop
  yield* job.result
  yield* Console.log(`savepoint of ${taken.records} records: ${describe}`)
})

const second = Effect.fnUntraced(function*(path: string) {
  // All of it is read and checked. Where this job has a state already, that counts, and not the savepoint.
  const fromSavepoint = yield* Savepoint.open(path)
  const { committed, outcome, rows } = yield* Job.run({ source, sink, checkpoint, parallelism: 4, fromSavepoint })
  yield* Console.log(`${outcome}: ${rows} records read behind the savepoint, ${committed} rows committed`)
})

// The ledger of the first job, in the same keyspace, is how a process of it that is still there is stopped.
const names = { jobId: path === undefined ? "squares" : "squares_moved", uid: "table" }

const Services = Layer.mergeAll(
  CassandraCommitter.layer(names),
  FileStateBackend.layer({ ...names, directory: `./state-${names.jobId}` })
).pipe(
  Layer.provideMerge(CassandraSession.layerConfig(CassandraConfig.config)),
  Layer.provideMerge(NodeServices.layer)
)

NodeRuntime.runMain(Effect.scoped(path === undefined ? first : second(path)).pipe(Effect.provide(Services)))
