/** Jobs on the test clock. */
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

/** Lets so many virtual milliseconds pass. */
export const pass = (millis: number) =>
  Effect.forEach(Array.from({ length: millis / 100 }), () => TestClock.adjust("100 millis"), { discard: true })

/** Lets time pass until a fiber has ended. */
export const end = Effect.fnUntraced(function*<A, E>(fiber: Fiber.Fiber<A, E>) {
  while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("100 millis")
  return yield* Fiber.join(fiber)
})

/** Runs it until it has ended. */
export const toEnd = <A, E>(self: Effect.Effect<A, E>) => Effect.flatMap(Effect.forkChild(self), end)

/** Runs for so long, and is gone. */
export const runFor = Effect.fnUntraced(function*<A, E>(self: Effect.Effect<A, E>, millis: number) {
  const fiber = yield* Effect.forkChild(Effect.exit(self))
  yield* pass(millis)
  yield* Fiber.interrupt(fiber)
})
