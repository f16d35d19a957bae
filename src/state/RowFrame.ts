/**
 * How a row lies in the log: one frame of CQL wire values, encoded once, copied from there to the request.
 *
 *     offset  size  field
 *     0       4     length of the rest of the frame, big endian, unsigned
 *     4       8     write timestamp, microseconds since 1970, big endian, signed
 *     12      8     place of the record in its source, big endian, signed
 *     20      2     index of the statement in the segment's header, big endian, unsigned; 65535 for a dead letter, whose
 *                   one value is the JSON of a record that can't be written (sink/SetAside)
 *     22      2     number of values, big endian, unsigned
 *     24            the values, one after another: 4 bytes length (big endian, signed) and the bytes;
 *                   length -1 is null (a tombstone), -2 is unset (the column is left as it is)
 *
 * The value part is the same as in a native protocol v4 `<value>`.
 *
 * @since 0.1.0
 */
import { WireBuffer } from "../wire/WireBuffer.ts"
import { readInt64, valuesOf, writeInt64 } from "../wire/WireValues.ts"
import { FrameBuffers } from "./FrameBuffers.ts"

/**
 * Bytes before the first value.
 *
 * @category constants
 * @since 0.1.0
 */
export const headerBytes = 24

/**
 * In place of a statement's index: this is no row, but a record for the dead letters.
 *
 * @category constants
 * @since 0.1.0
 */
export const letterStatement = 0xffff

/**
 * One row read back: a view on its frame, no copies, and as small as may be, as there are a hundred thousand at once.
 *
 * @category models
 * @since 0.1.0
 */
export class LoggedRow {
  /** Of the block it is in. */
  readonly bytes: Buffer
  /** Where its values begin, and end. */
  readonly from: number
  readonly to: number

  constructor(bytes: Buffer, from: number, to: number) {
    this.bytes = bytes
    this.from = from
    this.to = to
  }

  /** Microseconds since 1970. */
  get timestamp(): number {
    return readInt64(this.bytes, this.from - headerBytes + 4)
  }

  get place(): number {
    return readInt64(this.bytes, this.from - headerBytes + 12)
  }

  get statement(): number {
    return this.bytes.readUInt16BE(this.from - headerBytes + 20)
  }

  get valueCount(): number {
    return this.bytes.readUInt16BE(this.from - 2)
  }

  /** Views on the block's bytes; `undefined` is unset. */
  get values(): Array<Buffer | null | undefined> {
    return valuesOf(this.bytes, this.from, this.to)
  }
}

/**
 * Rows of one subtask, encoded and waiting for their timestamps.
 *
 * @category models
 * @since 0.1.0
 */
export interface EncodedRows {
  /** Frames, one after another. */
  readonly bytes: Buffer
  /** The same with `headroomBytes` before it, for whoever puts a header there; what is in them is nobody's. */
  readonly withHeadroom: Buffer
  readonly rows: number
  /**
   * Gives the bytes back to be written over, by a backend that has written or copied them and will not look at them again.
   * Without the call they are the garbage collector's.
   */
  readonly release?: (() => void) | undefined
}

/**
 * Free bytes before the frames of `EncodedRows`.
 *
 * @category constants
 * @since 0.1.0
 */
export const headroomBytes = 16

/**
 * Frames that lie somewhere else, copied.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromFrames = (frames: Buffer, rows: number): EncodedRows => {
  const withHeadroom = Buffer.allocUnsafe(headroomBytes + frames.length)
  frames.copy(withHeadroom, headroomBytes)
  return { bytes: withHeadroom.subarray(headroomBytes), withHeadroom, rows }
}

/**
 * A growing buffer of frames. Plain code for plain loops: nothing here is an Effect. Writers may share their spare buffers.
 *
 * @category models
 * @since 0.1.0
 */
export class FrameWriter {
  private readonly buffers: FrameBuffers
  /** Where the values of the frame that was begun are written to. */
  private readonly out: WireBuffer
  private count = 0

  constructor(buffers: FrameBuffers = new FrameBuffers()) {
    this.buffers = buffers
    this.out = new WireBuffer(buffers.take())
    this.out.length = headroomBytes
  }

  get bytes(): number {
    return this.out.length - headroomBytes
  }

  get rows(): number {
    return this.count
  }

  /** Adds a frame; the timestamp stays zero until `stamp`, if none is given. */
  add(place: number, statement: number, values: ReadonlyArray<Buffer | null | undefined>): void {
    this.addWith(place, statement, values.length, values, writeAll)
  }

  /** The same with the values as they come out of `write`. If it throws, so does this, and nothing was added. */
  addWith<A>(
    place: number,
    statement: number,
    valueCount: number,
    record: A,
    write: (record: A, out: WireBuffer) => void,
    timestamp = 0
  ): void {
    const { out } = this
    const start = out.length
    out.reserve(headerBytes)
    out.length = start + headerBytes
    try {
      write(record, out)
    } catch (error) {
      out.length = start
      throw error
    }
    this.finish(start, place, statement, valueCount, timestamp)
  }

  /** The same with values that lie somewhere else already. */
  addWritten(place: number, statement: number, valueCount: number, values: WireBuffer, timestamp = 0): void {
    const { out } = this
    const start = out.length
    out.reserve(headerBytes + values.length)
    values.bytes.copy(out.bytes, start + headerBytes, 0, values.length)
    out.length = start + headerBytes + values.length
    this.finish(start, place, statement, valueCount, timestamp)
  }

  private finish(start: number, place: number, statement: number, valueCount: number, timestamp: number): void {
    const { bytes, length } = this.out
    bytes.writeUInt32BE(length - start - 4, start)
    writeInt64(bytes, timestamp, start + 4)
    writeInt64(bytes, place, start + 12)
    bytes.writeUInt16BE(statement, start + 20)
    bytes.writeUInt16BE(valueCount, start + 22)
    this.count++
  }

  /** What was added since the last `take`; the writer is empty afterwards and its buffer is no longer its own. */
  take(): EncodedRows {
    const { bytes, length } = this.out
    const taken = {
      bytes: bytes.subarray(headroomBytes, length),
      withHeadroom: bytes.subarray(0, length),
      rows: this.count,
      release: this.buffers.lend(bytes)
    }
    this.out.bytes = this.buffers.take()
    this.out.length = headroomBytes
    this.count = 0
    return taken
  }
}

const writeAll = (values: ReadonlyArray<Buffer | null | undefined>, out: WireBuffer): void => {
  for (let i = 0; i < values.length; i++) out.writeValue(values[i])
}

/**
 * Writes the timestamps `first`, `first + 1`, ... into the frames of `encoded`, in order; a frame that brought its own
 * keeps it. Returns the next free one. A letter leaves room behind its own for `rowsOfRecord - 1` more (default 0): for
 * all rows that its record makes when it is loaded after all.
 *
 * @category combinators
 * @since 0.1.0
 */
export const stamp = (encoded: EncodedRows, first: number, rowsOfRecord = 1): number => {
  const bytes = encoded.bytes
  let timestamp = first
  for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32BE(at)) {
    if (readInt64(bytes, at + 4) !== 0) continue
    writeInt64(bytes, timestamp, at + 4)
    timestamp += bytes.readUInt16BE(at + 20) === letterStatement ? rowsOfRecord : 1
  }
  return timestamp
}

/**
 * Reads all frames of a block's payload. A payload whose checksum held but whose frames do not add up was written
 * wrongly, so this throws a RangeError instead of guessing; the caller names file and offset.
 *
 * @category combinators
 * @since 0.1.0
 */
export const read = (payload: Buffer): Array<LoggedRow> => {
  const rows: Array<LoggedRow> = []
  readInto(rows, payload)
  return rows
}

/**
 * The same, added to `rows`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const readInto = (rows: Array<LoggedRow>, payload: Buffer): void => {
  let at = 0
  while (at < payload.length) {
    const end = at + 4 + payload.readUInt32BE(at)
    if (end > payload.length || end < at + headerBytes) {
      throw new RangeError(`a row of ${end - at} bytes at byte ${at} of a block of ${payload.length}`)
    }
    const count = payload.readUInt16BE(at + 22)
    const from = at + headerBytes
    let valueAt = from
    for (let i = 0; i < count; i++) {
      const length = payload.readInt32BE(valueAt)
      valueAt += length > 0 ? 4 + length : 4
    }
    if (valueAt !== end) throw new RangeError(`the values of the row at byte ${at} end at ${valueAt}, not at ${end}`)
    rows.push(new LoggedRow(payload, from, end))
    at = end
  }
}

/**
 * The least and the greatest write timestamp of rows. They need not be the first and the last: rows of dead letters that are
 * loaded again keep the timestamps of their first time.
 *
 * @category combinators
 * @since 0.1.0
 */
export const timestampRange = (rows: ReadonlyArray<LoggedRow>): readonly [least: number, greatest: number] => {
  let least = Number.POSITIVE_INFINITY
  let greatest = Number.NEGATIVE_INFINITY
  for (const { timestamp } of rows) {
    if (timestamp < least) least = timestamp
    if (timestamp > greatest) greatest = timestamp
  }
  return [least, greatest]
}
