/**
 * The types of columns, as a server describes them to the driver.
 */
import { types } from "cassandra-driver"
import { Encoder, encoding } from "./driverInternals.ts"

/**
 * The type of a column or marker, as the driver's prepared metadata has it: `code` is one of the driver's
 * `types.dataTypes`, `info` the types inside, or the server's class name of a custom type.
 *
 * @category models
 * @since 0.1.0
 */
export interface CqlType {
  readonly code: number
  readonly info?: unknown
  readonly customTypeName?: string | undefined
}

/** What `info` is for a user-defined type. */
export interface UdtInfo {
  readonly keyspace: string
  readonly name: string
  readonly fields: ReadonlyArray<{ readonly name: string; readonly type: CqlType }>
}

const { dataTypes } = types

/** Knows the types that this library leaves to the driver, and decodes all of them. */
export const driver = new Encoder(4, { encoding })

const durationClass = "org.apache.cassandra.db.marshal.DurationType"
const vectorClass = "org.apache.cassandra.db.marshal.VectorType("

/**
 * The type that is meant: the prepared metadata gives vectors and durations by their class names.
 *
 * @category getters
 * @since 0.1.0
 */
export const resolved = (type: CqlType): CqlType => {
  if (type.code !== dataTypes.custom || typeof type.info !== "string") return type
  if (type.info === durationClass) return { code: dataTypes.duration }
  return type.info.startsWith(vectorClass) ? driver.parseFqTypeName(type.info) : type
}

/** Of a type that is resolved. */
export const isVector = (type: CqlType): boolean => type.code === dataTypes.custom && type.customTypeName === "vector"
