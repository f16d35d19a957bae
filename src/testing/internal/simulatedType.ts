/**
 * CQL types as the simulation needs them: from text, their order, and whether bytes are a value of them.
 */
import { types } from "cassandra-driver"
// @ts-expect-error: the driver ships no types for this file
import DriverTokenizer from "cassandra-driver/lib/tokenizer.js"
import type { CqlType } from "../../cassandra/CqlValue.ts"
import { Encoder, encoding } from "../../cassandra/internal/driverInternals.ts"
import { invalid, unsupported } from "./simulatedRefusal.ts"

const { dataTypes } = types

/** @internal */
export const codec = new Encoder(4, { encoding })

/** @internal */
export interface ParsedType {
  /** As `system_schema.columns` writes it. */
  readonly text: string
  readonly type: CqlType
  readonly isFrozen: boolean
}

const scalarNames: Record<string, number> = {
  ascii: dataTypes.ascii,
  bigint: dataTypes.bigint,
  blob: dataTypes.blob,
  boolean: dataTypes.boolean,
  counter: dataTypes.counter,
  decimal: dataTypes.decimal,
  double: dataTypes.double,
  float: dataTypes.float,
  int: dataTypes.int,
  text: dataTypes.varchar,
  varchar: dataTypes.varchar,
  timestamp: dataTypes.timestamp,
  uuid: dataTypes.uuid,
  varint: dataTypes.varint,
  timeuuid: dataTypes.timeuuid,
  inet: dataTypes.inet,
  date: dataTypes.date,
  time: dataTypes.time,
  smallint: dataTypes.smallint,
  tinyint: dataTypes.tinyint,
  duration: dataTypes.duration
}

/**
 * A type from its parts: `name`, and what stands between `<` and `>`.
 *
 * @internal
 */
export const makeType = (name: string, inner: ReadonlyArray<ParsedType | number>): ParsedType => {
  const scalar = scalarNames[name]
  if (scalar !== undefined && inner.length === 0) {
    return { text: name === "varchar" ? "text" : name, type: { code: scalar }, isFrozen: true }
  }
  const parts = inner.filter((part): part is ParsedType => typeof part !== "number")
  const text = `${name}<${inner.map((part) => typeof part === "number" ? part : part.text).join(", ")}>`
  const first = parts[0]
  if (first === undefined) return unsupported(`the type ${name}`)
  switch (name) {
    case "frozen":
      return { text: first.isFrozen ? first.text : text, type: first.type, isFrozen: true }
    case "set":
      return { text, type: { code: dataTypes.set, info: first.type }, isFrozen: false }
    case "list":
      return { text, type: { code: dataTypes.list, info: first.type }, isFrozen: false }
    case "map":
      if (parts.length !== 2) return invalid(`map takes two types`)
      return { text, type: { code: dataTypes.map, info: [first.type, parts[1]!.type] }, isFrozen: false }
    case "tuple":
      return {
        text: `frozen<${text}>`,
        type: { code: dataTypes.tuple, info: parts.map(({ type }) => type) },
        isFrozen: true
      }
    case "vector":
      return {
        text,
        type: { code: dataTypes.custom, customTypeName: "vector", info: [first.type, inner[1]] },
        isFrozen: true
      }
    default:
      return unsupported(`the type ${name}`)
  }
}

/** @internal */
export type Comparator = (a: Buffer, b: Buffer) => number

const signed: Comparator = (a, b) => {
  const difference = a.length - b.length
  if (difference !== 0 || a.length === 0) return difference
  const first = a.readInt8(0) - b.readInt8(0)
  return first !== 0 ? first : Buffer.compare(a, b)
}

const floating = (read: (buffer: Buffer) => number): Comparator => (a, b) => {
  if (a.length === 0 || b.length === 0) return a.length - b.length
  const [x, y] = [read(a), read(b)]
  if (x !== y && !Number.isNaN(x) && !Number.isNaN(y)) return x - y
  // as in Java: NaN is the greatest, and -0 is less than 0
  return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || Number(Object.is(x, 0)) - Number(Object.is(y, 0))
}

const decoded = (type: CqlType): Comparator => (a, b) => {
  if (a.length === 0 || b.length === 0) return a.length - b.length
  const [x, y] = [codec.decode(a, type) as bigint, codec.decode(b, type) as bigint]
  return x < y ? -1 : x > y ? 1 : 0
}

const uuidTime = (uuid: Buffer): bigint =>
  (BigInt(uuid.readUInt16BE(6) & 0xfff) << 48n) | (BigInt(uuid.readUInt16BE(4)) << 32n) | BigInt(uuid.readUInt32BE(0))

const timeuuid: Comparator = (a, b) => {
  if (a.length < 16 || b.length < 16) return a.length - b.length
  const [x, y] = [uuidTime(a), uuidTime(b)]
  if (x !== y) return x < y ? -1 : 1
  // the rest is compared byte by byte, signed
  for (let i = 8; i < 16; i++) {
    const difference = a.readInt8(i) - b.readInt8(i)
    if (difference !== 0) return difference
  }
  return 0
}

const uuid: Comparator = (a, b) => {
  if (a.length < 16 || b.length < 16) return a.length - b.length
  const [x, y] = [a[6]! >> 4, b[6]! >> 4]
  if (x !== y) return x - y
  if (x !== 1) return Buffer.compare(a, b)
  const [t, u] = [uuidTime(a), uuidTime(b)]
  return t === u ? Buffer.compare(a, b) : t < u ? -1 : 1
}

/**
 * The order of a type's values; null for types whose order the simulation does not know.
 *
 * @internal
 */
export const comparatorOf = (type: CqlType): Comparator | null => {
  switch (type.code) {
    case dataTypes.int:
    case dataTypes.bigint:
    case dataTypes.smallint:
    case dataTypes.tinyint:
    case dataTypes.timestamp:
      return signed
    case dataTypes.varint:
      return decoded(type)
    case dataTypes.float:
      return floating((buffer) => buffer.readFloatBE(0))
    case dataTypes.double:
      return floating((buffer) => buffer.readDoubleBE(0))
    case dataTypes.uuid:
      return uuid
    case dataTypes.timeuuid:
      return timeuuid
    case dataTypes.ascii:
    case dataTypes.text:
    case dataTypes.varchar:
    case dataTypes.blob:
    case dataTypes.boolean:
    case dataTypes.date:
    case dataTypes.time:
    case dataTypes.inet:
      return Buffer.compare
    default:
      return null
  }
}

const sizes: Record<number, readonly [size: number, mayBeEmpty: boolean, name: string]> = {
  [dataTypes.int]: [4, true, "int"],
  [dataTypes.bigint]: [8, true, "long"],
  [dataTypes.timestamp]: [8, true, "long"],
  [dataTypes.smallint]: [2, false, "short"],
  [dataTypes.tinyint]: [1, false, "byte"],
  [dataTypes.float]: [4, true, "float"],
  [dataTypes.double]: [8, true, "double"],
  [dataTypes.boolean]: [1, true, "boolean"],
  [dataTypes.date]: [4, false, "date"],
  [dataTypes.time]: [8, false, "time"],
  [dataTypes.uuid]: [16, true, "uuid"],
  [dataTypes.timeuuid]: [16, true, "timeuuid"]
}

const utf8 = new TextDecoder("utf-8", { fatal: true })

/**
 * Refuses bytes that the server would refuse for this type. Parts of collections are looked at when they are read.
 *
 * @internal
 */
export const validate = (type: CqlType, bytes: Buffer): void => {
  const size = sizes[type.code]
  if (size !== undefined) {
    if (bytes.length === size[0] || (bytes.length === 0 && size[1])) return
    invalid(`Expected ${size[0]}${size[1] ? " or 0" : ""} byte ${size[2]} (${bytes.length})`)
  }
  if (type.code === dataTypes.varchar || type.code === dataTypes.text) {
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i]! < 0x80) continue
      try {
        utf8.decode(bytes)
      } catch {
        invalid("String didn't validate.")
      }
      return
    }
  }
}

/**
 * The parts of a set's (`width` 1) or map's (`width` 2) bytes.
 *
 * @internal
 */
export const collectionParts = (bytes: Buffer, width: 1 | 2): Array<Buffer> => {
  const parts: Array<Buffer> = []
  if (bytes.length < 4) return invalid("Unexpected end of a collection's bytes")
  const count = bytes.readInt32BE(0) * width
  let offset = 4
  for (let i = 0; i < count; i++) {
    const length = offset + 4 <= bytes.length ? bytes.readInt32BE(offset) : -1
    if (length < 0 || offset + 4 + length > bytes.length) return invalid("Null or cut value in a collection's bytes")
    parts.push(bytes.subarray(offset + 4, offset + 4 + length))
    offset += 4 + length
  }
  if (offset !== bytes.length) return invalid("Unexpected extraneous bytes after a collection's value")
  return parts
}

/**
 * The bytes of a set or map of these parts.
 *
 * @internal
 */
export const joinParts = (parts: ReadonlyArray<Buffer>, width: 1 | 2): Buffer => {
  const length = parts.reduce((sum, part) => sum + 4 + part.length, 4)
  const bytes = Buffer.allocUnsafe(length)
  let offset = bytes.writeInt32BE(parts.length / width, 0)
  for (const part of parts) {
    offset = bytes.writeInt32BE(part.length, offset)
    offset += part.copy(bytes, offset)
  }
  return bytes
}

const tokenizer = new (DriverTokenizer as {
  readonly Murmur3Tokenizer: new() => {
    readonly hash: (bytes: Buffer) => { readonly compare: (other: unknown) => number }
  }
}).Murmur3Tokenizer()

/**
 * The place of a partition in a scan.
 *
 * @internal
 */
export const tokenOf = (key: ReadonlyArray<Buffer>): { readonly compare: (other: unknown) => number } => {
  if (key.length === 1) return tokenizer.hash(key[0]!)
  const parts: Array<Buffer> = []
  for (const part of key) {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(part.length, 0)
    parts.push(length, part, Buffer.alloc(1))
  }
  return tokenizer.hash(Buffer.concat(parts))
}
