/**
 * Records to CQL wire values, by the types of the prepared statement. Plain code for plain loops.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type { CqlType } from "../cassandra/CqlValue.ts"
import * as CqlValue from "../cassandra/CqlValue.ts"
import { CqlValueError, typeName } from "../cassandra/CqlValue.ts"
import { WireBuffer } from "../wire/WireBuffer.ts"
import { hashBytes, hashSeed, valuesOf } from "../wire/WireValues.ts"
import * as RowSchema from "./RowSchema.ts"

/**
 * How a record becomes the values of a row.
 *
 * @category models
 * @since 0.1.0
 */
export interface RowEncoderOptions<A> {
  /**
   * The values of a record: an array in the order of the markers, or an object by their names. A record for which it throws
   * is refused as one that does not fit. Default: the record itself is that object.
   */
  readonly bind?: ((record: A) => ReadonlyArray<unknown> | { readonly [name: string]: unknown }) | undefined
  /**
   * Encodes what `bind` gives, or the record itself, to these values. It is compared with the statement when the sink
   * opens, and every mismatch is told. Default: the values are what `CqlValue` takes.
   */
  readonly schema?: RowSchema.RowSchema | undefined
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
  /** The row's write timestamp: it may be neither null nor unset. */
  readonly isTimestamp?: boolean | undefined
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
 * A function of the user's, as one that throws a `Misfit`: what it can't do with one record says nothing of the others.
 *
 * @category combinators
 * @since 0.1.0
 */
export const guarded = <A, B>(name: string, of: (record: A) => B): (record: A) => B => (record) => {
  try {
    return of(record)
  } catch (error) {
    throw error instanceof Misfit ? error : new Misfit("", `${name} threw ${String(error)}`)
  }
}

/**
 * The wire values of a row, in the order of the markers; `undefined` is unset.
 *
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
 * Compiles the markers into one function, which writes the values of a record one after another. It throws a `Misfit`;
 * what it has written by then is the caller's to take back.
 *
 * @category constructors
 * @since 0.1.0
 */
export const writer = <A>(
  params: ReadonlyArray<Param>,
  options: RowEncoderOptions<A> = {}
): (record: A, out: WireBuffer) => void => {
  const writers = params.map((param) => CqlValue.writer(param.type))
  const nullIsUnset = options.nulls === "unset"
  const missingIsError = options.missing !== "unset"
  const { schema } = options
  const bind = options.bind === undefined ? undefined : guarded("bind", options.bind)
  const encode = schema === undefined ? undefined : RowSchema.encoder(schema)

  const writeOne = (i: number, value: unknown, out: WireBuffer): void => {
    const param = params[i]!
    if (value === null || value === undefined) {
      if (param.isKey) throw new Misfit(param.name, "it is part of the primary key and has no value")
      if (param.isTimestamp) throw new Misfit(param.name, "it is the row's write timestamp and has no value")
      return out.writeValue(value === null && !nullIsUnset ? null : undefined)
    }
    try {
      writers[i]!(value, out)
    } catch (error) {
      if (error instanceof CqlValueError) throw new Misfit(param.name, error.message)
      throw error
    }
  }

  return (record, out) => {
    let source: unknown = bind === undefined ? record : bind(record)
    if (encode !== undefined) {
      const encoded = encode(source)
      if (Result.isFailure(encoded)) throw new Misfit(encoded.failure.field, encoded.failure.problem)
      source = encoded.success
    }
    if (Array.isArray(source)) {
      if (source.length !== params.length) {
        throw new Misfit(
          params[Math.min(source.length, params.length - 1)]!.name,
          `the statement has ${params.length} markers, the record gives ${source.length} values`
        )
      }
      for (let i = 0; i < params.length; i++) writeOne(i, source[i], out)
      return
    }
    if (typeof source !== "object" || source === null) {
      throw new Misfit(
        params[0]?.name ?? "",
        `the record is ${typeof source}, not an object with a field for each marker`
      )
    }
    const fields = source as { readonly [name: string]: unknown }
    for (let i = 0; i < params.length; i++) {
      const { isKey, isTimestamp, name } = params[i]!
      const value = fields[name]
      if (value === undefined && (missingIsError || isKey || isTimestamp) && !Object.hasOwn(fields, name)) {
        throw new Misfit(name, `the record has no field '${name}' (${fieldNames(fields)})`)
      }
      writeOne(i, value, out)
    }
  }
}

/**
 * The same as a function that gives the values, each a buffer of its own. It throws a `Misfit`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A>(
  params: ReadonlyArray<Param>,
  options: RowEncoderOptions<A> = {}
): (record: A) => Values => {
  const write = writer(params, options)
  return (record) => {
    const out = new WireBuffer(256)
    write(record, out)
    return valuesOf(out.bytes, 0, out.length)
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
 * A marker as the header of a segment names it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const describeParam = (param: Param): { readonly name: string; readonly type: string } => ({
  name: param.name,
  type: typeName(param.type)
})
