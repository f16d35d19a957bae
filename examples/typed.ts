/**
 * A typed sink, and one record to several statements: a stream of changes into the table of what is so now and the table
 * of all that was, each with a Schema that is compared with its table before a record is read.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer } from "effect"
import {
  CassandraCommitter,
  CassandraConfig,
  CassandraSession,
  IterableSource,
  Job,
  type WriteAheadSink
} from "effect-cassandra"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"
import * as Schema from "effect/Schema"

const Position = Schema.Struct({
  lat: Schema.NullOr(Schema.Finite),
  lon: Schema.NullOr(Schema.Finite)
})

/** The rows of fleet.ships. */
export const Ships = Schema.Struct({
  imo: Schema.BigInt,
  position: Schema.NullOr(Position),
  seen: Schema.NullOr(Schema.Date)
})
export type Ships = typeof Ships.Type

const names = { jobId: "ships", uid: "changes" }

interface Change {
  readonly type: "seen" | "scrapped"
  readonly imo: bigint
  readonly at: Date
  readonly lat: number
  readonly lon: number
}

const changes: ReadonlyArray<Change> = Array.from({ length: 900 }, (_, i) => ({
  type: i % 10 === 9 ? "scrapped" : "seen",
  imo: 9_700_000n + BigInt(i % 33),
  at: new Date(Date.UTC(2026, 0, 1, 0, i)),
  lat: 54 + i / 1000,
  lon: 8.5
}))

const sink: WriteAheadSink.WriteAheadSinkOptions<Change> = {
  statements: [
    {
      query: "INSERT INTO fleet.ships (imo, position, seen) VALUES (:imo, :position, :seen)",
      when: ({ type }) => type === "seen",
      bind: ({ at, imo, lat, lon }): Ships => ({ imo, position: { lat, lon }, seen: at }),
      schema: Ships
    },
    { query: "DELETE FROM fleet.ships WHERE imo = :imo", when: ({ type }) => type === "scrapped" },
    {
      query: "INSERT INTO fleet.changes (imo, at, type) VALUES (:imo, :at, :type) USING TTL 2592000",
      consistency: "LOCAL_ONE"
    }
  ]
}

const program = Effect.gen(function*() {
  const summary = yield* Job.run({ source: IterableSource.fromIterable(changes), sink, parallelism: 2 })
  yield* Console.log(`${summary.outcome}: ${summary.rows} changes, ${summary.committed} rows`)
})

const Services = Layer.mergeAll(
  CassandraCommitter.layer(names),
  FileStateBackend.layer({ ...names, directory: "./state" })
).pipe(
  Layer.provideMerge(CassandraSession.layerConfig(CassandraConfig.config)),
  Layer.provideMerge(NodeServices.layer)
)

NodeRuntime.runMain(Effect.provide(program, Services))
