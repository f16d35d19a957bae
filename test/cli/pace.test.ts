import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Record } from "../../src/checkpoint/Element.ts"
import { pace, recordsPerChunk } from "../../src/cli/pace.ts"
import type { Source } from "../../src/source/Source.ts"

const source: Source<number> = {
  describe: "ten at a time",
  total: null,
  progress: () => 0,
  read: () =>
    Stream.range(0, 9).pipe(
      Stream.rechunk(1),
      Stream.map((n) => ({
        records: Array.from({ length: 10 }, (_, i) => new Record(n * 10 + i, i)),
        position: { n }
      }))
    )
}

describe("pace", () => {
  it.effect("gives records at the pace asked for, and does not make up for a wait", () =>
    Effect.gen(function*() {
      const times: Array<number> = []
      const fiber = yield* pace(source, 100).read(null).pipe(
        Stream.runForEach(({ position }) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            times.push(now)
            // Nobody asks for a second.
            return position["n"] === 4 ? Effect.sleep(1000) : Effect.void
          })
        ),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(times, [0, 100, 200, 300, 400, 1400, 1500, 1600, 1700, 1800])
    }))

  it("takes small chunks for a low pace", () => {
    assert.deepStrictEqual([1, 9, 100, 100_000].map(recordsPerChunk), [1, 1, 10, 4096])
  })
})
