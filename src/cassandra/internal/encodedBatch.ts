/**
 * An unlogged batch whose rows are encoded already, as a request of the driver: one buffer of the right size, filled from
 * the log. (The driver's own batch looks up the statement, awaits it, and copies each value, for every row.)
 *
 * Native protocol v4, BATCH: `<type><n><query 1>...<query n><consistency><flags>`, each query as
 * `<kind 1><id><m><value 1>...<value m>`. No flags: rows have their timestamps, and there is no condition.
 */
import type { Client, QueryOptions, types } from "cassandra-driver"
import { valueOffset, valuesOf, writeInt64 } from "../../wire/WireValues.ts"
import type { EncodedRow, EncodedRows } from "../EncodedRows.ts"
import type { DriverExecution, DriverRequest } from "./driverInternals.ts"
import { makeExecution, preparedInfo, sendRequest } from "./driverInternals.ts"
import { getPrepared } from "./preparedStatement.ts"

const headerBytes = 9
const opcode = 0x0d
const unlogged = 1
const prepared = 1
/** Its length and itself. */
const timestampBytes = 12

/** The driver clones a request without arguments to its constructor, and copies the fields. */
class EncodedBatch implements DriverRequest {
  length = 0
  /** What the driver's log and policies look at. */
  readonly queries: ReadonlyArray<{ readonly query: string }>
  private readonly batch: EncodedRows
  private readonly queryId: Buffer
  private readonly execution: DriverExecution

  constructor(batch: EncodedRows, queryId: Buffer, execution: DriverExecution) {
    this.batch = batch
    this.queryId = queryId
    this.execution = execution
    this.queries = [{ query: batch.cql }]
  }

  clone(): EncodedBatch {
    return Object.assign(new EncodedBatch(this.batch, this.queryId, this.execution), { length: this.length })
  }

  write(encoder: { readonly protocolVersion: number }, streamId: number): Buffer {
    const { queryId } = this
    const { rows, timestampIndex, valueCount } = this.batch
    const stamped = timestampIndex === null ? 0 : 1
    const perRow = 1 + 2 + queryId.length + 2 + stamped * timestampBytes
    let size = headerBytes + 1 + 2 + rows.length * perRow + 2 + 1
    for (let i = 0; i < rows.length; i++) size += rows[i]!.to - rows[i]!.from
    const buffer = Buffer.allocUnsafe(size)
    buffer[0] = encoder.protocolVersion
    buffer[1] = 0
    buffer.writeInt16BE(streamId, 2)
    buffer[4] = opcode
    buffer.writeUInt32BE(size - headerBytes, 5)
    buffer[9] = unlogged
    buffer.writeUInt16BE(rows.length, 10)
    // The same before each row's values; written once, then copied.
    const prefix = Buffer.allocUnsafe(1 + 2 + queryId.length + 2)
    prefix[0] = prepared
    prefix.writeUInt16BE(queryId.length, 1)
    queryId.copy(prefix, 3)
    prefix.writeUInt16BE(valueCount + stamped, 3 + queryId.length)
    let at = 12
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!
      buffer.set(prefix, at)
      at = copyValues(buffer, at + prefix.length, row, timestampIndex, valueCount)
    }
    buffer.writeUInt16BE(this.execution.getConsistency(), at)
    buffer[at + 2] = 0
    this.length = size - headerBytes
    return buffer
  }
}

/** The row's values with its timestamp among them. Gives where they end. */
const copyValues = (
  buffer: Buffer,
  start: number,
  { bytes, from, timestamp, to }: EncodedRow,
  timestampIndex: number | null,
  valueCount: number
): number => {
  if (timestampIndex === null) return start + bytes.copy(buffer, start, from, to)
  const split = timestampIndex >= valueCount
    ? to
    : timestampIndex === 0
    ? from
    : valueOffset(bytes, from, timestampIndex)
  let at = start + bytes.copy(buffer, start, from, split)
  buffer.writeInt32BE(8, at)
  writeInt64(buffer, timestamp, at + 4)
  at += timestampBytes
  return split === to ? at : at + bytes.copy(buffer, at, split, to)
}

/** Where the first row belongs: the others are of the same partition, or go along. */
const routingParams = (batch: EncodedRows): Array<unknown> => {
  const first = batch.rows[0]!
  const params: Array<unknown> = valuesOf(first.bytes, first.from, first.to)
  if (batch.timestampIndex !== null) params.splice(batch.timestampIndex, 0, null)
  return params
}

/**
 * The client must be connected.
 *
 * @internal
 */
export const sendEncodedBatch = (
  client: Client,
  batch: EncodedRows,
  options: QueryOptions
): Promise<types.ResultSet> => {
  const { meta, queryId } = preparedInfo(client, batch.cql)
  if (queryId === undefined || meta === undefined) {
    return getPrepared(client, batch.cql).then(() => sendEncodedBatch(client, batch, options))
  }
  const execution = makeExecution(client, options, meta, () => routingParams(batch))
  return sendRequest(client, new EncodedBatch(batch, queryId, execution), execution)
}
