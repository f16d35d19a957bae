/**
 * Rows of one statement that are encoded already, as they lie in a log: what a batch of them needs is copied once, from
 * there to the request.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { valuesOf, writeInt64 } from "../wire/WireValues.ts"
import type { CassandraError } from "./CassandraError.ts"
import type { BatchStatement, Session } from "./CassandraSession.ts"

/**
 * The values of a row, in the order of the statement's markers but without its timestamp: bytes `from` (in) to `to` (out)
 * of `bytes`, each value as `WireValues` tells.
 *
 * @category models
 * @since 0.1.0
 */
export interface EncodedRow {
  readonly bytes: Buffer
  readonly from: number
  readonly to: number
  /** Write timestamp, microseconds since 1970. */
  readonly timestamp: number
}

/**
 * Rows of one statement, encoded, for a batch that encodes nothing again.
 *
 * @category models
 * @since 0.1.0
 */
export interface EncodedRows {
  readonly cql: string
  /** Which of its markers is that of the row's timestamp (`USING TIMESTAMP ?`); null if that is one of the values. */
  readonly timestampIndex: number | null
  /** Markers besides it, and so values of each row. */
  readonly valueCount: number
  readonly rows: ReadonlyArray<EncodedRow>
}

/**
 * The same as statements with parameters, for a session that has no shorter way.
 *
 * @category combinators
 * @since 0.1.0
 */
export const toStatements = ({ cql, rows, timestampIndex }: EncodedRows): Array<BatchStatement> =>
  rows.map((row) => {
    const params: Array<unknown> = valuesOf(row.bytes, row.from, row.to)
    if (timestampIndex === null) return { cql, params }
    const timestamp = Buffer.allocUnsafe(8)
    writeInt64(timestamp, row.timestamp, 0)
    params.splice(timestampIndex, 0, timestamp)
    return { cql, params }
  })

/**
 * `Session.batchesEncoded` for a session that sends one batch at a time, or that has to see each.
 *
 * @category combinators
 * @since 0.1.0
 */
export const eachBatch = (
  send: (
    batch: EncodedRows,
    options: Parameters<Session["batchesEncoded"]>[1]
  ) => Effect.Effect<unknown, CassandraError>
): Session["batchesEncoded"] =>
(batches, options) =>
  Effect.forEach(
    batches,
    (batch) => Effect.match(send(batch, options), { onFailure: (error) => error, onSuccess: () => null }),
    { concurrency: "unbounded" }
  )
