/**
 * Whether the role may do what a load does. The server is asked with statements that it can never carry out (a null for a
 * key, a type that there is not), as it looks at permissions before it looks at values: nothing is written.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import type { Session } from "../cassandra/CassandraSession.ts"
import type { SinkStatement } from "../sink/SinkStatement.ts"

/** The words of the refusal; null if it is permitted. Anything else that may go wrong is told by whoever does it. */
const ask = (
  session: Session,
  cql: string,
  params?: ReadonlyArray<null>
): Effect.Effect<string | null, CassandraError> =>
  session.query(cql, params).pipe(
    Effect.as(null),
    Effect.catchIf(
      ({ isRetryable }) => !isRetryable,
      ({ message, reason }) => Effect.succeed(reason._tag === "Authorization" ? message : null)
    )
  )

const nulls = (count: number): ReadonlyArray<null> => Array.from({ length: count }, () => null)

const refusals = (asked: ReadonlyArray<string | null>): ReadonlyArray<string> => [
  ...new Set(asked.filter((refusal) => refusal !== null))
]

/**
 * What stands in the way of writing with the statement. Its timestamp is a marker in any case, and takes no null.
 *
 * @category checks
 * @since 0.1.0
 */
export const ofStatement = (session: Session, { cql, params, timestampIndex }: SinkStatement) =>
  Effect.map(
    ask(session, cql, nulls(params.length + (timestampIndex === null ? 0 : 1))),
    (refusal) => refusals([refusal])
  )

/**
 * What stands in the way of a ledger: of using its table, or of making it, whichever it needs.
 *
 * @category checks
 * @since 0.1.0
 */
export const ofLedger = Effect.fnUntraced(function*(
  session: Session,
  keyspace: string,
  table: string,
  hasKeyspace: boolean
): Effect.fn.Return<ReadonlyArray<string>, CassandraError> {
  if (!hasKeyspace) {
    return refusals([
      yield* ask(session, `CREATE KEYSPACE IF NOT EXISTS ${keyspace} WITH replication = {'class': 'NotToBeMade'}`)
    ])
  }
  const name = `${keyspace}.${table}`
  if ((yield* session.table(keyspace, table)) === null) {
    return refusals([
      yield* ask(session, `CREATE TABLE IF NOT EXISTS ${name} (not_to_be_made frozen<"not to be made"> PRIMARY KEY)`)
    ])
  }
  return refusals([
    yield* ask(
      session,
      `UPDATE ${name} SET checkpoint_id = ? WHERE sink_id = ? AND sub_id = ? IF checkpoint_id = ?`,
      nulls(4)
    ),
    yield* ask(session, `SELECT checkpoint_id FROM ${name} WHERE sink_id = ?`, nulls(1))
  ])
})
