/**
 * Values to CQL wire bytes (protocol v4), one compiled function for each column.
 *
 * Taken are the natural JavaScript values of a type and the forms it has in JSON and CSV files. What a type does not
 * hold exactly is refused: nothing is rounded, cut or guessed.
 *
 * @since 0.1.0
 */
import { types } from "cassandra-driver"
import type { WireBuffer } from "../wire/WireBuffer.ts"
import { decimal, int, integer64, smallint, tinyint, varint } from "./internal/cqlIntegers.ts"
import { parseJson } from "./internal/cqlJson.ts"
import { join } from "./internal/cqlParts.ts"
import * as Scalars from "./internal/cqlScalars.ts"
import { date, duration, time, timestamp } from "./internal/cqlTime.ts"
import type { CqlType, UdtInfo } from "./internal/cqlType.ts"
import { driver, isVector, resolved } from "./internal/cqlType.ts"
import { CqlValueError, within } from "./internal/cqlValueError.ts"
import { writerOf } from "./internal/cqlWriters.ts"

export {
  /**
   * @category getters
   * @since 0.1.0
   */
  canonical
} from "./internal/cqlCanonical.ts"
export type { CqlType } from "./internal/cqlType.ts"
export {
  /**
   * @category getters
   * @since 0.1.0
   */
  resolved
} from "./internal/cqlType.ts"
export {
  /**
   * @category errors
   * @since 0.1.0
   */
  CqlValueError
} from "./internal/cqlValueError.ts"

type Encode = (value: unknown) => Buffer

const { dataTypes } = types
const scalars: Record<number, readonly [name: string, encode: Encode]> = {
  [dataTypes.ascii]: ["ascii", Scalars.ascii],
  [dataTypes.bigint]: ["bigint", integer64("bigint")],
  [dataTypes.blob]: ["blob", Scalars.blob],
  [dataTypes.boolean]: ["boolean", Scalars.boolean],
  [dataTypes.counter]: ["counter", integer64("counter")],
  [dataTypes.decimal]: ["decimal", decimal],
  [dataTypes.double]: ["double", Scalars.double],
  [dataTypes.float]: ["float", Scalars.float],
  [dataTypes.int]: ["int", int],
  [dataTypes.text]: ["text", Scalars.text],
  [dataTypes.timestamp]: ["timestamp", timestamp],
  [dataTypes.uuid]: ["uuid", Scalars.uuid],
  [dataTypes.varchar]: ["text", Scalars.text],
  [dataTypes.varint]: ["varint", varint],
  [dataTypes.timeuuid]: ["timeuuid", Scalars.timeuuid],
  [dataTypes.inet]: ["inet", Scalars.inet],
  [dataTypes.date]: ["date", date],
  [dataTypes.time]: ["time", time],
  [dataTypes.smallint]: ["smallint", smallint],
  [dataTypes.tinyint]: ["tinyint", tinyint],
  [dataTypes.duration]: ["duration", duration]
}

/**
 * The type as CQL writes it: `int`, `map<text, list<int>>`, `vector<float, 3>`. A user-defined type is its name, any
 * other custom type its class name in quotes. The metadata does not say what is frozen, so neither does this.
 *
 * @category getters
 * @since 0.1.0
 */
export const typeName = (unresolved: CqlType): string => {
  const type = resolved(unresolved)
  const scalar = scalars[type.code]
  if (scalar !== undefined) return scalar[0]
  if (isVector(type)) {
    const [element, dimension] = type.info as [CqlType, number]
    return `vector<${typeName(element)}, ${dimension}>`
  }
  switch (type.code) {
    case dataTypes.list:
      return `list<${typeName(type.info as CqlType)}>`
    case dataTypes.set:
      return `set<${typeName(type.info as CqlType)}>`
    case dataTypes.map:
      return `map<${(type.info as ReadonlyArray<CqlType>).map(typeName).join(", ")}>`
    case dataTypes.tuple:
      return `tuple<${(type.info as ReadonlyArray<CqlType>).map(typeName).join(", ")}>`
    case dataTypes.udt:
      return (type.info as UdtInfo).name
    default:
      return typeof type.info === "string" ? `'${type.info}'` : `type ${type.code}`
  }
}

/** JSON text becomes its value, everything else stays. */
const opened = (expected: string, open: string, value: unknown): unknown => {
  if (typeof value !== "string") return value
  if (!value.trimStart().startsWith(open)) throw new CqlValueError(expected, value, `it is no JSON text with ${open}`)
  const parsed = parseJson(value)
  if (parsed === undefined) throw new CqlValueError(expected, value, "it is no valid JSON")
  return parsed
}

const present = (encode: Encode, expected: string): Encode => (value) => {
  if (value === null || value === undefined) {
    throw new CqlValueError(expected, value, "a collection holds no null")
  }
  return encode(value)
}

const listEncoder = (name: string, element: CqlType): Encode => {
  const encode = present(encoder(element), typeName(element))
  const isSet = name.startsWith("set")
  return (value) => {
    const elements = opened(name, "[", value)
    const array = isSet && elements instanceof Set ? [...elements] : elements
    if (!Array.isArray(array)) {
      throw new CqlValueError(name, value, `give an array${isSet ? ", a Set" : ""} or JSON text of an array`)
    }
    const parts: Array<Buffer> = []
    for (let index = 0; index < array.length; index++) parts.push(within(index, encode, array[index]))
    return join(parts, parts.length)
  }
}

const isPlain = (value: unknown): value is Record<string, unknown> => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

const mapEncoder = (name: string, [key, element]: readonly [CqlType, CqlType]): Encode => {
  const encodeKey = present(encoder(key), typeName(key))
  const encodeElement = present(encoder(element), typeName(element))
  return (value) => {
    const map = opened(name, "{", value)
    const entries = map instanceof Map ? map : isPlain(map) ? Object.entries(map) : null
    if (entries === null) throw new CqlValueError(name, value, "give a Map, a plain object or JSON text of an object")
    const parts: Array<Buffer> = []
    for (const [entryKey, entry] of entries) {
      parts.push(within(`{key ${String(entryKey)}}`, encodeKey, entryKey))
      parts.push(within(`{${String(entryKey)}}`, encodeElement, entry))
    }
    return join(parts, parts.length / 2)
  }
}

const nullable = (encode: Encode) => (value: unknown): Buffer | null =>
  value === null || value === undefined ? null : encode(value)

const tupleEncoder = (name: string, elements: ReadonlyArray<CqlType>): Encode => {
  const encoders = elements.map((element) => nullable(encoder(element)))
  return (value) => {
    const parts = opened(name, "[", value instanceof types.Tuple ? value.elements : value)
    if (!Array.isArray(parts)) {
      throw new CqlValueError(name, value, "give an array, a driver Tuple or JSON text of an array")
    }
    if (parts.length !== encoders.length) {
      throw new CqlValueError(name, value, `it has ${parts.length} parts, the type has ${encoders.length}`)
    }
    return join(encoders.map((encode, index) => within(index, encode, parts[index])), null)
  }
}

const udtEncoder = (name: string, { fields }: UdtInfo): Encode => {
  const encoders = fields.map((field) => ({ name: field.name, encode: nullable(encoder(field.type)) }))
  const names = new Set(fields.map((field) => field.name))
  return (value) => {
    const object = opened(name, "{", value)
    if (
      typeof object !== "object" || object === null || Array.isArray(object) || object instanceof Map ||
      object instanceof Set || object instanceof Date || ArrayBuffer.isView(object)
    ) throw new CqlValueError(name, value, "give an object with the type's fields or JSON text of one")
    for (const key of Object.keys(object)) {
      if (!names.has(key)) {
        throw new CqlValueError(name, value, `the type has no field ${key}; it has ${[...names].join(", ")}`)
      }
    }
    return join(
      encoders.map(({ encode, name: field }) =>
        within(`.${field}`, encode, (object as Record<string, unknown>)[field])
      ),
      null
    )
  }
}

/** Cassandra's unsigned variable-length integer: as many leading ones as bytes follow the first. */
const vint = (value: number): Buffer => {
  let extra = 0
  while (extra < 4 && value >= 2 ** (7 * (extra + 1))) extra++
  const buffer = Buffer.alloc(extra + 1)
  buffer.writeUIntBE(value, 0, extra + 1)
  buffer[0]! |= (0xff << (8 - extra)) & 0xff
  return buffer
}

const vectorEncoder = (name: string, [element, dimension]: readonly [CqlType, number]): Encode => {
  const encode = present(encoder(element), typeName(element))
  const isFixed = driver.serializationSizeIfFixed(resolved(element)) >= 0
  return (value) => {
    // The driver's Vector says of a Float32Array, too, that it is an instance.
    const inner: unknown = value instanceof types.Vector && !ArrayBuffer.isView(value) ? value.elements : value
    const elements = inner instanceof Float32Array || inner instanceof Float64Array
      ? Array.from(inner)
      : opened(name, "[", inner)
    if (!Array.isArray(elements)) {
      throw new CqlValueError(name, value, "give an array, a Float32Array, a driver Vector or JSON text of an array")
    }
    if (elements.length !== dimension) {
      throw new CqlValueError(name, value, `it has ${elements.length} elements, the type has ${dimension}`)
    }
    const parts: Array<Buffer> = []
    for (let index = 0; index < dimension; index++) {
      const part = within(index, encode, elements[index])
      if (!isFixed) parts.push(vint(part.length))
      parts.push(part)
    }
    return Buffer.concat(parts)
  }
}

/** Types that only the driver knows (geometry, date ranges), and those that nobody here knows: bytes as they are. */
const customEncoder = (name: string, type: CqlType): Encode => (value) => {
  if (value instanceof Uint8Array || (typeof value === "string" && /^0x/i.test(value))) return Scalars.blob(value)
  try {
    const bytes = driver.encode(value, type)
    if (bytes !== null) return bytes
  } catch {
    // The message below says what would be taken.
  }
  throw new CqlValueError(name, value, "give its bytes, as a Buffer or as 0x and hex digits, or the driver's own value")
}

const compile = (type: CqlType): Encode => {
  const scalar = scalars[type.code]
  if (scalar !== undefined) return scalar[1]
  const name = typeName(type)
  if (isVector(type)) return vectorEncoder(name, type.info as [CqlType, number])
  switch (type.code) {
    case dataTypes.list:
    case dataTypes.set:
      return listEncoder(name, type.info as CqlType)
    case dataTypes.map:
      return mapEncoder(name, type.info as [CqlType, CqlType])
    case dataTypes.tuple:
      return tupleEncoder(name, type.info as ReadonlyArray<CqlType>)
    case dataTypes.udt:
      return udtEncoder(name, type.info as UdtInfo)
    default:
      return customEncoder(name, type)
  }
}

/**
 * The value that bytes stand for, as the driver gives it in rows.
 *
 * @category getters
 * @since 0.1.0
 */
export const decode = (type: CqlType, bytes: Buffer): unknown => driver.decode(bytes, resolved(type))

/**
 * The function from a value to its bytes for columns of `type`. Make it once for each column.
 *
 * It throws a `CqlValueError` for a value that the type does not hold. Null (a tombstone) and undefined (unset) have no
 * bytes and are the caller's; the function refuses them. The buffers it returns may share memory with the value (a blob,
 * a uuid of the driver), so neither is to be written into.
 *
 * - `tinyint`, `smallint`, `int`, `bigint`, `counter`, `varint`: a whole number up to 2^53, a bigint, digits, the
 *   driver's Long or Integer
 * - `float`, `double`: a finite number or numeric text; NaN and Infinity only as text
 * - `decimal`: a number (by its shortest text), a bigint, decimal text, the driver's BigDecimal, Integer or Long
 * - `text`, `ascii`: text; numbers, booleans and bigints become their JSON text
 * - `boolean`: true and false; text true/false, yes/no, y/n, t/f, 1/0 in any case
 * - `uuid`, `timeuuid`, `inet`: text or the driver's value; text of an IPv4-mapped IPv6 address is the IPv4 one, as in CQL
 * - `blob`: bytes, `0x` and hex digits, or base64
 * - `timestamp`: a Date, milliseconds as a whole number or digits, ISO 8601 or CQL text (UTC unless it has a zone)
 * - `date`: `2011-02-03`, a Date at midnight UTC, the driver's LocalDate
 * - `time`: `13:30:54.234`, nanoseconds as a whole number or digits, the driver's LocalTime
 * - `duration`: `1y2mo3d4h5m6s` or ISO 8601 text, the driver's Duration
 * - `list`, `set`, `vector`: an array (a Set, a Float32Array); `map`: a Map or a plain object; `tuple`: an array;
 *   a user-defined type: an object, whose missing fields are null; each of them also as JSON text
 *
 * A Buffer is refused by everything but blobs and unknown custom types.
 *
 * @category constructors
 * @since 0.1.0
 */
export const encoder = (type: CqlType): Encode => compile(resolved(type))

/**
 * `encoder` for plain loops over many rows: writes the value with its length into a buffer, most of them without one of
 * their own. It throws as `encoder` does, and then has written nothing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const writer = (type: CqlType): (value: unknown, out: WireBuffer) => void => {
  const meant = resolved(type)
  return writerOf(meant.code, compile(meant))
}
