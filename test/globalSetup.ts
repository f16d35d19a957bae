/**
 * One Cassandra for the whole run. Workers find it where `CassandraServer.layer()` looks first: in the environment,
 * which they inherit. With CASSANDRA_CONTACT_POINTS already set, that cluster is used and nothing is started.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Os from "node:os"
import * as Path from "node:path"
import * as CassandraServer from "../src/testing/CassandraServer.ts"

export default async function setup(): Promise<() => Promise<void>> {
  // Hundreds of processes load the same sources: compiled once, they start in two thirds of the time.
  process.env["NODE_COMPILE_CACHE"] ??= Path.join(Os.tmpdir(), "effect-cassandra-compiled")
  const scope = Scope.makeUnsafe()
  const result = await Effect.runPromise(Effect.result(Scope.provide(CassandraServer.make(), scope)))
  if (result._tag === "Failure") {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    // The message says it all; where in our code it was noticed says nothing.
    const error = new Error(result.failure.message)
    error.stack = error.message
    throw error
  }
  const server = result.success
  process.env["CASSANDRA_CONTACT_POINTS"] = server.contactPoints.join(",")
  process.env["CASSANDRA_LOCAL_DC"] = server.localDataCenter
  const how = server.kind === "external"
    ? "running already"
    : `started (${server.kind}) in ${(server.startMillis / 1000).toFixed(1)} s`
  process.stdout.write(`Cassandra at ${server.contactPoints.join(",")}, ${how}\n`)
  return () => {
    if (server.kind !== "external") {
      delete process.env["CASSANDRA_CONTACT_POINTS"]
      delete process.env["CASSANDRA_LOCAL_DC"]
    }
    return Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
