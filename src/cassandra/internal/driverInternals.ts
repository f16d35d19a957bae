/**
 * The one place that reaches into `cassandra-driver` for its encoder, which is not part of the driver's typed surface.
 */
// @ts-expect-error: the driver ships no types for this file
import DriverEncoder from "cassandra-driver/lib/encoder.js"

/** @internal */
export interface DriverType {
  readonly code: number
  readonly info?: unknown
  readonly customTypeName?: string | undefined
}

/** @internal */
export interface Encoder {
  /** A value of the driver's own kinds as wire bytes. Throws a TypeError on anything else. */
  readonly encode: (value: unknown, type: DriverType) => Buffer | null
  readonly decode: (bytes: Buffer | null, type: DriverType) => unknown
  /** The type of a server class name such as `org.apache.cassandra.db.marshal.VectorType(...)`. */
  readonly parseFqTypeName: (name: string) => DriverType
  /** Bytes of each value of the type, -1 if they vary. */
  readonly serializationSizeIfFixed: (type: DriverType) => number
}

/** @internal */
export const Encoder: new(
  protocolVersion: number,
  options: {
    readonly encoding?: {
      readonly map?: MapConstructor
      readonly set?: SetConstructor
      readonly useBigIntAsLong?: boolean
      readonly useBigIntAsVarint?: boolean
    }
  }
) => Encoder = DriverEncoder
