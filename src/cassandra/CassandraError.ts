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
import { grantOf } from "./internal/grant.ts"
import { tlsFailure } from "./internal/tlsFailure.ts"

export * from "./CassandraErrorReason.ts"

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

/** Fields of every reason. */
interface Base {
  readonly cause: unknown
  readonly operation: string
  readonly uncertain: boolean | undefined
}

const serverError = (
  code: number,
  cause: unknown,
  text: string,
  base: Base,
  context: ClassifyContext
): Reason.CassandraErrorReason => {
  const at = `at ${placeOf(context)}`
  const number = (key: string): number => Number(read(cause, key) ?? 0)
  const consistency = consistencyNames[number("consistencies")] ?? "UNKNOWN"
  const writeType = String(read(cause, "writeType") ?? "UNKNOWN")
  const received = number("received")
  const required = number("blockFor")
  const failures = number("failures")
  const unknownOutcome = "It may have been applied, or be applied later"
  switch (code) {
    case 0x0000:
      return new Reason.ServerError({
        ...base,
        message: `Cassandra ${at} hit an internal error: ${text}. See its log.`
      })
    case 0x000a:
      return new Reason.ProtocolError({ ...base, message: `Protocol error ${at}: ${text}` })
    case 0x0100:
      return new Reason.Authentication({
        ...base,
        message: `Cassandra ${at} refused the credentials: ${text}. Check username and password.`
      })
    case 0x1000:
      return new Reason.Unavailable({
        ...base,
        consistency,
        required: number("required"),
        alive: number("alive"),
        message: `Not enough replicas are alive for ${consistency} ${at}: ${number("required")} required, ` +
          `${number("alive")} alive. Bring nodes back, or choose a lower consistency.`
      })
    case 0x1001:
      return new Reason.Overloaded({ ...base, message: `Cassandra ${at} is overloaded: ${text}. Send less at once.` })
    case 0x1002:
      return new Reason.Bootstrapping({ ...base, message: `The node ${at} is still joining the cluster: ${text}` })
    case 0x1003:
      return new Reason.Truncate({ ...base, message: `TRUNCATE failed ${at}: ${text}. It needs every replica alive.` })
    // CAS_WRITE_UNKNOWN (0x1700) is how newer protocols name a write timeout of a conditional statement
    case 0x1100:
    case 0x1700:
      return new Reason.WriteTimeout({
        ...base,
        consistency,
        writeType,
        received,
        required,
        message: `The write timed out at ${consistency} ${at}: ${received} of ${required} replicas acknowledged ` +
          `(${writeType}). ${unknownOutcome}; look at the load of the replicas.`
      })
    case 0x1200:
      return new Reason.ReadTimeout({
        ...base,
        consistency,
        received,
        required,
        message: `The read timed out at ${consistency} ${at}: ${received} of ${required} replicas answered. ` +
          `Read less per page, or look at the load of the replicas.`
      })
    case 0x1300:
      return new Reason.ReadFailure({
        ...base,
        consistency,
        received,
        required,
        failures,
        message:
          `${failures} replica(s) failed the read at ${consistency} ${at}, ${received} of ${required} answered. ` +
          `Often too many tombstones: see the server's log.`
      })
    case 0x1500:
    case 0x1600:
      return new Reason.WriteFailure({
        ...base,
        consistency,
        writeType,
        received,
        required,
        failures,
        message: `${failures} replica(s) failed the write at ${consistency} ${at}, ${received} of ${required} ` +
          `acknowledged (${writeType}). ${unknownOutcome}; see the server's log.`
      })
    case 0x2000:
      return new Reason.Syntax({ ...base, message: `Not valid CQL${inStatement(context)}: ${text}` })
    case 0x2100: {
      const grant = grantOf(text)
      const remedy = grant === null ? "GRANT the permission to the role in use" : `Have a superuser do ${grant}`
      return new Reason.Authorization({
        ...base,
        message: `Not permitted ${at}: ${text}. ${remedy}, or use another role.`
      })
    }
    case 0x1400:
    case 0x2200:
      return new Reason.InvalidQuery({ ...base, message: `Refused ${at}${inStatement(context)}: ${text}` })
    case 0x2300:
      return new Reason.Config({ ...base, message: `Refused ${at}${inStatement(context)}: ${text}` })
    case 0x2400: {
      const keyspace = String(read(cause, "keyspace") ?? "")
      const table = String(read(cause, "table") ?? "")
      return new Reason.AlreadyExists({
        ...base,
        keyspace,
        table,
        message: `${table === "" ? `Keyspace ${keyspace}` : `Table ${keyspace}.${table}`} already exists ${at}. ` +
          `Use IF NOT EXISTS if that is fine.`
      })
    }
    case 0x2500:
      return new Reason.Unprepared({
        ...base,
        message: `The server ${at} does not know the prepared statement: ${text}`
      })
    default:
      return new Reason.Unknown({
        ...base,
        message: `Cassandra ${at} answered with error 0x${code.toString(16).padStart(4, "0")}: ${text}`
      })
  }
}

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

const consistencyNames = [
  "ANY",
  "ONE",
  "TWO",
  "THREE",
  "QUORUM",
  "ALL",
  "LOCAL_QUORUM",
  "EACH_QUORUM",
  "SERIAL",
  "LOCAL_SERIAL",
  "LOCAL_ONE"
]

const wrongDataCenter = (text: string): { asked: string; found: ReadonlyArray<string> } | undefined => {
  const match = /^Datacenter (.*) was not found\. Available DCs are: \[(.*)\]$/.exec(text) ??
    /^localDataCenter was configured as '(.*)', but only found hosts in data centers: \[(.*)\]$/.exec(text)
  return match === null ? undefined : { asked: match[1]!, found: match[2]!.split(/, ?/) }
}

const read = (cause: unknown, key: string): unknown => Predicate.hasProperty(cause, key) ? cause[key] : undefined

const nameOf = (cause: unknown): string => {
  const name = read(cause, "name")
  return typeof name === "string" ? name : ""
}

const placeOf = (context: ClassifyContext): string =>
  context.place === undefined || context.place === "" ? "the cluster" : context.place

const systemCode = (cause: unknown): string => {
  const code = read(cause, "code")
  return typeof code === "string" ? ` (${code})` : ""
}

/** Passwords travel as string literals in role statements: those are masked wherever the text may be shown. */
const maskLiterals = (text: string): string => text.replace(/'(?:[^']|'')*'/g, "'?'")

const messageOf = (cause: unknown, context: ClassifyContext): string => {
  const message = read(cause, "message")
  const text = typeof message === "string" ? message : String(cause)
  const secret = context.statement !== undefined && /password/i.test(context.statement)
  return (secret ? maskLiterals(text) : text).replace(/\.$/, "")
}

const shorten = (text: string): string => text.length > 200 ? `${text.slice(0, 200)}...` : text

const inStatement = (context: ClassifyContext): string =>
  context.statement === undefined
    ? ""
    : ` in \`${shorten(maskLiterals(context.statement).replace(/\s+/g, " ").trim())}\``

const preview = (value: unknown): string => {
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
