import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Layer, Stream } from "effect"
import * as Barriers from "../../src/checkpoint/Barriers.ts"
import { layerMemory } from "../../src/checkpoint/CheckpointCommitter.ts"
import type { TakenOver } from "../../src/checkpoint/CheckpointCommitter.ts"
import { CheckpointCoordinator } from "../../src/checkpoint/CheckpointCoordinator.ts"
import type { Element } from "../../src/checkpoint/Element.ts"
import { Barrier, Record } from "../../src/checkpoint/Element.ts"
import * as ChunkEncoder from "../../src/sink/ChunkEncoder.ts"
import type { SinkError } from "../../src/sink/WriteAheadSink.ts"
import * as WriteAheadSink from "../../src/sink/WriteAheadSink.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import { live, makeTable, readTable } from "../real/fixture.ts"

const memory = Layer.mergeAll(layerMemory(), MemoryStateBackend.layer({ jobId: "job", uid: "sink" }))

/** A coordinator for a stream without a Job. */
const coordinator = WriteAheadSink.layerCoordinator({ interval: "50 millis" }).pipe(Layer.provideMerge(memory))

interface Row {
  readonly id: number
  readonly v: number
}

layer(live, { timeout: 60_000, excludeTestServices: true })("WriteAheadSink", (it) => {
  it.effect("a bare stream: elements in, committed checkpoints with their positions out", () =>
    Effect.gen(function*() {
      const table = yield* makeTable("id int PRIMARY KEY, v int")
      const committed = yield* Stream.range(0, 999).pipe(
        Stream.rechunk(100),
        Stream.mapArrayEffect((ids) => Effect.as(Effect.sleep("20 millis"), ids)),
        Stream.map((id): Row => ({ id, v: -id })),
        Barriers.fromStream({ position: (last) => ({ next: last.id + 1 }) }),
        Barriers.inject,
        WriteAheadSink.transform({ query: `INSERT INTO ${table} (id, v) VALUES (?, ?)` }),
        Stream.runCollect,
        Effect.provide(coordinator)
      )
      assert.isAbove(committed.length, 1)
      assert.strictEqual(committed.reduce((rows, c) => rows + c.rows, 0), 1000)
      let next = 0
      for (const c of committed) {
        next += c.rows
        if (next > 0) assert.deepStrictEqual(c.position, { next })
      }
      const rows = yield* readTable(table, "id", "v")
      assert.strictEqual(rows.size, 1000)
      // One timestamp a row, in the order of the stream.
      const times = [...rows].toSorted(([a], [b]) => a - b).map(([, { writetime }]) => writetime)
      assert.isTrue(times.every((t, i) => i === 0 || t > times[i - 1]!))
    }))

  const run = <E>(table: string, elements: Stream.Stream<Element<Row>, E, CheckpointCoordinator>) =>
    elements.pipe(
      WriteAheadSink.transform<Row>({ query: `INSERT INTO ${table} (id, v) VALUES (?, ?)`, input: "rows" }),
      Stream.runCollect,
      Effect.provide(coordinator)
    )

  /** A barrier of a checkpoint that begins when the stream comes to it. */
  const barrier = Stream.fromEffect(
    Effect.flatMap(
      CheckpointCoordinator,
      ({ begin }) => Effect.map(begin, (id): Element<Row> => new Barrier(id, null, 0, false))
    )
  )
  const rows = (...ids: ReadonlyArray<number>) =>
    Stream.fromIterable(ids.map((id): Element<Row> => new Record({ id, v: 1 }, id)))

  it.effect("nothing is sent when the stream fails behind a barrier's rows", () =>
    Effect.gen(function*() {
      const table = yield* makeTable("id int PRIMARY KEY, v int")
      const error = yield* Effect.flip(run(table, Stream.concat(rows(1, 2), Stream.fail("upstream broke"))))
      assert.strictEqual(error, "upstream broke")
      assert.strictEqual((yield* readTable(table, "id", "v")).size, 0)
    }))

  it.effect("rows behind the last barrier are an error, not lost in silence", () =>
    Effect.gen(function*() {
      const table = yield* makeTable("id int PRIMARY KEY, v int")
      const exit = yield* Effect.exit(run(table, rows(1).pipe(Stream.concat(barrier), Stream.concat(rows(2, 3)))))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(JSON.stringify(exit), "no-last-barrier")
    }))

  it.effect("a record that does not fit fails with its place and column, before it is logged", () =>
    Effect.gen(function*() {
      const table = yield* makeTable("id int PRIMARY KEY, v int")
      const bad: Stream.Stream<Element<Row>> = Stream.fromIterable([
        new Record({ id: 1, v: 1 }, 41),
        new Record({ id: 2, v: "x" as unknown as number }, 42)
      ])
      const error: SinkError | TakenOver = yield* Effect.flip(run(table, Stream.concat(bad, barrier)))
      assert.strictEqual(error._tag, "RecordRefused")
      assert.include(error.message, "rows, record at 42, column v")
    }))

  it.effect("a record for which bind or when throws fails with its place, and with what was thrown", () =>
    Effect.gen(function*() {
      const table = yield* makeTable("id int PRIMARY KEY, v int")
      const query = `INSERT INTO ${table} (id, v) VALUES (?, ?)`
      const odd = ({ id }: Row) => {
        if (id === 2) throw new RangeError("not this one")
        return true
      }
      const sinks: ReadonlyArray<readonly [string, WriteAheadSink.WriteAheadSinkOptions<Row>]> = [
        ["bind", { query, bind: (row) => odd(row) ? [row.id, row.v] : [] }],
        ["when", { statements: [{ query, when: odd }, { query: `UPDATE ${table} SET v = :v WHERE id = :id` }] }]
      ]
      for (const [name, options] of sinks) {
        const sink = yield* WriteAheadSink.open<Row>({ input: "rows", ...options })
        const { encode } = ChunkEncoder.make(sink, 1)
        const records = [new Record({ id: 1, v: 1 }, 41), new Record({ id: 2, v: 1 }, 42)]
        const error = yield* Effect.flip(encode(records, () => Effect.void))
        assert.strictEqual(error._tag, "RecordRefused")
        assert.strictEqual(error.message, `rows, record at 42: ${name} threw RangeError: not this one`)
      }
    }))

  it.effect("rows of several partitions each (IN) have one subtask, so that their order holds", () =>
    Effect.gen(function*() {
      const table = yield* makeTable("id int PRIMARY KEY, v int")
      const keys = (query: string) =>
        Effect.map(WriteAheadSink.open<Row>({ query }), ({ statements }) => statements[0]!.partitionKeys)
      assert.deepStrictEqual(yield* keys(`UPDATE ${table} SET v = ? WHERE id IN (?, ?)`), [])
      assert.deepStrictEqual(yield* keys(`UPDATE ${table} SET v = ? WHERE id = ?`), [1])
      assert.deepStrictEqual(yield* keys(`INSERT INTO ${table} (v, id) VALUES (:v, :id)`), [1])
    }))

  it.effect("what can't be written exactly once is refused when the sink opens, with every reason", () =>
    Effect.gen(function*() {
      const plain = yield* makeTable("id int PRIMARY KEY, v int, l list<int>, u uuid")
      const counter = yield* makeTable("id int PRIMARY KEY, c counter")
      const refused: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
        [`INSERT INTO ${plain} (id, v) VALUES (?, ?) IF NOT EXISTS`, ["IF NOT EXISTS"]],
        [`INSERT INTO ${plain} (id, u) VALUES (?, uuid())`, ["uuid()"]],
        [`UPDATE ${counter} SET c = c + ? WHERE id = ?`, ["counter c"]],
        [`UPDATE ${plain} SET l = l + ?, u = now() WHERE id = ?`, ["of a list", "now()"]],
        [`INSERT INTO ${plain} (id, l) VALUES (?, ?)`, ["the list l"]],
        [`INSERT INTO ${plain} (id, v) VALUES (?, ?) USING TIMESTAMP 5`, ["USING TIMESTAMP"]],
        [`INSERT INTO ${plain} (id, nothing) VALUES (?, ?)`, ["unknown column nothing"]],
        [`INSERT INTO ${plain}x (id) VALUES (?)`, ["there is no table"]],
        [`INSERT INTO ${plain} (id, v VALUES (?, ?)`, ["character"]],
        [`SELECT * FROM ${plain}`, ["SELECT"]],
        [`INSERT INTO ${plain} (id, v) VALUES (1, 2)`, ["no marker"]]
      ]
      for (const [query, reasons] of refused) {
        const error = yield* rows(1).pipe(
          WriteAheadSink.transform<Row>({ query }),
          Stream.runCollect,
          Effect.provide(coordinator),
          Effect.flip
        )
        assert.strictEqual(error._tag, "StatementRefused", query)
        for (const reason of reasons) assert.include(error.message, reason)
      }
    }))
})
