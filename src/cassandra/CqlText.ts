/**
 * Wire values as JSON text, by the names of their types alone: what a log holds can be read without a cluster.
 *
 * The text of a value is one that `CqlValue.encoder` makes the same bytes of: integers and decimals are numbers with all
 * their digits, blobs `0x` and hex digits, maps objects, and times, uuids and addresses text. A user-defined type is only
 * known by its name, so its value is told as its bytes.
 *
 * @since 0.1.0
 */
import { types } from "cassandra-driver"
import type { CqlType } from "./CqlValue.ts"
import { decode } from "./CqlValue.ts"

const { dataTypes } = types

const scalars: { readonly [name: string]: number } = {
  ascii: dataTypes.ascii,
  bigint: dataTypes.bigint,
  blob: dataTypes.blob,
  boolean: dataTypes.boolean,
  counter: dataTypes.counter,
  date: dataTypes.date,
  decimal: dataTypes.decimal,
  double: dataTypes.double,
  duration: dataTypes.duration,
  float: dataTypes.float,
  inet: dataTypes.inet,
  int: dataTypes.int,
  smallint: dataTypes.smallint,
  text: dataTypes.text,
  time: dataTypes.time,
  timestamp: dataTypes.timestamp,
  timeuuid: dataTypes.timeuuid,
  tinyint: dataTypes.tinyint,
  uuid: dataTypes.uuid,
  varint: dataTypes.varint
}

/** The parts between the outermost brackets, at the commas that are in no others. */
const inner = (text: string): Array<string> => {
  const parts: Array<string> = []
  let depth = 0
  let from = 0
  for (let i = 0; i < text.length; i++) {
    const character = text[i]
    if (character === "<") depth++
    else if (character === ">") depth--
    else if (character === "," && depth === 0) {
      parts.push(text.slice(from, i).trim())
      from = i + 1
    }
  }
  parts.push(text.slice(from).trim())
  return parts
}

/** The type that `CqlValue.typeName` gave this name; bytes for one whose name does not tell it. */
const typeOf = (name: string): CqlType => {
  const scalar = Object.hasOwn(scalars, name) ? scalars[name] : undefined
  if (scalar !== undefined) return { code: scalar }
  const [, kind, inside] = /^(list|set|map|tuple|vector)<(.*)>$/s.exec(name) ?? []
  if (kind === undefined) return { code: dataTypes.blob }
  const parts = inner(inside!)
  switch (kind) {
    case "list":
    case "set":
      return { code: dataTypes[kind], info: typeOf(parts[0]!) }
    case "vector":
      return { code: dataTypes.custom, customTypeName: "vector", info: [typeOf(parts[0]!), Number(parts[1])] }
    default:
      return { code: dataTypes[kind as "map" | "tuple"], info: parts.map(typeOf) }
  }
}

/** Something of the driver's that is a number, and more exact than one of JavaScript's. */
const isNumeric = (value: object): boolean =>
  value instanceof types.BigDecimal || value instanceof types.Integer || value instanceof types.Long

const number = (value: number): string =>
  Number.isFinite(value) ? (Object.is(value, -0) ? "-0.0" : String(value)) : JSON.stringify(String(value))

const date = (value: Date): string =>
  Number.isNaN(value.getTime()) ? "\"Invalid Date\"" : JSON.stringify(value.toISOString())

const toJson = (value: unknown): string => {
  if (value === null || value === undefined) return "null"
  if (typeof value === "number") return number(value)
  if (typeof value === "bigint") return String(value)
  if (typeof value === "boolean" || typeof value === "string") return JSON.stringify(value)
  if (value instanceof Uint8Array) return `"0x${Buffer.from(value).toString("hex")}"`
  if (value instanceof Date) return date(value)
  if (value instanceof types.Tuple) return toJson(value.elements)
  if (value instanceof Map) {
    const entries = [...value].map(([key, entry]) => {
      const text = toJson(key)
      return `${text.startsWith("\"") ? text : JSON.stringify(text)}:${toJson(entry)}`
    })
    return `{${entries.join(",")}}`
  }
  if (Array.isArray(value) || value instanceof Set || value instanceof types.Vector) {
    return `[${Array.from(value as Iterable<unknown>, (element) => toJson(element)).join(",")}]`
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) {
    // What is not set is left out: null would delete.
    const fields = Object.entries(value as object).filter(([, field]) => field !== undefined)
    return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${toJson(field)}`).join(",")}}`
  }
  return isNumeric(value as object) ? String(value) : JSON.stringify(String(value))
}

/**
 * A value as it is given to an encoder, as JSON text of which an encoder makes the same bytes. What no encoder takes is
 * told as its text.
 *
 * @category combinators
 * @since 0.1.0
 */
export const ofValue = (value: unknown): string => {
  try {
    return toJson(value)
  } catch {
    return JSON.stringify(`(can't be told: ${Object.prototype.toString.call(value)})`)
  }
}

/**
 * The function from wire bytes to JSON text, for a type as `CqlValue.typeName` names it. Bytes that are no value of the
 * type are told as they are.
 *
 * @category constructors
 * @since 0.1.0
 */
export const toText = (typeName: string): (bytes: Buffer) => string => toTextOf(typeOf(typeName))

/**
 * The same for a type that is known whole, the fields of user-defined ones too.
 *
 * @category constructors
 * @since 0.1.0
 */
export const toTextOf = (type: CqlType): (bytes: Buffer) => string => (bytes) => {
  try {
    const value = decode(type, bytes)
    // The driver takes no bytes for null where the server has an empty value.
    return value === null ? `"0x${bytes.toString("hex")}"` : toJson(value)
  } catch {
    return `"0x${bytes.toString("hex")}"`
  }
}

/**
 * A name and how its values become text.
 *
 * @category models
 * @since 0.1.0
 */
export interface NamedText {
  /** In quotes. */
  readonly key: string
  /** JSON text of a value that is neither null nor unset. */
  readonly toText: (bytes: Buffer) => string
}

/**
 * Values as one JSON object, by the names in the same order. What is unset is left out.
 *
 * @category combinators
 * @since 0.1.0
 */
export const toObjectText = (
  names: ReadonlyArray<NamedText>,
  values: ReadonlyArray<Buffer | null | undefined>
): string => {
  const members: Array<string> = []
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (value === undefined) continue
    const { key, toText } = names[i]!
    members.push(`${key}:${value === null ? "null" : toText(value)}`)
  }
  return `{${members.join(",")}}`
}
