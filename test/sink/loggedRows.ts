import type { LoggedRow } from "../../src/state/RowFrame.ts"
import { FrameWriter, read } from "../../src/state/RowFrame.ts"
import { writeInt64 } from "../../src/wire/WireValues.ts"

/** Rows as they are read back from a log, with the timestamps that are given. */
export const loggedRows = (
  rows: ReadonlyArray<{
    readonly timestamp: number
    readonly place: number
    readonly values: ReadonlyArray<Buffer | null | undefined>
  }>
): Array<LoggedRow> => {
  const writer = new FrameWriter()
  for (const { place, values } of rows) writer.add(place, 0, values)
  const { bytes } = writer.take()
  let at = 0
  for (const { timestamp } of rows) {
    writeInt64(bytes, timestamp, at + 4)
    at += 4 + bytes.readUInt32BE(at)
  }
  return read(bytes)
}
