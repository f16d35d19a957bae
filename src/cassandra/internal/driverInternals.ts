/**
 * The one place that reaches into `cassandra-driver` for what is not part of the driver's typed surface: its encoder, how
 * it reads the replication of keyspaces, and how it sends a request.
 */
import type { Client, QueryOptions } from "cassandra-driver"
import { types } from "cassandra-driver"
// @ts-expect-error: the driver ships no types for this file
import DriverEncoder from "cassandra-driver/lib/encoder.js"
// @ts-expect-error: the driver ships no types for this file
import DriverExecutionOptions from "cassandra-driver/lib/execution-options.js"
// @ts-expect-error: the driver ships no types for this file
import DriverRequestHandler from "cassandra-driver/lib/request-handler.js"

/** @internal */
export interface DriverType {
  readonly code: number
  readonly info?: unknown
  readonly customTypeName?: string | undefined
}

/**
 * What a server has told of a prepared statement.
 *
 * @internal
 */
export interface PreparedMeta {
  readonly columns: ReadonlyArray<
    { readonly name: string; readonly type: DriverType; readonly ksname?: string; readonly tablename?: string }
  >
  readonly partitionKeys?: ReadonlyArray<number>
  /** Set when all markers belong to one table. */
  readonly keyspace?: string
  readonly table?: string
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

/** What a Date holds. */
const dateMillisMax = 8_640_000_000_000_000n

const { decode } = DriverEncoder.prototype as {
  readonly decode: (this: DecodingEncoder, bytes: Buffer | null, type: DriverType) => unknown
}

interface DecodingEncoder {
  readonly encodingOptions: { readonly wholeTimestamps?: boolean }
}

// There is one of these encoders for each connection, and no option for what it makes of a timestamp. Those of other clients
// in the process do as they did: the mark is in the options of this project's alone.
DriverEncoder.prototype.decode = function(this: DecodingEncoder, bytes: Buffer | null, type: DriverType): unknown {
  if (
    type.code === types.dataTypes.timestamp && bytes?.length === 8 && this.encodingOptions.wholeTimestamps === true
  ) {
    const millis = bytes.readBigInt64BE()
    if (millis > dateMillisMax || millis < -dateMillisMax) return millis
  }
  return decode.call(this, bytes, type)
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
      readonly wholeTimestamps?: boolean
    }
  }
) => Encoder = DriverEncoder

/**
 * How values come out of rows: without loss. Of the driver's client also, which takes what it does not know as it is.
 *
 * - `wholeTimestamps`: a timestamp that a `Date` does not hold is a bigint of its milliseconds. The driver makes an
 *   invalid Date of it, which nobody can tell from another one.
 *
 * @internal
 */
export const encoding = {
  map: Map,
  set: Set,
  useBigIntAsLong: true,
  useBigIntAsVarint: true,
  wholeTimestamps: true
} as const

interface SchemaParser {
  _parseKeyspace?: (row: Record<string, unknown>, virtual?: boolean) => unknown
}

/**
 * Lets a client whose rows have a `Map` for a map know the replicas of its keyspaces.
 *
 * The driver reads `system_schema.keyspaces` with the same decoder as any row, and looks for `replication["class"]`, which
 * a `Map` does not have. It then takes the first replica of each partition for its only one, and sends all requests for
 * it there: for as long as that node stands still, they are not answered, and other replicas are not asked.
 *
 * @internal
 */
export const readReplication = (client: Client): Client => {
  const metadata = client.metadata as unknown as { _schemaParser: SchemaParser }
  const withObjects = (parser: SchemaParser): SchemaParser => {
    const parse = parser._parseKeyspace
    if (parse === undefined || Object.hasOwn(parser, "_parseKeyspace")) return parser
    parser._parseKeyspace = (row, virtual) => {
      const { replication } = row
      return parse.call(
        parser,
        replication instanceof Map ? { ...row, replication: Object.fromEntries(replication) } : row,
        virtual
      )
    }
    return parser
  }
  // The driver chooses another one when it knows the server's version.
  let parser = withObjects(metadata._schemaParser)
  Object.defineProperty(metadata, "_schemaParser", {
    get: () => parser,
    set: (next: SchemaParser) => {
      parser = withObjects(next)
    }
  })
  return client
}

/** @internal */
export interface DriverRequest {
  /** Bytes of the body; known when it was written. */
  length: number
  /** The frame. */
  readonly write: (encoder: { readonly protocolVersion: number }, streamId: number) => Buffer
  readonly clone: () => DriverRequest
}

/** @internal */
export interface DriverExecution {
  readonly getConsistency: () => number
  readonly getKeyspace: () => string | undefined
  readonly setKeyspace: (keyspace: string) => void
  readonly setRoutingIndexes: (indexes: ReadonlyArray<number>) => void
}

interface SendingClient {
  readonly keyspace?: string | null
  readonly metadata: {
    readonly getPreparedInfo: (
      keyspace: unknown,
      cql: string
    ) => { readonly queryId?: Buffer; readonly meta?: PreparedMeta }
  }
  readonly _getEncoder: () => {
    readonly setRoutingKeyFromMeta: (
      meta: PreparedMeta,
      params: ReadonlyArray<unknown>,
      execution: DriverExecution
    ) => void
  }
}

const sending = (client: Client): SendingClient => client as unknown as SendingClient

/**
 * What is known of a statement; no `queryId` if it was not prepared.
 *
 * @internal
 */
export const preparedInfo = (
  client: Client,
  cql: string
): { readonly queryId?: Buffer; readonly meta?: PreparedMeta } => {
  const { keyspace, metadata } = sending(client)
  return metadata.getPreparedInfo(keyspace, cql)
}

/**
 * Options of a request in the driver's own form, with the routing of a prepared statement's `params`.
 *
 * @internal
 */
export const makeExecution = (
  client: Client,
  options: QueryOptions,
  meta: PreparedMeta,
  params: () => ReadonlyArray<unknown>
): DriverExecution => {
  const execution: DriverExecution = DriverExecutionOptions.DefaultExecutionOptions.create(options, client)
  if (!execution.getKeyspace() && meta.keyspace !== undefined) execution.setKeyspace(meta.keyspace)
  if (meta.partitionKeys !== undefined && meta.partitionKeys.length > 0) {
    execution.setRoutingIndexes(meta.partitionKeys)
    sending(client)._getEncoder().setRoutingKeyFromMeta(meta, params(), execution)
  }
  return execution
}

/** @internal */
export const sendRequest = (
  client: Client,
  request: DriverRequest,
  execution: DriverExecution
): Promise<types.ResultSet> => DriverRequestHandler.send(request, execution, client)

/** The ring of the driver, and who has what of it. */
interface Ring {
  /** Ends of all ranges, in ascending order; the driver makes a new list when the ring changes. */
  readonly tokens: ReadonlyArray<{ readonly getValue: () => { readonly toString: () => string } }>
  /** What the driver knows of the keyspace; a new object when that changes. */
  readonly keyspace: object
  readonly localDataCenter: string | undefined
}

interface RingClient {
  readonly metadata: {
    readonly ring?: Ring["tokens"]
    readonly tokenizer?: { readonly constructor: { readonly name: string } }
    readonly keyspaces: Readonly<Record<string, object>>
  }
  readonly options: { readonly localDataCenter?: string }
}

/**
 * Null where the driver does not know the keyspace (yet), or where tokens are not those of the Murmur3Partitioner.
 *
 * @internal
 */
export const ringOf = (client: Client, keyspace: string): Ring | null => {
  const { metadata, options } = client as unknown as RingClient
  const { [keyspace]: found } = metadata.keyspaces
  if (metadata.ring === undefined || found === undefined) return null
  if (metadata.tokenizer?.constructor.name !== "Murmur3Tokenizer") return null
  return { tokens: metadata.ring, keyspace: found, localDataCenter: options.localDataCenter }
}
