import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Job from "../../src/job/Job.ts"
import type { RowSchema } from "../../src/sink/RowSchema.ts"
import * as WriteAheadSink from "../../src/sink/WriteAheadSink.ts"
import * as IterableSource from "../../src/source/IterableSource.ts"
import * as TableContent from "../../src/testing/TableContent.ts"
import * as TestKeyspace from "../../src/testing/TestKeyspace.ts"
import { fresh, live, services, tempDirectory } from "../real/fixture.ts"

const schema = (keyspace: string) => [
  `CREATE TYPE ${keyspace}.place (city text, lines frozen<list<int>>)`,
  `CREATE TABLE ${keyspace}.readings (station text, at timestamp, level bigint, exact decimal, day date, raw blob, ` +
  `tags set<text>, counts map<text, int>, place frozen<place>, pair frozen<tuple<int, text>>, v vector<float, 2>, ` +
  `ok boolean, PRIMARY KEY (station, at))`
]

class Reading extends Schema.Class<Reading>("Reading")({
  station: Schema.String,
  at: Schema.DateFromString,
  level: Schema.BigInt,
  exact: Schema.BigDecimalFromString,
  day: Schema.NullOr(Schema.Date),
  raw: Schema.Uint8Array,
  tags: Schema.ReadonlySet(Schema.String),
  counts: Schema.Record(Schema.String, Schema.Int),
  place: Schema.Struct({ city: Schema.String, lines: Schema.Array(Schema.Int) }),
  pair: Schema.Tuple([Schema.Int, Schema.String]),
  v: Schema.Array(Schema.Finite),
  ok: Schema.Boolean
}) {}

const insert = (keyspace: string, ...names: ReadonlyArray<string>) =>
  `INSERT INTO ${keyspace}.readings (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`

const encoded = {
  station: "s",
  at: "2026-01-02T03:04:05.678Z",
  level: 9_007_199_254_740_993n,
  exact: "1.25",
  day: new Date("2026-01-02T00:00:00Z"),
  raw: new Uint8Array([1, 2]),
  tags: new Set(["a"]),
  counts: { a: 1 },
  place: { city: "Ulm", lines: [1, 2] },
  pair: [1, "x"],
  v: [0.5, 1],
  ok: true
} as const
const reading = Schema.decodeUnknownSync(Reading)(encoded)

layer(live, { timeout: 60_000, excludeTestServices: true })("a sink of a Schema", (it) => {
  const run = Effect.fnUntraced(function*<A>(
    records: ReadonlyArray<A>,
    sink: WriteAheadSink.WriteAheadSinkOptions<A>
  ) {
    const directory = yield* tempDirectory
    return yield* Job.run({ source: IterableSource.fromIterable(records), sink }).pipe(
      Effect.provide(services({ directory, jobId: fresh("j") }))
    )
  })

  it.effect("writes what the Schema encodes a record to", () =>
    Effect.gen(function*() {
      const keyspace = yield* TestKeyspace.make({ schema })
      const query = insert(keyspace, ...Object.keys(encoded))
      yield* run([reading], WriteAheadSink.typed(Reading, { query }))
      yield* TableContent.expectTable(keyspace, "readings", [{ ...encoded, raw: Buffer.from(encoded.raw) }])
    }))

  it.effect("names the record and the field of what the Schema refuses", () =>
    Effect.gen(function*() {
      const keyspace = yield* TestKeyspace.make({ schema })
      const query = insert(keyspace, ...Object.keys(encoded))
      const bad = { ...reading, place: { city: "Ulm", lines: [1.5] } }
      const Plain = Schema.Struct(Reading.fields)
      const error = yield* Effect.flip(run([reading, bad], WriteAheadSink.typed(Plain, { query })))
      assert.match(
        (error as Error).message,
        /record at 1, column place: Expected an integer at \["place"\]\["lines"\]\[0\]/
      )
      const other = yield* Effect.flip(run([bad as Reading], WriteAheadSink.typed(Reading, { query })))
      assert.match((other as Error).message, /record at 0: Expected Reading/)
    }))

  it.effect("is compared with the statement when it opens: one error has every mismatch", () =>
    Effect.gen(function*() {
      const keyspace = yield* TestKeyspace.make({ schema })
      const refusal = (schema: RowSchema, query: string, missing?: "unset") =>
        Effect.map(Effect.flip(WriteAheadSink.open({ query, schema, missing })), ({ message }) => message)
      const wrong = Schema.Struct({
        station: Schema.optionalKey(Schema.String),
        at: Schema.DateTimeUtc,
        level: Schema.Boolean,
        day: Schema.Option(Schema.String),
        tags: Schema.Array(Schema.Date),
        counts: Schema.ReadonlyMap(Schema.Int, Schema.Date),
        place: Schema.Struct({ city: Schema.Date, town: Schema.String }),
        pair: Schema.Tuple([Schema.Int]),
        v: Schema.Array(Schema.Boolean),
        raw: Schema.Union([Schema.Uint8Array, Schema.Finite]),
        other: Schema.String
      })
      const message = yield* refusal(wrong, insert(keyspace, ...Object.keys(encoded)))
      assert.match(message, /^The schema of the rows does not fit this statement:\n {2}INSERT INTO/)
      for (
        const problem of [
          /- station is part of the primary key and may be null or missing/,
          /- at is DateTime\.Utc, which is no timestamp: encode it to a Date or a number or a bigint or text/,
          /- level is boolean, which is no bigint/,
          /- day is Option, which is no date/,
          /- tags\[\] is a valid Date, which is no text/,
          /- counts\{\} is a valid Date, which is no int/,
          /- place\.city is a valid Date, which is no text/,
          /- place\.town is no field of place; it has city, lines/,
          /- pair has 1 parts, and the tuple<int, text> has 2/,
          /- v\[\] is boolean, which is no float/,
          /- raw is number, which is no blob/,
          /- no field fills the marker exact \(decimal\); the schema has station, at/,
          /- no field fills the marker ok \(boolean\)/,
          /- the field other fills no marker; the statement has station text, at timestamp/
        ]
      ) assert.match(message, problem)
      // What may be missing is no mismatch, but for the key.
      const key = Schema.Struct({ level: Schema.BigInt, at: Schema.Date })
      const some = yield* refusal(key, insert(keyspace, "station", "at", "level", "ok"), "unset")
      assert.match(some, /marker station/)
      assert.notMatch(some, /marker ok/)
      assert.match(
        yield* refusal(Schema.String, insert(keyspace, "station", "at")),
        /it encodes to text, not to an object with a field for each marker: station text, at timestamp/
      )
      assert.match(
        yield* refusal(Schema.Tuple([Schema.String]), insert(keyspace, "station", "at")),
        /it has 1 elements, and the statement has 2 markers/
      )
    }))

  it.effect("of several statements: each has a Schema for what its bind gives", () =>
    Effect.gen(function*() {
      const keyspace = yield* TestKeyspace.make({ schema })
      const Key = Schema.Struct({ station: Schema.String, at: Schema.DateFromString })
      const Level = Schema.Struct({ ...Key.fields, level: Schema.BigInt })
      const remove = `DELETE FROM ${keyspace}.readings WHERE station = :station AND at = :at`
      const at = (minute: number) => new Date(Date.UTC(2026, 0, 1, 0, minute))
      yield* run([1, 2, -1], {
        statements: [
          {
            query: insert(keyspace, "station", "at", "level"),
            when: (n: number) => n > 0,
            bind: (n) => ({ station: "s", at: at(n), level: BigInt(n) }),
            schema: Level
          },
          { query: remove, when: (n) => n < 0, bind: (n) => ({ station: "s", at: at(-n) }), schema: Key }
        ]
      })
      yield* TableContent.expectTable(keyspace, "readings", [{ station: "s", at: at(2), level: 2n }])
      const twice = yield* Effect.flip(WriteAheadSink.open<number>({
        statements: [{ query: remove, schema: Level }, {
          query: insert(keyspace, "station", "at", "level"),
          schema: Key
        }]
      }))
      assert.match(
        twice.message,
        /DELETE[^]*INSERT[^]*the field level fills no marker[^]*no field fills the marker level/
      )
    }))
})
