/**
 * The encoders of CQL's scalars that are neither whole numbers nor times.
 */
import { types } from "cassandra-driver"
import { isIP } from "node:net"
import { CqlValueError } from "./cqlValueError.ts"

const numeric = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i

/** The one way to write these, so that a computed NaN cannot slip in. */
const special: Record<string, number> = {
  "NaN": Number.NaN,
  "Infinity": Number.POSITIVE_INFINITY,
  "+Infinity": Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY
}

const floating = (expected: string, narrow: (value: number) => number, value: unknown): number => {
  let number: number
  switch (typeof value) {
    case "number":
      number = value
      if (!Number.isFinite(number)) {
        throw new CqlValueError(expected, value, "a computed NaN or Infinity is refused; give it as text to store it")
      }
      break
    case "string":
      if (Object.hasOwn(special, value)) return special[value]!
      if (!numeric.test(value)) {
        throw new CqlValueError(expected, value, value === "" ? "it is empty" : "it is no number")
      }
      number = Number(value)
      break
    case "bigint":
      number = Number(value)
      if (Number.isFinite(number) && BigInt(number) !== value) {
        throw new CqlValueError(expected, value, `it would be stored as ${number}`)
      }
      break
    default:
      throw new CqlValueError(expected, value, "give a number or numeric text")
  }
  const stored = narrow(number)
  if (!Number.isFinite(stored)) throw new CqlValueError(expected, value, `it is beyond what a ${expected} holds`)
  if (stored === 0 && (number !== 0 || (typeof value === "string" && /^[^e]*[1-9]/i.test(value)))) {
    throw new CqlValueError(expected, value, `it is so small that a ${expected} would hold 0`)
  }
  return stored
}

const same = (value: number): number => value

/** @internal */
export const double = (value: unknown): Buffer => {
  const buffer = Buffer.allocUnsafe(8)
  buffer.writeDoubleBE(floating("double", same, value), 0)
  return buffer
}

/** @internal */
export const float = (value: unknown): Buffer => {
  const buffer = Buffer.allocUnsafe(4)
  buffer.writeFloatBE(floating("float", Math.fround, value), 0)
  return buffer
}

/** Pairs that CSV files use, those of dsbulk. */
const booleans: Record<string, boolean> = {
  true: true,
  false: false,
  yes: true,
  no: false,
  y: true,
  n: false,
  t: true,
  f: false,
  1: true,
  0: false
}

/** @internal */
export const boolean = (value: unknown): Buffer => {
  const known = typeof value === "boolean"
    ? value
    : typeof value === "string" && value.length < 6 && Object.hasOwn(booleans, value.toLowerCase())
    ? booleans[value.toLowerCase()]!
    : null
  if (known === null) {
    throw new CqlValueError("boolean", value, "give true or false, as text also yes/no, y/n, t/f or 1/0")
  }
  // A fresh one: whoever gets it may write into it.
  const buffer = Buffer.allocUnsafe(1)
  buffer[0] = known ? 1 : 0
  return buffer
}

/** The text of a value whose JSON form is one word. */
const wordOf = (expected: string, value: unknown): string => {
  switch (typeof value) {
    case "string":
      return value
    case "number":
      if (Number.isFinite(value)) return String(value)
      throw new CqlValueError(expected, value, "JSON has no text for it")
    case "boolean":
    case "bigint":
      return String(value)
    default:
      throw new CqlValueError(expected, value, "give text; an object has more than one text form")
  }
}

// Part of the runtimes supported, but not of the language level this is compiled for.
interface WellFormed {
  readonly isWellFormed: () => boolean
}

/** @internal */
export const text = (value: unknown): Buffer => {
  const string = typeof value === "string" ? value : wordOf("text", value)
  if (!(string as unknown as WellFormed).isWellFormed()) {
    throw new CqlValueError("text", value, "it has half a surrogate pair, which UTF-8 cannot hold")
  }
  return Buffer.from(string, "utf8")
}

// oxlint-disable-next-line no-control-regex
const outsideAscii = /[^\x00-\x7f]/

/** @internal */
export const ascii = (value: unknown): Buffer => {
  const string = wordOf("ascii", value)
  const at = string.search(outsideAscii)
  if (at >= 0) {
    throw new CqlValueError("ascii", value, `${JSON.stringify(string[at])} at character ${at + 1} is not ASCII`)
  }
  return Buffer.from(string, "latin1")
}

const uuidText = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

const uuidOf = (expected: string, value: unknown): Buffer => {
  if (typeof value === "string") {
    if (!uuidText.test(value)) throw new CqlValueError(expected, value, "it is no uuid of 8-4-4-4-12 hex digits")
    return Buffer.from(
      value.slice(0, 8) + value.slice(9, 13) + value.slice(14, 18) + value.slice(19, 23) + value.slice(24),
      "hex"
    )
  }
  if (value instanceof types.Uuid) return value.getBuffer()
  throw new CqlValueError(expected, value, "give its text or a driver Uuid")
}

/** @internal */
export const uuid = (value: unknown): Buffer => uuidOf("uuid", value)

/** @internal */
export const timeuuid = (value: unknown): Buffer => {
  const buffer = uuidOf("timeuuid", value)
  if (buffer[6]! >> 4 !== 1) {
    throw new CqlValueError(
      "timeuuid",
      String(value),
      `it is a version ${buffer[6]! >> 4} uuid, a timeuuid is version 1`
    )
  }
  return buffer
}

const ipv4 = (address: string): Array<number> => address.split(".").map(Number)

const ipv6 = (address: string): Array<number> => {
  const side = (part: string): Array<number> =>
    part === "" ? [] : part.split(":").flatMap((group) => {
      if (group.includes(".")) return ipv4(group)
      const number = Number.parseInt(group, 16)
      return [number >> 8, number & 0xff]
    })
  const [head, tail] = address.split("::")
  const left = side(head!)
  const right = tail === undefined ? [] : side(tail)
  return [...left, ...Array.from({ length: 16 - left.length - right.length }, () => 0), ...right]
}

const mappedPrefix = Buffer.from("00000000000000000000ffff", "hex")

/** @internal */
export const inet = (value: unknown): Buffer => {
  if (value instanceof types.InetAddress) return value.getBuffer()
  if (typeof value !== "string") throw new CqlValueError("inet", value, "give its text or a driver InetAddress")
  const version = value.includes("%") ? 0 : isIP(value)
  if (version === 0) throw new CqlValueError("inet", value, "it is no IPv4 or IPv6 address")
  if (version === 4) return Buffer.from(ipv4(value))
  const bytes = Buffer.from(ipv6(value))
  // The server reads this text as the IPv4 address, so a key must not differ by who wrote it.
  return bytes.compare(mappedPrefix, 0, 12, 0, 12) === 0 ? bytes.subarray(12) : bytes
}

const hex = /^0x(?:[0-9a-f]{2})*$/i
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** @internal */
export const blob = (value: unknown): Buffer => {
  if (Buffer.isBuffer(value)) return value
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (value instanceof ArrayBuffer) return Buffer.from(value)
  if (typeof value !== "string") throw new CqlValueError("blob", value, "give bytes, 0x and hex digits, or base64")
  if (value.startsWith("0x") || value.startsWith("0X")) {
    if (!hex.test(value)) {
      throw new CqlValueError("blob", value, "after 0x come pairs of hex digits, and nothing else")
    }
    return Buffer.from(value.slice(2), "hex")
  }
  if (!base64.test(value)) throw new CqlValueError("blob", value, "it is neither 0x and hex digits nor base64")
  return Buffer.from(value, "base64")
}
