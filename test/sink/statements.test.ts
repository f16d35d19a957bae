/** One record to several statements and tables, on a real server. */
import { assert, layer } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import type { Consistency } from "../../src/cassandra/CassandraConfig.ts"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import * as Job from "../../src/job/Job.ts"
import type { DeadLetter } from "../../src/sink/DeadLetters.ts"
import * as DeadLetters from "../../src/sink/DeadLetters.ts"
import { dealKeys } from "../../src/sink/StatementRoutes.ts"
import type { WriteAheadSinkOptions } from "../../src/sink/WriteAheadSink.ts"
import * as WriteAheadSink from "../../src/sink/WriteAheadSink.ts"
import * as IterableSource from "../../src/source/IterableSource.ts"
import * as TableContent from "../../src/testing/TableContent.ts"
import * as TestKeyspace from "../../src/testing/TestKeyspace.ts"
import { newestManifest, run as command } from "../cli/commandFixture.ts"
import { fresh, live, services, tempDirectory } from "../real/fixture.ts"

interface Event {
  readonly type: "put" | "patch" | "remove" | "clear"
  readonly user: number
  readonly item: number
  readonly seq: number
}

const schema = (keyspace: string) => [
  `CREATE TABLE ${keyspace}.carts (user int, item int, seq int, note text, PRIMARY KEY (user, item))`,
  `CREATE TABLE ${keyspace}.events (item int, seq int, type text, user int, PRIMARY KEY (item, seq))`
]

const is = (...types: ReadonlyArray<Event["type"]>) => ({ type }: Event) => types.includes(type)

/** A stream of changes: to the table that holds their result, and to one that holds them all. */
const sinkOf = (keyspace: string): WriteAheadSinkOptions<Event> => ({
  statements: [
    {
      query: `INSERT INTO ${keyspace}.carts (user, item, seq, note) VALUES (?, ?, ?, ?)`,
      when: is("put"),
      bind: ({ item, seq, user }) => [user, item, seq, `put ${seq}`]
    },
    { query: `UPDATE ${keyspace}.carts SET seq = :seq WHERE user = :user AND item = :item`, when: is("patch") },
    { query: `DELETE FROM ${keyspace}.carts WHERE item = ? AND user = ?`, when: is("remove") },
    { query: `DELETE FROM ${keyspace}.carts WHERE user = ?`, when: is("clear") },
    { query: `INSERT INTO ${keyspace}.events (item, seq, type, user) VALUES (?, ?, ?, ?)` }
  ]
})

interface Cart {
  readonly user: number
  readonly item: number
  seq: number | null
  note: string | null
  /** A row that only an UPDATE made is gone when its last cell is. */
  isInserted: boolean
}

/** What the events make of the table, one after the other. */
const cartsOf = (events: ReadonlyArray<Event>): ReadonlyArray<Cart> => {
  const carts = new Map<string, Cart>()
  for (const { item, seq, type, user } of events) {
    const key = `${user} ${item}`
    if (type === "put") carts.set(key, { user, item, seq, note: `put ${seq}`, isInserted: true })
    else if (type === "patch") {
      const cart = carts.get(key) ?? { user, item, seq: null, note: null, isInserted: false }
      carts.set(key, Object.assign(cart, { seq }))
    } else if (type === "remove") carts.delete(key)
    else for (const [other, cart] of carts) if (cart.user === user) carts.delete(other)
  }
  return [...carts.values()]
}

const small = (maximum: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))
const Events = Arbitrary.array(
  Arbitrary.all({
    type: Arbitrary.schema(Schema.Literals(["put", "put", "patch", "remove", "clear"])),
    user: small(5),
    item: small(3)
  }),
  { minLength: 200, maxLength: 400 }
)

const run = Effect.fnUntraced(function*<A>(
  records: ReadonlyArray<A>,
  sink: WriteAheadSinkOptions<A>,
  parallelism = 3,
  names: { readonly directory?: string; readonly jobId?: string; readonly faults?: object } = {}
) {
  const directory = names.directory ?? (yield* tempDirectory)
  return yield* Job.run({
    source: IterableSource.fromIterable(records, { chunkSize: 7 }),
    sink,
    parallelism,
    checkpoint: { interval: "30 millis", minPause: 0 }
  }).pipe(Effect.provide(services({ directory, jobId: names.jobId ?? fresh("j"), faults: names.faults ?? {} })))
})

layer(live, { timeout: 60_000, excludeTestServices: true })("a sink of several statements", (it) => {
  it.effect("INSERT, UPDATE and DELETE by the kind of event leave what they leave one after the other", () =>
    Effect.gen(function*() {
      const seed = Math.floor(Math.random() * 1e9)
      const [sampled] = yield* Arbitrary.sampleEffect(Events, { count: 1, size: 400, seed })
      const events = sampled!.map(({ item, type, user }, i): Event => ({ type, user, item, seq: i + 1 }))
      const keyspace = yield* TestKeyspace.make({ schema })
      const summary = yield* run(events, sinkOf(keyspace))
      assert.strictEqual(summary.rows, events.length)
      assert.strictEqual(summary.committed, 2 * events.length)
      yield* Effect.mapError(
        TableContent.expectTable(
          keyspace,
          "carts",
          cartsOf(events).map(({ item, note, seq, user }) => ({ user, item, seq, note }))
        ),
        (error) => new Error(`seed ${seed}: ${error.message}`)
      )
      yield* TableContent.expectTable(
        keyspace,
        "events",
        events.map(({ item, seq, type, user }) => ({ item, seq, type, user }))
      )
    }))

  it.effect("a statement that does not tell the partition keeps its order with those that do", () =>
    Effect.gen(function*() {
      const keyspace = yield* TestKeyspace.make({ schema })
      const { statements } = yield* WriteAheadSink.open<Event>({
        statements: [
          { query: `INSERT INTO ${keyspace}.carts (user, item, seq) VALUES (?, ?, ?)` },
          { query: `UPDATE ${keyspace}.carts SET seq = ? WHERE user IN (?, ?) AND item = ?` },
          { query: `INSERT INTO ${keyspace}.events (item, seq) VALUES (?, ?)` }
        ]
      })
      assert.deepStrictEqual(dealKeys(statements), [[], [], [0]])
      assert.deepStrictEqual(dealKeys([statements[0]!, statements[2]!]), [[0], [0]])
    }))

  it.effect("each statement has its consistency level, and the options of the sink where it has none of its own", () =>
    Effect.gen(function*() {
      const keyspace = yield* TestKeyspace.make({ schema })
      const levels = new Map<string, Set<Consistency | undefined>>()
      const session = yield* CassandraSession.CassandraSession
      const watched: CassandraSession.Session = {
        ...session,
        batchesEncoded: (batches, options) => {
          for (const { cql } of batches) {
            const name = cql.split(" ").slice(0, 3).join(" ")
            levels.set(name, (levels.get(name) ?? new Set()).add(options?.consistency))
          }
          return session.batchesEncoded(batches, options)
        }
      }
      const events = [1, 2, 3].map((seq): Event => ({ type: "put", user: 1, item: seq, seq }))
      const [carts, ...others] = sinkOf(keyspace).statements!
      const sink: WriteAheadSinkOptions<Event> = {
        consistency: "ONE",
        statements: [carts!, { ...others.at(-1)!, consistency: "ALL" }]
      }
      yield* run(events, sink, 1).pipe(Effect.provideService(CassandraSession.CassandraSession, watched))
      assert.deepStrictEqual(
        [...levels],
        [
          [`INSERT INTO ${keyspace}.carts`, new Set(["ONE"])],
          [`INSERT INTO ${keyspace}.events`, new Set(["ALL"])]
        ]
      )
    }))

  it.effect("a timestamp of the record's own decides, whatever the order; it is needed, and all of a table have one", () =>
    Effect.gen(function*() {
      const keyspace = yield* TestKeyspace.make({ schema })
      const at = (seq: number) => 1_700_000_000_000_000n + BigInt(seq)
      const sink: WriteAheadSinkOptions<Event & { readonly at: bigint | null }> = {
        statements: [
          {
            query: `INSERT INTO ${keyspace}.carts (user, item, seq) VALUES (:user, :item, :seq) ` +
              `USING TIMESTAMP :at AND TTL 86400`,
            when: is("put")
          },
          {
            query: `DELETE FROM ${keyspace}.carts USING TIMESTAMP :at WHERE user = :user AND item = :item`,
            when: is("remove")
          }
        ]
      }
      const event = (type: Event["type"], item: number, seq: number) => ({ type, user: 1, item, seq, at: at(seq) })
      yield* run([
        event("put", 1, 9),
        event("remove", 1, 5),
        event("put", 1, 3),
        event("remove", 2, 8),
        event("put", 2, 7),
        event("put", 3, 1)
      ], sink)
      yield* TableContent.expectTable(keyspace, "carts", [
        { user: 1, item: 1, seq: 9, "WRITETIME(seq)": at(9) },
        { user: 1, item: 3, seq: 1, "WRITETIME(seq)": at(1) }
      ])
      const missing = yield* Effect.flip(run([{ ...event("put", 1, 1), at: null }], sink))
      assert.match((missing as Error).message, /column at: it is the row's write timestamp and has no value/)
      const mixed = yield* Effect.flip(WriteAheadSink.open<Event>({
        statements: [...sink.statements!.slice(0, 1) as [], ...sinkOf(keyspace).statements!]
      }))
      assert.match(mixed.message, /both write .*carts.*timestamps of its own/)
    }))

  it.effect("what was set aside has rows with timestamps of their own, and below those of later records", () =>
    Effect.gen(function*() {
      const keyspace = yield* TestKeyspace.make({ schema })
      const where = "WHERE user = :user AND item = :item"
      const sink: WriteAheadSinkOptions<object> = {
        statements: [
          { query: `UPDATE ${keyspace}.carts SET seq = :seq, note = :first ${where}` },
          { query: `UPDATE ${keyspace}.carts SET note = :second ${where}` }
        ]
      }
      const record = (user: number, seq: unknown, second: string) => ({ user, item: 1, seq, first: "z", second })
      const letters = new Map<string, DeadLetter>()
      const logged = [record(1, "none", "a"), record(1, 2, "b"), record(2, "none", "a")]
      yield* Effect.provide(run(logged, sink, 1), DeadLetters.layerMemory({ letters }))
      const [first, second] = [...letters.values()].map(({ timestamp }) => BigInt(timestamp))
      // Room for both rows of the first, then both of the second record.
      const after = { user: 1, item: 1, seq: 2, note: "b" }
      const times = { "WRITETIME(seq)": first! + 2n, "WRITETIME(note)": first! + 3n }
      yield* TableContent.expectTable(keyspace, "carts", [{ ...after, ...times }])
      assert.strictEqual(second, first! + 4n)

      const timestampOf = (place: number) => Number(place === 0 ? first : second)
      for (let round = 0; round < 2; round++) {
        yield* run([record(1, 1, "a"), record(2, 1, "a")], { ...sink, timestampOf }, 3)
        // The second statement wins, though its value is the lesser one.
        yield* TableContent.expectTable(keyspace, "carts", [
          { ...after, ...times },
          { user: 2, item: 1, seq: 1, note: "a", "WRITETIME(seq)": second!, "WRITETIME(note)": second! + 1n }
        ])
      }
    }))

  it.effect("a record is for one of them, where that is said, if there is such a one", () =>
    Effect.gen(function*() {
      const keyspace = yield* TestKeyspace.make({ schema })
      const [cart, event] = [
        `INSERT INTO ${keyspace}.carts (user, item) VALUES (:user, :item)`,
        `INSERT INTO ${keyspace}.events (item, seq) VALUES (:item, :seq)`
      ] as const
      const statementOf = (place: number) => place === 0 ? event : place === 1 ? "another" : null
      const records: ReadonlyArray<object> = [0, 1, 2].map((i) =>
        i === 0 ? { item: i, seq: i } : { item: i, seq: i, user: i }
      )
      yield* run(records, { statements: [{ query: cart }, { query: event }], statementOf })
      yield* TableContent.expectTable(keyspace, "carts", [{ user: 1, item: 1 }, { user: 2, item: 2 }])
      yield* TableContent.expectTable(keyspace, "events", [0, 1, 2].map((i) => ({ item: i, seq: i })))
    }))

  it.effect("a record that does not fit one of its statements is refused whole", () =>
    Effect.gen(function*() {
      const keyspace = yield* TestKeyspace.make({ schema })
      // The table of carts does not have the column, and that of events wants a text.
      const bad = [0, 1, 2].map((seq) => ({ type: seq === 2 ? {} : "put", user: 1, item: 1, seq }))
      const error = yield* Effect.flip(run(bad as unknown as ReadonlyArray<Event>, sinkOf(keyspace), 1))
      assert.match((error as Error).message, /record at 2, column type/)
      yield* TableContent.expectTable(keyspace, "carts", [])
      yield* TableContent.expectTable(keyspace, "events", [])
    }))

  it.effect("no statement, two ways to say it, and another list than that of the log are refused", () =>
    Effect.gen(function*() {
      const keyspace = yield* TestKeyspace.make({ schema })
      const { statements } = sinkOf(keyspace)
      for (const sink of [{}, { statements: [] }, { query: statements![0]!.query, statements }]) {
        const error = yield* Effect.flip(WriteAheadSink.open<Event>(sink))
        assert.match(error.message, /give the sink a query, or a list of statements/)
      }
      const directory = yield* tempDirectory
      const jobId = fresh("j")
      const events = [1, 2, 3].map((seq): Event => ({ type: "put", user: 1, item: seq, seq }))
      const down = { before: () => Effect.die("the server is gone") }
      yield* Effect.exit(run(events, sinkOf(keyspace), 1, { directory, jobId, faults: down }))
      const waits = newestManifest(directory)!.pending[0]!.checkpointId
      const { stdout } = yield* Effect.promise(() =>
        command(["export", `--state=${directory}`, `--checkpoint=${waits}`])
      )
      assert.deepStrictEqual(
        stdout.trimEnd().split("\n").map((line) => JSON.parse(line)).map((
          { place, statement, values }
        ) => [place, statement, values]),
        events.flatMap(({ item, seq, type, user }, place) => [
          [place, 0, { user, item, seq, note: `put ${seq}` }],
          [place, 4, { item, seq, type, user }]
        ])
      )
      const reordered = { statements: statements!.toReversed() }
      const error = yield* Effect.flip(run(events, reordered, 1, { directory, jobId }))
      assert.match((error as Error).message, /for another statement:\n {2}logged: INSERT[^]*\n {2}now: {4}INSERT/)
      yield* run(events, sinkOf(keyspace), 1, { directory, jobId })
      yield* TableContent.expectTable(keyspace, "carts", events.map(({ item, seq, user }) => ({ user, item, seq })))
    }))
})
