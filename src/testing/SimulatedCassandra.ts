/**
 * A Cassandra in memory, for tests that need a thousand runs, faults on demand and a clock that stands still.
 *
 * `cluster.session()` is a `Session` as the driver's is, so that everything that writes, reads and commits runs on it
 * unchanged. Modelled are cells with write timestamps, TTLs and tombstones and the server's own rules for ties,
 * sets and maps element by element, batches, conditional writes in one order per partition, replicas, consistency levels
 * and read repair. What is not modelled is refused, with `InvalidQuery` and "simulation does not support: ...": lists that
 * are not frozen, counters, static columns, user-defined types, functions, secondary indexes, IN, ALTER.
 *
 * Faults come from `onRequest`, a program, or from `faults`, a rate for each kind, drawn from `seed`: the same seed and
 * the same order of requests give the same run. Nothing takes time unless a fault or `delayMillisMax` says so, and then it
 * is time of Effect's `Clock`.
 *
 * **Example** (A write whose answer is lost)
 *
 * ```ts
 * import { Effect } from "effect"
 * import * as SimulatedCassandra from "effect-cassandra/testing/SimulatedCassandra"
 *
 * const program = Effect.gen(function*() {
 *   const cluster = SimulatedCassandra.makeCluster({
 *     onRequest: ({ index }) => index === 2 ? { _tag: "WriteTimeout", applied: "all" } : null
 *   })
 *   const session = cluster.session()
 *   yield* session.query("CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
 *   yield* session.query("CREATE TABLE k.t (id int PRIMARY KEY, body text)")
 *   const error = yield* Effect.flip(session.query("INSERT INTO k.t (id, body) VALUES (?, ?)", [1, "x"]))
 *   return [error.mayHaveBeenApplied, yield* cluster.rows("k.t")] // true, and the row
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Consistency } from "../cassandra/CassandraConfig.ts"
import type { Row, Session } from "../cassandra/CassandraSession.ts"
import { CassandraSession } from "../cassandra/CassandraSession.ts"
import type { BoundWrite } from "./internal/simulatedData.ts"
import { Data } from "./internal/simulatedData.ts"
import type { Fault, FaultRates, FaultTag, Landing, SimulatedRequest } from "./internal/simulatedFault.ts"
import { makeChance } from "./internal/simulatedFault.ts"
import { invalid } from "./internal/simulatedRefusal.ts"
import { Network, type Process } from "./internal/simulatedRequest.ts"
import type { Table } from "./internal/simulatedSchema.ts"
import { decodeColumn, liveRows } from "./internal/simulatedSelect.ts"
import { makeSession } from "./internal/simulatedSession.ts"
import { deletionOf, makePartition, mergeInto, type Partition } from "./internal/simulatedStorage.ts"
import { codec } from "./internal/simulatedType.ts"
import { type Value, valueOf } from "./internal/simulatedWrite.ts"

export type { Fault, FaultRates, FaultTag, Landing, SimulatedRequest }

/**
 * A row that a request carries. `values` has the bytes of the primary key and of every column that is set as a whole
 * (null deletes it; unset ones are missing); `row` are the same values decoded, each time it is asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface WrittenRow {
  /** The number of the session, from 0. */
  readonly session: number
  readonly keyspace: string
  readonly table: string
  readonly cql: string
  /** Microseconds since 1970. A conditional write gets another one when it is decided. */
  readonly timestamp: bigint
  readonly isConditional: boolean
  readonly values: ReadonlyMap<string, Buffer | null>
  readonly row: Row
}

/**
 * How large the cluster is, what its chance is drawn from, and what it does to requests.
 *
 * @category options
 * @since 0.1.0
 */
export interface ClusterOptions {
  /** Nodes. Default 1. How many of them have a row, its keyspace's replication says. */
  readonly replicas?: number | undefined
  /** Of all that is left to chance. Default 0. */
  readonly seed?: number | undefined
  /** Asked first, for each request: a fault, null for none, undefined to leave it to `faults`. Default: all are. */
  readonly onRequest?: ((request: SimulatedRequest) => Fault | null | undefined) | undefined
  /** Default: none. */
  readonly faults?: FaultRates | undefined
  /** The most that a drawn `Slow` waits, before it lands and again after, in milliseconds. Default 1000. */
  readonly slowMillisMax?: number | undefined
  /** The most turns of the scheduler that any request waits, twice, so that answers come in any order. Default 0. */
  readonly turnsMax?: number | undefined
  /** The same in virtual milliseconds. Default 0. */
  readonly delayMillisMax?: number | undefined
  /** With which probability a late write lands at each request that arrives. Default 1/8; 0: only at `flushLate`. */
  readonly lateChance?: number | undefined
  /** Virtual milliseconds since 1970 between which no node answers. Default: none. */
  readonly outages?: ReadonlyArray<{ readonly fromMillis: number; readonly toMillis: number }> | undefined
  /** Says why a row is refused whatever is tried, null if it is not: a batch with it fails as `InvalidQuery`. Default: none is. */
  readonly refuses?: ((row: WrittenRow) => string | null) | undefined
  /** Sees each row of each write as it is sent, before any fault; repeated with each attempt. Default: nobody does. */
  readonly onWrite?: ((row: WrittenRow) => void) | undefined
  /** Whether replicas that were asked together are made equal. Default true. */
  readonly readRepair?: boolean | undefined
  /** What makes a batch of several partitions too large, in bytes of its values. Default 50 KiB. */
  readonly batchBytesMax?: number | undefined
}

/**
 * What a session of the simulated cluster has by default.
 *
 * @category options
 * @since 0.1.0
 */
export interface SessionOptions {
  /** Of unqualified table names. Default: none. */
  readonly keyspace?: string | undefined
  /** Default `LOCAL_QUORUM`. */
  readonly consistency?: Consistency | undefined
  /** When a request that is not answered fails as `ClientTimeout`. Default 12 seconds. */
  readonly requestTimeout?: Duration.Input | undefined
}

/**
 * A row as all replicas together have it. `writetimes` has an entry for each column that is a single cell and has one.
 *
 * @category models
 * @since 0.1.0
 */
export interface InspectedRow {
  readonly row: Row
  readonly writetimes: ReadonlyMap<string, bigint>
}

/**
 * What one replica has stored of a row, deleted and expired things included. `deletion` is the newest timestamp at which
 * the row, its partition or a prefix was deleted, `marker` that of its INSERT. Elements of sets and maps are cells named
 * `column[hex]`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RawRow {
  readonly key: ReadonlyArray<Buffer>
  readonly clustering: ReadonlyArray<Buffer>
  readonly deletion: bigint | null
  readonly marker: bigint | null
  readonly cells: ReadonlyMap<
    string,
    { readonly value: Buffer | null; readonly timestamp: bigint; readonly expiresAtSeconds: number | null }
  >
}

/**
 * A cluster in memory, shared by all sessions of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cluster {
  /**
   * A process of its own, with its own prepared statements. Writes without a timestamp get one of the cluster's only
   * clock, conditional ones too: of two requests, the later one is newer.
   */
  readonly session: (options?: SessionOptions) => Session
  /** What it has under way lands or not, by chance; none of its requests is ever answered again. */
  readonly kill: (session: Session) => void
  /** All rows of `keyspace.table`, in the order of a scan. Empty for a table that does not exist. */
  readonly rows: (table: string) => Effect.Effect<ReadonlyArray<InspectedRow>>
  /** One replica's storage of `keyspace.table`. */
  readonly raw: (table: string, replica: number) => ReadonlyArray<RawRow>
  /** Lands all that is still on its way, in any order. Gives how many requests these were. */
  readonly flushLate: Effect.Effect<number>
  /** How many requests are still on their way though nobody waits for them. */
  readonly lateCount: () => number
  /** While true, no node answers. */
  readonly setOutage: (isDown: boolean) => void
  /** Requests so far, by kind. */
  readonly requests: ReadonlyMap<SimulatedRequest["kind"], number>
  /** What has happened so far, and how often: `WriteTimeout some`, `outage`, `late write landed`, ... */
  readonly coverage: ReadonlyMap<string, number>
}

/**
 * A cluster without keyspaces.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeCluster = (options: ClusterOptions = {}): Cluster => {
  const replicas = Math.max(1, options.replicas ?? 1)
  const chance = makeChance(options.seed ?? 0)
  const data = new Data(replicas, chance, options.readRepair ?? true)
  const network = new Network(data, chance, {
    onRequest: options.onRequest,
    rates: options.faults ?? {},
    slowMillisMax: options.slowMillisMax ?? 1000,
    turnsMax: options.turnsMax ?? 0,
    delayMillisMax: options.delayMillisMax ?? 0,
    lateChance: options.lateChance ?? 1 / 8,
    outages: options.outages ?? []
  })
  const processes = new Map<Session, Process>()
  const clusterInfo = {
    clusterName: "Simulated Cluster",
    releaseVersion: "5.0.5",
    nodes: Array.from({ length: replicas }, (_, index) => ({
      address: `simulated-${index}:9042`,
      dataCenter: "datacenter1",
      rack: "rack1"
    }))
  }
  const { onWrite, refuses } = options

  const tableOf = (name: string): Table | undefined => {
    const dot = name.indexOf(".")
    return data.schema.keyspaces.get(name.slice(0, dot))?.tables.get(name.slice(dot + 1))
  }

  return {
    session: (sessionOptions = {}) => {
      const process: Process = {
        index: processes.size,
        describe: clusterInfo.nodes.map(({ address }) => address).join(", "),
        timeoutMillis: Duration.toMillis(sessionOptions.requestTimeout ?? "12 seconds"),
        isKilled: false
      }
      const session = makeSession(data, network, process, {
        keyspace: sessionOptions.keyspace ?? null,
        consistency: sessionOptions.consistency ?? "LOCAL_QUORUM",
        batchBytesMax: options.batchBytesMax ?? 50 * 1024,
        clusterInfo,
        onWrite: onWrite === undefined && refuses === undefined ? undefined : (write, timestamp) => {
          const row = writtenRow(process.index, write, timestamp)
          onWrite?.(row)
          const why = refuses?.(row) ?? null
          if (why !== null) invalid(why)
        }
      })
      processes.set(session, process)
      return session
    },
    kill: (session) => {
      const process = processes.get(session)
      if (process !== undefined) process.isKilled = true
    },
    rows: (name) =>
      Effect.map(Clock.currentTimeMillis, (nowMillis) => {
        const table = tableOf(name)
        return table === undefined ? [] : inspect(data, table, Math.floor(nowMillis / 1000))
      }),
    raw: (name, replica) => {
      const table = tableOf(name)
      const partitions = table === undefined ? undefined : data.replicas[replica]?.get(table)
      return [...partitions?.values() ?? []].flatMap(rawRows)
    },
    flushLate: Effect.map(Clock.currentTimeMillis, (nowMillis) => network.flushLate(nowMillis)),
    lateCount: () => network.late.length,
    setOutage: (isDown) => {
      network.isDown = isDown
    },
    requests: network.requests,
    coverage: network.coverage
  }
}

const writtenRow = (session: number, { plan, values }: BoundWrite, timestamp: bigint): WrittenRow => {
  const { table } = plan
  const written = new Map<string, Buffer | null>()
  const set = (column: string, value: Value): void => {
    if (value !== undefined) written.set(column, value)
  }
  for (const [column, term] of plan.keys) set(column, valueOf(term, values))
  for (const operation of plan.operations) {
    if (operation.kind === "put") set(operation.column.name, valueOf(operation.term, values))
    if (operation.kind === "delete") set(operation.column.name, null)
  }
  return {
    session,
    keyspace: table.keyspace,
    table: table.name,
    cql: plan.cql,
    timestamp,
    isConditional: plan.condition !== null,
    values: written,
    get row() {
      return Object.fromEntries(
        [...written].map(([column, value]) => [
          column,
          value === null ? null : codec.decode(value, table.columns.get(column)!.type)
        ])
      )
    }
  }
}

const inspect = (data: Data, table: Table, nowSeconds: number): ReadonlyArray<InspectedRow> => {
  const merged = new Map<string, Partition>()
  for (const replica of data.replicas) {
    for (const [text, partition] of replica.get(table) ?? []) {
      const whole = merged.get(text) ?? makePartition(partition.key)
      mergeInto(whole, partition)
      merged.set(text, whole)
    }
  }
  const columns = [...table.columns.values()].filter(({ refused }) => refused === null)
  return liveRows(table, [...merged.values()], nowSeconds).map(({ partition, row }) => ({
    row: Object.fromEntries(columns.map((column) => [column.name, decodeColumn(column, partition, row)])),
    writetimes: new Map([...row.cells].map(([column, cell]) => [column, cell.timestamp]))
  }))
}

const rawRows = (partition: Partition): Array<RawRow> =>
  [...partition.rows.values()].map((row) => {
    const cells = new Map<string, { value: Buffer | null; timestamp: bigint; expiresAtSeconds: number | null }>()
    const add = (name: string, cell: { value: Buffer | null; timestamp: bigint; expiresAt: number }): void => {
      const { expiresAt, timestamp, value } = cell
      cells.set(name, { value, timestamp, expiresAtSeconds: expiresAt === 0 ? null : expiresAt })
    }
    for (const [column, cell] of row.cells) add(column, cell)
    for (const [column, complex] of row.complex ?? []) {
      for (const { cell, path } of complex.cells.values()) add(`${column}[${path.toString("hex")}]`, cell)
    }
    const { clustering, marker } = row
    const deletion = deletionOf(partition, row)
    return { key: partition.key, clustering, deletion, marker: marker?.timestamp ?? null, cells }
  })

/**
 * A session of `cluster` as the service.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (cluster: Cluster, options?: SessionOptions): Layer.Layer<CassandraSession> =>
  Layer.sync(CassandraSession, () => CassandraSession.of(cluster.session(options)))
