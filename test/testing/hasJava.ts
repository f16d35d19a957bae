/**
 * Whether there is a Java that Cassandra accepts. A machine with Docker alone, or with a cluster that is named by
 * `CASSANDRA_CONTACT_POINTS`, need not have one: there a single container or that cluster serves all tests but those that
 * kill, pause and restart nodes by their processes. These are left out, and it is said.
 */
import { Effect, Exit } from "effect"
import { findJava } from "../../src/testing/internal/javaRuntime.ts"

export const hasJava = Exit.isSuccess(await Effect.runPromiseExit(findJava(process.env)))

if (!hasJava) {
  process.stderr.write(
    "There is no Java 17: tests that kill, pause and restart Cassandra's own processes are left out.\n"
  )
}
