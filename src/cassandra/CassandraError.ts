/**
 * The one error of everything that talks to Cassandra: `CassandraError`, with a tagged `reason`.
 *
 * `Effect.catchTag("CassandraError", ...)` handles all of them, `Effect.catchReason("CassandraError", "Unavailable", ...)`
 * one kind, and `error.isRetryable` / `error.mayHaveBeenApplied` are what a retry policy looks at. `classify` turns what
 * the driver throws into a reason; it is public for those who use a driver client of their own.
 *
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Reason from "./CassandraErrorReason.ts"
import type { ClassifyContext } from "./internal/requestText.ts"
import { inStatement, messageOf, nameOf, placeOf, preview, read } from "./internal/requestText.ts"
import type { Base } from "./internal/serverError.ts"
import { serverError } from "./internal/serverError.ts"
import { tlsFailure } from "./internal/tlsFailure.ts"

export * from "./CassandraErrorReason.ts"
export type { ClassifyContext } from "./internal/requestText.ts"

/**
 * A failure of a request to Cassandra, or of connecting to it.
 *
 * `message` is one line for a person: what failed, where, and the way out. It never holds credentials, nor the string
 * literals of a statement. `cause` is the reason, whose own `cause` is the driver's error.
 *
 * @category errors
 * @since 0.1.0
 */
export class CassandraError
  extends Schema.TaggedError<CassandraError>("effect-cassandra/CassandraError")("CassandraError", {
    reason: Reason.CassandraErrorReason
  })
{
  override readonly cause = this.reason

  override get message(): string {
    return this.reason.message
  }
  /** Whether repeating the same request may succeed. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
  /** Whether the request may have taken effect, wholly or in part, although it failed. */
  get mayHaveBeenApplied(): boolean {
    return this.reason.mayHaveBeenApplied
  }
}

/**
 * Turns whatever the driver threw into a reason.
 *
 * **Details**
 *
 * Server errors go by their protocol code, client-side ones by the driver's class (compared by name, so that a second
 * copy of the driver in the tree does no harm). A `NoHostAvailableError` is unwrapped: of its inner errors the most
 * telling one wins (refused credentials before a timeout, a timeout before an unreachable node).
 *
 * @category converting
 * @since 0.1.0
 */
export const classify = (
  cause: unknown,
  operation: string,
  context: ClassifyContext = {}
): Reason.CassandraErrorReason => {
  const innerErrors = read(cause, "innerErrors")
  if (nameOf(cause) === "NoHostAvailableError") {
    return noHostAvailable(cause, Predicate.isObject(innerErrors) ? innerErrors : {}, operation, context)
  }
  const base = { cause, operation, uncertain: context.uncertain }
  const text = messageOf(cause, context)
  const code = read(cause, "code")
  if (nameOf(cause) === "ResponseError" && typeof code === "number") {
    return serverError(code, cause, text, base, context)
  }
  if (read(cause, "isSocketError") === true) {
    const written = operation !== "connect" && read(cause, "requestNotWritten") !== true
    return new Reason.Connection({
      ...base,
      uncertain: written || context.uncertain,
      message: `The connection to ${placeOf(context)} was lost during ${operation}` +
        `${systemCode(read(cause, "innerError"))}.${written ? " The request may have been applied." : ""}`
    })
  }
  // The driver looks for the node that it was connected to, and it has just gone.
  if (/^Cannot read properties of null \(reading '(datacenter|address)'\)$/.test(text)) {
    return unreachable(base, context, " (the node that the driver listened to has just gone)")
  }
  switch (nameOf(cause)) {
    case "OperationTimedOutError":
      return new Reason.ClientTimeout({
        ...base,
        message:
          `No answer from ${read(cause, "host") ?? placeOf(context)} within the request's timeout (${operation}). ` +
          `The server may still be working on it; look at its load, or raise requestTimeout.`
      })
    case "BusyConnectionError":
      return new Reason.Busy({
        ...base,
        message: `Too many requests in flight: ${text}. Keep fewer in flight, or raise connectionsPerHost.`
      })
    case "AuthenticationError":
      return new Reason.Authentication({
        ...base,
        message: /no authenticator found/.test(text)
          ? `Cassandra at ${
            placeOf(context)
          } wants a user name and a password, and none were given. Give --username / ` +
            `username (CASSANDRA_USERNAME) and password (CASSANDRA_PASSWORD).`
          : `Cassandra at ${placeOf(context)} refused the credentials: ${text}. ` +
            `Check username and password (CASSANDRA_USERNAME, CASSANDRA_PASSWORD).`
      })
    case "NotSupportedError":
      return new Reason.ProtocolError({ ...base, message: `Not supported by ${placeOf(context)}: ${text}.` })
    case "ArgumentError": {
      const dataCenter = wrongDataCenter(text)
      return dataCenter === undefined
        ? new Reason.Config({ ...base, message: `Cassandra session: ${text}` })
        : new Reason.WrongDataCenter({
          ...base,
          ...dataCenter,
          message: `Data centre '${dataCenter.asked}' does not exist at ${placeOf(context)}; it has: ` +
            `${dataCenter.found.join(", ")}. Use --local-dc / localDataCenter (CASSANDRA_LOCAL_DC).`
        })
    }
    case "TypeError":
    case "RangeError":
    case "SyntaxError": {
      const { column, cqlType, value } = context.encode ?? { column: null, cqlType: null, value: null }
      return new Reason.Encode({
        ...base,
        column,
        cqlType,
        value,
        message: column === null
          ? `A parameter cannot be encoded${inStatement(context)}: ${text}`
          : `${preview(value)} does not fit column ${column} (${cqlType})${inStatement(context)}: ${text}`
      })
    }
  }
  if (typeof code === "string") {
    const tls = tlsFailure(code, text, placeOf(context))
    if (tls !== undefined) return new Reason.Tls({ ...base, message: tls })
    return code === "ECONNRESET" && operation === "connect" && context.plaintext === true
      ? unreachable(
        base,
        context,
        " (it hung up: ECONNRESET)",
        " A node that wants TLS does that: try --tls / tls " +
          "(CASSANDRA_TLS=true)."
      )
      : unreachable(base, context, systemCode(cause))
  }
  // A node that has just come back counts as up before the driver has a connection to it.
  if (text === "No connection available") {
    return unreachable(base, context, " (there is no connection to it at the moment)")
  }
  if (text === "Connection timeout") {
    return unreachable(base, context, " (no answer to the connection request)")
  }
  if (text === "Host considered as DOWN") {
    return unreachable(base, context, " (marked as down)")
  }
  return new Reason.Unknown({ ...base, message: `${operation} failed at ${placeOf(context)}: ${text}` })
}

/**
 * `classify`, wrapped in the public error.
 *
 * @category converting
 * @since 0.1.0
 */
export const fromCause = (cause: unknown, operation: string, context?: ClassifyContext): CassandraError =>
  cause instanceof CassandraError ? cause : new CassandraError({ reason: classify(cause, operation, context) })

/** From the most telling reason to the least: what is not listed stands between the two groups. */
const mostTelling = [
  "Authentication",
  "Tls",
  "WrongDataCenter",
  "Authorization",
  "Config",
  "Syntax",
  "InvalidQuery",
  "Encode"
]
const leastTelling = ["Busy", "Unknown", "Connection"]

const rank = (tag: string): number => {
  const first = mostTelling.indexOf(tag)
  return first >= 0 ? first : mostTelling.length + 1 + leastTelling.indexOf(tag)
}

const noHostAvailable = (
  cause: unknown,
  innerErrors: object,
  operation: string,
  context: ClassifyContext
): Reason.CassandraErrorReason => {
  const hosts = Object.entries(innerErrors).filter(([, inner]) => inner !== null && inner !== undefined)
  const place = context.place ?? hosts.map(([host]) => host).join(", ")
  if (hosts.length === 0) {
    return unreachable(
      { cause, operation, uncertain: context.uncertain },
      { ...context, place },
      ` (${messageOf(cause, context)})`
    )
  }
  // one node that may have applied the request makes the whole outcome uncertain, whatever the last node said
  const uncertain = context.uncertain === true ||
    hosts.some(([, inner]) => classify(inner, operation).mayHaveBeenApplied && nameOf(inner) !== "")
  return hosts.map(([, inner]) => classify(inner, operation, { ...context, place, uncertain }))
    .reduce((best, reason) => rank(reason._tag) < rank(best._tag) ? reason : best)
}

const unreachable = (base: Base, context: ClassifyContext, why: string, hint = ""): Reason.Connection =>
  new Reason.Connection({
    ...base,
    message: `No Cassandra node answered at ${placeOf(context)}${why}. Is it running, and are the address and port ` +
      `right? Use --contact-points / contactPoints (CASSANDRA_CONTACT_POINTS).${hint}`
  })

const wrongDataCenter = (text: string): { asked: string; found: ReadonlyArray<string> } | undefined => {
  const match = /^Datacenter (.*) was not found\. Available DCs are: \[(.*)\]$/.exec(text) ??
    /^localDataCenter was configured as '(.*)', but only found hosts in data centers: \[(.*)\]$/.exec(text)
  return match === null ? undefined : { asked: match[1]!, found: match[2]!.split(/, ?/) }
}

const systemCode = (cause: unknown): string => {
  const code = read(cause, "code")
  return typeof code === "string" ? ` (${code})` : ""
}
