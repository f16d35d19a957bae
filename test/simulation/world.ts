/**
 * Whole jobs of the real library in a world of crashes, and the oracle that looks at them.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import type { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import * as RestartStrategy from "../../src/checkpoint/RestartStrategy.ts"
import * as Job from "../../src/job/Job.ts"
import { defaultBounds } from "../../src/sink/BatchPlan.ts"
import * as DeadLetterFile from "../../src/sink/DeadLetterFile.ts"
import type { StatementOptions } from "../../src/sink/StatementRoutes.ts"
import * as FileStateBackend from "../../src/state/FileStateBackend.ts"
import type { Outcome, Scenario } from "../../src/testing/internal/crashModel.ts"
import type { Process } from "../../src/testing/internal/crashProcess.ts"
import { World } from "../../src/testing/internal/crashWorld.ts"
import * as LettersOf from "./letters.ts"
import { Lineages } from "./lineages.ts"
import { Operator } from "./moves.ts"
import { directory, ledgerTable, Oracle, query, recordsRead, table, update } from "./oracle.ts"
import type { Program } from "./program.ts"
import type { Row } from "./source.ts"
import { sourceOf } from "./source.ts"
import type { JobRun } from "./verbPrograms.ts"
import { verbOf, Verbs } from "./verbs.ts"

export type { Outcome } from "../../src/testing/internal/crashModel.ts"

export interface Options {
  /** Sees what happens, line by line. */
  readonly trace?: ((line: string) => void) | undefined
}

/**
 * Headers of segments, and the chunks that are on their way when a subtask finds that it is full. A letter is several times as
 * long as a row, and a header with two statements twice as long as one.
 */
const boundSlackBytes = ({ isRouted }: Program, hasBad: boolean): number => 12_288 * (isRouted || hasBad ? 2 : 1)

/** Their markers are in different orders: a row that is sent with the wrong one has its values in the wrong places. */
const routed: ReadonlyArray<StatementOptions<Row>> = [
  { query, when: ({ seq }) => seq % 2 === 0 },
  { query: update, when: ({ seq }) => seq % 2 === 1 }
]

/** What is known of the job of a process. */
class JobState {
  /** A checkpoint was aborted, or a file could not be removed: there may be more on the disk than waits for Cassandra. */
  leavesMore = false
  /** Its job has failed, and has not started again. */
  isBetweenRuns = false
  /** How often it was told that the job has failed and starts again. */
  failures = 0
}

const rowByRow = { ...defaultBounds, partitionRowsMax: 1, partitionsMax: 1 }

export const run = (program: Program, options: Options = {}): Outcome => {
  const jobs = new Map<Process, JobState>()
  const jobOf = (process: Process): JobState => {
    const known = jobs.get(process)
    if (known !== undefined) return known
    const made = new JobState()
    jobs.set(process, made)
    return made
  }
  const oracle = new Oracle(program, (what) => world.violate(what))
  const source = sourceOf(program.chunks, program.endPause, () => world.count("source failed"))
  const { checkpoint } = program
  const hasBad = program.chunks.some(({ bad }) => bad !== undefined)
  /** How often a process was told that its node has not heard of the table, by record. */
  const unheard = new Map<Process, Map<number, number>>()

  const refuses: Scenario["refuses"] = ({ row, table }, sender) => {
    if (table !== "t") return null
    const seq = Number(row["seq"])
    const bad = oracle.badOf(seq)
    if (bad === "refused") return "Key length of 70000 is longer than maximum of 65535"
    if (bad !== "unheard") return null
    const told = unheard.get(sender) ?? new Map<number, number>()
    unheard.set(sender, told)
    const times = told.get(seq) ?? 0
    told.set(seq, times + 1)
    return times < 1 ? "unconfigured table t" : null
  }

  const main = (process: Process): Effect.Effect<unknown, unknown, CassandraSession | FileSystem.FileSystem> => {
    const { jobId } = operator.home(process.machine)
    const verb = verbOf(process)
    if (verb !== undefined) return verbs.carryOut(process, verb)
    const services = Layer.mergeAll(
      CassandraCommitter.layer({
        jobId,
        uid: "sink",
        replication: { class: "SimpleStrategy", replication_factor: program.cassandra.replicas }
      }),
      FileStateBackend.layer({
        directory,
        jobId,
        uid: "sink",
        retainedCheckpoints: program.retainedCheckpoints,
        writeBufferBytes: program.writeBufferBytes,
        readBufferBytes: program.readBufferBytes,
        takeOver: process.takeOver
      })
    )
    const once = Schedule.recurs(1).pipe(
      Schedule.setInputType<{ readonly isRetryable: boolean }>(),
      Schedule.while(({ input }) => input.isRetryable)
    )
    const job = Effect.scoped(Effect.gen(function*() {
      const fromSavepoint = yield* operator.fetch(process)
      yield* operator.before(process)
      const handle = yield* Job.start({
        source,
        fromSavepoint,
        takeOverFrom: operator.givenUp,
        acceptNewLedger: newLedger.isAccepted,
        parallelism: process.run.parallelism,
        checkpoint: {
          interval: checkpoint.intervalMillis,
          minPause: checkpoint.minPauseMillis,
          timeout: checkpoint.timeoutMillis,
          maxConcurrent: checkpoint.maxConcurrent,
          tolerableFailures: checkpoint.tolerableFailures,
          pendingCheckpointsMax: checkpoint.pendingCheckpointsMax,
          commitRetry: program.isImpatient ? once : undefined
        },
        restart: RestartStrategy.fromConfig(program.restart),
        sink: {
          ...program.isRouted ? { statements: routed } : { query },
          requestsInFlightMax: program.requestsInFlightMax,
          burstMax: program.burstMax,
          batchBounds: program.burstMax > 1 ? rowByRow : undefined,
          segmentBytesMax: program.segmentBytesMax,
          sortBytesMax: program.sortBytesMax,
          pendingBytesMax: program.pendingBytesMax,
          sendRetry: program.isImpatient ? once : undefined
        }
      })
      yield* Deferred.await(process.stopRequested).pipe(Effect.andThen(handle.stop), Effect.forkScoped)
      const during = yield* Effect.forkScoped(operator.during(process, handle))
      const summary = yield* handle.result
      yield* Fiber.join(during)
      yield* operator.after(process, handle)
      yield* operator.rival(process)
      return summary
    }))
    const setAside = DeadLetterFile.layer({ path: LettersOf.path, maxErrors: Number.POSITIVE_INFINITY })
    return Effect.provide(hasBad ? Effect.provide(job, setAside) : job, services, { local: true }).pipe(
      Effect.tapError((error) => Effect.sync(() => world.count(`ended with ${error._tag}`)))
    )
  }

  const jobIds = new Set(["job", ...(program.savepoints?.machines ?? []).map(({ jobId }) => jobId)])
  const readLedger = () => {
    for (const jobId of jobIds) oracle.ledgerSeen(jobId, world.rows(ledgerTable(jobId)))
    if (newLedger.isForbidden && oracle.isLedgerClaimed("job")) {
      world.violate("a state went on with another ledger than its own, and nobody had said that it may")
    }
  }

  /**
   * What waits for Cassandra is bounded, whatever Cassandra does. (What waits for a checkpoint that is not acknowledged is
   * not: after an aborted one the rows of more than one are logged. They stay there for whoever comes next.)
   */
  const checkBound = (process: Process): void => {
    // A cut segment lies there beside the damaged one.
    if (verbOf(process) !== undefined) jobOf(process).leavesMore = true
    const { pendingBytesMax } = program
    if (process !== world.current || world.zombies().length > 1) return
    for (const other of process.machine.processes.values()) if (jobOf(other).leavesMore) return
    let bytes = 0
    for (const [path, content] of process.machine.disk.files()) {
      if (path.startsWith(`${directory}/`) && path.endsWith(".wal")) bytes += content.length
    }
    if (bytes > 3 * pendingBytesMax + boundSlackBytes(program, hasBad)) {
      world.violate(`the log has ${bytes} bytes, and each subtask may have ${pendingBytesMax} pending`)
    }
  }

  const scenario: Scenario = {
    setup: [
      `CREATE KEYSPACE sim WITH replication = {'class': 'SimpleStrategy', 'replication_factor': ` +
      `${program.cassandra.replicas}}`,
      `CREATE TABLE ${table} (id int PRIMARY KEY, seq int, rank int)`
    ],
    main,
    isRestarted: (error) => (error as { readonly isRetryable?: boolean }).isRetryable === true,
    onWrite: (row, sender) => {
      const from = { jobId: operator.home(sender.machine).jobId, lineage: lineages.of(sender) }
      if (row.table === "t") oracle.sent(row, from, world.wall)
    },
    onAnswer: (_, { cql }) => {
      if (cql?.includes(ledgerTable(""))) readLedger()
    },
    onLog: (process, text) => {
      if (process === null) return
      operator.onLog(process, text)
      if (text.startsWith("The job failed and starts again")) {
        jobOf(process).isBetweenRuns = true
        jobOf(process).failures++
      }
      if (text.includes(" was aborted: ") || text.startsWith("Could not remove ")) jobOf(process).leavesMore = true
    },
    onStep: (process, step) => {
      if (step !== null) lineages.onStep(process, step)
      if (step?.operation === "write" && step.path === LettersOf.path) {
        readLedger()
        letters.onStep(process, step)
      }
      if (step === null) {
        if (!operator.taking.has(process)) jobOf(process).isBetweenRuns = false
      } else if (step.operation === "write" && step.phase === "after") checkBound(process)
    },
    refuses,
    // Nothing in it says what it was, as in any text that people are to edit.
    mayFlip: (path) => path !== LettersOf.path,
    mayFreeze: (process) => process.claim === "known",
    // Nobody gives a machine up before it is repaired.
    isDamageReport: (error, process) => isDamageReport(error) && !verbs.willRepair(process),
    onStart: (run, { disk }) => {
      const { ledgerDropped } = run as JobRun
      // Whoever would have told him has died of something else: he is told now.
      if (newLedger.isForbidden && !program.runs.includes(run)) {
        Object.assign(newLedger, { isForbidden: false, isAccepted: true })
      }
      if (ledgerDropped === undefined) return
      world.administer([`DROP TABLE IF EXISTS ${ledgerTable("job")}`])
      world.count(`ledger dropped, ${ledgerDropped}`)
      oracle.ledgerLost("job")
      newLedger.wasLost = true
      newLedger.isAccepted ||= ledgerDropped === "known"
      newLedger.isForbidden = !newLedger.isAccepted && recordsRead(disk) > 0
    },
    // Whoever is told that his state is an old one runs on the other machine.
    placeOf: (machine) => leftBehind.has(machine) ? 1 - machine : machine,
    onExit: (process, exit) => {
      if (reasonOf(exit) === "other-ledger" && newLedger.wasLost && (newLedger.isForbidden || process.isSuperseded)) {
        world.count("another ledger was refused")
        newLedger.isForbidden = false
        newLedger.isAccepted = true
        return
      }
      if (operator.isKnownToBeMoved(process, exit)) return world.count("a job that has moved has nothing to do")
      if (reasonOf(exit) !== "outdated") return judge(world, process, exit, verbs.hasDamaged(process.machine))
      const { disk, number } = process.machine
      readLedger()
      if (!oracle.isLeftBehind(disk, operator.home(process.machine).jobId)) {
        world.violate(`process ${process.name} says that the state of machine ${number} is an old one, and it is not`)
      }
      world.count("a state that was left behind")
      leftBehind.add(number)
    },
    onTurnOver: (process) => {
      readLedger()
      if (process.exit?._tag !== "Success" || verbOf(process) !== undefined) return
      // Whoever ends well has everything in the table that his last checkpoint covers (unless stopped between two runs).
      if (world.zombies().length > 0 || jobOf(process).isBetweenRuns) return
      const { outcome, restarts } = process.exit.value as Job.JobSummary
      // A request of the run that failed may still be on its way, and is no sign of the next one.
      if (outcome === "stopped" && jobOf(process).failures > restarts) {
        return world.count("stopped between two runs, with a late request")
      }
      const read = recordsRead(process.machine.disk)
      const lineage = lineages.of(process)
      oracle.contents(world.rows(table), lineage, read, false)
      if (hasBad) {
        letters.judge(operator.machinesOf(process.machine), lineage, read, process.exit.value as Job.JobSummary)
      }
    },
    // With several checkpoints kept, an old one may still list what is in, until the next start.
    onFinished: ({ machine }) => {
      if (program.retainedCheckpoints === 1) oracle.files(machine.disk, program.retainedCheckpoints)
    },
    onEnd: (last) => {
      const { exit, machine } = last
      readLedger()
      const outcome = exit?._tag === "Success" ? (exit.value as Job.JobSummary).outcome : "an error"
      if (outcome !== "nothing-to-do") {
        world.violate(`the job was done, and a further start ended with "${outcome}"`)
      }
      oracle.contents(world.rows(table), lineages.of(last), oracle.records, true)
      if (hasBad && exit?._tag === "Success") {
        letters.judge(
          operator.machinesOf(machine),
          lineages.of(last),
          oracle.records,
          exit.value as Job.JobSummary
        )
      }
      letters.judgeExports()
      oracle.order()
      oracle.files(machine.disk, program.retainedCheckpoints)
    }
  }
  const leftBehind = new Set<number>()
  const newLedger = { wasLost: false, isAccepted: false, isForbidden: false }
  const world: World = new World(program, scenario, options.trace)
  const lineages: Lineages = new Lineages(oracle)
  const operator: Operator = new Operator(program, world, oracle, lineages)
  const letters: LettersOf.Letters = new LettersOf.Letters(oracle, lineages, (what) => world.violate(what))
  const verbs: Verbs = new Verbs(program, world, oracle, lineages, letters)
  return world.live()
}

/** Why a state could not be used; null if that is not why it has ended. */
const reasonOf = (exit: Exit.Exit<unknown, unknown>): unknown => {
  if (exit._tag === "Success") return null
  const error = Cause.squash(exit.cause) as { readonly _tag?: string; readonly reason?: unknown }
  return error._tag === "StateUnusable" ? error.reason : null
}

const isDamageReport = (error: unknown): boolean => {
  const { _tag, reason } = (error ?? {}) as { readonly _tag?: string; readonly reason?: unknown }
  return _tag === "StateCorrupt" || (_tag === "StateUnusable" && reason !== "outdated")
}

/** Why nothing is done by hand: there is nothing to be done, or a successor of whoever was frozen is at work. */
const isRefusal = (
  { isSuperseded }: Process,
  { _tag, reason }: { readonly _tag?: string; readonly reason?: unknown }
): boolean =>
  _tag === "NotOldest" || _tag === "NothingThere" || (isSuperseded && _tag === "StateUnusable" && reason === "locked")

/** How a process may end by itself. */
const judge = (world: World, process: Process, exit: Exit.Exit<unknown, unknown>, wasDamaged: boolean): void => {
  if (Exit.isSuccess(exit) && verbOf(process) !== undefined) {
    if (process.wasFrozen) world.count("a zombie has ended what it did by hand")
    return
  }
  if (Exit.isSuccess(exit)) {
    const { outcome, replayedCheckpoints, restarts } = exit.value as Job.JobSummary
    world.count(`ended: ${outcome}`)
    if (replayedCheckpoints > 0) world.count("replayed checkpoints", replayedCheckpoints)
    if (restarts > 0) world.count("restarts", restarts)
    if (process.wasFrozen) world.count("a zombie ended well")
    return
  }
  const error = Cause.squash(exit.cause) as {
    readonly _tag?: string
    readonly isRetryable?: boolean
    readonly reason?: unknown
  }
  const isZombie = process.wasFrozen && error.isRetryable === true && !Cause.hasDies(exit.cause)
  if (error._tag === "Fenced" && process.isSuperseded) world.count("fenced")
  else if (verbOf(process) !== undefined && isRefusal(process, error)) world.count("by hand: nothing to be done")
  else if (process.machine.isDamaged && isDamageReport(error)) world.count("damage was found")
  else if (process.isSuperseded && wasDamaged && isDamageReport(error)) world.count("damage was found that is repaired")
  else if (!isZombie) {
    world.violate(`process ${process.name} ended with ${error._tag ?? "a defect"}: ${Cause.pretty(exit.cause)}`)
  }
}
