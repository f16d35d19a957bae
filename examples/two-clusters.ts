/**
 * Rows into one cluster, the ledger of their checkpoints in another: two session layers.
 *
 * The cluster of the rows is named by CASSANDRA_CONTACT_POINTS and its like, the other one by LEDGER_CASSANDRA_....
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Config, Console, Effect, Layer } from "effect"
import { CassandraCommitter, CassandraConfig, CassandraSession, IterableSource, Job } from "effect-cassandra"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"

const names = { jobId: "primes", uid: "table" }

const isPrime = (n: number): boolean => {
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false
  return n > 1
}

const program = Effect.gen(function*() {
  const { committed, outcome } = yield* Job.run({
    source: IterableSource.fromIterable(
      Array.from({ length: 10_000 }, (_, n) => n).filter(isPrime).map((prime, i) => ({ i, prime }))
    ),
    sink: { query: "INSERT INTO numbers.primes (i, prime) VALUES (?, ?)" }
  })
  yield* Console.log(`${outcome}: ${committed} rows`)
})

// The committer takes its session from here, and nobody else does.
const Committer = CassandraCommitter.layer({ ...names, keyspace: "ledgers" }).pipe(
  Layer.provide(CassandraSession.layerConfig(Config.nested(CassandraConfig.config, "LEDGER")))
)

const Services = Layer.mergeAll(Committer, FileStateBackend.layer({ ...names, directory: "./state" })).pipe(
  Layer.provideMerge(CassandraSession.layerConfig(CassandraConfig.config)),
  Layer.provideMerge(NodeServices.layer)
)

NodeRuntime.runMain(Effect.provide(program, Services))
