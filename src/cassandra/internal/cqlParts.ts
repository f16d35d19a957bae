/**
 * How the values inside a collection, a tuple or a user-defined type are put together (protocol v4).
 */

/** Parts, each behind its length in four bytes; a null part has length -1. `count` goes first unless it is null. */
export const join = (parts: ReadonlyArray<Buffer | null>, count: number | null): Buffer => {
  let length = count === null ? 0 : 4
  for (const part of parts) length += 4 + (part === null ? 0 : part.length)
  const buffer = Buffer.allocUnsafe(length)
  let offset = count === null ? 0 : buffer.writeInt32BE(count, 0)
  for (const part of parts) {
    offset = buffer.writeInt32BE(part === null ? -1 : part.length, offset)
    if (part !== null) offset += part.copy(buffer, offset)
  }
  return buffer
}

/** What `join` joined. */
export const partsOf = (bytes: Buffer, hasCount: boolean): Array<Buffer | null> => {
  const parts: Array<Buffer | null> = []
  let at = hasCount ? 4 : 0
  while (at < bytes.length) {
    const length = bytes.readInt32BE(at)
    at += 4
    parts.push(length < 0 ? null : bytes.subarray(at, at + length))
    at += Math.max(0, length)
  }
  return parts
}
