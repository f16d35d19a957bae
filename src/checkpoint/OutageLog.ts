/**
 * Says that something fails and is tried again: at once, then at most every ten seconds, and once when it is over. An
 * outage makes every request fail many times; nobody wants to read each of them.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

const everyMillis = 10_000

/**
 * Tells of each failure, and of the success behind it, as often as somebody wants to read of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface OutageLog {
  /** `message` is a sentence; that it is tried again is added. */
  readonly failed: (message: string) => Effect.Effect<void>
  readonly succeeded: Effect.Effect<void>
}

/**
 * `what` begins the sentences: "The ledger".
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (what: string): OutageLog => {
  let since: number | null = null
  let saidAt = 0
  return {
    failed: (message) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (since !== null && now - saidAt < everyMillis) return Effect.void
        const first = since === null
        since ??= now
        saidAt = now
        const seconds = Math.round((now - since) / 1000)
        return Effect.logWarning(`${message} Trying again${first ? "" : ` (${what} has failed for ${seconds} s)`}.`)
      }),
    succeeded: Effect.suspend(() => {
      if (since === null) return Effect.void
      since = null
      return Effect.logInfo(`It works again: ${what}`)
    })
  }
}
