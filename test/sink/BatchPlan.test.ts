import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { defaultBounds, plan } from "../../src/sink/BatchPlan.ts"
import type { LoggedRow } from "../../src/state/RowFrame.ts"
import { valueOffset } from "../../src/wire/WireValues.ts"
import { loggedRows } from "./loggedRows.ts"

const row = (place: number, key: number, bytes: number): LoggedRow =>
  loggedRows([{ place, timestamp: place, values: [Buffer.from([key]), Buffer.alloc(bytes), null, undefined] }])[0]!

const Rows = Arbitrary.array(
  Arbitrary.schema(Schema.Struct({
    key: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 })),
    bytes: Schema.Literals([0, 10, 100, 1000, 10_000, 100_000])
  })),
  { maxLength: 300 }
)

describe("BatchPlan", () => {
  it.effect.prop(
    "every row goes in exactly one request, and every request is within the bounds",
    { rows: Rows },
    ({ rows }) =>
      Effect.sync(() => {
        const logged = rows.map(({ bytes, key }, i) => row(i, key, bytes))
        const requests = plan(logged, [0])
        assert.deepStrictEqual(
          requests.flatMap((request) => request.rows.map(({ place }) => place)).toSorted((a, b) => a - b),
          logged.map(({ place }) => place)
        )
        for (const request of requests) {
          assert.isAbove(request.rows.length, 0)
          const partitions = new Set(request.rows.map(({ values }) => values[0]![0])).size
          if (request.rows.length === 1) continue
          if (partitions === 1) {
            assert.isAtMost(request.rows.length, defaultBounds.partitionRowsMax)
            assert.isAtMost(request.bytes, defaultBounds.partitionBytesMax)
          } else {
            assert.isAtMost(partitions, defaultBounds.partitionsMax)
            assert.isAtMost(request.bytes, defaultBounds.mixedBytesMax)
          }
        }
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect.prop(
    "with replica sets, rows of several partitions share a request only if the same nodes have them",
    { rows: Rows },
    ({ rows }) =>
      Effect.sync(() => {
        const logged = rows.map(({ bytes, key }, i) => row(i, key, bytes))
        const setOf = (key: number) => key % 3
        const sets = {
          count: 3,
          setOf: (bytes: Buffer, from: number, keys: ReadonlyArray<number>) =>
            setOf(bytes[valueOffset(bytes, from, keys[0]!) + 4]!)
        }
        const requests = plan(logged, [0], defaultBounds, sets)
        assert.deepStrictEqual(
          requests.flatMap((request) => request.rows.map(({ place }) => place)).toSorted((a, b) => a - b),
          logged.map(({ place }) => place)
        )
        for (const request of requests) {
          const keys = new Set(request.rows.map(({ values }) => values[0]![0]!))
          assert.strictEqual(new Set([...keys].map(setOf)).size, 1)
          assert.isAtMost(keys.size, defaultBounds.partitionsMax)
        }
      }),
    { arbitrary: { runs: 200 } }
  )

  it("rows of one partition share requests, of a hundred rows at most", () => {
    const requests = plan(Array.from({ length: 250 }, (_, i) => row(i, 1, 10)), [0])
    assert.deepStrictEqual(requests.map((request) => request.rows.length), [100, 100, 50])
  })

  it("rows of different partitions go ten to a request", () => {
    const requests = plan(Array.from({ length: 25 }, (_, i) => row(i, i, 10)), [0])
    assert.deepStrictEqual(requests.map((request) => request.rows.length), [10, 10, 5])
  })

  it("without a known partition key each row goes alone", () => {
    assert.strictEqual(plan(Array.from({ length: 5 }, (_, i) => row(i, 1, 10)), []).length, 5)
  })
})
