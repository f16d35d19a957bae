/**
 * The encoders of CQL's whole numbers. A value is taken from a number (where it is exact), a bigint, digits, or the
 * driver's Long and Integer; nothing is rounded or cut.
 */
import { types } from "cassandra-driver"
import { CqlValueError } from "./cqlValueError.ts"

const digits = /^[+-]?\d+$/

/** @internal */
export const isDigits = (text: string): boolean => digits.test(text)

const zero = BigInt(0)
const min64 = -(BigInt(2) ** BigInt(63))
const max64 = BigInt(2) ** BigInt(63) - BigInt(1)

/** A text that a driver's number type gives of itself, null if it is none. */
const driverText = (value: unknown): string | null =>
  value instanceof types.Long || value instanceof types.Integer ? value.toString() : null

const refuse = (expected: string, value: unknown): CqlValueError => {
  switch (typeof value) {
    case "number":
      return new CqlValueError(
        expected,
        value,
        !Number.isFinite(value)
          ? "it is no number that can be stored"
          : Number.isInteger(value)
          ? "a JavaScript number is not exact beyond 2^53; give a bigint or its digits as text"
          : "it is not whole"
      )
    case "string":
      return new CqlValueError(expected, value, value === "" ? "it is empty" : "it is not the digits of a whole number")
    default:
      return new CqlValueError(expected, value, "give a whole number, a bigint or digits")
  }
}

/** The value as a bigint, if it is one in any of the forms taken. */
const toBigInt = (expected: string, value: unknown): bigint => {
  switch (typeof value) {
    case "bigint":
      return value
    case "number":
      if (Number.isSafeInteger(value)) return BigInt(value)
      break
    case "string":
      // BigInt reads no leading plus.
      if (digits.test(value)) return BigInt(value.charCodeAt(0) === 43 ? value.slice(1) : value)
      break
    default: {
      const text = driverText(value)
      if (text !== null) return BigInt(text)
    }
  }
  throw refuse(expected, value)
}

const small = (
  expected: string,
  bits: 8 | 16 | 32,
  write: (buffer: Buffer, value: number) => void
): (value: unknown) => Buffer => {
  const max = 2 ** (bits - 1) - 1
  const min = -max - 1
  return (value) => {
    let number: number
    if (typeof value === "number") {
      number = value
      if (!Number.isInteger(number)) throw refuse(expected, value)
    } else if (typeof value === "string") {
      if (!digits.test(value)) throw refuse(expected, value)
      number = Number(value)
    } else number = Number(toBigInt(expected, value))
    if (number < min || number > max) throw new CqlValueError(expected, value, `it is not within ${min} to ${max}`)
    const buffer = Buffer.allocUnsafe(bits / 8)
    write(buffer, number)
    return buffer
  }
}

/** @internal */
export const tinyint = small("tinyint", 8, (buffer, value) => buffer.writeInt8(value, 0))

/** @internal */
export const smallint = small("smallint", 16, (buffer, value) => buffer.writeInt16BE(value, 0))

/** @internal */
export const int = small("int", 32, (buffer, value) => buffer.writeInt32BE(value, 0))

/**
 * 64 bits: bigint, counter, and the milliseconds and nanoseconds of timestamp and time.
 *
 * @internal
 */
export const integer64 = (expected: string) => (value: unknown): Buffer => {
  const buffer = Buffer.allocUnsafe(8)
  // Digits of at most 15 places are exact as a number, which is cheaper than a bigint.
  const number = typeof value === "number"
    ? value
    : typeof value === "string" && value.length < 16 && digits.test(value)
    ? Number(value)
    : Number.NaN
  if (Number.isSafeInteger(number)) {
    buffer.writeInt32BE(Math.floor(number / 0x100000000), 0)
    buffer.writeInt32BE(number | 0, 4)
    return buffer
  }
  const exact = toBigInt(expected, value)
  if (exact < min64 || exact > max64) {
    throw new CqlValueError(expected, value, `it is not within ${min64} to ${max64}`)
  }
  buffer.writeBigInt64BE(exact, 0)
  return buffer
}

/**
 * The fewest bytes that hold the number and its sign, as the server writes a varint.
 *
 * @internal
 */
export const varintBuffer = (value: bigint): Buffer => {
  // The sign needs a bit of its own in front of the digits, so this may be one byte more than needed.
  const bytes = Math.floor((value < zero ? ~value : value).toString(16).length / 2) + 1
  const hex = BigInt.asUintN(bytes * 8, value).toString(16).padStart(bytes * 2, "0")
  const isLong = bytes > 1 && ((hex.startsWith("00") && hex[2]! < "8") || (hex.startsWith("ff") && hex[2]! >= "8"))
  return Buffer.from(isLong ? hex.slice(2) : hex, "hex")
}

/** @internal */
export const varint = (value: unknown): Buffer => varintBuffer(toBigInt("varint", value))

const decimalText = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i

const decimalBuffer = (unscaled: bigint, scale: number): Buffer => {
  const digits = varintBuffer(unscaled)
  const buffer = Buffer.allocUnsafe(4 + digits.length)
  buffer.writeInt32BE(scale, 0)
  digits.copy(buffer, 4)
  return buffer
}

/** @internal */
export const decimal = (value: unknown): Buffer => {
  if (value instanceof types.BigDecimal) return types.BigDecimal.toBuffer(value)
  if (typeof value === "bigint") return decimalBuffer(value, 0)
  const text = typeof value === "number" || typeof value === "string" ? String(value) : driverText(value)
  const match = text === null ? null : decimalText.exec(text)
  if (match === null || (match[2] === "" && (match[3] ?? "") === "")) {
    throw new CqlValueError("decimal", value, value === "" ? "it is empty" : "it is no decimal number")
  }
  const fraction = match[3] ?? ""
  const scale = fraction.length - Number(match[4] ?? 0)
  if (!(Math.abs(scale) <= 0x7fffffff)) {
    throw new CqlValueError("decimal", value, "its exponent is beyond what a decimal holds")
  }
  const unscaled = BigInt(match[2] + fraction)
  return decimalBuffer(match[1] === "-" ? -unscaled : unscaled, scale)
}
