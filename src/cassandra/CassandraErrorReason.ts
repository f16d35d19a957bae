/**
 * The reasons a `CassandraError` can have, one class a cause.
 *
 * Each carries the driver's error as `cause`, the session's `operation` that failed ("connect", "query", "execute",
 * "batch", "prepare", "stream", ...), one `message` for a person, and answers two questions: may repeating the same
 * request help (`isRetryable`), and may it have been applied although it failed (`mayHaveBeenApplied`). The second one
 * decides whether a statement that is not idempotent can be repeated.
 *
 * It is a long file because it is a list: each class is read by itself, and the union at its end names all of them.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * What every reason has. `uncertain` is set where an answer that normally means "nothing was done" may hide that a part
 * was: a batch of several partitions, a condition, or an earlier attempt on another node.
 */
const fields = {
  cause: Schema.Defect(),
  operation: Schema.String,
  message: Schema.String,
  uncertain: Schema.optional(Schema.Boolean)
}

/**
 * No node could be reached, or the connection was lost while a request was under way.
 *
 * Retryable. May have been applied only when the request had already been written to a socket.
 *
 * @category errors
 * @since 0.1.0
 */
export class Connection
  extends Schema.TaggedError<Connection>("effect-cassandra/CassandraError/Connection")("Connection", fields)
{
  get isRetryable(): boolean {
    return true
  }
  get mayHaveBeenApplied(): boolean {
    return this.uncertain === true
  }
}

/**
 * TLS could not be agreed on: the server's certificate is not trusted or of another name, it wants one of the client, or
 * what answers does not speak TLS.
 *
 * Not retryable.
 *
 * @category errors
 * @since 0.1.0
 */
export class Tls extends Schema.TaggedError<Tls>("effect-cassandra/CassandraError/Tls")("Tls", fields) {
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return false
  }
}

/**
 * The server refused the credentials, or wants some and none were given.
 *
 * Not retryable.
 *
 * @category errors
 * @since 0.1.0
 */
export class Authentication
  extends Schema.TaggedError<Authentication>("effect-cassandra/CassandraError/Authentication")("Authentication", fields)
{
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return false
  }
}

/**
 * The role in use may not do this (protocol code 0x2100).
 *
 * Not retryable.
 *
 * @category errors
 * @since 0.1.0
 */
export class Authorization
  extends Schema.TaggedError<Authorization>("effect-cassandra/CassandraError/Authorization")("Authorization", fields)
{
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return false
  }
}

/**
 * The CQL text does not parse (0x2000).
 *
 * Not retryable.
 *
 * @category errors
 * @since 0.1.0
 */
export class Syntax extends Schema.TaggedError<Syntax>("effect-cassandra/CassandraError/Syntax")("Syntax", fields) {
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return false
  }
}

/**
 * The statement parses but cannot be executed: unknown keyspace, table or column, wrong number of values, batch too
 * large, a guardrail (0x2200, 0x1400).
 *
 * Not retryable as it is; a batch that is too large can be split.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidQuery
  extends Schema.TaggedError<InvalidQuery>("effect-cassandra/CassandraError/InvalidQuery")("InvalidQuery", fields)
{
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return false
  }
}

/**
 * The keyspace or table to create exists (0x2400).
 *
 * Not retryable; `table` is empty when a keyspace was to be created.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyExists
  extends Schema.TaggedError<AlreadyExists>("effect-cassandra/CassandraError/AlreadyExists")("AlreadyExists", {
    ...fields,
    keyspace: Schema.String,
    table: Schema.String
  })
{
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return false
  }
}

/**
 * The coordinator knows that too few replicas are alive for the consistency level, and did not try (0x1000).
 *
 * Retryable. Not applied, except that some rows of a batch may be.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unavailable
  extends Schema.TaggedError<Unavailable>("effect-cassandra/CassandraError/Unavailable")("Unavailable", {
    ...fields,
    consistency: Schema.String,
    required: Schema.Number,
    alive: Schema.Number
  })
{
  get isRetryable(): boolean {
    return true
  }
  get mayHaveBeenApplied(): boolean {
    return this.uncertain === true
  }
}

/**
 * Too few replicas acknowledged a write in time (0x1100, 0x1700).
 *
 * Retryable when repeating it does no harm: the write may be applied already, or be applied later.
 *
 * @category errors
 * @since 0.1.0
 */
export class WriteTimeout
  extends Schema.TaggedError<WriteTimeout>("effect-cassandra/CassandraError/WriteTimeout")("WriteTimeout", {
    ...fields,
    consistency: Schema.String,
    writeType: Schema.String,
    received: Schema.Number,
    required: Schema.Number
  })
{
  get isRetryable(): boolean {
    return true
  }
  get mayHaveBeenApplied(): boolean {
    return true
  }
}

/**
 * Too few replicas answered a read in time (0x1200).
 *
 * Retryable.
 *
 * @category errors
 * @since 0.1.0
 */
export class ReadTimeout
  extends Schema.TaggedError<ReadTimeout>("effect-cassandra/CassandraError/ReadTimeout")("ReadTimeout", {
    ...fields,
    consistency: Schema.String,
    received: Schema.Number,
    required: Schema.Number
  })
{
  get isRetryable(): boolean {
    return true
  }
  get mayHaveBeenApplied(): boolean {
    return this.uncertain === true
  }
}

/**
 * Replicas answered a write with an error (0x1500, 0x1600).
 *
 * Retryable when repeating it does no harm: other replicas may have applied it.
 *
 * @category errors
 * @since 0.1.0
 */
export class WriteFailure
  extends Schema.TaggedError<WriteFailure>("effect-cassandra/CassandraError/WriteFailure")("WriteFailure", {
    ...fields,
    consistency: Schema.String,
    writeType: Schema.String,
    received: Schema.Number,
    required: Schema.Number,
    failures: Schema.Number
  })
{
  get isRetryable(): boolean {
    return true
  }
  get mayHaveBeenApplied(): boolean {
    return true
  }
}

/**
 * Replicas answered a read with an error, most often too many tombstones (0x1300).
 *
 * Not retryable.
 *
 * @category errors
 * @since 0.1.0
 */
export class ReadFailure
  extends Schema.TaggedError<ReadFailure>("effect-cassandra/CassandraError/ReadFailure")("ReadFailure", {
    ...fields,
    consistency: Schema.String,
    received: Schema.Number,
    required: Schema.Number,
    failures: Schema.Number
  })
{
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return this.uncertain === true
  }
}

/**
 * The coordinator sheds load (0x1001).
 *
 * Retryable, later and with less in flight.
 *
 * @category errors
 * @since 0.1.0
 */
export class Overloaded
  extends Schema.TaggedError<Overloaded>("effect-cassandra/CassandraError/Overloaded")("Overloaded", fields)
{
  get isRetryable(): boolean {
    return true
  }
  get mayHaveBeenApplied(): boolean {
    return this.uncertain === true
  }
}

/**
 * Every connection of this session is full (`maxRequestsPerConnection`): the request was not sent.
 *
 * Retryable once fewer requests are in flight.
 *
 * @category errors
 * @since 0.1.0
 */
export class Busy extends Schema.TaggedError<Busy>("effect-cassandra/CassandraError/Busy")("Busy", fields) {
  get isRetryable(): boolean {
    return true
  }
  get mayHaveBeenApplied(): boolean {
    return this.uncertain === true
  }
}

/**
 * The coordinator is still joining the cluster (0x1002).
 *
 * Retryable.
 *
 * @category errors
 * @since 0.1.0
 */
export class Bootstrapping
  extends Schema.TaggedError<Bootstrapping>("effect-cassandra/CassandraError/Bootstrapping")("Bootstrapping", fields)
{
  get isRetryable(): boolean {
    return true
  }
  get mayHaveBeenApplied(): boolean {
    return this.uncertain === true
  }
}

/**
 * A TRUNCATE failed, usually because a node is down (0x1003).
 *
 * Retryable.
 *
 * @category errors
 * @since 0.1.0
 */
export class Truncate
  extends Schema.TaggedError<Truncate>("effect-cassandra/CassandraError/Truncate")("Truncate", fields)
{
  get isRetryable(): boolean {
    return true
  }
  get mayHaveBeenApplied(): boolean {
    return true
  }
}

/**
 * The session's options, or a schema change's options, are not acceptable (0x2300 and the driver's own checks).
 *
 * Not retryable.
 *
 * @category errors
 * @since 0.1.0
 */
export class Config extends Schema.TaggedError<Config>("effect-cassandra/CassandraError/Config")("Config", fields) {
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return false
  }
}

/**
 * The server hit an unexpected error (0x0000).
 *
 * Retryable on the chance that another node fares better; what was done is unknown.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServerError
  extends Schema.TaggedError<ServerError>("effect-cassandra/CassandraError/ServerError")("ServerError", fields)
{
  get isRetryable(): boolean {
    return true
  }
  get mayHaveBeenApplied(): boolean {
    return true
  }
}

/**
 * Driver and server do not understand each other (0x000A), or the server lacks what was asked.
 *
 * Not retryable.
 *
 * @category errors
 * @since 0.1.0
 */
export class ProtocolError
  extends Schema.TaggedError<ProtocolError>("effect-cassandra/CassandraError/ProtocolError")("ProtocolError", fields)
{
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return false
  }
}

/**
 * The server forgot a prepared statement and preparing it again did not help (0x2500).
 *
 * Retryable. Not applied.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unprepared
  extends Schema.TaggedError<Unprepared>("effect-cassandra/CassandraError/Unprepared")("Unprepared", fields)
{
  get isRetryable(): boolean {
    return true
  }
  get mayHaveBeenApplied(): boolean {
    return this.uncertain === true
  }
}

/**
 * No answer came within the request's timeout.
 *
 * Retryable when repeating it does no harm: the server may still be working on it.
 *
 * @category errors
 * @since 0.1.0
 */
export class ClientTimeout
  extends Schema.TaggedError<ClientTimeout>("effect-cassandra/CassandraError/ClientTimeout")("ClientTimeout", fields)
{
  get isRetryable(): boolean {
    return true
  }
  get mayHaveBeenApplied(): boolean {
    return this.operation !== "connect" && this.operation !== "prepare"
  }
}

/**
 * `localDataCenter` names a data centre the cluster does not have; `found` lists the real ones.
 *
 * Not retryable.
 *
 * @category errors
 * @since 0.1.0
 */
export class WrongDataCenter
  extends Schema.TaggedError<WrongDataCenter>("effect-cassandra/CassandraError/WrongDataCenter")("WrongDataCenter", {
    ...fields,
    asked: Schema.String,
    found: Schema.Array(Schema.String)
  })
{
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return false
  }
}

/**
 * A parameter does not fit its column; nothing was sent. `column` and `cqlType` are null when they could not be
 * determined.
 *
 * Not retryable.
 *
 * @category errors
 * @since 0.1.0
 */
export class Encode extends Schema.TaggedError<Encode>("effect-cassandra/CassandraError/Encode")("Encode", {
  ...fields,
  column: Schema.NullOr(Schema.String),
  cqlType: Schema.NullOr(Schema.String),
  value: Schema.Unknown
}) {
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return false
  }
}

/**
 * The session's scope has ended: it finishes what is in flight and takes nothing new.
 *
 * Not retryable with this session. Not sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class SessionClosed
  extends Schema.TaggedError<SessionClosed>("effect-cassandra/CassandraError/SessionClosed")("SessionClosed", fields)
{
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return false
  }
}

/**
 * Anything else; see `cause`.
 *
 * Not retryable, and taken as possibly applied.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unknown extends Schema.TaggedError<Unknown>("effect-cassandra/CassandraError/Unknown")("Unknown", fields) {
  get isRetryable(): boolean {
    return false
  }
  get mayHaveBeenApplied(): boolean {
    return true
  }
}

/**
 * Schema of every reason, discriminated by `_tag`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CassandraErrorReason = Schema.Union([
  Connection,
  Tls,
  Authentication,
  Authorization,
  Syntax,
  InvalidQuery,
  AlreadyExists,
  Unavailable,
  WriteTimeout,
  ReadTimeout,
  WriteFailure,
  ReadFailure,
  Overloaded,
  Busy,
  Bootstrapping,
  Truncate,
  Config,
  ServerError,
  ProtocolError,
  Unprepared,
  ClientTimeout,
  WrongDataCenter,
  Encode,
  SessionClosed,
  Unknown
])

/**
 * Any of the reasons above.
 *
 * @category models
 * @since 0.1.0
 */
export type CassandraErrorReason =
  | Connection
  | Tls
  | Authentication
  | Authorization
  | Syntax
  | InvalidQuery
  | AlreadyExists
  | Unavailable
  | WriteTimeout
  | ReadTimeout
  | WriteFailure
  | ReadFailure
  | Overloaded
  | Busy
  | Bootstrapping
  | Truncate
  | Config
  | ServerError
  | ProtocolError
  | Unprepared
  | ClientTimeout
  | WrongDataCenter
  | Encode
  | SessionClosed
  | Unknown
