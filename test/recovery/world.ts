/**
 * Whole jobs on a simulated disk, a simulated Cassandra and virtual time: the real session's users, committer, state
 * backend, coordinator, sink and job, run to the end through any number of deaths.
 *
 * Every operation of the disk and every request to Cassandra is a step at which the process may die. The oracle looks at
 * contents: the table is what applying each record once, in order, gives; each record was only ever written with one
 * timestamp; nothing was written before the ledger knew its checkpoint; the ledger never moved back; nothing is left.
 */
import { Effect, Exit, Layer, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import { Record } from "../../src/checkpoint/Element.ts"
import * as RestartStrategy from "../../src/checkpoint/RestartStrategy.ts"
import * as Job from "../../src/job/Job.ts"
import type { Source } from "../../src/source/Source.ts"
import * as FileStateBackend from "../../src/state/FileStateBackend.ts"
import type { FaultRates } from "../../src/testing/SimulatedCassandra.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"
import type { CrashMode } from "../../src/testing/SimulatedDisk.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"

/** A record: its key, and (its place in the source being its sequence number) what comes behind it. */
export interface Chunk {
  readonly keys: ReadonlyArray<number>
  /** Virtual milliseconds that the source takes before the chunk. */
  readonly pause: number
}

/** A run of the process, and how it dies: at the step with this number of its own, or not at all. */
export interface Run {
  readonly parallelism: number
  readonly diesAt: number | null
  readonly death: CrashMode
}

export interface Program {
  readonly seed: number
  readonly chunks: ReadonlyArray<Chunk>
  /** The last run is followed by one that meets no fault. */
  readonly runs: ReadonlyArray<Run>
  readonly intervalMillis: number
  readonly maxConcurrent: number
  readonly faults: FaultRates
  readonly segmentBytesMax: number
  readonly pendingBytesMax: number
  /** Repeat a request once only, so that sending fails and the job starts again. */
  readonly impatient: boolean
}

export interface Outcome {
  readonly deaths: number
  readonly steps: number
  readonly replayed: number
  readonly virtualMillis: number
}

class Violation extends Error {}

const table = "sim.t"
const query = `INSERT INTO ${table} (id, seq) VALUES (?, ?)`

/** One record a key and place; `position` is the number of records read. */
const sourceOf = (chunks: ReadonlyArray<Chunk>): Source<{ readonly id: number; readonly seq: number }> => {
  let seq = 0
  const whole = chunks.map(({ keys, pause }) => ({ pause, records: keys.map((id) => ({ id, seq: ++seq })) }))
  return {
    describe: "the program",
    total: seq,
    progress: (position) => Number(position["next"]),
    read: (from) => {
      const next = Number(from?.["next"] ?? 0)
      return Stream.fromIterable(whole).pipe(
        Stream.rechunk(1),
        Stream.map(({ pause, records }) => ({ pause, records: records.filter((record) => record.seq > next) })),
        Stream.filter(({ records }) => records.length > 0),
        Stream.mapEffect(({ pause, records }) =>
          Effect.as(pause === 0 ? Effect.void : Effect.sleep(pause), {
            records: records.map((record) => new Record(record, record.seq)),
            position: { next: records[records.length - 1]!.seq }
          })
        )
      )
    }
  }
}

/** Lets everything that can go on go on, and time pass, until `done`. */
const settle = Effect.fnUntraced(function*(done: () => boolean, limitMillis: number) {
  let millis = 0
  while (!done()) {
    // Most of what happens needs no time: turns are cheaper than moving the clock.
    for (let i = 0; i < 20 && !done(); i++) yield* Effect.yieldNow
    if (done()) break
    const step = millis < 1000 ? 1 : millis < 10_000 ? 10 : 250
    yield* TestClock.adjust(step)
    millis += step
    if (millis > limitMillis) throw new Violation(`not done after ${limitMillis} ms of virtual time`)
  }
  return millis
})

export const run = Effect.fnUntraced(function*(program: Program): Effect.fn.Return<Outcome> {
  const disk = SimulatedDisk.make({ seed: program.seed })
  let calm = false
  let step = 0
  let totalSteps = 0
  let die: (() => void) | null = null
  let diesAt: number | null = null
  const countStep = () => {
    step++
    totalSteps++
    if (die !== null && diesAt !== null && step >= diesAt) die()
  }

  // --- what the oracle sees of Cassandra

  /** The only timestamp each record may ever be written with. */
  const timestamps = new Map<number, bigint>()
  const ledger = new Map<number, number>()
  const violations: Array<string> = []
  const cluster = SimulatedCassandra.makeCluster({
    seed: program.seed,
    turnsMax: program.seed % 3,
    onRequest: () => {
      countStep()
      return calm ? null : undefined
    },
    faults: program.faults,
    slowMillisMax: 200,
    onWrite: ({ row, table, timestamp }) => {
      if (table !== "t") return
      const seq = Number(row["seq"])
      const known = timestamps.get(seq)
      if (known === undefined) timestamps.set(seq, timestamp)
      else if (known !== timestamp) violations.push(`record ${seq} was written at ${known} and at ${timestamp}`)
      const published = ledger.get(-3) ?? 0
      if (timestamp > BigInt(published)) {
        violations.push(`record ${seq} was sent with ${timestamp}, but only ${published} was published`)
      }
    }
  })
  const readLedger = Effect.map(cluster.rows("flink_auxiliary.checkpoints_job"), (rows) => {
    for (const { row } of rows) {
      const [sub, value] = [Number(row["sub_id"]), Number(row["checkpoint_id"])]
      const before = ledger.get(sub) ?? 0
      if (sub !== -4 && value < before) violations.push(`the ledger's row ${sub} went from ${before} to ${value}`)
      ledger.set(sub, value)
    }
  })
  const setup = cluster.session()
  calm = true
  yield* Effect.orDie(setup.query(
    "CREATE KEYSPACE sim WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
  ))
  yield* Effect.orDie(setup.query(`CREATE TABLE ${table} (id int PRIMARY KEY, seq int)`))

  // --- the runs

  const source = sourceOf(program.chunks)
  const job = (parallelism: number) =>
    Job.run({
      source,
      parallelism,
      checkpoint: {
        interval: program.intervalMillis,
        minPause: 0,
        maxConcurrent: program.maxConcurrent,
        timeout: "10 seconds",
        tolerableFailures: 2
      },
      restart: RestartStrategy.fixedDelay({ attempts: 1000, delay: 50 }),
      sink: {
        query,
        requestsInFlightMax: 4,
        segmentBytesMax: program.segmentBytesMax,
        pendingBytesMax: program.pendingBytesMax,
        sendRetry: program.impatient ? Schedule.recurs(1) : undefined
      }
    })
  let deaths = 0
  let replayed = 0
  let virtualMillis = 0
  const runs: ReadonlyArray<Run> = [...program.runs, { parallelism: 2, diesAt: null, death: "kill" }]
  for (const [i, { death, diesAt: at, parallelism }] of runs.entries()) {
    calm = i === runs.length - 1
    const process = disk.boot()
    const session = cluster.session()
    let dead = false
    step = 0
    diesAt = at
    die = () => {
      if (dead) return
      dead = true
      deaths++
      disk.crash({ mode: death })
      cluster.kill(session)
    }
    disk.observe(() => Effect.sync(countStep))
    // The ledger is looked at whenever it may have changed, so that the oracle's copy is never behind.
    const watched = {
      ...session,
      batch: (...args: Parameters<typeof session.batch>) => Effect.ensuring(session.batch(...args), readLedger)
    }
    const services = Layer.mergeAll(
      CassandraCommitter.layer({ jobId: "job", uid: "sink" }),
      FileStateBackend.layer({ directory: "/state", jobId: "job", uid: "sink" })
    ).pipe(Layer.provideMerge(Layer.succeed(CassandraSession, watched)), Layer.provideMerge(process.layer))
    // A service that can't start (Cassandra does not answer) is started again, as a supervisor does with a process.
    const started = Effect.suspend(() => Effect.provide(job(parallelism), services, { local: true })).pipe(
      Effect.retry({ times: 1000, while: (error) => error.isRetryable })
    )
    let exit: Exit.Exit<Job.JobSummary, unknown> | null | undefined
    yield* process.run(started).pipe(
      Effect.map((result) => {
        exit = result
      }),
      Effect.forkDetach
    )
    virtualMillis += yield* settle(() => exit !== undefined || dead, 3_600_000)
    disk.observe(null)
    yield* readLedger
    if (exit !== undefined && exit !== null) {
      if (Exit.isFailure(exit)) throw new Violation(`run ${i} failed: ${JSON.stringify(exit.cause)}`)
      replayed += exit.value.replayedCheckpoints
    } else if (calm) {
      throw new Violation("the last run did not end")
    }
  }

  // --- the end

  die = null
  yield* cluster.flushLate
  yield* readLedger
  const expected = new Map<number, number>()
  let seq = 0
  for (const { keys } of program.chunks) for (const id of keys) expected.set(id, ++seq)
  const found = new Map<number, number>()
  for (const { row, writetimes } of yield* cluster.rows(table)) {
    const [id, last] = [Number(row["id"]), Number(row["seq"])]
    found.set(id, last)
    if (writetimes.get("seq") !== timestamps.get(last)) violations.push(`record ${last} has another write time`)
  }
  for (const [id, last] of expected) {
    if (found.get(id) !== last) violations.push(`key ${id} has record ${found.get(id)}, not ${last}`)
  }
  if (found.size !== expected.size) violations.push(`${found.size} keys, not ${expected.size}`)
  for (const path of disk.files().keys()) {
    if (path.startsWith("/state/segments/")) violations.push(`${path} was left behind`)
    if (path.endsWith(".tmp")) violations.push(`${path} was left behind`)
  }
  const manifests = [...disk.files().keys()].filter((path) => path.endsWith(".manifest"))
  if (manifests.length !== 1) violations.push(`${manifests.length} manifests were left`)
  if (disk.openHandles().length > 0) violations.push(`open: ${JSON.stringify(disk.openHandles())}`)
  if (violations.length > 0) throw new Violation([...new Set(violations)].slice(0, 10).join("\n"))
  return { deaths, steps: totalSteps, replayed, virtualMillis }
})
