import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import type { Request } from "../../src/sink/BatchPlan.ts"
import * as BatchPlan from "../../src/sink/BatchPlan.ts"
import type { LoggedRow } from "../../src/state/RowFrame.ts"
import * as PartitionToken from "../../src/wire/PartitionToken.ts"
import { loggedRows } from "./loggedRows.ts"

const row = (place: number, key: number, bytes: number): LoggedRow =>
  loggedRows([{ place, timestamp: place, values: [Buffer.from([key]), Buffer.alloc(bytes), null, undefined] }])[0]!

const { defaultBounds } = BatchPlan

const plan = (...args: Parameters<typeof BatchPlan.make>): Array<Request> => {
  const { next } = BatchPlan.make(...args)
  const requests: Array<Request> = []
  for (let request = next(); request !== null; request = next()) requests.push(request)
  assert.isNull(next())
  return requests
}

const tokenOf = ({ bytes, from }: LoggedRow): number =>
  PartitionToken.highHalf(bytes, from, [0]) * 2 ** 32 + PartitionToken.lowHalf()

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
        const setOf = (high: number) => (high >>> 8) % 3
        const sets = { count: 3, setOf }
        const requests = plan(logged, [0], defaultBounds, sets)
        assert.deepStrictEqual(
          requests.flatMap((request) => request.rows.map(({ place }) => place)).toSorted((a, b) => a - b),
          logged.map(({ place }) => place)
        )
        for (const request of requests) {
          const keys = new Set(request.rows.map(({ values }) => values[0]![0]!))
          const setsOfRows = request.rows.map(({ bytes, from }) => setOf(PartitionToken.highHalf(bytes, from, [0])))
          assert.strictEqual(new Set(setsOfRows).size, 1)
          assert.isAtMost(keys.size, defaultBounds.partitionsMax)
        }
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect.prop(
    "rows of one partition stay in order, those of a request in the order of their tokens",
    { rows: Rows },
    ({ rows }) =>
      Effect.sync(() => {
        const requests = plan(rows.map(({ bytes, key }, i) => row(i, key, bytes)), [0])
        for (const { rows } of requests) {
          assert.deepStrictEqual(rows.map(tokenOf), rows.map(tokenOf).toSorted((a, b) => a - b))
        }
        const places = new Map<number, number>()
        for (const { place, values } of requests.flatMap(({ rows }) => rows)) {
          const key = values[0]![0]!
          assert.isAbove(place, places.get(key) ?? -1)
          places.set(key, place)
        }
      }),
    { arbitrary: { runs: 200 } }
  )

  it("many rows are sent in stripes of the ring, each in the order of its tokens", () => {
    const rows = loggedRows(Array.from({ length: 20_000 }, (_, i) => {
      const id = Buffer.alloc(4)
      id.writeInt32BE(i)
      return { place: i, timestamp: i, values: [id] }
    }))
    const requests = plan(rows, [0])
    assert.strictEqual(new Set(requests.flatMap((request) => request.rows)).size, 20_000)
    // One for each stripe may be short.
    assert.isAtMost(requests.length, 2016)
    const sorted = rows.map(tokenOf).toSorted((a, b) => a - b)
    const rank = new Map(sorted.map((token, i) => [token, i]))
    const ranks = requests.map((request) => request.rows.map((row) => rank.get(tokenOf(row))!))
    for (const [i, own] of ranks.entries()) {
      assert.deepStrictEqual(own, own.map((_, j) => own[0]! + j))
      // As long as all of them have rows.
      if (i >= 16 && i < 1980) assert.strictEqual(own[0]!, ranks[i - 16]!.at(-1)! + 1)
    }
    const stripesOfSixteen = new Set(ranks.slice(0, 16).map(([first]) => Math.floor(first! / 1250)))
    assert.strictEqual(stripesOfSixteen.size, 16)
  })

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
