/**
 * A keyspace of its own for each test, on a server that many tests share.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import { CassandraSession } from "../cassandra/CassandraSession.ts"

/**
 * How a keyspace for a test is made, and what is made in it.
 *
 * @category options
 * @since 0.1.0
 */
export interface TestKeyspaceOptions {
  /** Copies of each row. Default 1. */
  readonly replicationFactor?: number | undefined
  /** Statements to make its tables with, from its name. Default none. */
  readonly schema?: ((keyspace: string) => ReadonlyArray<string>) | undefined
}

/**
 * Makes a keyspace with a name that nobody has, and drops it with all its tables when the Scope closes.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import * as TestKeyspace from "effect-cassandra/testing/TestKeyspace"
 *
 * const program = Effect.gen(function*() {
 *   const keyspace = yield* TestKeyspace.make({
 *     schema: (keyspace) => [`CREATE TABLE ${keyspace}.flights (id bigint PRIMARY KEY, delay int)`]
 *   })
 *   // ... run what is tested, then look at its tables
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  { replicationFactor = 1, schema }: TestKeyspaceOptions = {}
): Effect.fn.Return<string, CassandraError, CassandraSession | Scope.Scope> {
  const session = yield* CassandraSession
  const keyspace = `test_${randomBytes(8).toString("hex")}`
  const replication = `{'class': 'SimpleStrategy', 'replication_factor': ${Math.trunc(replicationFactor)}}`
  yield* Effect.acquireRelease(
    session.execute(`CREATE KEYSPACE ${keyspace} WITH replication = ${replication}`),
    // A server that is gone by then has nothing to drop; one that does not answer is told of.
    () =>
      Effect.catch(
        session.execute(`DROP KEYSPACE IF EXISTS ${keyspace}`),
        (error) => Effect.logWarning(`The keyspace ${keyspace} could not be dropped: ${error.message}`)
      )
  )
  for (const statement of schema?.(keyspace) ?? []) yield* session.execute(statement)
  return keyspace
})
