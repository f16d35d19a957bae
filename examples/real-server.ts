/**
 * One's own pipeline, tested on a real Cassandra: `node --test real-server.ts`, or the same in any other test runner.
 *
 * `CassandraServer` takes the cluster of CASSANDRA_CONTACT_POINTS, or starts one with Docker, or with Java and Maven, which is gone
 * with the test. The ledger is in the keyspace of the test, so nothing of it is left either.
 */
import { Effect, Layer } from "effect"
import { Barriers, CassandraCommitter, IterableSource, Job } from "effect-cassandra"
import * as MemoryStateBackend from "effect-cassandra/state/MemoryStateBackend"
import { CassandraServer, TableContent, TestKeyspace } from "effect-cassandra/testing"
import { equal } from "node:assert/strict"
import { test } from "node:test"

// What is tested: Fahrenheit is what comes, Celsius is what is kept.
const pipeline = Barriers.map(({ fahrenheit, sensor }: { readonly sensor: number; readonly fahrenheit: number }) => ({
  sensor,
  celsius: (fahrenheit - 32) / 1.8
}))

const program = Effect.gen(function*() {
  const keyspace = yield* TestKeyspace.make({
    schema: (keyspace) => [`CREATE TABLE ${keyspace}.by_sensor (sensor int PRIMARY KEY, celsius double, room text)`]
  })
  yield* TableContent.insert(keyspace, "by_sensor", [{ sensor: 1, celsius: 3, room: "attic" }])

  const names = { jobId: "readings", uid: "by_sensor" }
  const { committed } = yield* Job.run({
    source: IterableSource.fromIterable([
      { sensor: 1, fahrenheit: 50 },
      { sensor: 2, fahrenheit: 32 },
      { sensor: 1, fahrenheit: 68 }
    ]),
    pipeline,
    sink: { query: `INSERT INTO ${keyspace}.by_sensor (sensor, celsius) VALUES (?, ?)` }
  }).pipe(Effect.provide(Layer.mergeAll(
    CassandraCommitter.layer({ ...names, keyspace }),
    MemoryStateBackend.layer(names)
  )))

  equal(committed, 3)
  // Every row, and no other.
  yield* TableContent.expectTable(keyspace, "by_sensor", [
    { sensor: 1, celsius: 20, room: "attic" },
    { sensor: 2, celsius: 0, room: null }
  ])
})

test(
  "each sensor has its last reading, in Celsius",
  () => Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(CassandraServer.layerSession())))
)
