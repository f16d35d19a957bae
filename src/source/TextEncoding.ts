/**
 * The encoding of a text: where its lines end in the bytes, and what they say.
 *
 * @since 0.1.0
 */
import { isUtf8 } from "node:buffer"

const lineFeed = 0x0a

/**
 * - `name`: that of the Encoding Standard, as `windows-1252`; `UTF-8` for UTF-8.
 * - `isUtf8`: nothing need be done for the formats.
 * - `unit`: the bytes of an ASCII character. It stands in the last of them for UTF-16BE, else in the first.
 * - `mark`: the byte order mark that a file may begin with, or null.
 *
 * @category models
 * @since 0.1.0
 */
export interface TextEncoding {
  readonly name: string
  readonly isUtf8: boolean
  readonly unit: 1 | 2
  readonly mark: Uint8Array | null
  /** The text of these bytes, or null if they are none. */
  readonly decode: (bytes: Uint8Array) => string | null
  /** The same, with U+FFFD for what is no text. */
  readonly decodeLoosely: (bytes: Uint8Array) => string
}

/**
 * The encoding of files, unless another is named.
 *
 * @category constants
 * @since 0.1.0
 */
export const utf8: TextEncoding = {
  name: "UTF-8",
  isUtf8: true,
  unit: 1,
  mark: Uint8Array.of(0xef, 0xbb, 0xbf),
  decode: (bytes) => isUtf8(bytes) ? Buffer.from(bytes).toString() : null,
  decodeLoosely: (bytes) => Buffer.from(bytes).toString()
}

/**
 * The bytes of a mark of UTF-16, by encoding.
 *
 * @category constants
 * @since 0.1.0
 */
export const wideMarks: { readonly [name: string]: Uint8Array } = {
  "utf-16le": Uint8Array.of(0xff, 0xfe),
  "utf-16be": Uint8Array.of(0xfe, 0xff)
}

/**
 * What a name of an encoding must be, for messages.
 *
 * @category formatting
 * @since 0.1.0
 */
export const expectedNames =
  "a name of the Encoding Standard, as utf-8, iso-8859-1 (latin1), windows-1252, iso-8859-15, " +
  "koi8-r, utf-16le, utf-16be, shift_jis, gb18030 or big5 (iso-2022-jp can't be read from the middle, so it is not taken)"

/**
 * The encoding of a name, which may be any that the Encoding Standard has for it; null for one that is not known.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (label: string): TextEncoding | null => {
  let strict: InstanceType<typeof TextDecoder>
  try {
    strict = new TextDecoder(label, { fatal: true, ignoreBOM: true })
  } catch {
    return null
  }
  const name = strict.encoding
  if (name === "utf-8") return utf8
  // What its bytes are depends on what stands before them.
  if (name === "iso-2022-jp") return null
  const loose = new TextDecoder(label, { ignoreBOM: true })
  return {
    name,
    isUtf8: false,
    unit: name in wideMarks ? 2 : 1,
    mark: wideMarks[name] ?? null,
    decode: (bytes) => {
      try {
        return strict.decode(bytes)
      } catch {
        return null
      }
    },
    decodeLoosely: (bytes) => loose.decode(bytes)
  }
}

/**
 * Whether `buffer[start, end)` ends with this ASCII character.
 *
 * @category parsing
 * @since 0.1.0
 */
export const endsWith = (
  { name, unit }: TextEncoding,
  buffer: Uint8Array,
  start: number,
  end: number,
  character: number
): boolean => {
  if (end - start < unit) return false
  if (unit === 1) return buffer[end - 1] === character
  const [low, high] = name === "utf-16le" ? [buffer[end - 2], buffer[end - 1]] : [buffer[end - 1], buffer[end - 2]]
  return low === character && high === 0
}

/**
 * The index behind the first line feed at or after `from`, where a character begins; `end` if there is none.
 *
 * @category parsing
 * @since 0.1.0
 */
export const lineEnd = (encoding: TextEncoding, buffer: Buffer, from: number, end: number): number => {
  const { unit } = encoding
  let at = from
  while (true) {
    const found = buffer.indexOf(lineFeed, at)
    if (found < 0 || found >= end) return end
    // In UTF-16 the byte may also be half of another character.
    const behind = unit === 1 ? found + 1 : from + 2 * (Math.floor((found - from) / 2) + 1)
    if (behind <= end && endsWith(encoding, buffer, from, behind, lineFeed)) return behind
    at = found + 1
  }
}

/**
 * The index behind the last line feed of `buffer[start, end)`; `start` if there is none.
 *
 * @category parsing
 * @since 0.1.0
 */
export const lastLineEnd = (encoding: TextEncoding, buffer: Buffer, start: number, end: number): number => {
  const { unit } = encoding
  let at = end - 1
  while (at >= start) {
    const found = buffer.lastIndexOf(lineFeed, at)
    if (found < start) break
    const behind = unit === 1 ? found + 1 : start + 2 * (Math.floor((found - start) / 2) + 1)
    if (behind <= end && endsWith(encoding, buffer, start, behind, lineFeed)) return behind
    at = found - 1
  }
  return start
}

const invalid = Buffer.of(0xff)

/** A line that is no text: what is wrong in it is wrong in UTF-8 too, and its ASCII is where it was. */
const brokenLine = (text: string): Buffer =>
  Buffer.concat(text.split("\ufffd").flatMap((part, i) => i === 0 ? [Buffer.from(part)] : [invalid, Buffer.from(part)]))

/**
 * `buffer[start, end)` in UTF-8. What is no text is none there either, on the same line.
 *
 * @category combinators
 * @since 0.1.0
 */
export const toUtf8 = (encoding: TextEncoding, buffer: Buffer, start: number, end: number): Buffer => {
  const text = encoding.decode(buffer.subarray(start, end))
  if (text !== null) return Buffer.from(text)
  const lines: Array<Buffer> = []
  for (let from = start; from < end;) {
    const to = lineEnd(encoding, buffer, from, end)
    const bytes = buffer.subarray(from, to)
    const line = encoding.decode(bytes)
    lines.push(line === null ? brokenLine(encoding.decodeLoosely(bytes)) : Buffer.from(line))
    from = to
  }
  return Buffer.concat(lines)
}
