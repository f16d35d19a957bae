/**
 * How a flag of the command is written: one text, from the command line, else from the environment, else the default,
 * read by a kind that says what it expects.
 *
 * @since 0.1.0
 */
import * as CliError from "effect/cli/CliError"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as References from "effect/References"

/**
 * What the text of a flag stands for. `parse` gives undefined for a text that is not `expected`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Kind<A> {
  readonly metavar: string
  readonly expected: string
  readonly parse: (text: string) => A | undefined
}

/**
 * Any text that is not empty, or one that matches `pattern`.
 *
 * @category kinds
 * @since 0.1.0
 */
export const text = (metavar: string, pattern = /[^]/, expected = "a text that is not empty"): Kind<string> => ({
  metavar,
  expected,
  parse: (input) => pattern.test(input) ? input : undefined
})

/**
 * One of some words, in any case; `canonical` is how they are written.
 *
 * @category kinds
 * @since 0.1.0
 */
export const literal = <const A extends string>(metavar: string, canonical: ReadonlyArray<A>): Kind<A> => ({
  metavar,
  expected: `one of ${canonical.join(", ")}`,
  parse: (input) => canonical.find((word) => word.toLowerCase() === input.toLowerCase())
})

/**
 * A whole number of at least `least` and at most `most`.
 *
 * @category kinds
 * @since 0.1.0
 */
export const count = (least: number, most = Number.MAX_SAFE_INTEGER): Kind<number> => ({
  metavar: "number",
  expected: `a whole number of at least ${least}` + (most === Number.MAX_SAFE_INTEGER ? "" : ` and at most ${most}`),
  parse: (input) => {
    const value = /^\d+$/.test(input) ? Number(input) : Number.NaN
    return value >= least && value <= most ? value : undefined
  }
})

/**
 * A number with or without a fraction, 0 or more.
 *
 * @category kinds
 * @since 0.1.0
 */
export const decimal: Kind<number> = {
  metavar: "number",
  expected: "a number of at least 0",
  parse: (input) => /^\d+(?:\.\d+)?$/.test(input) ? Number(input) : undefined
}

/**
 * A time in Effect's syntax: `500 millis`, `10 seconds`, `5 minutes`.
 *
 * @category kinds
 * @since 0.1.0
 */
export const duration = (options?: { readonly orZero: boolean }): Kind<Duration.Duration> => ({
  metavar: "time",
  expected: `a time ${options?.orZero ? "of 0 or more" : "above 0"}, as "500 millis", "10 seconds" or "5 minutes"`,
  parse: (input) => {
    const value = Option.getOrUndefined(Duration.fromInput(input.trim() as Duration.Input))
    if (value === undefined) return undefined
    const millis = Duration.toMillis(value)
    return millis > 0 || (millis === 0 && options?.orZero === true) ? value : undefined
  }
})

const split = (input: string): ReadonlyArray<string> =>
  input.split(",").map((item) => item.trim()).filter((item) => item !== "")

const truth: Kind<boolean> = {
  metavar: "boolean",
  expected: "true or false",
  parse: (input) => /^(?:true|yes|on|1)$/i.test(input) ? true : /^(?:false|no|off|0)$/i.test(input) ? false : undefined
}

/**
 * The variable that stands for a flag: `--local-dc` is `EFFECT_CASSANDRA_LOCAL_DC`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const variable = (name: string): string => `EFFECT_CASSANDRA_${name.toUpperCase().replaceAll("-", "_")}`

interface Given {
  readonly text: string
  readonly from: string | null
}

const fromEnvironment = (name: string): Config.Config<Given> =>
  Config.map(Config.String(variable(name)), (value) => ({ text: value, from: variable(name) }))

const given = (name: string, metavar: string, description: string, alias?: string): Flag.Flag<Given> =>
  Flag.String(name).pipe(
    (flag) => alias === undefined ? flag : Flag.withAlias(flag, alias),
    Flag.withDescription(description),
    Flag.withMetavar(metavar),
    Flag.map((value): Given => ({ text: value, from: null })),
    Flag.withFallbackConfig(fromEnvironment(name))
  )

const read = <A>(name: string, kind: Kind<A>, { from, text: input }: Given): Effect.Effect<A, CliError.CliError> => {
  const value = kind.parse(input)
  return value !== undefined ? Effect.succeed(value) : Effect.fail(
    new CliError.InvalidValue({
      option: name,
      value: input,
      expected: from === null ? kind.expected : `${kind.expected} (it comes from ${from})`,
      kind: "flag"
    })
  )
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const required = <A>(
  name: string,
  kind: Kind<A>,
  description: string,
  options?: { readonly alias: string }
): Flag.Flag<A> =>
  given(name, kind.metavar, `${description} (required)`, options?.alias).pipe(
    Flag.mapEffect((input) => read(name, kind, input))
  )

/**
 * @category constructors
 * @since 0.1.0
 */
export const withDefault = <A>(name: string, kind: Kind<A>, value: string, description: string): Flag.Flag<A> =>
  given(name, kind.metavar, `${description} (default: ${value})`).pipe(
    Flag.withDefault({ text: value, from: null }),
    Flag.mapEffect((input) => read(name, kind, input))
  )

/**
 * The description says what happens without it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const optional = <A>(
  name: string,
  kind: Kind<A>,
  description: string,
  options?: { readonly alias: string }
): Flag.Flag<A | undefined> =>
  given(name, kind.metavar, description, options?.alias).pipe(
    Flag.optional,
    Flag.mapEffect((input): Effect.Effect<A | undefined, CliError.CliError> =>
      Option.isNone(input) ? Effect.undefined : read(name, kind, input.value)
    )
  )

/**
 * A flag that may be given several times, each a text of its own; undefined without one. The variable has one of them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const repeated = (
  name: string,
  metavar: string,
  description: string,
  { alias }: { readonly alias: string }
): Flag.Flag<ReadonlyArray<string> | undefined> =>
  Flag.String(name).pipe(
    Flag.withAlias(alias),
    Flag.withDescription(description),
    Flag.withMetavar(metavar),
    Flag.atLeast(0),
    Flag.mapEffect((inputs) =>
      Effect.gen(function*() {
        if (inputs.length > 0) return inputs
        const fallback = yield* Effect.orElseSucceed(Config.option(Config.String(variable(name))), Option.none)
        return Option.isNone(fallback) ? undefined : [fallback.value]
      })
    )
  )

/**
 * Several texts, by commas or by repeating the flag; undefined without one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const list = (
  name: string,
  metavar: string,
  description: string
): Flag.Flag<ReadonlyArray<string> | undefined> =>
  Flag.String(name).pipe(
    Flag.withDescription(description),
    Flag.withMetavar(metavar),
    Flag.atLeast(0),
    Flag.mapEffect((inputs) =>
      Effect.gen(function*() {
        const fallback = yield* Effect.orElseSucceed(Config.option(Config.String(variable(name))), Option.none)
        const items = inputs.length > 0 ? inputs.flatMap(split) : split(Option.getOrElse(fallback, () => ""))
        return items.length > 0 ? items : undefined
      })
    )
  )

/**
 * A flag without a value, false unless `byDefault`; `--no-` in front of its name says the contrary.
 *
 * @category constructors
 * @since 0.1.0
 */
export const toggle = (name: string, description: string, byDefault = false): Flag.Flag<boolean> =>
  Flag.Boolean(name).pipe(
    Flag.withDescription(description),
    Flag.map((value): Given => ({ text: String(value), from: null })),
    Flag.withFallbackConfig(fromEnvironment(name)),
    Flag.withDefault({ text: String(byDefault), from: null }),
    Flag.mapEffect((input) => read(name, truth, input))
  )

/**
 * Runs a verb at the level of `--log-level`. That is a flag of every command, so its variable is read here.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withLogLevel = Effect.fnUntraced(function*<A, E, R>(self: Effect.Effect<A, E, R>) {
  if (Option.isSome(yield* GlobalFlag.LogLevel)) return yield* self
  const name = yield* Effect.orElseSucceed(Config.option(Config.String(variable("log-level"))), Option.none)
  const level = LogLevel.values.find((value) => value.toLowerCase() === Option.getOrElse(name, () => "").toLowerCase())
  return yield* level === undefined ? self : Effect.provideService(self, References.MinimumLogLevel, level)
})
