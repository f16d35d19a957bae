/**
 * Dead letters as rows of a Cassandra table:
 *
 *     {keyspace}.dead_letters (job_id text, uid text, id text, stage text, error text, message text, column_name text,
 *       input text, place bigint, record text, line text, bytes blob, csv text, statement text, attempts int,
 *       at timestamp, checkpoint_id bigint, subtask int, PRIMARY KEY ((job_id, uid), id))
 *
 * A letter that is written again is the same row, with the same write timestamp. Its payload has to fit into a request: what
 * Cassandra refuses for its size it refuses as a letter too, and then `DeadLetterFile` is the one to use.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { CommitterOptionError } from "../cassandra/CassandraCommitter.ts"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import type { Session } from "../cassandra/CassandraSession.ts"
import { CassandraSession } from "../cassandra/CassandraSession.ts"
import { checkNames, createKeyspace, createOwnTable, defaultKeyspace } from "../cassandra/internal/ownTable.ts"
import { untilHeardOf } from "../cassandra/SchemaLag.ts"
import type { Stage } from "../checkpoint/Element.ts"
import * as Retry from "../checkpoint/Retry.ts"
import type { DeadLetter, MaxErrors } from "./DeadLetters.ts"
import { DeadLetterError, DeadLetters, maxErrorsDefault, toStage } from "./DeadLetters.ts"

/**
 * Where the table of the dead letters is, how it is made and written, and how many there may be.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeadLetterTableOptions {
  /** Default `flink_auxiliary`, the ledger's. */
  readonly keyspace?: string | undefined
  /** For `CREATE KEYSPACE`. Default `{ class: "SimpleStrategy", replication_factor: 1 }`; use 3 on a real cluster. */
  readonly replication?: { readonly [option: string]: string | number } | undefined
  /** Make keyspace and table when they are missing. Default true. */
  readonly create?: boolean | undefined
  /** Default 100. */
  readonly maxErrors?: MaxErrors | undefined
}

/**
 * The statements that make keyspace and table, for an operator who makes them by hand.
 *
 * @category combinators
 * @since 0.1.0
 */
export const ddl = (
  options: DeadLetterTableOptions = {}
): readonly [createKeyspace: string, createTable: string] => [
  createKeyspace(options),
  `CREATE TABLE IF NOT EXISTS ${options.keyspace ?? defaultKeyspace}.dead_letters (job_id text, uid text, id text, ` +
  "stage text, error text, message text, column_name text, input text, place bigint, record text, line text, " +
  "bytes blob, csv text, statement text, attempts int, at timestamp, checkpoint_id bigint, subtask int, " +
  "PRIMARY KEY ((job_id, uid), id))"
]

const columns = [
  "job_id",
  "uid",
  "id",
  "stage",
  "error",
  "message",
  "column_name",
  "input",
  "place",
  "record",
  "line",
  "bytes",
  "csv",
  "statement",
  "attempts",
  "at",
  "checkpoint_id",
  "subtask"
]

const valuesOf = (letter: DeadLetter): ReadonlyArray<unknown> => [
  letter.jobId,
  letter.uid,
  letter.id,
  letter.stage,
  letter.error.tag,
  letter.error.message,
  letter.error.column,
  letter.position.input,
  BigInt(Math.trunc(letter.position.place)),
  letter.record,
  letter.raw?.text ?? null,
  letter.raw?.bytes == null ? null : Buffer.from(letter.raw.bytes),
  letter.raw?.csv == null ? null : JSON.stringify(letter.raw.csv),
  letter.statement,
  letter.attempts,
  new Date(letter.timestamp / 1000),
  BigInt(letter.checkpointId),
  letter.subtask,
  BigInt(letter.timestamp)
]

/**
 * Dead letters in a table, for a program that provides the service itself. What is kept is durable when `write` returns.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  session: Session,
  options: DeadLetterTableOptions = {}
): Effect.fn.Return<DeadLetters["Service"], CommitterOptionError | DeadLetterError> {
  const invalid = checkNames(options)
  if (invalid !== null) return yield* invalid
  const keyspace = options.keyspace ?? defaultKeyspace
  const table = `${keyspace}.dead_letters`
  const describe = `${table} at ${session.describe}`
  const failed = (operation: string) => (error: CassandraError) =>
    new DeadLetterError({ where: describe, operation, detail: error.message, isRetryable: error.isRetryable })

  if (options.create !== false) {
    yield* createOwnTable(session, keyspace, "dead_letters", ddl(options)).pipe(
      Effect.mapError(failed("given a table"))
    )
  }

  const insert = `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")}) ` +
    "USING TIMESTAMP ?"
  const select = `SELECT id, stage FROM ${table} WHERE job_id = ? AND uid = ?`

  return DeadLetters.of({
    describe,
    maxErrors: options.maxErrors ?? maxErrorsDefault,
    known: (jobId, uid) =>
      session.stream(select, [jobId, uid]).pipe(
        Stream.runFold(
          () => new Map<string, Stage | null>(),
          (known, row) => known.set(String(row["id"]), toStage(row["stage"]))
        ),
        untilHeardOf,
        Effect.retry(Retry.standard),
        Effect.mapError(failed("read"))
      ),
    write: (letters) =>
      Effect.forEach(
        letters,
        (letter) =>
          untilHeardOf(session.query(insert, valuesOf(letter), { idempotent: true })).pipe(
            Effect.retry(Retry.standard)
          ),
        { concurrency: 8, discard: true }
      ).pipe(Effect.mapError(failed("written")))
  })
})

/**
 * `make` as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: DeadLetterTableOptions = {}
): Layer.Layer<DeadLetters, CommitterOptionError | DeadLetterError, CassandraSession> =>
  Layer.effect(DeadLetters, Effect.flatMap(CassandraSession, (session) => make(session, options)))
