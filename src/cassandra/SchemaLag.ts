/**
 * Nodes hear of a change of the schema one after the other, within seconds, or a minute under load. A request in between
 * meets one that does not know a table which is there.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { CassandraError } from "./CassandraError.ts"

/**
 * That a node has not heard of a keyspace, table or column; or that there is none.
 *
 * @category guards
 * @since 0.1.0
 */
export const isUnheardOf = ({ message, reason }: CassandraError): boolean =>
  reason._tag === "InvalidQuery" &&
  /does(?: not|n't) exist|unconfigured table|undefined column|unknown identifier/i.test(message)

/**
 * Repeats a request until its node has heard of what it is about, for a minute at most.
 *
 * @category combinators
 * @since 0.1.0
 */
export const untilHeardOf = <A>(self: Effect.Effect<A, CassandraError>): Effect.Effect<A, CassandraError> =>
  Effect.retry(self, {
    schedule: Schedule.spaced("200 millis").pipe(Schedule.upTo({ duration: "1 minute" })),
    while: isUnheardOf
  })
