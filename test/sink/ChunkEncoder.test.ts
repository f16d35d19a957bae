import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Layer, Schema } from "effect"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import type { Element } from "../../src/checkpoint/Element.ts"
import { Barrier, Record } from "../../src/checkpoint/Element.ts"
import * as ChunkEncoder from "../../src/sink/ChunkEncoder.ts"
import * as WriteAheadSink from "../../src/sink/WriteAheadSink.ts"
import * as RowFrame from "../../src/state/RowFrame.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"

interface Row {
  readonly id: number
  readonly v: Buffer
}

const Session = Layer.effect(
  CassandraSession,
  Effect.gen(function*() {
    const session = SimulatedCassandra.makeCluster().session()
    yield* session.query("CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    yield* session.query("CREATE TABLE k.t (id int PRIMARY KEY, v blob)")
    return session
  })
)

const openSink = Effect.provide(WriteAheadSink.open<Row>({ query: "INSERT INTO k.t (id, v) VALUES (?, ?)" }), Session)

/** What one subtask is given: places of rows, in order, and barriers. */
type Given = Array<number | "barrier">

/** Encodes chunks, and releases each block only when the next is handed on, as a log that is one write behind. */
const encodeAll = Effect.fnUntraced(function*(parallelism: number, chunks: ReadonlyArray<ReadonlyArray<Element<Row>>>) {
  const encoder = ChunkEncoder.make(yield* openSink, parallelism)
  const given = Array.from({ length: parallelism }, (): Given => [])
  const buffers = new Set<ArrayBufferLike>()
  let blocksAtOnce = 0
  let behind: Array<() => void> = []
  const emit = (parts: ChunkEncoder.Parts) =>
    Effect.sync(() => {
      const late: Array<() => void> = []
      let blocks = 0
      for (const [subtask, part] of parts.entries()) {
        for (const element of part) {
          if ("_tag" in element) {
            given[subtask]!.push("barrier")
            continue
          }
          blocks++
          buffers.add(element.withHeadroom.buffer)
          const rows = RowFrame.read(element.bytes)
          assert.strictEqual(rows.length, element.rows)
          for (const { place, values } of rows) {
            given[subtask]!.push(place)
            assert.strictEqual(values[1]!.length === 0 || values[1]![values[1]!.length - 1] === place % 256, true)
          }
          late.push(() => element.release?.())
        }
      }
      blocksAtOnce = Math.max(blocksAtOnce, blocks)
      for (const release of behind) release()
      behind = late
    })
  for (const chunk of chunks) yield* encoder.encode(chunk, emit)
  return { given, blocksAtOnce, buffers: buffers.size }
})

const row = (place: number, id: number, bytes: number) =>
  new Record<Row>({ id, v: Buffer.alloc(bytes, place % 256) }, place)

const barrier = new Barrier(1, null, 0, false)

describe("ChunkEncoder", () => {
  it.effect.prop(
    "each subtask has its rows in order, whole, and between the barriers that they came between",
    {
      parallelism: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 }))),
      chunks: Arbitrary.array(
        Arbitrary.array(
          Arbitrary.all({
            isBarrier: Arbitrary.schema(Schema.Literals([false, false, false, true])),
            id: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))),
            bytes: Arbitrary.schema(Schema.Literals([0, 100, 50_000, 200_000, 600_000]))
          }),
          { minLength: 1, maxLength: 12 }
        ),
        { maxLength: 4 }
      )
    },
    ({ chunks, parallelism }) =>
      Effect.gen(function*() {
        let place = 0
        const elements = chunks.map((chunk) =>
          chunk.map(({ bytes, id, isBarrier }): Element<Row> => isBarrier ? barrier : row(place++, id, bytes))
        )
        const { given } = yield* encodeAll(parallelism, elements)
        const idOf = new Map(
          elements.flat().flatMap((e) => e._tag === "Record" ? [[e.place, e.value.id] as const] : [])
        )
        const subtaskOf = new Map<number, number>()
        for (const [subtask, one] of given.entries()) {
          for (const each of one) {
            if (each === "barrier") continue
            const id = idOf.get(each)!
            assert.strictEqual(subtaskOf.get(id) ?? subtask, subtask)
            subtaskOf.set(id, subtask)
          }
        }
        assert.strictEqual(given.flat().filter((each) => each !== "barrier").length, idOf.size)
        const expected = given.map((_, subtask): Given =>
          elements.flat().flatMap((e): Given =>
            e._tag === "Record" ? subtaskOf.get(idOf.get(e.place)!) === subtask ? [e.place] : [] : ["barrier"]
          )
        )
        assert.deepStrictEqual(given, expected)
      }),
    { arbitrary: { runs: 60 } }
  )

  it.effect("a chunk of any size is made of a few buffers, used again and again", () =>
    Effect.gen(function*() {
      const chunk = Array.from({ length: 1000 }, (_, i) => row(i, i, 10_000))
      const { blocksAtOnce, buffers, given } = yield* encodeAll(1, [chunk])
      assert.strictEqual(given[0]!.length, 1000)
      assert.strictEqual(blocksAtOnce, 1)
      assert.isAtMost(buffers, 6)
    }))
})
