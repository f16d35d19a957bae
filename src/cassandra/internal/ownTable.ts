/**
 * A table of the library's own, beside the user's: a ledger, dead letters.
 */
import * as Effect from "effect/Effect"
import type { CassandraError } from "../CassandraError.ts"
import type { Session } from "../CassandraSession.ts"
import { untilHeardOf } from "../SchemaLag.ts"

/**
 * Makes it with `ddl`, the statements of the keyspace and of the table, where it is not there. The keyspace is only made if
 * there is none: who may use one need not be allowed to make one.
 */
export const createOwnTable = Effect.fnUntraced(function*(
  session: Session,
  keyspace: string,
  table: string,
  [createKeyspace, createTable]: readonly [createKeyspace: string, createTable: string]
): Effect.fn.Return<void, CassandraError> {
  if ((yield* session.table(keyspace, table)) !== null) return
  const existing = yield* session.query(
    "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?",
    [keyspace]
  )
  if (existing.length === 0) yield* session.query(createKeyspace)
  yield* untilHeardOf(session.query(createTable))
})
