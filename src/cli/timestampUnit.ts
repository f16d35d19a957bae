/**
 * `--timestamp-unit`: what a number means that fills a column of type `timestamp`.
 *
 * @since 0.1.0
 */
import * as CliError from "effect/cli/CliError"
import * as Effect from "effect/Effect"
import { typeName } from "../cassandra/CqlValue.ts"
import type { Param } from "../sink/RowEncoder.ts"
import { Misfit } from "../sink/RowEncoder.ts"

/**
 * Seconds, milliseconds (as CQL has it) or microseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export type TimestampUnit = "s" | "ms" | "us"

/** How far the decimal point moves, from the unit to milliseconds. */
const places: { readonly [unit in TimestampUnit]: number } = { s: 3, ms: 0, us: -3 }

/** In milliseconds, digit by digit: no double comes in between. What is no number is left to who encodes it. */
const toMillis = (value: unknown, column: string, unit: TimestampUnit): unknown => {
  const [, sign, whole, fraction = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(String(value)) ?? []
  if (whole === undefined) return value
  const digits = (whole + fraction).padStart(4, "0")
  const point = digits.length - fraction.length + places[unit]
  if (/[1-9]/.test(digits.slice(point))) {
    throw new Misfit(
      column,
      `${String(value)} ${unit} is no whole number of milliseconds, and a timestamp holds no less`
    )
  }
  return `${sign}${digits.slice(0, point).padEnd(point, "0")}`
}

/**
 * What makes the values of a statement with these markers out of a record; undefined if that is the record itself. Fails if
 * a field fills a timestamp and also something else.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeBind = (
  params: ReadonlyArray<Param>,
  unit: TimestampUnit
): Effect.Effect<((record: object) => { readonly [name: string]: unknown }) | undefined, CliError.CliError> => {
  if (unit === "ms") return Effect.undefined
  const isTime = ({ isTimestamp, type }: Param) => typeName(type) === "timestamp" && isTimestamp !== true
  const names = [...new Set(params.filter(isTime).map(({ name }) => name))]
  const other = params.find((param) => !isTime(param) && names.includes(param.name))
  if (other !== undefined) {
    return Effect.fail(
      new CliError.ValidationError({
        message:
          `The field ${other.name} fills a timestamp and something else, so --timestamp-unit can't be about one of ` +
          `them: convert the file, or give the field twice`
      })
    )
  }
  return Effect.succeed((record) => {
    const values: { [name: string]: unknown } = { ...record }
    for (const name of names) {
      if (Object.hasOwn(values, name)) values[name] = toMillis(values[name], name, unit)
    }
    return values
  })
}
