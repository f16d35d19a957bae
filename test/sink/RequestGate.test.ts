import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Fiber, Schema } from "effect"
import * as RequestGate from "../../src/sink/RequestGate.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

describe("RequestGate", () => {
  it.effect.prop(
    "lets everybody through, in parts if need be, never more at once than the bound, also when some are interrupted",
    {
      bursts: Arbitrary.array(
        Arbitrary.all({ wanted: int(1, 8), turns: int(0, 5), isInterrupted: Arbitrary.schema(Schema.Boolean) }),
        { maxLength: 30 }
      ),
      bounds: Arbitrary.array(int(-1, 20), { minLength: 1, maxLength: 10 })
    },
    ({ bounds, bursts }) =>
      Effect.gen(function*() {
        let [asked, underWay, greatest] = [0, 0, 0]
        let bound = 1
        const gate = RequestGate.make(() => {
          bound = Math.max(1, bounds[asked++ % bounds.length]!)
          return bound
        })
        const sent: Array<number> = bursts.map(() => 0)
        const fibers = yield* Effect.forEach(bursts, ({ turns, wanted }, i) => {
          const rest: Effect.Effect<void> = Effect.suspend(() =>
            sent[i] === wanted ? Effect.void : Effect.andThen(
              gate.pass(wanted - sent[i]!, (count) => {
                assert.isAtLeast(count, 1)
                assert.isAtMost(count, wanted - sent[i]!)
                underWay += count
                greatest = Math.max(greatest, underWay)
                // Those before it may have passed under a greater bound.
                assert.isTrue(underWay <= bound || underWay <= Math.max(...bounds))
                return Effect.yieldNow.pipe(
                  Effect.repeat({ times: turns }),
                  Effect.onExit((exit) =>
                    Effect.sync(() => {
                      underWay -= count
                      if (exit._tag === "Success") sent[i]! += count
                    })
                  ),
                  Effect.asVoid
                )
              }),
              rest
            )
          )
          return Effect.forkChild(rest)
        })
        yield* Effect.yieldNow
        for (const [i, { isInterrupted }] of bursts.entries()) {
          if (isInterrupted) yield* Fiber.interrupt(fibers[i]!)
        }
        for (const [i, { isInterrupted, wanted }] of bursts.entries()) {
          if (isInterrupted) continue
          yield* Fiber.join(fibers[i]!)
          assert.strictEqual(sent[i], wanted)
        }
        assert.strictEqual(underWay, 0)
        assert.isAtMost(greatest, Math.max(1, ...bounds))
        // Nothing is left taken: all of the bound is there for one.
        const all = yield* gate.pass(1, (count) => Effect.succeed(count))
        assert.strictEqual(all, 1)
      })
  )

  it.effect("a burst waits for several free places rather than being cut for one", () =>
    Effect.gen(function*() {
      const gate = RequestGate.make(() => 8)
      const counts: Array<number> = []
      const pass = (wanted: number, during: Effect.Effect<void>) =>
        gate.pass(wanted, (count) => {
          counts.push(count)
          return during
        })
      yield* Effect.forkChild(pass(7, Effect.never))
      const one = yield* Effect.forkChild(pass(1, Effect.never))
      yield* Effect.yieldNow
      const burst = yield* Effect.forkChild(pass(4, Effect.void))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(one)
      yield* Effect.yieldNow
      assert.deepStrictEqual(counts, [7, 1])
      assert.isUndefined(burst.pollUnsafe())
    }))

  it.effect("a bound that falls below a burst does not stop it", () =>
    Effect.gen(function*() {
      let bound = 8
      const gate = RequestGate.make(() => bound)
      const counts: Array<number> = []
      const pass = (wanted: number) => gate.pass(wanted, (count) => Effect.sync(() => counts.push(count)))
      yield* pass(8)
      bound = 3
      yield* pass(8)
      bound = 0
      yield* pass(8)
      assert.deepStrictEqual(counts, [8, 3, 1])
    }))
})
