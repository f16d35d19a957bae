import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema, Stream } from "effect"
import type { RowBlock } from "../../src/sink/SendWindows.ts"
import * as SendWindows from "../../src/sink/SendWindows.ts"
import { loggedRows } from "./loggedRows.ts"

const blocksOf = (sizes: ReadonlyArray<number>, released: Array<number> = []): Array<RowBlock> => {
  let place = 0
  return sizes.map((size, i) => ({
    rows: loggedRows(Array.from({ length: size }, () => ({ timestamp: 1, place: place++, values: [null] }))),
    bytes: size,
    release: () => released.push(i)
  }))
}

const placesOf = ({ rows }: RowBlock) => rows.map(({ place }) => place)

const Sizes = Arbitrary.array(Arbitrary.schema(Schema.Literals([0, 1, 2, 5])), { maxLength: 12 })
const Limits = Arbitrary.array(Arbitrary.schema(Schema.Literals([1, 3, 8])), { minLength: 1, maxLength: 4 })

describe("gather", () => {
  it.effect.prop(
    "gives all rows in order, no window without need far above its bound, and releases each block with its window",
    { sizes: Sizes, chunk: Arbitrary.schema(Schema.Literals([1, 2, 3])), limits: Limits },
    ({ chunk, limits, sizes }) =>
      Effect.gen(function*() {
        const released: Array<number> = []
        const blocks = blocksOf(sizes, released)
        let asked = 0
        const windows = yield* Stream.fromIterable(blocks, { chunkSize: chunk }).pipe(
          (all) => SendWindows.gather(all, () => limits[asked++ % limits.length]!),
          Stream.runCollect
        )
        assert.deepStrictEqual(windows.flatMap(placesOf), blocks.flatMap(placesOf))
        assert.deepStrictEqual(windows.map(({ bytes }) => bytes), windows.map(({ rows }) => rows.length))
        for (const [i, { bytes }] of windows.entries()) {
          const limit = limits[i % limits.length]!
          // What is pulled together is at most so much.
          const pulled = 5 * chunk
          assert.isAtMost(bytes, limit + pulled)
          if (i < windows.length - 1) assert.isAbove(bytes + pulled, limit)
        }
        let blocksBefore = 0
        for (const { release, rows } of windows) {
          release?.()
          // Blocks without rows at the border may be of either.
          assert.isAtLeast(blocks.slice(0, released.length).flatMap(placesOf).length, rows.length)
          assert.deepStrictEqual(released, Array.from({ length: released.length }, (_, i) => i))
          assert.isAtLeast(released.length, blocksBefore)
          blocksBefore = released.length
        }
        assert.strictEqual(released.length, blocks.length)
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect("ends where another block like the last does not fit", () =>
    Effect.gen(function*() {
      const blocks = Stream.fromIterable(blocksOf([2, 2, 2, 2, 5, 2, 2]), { chunkSize: 1 })
      const windows = yield* Stream.runCollect(SendWindows.gather(blocks, () => 5))
      assert.deepStrictEqual(windows.map(({ bytes }) => bytes), [4, 4, 5, 4])
    }))

  it.effect("hands on what was read before a failure, and then fails", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const blocks = Stream.concat(Stream.fromIterable(blocksOf([2, 2]), { chunkSize: 1 }), Stream.fail("damaged"))
      const error = yield* SendWindows.gather(blocks, () => 100).pipe(
        Stream.runForEach((window) => Effect.sync(() => seen.push(...placesOf(window)))),
        Effect.flip
      )
      assert.strictEqual(error, "damaged")
      assert.deepStrictEqual(seen, [0, 1, 2, 3])
    }))
})

describe("ahead", () => {
  it.effect("makes the first at once, each next one while the one before is in use, and no more", () =>
    Effect.scoped(Effect.gen(function*() {
      const events: Array<string> = []
      const source = Stream.range(1, 3).pipe(
        Stream.rechunk(1),
        Stream.mapEffect((i) => Effect.as(Effect.sync(() => events.push(`made ${i}`)), i))
      )
      const made = yield* SendWindows.ahead(source)
      yield* Effect.yieldNow
      assert.deepStrictEqual(events, ["made 1"])
      yield* Stream.runForEach(made, (i) =>
        Effect.gen(function*() {
          events.push(`use ${i}`)
          yield* Effect.yieldNow
          yield* Effect.yieldNow
          events.push(`used ${i}`)
        }))
      assert.deepStrictEqual(events.filter((event) => event.startsWith("use ")), ["use 1", "use 2", "use 3"])
      for (const i of [1, 2]) {
        assert.isBelow(events.indexOf(`made ${i + 1}`), events.indexOf(`used ${i}`))
        if (i === 1) assert.isAbove(events.indexOf("made 3"), events.indexOf("used 1"))
      }
    })))

  it.effect("fails where the stream does", () =>
    Effect.scoped(Effect.gen(function*() {
      const seen: Array<number> = []
      const made = yield* SendWindows.ahead(Stream.concat(Stream.make(1), Stream.fail("damaged")))
      const error = yield* Effect.flip(Stream.runForEach(made, (i) => Effect.sync(() => seen.push(i))))
      assert.strictEqual(error, "damaged")
      assert.deepStrictEqual(seen, [1])
    })))
})
