/**
 * `--watch`: looks again and again, until a signal.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import Process from "node:process"
import { Signals } from "./Signals.ts"

/** The cursor to the first place, and all behind it away: less of a flicker than an empty screen. */
const home = "\u001b[H\u001b[J"

/**
 * Prints what `look` gives, each time in place of the last one on a terminal, and below it elsewhere. Ends with the last
 * one at a signal, or when nobody reads any more.
 *
 * @category combinators
 * @since 0.1.0
 */
export const watch = Effect.fnUntraced(function*<A, E, R>(
  look: Effect.Effect<A, E, R>,
  options: {
    readonly every: Duration.Duration
    readonly isJson: boolean
    readonly show: (found: A, now: number) => string
  }
) {
  const signals = yield* Signals
  const isScreen = Process.stdout.isTTY === true && Process.env["TERM"] !== "dumb" && !options.isJson
  const unread = Effect.callback<void>((resume) => {
    const end = () => resume(Effect.void)
    Process.stdout.once("error", end)
    return Effect.sync(() => Process.stdout.off("error", end))
  })
  const over = Effect.raceFirst(Effect.asVoid(signals.first), unread)
  let last = yield* look
  while (true) {
    const now = yield* Clock.currentTimeMillis
    const text = options.show(last, now)
    yield* Console.log(isScreen ? home + text : options.isJson ? text : `${new Date(now).toISOString()}\n${text}\n`)
    const isOver = yield* Effect.raceFirst(Effect.as(over, true), Effect.as(Effect.sleep(options.every), false))
    if (isOver) return last
    last = yield* look
  }
})
