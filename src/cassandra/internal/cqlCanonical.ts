/**
 * The same bytes for equal values: sets and maps may hold their elements in any order.
 */
import { types } from "cassandra-driver"
import { join, partsOf } from "./cqlParts.ts"
import type { CqlType, UdtInfo } from "./cqlType.ts"
import { resolved } from "./cqlType.ts"

const { dataTypes } = types

type Canonical = (bytes: Buffer) => Buffer

const canonicalSet = (element: Canonical): Canonical => (bytes) => {
  const parts = (partsOf(bytes, true) as Array<Buffer>).map(element).toSorted(Buffer.compare)
  const once = parts.filter((part, i) => i === 0 || !part.equals(parts[i - 1]!))
  return join(once, once.length)
}

const canonicalMap = (key: Canonical, value: Canonical): Canonical => (bytes) => {
  const parts = partsOf(bytes, true) as Array<Buffer>
  const entries = new Map<string, [Buffer, Buffer]>()
  for (let i = 0; i < parts.length; i += 2) {
    const keyBytes = key(parts[i]!)
    // The later of two wins, as in the server.
    entries.set(keyBytes.toString("latin1"), [keyBytes, value(parts[i + 1]!)])
  }
  const sorted = [...entries.values()].toSorted(([a], [b]) => Buffer.compare(a, b))
  return join(sorted.flat(), sorted.length)
}

const canonicalParts = (parts: ReadonlyArray<Canonical>, isList: boolean): Canonical => (bytes) => {
  const elements = partsOf(bytes, isList)
  return join(
    elements.map((element, i) => element === null ? null : parts[isList ? 0 : i]!(element)),
    isList ? elements.length : null
  )
}

/**
 * The function from a value's bytes to those that all equal values have: sets and maps, at any depth, in the order of
 * their bytes, each element once. Null for a type whose equal values have the same bytes already.
 *
 * @category getters
 * @since 0.1.0
 */
export const canonical = (unresolved: CqlType): Canonical | null => {
  const type = resolved(unresolved)
  const same: Canonical = (bytes) => bytes
  switch (type.code) {
    case dataTypes.set:
      return canonicalSet(canonical(type.info as CqlType) ?? same)
    case dataTypes.map: {
      const [key, value] = type.info as [CqlType, CqlType]
      return canonicalMap(canonical(key) ?? same, canonical(value) ?? same)
    }
    case dataTypes.list: {
      const element = canonical(type.info as CqlType)
      return element === null ? null : canonicalParts([element], true)
    }
    case dataTypes.tuple:
    case dataTypes.udt: {
      const types = type.code === dataTypes.tuple
        ? type.info as ReadonlyArray<CqlType>
        : (type.info as UdtInfo).fields.map((field) => field.type)
      const parts = types.map(canonical)
      return parts.every((part) => part === null) ? null : canonicalParts(parts.map((part) => part ?? same), false)
    }
    default:
      return null
  }
}
