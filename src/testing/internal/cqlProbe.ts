import { Client } from "cassandra-driver"
import * as Effect from "effect/Effect"

/**
 * Asks the cluster one question over CQL. Succeeds with its release version, fails with the driver's words.
 *
 * A port that accepts connections, or a line in a log, is not yet a server that answers: only this is.
 */
export const cqlProbe = (
  contactPoints: ReadonlyArray<string>,
  localDataCenter: string
): Effect.Effect<string, string> =>
  Effect.acquireUseRelease(
    Effect.sync(() =>
      new Client({
        contactPoints: [...contactPoints],
        localDataCenter,
        socketOptions: { connectTimeout: 2000, readTimeout: 4000 },
        pooling: { coreConnectionsPerHost: { "0": 1, "1": 1, "2": 1 } }
      })
    ),
    (client) =>
      Effect.tryPromise({
        try: () => client.execute("SELECT release_version FROM system.local"),
        catch: describe
      }).pipe(
        Effect.map((result) => String(result.first()?.["release_version"])),
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
