/**
 * The rows of a segment as NDJSON, for people: place in the input, write timestamp, which statement of the sink if it has
 * several, values by their columns' names.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as CqlText from "../cassandra/CqlText.ts"
import type { SegmentHandle } from "../checkpoint/Manifest.ts"
import type { LoggedRow } from "../state/RowFrame.ts"
import * as RowFrame from "../state/RowFrame.ts"
import * as StateDirectory from "../state/StateDirectory.ts"
import { StateCorrupt } from "../state/WalError.ts"
import type { SegmentHeader } from "../state/WalFormat.ts"

/** A record that was set aside: what is known of its error, and the record. */
const letterLine = ({ place, timestamp, values: [meta, record, raw] }: LoggedRow): string => {
  const payload = record == null ? JSON.stringify(raw?.toString() ?? "") : record.toString()
  return `{"place":${place},"timestamp":${timestamp},"deadLetter":${meta!.toString()},"record":${payload}}\n`
}

/** A name that several markers have is told apart by its number. */
const lineOf = ({ statements }: SegmentHeader): (row: LoggedRow) => string => {
  const columns = statements.map((statement) => {
    const seen = new Map<string, number>()
    return statement.columns.map(({ name, type }) => {
      const times = (seen.get(name) ?? 0) + 1
      seen.set(name, times)
      return { key: JSON.stringify(times === 1 ? name : `${name}#${times}`), toText: CqlText.toText(type) }
    })
  })
  return (row) => {
    if (isLetter(row)) return letterLine(row)
    const { place, statement, timestamp, values } = row
    const which = columns.length > 1 ? `,"statement":${statement}` : ""
    return `{"place":${place},"timestamp":${timestamp}${which},"values":${
      CqlText.toObjectText(columns[statement]!, values)
    }}\n`
  }
}

const isLetter = ({ statement }: LoggedRow): boolean => statement === RowFrame.letterStatement

/**
 * The lines of each block of a segment, or those of the records alone that were set aside. Those before a damaged block
 * come, then it fails.
 *
 * @category getters
 * @since 0.1.0
 */
export const ndjson = (
  state: StateDirectory.StateDirectory,
  handle: SegmentHandle,
  which: "all" | "set-aside" = "all"
) =>
  Stream.unwrap(Effect.map(StateDirectory.open(state, handle), ({ blocks, header }) => {
    const toLine = lineOf(header)
    return Stream.mapEffect(blocks, ({ offset, payload }) =>
      Effect.try({
        try: () => {
          const rows = RowFrame.read(payload).filter((row) => which === "all" || isLetter(row))
          return { rows: rows.length, text: rows.map(toLine).join("") }
        },
        catch: (error) =>
          new StateCorrupt({
            path: `${state.directory}/segments/${handle.name}`,
            offset,
            checkpointId: handle.checkpointId,
            detail: String(error)
          })
      }))
  }))
