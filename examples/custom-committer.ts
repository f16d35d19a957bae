/**
 * A committer of one's own, with metrics of its own: the ledger in a SQLite file, for a cluster that allows neither
 * lightweight transactions nor another table. Only processes that see the same file are kept apart by it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Duration, Effect, Layer, Metric } from "effect"
import { CassandraConfig, CassandraSession, CheckpointCommitter, IterableSource, Job } from "effect-cassandra"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"
import { DatabaseSync } from "node:sqlite"

const { CommitterError, Fenced } = CheckpointCommitter

const commits = Metric.counter("ledger.commits", { description: "Marks that were moved", incremental: true })
const durations = Metric.histogram("ledger.duration", {
  description: "Time of an operation of the ledger",
  attributes: { unit: "s" },
  boundaries: Metric.exponentialBoundaries({ start: 0.0001, factor: 2, count: 16 })
})

// Besides a mark for each subtask, as in CassandraCommitter.
const epochRow = -1
const publishedRow = -2
const timestampRow = -3
const publishedEpochRow = -5

const make = Effect.fnUntraced(function*(file: string, uid: string) {
  const db = yield* Effect.acquireRelease(
    Effect.sync(() => new DatabaseSync(file)),
    (db) => Effect.sync(() => db.close())
  )
  db.exec("PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000")

  /** All of it or nothing, and on the disk when it returns. A `Fenced` that is thrown is an expected end. */
  const transact = <A>(operation: string, body: () => A) =>
    Effect.try({
      try: () => {
        db.exec("BEGIN IMMEDIATE")
        try {
          const result = body()
          db.exec("COMMIT")
          return result
        } catch (error) {
          db.exec("ROLLBACK")
          throw error
        }
      },
      catch: (cause) =>
        cause instanceof Fenced
          ? cause
          : new CommitterError({ ledger: file, operation, detail: String(cause), isRetryable: true, cause })
    }).pipe(
      Effect.timed,
      Effect.flatMap(([took, result]) => Effect.as(Metric.update(durations, Duration.toSeconds(took)), result))
    )

  const createResource = Effect.asVoid(Effect.catchTag(
    transact(
      "make the table",
      () => db.exec("CREATE TABLE IF NOT EXISTS ledger (uid TEXT, sub_id INT, value INT, PRIMARY KEY (uid, sub_id))")
    ),
    "Fenced",
    Effect.die
  ))
  yield* createResource

  const get = (row: number): number =>
    Number(db.prepare("SELECT value FROM ledger WHERE uid = ? AND sub_id = ?").get(uid, row)?.["value"] ?? 0)
  /** Never moves back. */
  const raise = (row: number, value: number) =>
    db.prepare("INSERT INTO ledger VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)")
      .run(uid, row, value)

  let epoch = 0
  const asHolder = <A>(operation: string, body: () => A) =>
    transact(operation, () => {
      const currentEpoch = get(epochRow)
      if (currentEpoch !== epoch) throw new Fenced({ ledger: file, epoch, currentEpoch })
      return body()
    })

  const commitCheckpoints = (marks: ReadonlyArray<CheckpointCommitter.Commit>) =>
    asHolder("commit", () => {
      for (const { checkpointId, subtask } of marks) raise(subtask, checkpointId)
    }).pipe(Effect.andThen(Metric.update(commits, marks.length)))

  const claimed = (): CheckpointCommitter.Claim => {
    const marks = db.prepare("SELECT sub_id, value FROM ledger WHERE uid = ? AND sub_id >= 0").all(uid)
    return {
      epoch: get(epochRow),
      publishedCheckpointId: get(publishedRow),
      publishedEpoch: get(publishedEpochRow),
      maxTimestamp: get(timestampRow),
      ledger: new Map(marks.map((mark) => [Number(mark["sub_id"]), Number(mark["value"])]))
    }
  }

  return CheckpointCommitter.CheckpointCommitter.of({
    describe: file,
    createResource,
    claimEpoch: (previous, above = 0) =>
      transact("claim the job", () => {
        const currentEpoch = get(epochRow)
        // A claim of this process that led to nothing is no other process.
        if (previous !== null && currentEpoch !== previous && currentEpoch !== epoch) {
          throw new Fenced({ ledger: file, epoch: previous, currentEpoch })
        }
        epoch = Math.max(currentEpoch, above) + 1
        raise(epochRow, epoch)
        return claimed()
      }),
    // Each job has a file of its own here: one that a savepoint is of, under another name, is not in this one.
    supersede: () => Effect.succeed(null),
    current: Effect.sync(claimed),
    checkEpoch: asHolder("check the epoch", () => {}),
    publishCheckpoint: (checkpointId, maxTimestamp) =>
      asHolder("publish", () => {
        raise(publishedRow, checkpointId)
        raise(timestampRow, maxTimestamp)
        raise(publishedEpochRow, epoch)
      }),
    commitCheckpoint: (subtask, checkpointId) => commitCheckpoints([{ subtask, checkpointId }]),
    commitCheckpoints,
    isCheckpointCommitted: (subtask, checkpointId) => Effect.sync(() => checkpointId <= get(subtask))
  })
})

const names = { jobId: "cubes_sqlite", uid: "table" }

const program = Effect.gen(function*() {
  const { committed, epoch, outcome } = yield* Job.run({
    source: IterableSource.fromIterable(Array.from({ length: 40_000 }, (_, n) => ({ n, cube: n ** 3 }))),
    sink: { query: "INSERT INTO numbers.cubes_sqlite (n, cube) VALUES (?, ?)", segmentBytesMax: 100_000 },
    checkpoint: { interval: "200 millis" }
  })
  const { count } = yield* Metric.value(commits)
  const { max } = yield* Metric.value(durations)
  yield* Console.log(`${outcome}: ${committed} rows in epoch ${epoch}, ${count} commits, the slowest in ${max} s`)
})

const Services = Layer.mergeAll(
  Layer.effect(CheckpointCommitter.CheckpointCommitter, make("./ledger.sqlite", names.uid)),
  FileStateBackend.layer({ ...names, directory: "./state" })
).pipe(
  Layer.provideMerge(CassandraSession.layerConfig(CassandraConfig.config)),
  Layer.provideMerge(NodeServices.layer)
)

NodeRuntime.runMain(Effect.provide(program, Services))
