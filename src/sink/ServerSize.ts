/**
 * What a row counts on the server in the size of a batch, which it warns of beyond 5 KiB
 * (`batch_size_warn_threshold`): not its bytes on the wire, but its cells, each with its timestamps. A collection that is not
 * frozen has a cell for each element: a list of integers counts five times what it has on the wire.
 *
 * Cassandra 5.0: `BatchStatement.verifyBatchSize`, `PartitionUpdate.dataSize`. Earlier versions count less.
 *
 * @since 0.1.0
 */
import { types } from "cassandra-driver"
import type { LoggedRow } from "../state/RowFrame.ts"
import { valueOffset } from "../wire/WireValues.ts"
import type { Param } from "./RowEncoder.ts"

/**
 * A value that becomes several cells.
 *
 * @category models
 * @since 0.1.0
 */
export interface ManyCells {
  /** Which of the values of a row. */
  readonly index: number
  /** What there is for it beside a cell's own, in bytes. */
  readonly once: number
  /** What each element counts beyond its bytes on the wire; these begin with how many elements there are. */
  readonly element: number
}

/** A row's own: its partition, the timestamp of the row, what is deleted of it. */
const rowBytes = 58
/** A cell has 20 bytes (timestamp, time to live, time of deletion) and no length. */
const cellBytes = 16

/**
 * What a row of plain values counts, or a little more, in bytes. `wireBytes` are those of all values with their lengths before
 * them, as in a frame.
 *
 * @category combinators
 * @since 0.1.0
 */
export const ofValues = (valueCount: number, wireBytes: number): number => rowBytes + cellBytes * valueCount + wireBytes

/**
 * The same for a row of the log. Never less than the server counts.
 *
 * @category combinators
 * @since 0.1.0
 */
export const ofRow = ({ bytes, from, to, valueCount }: LoggedRow, many: ReadonlyArray<ManyCells>): number => {
  let size = ofValues(valueCount, to - from)
  for (let i = 0; i < many.length; i++) {
    const { element, index, once } = many[i]!
    const at = valueOffset(bytes, from, index)
    if (bytes.readInt32BE(at) < 4) continue
    size += once + (element === 0 ? 0 : element * bytes.readUInt32BE(at + 4))
  }
  return size
}

const { list, map, set, udt } = types.dataTypes
/** The mark that a collection was deleted before it was written. */
const deletion = 12
/** Behind a cell's 20 bytes: an element has a length on the wire that it has not on the server, a list's has a uuid there. */
const elementBytes = new Map([[set, 16], [map, 12], [list, 32]])
/** A field has the number of the field. */
const fieldBytes = 18

/**
 * Which of a statement's values become several cells. `columnTypes` are those of the columns that the values are for, as in
 * the schema; undefined where a value is for none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const manyCells = (
  params: ReadonlyArray<Param>,
  columnTypes: ReadonlyArray<string | undefined>
): ReadonlyArray<ManyCells> =>
  params.flatMap(({ type }, index): Array<ManyCells> => {
    if (columnTypes[index]?.startsWith("frozen<") === true) return []
    const element = elementBytes.get(type.code)
    if (element !== undefined) return [{ index, once: deletion, element }]
    if (type.code !== udt) return []
    const { fields } = type.info as { readonly fields: ReadonlyArray<unknown> }
    return [{ index, once: deletion + fieldBytes * fields.length, element: 0 }]
  })
