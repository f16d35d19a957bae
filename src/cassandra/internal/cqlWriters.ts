/**
 * Values straight into a buffer, for the types and the forms of values that most rows are made of. Whatever else a value
 * is goes through its type's encoder, which also has the words for what does not fit.
 */
import type { WireBuffer } from "../../wire/WireBuffer.ts"
import { writeInt64 } from "../../wire/WireValues.ts"

type Encode = (value: unknown) => Buffer

/** @internal */
export type ValueWriter = (value: unknown, out: WireBuffer) => void

/** Longer ones are written faster by native code. */
const shortText = 64

const int = (encode: Encode): ValueWriter => (value, out) => {
  if (typeof value !== "number" || (value | 0) !== value) return out.writeValue(encode(value))
  out.reserve(8)
  const at = out.bytes.writeInt32BE(4, out.length)
  out.length = out.bytes.writeInt32BE(value, at)
}

const bigint = (encode: Encode): ValueWriter => (value, out) => {
  if (typeof value === "number" && Number.isSafeInteger(value)) {
    out.reserve(12)
    const at = out.bytes.writeInt32BE(8, out.length)
    writeInt64(out.bytes, value, at)
    out.length = at + 8
    return
  }
  out.writeValue(encode(value))
}

const double = (encode: Encode): ValueWriter => (value, out) => {
  if (typeof value !== "number" || !Number.isFinite(value)) return out.writeValue(encode(value))
  out.reserve(12)
  const at = out.bytes.writeInt32BE(8, out.length)
  out.length = out.bytes.writeDoubleBE(value, at)
}

interface WellFormed {
  readonly isWellFormed: () => boolean
}

const text = (encode: Encode): ValueWriter => (value, out) => {
  if (typeof value !== "string") return out.writeValue(encode(value))
  const { length } = value
  // A code unit is three bytes at most.
  out.reserve(4 + 3 * length)
  const { bytes } = out
  const start = out.length + 4
  if (length <= shortText) {
    let i = 0
    for (; i < length; i++) {
      const code = value.charCodeAt(i)
      if (code > 0x7f) break
      bytes[start + i] = code
    }
    if (i === length) {
      bytes.writeInt32BE(length, out.length)
      out.length = start + length
      return
    }
  }
  if (!(value as unknown as WellFormed).isWellFormed()) return out.writeValue(encode(value))
  const written = bytes.write(value, start, "utf8")
  bytes.writeInt32BE(written, out.length)
  out.length = start + written
}

/** By the native protocol's number of the type. */
const writers: ReadonlyMap<number, (encode: Encode) => ValueWriter> = new Map([
  [0x02, bigint],
  [0x07, double],
  [0x09, int],
  [0x0a, text],
  [0x0d, text]
])

/** @internal */
export const writerOf = (code: number, encode: Encode): ValueWriter =>
  writers.get(code)?.(encode) ?? ((value, out) => out.writeValue(encode(value)))
