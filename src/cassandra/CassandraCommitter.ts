/**
 * The ledger of a job in a Cassandra table. Flink: `CassandraCommitter`, whose table this is:
 *
 *     {keyspace}.checkpoints_{jobId} (sink_id text, sub_id int, checkpoint_id bigint, PRIMARY KEY (sink_id, sub_id))
 *
 * One row a subtask (`sub_id` 0 and up) holds the checkpoint up to which everything is in. Five rows with negative
 * `sub_id` hold what makes it safe: -1 the epoch, -2 the newest published checkpoint, -3 the greatest write timestamp
 * published, -4 a random number that tells whose claim the epoch is, -5 the epoch that published last. Where another job has
 * gone on from a savepoint of this one, rows from -6 down hold its name; and the least row that there can be holds what tells
 * this ledger from any other (`internal/ledgerRows`). All rows of a sink share a partition, so one conditional batch checks the
 * epoch and moves the ledger; they are only ever written by conditional batches and read at serial consistency. A batch that is
 * refused changes nothing.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Claim, Commit, Heir } from "../checkpoint/CheckpointCommitter.ts"
import { CheckpointCommitter, CommitterError, Fenced } from "../checkpoint/CheckpointCommitter.ts"
import type { Consistency, SerialConsistency } from "./CassandraConfig.ts"
import type { CassandraError } from "./CassandraError.ts"
import type { BatchStatement, Session } from "./CassandraSession.ts"
import { CassandraSession } from "./CassandraSession.ts"
import type { Ledger, Rows } from "./internal/ledgerRows.ts"
import {
  epochRow,
  heirFromRows,
  heirToRows,
  identityRow,
  nameRow,
  newerOf,
  ownerRow,
  publishedEpochRow,
  publishedRow,
  timestampRow,
  toClaim,
  toLedger,
  toRows
} from "./internal/ledgerRows.ts"
import {
  checkNames,
  CommitterOptionError,
  createKeyspace,
  createOwnTable,
  defaultKeyspace,
  warnAboutOneCopy
} from "./internal/ownTable.ts"
import * as TakenOver from "./internal/takenOver.ts"
import { untilHeardOf } from "./SchemaLag.ts"

export type { Ledger } from "./internal/ledgerRows.ts"
export {
  /**
   * @category errors
   * @since 0.1.0
   */
  CommitterOptionError,
  /**
   * @category constants
   * @since 0.1.0
   */
  defaultKeyspace
} from "./internal/ownTable.ts"

/**
 * Whose ledger it is, where it is kept, and how it is made and written.
 *
 * @category models
 * @since 0.1.0
 */
export interface CassandraCommitterOptions {
  /** Stable over redeployments. Lower case letters, digits and `_`, at most 36 of them: it is part of a table's name. */
  readonly jobId: string
  /** The sink's name in the job, stable over redeployments. Any text that is not empty. */
  readonly uid: string
  /** Default `flink_auxiliary`. */
  readonly keyspace?: string | undefined
  /** For `CREATE KEYSPACE`. Default `{ class: "SimpleStrategy", replication_factor: 1 }`; use 3 on a real cluster. */
  readonly replication?: { readonly [option: string]: string | number } | undefined
  /** Make keyspace and table when they are missing. Default true. */
  readonly create?: boolean | undefined
  /** Of the ledger's writes. Default: the session's. */
  readonly consistency?: Consistency | undefined
  /** Of conditions and reads. Default `SERIAL`; `LOCAL_SERIAL` if every process of the job is in one data centre. */
  readonly serialConsistency?: SerialConsistency | undefined
}

const check = (options: CassandraCommitterOptions): CommitterOptionError | null => {
  const { jobId, uid } = options
  const suggestion = jobId.toLowerCase().replace(/[^a-z0-9_]+/g, "_").slice(0, 36)
  if (!/^[a-z0-9_]{1,36}$/.test(jobId)) {
    return new CommitterOptionError({
      option: "The job id",
      value: jobId,
      rule: `it becomes part of a table's name: 1 to 36 lower case letters, digits and underscores` +
        (suggestion === "" ? "" : `, for example ${suggestion}`)
    })
  }
  if (uid === "") {
    return new CommitterOptionError({ option: "The uid", value: uid, rule: "it must not be empty" })
  }
  return checkNames(options)
}

/**
 * The statements that make keyspace and table, for an operator who makes them by hand.
 *
 * @category combinators
 * @since 0.1.0
 */
export const ddl = (options: CassandraCommitterOptions): readonly [createKeyspace: string, createTable: string] => [
  createKeyspace(options),
  `CREATE TABLE IF NOT EXISTS ${options.keyspace ?? defaultKeyspace}.checkpoints_${options.jobId} ` +
  `(sink_id text, sub_id int, checkpoint_id bigint, PRIMARY KEY (sink_id, sub_id))`
]

const selectRows = (table: string) => `SELECT sub_id, checkpoint_id FROM ${table} WHERE sink_id = ?`

/**
 * Reads the ledger as it is. Nothing is claimed and nothing is made; where there is no table, its epoch is null.
 *
 * @category getters
 * @since 0.1.0
 */
export const readLedger = Effect.fnUntraced(function*(
  session: Session,
  options: Pick<CassandraCommitterOptions, "jobId" | "uid" | "keyspace" | "serialConsistency">
): Effect.fn.Return<Ledger, CommitterError | CommitterOptionError> {
  const invalid = check(options)
  if (invalid !== null) return yield* invalid
  const keyspace = options.keyspace ?? defaultKeyspace
  const name = `checkpoints_${options.jobId}`
  const describe = `${keyspace}.${name} at ${session.describe}`
  const found = yield* Effect.gen(function*() {
    if ((yield* session.table(keyspace, name)) === null) return []
    return yield* session.query(selectRows(`${keyspace}.${name}`), [options.uid], {
      consistency: options.serialConsistency ?? "SERIAL"
    })
  }).pipe(Effect.mapError((cause) =>
    new CommitterError({
      ledger: describe,
      operation: "read the ledger",
      detail: cause.message,
      isRetryable: cause.isRetryable,
      cause
    })
  ))
  return toLedger(describe, toRows(found))
})

/**
 * A committer over `session`, which may be of another cluster than the data's. The cache is cleared when the Scope
 * closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  session: Session,
  options: CassandraCommitterOptions
): Effect.Effect<CheckpointCommitter["Service"], CommitterError | CommitterOptionError, Scope.Scope> =>
  makeFor(session, options, null)

/** With its claims it records that `heir` has taken the job over, if one is given. */
const makeFor = Effect.fnUntraced(function*(
  session: Session,
  options: CassandraCommitterOptions,
  heir: Heir | null
): Effect.fn.Return<CheckpointCommitter["Service"], CommitterError | CommitterOptionError, Scope.Scope> {
  const invalid = check(options)
  if (invalid !== null) return yield* invalid
  const { jobId, uid } = options
  const keyspace = options.keyspace ?? defaultKeyspace
  const table = `${keyspace}.checkpoints_${jobId}`
  const describe = `${table} at ${session.describe}`
  const serialConsistency = options.serialConsistency ?? "SERIAL"
  const writeOptions = { consistency: options.consistency, serialConsistency, idempotent: false }

  const failed = (operation: string) => (error: CassandraError) =>
    new CommitterError({
      ledger: describe,
      operation,
      detail: error.message,
      isRetryable: error.isRetryable,
      cause: error
    })

  // --- the table

  const createResource = createOwnTable(session, keyspace, `checkpoints_${jobId}`, ddl(options)).pipe(
    Effect.mapError(failed("create the table"))
  )

  // --- reading and writing

  // Who makes his table by hand, and has not, wants to know at once.
  const onTable: typeof untilHeardOf = options.create === false ? Function.identity : untilHeardOf
  const select = selectRows(table)
  const insert = `INSERT INTO ${table} (sink_id, sub_id, checkpoint_id) VALUES (?, ?, ?) IF NOT EXISTS`
  const advance = `UPDATE ${table} SET checkpoint_id = ? WHERE sink_id = ? AND sub_id = ? IF checkpoint_id < ?`
  const replace = `UPDATE ${table} SET checkpoint_id = ? WHERE sink_id = ? AND sub_id = ? IF checkpoint_id = ?`
  const set = `UPDATE ${table} SET checkpoint_id = ? WHERE sink_id = ? AND sub_id = ?`

  /** So that a start does not wait for one after another. Who needs a statement before it is prepared prepares it. */
  const prepareAll = Effect.ignore(Effect.forEach([select, insert, advance, replace, set], session.prepare, {
    concurrency: "unbounded",
    discard: true
  }))

  const cache = yield* Ref.make<Rows | null>(null)
  const filling = yield* Semaphore.make(1)
  yield* Effect.addFinalizer(() => Ref.set(cache, null))
  let epoch = 0
  /** Tells this committer's claims from those of others; every claim of it writes the same. */
  const token = yield* Random.nextIntBetween(1, Number.MAX_SAFE_INTEGER)

  /** Nothing in a ledger goes back: what a read that was overtaken brings late is older, and must not be taken for news. */
  const remember = (rows: Rows) => Ref.update(cache, (known) => known === null ? rows : newerOf(known, rows))

  const read: Effect.Effect<Rows, CommitterError> = session.query(select, [uid], {
    consistency: serialConsistency
  }).pipe(
    onTable,
    Effect.map(toRows),
    Effect.tap(remember),
    Effect.mapError(failed("read the ledger"))
  )

  const cached: Effect.Effect<Rows, CommitterError> = Semaphore.withPermits(filling, 1)(
    Effect.flatMap(Ref.get(cache), (rows) => rows === null ? read : Effect.succeed(rows))
  )

  const batch = (statements: ReadonlyArray<BatchStatement>) => onTable(session.batch(statements, writeOptions))

  const setRow = (row: number, value: number): BatchStatement => ({ cql: set, params: [BigInt(value), uid, row] })

  const raise = (rows: Rows, row: number, value: number): BatchStatement =>
    rows.has(row)
      ? { cql: advance, params: [BigInt(value), uid, row, BigInt(value)] }
      : { cql: insert, params: [uid, row, BigInt(value)] }

  /**
   * Raises rows under the own epoch. What is as high already is left out: a batch whose answer was lost is repeated, and
   * must not be refused because of itself.
   */
  const raiseAll = Effect.fnUntraced(function*(
    operation: string,
    wanted: ReadonlyArray<readonly [row: number, value: number]>
  ): Effect.fn.Return<void, CommitterError | Fenced> {
    let rows = yield* cached
    while (true) {
      // Also where nothing is due: `checkEpoch` reads the rows of a successor, which are as high.
      const currentEpoch = rows.get(epochRow) ?? null
      if (currentEpoch !== epoch) return yield* new Fenced({ ledger: describe, epoch, currentEpoch })
      const due = wanted.filter(([row, value]) => (rows.get(row) ?? Number.NEGATIVE_INFINITY) < value)
      if (due.length === 0) return
      const { applied } = yield* batch([
        { cql: replace, params: [BigInt(epoch), uid, epochRow, BigInt(epoch)] },
        ...due.map(([row, value]) => raise(rows, row, value))
      ]).pipe(Effect.mapError(failed(operation)))
      if (applied === true) {
        return yield* remember(new Map([...rows, ...due]))
      }
      rows = yield* read
    }
  })

  const claimEpoch = Effect.fnUntraced(function*(
    previous: number | null,
    above = 0
  ): Effect.fn.Return<Claim, CommitterError | Fenced> {
    // The answer to a claim may be lost: then it is in the table, with the token that tells whose it is, and is newer
    // than any that this committer knows of.
    const isOwn = (rows: Rows) =>
      rows.get(ownerRow) === token && (rows.get(epochRow) ?? 0) > Math.max(previous ?? 0, epoch)
    let rows = yield* read
    while (!isOwn(rows)) {
      const current = rows.get(epochRow) ?? null
      if (previous !== null && current !== previous && rows.get(ownerRow) !== token) {
        return yield* new Fenced({ ledger: describe, epoch: previous, currentEpoch: current })
      }
      const next = BigInt(Math.max(current ?? 0, above) + 1)
      yield* batch([
        current === null
          ? { cql: insert, params: [uid, epochRow, next] }
          : { cql: replace, params: [next, uid, epochRow, BigInt(current)] },
        setRow(ownerRow, token),
        ...rows.has(identityRow) ? [] : [setRow(identityRow, token)],
        ...heir === null ? [] : heirToRows(heir).map(([row, value]) => setRow(row, value))
      ]).pipe(
        Effect.mapError(failed("claim the job")),
        Effect.catchIf((error) => error.isRetryable, (error) =>
          // Only when it is known what became of it may the claim be tried again.
          Effect.flatMap(read, (now) => isOwn(now) ? Effect.void : Effect.fail(error)))
      )
      rows = yield* read
    }
    epoch = rows.get(epochRow)!
    // Not only remembered: a ledger that was lost has begun anew.
    yield* Ref.set(cache, rows)
    return toClaim(rows)
  })

  const checkEpoch = Effect.flatMap(read, (rows) => {
    const currentEpoch = rows.get(epochRow) ?? null
    return currentEpoch === epoch ? Effect.void : Effect.fail(new Fenced({ ledger: describe, epoch, currentEpoch }))
  })

  const comeBack = Effect.fnUntraced(function*(
    maxTimestamp: number
  ): Effect.fn.Return<void, CommitterError | Fenced> {
    while (true) {
      const rows = yield* read
      if (heirFromRows(rows) === null) return
      // Before the entry goes, which led to ledgers that have it.
      yield* raiseAll("raise the write timestamp", [[timestampRow, maxTimestamp]])
      const held = BigInt(epoch)
      yield* batch([
        { cql: replace, params: [held, uid, epochRow, held] },
        setRow(nameRow, 0)
      ]).pipe(Effect.mapError(failed("take the job back")))
    }
  })

  const { supersede, takenOverBy } = TakenOver.make({
    own: { jobId, uid },
    checkEpoch,
    comeBack,
    ledgerOf: (job) =>
      // Of a name that no table can have, there is none.
      Effect.catchTag(readLedger(session, { ...options, ...job }), "CommitterOptionError", () => Effect.succeed(null)),
    claim: (job, found, heir) =>
      Effect.scoped(Effect.flatMap(
        makeFor(session, { ...options, ...job, create: false }, heir),
        (other) => other.claimEpoch(found)
      )).pipe(Effect.catchTag("CommitterOptionError", Effect.die))
  })

  const commitCheckpoints = (commits: ReadonlyArray<Commit>) =>
    raiseAll("record the commit", commits.map(({ checkpointId, subtask }) => [subtask, checkpointId] as const))

  if (options.create !== false) yield* createResource
  yield* Effect.forkScoped(Effect.andThen(prepareAll, warnAboutOneCopy(session, keyspace)))

  return CheckpointCommitter.of({
    describe,
    createResource,
    claimEpoch,
    supersede,
    takenOverBy,
    current: Effect.map(read, toClaim),
    checkEpoch,
    publishCheckpoint: (checkpointId, maxTimestamp) =>
      raiseAll("publish the checkpoint", [
        [publishedRow, checkpointId],
        [timestampRow, maxTimestamp],
        [publishedEpochRow, epoch]
      ]),
    commitCheckpoint: (subtask, checkpointId) => commitCheckpoints([{ subtask, checkpointId }]),
    commitCheckpoints,
    isCheckpointCommitted: (subtask, checkpointId) =>
      Effect.map(cached, (rows) => checkpointId <= (rows.get(subtask) ?? 0))
  })
})

/**
 * The ledger in the cluster of the ambient `CassandraSession`. For a checkpoint cluster of its own, provide this layer
 * with a session layer of that cluster.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: CassandraCommitterOptions
): Layer.Layer<CheckpointCommitter, CommitterError | CommitterOptionError, CassandraSession> =>
  Layer.effect(CheckpointCommitter, Effect.flatMap(CassandraSession, (session) => make(session, options)))
