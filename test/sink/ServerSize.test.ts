import { assert, layer } from "@effect/vitest"
import { Client } from "cassandra-driver"
import { Effect, Layer, Stream } from "effect"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import * as Barriers from "../../src/checkpoint/Barriers.ts"
import { layerMemory } from "../../src/checkpoint/CheckpointCommitter.ts"
import type { BatchBounds } from "../../src/sink/BatchPlan.ts"
import { defaultBounds } from "../../src/sink/BatchPlan.ts"
import * as WriteAheadSink from "../../src/sink/WriteAheadSink.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import { contactPoints, keyspace, live, localDataCenter, makeKeyspace, makeTable } from "../real/fixture.ts"

const memory = Layer.mergeAll(layerMemory(), MemoryStateBackend.layer({ jobId: "job", uid: "sink" }))
const coordinator = WriteAheadSink.layerCoordinator({ interval: "50 millis" }).pipe(Layer.provideMerge(memory))

const text = (length: number) => "x".repeat(length)
const numbers = (length: number) => Array.from({ length }, (_, i) => i)

/** Columns beside the key, and the values of one row: each counts for more on the server than on the wire in its own way. */
const shapes: ReadonlyArray<readonly [name: string, columns: string, values: Readonly<Record<string, unknown>>]> = [
  ["a long text", "a text", { a: text(1000) }],
  [
    "many short values",
    numbers(60).map((i) => `c${i} tinyint`).join(", "),
    Object.fromEntries(numbers(60).map((i) => [`c${i}`, 1]))
  ],
  [
    "many nulls",
    numbers(60).map((i) => `c${i} tinyint`).join(", "),
    Object.fromEntries(numbers(60).map((i) => [`c${i}`, null]))
  ],
  ["a set", "a set<int>", { a: numbers(60) }],
  ["a map", "a map<text, text>", { a: Object.fromEntries(numbers(40).map((i) => [`key${i}`, "value"])) }],
  ["a frozen set", "a frozen<set<int>>", { a: numbers(60) }],
  ["a user-defined type", "a point", { a: { x: 1, y: null, name: text(10) } }],
  ["sets, and what is null or empty", "a set<text>, b set<int>, c set<int>", { a: [text(200)], b: null, c: [] }]
]

layer(live, { timeout: 120_000, excludeTestServices: true })("ServerSize", (it) => {
  /** Writes 100 rows of as many partitions, and gives what the server warned of, and the requests it took. */
  const warnings = Effect.fnUntraced(
    function*(columns: string, values: Readonly<Record<string, unknown>>, batchBounds: BatchBounds) {
      yield* makeKeyspace
      yield* (yield* CassandraSession.CassandraSession).query(
        `CREATE TYPE IF NOT EXISTS ${keyspace}.point (x int, y int, name text)`
      )
      const table = yield* makeTable(`id int PRIMARY KEY, ${columns}`)
      const client = yield* Effect.acquireRelease(
        Effect.sync(() =>
          new Client({
            contactPoints: [...contactPoints],
            localDataCenter,
            keyspace,
            encoding: { useBigIntAsLong: true, useBigIntAsVarint: true }
          })
        ),
        (client) => Effect.promise(() => client.shutdown())
      )
      const said: Array<string> = []
      client.on("log", (level, _from, message: string) => {
        if (level === "warning") said.push(message)
      })
      const own = yield* CassandraSession.fromClient(client)
      let requests = 0
      const counted: CassandraSession.Session = {
        ...own,
        batchesEncoded: (batches, options) => {
          requests += batches.length
          return own.batchesEncoded(batches, options)
        }
      }
      const names = ["id", ...Object.keys(values)]
      yield* Stream.range(1, 100).pipe(
        Stream.map((id): Readonly<Record<string, unknown>> => ({ id, ...values })),
        Barriers.fromStream({ position: (last) => ({ next: Number(last["id"]) }) }),
        Barriers.inject,
        WriteAheadSink.transform<Readonly<Record<string, unknown>>>({
          query: `INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map((name) => `:${name}`).join(", ")})`,
          batchBounds
        }),
        Stream.runDrain,
        Effect.provide(Layer.fresh(coordinator)),
        Effect.provideService(CassandraSession.CassandraSession, counted)
      )
      const [row] = yield* own.query(`SELECT count(*) AS n FROM ${table}`)
      assert.strictEqual(row!["n"], 100n)
      return { said: said.filter((message) => /batch/i.test(message)), requests }
    },
    Effect.scoped
  )

  for (const [name, columns, values] of shapes) {
    it.effect(`the server does not warn of the size of a batch: ${name}`, () =>
      Effect.gen(function*() {
        const { requests, said } = yield* warnings(columns, values, defaultBounds)
        assert.deepStrictEqual(said, [])
        // And batches are not far below what it takes without: with twice as much it warns of them.
        const larger = yield* warnings(columns, values, {
          ...defaultBounds,
          partitionsMax: 100,
          mixedBytesMax: defaultBounds.mixedBytesMax * 2
        })
        assert.isTrue(larger.said.some((message) => message.includes("of size")), larger.said.join("\n"))
        assert.isBelow(requests, 100)
      }))
  }
})
