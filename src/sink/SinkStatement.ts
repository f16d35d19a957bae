/**
 * The statement of a sink, checked and prepared: what it takes to encode, log and send its rows.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Consistency } from "../cassandra/CassandraConfig.ts"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import type { TableInfo } from "../cassandra/CassandraSession.ts"
import { CassandraSession } from "../cassandra/CassandraSession.ts"
import * as CqlStatement from "../cassandra/CqlStatement.ts"
import type { LoggedStatement } from "../state/WalFormat.ts"
import type { Param } from "./RowEncoder.ts"
import { describeParam } from "./RowEncoder.ts"
import type { ManyCells } from "./ServerSize.ts"
import * as ServerSize from "./ServerSize.ts"
import { StatementRefused } from "./SinkError.ts"

/**
 * What is said of one statement, besides its text.
 *
 * @category options
 * @since 0.1.0
 */
export interface SinkStatementOptions {
  /** Consistency level of its requests. Default: the session's. */
  readonly consistency?: Consistency | undefined
}

/**
 * A user's statement, checked and prepared, with the timestamp put in.
 *
 * @category models
 * @since 0.1.0
 */
export interface SinkStatement {
  /** As the user wrote it. */
  readonly query: string
  readonly table: TableInfo
  /** With `USING TIMESTAMP ?`. */
  readonly cql: string
  /** Where the timestamp goes among the values of a row; null if it is one of them. */
  readonly timestampIndex: number | null
  /** The user's markers, in order. */
  readonly params: ReadonlyArray<Param>
  /** Which of `params` make the partition key; empty when they do not tell it, and then all rows have one subtask. */
  readonly partitionKeys: ReadonlyArray<number>
  /** Which of `params` become several cells, and so count for more in a batch. */
  readonly manyCells: ReadonlyArray<ManyCells>
  /** Undefined for the session's. */
  readonly consistency: Consistency | undefined
  /** What a segment's header says about its rows. */
  readonly logged: LoggedStatement
}

/**
 * Why several statements can't be written with together; empty if they can.
 *
 * @category getters
 * @since 0.1.0
 */
export const conflicts = (statements: ReadonlyArray<SinkStatement>): ReadonlyArray<string> =>
  statements.flatMap((statement, i) =>
    statements.slice(i + 1).flatMap((other) =>
      statement.table.keyspace === other.table.keyspace && statement.table.name === other.table.name &&
        (statement.timestampIndex === null) !== (other.timestampIndex === null)
        ? [
          `both write ${statement.table.keyspace}.${statement.table.name}, and only one of them brings timestamps of its ` +
          `own, so that which of two rows of a key is the later one would mean nothing:\n  ${statement.query}\n  ${other.query}`
        ]
        : []
    )
  )

/**
 * Parses, checks against the table and prepares `query`. Everything that would make a repeated write differ from the
 * first is refused here, before a row is logged.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  query: string,
  { consistency }: SinkStatementOptions = {}
): Effect.fn.Return<SinkStatement, CassandraError | StatementRefused, CassandraSession> {
  const session = yield* CassandraSession
  const parsed = CqlStatement.parse(query)
  if (Result.isFailure(parsed)) {
    return yield* new StatementRefused({ query, problems: [parsed.failure.message] })
  }
  const statement = parsed.success
  const keyspace = statement.keyspace ?? session.keyspace
  if (keyspace === null) {
    return yield* new StatementRefused({
      query,
      problems: [`the table ${statement.table} has no keyspace: write keyspace.${statement.table}`]
    })
  }
  // Conditions and functions need no table, so they are reported even when it does not exist.
  const untabled = CqlStatement.checkIdempotent(statement, () => "text")
  const table = yield* session.table(keyspace, statement.table)
  if (table === null) {
    return yield* new StatementRefused({
      query,
      problems: [
        `there is no table ${keyspace}.${statement.table} at ${session.describe}: create it, or correct its name`,
        ...untabled.map(describeViolation)
      ]
    })
  }
  const columns = new Map(table.columns.map((column) => [column.name, column]))
  const violations = CqlStatement.checkIdempotent(statement, (column) => columns.get(column)?.type ?? null)
  if (violations.length > 0) {
    return yield* new StatementRefused({ query, problems: violations.map(describeViolation) })
  }
  const { cql, timestampIndex } = statement.timestamp === null
    ? CqlStatement.withTimestamp(statement)
    : { cql: statement.cql, timestampIndex: null }
  const [original, stamped] = yield* Effect.all(
    [Effect.result(session.prepare(statement.cql)), Effect.result(session.prepare(cql))],
    { concurrency: 2 }
  )
  // The original comes first: a mistake in it is then reported in the user's own words and places.
  yield* Effect.fromResult(original)
  const prepared = yield* Effect.fromResult(stamped)
  const indexWithout = (i: number) => timestampIndex === null || i < timestampIndex ? i : i - 1
  const columnOf = (i: number) => columns.get(statement.markers[i]?.column ?? "")
  const params = prepared.params.filter((_, i) => i !== timestampIndex).map((param, i) => {
    const marker = statement.markers[i]
    const column = columnOf(i)
    const isKey = column !== undefined && (column.kind === "partition_key" || column.kind === "clustering")
    return { name: param.name, type: param.type, isKey, isTimestamp: marker?.usage === "timestamp" }
  })
  // Two markers for a column of the partition key (IN): a row is of several partitions, which no subtask owns alone.
  const keyMarkers = statement.markers.filter(({ column }) =>
    column !== null && columns.get(column)?.kind === "partition_key"
  )
  const isOnePartition = new Set(keyMarkers.map(({ column }) => column)).size === keyMarkers.length
  return {
    query: statement.cql,
    table,
    cql,
    timestampIndex,
    params,
    manyCells: ServerSize.manyCells(params, params.map((_, i) => columnOf(i)?.type)),
    partitionKeys: isOnePartition ? prepared.partitionKeys.map(indexWithout) : [],
    consistency,
    logged: { query: statement.cql, columns: params.map(describeParam) }
  }
})

const describeViolation = ({ instead, what, why }: CqlStatement.Violation): string => `${what}: ${why}; ${instead}`
