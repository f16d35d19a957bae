/**
 * Records to CQL wire values, by the types of the prepared statement. Plain code for plain loops.
 *
 * @since 0.1.0
 */
import type { CqlType } from "../cassandra/CqlValue.ts"
import { CqlValueError, encoder, typeName } from "../cassandra/CqlValue.ts"
import { hashBytes, hashSeed } from "../wire/WireValues.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface RowEncoderOptions<A> {
  /**
   * The values of a record: an array in the order of the markers, or an object by their names. Default: the record
   * itself is that object.
   */
  readonly bind?: ((record: A) => ReadonlyArray<unknown> | { readonly [name: string]: unknown }) | undefined
  /** What `null` means: `tombstone` deletes the column, `unset` leaves it as it is. Default `tombstone`. */
  readonly nulls?: "tombstone" | "unset" | undefined
  /** What a missing field means: `error`, or `unset` as an `undefined` one always does. Default `error`. */
  readonly missing?: "error" | "unset" | undefined
}

/**
 * A marker to fill.
 *
 * @category models
 * @since 0.1.0
 */
export interface Param {
  readonly name: string
  readonly type: CqlType
  /** Part of the primary key: it may be neither null nor unset. */
  readonly isKey: boolean
}

/**
 * Why a record does not fit; the caller knows which record it was. Not an Error: none of it needs a stack.
 *
 * @category models
 * @since 0.1.0
 */
export class Misfit {
  readonly column: string
  readonly problem: string
  constructor(column: string, problem: string) {
    this.column = column
    this.problem = problem
  }
}

/**
 * @category models
 * @since 0.1.0
 */
export type Values = Array<Buffer | null | undefined>

const fieldNames = (record: object): string => {
  const names = Object.keys(record)
  return names.length === 0
    ? "it has no fields"
    : `it has ${names.slice(0, 12).join(", ")}${names.length > 12 ? ", ..." : ""}`
}

/**
 * Compiles the markers into one function. It throws a `Misfit`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A>(
  params: ReadonlyArray<Param>,
  options: RowEncoderOptions<A> = {}
): (record: A) => Values => {
  const encoders = params.map((param) => encoder(param.type))
  const nullIsUnset = options.nulls === "unset"
  const missingIsError = options.missing !== "unset"
  const bind = options.bind ?? ((record: A) => record as { readonly [name: string]: unknown })

  const encodeOne = (i: number, value: unknown): Buffer | null | undefined => {
    const param = params[i]!
    if (value === null || value === undefined) {
      if (param.isKey) throw new Misfit(param.name, "it is part of the primary key and has no value")
      return value === null && !nullIsUnset ? null : undefined
    }
    try {
      return encoders[i]!(value)
    } catch (error) {
      if (error instanceof CqlValueError) throw new Misfit(param.name, error.message)
      throw error
    }
  }

  return (record) => {
    const source = bind(record)
    const values: Values = Array.from({ length: params.length })
    if (Array.isArray(source)) {
      if (source.length !== params.length) {
        throw new Misfit(
          params[Math.min(source.length, params.length - 1)]!.name,
          `the statement has ${params.length} markers, the record gives ${source.length} values`
        )
      }
      for (let i = 0; i < params.length; i++) values[i] = encodeOne(i, source[i])
      return values
    }
    if (typeof source !== "object" || source === null) {
      throw new Misfit(
        params[0]?.name ?? "",
        `the record is ${typeof source}, not an object with a field for each marker`
      )
    }
    const fields = source as { readonly [name: string]: unknown }
    for (let i = 0; i < params.length; i++) {
      const { isKey, name } = params[i]!
      const value = fields[name]
      if (value === undefined && (missingIsError || isKey) && !Object.hasOwn(fields, name)) {
        throw new Misfit(name, `the record has no field '${name}' (${fieldNames(fields)})`)
      }
      values[i] = encodeOne(i, value)
    }
    return values
  }
}

/**
 * `WireValues.partitionHash` of values that are not yet in a frame.
 *
 * @category combinators
 * @since 0.1.0
 */
export const partitionHash = (
  values: ReadonlyArray<Buffer | null | undefined>,
  keys: ReadonlyArray<number>
): number => {
  let hash = hashSeed
  for (let i = 0; i < keys.length; i++) {
    const value = values[keys[i]!]
    if (value) hash = hashBytes(value, 0, value.length, hash)
  }
  return hash >>> 0
}

/**
 * @category combinators
 * @since 0.1.0
 */
export const describeParam = (param: Param): { readonly name: string; readonly type: string } => ({
  name: param.name,
  type: typeName(param.type)
})
