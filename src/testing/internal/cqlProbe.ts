import { policies, types } from "cassandra-driver"
import * as Effect from "effect/Effect"
import type { CassandraSessionOptions } from "../../cassandra/CassandraConfig.ts"
import { makeClient } from "../../cassandra/internal/driverClient.ts"

const { AllowListPolicy, RoundRobinPolicy } = policies.loadBalancing

/** Any row of a table that Cassandra itself keeps in three copies, once it has joined its cluster. */
const ofThree = "SELECT * FROM system_distributed.view_build_status WHERE keyspace_name = 'none' AND view_name = 'none'"

interface ProbeOptions extends CassandraSessionOptions {
  readonly contactPoints: ReadonlyArray<string>
}

/**
 * Asks the nodes at its contact points, and no others of their cluster, one question over CQL; one that needs three nodes
 * to be answered, if `everyNode`. Succeeds with the number of nodes, fails with the driver's words.
 *
 * A port that accepts connections, or a line in a log, is not yet a server that answers: only this is.
 */
export const cqlProbe = (
  options: ProbeOptions,
  everyNode = false
): Effect.Effect<number, string> =>
  Effect.acquireUseRelease(
    Effect.sync(() =>
      makeClient({
        ...options,
        driverOptions: {
          policies: { loadBalancing: new AllowListPolicy(new RoundRobinPolicy(), [...options.contactPoints]) },
          socketOptions: { connectTimeout: 2000, readTimeout: 4000 },
          pooling: { coreConnectionsPerHost: { "0": 1, "1": 1, "2": 1 } }
        }
      })
    ),
    (client) =>
      Effect.tryPromise({
        try: () =>
          everyNode
            ? client.execute(ofThree, [], { consistency: types.consistencies.all })
            : client.execute("SELECT release_version FROM system.local"),
        catch: describe
      }).pipe(
        Effect.map(() => client.hosts.length),
        Effect.timeoutOrElse({ duration: 8000, orElse: () => Effect.fail("no answer within 8 s") })
      ),
    (client) => Effect.promise(() => client.shutdown().catch(() => undefined))
  )

/** The driver hides why each host failed in `innerErrors`. */
const describe = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const inner = (cause as { readonly innerErrors?: Record<string, unknown> }).innerErrors
  if (inner === undefined || inner === null) return cause.message
  const hosts = Object.entries(inner).map(([host, error]) =>
    `${host}: ${error instanceof Error ? error.message : String(error)}`
  )
  return hosts.length === 0 ? cause.message : hosts.join(", ")
}
