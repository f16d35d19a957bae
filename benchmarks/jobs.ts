/**
 * A job of this library on the benchmark's server.
 */
import * as Path from "node:path"
import type { RunContext } from "./model.ts"
import type { JobConfig } from "./processes/services.ts"

let jobs = 0

/** With an id that no run had before (it names a table of the ledger) and an empty state directory. */
export const newJob = (context: RunContext): JobConfig => {
  const server = context.server()
  return {
    contactPoint: server.contactPoint,
    localDataCenter: server.localDataCenter,
    jobId: `b${Date.now().toString(36)}${process.pid.toString(36)}_${jobs++}`,
    ledger: server.ledger,
    state: Path.join(context.directory, "state")
  }
}
