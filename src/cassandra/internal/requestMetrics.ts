/**
 * Measures requests: how long each took, and how many are under way. Plain code, once a request: no Effect is run for it.
 */
import type { Clock } from "effect/Clock"
import type * as Context from "effect/Context"
import type { CassandraError } from "../CassandraError.ts"
import { operationDuration, requestsInFlight } from "../SessionMetrics.ts"
import type { Observe } from "./inFlight.ts"
import { summarize } from "./requestSpan.ts"

/** @internal */
export interface Measured {
  readonly statements: ReadonlyArray<{ readonly cql: string }>
  readonly batch: boolean
  /** Overrides the verb: PREPARE. */
  readonly verb: string | undefined
}

/** The statements of a batch are the same text most of the time, and then only references are compared. */
const describe = ({ batch, statements, verb }: Measured): { operation: string; table: string | null } => {
  const first = statements[0]!.cql
  const summary = summarize(first)
  let operation = summary.verb
  let table = summary.table
  for (let i = 1; i < statements.length; i++) {
    const { cql } = statements[i]!
    if (cql === first) continue
    const other = summarize(cql)
    if (other.verb !== summary.verb) operation = ""
    if (other.table !== summary.table) table = null
  }
  if (batch) operation = operation === "" ? "BATCH" : `BATCH ${operation}`
  return { operation: verb ?? operation, table }
}

/** @internal */
export const makeObserve =
  (clock: Clock, context: Context.Context<never>) => (measured: Measured): Observe<CassandraError> => () => {
    const startedAt = clock.monotonicTimeNanosUnsafe()
    requestsInFlight.modifyUnsafe(1, context)
    return (failure) => {
      requestsInFlight.modifyUnsafe(-1, context)
      const { operation, table } = describe(measured)
      const seconds = Number(clock.monotonicTimeNanosUnsafe() - startedAt) / 1e9
      operationDuration({ operation, table, error: failure?.reason._tag ?? null }).updateUnsafe(seconds, context)
    }
  }
