/**
 * What a server answers instead of a result, by the code that the protocol has for it.
 */
import { Consistency } from "../CassandraConfig.ts"
import * as Reason from "../CassandraErrorReason.ts"
import { grantOf } from "./grant.ts"
import type { ClassifyContext } from "./requestText.ts"
import { inStatement, placeOf, read } from "./requestText.ts"

/** Fields of every reason. */
export interface Base {
  readonly cause: unknown
  readonly operation: string
  readonly uncertain: boolean | undefined
}

/** `text` is the server's. A code that is not known is an `Unknown`. */
export const serverError = (
  code: number,
  cause: unknown,
  text: string,
  base: Base,
  context: ClassifyContext
): Reason.CassandraErrorReason => {
  const at = `at ${placeOf(context)}`
  const number = (key: string): number => Number(read(cause, key) ?? 0)
  const consistency = Consistency.literals[number("consistencies")] ?? "UNKNOWN"
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
