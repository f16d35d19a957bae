/**
 * What a session measures of its requests, as OpenTelemetry's conventions for database clients want it.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import { family } from "../checkpoint/MetricFamily.ts"

/**
 * One series for each operation (`INSERT`, `BATCH UPDATE`, `PREPARE`), table, and reason of a failure.
 *
 * @category models
 * @since 0.1.0
 */
export interface OperationAttributes {
  readonly operation: string
  /** As the statement names it; null where there are several, or none. */
  readonly table: string | null
  /** The reason's tag; null for a request that succeeded. */
  readonly error: string | null
}

/** Attributes as one text, since the members of a family are found by it. */
const separator = "\n"

/** Operations on tables are few; a program that makes up names must not make the series grow without end. */
const operations = new Set<string>()
const maxOperations = 1000

const members = family((key) => {
  const [operation, table, error] = key.split(separator)
  return Metric.histogram("db.client.operation.duration", {
    description: "Duration of requests to Cassandra",
    attributes: {
      unit: "s",
      "db.system.name": "cassandra",
      "db.operation.name": operation!,
      ...(table === "" ? {} : { "db.collection.name": table! }),
      ...(error === "" ? {} : { "error.type": error! })
    },
    boundaries: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
  })
})

/**
 * Seconds from a request to its answer, by operation, table and error: a histogram for each, made when it is first
 * met.
 *
 * @category metrics
 * @since 0.1.0
 */
export const operationDuration = ({ error, operation, table }: OperationAttributes) => {
  const known = `${operation}${separator}${table ?? ""}`
  if (!operations.has(known)) {
    if (operations.size >= maxOperations) return members(`_OTHER${separator}${separator}${error ?? ""}`)
    operations.add(known)
  }
  return members(`${known}${separator}${error ?? ""}`)
}

/**
 * Of all sessions of the process together.
 *
 * @category metrics
 * @since 0.1.0
 */
export const requestsInFlight = Metric.gauge("effect_cassandra.session.in_flight", {
  description: "Requests to Cassandra that are not answered",
  attributes: { unit: "{request}" }
})
