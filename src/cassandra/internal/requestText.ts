/**
 * What a message may tell of a request that failed: where it went, its statement without the literals in it, a value in short,
 * and what the driver's error says, which may come of another copy of the driver.
 */
import * as Predicate from "effect/Predicate"

/**
 * What a caller knows about a failed request and the driver's error does not tell.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClassifyContext {
  /** Where the request went, for the message: `127.0.0.1:9042, 10.0.0.2:9042`. */
  readonly place?: string | undefined
  /** The statement, for the message. String literals in it are masked. */
  readonly statement?: string | undefined
  /** Sets `uncertain`: the request had several parts or a condition, or may have been tried on another node before. */
  readonly uncertain?: boolean | undefined
  /** The connection was made without TLS. */
  readonly plaintext?: boolean | undefined
  /** The parameter that could not be encoded. */
  readonly encode?: { readonly column: string; readonly cqlType: string; readonly value: unknown } | undefined
}

export const read = (cause: unknown, key: string): unknown => Predicate.hasProperty(cause, key) ? cause[key] : undefined

export const nameOf = (cause: unknown): string => {
  const name = read(cause, "name")
  return typeof name === "string" ? name : ""
}

export const placeOf = (context: ClassifyContext): string =>
  context.place === undefined || context.place === "" ? "the cluster" : context.place

/** Passwords travel as string literals in role statements: those are masked wherever the text may be shown. */
const maskLiterals = (text: string): string => text.replace(/'(?:[^']|'')*'/g, "'?'")

export const messageOf = (cause: unknown, context: ClassifyContext): string => {
  const message = read(cause, "message")
  const text = typeof message === "string" ? message : String(cause)
  const secret = context.statement !== undefined && /password/i.test(context.statement)
  return (secret ? maskLiterals(text) : text).replace(/\.$/, "")
}

const shorten = (text: string): string => text.length > 200 ? `${text.slice(0, 200)}...` : text

export const inStatement = (context: ClassifyContext): string =>
  context.statement === undefined
    ? ""
    : ` in \`${shorten(maskLiterals(context.statement).replace(/\s+/g, " ").trim())}\``

export const preview = (value: unknown): string => {
  const text = typeof value === "string"
    ? JSON.stringify(value)
    : typeof value === "bigint"
    ? `${value}n`
    : value === null || typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : typeof value === "object"
    ? `a value of class ${value.constructor?.name ?? "Object"}`
    : `a ${typeof value}`
  return text.length > 60 ? `${text.slice(0, 60)}...` : text
}
