/**
 * The driver's prepared statements: their metadata, which its typed surface does not show, and the binding of values by
 * it. Every value is encoded here, by the column's own type, before the driver sees it: the driver passes a Buffer
 * through, and its own encoder would cut a bigint that is too long or a fraction without a word.
 */
import type { Client } from "cassandra-driver"
import { types } from "cassandra-driver"
// @ts-expect-error: the driver ships no types for this file
import DriverPrepareHandler from "cassandra-driver/lib/prepare-handler.js"
import type { PreparedStatement } from "../CassandraSession.ts"
import { encoder, typeName } from "../CqlValue.ts"
import type { PreparedMeta } from "./driverInternals.ts"
import { preparedInfo } from "./driverInternals.ts"

interface DriverClient {
  readonly keyspace?: string | null
  readonly profileManager: { readonly getDefaultLoadBalancing: () => unknown }
}

const PrepareHandler: {
  readonly getPrepared: (
    client: unknown,
    loadBalancing: unknown,
    cql: string,
    keyspace: unknown
  ) => Promise<{ readonly meta: PreparedMeta }>
} = DriverPrepareHandler

const internals = (client: Client): DriverClient => client as unknown as DriverClient

/**
 * The metadata of a statement that is prepared already, undefined for any other.
 *
 * @internal
 */
export const preparedMeta = (client: Client, cql: string): PreparedMeta | undefined => {
  const info = preparedInfo(client, cql)
  return info.queryId === undefined ? undefined : info.meta
}

/**
 * Prepares a statement, or finds it prepared. The client must be connected.
 *
 * @internal
 */
export const getPrepared = (client: Client, cql: string): Promise<PreparedMeta> => {
  const driver = internals(client)
  return PrepareHandler.getPrepared(client, driver.profileManager.getDefaultLoadBalancing(), cql, driver.keyspace)
    .then(({ meta }) => meta)
}

/** @internal */
export const toPreparedStatement = (cql: string, meta: PreparedMeta): PreparedStatement => {
  const first = meta.columns[0]
  return {
    cql,
    keyspace: meta.keyspace ?? first?.ksname ?? null,
    table: meta.table ?? first?.tablename ?? null,
    params: meta.columns.map(({ name, type }) => ({ name, type: { code: type.code, info: type.info } })),
    partitionKeys: meta.partitionKeys ?? []
  }
}

/**
 * Values that do not fit their statement. It becomes the reason `Encode`.
 *
 * @internal
 */
export class BindError extends TypeError {
  readonly encode: { readonly column: string; readonly cqlType: string; readonly value: unknown } | undefined
  constructor(message: string, encode?: { column: string; cqlType: string; value: unknown }) {
    super(message)
    this.name = "TypeError"
    this.encode = encode
  }
}

type Params = ReadonlyArray<unknown> | Readonly<Record<string, unknown>>

/** Null, unset (also written `undefined`) and bytes go to the driver as they are. */
const isBound = (value: unknown): boolean =>
  value === null || value === undefined || value === types.unset || Buffer.isBuffer(value)

/**
 * Whether the driver can take these values without the statement's metadata.
 *
 * @internal
 */
export const areBound = (params: Params): params is ReadonlyArray<unknown> => {
  if (!Array.isArray(params)) return false
  for (let i = 0; i < params.length; i++) {
    if (!isBound(params[i])) return false
  }
  return true
}

const encoders = new WeakMap<PreparedMeta, ReadonlyArray<(value: unknown) => Buffer>>()

/**
 * The values in the order of the markers, encoded. Named values are found by the marker's exact name, else by its name
 * in other case. Throws a `BindError`.
 *
 * @internal
 */
export const bind = (meta: PreparedMeta, params: Params): Array<unknown> => {
  const values = Array.isArray(params)
    ? params as ReadonlyArray<unknown>
    : byName(meta, params as Record<string, unknown>)
  const misfit = arityError(meta, values)
  if (misfit !== undefined) throw misfit
  let encode = encoders.get(meta)
  if (encode === undefined) {
    encode = meta.columns.map((column) => encoder(column.type))
    encoders.set(meta, encode)
  }
  const bound: Array<unknown> = []
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    bound.push(isBound(value) ? value : encodeOne(encode[i]!, meta, i, value))
  }
  return bound
}

const encodeOne = (encode: (value: unknown) => Buffer, meta: PreparedMeta, index: number, value: unknown): Buffer => {
  try {
    return encode(value)
  } catch (cause) {
    const { name, type } = meta.columns[index]!
    throw new BindError(cause instanceof Error ? cause.message : String(cause), {
      column: name,
      cqlType: typeName(type),
      value
    })
  }
}

/**
 * The mistake, unless there is one value for each marker.
 *
 * @internal
 */
export const arityError = (meta: PreparedMeta, values: ReadonlyArray<unknown>): BindError | undefined =>
  values.length === meta.columns.length ? undefined : new BindError(
    `${values.length} value(s) given for ${meta.columns.length} marker(s): ${
      meta.columns.map(({ name }) => name).join(", ")
    }`
  )

const byName = (meta: PreparedMeta, params: Record<string, unknown>): ReadonlyArray<unknown> =>
  meta.columns.map(({ name, type }) => {
    if (Object.hasOwn(params, name)) return params[name]
    const key = Object.keys(params).find((candidate) => candidate.toLowerCase() === name)
    if (key === undefined) {
      throw new BindError(`no value given for the marker :${name}`, {
        column: name,
        cqlType: typeName(type),
        value: undefined
      })
    }
    return params[key]
  })
