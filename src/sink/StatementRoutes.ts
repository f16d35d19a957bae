/**
 * One record to several statements: which of them it is written with, its values for each, and where each row belongs.
 * Plain code for plain loops.
 *
 * Rows of one partition stay in order, whichever statements they are of: statements of one table deal their rows to the
 * subtasks by the same values, and a record's rows are logged together, in the order of the statements, each with a
 * timestamp of its own.
 *
 * @since 0.1.0
 */
import { WireBuffer } from "../wire/WireBuffer.ts"
import { partitionHash } from "../wire/WireValues.ts"
import type { RowEncoderOptions } from "./RowEncoder.ts"
import * as RowEncoder from "./RowEncoder.ts"
import type { SinkStatement, SinkStatementOptions } from "./SinkStatement.ts"

/**
 * A statement of a sink that has several: which records it writes, and with which values.
 *
 * @category models
 * @since 0.1.0
 */
export interface StatementOptions<A> extends RowEncoderOptions<A>, SinkStatementOptions {
  /** INSERT, UPDATE or DELETE with markers (`?` or `:name`). */
  readonly query: string
  /** Whether a record is written with this statement. Default: every record is. */
  readonly when?: ((record: A) => boolean) | undefined
}

/**
 * A row of the record that was staged last.
 *
 * @category models
 * @since 0.1.0
 */
export interface StagedRow {
  statement: number
  /** From 0: the same for all rows of one partition. */
  hash: number
  readonly values: WireBuffer
}

/**
 * From a record to its rows, which lie in buffers that the next record uses again.
 *
 * @category models
 * @since 0.1.0
 */
export interface StatementRoutes<A> {
  readonly rows: ReadonlyArray<StagedRow>
  /**
   * Encodes the rows of a record into the first of `rows`, and gives how many they are. It throws a `Misfit`, and then none
   * of them counts. `only` is the text of the one statement that it is for; null, or another text, for all.
   */
  readonly stage: (record: A, only: string | null) => number
}

/**
 * By which values the rows of each statement are dealt. A statement that does not tell its partition makes all rows of its
 * table go to one subtask: another one might overtake it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const dealKeys = (statements: ReadonlyArray<SinkStatement>): ReadonlyArray<ReadonlyArray<number>> =>
  statements.map(({ partitionKeys, table }) =>
    statements.every((other) =>
        other.table.name !== table.name || other.table.keyspace !== table.keyspace || other.partitionKeys.length > 0
      )
      ? partitionKeys
      : []
  )

/**
 * Compiles the statements and their options, which are in the same order.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A>(
  statements: ReadonlyArray<SinkStatement>,
  options: ReadonlyArray<StatementOptions<A>>
): StatementRoutes<A> => {
  const keys = dealKeys(statements)
  const writers = statements.map(({ params }, i) => RowEncoder.writer(params, options[i]))
  const conditions = options.map(({ when }) => when === undefined ? undefined : RowEncoder.guarded("when", when))
  const queries = new Set(statements.map(({ query }) => query))
  const rows = statements.map((): StagedRow => ({ statement: 0, hash: 0, values: new WireBuffer(1024) }))
  return {
    rows,
    stage: (record, only) => {
      let count = 0
      const isForOne = only !== null && queries.has(only)
      for (let i = 0; i < writers.length; i++) {
        if (isForOne && statements[i]!.query !== only) continue
        const when = conditions[i]
        if (when !== undefined && !when(record)) continue
        const row = rows[count]!
        row.values.length = 0
        writers[i]!(record, row.values)
        row.statement = i
        row.hash = partitionHash(row.values.bytes, 0, keys[i]!)
        count++
      }
      return count
    }
  }
}
