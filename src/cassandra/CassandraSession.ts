/**
 * A session with a Cassandra cluster, as a service: statements, pages, batches, and a close that loses nothing.
 *
 * Nothing is repeated behind the caller's back: a request fails as soon as its node says so, and whether to repeat it is
 * decided with `Effect.retry` on `error.isRetryable` and `error.mayHaveBeenApplied`. (Only a lost connection moves a
 * request that is declared `idempotent`, or reads, on to the next node.) An interrupted request returns at once, but
 * cannot be called back: a write may still be applied.
 *
 * The service knows no class of the driver, so that a simulation can stand in for it.
 *
 * **Values.** Parameters are what `CqlValue` takes (a `Buffer` goes to the server as it is; `undefined` leaves a column
 * as it was; `null` deletes it). Rows have `bigint` for bigint, counter and varint, `Map` and `Set` for maps and sets,
 * `Date` for timestamp (a bigint of milliseconds for one that no `Date` holds), `Buffer` for blob, and the driver's value types for uuid, date, time, decimal, inet, duration,
 * tuple and vector.
 *
 * **Example** (A second session, for the checkpoints, on a cluster of its own)
 *
 * ```ts
 * import { Context, Layer } from "effect"
 * import * as CassandraSession from "effect-cassandra/cassandra/CassandraSession"
 *
 * class CheckpointSession extends Context.Service<CheckpointSession, CassandraSession.Session>()("app/CheckpointSession") {}
 *
 * const Sessions = Layer.merge(
 *   CassandraSession.layer({ contactPoints: ["10.0.0.1"] }),
 *   Layer.effect(CheckpointSession, CassandraSession.make({ contactPoints: ["10.1.0.1"] }))
 * )
 * ```
 *
 * @since 0.1.0
 */
import type { Client } from "cassandra-driver"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { CassandraSessionOptions, Consistency, SerialConsistency } from "./CassandraConfig.ts"
import type { CassandraError } from "./CassandraError.ts"
import type { EncodedRows } from "./EncodedRows.ts"
import * as Driver from "./internal/driverSession.ts"
import type { ReplicaSets } from "./ReplicaSets.ts"

/**
 * A row: column name to value. Names are lower case unless quoted in the statement.
 *
 * @category models
 * @since 0.1.0
 */
export type Row = Readonly<Record<string, unknown>>

/**
 * Values for the markers of a statement: in order, or by name for `:name` markers.
 *
 * @category models
 * @since 0.1.0
 */
export type Params = ReadonlyArray<unknown> | Readonly<Record<string, unknown>>

/**
 * What can be said about one request. What is left out comes from the session.
 *
 * @category options
 * @since 0.1.0
 */
export interface QueryOptions {
  /** Default: the session's, `LOCAL_QUORUM`. */
  readonly consistency?: Consistency | undefined
  /** Consistency of the condition. Default: the session's, `SERIAL`. */
  readonly serialConsistency?: SerialConsistency | undefined
  /** Rows per page. Default 5000. */
  readonly pageSize?: number | undefined
  /** `execute` only: continue behind the page that returned this state. Default: the first page. */
  readonly pageState?: string | undefined
  /** Write timestamp in microseconds since 1970, unless the statement has its own. Default: the client's clock. */
  readonly timestamp?: bigint | undefined
  /** How long to wait for one node. Default: the session's; less than a millisecond counts as one, infinite as 24 days. */
  readonly timeout?: Duration.Input | undefined
  /** That it may be sent again to another node when a connection is lost. Default: true for SELECT, else false. */
  readonly idempotent?: boolean | undefined
  /** Whether to make a span. Default true; false saves a few microseconds a request. */
  readonly trace?: boolean | undefined
}

/**
 * What can be said about a batch.
 *
 * @category options
 * @since 0.1.0
 */
export interface BatchOptions extends Omit<QueryOptions, "pageSize" | "pageState"> {
  /** Whether the batch log makes it all-or-nothing across partitions, at about twice the cost. Default false. */
  readonly logged?: boolean | undefined
}

/**
 * One statement of a batch.
 *
 * @category models
 * @since 0.1.0
 */
export interface BatchStatement {
  readonly cql: string
  readonly params: Params
}

/**
 * The answer to a statement.
 *
 * @category models
 * @since 0.1.0
 */
export interface QueryResult {
  /** One page. For a refused condition: the rows as they are. */
  readonly rows: ReadonlyArray<Row>
  /** Whether the condition held; null for a statement without one. */
  readonly applied: boolean | null
  /** The server's warnings (batch too large, tombstones), for humans. */
  readonly warnings: ReadonlyArray<string>
  /** Where the next page begins; null at the end. */
  readonly pageState: string | null
}

/**
 * What the server knows about a statement's markers.
 *
 * @category models
 * @since 0.1.0
 */
export interface PreparedStatement {
  readonly cql: string
  /** Null when the statement has no markers. */
  readonly keyspace: string | null
  /** Null when the statement has no markers. */
  readonly table: string | null
  /** The markers in order; the type as `CqlValue.encoder` takes it. */
  readonly params: ReadonlyArray<
    { readonly name: string; readonly type: { readonly code: number; readonly info?: unknown } }
  >
  /** Which markers make up the partition key, in its order; empty when not all of it is bound. */
  readonly partitionKeys: ReadonlyArray<number>
}

/**
 * A column. `type` is as CQL writes it; `position` counts within a partition or clustering key, and is -1 elsewhere.
 *
 * @category models
 * @since 0.1.0
 */
export interface ColumnInfo {
  readonly name: string
  readonly type: string
  readonly kind: "partition_key" | "clustering" | "regular" | "static"
  readonly position: number
}

/**
 * A table: partition key, then clustering columns, then the others by name.
 *
 * @category models
 * @since 0.1.0
 */
export interface TableInfo {
  readonly keyspace: string
  readonly name: string
  readonly columns: ReadonlyArray<ColumnInfo>
}

/**
 * The cluster as one of its nodes sees it.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClusterInfo {
  readonly clusterName: string
  readonly releaseVersion: string
  /** `address` is `host:port`. The first one is the node that answered. */
  readonly nodes: ReadonlyArray<{ readonly address: string; readonly dataCenter: string; readonly rack: string }>
}

/**
 * What a session does. Every operation may be used by many fibers at once; bound what is in flight, as the driver does
 * not queue (beyond 2048 requests per node they fail as `Busy`).
 *
 * @category models
 * @since 0.1.0
 */
export interface Session {
  /** The contact points, for messages. */
  readonly describe: string
  /** Keyspace of unqualified table names, null if none. */
  readonly keyspace: string | null
  /** All rows, fetched page after page. Prepared when `params` are given, sent as text otherwise. */
  readonly query: (
    cql: string,
    params?: Params,
    options?: Omit<QueryOptions, "pageState">
  ) => Effect.Effect<ReadonlyArray<Row>, CassandraError>
  /** One page with all that came with it. Prepared, except for plain text without `params`. */
  readonly execute: (
    statement: string | PreparedStatement,
    params?: Params,
    options?: QueryOptions
  ) => Effect.Effect<QueryResult, CassandraError>
  /** Rows as a stream, a chunk a page; a page is fetched when its rows are asked for, not before. */
  readonly stream: (
    cql: string,
    params?: Params,
    options?: Omit<QueryOptions, "pageState">
  ) => Stream.Stream<Row, CassandraError>
  /** Prepares a statement. The session remembers 500 of them by their text, so this is cheap the second time. */
  readonly prepare: (cql: string) => Effect.Effect<PreparedStatement, CassandraError>
  /** Several prepared writes in one request, conditional ones included. None at all succeed without a request. */
  readonly batch: (
    statements: ReadonlyArray<BatchStatement>,
    options?: BatchOptions
  ) => Effect.Effect<QueryResult, CassandraError>
  /**
   * Unlogged batches of rows that are encoded already, each a request, declared idempotent as each row has its timestamp.
   * All are of the same statement and are sent at once. Gives for each, in their order, null or why it failed. Without a
   * span. `EncodedRows.eachBatch` makes it of what sends one, for sessions that have no shorter way.
   */
  readonly batchesEncoded: (
    batches: ReadonlyArray<EncodedRows>,
    options?: Pick<QueryOptions, "consistency" | "timeout">
  ) => Effect.Effect<ReadonlyArray<CassandraError | null>>
  /**
   * Which rows of a keyspace lie on the same nodes of the own data centre; null where all nodes have all of them, or it is not
   * known. It follows the cluster, so it is to be asked anew for what is sent later. A session without it has its rows sent
   * wherever the first row of a batch belongs.
   */
  readonly replicaSets?: ((keyspace: string) => ReplicaSets | null) | undefined
  /** A table's columns, null if there is no such table. Names as stored: lower case unless created with quotes. */
  readonly table: (keyspace: string, table: string) => Effect.Effect<TableInfo | null, CassandraError>
  /** The nodes, asked anew each time. */
  readonly clusterInfo: Effect.Effect<ClusterInfo, CassandraError>
}

/**
 * The session with the cluster that holds the data.
 *
 * @category services
 * @since 0.1.0
 */
export class CassandraSession
  extends Context.Service<CassandraSession, Session>()("effect-cassandra/CassandraSession")
{}

/**
 * Opens a session that lives as long as the scope.
 *
 * **Details**
 *
 * It is open when a node has answered a query, within `connectTimeout`; otherwise this fails, most often with the reasons
 * `Connection`, `WrongDataCenter`, `Authentication`, `InvalidQuery` (no such keyspace) or `Config`. When the scope
 * closes, new requests fail as `SessionClosed`, those in flight have `drainTimeout` to finish, then connections are
 * closed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  options?: CassandraSessionOptions
) => Effect.Effect<Session, CassandraError, Scope.Scope> = Driver.make

/**
 * A session over a driver client of your own, which stays yours: it is connected if need be, and not shut down.
 *
 * **Gotchas**
 *
 * The client needs `encoding: { useBigIntAsLong: true, useBigIntAsVarint: true }`, else this fails with the reason
 * `Config`. Its retry policy is its own: the driver's default one repeats some requests.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromClient: (
  client: Client,
  options?: Pick<CassandraSessionOptions, "connectTimeout" | "drainTimeout" | "spanAttributes">
) => Effect.Effect<Session, CassandraError, Scope.Scope> = Driver.fromClient

/**
 * `make` as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: CassandraSessionOptions): Layer.Layer<CassandraSession, CassandraError> =>
  Layer.effect(CassandraSession, make(options))

/**
 * `make` as a layer, with options from the environment: `layerConfig(CassandraConfig.config)`, or one `Config` an option.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<CassandraSessionOptions>
): Layer.Layer<CassandraSession, CassandraError | Config.ConfigError> =>
  Layer.effect(CassandraSession, Effect.flatMap(Config.unwrap(options), make))
