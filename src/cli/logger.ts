/**
 * Log lines for a person: the level and the message, on stderr, above the live line; or for a script, as JSON.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import { StatusLine } from "./StatusLine.ts"

const colors: { readonly [level: string]: string } = { Fatal: "31", Error: "31", Warn: "33", Info: "32" }

const textOf = (message: unknown): string =>
  Array.isArray(message)
    ? message.map(textOf).join(" ")
    : message instanceof Error
    ? message.message
    : typeof message === "string"
    ? message
    : JSON.stringify(message) ?? String(message)

/**
 * `warn  Checkpoint 3 was aborted: ...`; with a time in front, and causes with their stacks, at level debug and below.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.unwrap(Effect.map(StatusLine, (line) =>
  Logger.layer([
    Logger.make(({ cause, date, fiber, logLevel, message }) => {
      const isVerbose = LogLevel.isLessThanOrEqualTo(fiber.getRef(References.MinimumLogLevel), "Debug")
      const level = logLevel.toLowerCase().padEnd(5)
      const color = line.isLive ? colors[logLevel] : undefined
      const why = cause.reasons.length === 0
        ? ""
        : isVerbose
        ? `\n${Cause.pretty(cause)}`
        : ` (${textOf(Cause.squash(cause))})`
      line.put(
        (isVerbose ? `${date.toISOString()} ` : "") +
          (color === undefined ? level : `\u001b[${color}m${level}\u001b[0m`) + ` ${textOf(message)}${why}`,
        () => ({
          type: "log",
          time: date.toISOString(),
          level: logLevel.toLowerCase(),
          message: textOf(message),
          ...cause.reasons.length === 0 ? {} : { cause: Cause.pretty(cause) }
        })
      )
    })
  ])))
