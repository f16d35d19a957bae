/**
 * Jobs on a real Cassandra, with faults put between the library and the server.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, FileSystem, Layer } from "effect"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import { CassandraError, Connection } from "../../src/cassandra/CassandraError.ts"
import type { BatchStatement, Session } from "../../src/cassandra/CassandraSession.ts"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import { eachBatch, toStatements } from "../../src/cassandra/EncodedRows.ts"
import type { CheckpointCommitter } from "../../src/checkpoint/CheckpointCommitter.ts"
import * as FileStateBackend from "../../src/state/FileStateBackend.ts"
import type { StateBackend } from "../../src/state/StateBackend.ts"

export const contactPoints = (process.env["CASSANDRA_CONTACT_POINTS"] ?? "127.0.0.1:9042").split(",")
export const localDataCenter = process.env["CASSANDRA_LOCAL_DC"] ?? "datacenter1"
export const keyspace = "effect_cassandra_test"
export const ledgerKeyspace = "effect_cassandra_ledger"

export const sessionLayer = CassandraSession.layer({ contactPoints, localDataCenter, keyspace: undefined })

let counter = 0
/** Names are new in each run, so that a server can be used again and again. */
export const fresh = (prefix: string) => `${prefix}_${Date.now().toString(36)}${process.pid.toString(36)}${counter++}`

export const makeKeyspace = Effect.flatMap(CassandraSession.CassandraSession, (session) =>
  session.query(
    `CREATE KEYSPACE IF NOT EXISTS ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`
  ))

export const makeTable = Effect.fnUntraced(function*(columns: string) {
  const session = yield* CassandraSession.CassandraSession
  const table = `${keyspace}.${fresh("t")}`
  yield* makeKeyspace
  yield* session.query(`CREATE TABLE ${table} (${columns})`)
  return table
})

/** What a test puts before the real session's batches of rows. Ledger batches are conditional and have no fault here. */
export interface Faults {
  /** Fails the request, or returns; called before it is sent. */
  before?: (statements: ReadonlyArray<BatchStatement>) => Effect.Effect<void, CassandraError>
  /** Called when it was applied; a failure here is a lost answer. */
  after?: (statements: ReadonlyArray<BatchStatement>) => Effect.Effect<void, CassandraError>
  /** Before each batch of the ledger. */
  beforeLedger?: (statements: ReadonlyArray<BatchStatement>) => Effect.Effect<void, CassandraError>
  afterLedger?: (statements: ReadonlyArray<BatchStatement>) => Effect.Effect<void, CassandraError>
  /** Each query of the ledger. */
  onQuery?: (cql: string) => void
  /** Fails a query before it is sent, or returns. */
  beforeQuery?: (cql: string) => Effect.Effect<void, CassandraError>
}

const isLedger = (statements: ReadonlyArray<BatchStatement>) => statements.some(({ cql }) => cql.includes(" IF "))

export const lostAnswer = new CassandraError({
  reason: new Connection({ cause: "test", operation: "batch", message: "the answer was lost", uncertain: true })
})

export const withFaults = (session: Session, faults: Faults): Session => ({
  ...session,
  query: (cql, params, options) => {
    faults.onQuery?.(cql)
    return Effect.andThen(faults.beforeQuery?.(cql) ?? Effect.void, session.query(cql, params, options))
  },
  batch: (statements, options) => {
    const ledger = isLedger(statements)
    const before = (ledger ? faults.beforeLedger : faults.before)?.(statements) ?? Effect.void
    const after = (ledger ? faults.afterLedger : faults.after)?.(statements) ?? Effect.void
    return Effect.andThen(before, Effect.tap(session.batch(statements, options), () => after))
  },
  batchesEncoded: eachBatch((rows, options) => {
    const statements = toStatements(rows)
    const before = faults.before?.(statements) ?? Effect.void
    const after = faults.after?.(statements) ?? Effect.void
    return Effect.andThen(
      before,
      Effect.flatMap(session.batchesEncoded([rows], options), ([failure]) => failure ? Effect.fail(failure) : after)
    )
  })
})

/** Everything a job needs, in a state directory of its own. */
export const services = (options: {
  readonly directory: string
  readonly jobId: string
  readonly uid?: string
  readonly faults?: Faults
  readonly backend?: (backend: StateBackend["Service"]) => StateBackend["Service"]
  readonly fileSystem?: (fs: FileSystem.FileSystem) => FileSystem.FileSystem
}): Layer.Layer<
  CassandraSession.CassandraSession | CheckpointCommitter | StateBackend,
  any,
  CassandraSession.CassandraSession | FileSystem.FileSystem
> => {
  const uid = options.uid ?? "sink"
  const session = Layer.effect(
    CassandraSession.CassandraSession,
    Effect.map(CassandraSession.CassandraSession, (session) => withFaults(session, options.faults ?? {}))
  )
  const fileSystem = Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) => options.fileSystem?.(fs) ?? fs)
  )
  return Layer.mergeAll(
    CassandraCommitter.layer({ jobId: options.jobId, uid, keyspace: ledgerKeyspace }),
    FileStateBackend.layer({ directory: options.directory, jobId: options.jobId, uid }).pipe(Layer.provide(fileSystem))
  ).pipe(Layer.provideMerge(session))
}

export const live = Layer.mergeAll(sessionLayer, NodeServices.layer)

export { tempDirectory } from "../testing/tempDirectory.ts"

/** Rows of a table by their int key, with the write time of one column. */
export const readTable = Effect.fnUntraced(function*(table: string, key: string, column: string) {
  const session = yield* CassandraSession.CassandraSession
  const rows = yield* session.query(`SELECT ${key}, ${column}, WRITETIME(${column}) AS wt FROM ${table}`)
  return new Map(rows.map((row) => [Number(row[key]), { value: row[column], writetime: Number(row["wt"]) }]))
})

export const readLedger = Effect.fnUntraced(function*(jobId: string, uid = "sink") {
  const session = yield* CassandraSession.CassandraSession
  const rows = yield* session.query(
    `SELECT sub_id, checkpoint_id FROM ${ledgerKeyspace}.checkpoints_${jobId} WHERE sink_id = ?`,
    [uid],
    { consistency: "SERIAL" }
  )
  return new Map(rows.map((row) => [Number(row["sub_id"]), Number(row["checkpoint_id"])]))
})
