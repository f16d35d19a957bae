/**
 * A job that sets bad records aside instead of ending at the first one, and one that loads them when they were mended.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer } from "effect"
import { CassandraCommitter, CassandraConfig, CassandraSession, Job } from "effect-cassandra"
import * as DeadLetterFile from "effect-cassandra/sink/DeadLetterFile"
import * as DeadLetterSource from "effect-cassandra/source/DeadLetterSource"
import * as NdjsonSource from "effect-cassandra/source/NdjsonSource"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"

const query = "INSERT INTO shop.orders (id, amount) VALUES (:id, :amount)"

// Lines that are no JSON are handed on too; without `malformed` they would end the job.
const load = Effect.gen(function*() {
  const source = yield* NdjsonSource.make("orders.ndjson", { malformed: "reject" })
  return yield* Job.run({ source, sink: { query } })
})

// Each row has the write timestamp that it would have had, so what was written to its key since then stays.
const replay = (file: string) =>
  Effect.gen(function*() {
    const { source, timestampOf } = yield* DeadLetterSource.make(file)
    return yield* Job.run({ source, sink: { query, timestampOf } })
  })

// A job of its own for each: its state, its ledger, its letters. Three bad records of a hundred are too many.
const services = (jobId: string) =>
  Layer.mergeAll(
    CassandraCommitter.layer({ jobId, uid: "orders" }),
    FileStateBackend.layer({ jobId, uid: "orders", directory: `./state-${jobId}` }),
    DeadLetterFile.layer({ path: `${jobId}.letters.ndjson`, maxErrors: "2%" })
  ).pipe(
    Layer.provideMerge(CassandraSession.layerConfig(CassandraConfig.config)),
    Layer.provideMerge(NodeServices.layer)
  )

const [file] = process.argv.slice(2)

const program = file === undefined
  ? Effect.provide(load, services("shop"))
  : Effect.provide(replay(file), services("shop_replay"))

NodeRuntime.runMain(
  Effect.flatMap(
    program,
    ({ committed, deadLetters }) => Console.log(`${committed} rows in the table, ${deadLetters} set aside`)
  )
)
