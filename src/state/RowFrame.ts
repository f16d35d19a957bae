/**
 * How a row lies in the log: one frame of CQL wire values, encoded once, copied from there to the request.
 *
 *     offset  size  field
 *     0       4     length of the rest of the frame, big endian, unsigned
 *     4       8     write timestamp, microseconds since 1970, big endian, signed
 *     12      8     place of the record in its source, big endian, signed
 *     20      2     index of the statement in the segment's header, big endian, unsigned
 *     22      2     number of values, big endian, unsigned
 *     24            the values, one after another: 4 bytes length (big endian, signed) and the bytes;
 *                   length -1 is null (a tombstone), -2 is unset (the column is left as it is)
 *
 * The value part is the same as in a native protocol v4 `<value>`.
 *
 * @since 0.1.0
 */
import { readInt64, valuesOf, writeInt64 } from "../wire/WireValues.ts"

/**
 * Bytes before the first value.
 *
 * @category constants
 * @since 0.1.0
 */
export const headerBytes = 24

/**
 * One row read back: a view on its frame, no copies.
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
  /** Microseconds since 1970. */
  readonly timestamp: number

  constructor(bytes: Buffer, from: number, to: number) {
    this.bytes = bytes
    this.from = from
    this.to = to
    this.timestamp = readInt64(bytes, from - headerBytes + 4)
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
  readonly rows: number
}

/**
 * A growing buffer of frames. Plain code for plain loops: nothing here is an Effect.
 *
 * @category models
 * @since 0.1.0
 */
export class FrameWriter {
  private buffer: Buffer
  private length = 0
  private count = 0
  constructor(initialBytes = 64 * 1024) {
    this.buffer = Buffer.allocUnsafeSlow(initialBytes)
  }

  get bytes(): number {
    return this.length
  }

  get rows(): number {
    return this.count
  }

  /** Adds a frame; the timestamp stays zero until `stamp`. */
  add(place: number, statement: number, values: ReadonlyArray<Buffer | null | undefined>): void {
    let size = headerBytes
    for (let i = 0; i < values.length; i++) {
      const value = values[i]
      size += value ? 4 + value.length : 4
    }
    this.reserve(size)
    const buffer = this.buffer
    let at = this.length
    buffer.writeUInt32BE(size - 4, at)
    buffer.fill(0, at + 4, at + 12)
    writeInt64(buffer, place, at + 12)
    buffer.writeUInt16BE(statement, at + 20)
    buffer.writeUInt16BE(values.length, at + 22)
    at += headerBytes
    for (let i = 0; i < values.length; i++) {
      const value = values[i]
      if (value) {
        at = buffer.writeInt32BE(value.length, at)
        value.copy(buffer, at)
        at += value.length
      } else {
        at = buffer.writeInt32BE(value === null ? -1 : -2, at)
      }
    }
    this.length = at
    this.count++
  }

  /** What was added since the last `take`; the writer is empty afterwards and its buffer is no longer its own. */
  take(): EncodedRows {
    const taken = { bytes: this.buffer.subarray(0, this.length), rows: this.count }
    this.buffer = Buffer.allocUnsafeSlow(Math.max(64 * 1024, this.length + (this.length >> 3)))
    this.length = 0
    this.count = 0
    return taken
  }

  private reserve(size: number): void {
    if (this.length + size <= this.buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.length + size))
    this.buffer.copy(grown, 0, 0, this.length)
    this.buffer = grown
  }
}

/**
 * Writes the timestamps `first`, `first + 1`, ... into the frames of `encoded`, in order. Returns the next free one.
 *
 * @category combinators
 * @since 0.1.0
 */
export const stamp = (encoded: EncodedRows, first: number): number => {
  const bytes = encoded.bytes
  let timestamp = first
  for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32BE(at)) {
    writeInt64(bytes, timestamp, at + 4)
    timestamp++
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
  return rows
}
