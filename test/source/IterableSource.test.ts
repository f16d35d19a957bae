import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema, Stream } from "effect"
import type { Position } from "../../src/checkpoint/Position.ts"
import * as IterableSource from "../../src/source/IterableSource.ts"
import type { Source } from "../../src/source/Source.ts"
import { recordsOf } from "./fileFixture.ts"

const chunksOf = <A, E>(source: Source<A, E>, from: Position | null = null) => Stream.runCollect(source.read(from))

const failure = <A, E>(source: Source<A, E>, from: Position | null = null) =>
  Effect.flip(Stream.runDrain(source.read(from)))

describe("IterableSource", () => {
  it.effect.prop(
    "gives each value with its index, and from any position exactly the rest",
    {
      items: Arbitrary.array(Arbitrary.schema(Schema.Int), { maxLength: 40 }),
      chunkSize: Schema.Literals([1, 2, 7, 40])
    },
    ({ chunkSize, items }) =>
      Effect.gen(function*() {
        for (const given of [items, { [Symbol.iterator]: () => items.values() }]) {
          const source = IterableSource.fromIterable(given, { chunkSize })
          const expected = items.map((item, index) => [index, item] as const)
          const chunks = yield* chunksOf(source)
          assert.deepStrictEqual(recordsOf(chunks), expected)
          let before = 0
          for (const { position, records } of chunks) {
            assert.isAtMost(records.length, chunkSize)
            before += records.length
            assert.deepStrictEqual(position, { kind: "iterable", index: before })
            assert.strictEqual(source.progress(position), before)
            assert.deepStrictEqual(recordsOf(yield* chunksOf(source, position)), expected.slice(before))
          }
        }
      }),
    { arbitrary: { runs: 100 } }
  )

  it("knows its size where the iterable does", () => {
    assert.strictEqual(IterableSource.fromIterable([1, 2]).total, 2)
    assert.strictEqual(IterableSource.fromIterable(new Set([1, 2, 3])).total, 3)
    assert.isNull(IterableSource.fromIterable("abc").total)
  })

  it.effect("refuses a position that is not its own, or beyond its end", () =>
    Effect.gen(function*() {
      const source = IterableSource.fromIterable([1, 2, 3], { describe: "three numbers" })
      assert.deepStrictEqual(yield* chunksOf(source, { kind: "iterable", index: 3 }), [])
      const cut = yield* failure(source, { kind: "iterable", index: 4 })
      assert.strictEqual(cut.reason._tag, "InputChanged")
      assert.include(cut.message, "three numbers: cannot resume: it was cut: it has 3 values, the position is 4.")
      for (const position of [{ kind: "file", byte: 3 }, { kind: "iterable", index: -1 }, {}] as const) {
        assert.include((yield* failure(source, position)).message, "is not one of an iterable")
      }
    }))

  it.effect("reads a generator object once, and says so the second time", () =>
    Effect.gen(function*() {
      const generate = function*() {
        yield* [1, 2, 3]
      }
      const source = IterableSource.fromIterable(generate())
      assert.strictEqual(recordsOf(yield* chunksOf(source)).length, 3)
      assert.include((yield* failure(source)).message, "it can be iterated only once, and was")
    }))

  it.effect("closes the iterator when left early", () =>
    Effect.gen(function*() {
      let closed = 0
      const items = {
        *[Symbol.iterator]() {
          try {
            yield* [1, 2, 3]
          } finally {
            closed++
          }
        }
      }
      yield* Stream.runDrain(Stream.take(IterableSource.fromIterable(items, { chunkSize: 1 }).read(null), 1))
      assert.strictEqual(closed, 1)
    }))

  it.effect("refuses a chunk size of 0", () =>
    Effect.gen(function*() {
      const error = yield* failure(IterableSource.fromIterable([1], { chunkSize: 0 }))
      assert.strictEqual(error.reason._tag, "InvalidOption")
    }))
})
