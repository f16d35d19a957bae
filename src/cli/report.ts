/**
 * The end of a verb: what went wrong in a line or two, without a stack, and the exit code.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import type { LoadError } from "./exitCode.ts"
import { exitCodes, resumeAdvice, verdict } from "./exitCode.ts"
import { Signals } from "./Signals.ts"
import { StatusLine } from "./StatusLine.ts"

/**
 * Ends the process with a code. Everything there is to say has been said.
 *
 * @category errors
 * @since 0.1.0
 */
export class Exit extends Schema.TaggedError<Exit>("effect-cassandra/cli/Exit")("Exit", { code: Schema.Int }) {}

// C0 and C1 controls but tab and line feed, DEL, and the bidirectional overrides: they disturb a terminal.
// eslint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g

/**
 * Text of unknown origin, as it can be shown on a terminal.
 *
 * @category formatting
 * @since 0.1.0
 */
export const printable = (text: string): string =>
  text.replace(unprintable, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)

/**
 * A bug, in one line; with its stack at level debug.
 *
 * @category formatting
 * @since 0.1.0
 */
export const describeDefect = (defect: unknown, withStack: boolean): string => {
  const detail = defect instanceof Error
    ? (withStack ? defect.stack ?? defect.message : `${defect.name}: ${defect.message}`)
    : String(defect)
  return `internal error: ${printable(withStack ? detail : detail.split("\n    at ")[0]!)}\n${resumeAdvice.yes}` +
    (withStack ? "" : "\nThis is a bug. --log-level debug shows where it happened.")
}

/**
 * Ends what leaves nothing behind at the first signal.
 *
 * @category combinators
 * @since 0.1.0
 */
export const untilSignal = Effect.fnUntraced(function*<A, E, R>(self: Effect.Effect<A, E, R>) {
  const { first, hurry } = yield* Signals
  const line = yield* StatusLine
  const stopped = Effect.gen(function*() {
    const detail = `${yield* first} was received.`
    line.print(`stopped: ${detail}`, "warn")
    yield* hurry(detail)
    return yield* new Exit({ code: exitCodes.interrupted })
  })
  return yield* Effect.raceFirst(self, stopped)
})

/**
 * Prints the failure of `self` and turns it into an `Exit`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const report = <R>(
  verb: string,
  self: Effect.Effect<void, LoadError | Exit, R>
): Effect.Effect<void, Exit, R> =>
  Effect.catchCause(self, (cause) =>
    Effect.gen(function*(): Effect.fn.Return<never, Exit> {
      const line = yield* StatusLine
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      if (error !== undefined && error._tag === "Exit") return yield* error
      if (error !== undefined) {
        const { code, resumes } = verdict(error)
        const advice = resumeAdvice[resumes]
        line.print(
          `${code === exitCodes.interrupted ? "stopped" : "error"}: ${printable(error.message)}` +
            (code === exitCodes.usage ? `\nSee effect-cassandra ${verb} --help.` : "") +
            (advice === null ? "" : `\n${advice}`),
          code === exitCodes.interrupted ? "warn" : "error"
        )
        return yield* new Exit({ code })
      }
      if (Cause.hasInterruptsOnly(cause)) return yield* new Exit({ code: exitCodes.interrupted })
      const level = yield* References.MinimumLogLevel
      line.print(describeDefect(Cause.squash(cause), LogLevel.isLessThanOrEqualTo(level, "Debug")), "error")
      return yield* new Exit({ code: exitCodes.crashed })
    }))
