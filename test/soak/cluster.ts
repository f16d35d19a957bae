/**
 * Three real nodes behind fault proxies, and a way past the proxies for those who look on: the oracle, and a foreign
 * writer who has nothing to do with any job.
 */
import { Effect, Schedule } from "effect"
import type { Scope } from "effect"
import type { Session } from "../../src/cassandra/CassandraSession.ts"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import type { CassandraServerControls } from "../../src/testing/CassandraServer.ts"
import * as FaultProxy from "../../src/testing/FaultProxy.ts"

/** Of the partitions that the rows of a program are dealt to. */
export const buckets = 16

export const keyspace = "soak"
export const table = `${keyspace}.t`
export const ledgerKeyspace = "soak_ledger"
export const jobId = "soak"

export interface Row {
  readonly id: number
  readonly seq: number
  readonly rank: number
  readonly seqTime: number
  readonly rankTime: number
}

export interface Cluster {
  readonly server: CassandraServerControls
  readonly session: Session
  /** What clients that go through the proxies are given. */
  readonly contactPoints: ReadonlyArray<string>
  readonly network: Network
  /** All rows with this number of a program, at quorum. */
  readonly rows: (program: number) => Effect.Effect<ReadonlyArray<Row>>
  /** The rows of a job's ledger by their number, at serial consistency. Default job: that of all programs. */
  readonly ledger: (uid: string, job?: string) => Effect.Effect<ReadonlyMap<number, number>>
}

/** The proxies of all nodes. An outage is over whatever else is set, and leaves it as it was. */
export interface Network {
  readonly nodes: number
  readonly set: (node: number, faults: FaultProxy.Faults) => Effect.Effect<void>
  readonly cut: Effect.Effect<number>
  readonly outage: (isOut: boolean) => Effect.Effect<void>
}

const makeNetwork = (proxies: ReadonlyArray<FaultProxy.FaultProxy>): Network => {
  const current: Array<FaultProxy.Faults> = proxies.map(() => ({}))
  let isOut = false
  const cut = Effect.map(Effect.forEach(proxies, ({ reset }) => reset), (counts) => counts.reduce((a, b) => a + b, 0))
  const apply = (node: number) => Effect.orDie(proxies[node]!.set(isOut ? { refuse: true } : current[node]!))
  return {
    nodes: proxies.length,
    cut,
    set: (node, faults) =>
      Effect.suspend(() => {
        current[node] = faults
        return isOut ? Effect.void : apply(node)
      }),
    outage: (out) =>
      Effect.suspend(() => {
        if (isOut === out) return Effect.void
        isOut = out
        const all = Effect.forEach(proxies, (_, node) => apply(node), { discard: true })
        return out ? Effect.andThen(all, cut) : all
      })
  }
}

/** Whoever looks on has time: nodes die, and come back. */
export const patiently = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, never, R> =>
  self.pipe(Effect.retry({ times: 600, schedule: Schedule.spaced("200 millis") }), Effect.orDie)

export const makeCluster = Effect.fnUntraced(function*(
  server: CassandraServerControls
): Effect.fn.Return<Cluster, never, Scope.Scope> {
  const proxies = yield* Effect.orDie(FaultProxy.ofServer(server))
  const session = yield* patiently(CassandraSession.make({
    contactPoints: server.contactPoints,
    localDataCenter: server.localDataCenter,
    requestTimeout: "5 seconds",
    drainTimeout: 0,
    reconnection: { initial: "100 millis", max: "1 second" },
    driverOptions: FaultProxy.bypass(server)
  }))
  const make = (cql: string) => patiently(session.query(cql))
  const replication = "{'class': 'SimpleStrategy', 'replication_factor': 3}"
  yield* make(`CREATE KEYSPACE IF NOT EXISTS ${keyspace} WITH replication = ${replication}`)
  yield* make(
    `CREATE TABLE IF NOT EXISTS ${table} (program int, bucket int, id int, seq int, rank int, ` +
      `PRIMARY KEY ((program, bucket), id))`
  )
  const all = Array.from({ length: buckets }, (_, i) => i).join(", ")
  const select = `SELECT id, seq, rank, WRITETIME(seq) AS st, WRITETIME(rank) AS rt FROM ${table} ` +
    `WHERE program = ? AND bucket IN (${all})`
  return {
    server,
    session,
    contactPoints: proxies.map(({ address }) => address),
    network: makeNetwork(proxies),
    rows: (program) =>
      Effect.map(patiently(session.query(select, [program], { consistency: "QUORUM" })), (rows) =>
        rows.map((row) => ({
          id: Number(row["id"]),
          seq: Number(row["seq"]),
          rank: Number(row["rank"]),
          seqTime: Number(row["st"]),
          rankTime: Number(row["rt"])
        }))),
    ledger: (uid, job = jobId) =>
      session.query(
        `SELECT sub_id, checkpoint_id FROM ${ledgerKeyspace}.checkpoints_${job} WHERE sink_id = ?`,
        [uid],
        { consistency: "SERIAL" }
      ).pipe(
        // The first job of all makes the table.
        Effect.catchIf(({ reason }) => reason._tag === "InvalidQuery", () => Effect.succeed([])),
        Effect.map((rows) => new Map(rows.map((row) => [Number(row["sub_id"]), Number(row["checkpoint_id"])]))),
        patiently
      )
  }
})
