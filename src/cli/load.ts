/**
 * `effect-cassandra load`: a file into a table, exactly once.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as CassandraCommitter from "../cassandra/CassandraCommitter.ts"
import * as CassandraSession from "../cassandra/CassandraSession.ts"
import { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import { stages } from "../checkpoint/Element.ts"
import * as Retry from "../checkpoint/Retry.ts"
import type { JobHandle, JobSummary } from "../job/Job.ts"
import * as Job from "../job/Job.ts"
import { JobHealth } from "../observability/JobHealth.ts"
import * as DeadLetterFile from "../sink/DeadLetterFile.ts"
import { DeadLetters } from "../sink/DeadLetters.ts"
import * as FailureLog from "../state/FailureLog.ts"
import * as FileStateBackend from "../state/FileStateBackend.ts"
import * as Savepoint from "../state/Savepoint.ts"
import { StateBackend } from "../state/StateBackend.ts"
import * as Checks from "./checks.ts"
import { dryRun } from "./dryRun.ts"
import { exitCodes, Interrupted, resumeAdvice } from "./exitCode.ts"
import { withLogLevel } from "./flag.ts"
import type { Input } from "./input.ts"
import { keepFailure } from "./keepFailure.ts"
import { reportTo } from "./logFile.ts"
import { someOf } from "./nearest.ts"
import { observe } from "./observe.ts"
import type { LoadOptions } from "./options.ts"
import * as Options from "./options.ts"
import { pace, recordsPerChunk } from "./pace.ts"
import * as Progress from "./Progress.ts"
import { Exit, printable } from "./report.ts"
import { describe as describeSavepoint } from "./savepoint.ts"
import * as Settings from "./settings.ts"
import { Signals } from "./Signals.ts"
import { StatusLine } from "./StatusLine.ts"

/** Rows that earlier runs logged, and that the ledger does not know to be in. */
const pendingRows = Effect.fnUntraced(function*(fromSavepoint: Savepoint.Savepoint | null) {
  const backend = yield* StateBackend
  const committer = yield* CheckpointCommitter
  const own = yield* backend.latestCheckpoint
  // Those of a savepoint are logged anew, and sent in any case.
  if (own === null) return fromSavepoint?.checkpoint.pending.reduce((sum, handle) => sum + handle.rows, 0) ?? 0
  let rows = 0
  for (const { checkpointId, rows: ofSegment, subtask } of own.pending) {
    if (!(yield* committer.isCheckpointCommitted(subtask, checkpointId))) rows += ofSegment
  }
  return rows
})

/** A check at the start: its warnings are said, and what is good is only said if asked for. */
const known = <A, E, R>(check: Effect.Effect<Checks.Checked<A>, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const { detail, value, warnings } = yield* check
    yield* Effect.logDebug(`Checked: ${detail}`)
    for (const warning of warnings) yield* Effect.logWarning(warning)
    return value
  })

/** The cluster, and the statements that it is written with. */
const reach = Effect.fnUntraced(function*(
  configured: Effect.Success<ReturnType<typeof Checks.configuration>>["value"],
  input: Input,
  options: LoadOptions
) {
  const cluster = yield* known(Checks.cluster(configured.session))
  yield* known(Checks.clock(cluster))
  const stated = yield* known(Checks.statement(cluster, configured.target, input, options))
  yield* known(Checks.permissions(cluster, configured.session, stated.prepared))
  yield* known(Checks.replication(cluster, stated.prepared))
  return { session: cluster.session, ...stated }
})

/** Everything up to the running job, in the order of what can be checked without asking anybody else. */
const start = Effect.fnUntraced(function*(options: LoadOptions) {
  const { job: jobId, uid } = options
  const configured = yield* known(Checks.configuration(options))
  const { restart: strategy, session: sessionOptions } = configured
  const signals = yield* Signals
  // Somebody who wants it to end does not want it to begin again.
  const restart = Schedule.while(strategy, () => Effect.map(signals.isStopping, (stopping) => !stopping))
  const { maxRowsPerSecond } = options
  const setAside = yield* Settings.setAside(options)
  const letters = setAside === null ? null : yield* DeadLetterFile.make(setAside)
  const input = yield* known(Checks.input(options, {
    malformed: letters === null ? "fail" : "reject",
    ...maxRowsPerSecond === undefined ? {} : { maxRecords: recordsPerChunk(maxRowsPerSecond) }
  }))
  const source = maxRowsPerSecond === undefined ? input.source : pace(input.source, maxRowsPerSecond)
  yield* known(Checks.disk(options))
  const fromSavepoint = yield* known(Checks.savepoint(options))
  const directory = Settings.stateDirectory(options)
  const backend = yield* FileStateBackend.make({
    directory,
    jobId,
    uid,
    retainedCheckpoints: options.retainedCheckpoints,
    takeOver: options.takeOver
  })
  const { binds, notes, queries, session } = yield* reach(configured, input, options)
  const checkpointSession = options.checkpointContactPoints === undefined
    ? session
    : yield* CassandraSession.make(Settings.checkpointSession(options, sessionOptions))
  const committer = yield* CassandraCommitter.make(checkpointSession, {
    jobId,
    uid,
    keyspace: options.checkpointKeyspace,
    replication: options.checkpointReplication
  })
  yield* Effect.logInfo(`Job ${jobId} (uid ${uid}): ${source.describe} to ${session.describe}, state in ${directory}`)
  if (input.files.length > 1) yield* Effect.logInfo(`Files, in this order: ${someOf(input.files)}`)
  for (const text of [...queries, ...notes]) yield* Effect.logInfo(text)
  const retry = Retry.exponential(options.sendRetry)
  const services = <A, E, R>(self: Effect.Effect<A, E, R>) => {
    const provided = self.pipe(
      Effect.provideService(StateBackend, backend),
      Effect.provideService(CheckpointCommitter, committer),
      Effect.provideService(CassandraSession.CassandraSession, session)
    )
    return letters === null ? provided : Effect.provideService(provided, DeadLetters, letters)
  }
  const pendingBefore = yield* services(pendingRows(fromSavepoint))
  const handle = yield* services(Job.start({
    source,
    sink: {
      statements: queries.map((query, i) => ({ query, bind: binds[i] })),
      nulls: options.nulls,
      missing: options.missing,
      timestampOf: input.timestampOf,
      statementOf: input.statementOf,
      requestsInFlightMax: options.maxInFlight,
      sendRetry: retry,
      segmentBytesMax: options.segmentBytes,
      pendingBytesMax: options.pendingBytes
    },
    parallelism: options.parallelism,
    checkpoint: {
      interval: options.checkpointInterval,
      minPause: options.minPause,
      timeout: options.checkpointTimeout,
      maxConcurrent: options.maxConcurrent,
      tolerableFailures: options.tolerableFailures,
      commitRetry: retry
    },
    restart,
    fromSavepoint: fromSavepoint ?? undefined,
    takeOverFrom: options.takeOverFrom,
    acceptNewLedger: options.acceptNewLedger,
    onFailure: yield* FailureLog.recorder(directory)
  }))
  const health = yield* JobHealth
  yield* health.watch({ job: handle, session })
  return {
    handle,
    pendingBefore,
    rowsPerRecord: queries.length,
    describe: source.describe,
    letters: setAside?.path ?? null
  }
})

/** Takes the signals from here on: the first asks for a last checkpoint, the second (or the time) ends it all. */
const untilEnd = Effect.fnUntraced(function*<E>(
  handle: JobHandle<E>,
  options: Pick<LoadOptions, "job" | "uid" | "state" | "stopTimeout" | "savepointOnStop">
) {
  const { savepointOnStop, stopTimeout } = options
  const line = yield* StatusLine
  const signals = yield* Signals
  const stopping = Effect.gen(function*() {
    const signal = yield* signals.first
    line.print(
      `stopping: ${signal} was received, a last checkpoint is taken and committed (once more: end at once)`,
      "warn"
    )
    yield* handle.stop
    const why = yield* Effect.raceFirst(
      Effect.map(signals.second, (second) => `${second} was received again`),
      Effect.as(
        Effect.sleep(stopTimeout),
        `the last checkpoint was not committed within ${Duration.format(stopTimeout)}`
      )
    )
    const detail = `${why}. What was checkpointed is kept.` + (savepointOnStop === undefined
      ? ""
      : ` No savepoint was taken; this takes one of it: effect-cassandra savepoint --state ` +
        `${Settings.stateDirectory(options)} --to ${savepointOnStop}`)
    yield* signals.hurry(detail)
    return yield* new Interrupted({ detail })
  })
  return yield* Effect.raceFirst(handle.result, stopping)
})

/** The keys a script counts on come first, in this order. */
const toJson = (summary: JobSummary, savepoint: Savepoint.Savepoint | null): string => {
  const {
    checkpoints,
    committed,
    deadLetters,
    deadLettersByStage,
    epoch,
    jobId,
    outcome,
    replayedCheckpoints,
    restarts,
    rows,
    seconds,
    uid
  } = summary
  return JSON.stringify({
    rows,
    committed,
    checkpoints,
    replayedCheckpoints,
    deadLetters,
    seconds,
    restarts,
    jobId,
    epoch,
    outcome,
    uid,
    deadLettersByStage,
    ...(savepoint === null ? {} : { savepoint: savepoint.describe })
  })
}

const toText = (summary: JobSummary, input: string): string => {
  const { checkpoints, committed, deadLetters, outcome, replayedCheckpoints, restarts, rows, seconds } = summary
  if (outcome === "nothing-to-do") {
    return `nothing to do: all of ${input} was loaded by job ${summary.jobId} (uid ${summary.uid}). ` +
      `Another --job loads it again.`
  }
  const count = (value: number, noun: string) => `${Progress.formatCount(value)} ${noun}${value === 1 ? "" : "s"}`
  return `${outcome}: ${count(rows, "row")} read, ${Progress.formatCount(committed)} committed, ` +
    (deadLetters > 0 ? `${Progress.formatCount(deadLetters)} set aside, ` : "") + count(checkpoints, "checkpoint") +
    (replayedCheckpoints > 0 ? `, ${Progress.formatCount(replayedCheckpoints)} replayed` : "") +
    (restarts > 0 ? `, ${count(restarts, "restart")}` : "") +
    ` in ${seconds.toFixed(1)} s (${Progress.formatRate(seconds > 0 ? committed / seconds : 0)})`
}

const setAsideText = (
  { deadLetters, deadLettersByStage }: JobSummary,
  where: string,
  isReplay: boolean
): string => {
  const count = Progress.formatCount(deadLetters)
  const byStage = stages.filter((stage) => deadLettersByStage[stage] > 0)
    .map((stage) => `${stage} ${Progress.formatCount(deadLettersByStage[stage])}`)
  return (isReplay
    ? `${count} ${deadLetters === 1 ? "letter is" : "letters are"} still bad: see ${where}.`
    : `${count} bad ${
      deadLetters === 1 ? "record was" : "records were"
    } set aside, each with its error, in ${where}.`) +
    (byStage.length === 0 ? "" : ` By stage: ${byStage.join(", ")}.`) +
    ` Correct them there, or the table, and load them with effect-cassandra replay-dead-letters ${where}`
}

/** The checks without the job, and then all records without the table. */
const rehearse = Effect.fnUntraced(function*(options: LoadOptions) {
  const configured = yield* known(Checks.configuration(options))
  const malformed = (yield* Settings.setAside(options)) === null ? "fail" : "reject"
  const input = yield* known(Checks.input(options, { malformed }))
  yield* known(Checks.disk(options))
  yield* known(Checks.savepoint(options))
  yield* known(Checks.writable(options))
  const { binds, notes, prepared, queries, session } = yield* reach(configured, input, options)
  for (const text of [...queries, ...notes]) yield* Effect.logInfo(text)
  yield* dryRun({ ...options, binds }, input, session, prepared)
})

/**
 * Loads, or rehearses it.
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*(options: LoadOptions) {
  const line = yield* StatusLine
  const signals = yield* Signals
  const early = Effect.flatMap(signals.first, (signal) => {
    const detail = `${signal} was received before the job began.`
    return Effect.andThen(signals.hurry(detail), new Interrupted({ detail }))
  })
  if (options.dryRun) return yield* Effect.scoped(Effect.raceFirst(rehearse(options), early))
  const loading = Effect.scoped(Effect.gen(function*() {
    const { describe, handle, letters, pendingBefore, rowsPerRecord } = yield* Effect.raceFirst(
      Effect.tapError(start(options), (error) => keepFailure(options, error)),
      early
    )
    const shown = Progress.display({
      mode: options.progress,
      job: options.job,
      uid: options.uid,
      progress: handle.progress,
      pendingBefore,
      rowsPerRecord,
      windowMillis: Math.min(60_000, Math.max(5000, Duration.toMillis(options.checkpointInterval)))
    })
    const summary = yield* Effect.scoped(Effect.andThen(shown, untilEnd(handle, options)))
    const target = (yield* signals.isStopping) ? options.savepointOnStop : undefined
    const savepoint = target === undefined ? null : yield* handle.savepoint(Savepoint.writeTo(target))
    return { describe, letters, summary, savepoint }
  }))
  const { describe, letters, savepoint, summary } = yield* observe(options, loading)
  line.print(toText(summary, describe))
  if (summary.deadLetters > 0) line.print(setAsideText(summary, letters!, options.replay !== undefined))
  if (savepoint !== null) line.print(printable(`savepoint: ${describeSavepoint(savepoint)}, in ${savepoint.describe}`))
  if (options.json) yield* Console.log(toJson(summary, savepoint))
  if (summary.outcome === "finished" && summary.deadLetters > 0) {
    return yield* new Exit({ code: exitCodes.completedWithErrors })
  }
  if (summary.outcome !== "stopped") return
  line.print(resumeAdvice.yes)
  return yield* new Exit({ code: exitCodes.interrupted })
})

/**
 * `run`, with what is said about it said as the options want it.
 *
 * @category running
 * @since 0.1.0
 */
export const reported = (verb: string, options: LoadOptions) => {
  const letters = options.deadLetters ?? Settings.deadLettersFile(options)
  return withLogLevel(Effect.andThen(
    Progress.speak(options.progress),
    reportTo(options, verb, run(options), [...options.files, letters])
  ))
}

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const load = Command.make("load", Options.load, (options) => reported("load", options)).pipe(
  Command.withShortDescription("Load files into a table, exactly once"),
  Command.withDescription(
    `Load files into a table, exactly once: each record ends up in it as if it had been written once, in order,
  whatever dies in between. Run the same command again after any end, and it goes on where it was; when all is in,
  it says that there is nothing to do.

  Every flag can also be given as a variable, EFFECT_CASSANDRA_ and its name: EFFECT_CASSANDRA_LOCAL_DC for
  --local-dc. The other variables of the library (CASSANDRA_TLS, CASSANDRA_REQUEST_TIMEOUT, ...) are read as well.
  Times are written as "500 millis", "10 seconds", "5 minutes"; sizes are bytes.

  Exit codes: 0 done, or nothing to do; 1 done, and some records were set aside; 2 a record can't be loaded;
  3 another failure; 4 interrupted; 5 a bug; 6 another process works on the job; 7 the state is corrupt or of another
  job; 64 usage.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra load flights.ndjson -k demo -t flights --job flights",
      description: "Load a file into a table; the same command again resumes it"
    },
    {
      command: "effect-cassandra load flights.ndjson -k demo -t flights --job flights --dry-run",
      description: "What would happen"
    },
    {
      command:
        `effect-cassandra load "2024-*.csv.gz" -k demo -t flights --job year --contact-points 10.0.0.1,10.0.0.2 \\
    --local-dc dc1 -m "flight_id=id, *=-remarks"`,
      description: "Packed files by a pattern, one field of another name than its column, one column left out"
    },
    {
      command: `effect-cassandra load zipcodes.csv --job zips --keyspace demo --json \\
    --query "UPDATE zips SET city = :city WHERE zip = :zip_code" >summary.json`,
      description: "CSV with a header, markers by name, the summary for a script"
    },
    {
      command: `effect-cassandra load events.ndjson --job events --keyspace demo \\
    -q "INSERT INTO latest (id, state) VALUES (:id, :state)" \\
    -q "INSERT INTO history (id, at, state) VALUES (:id, :at, :state)"`,
      description: "Each record into two tables"
    },
    {
      command: "effect-cassandra load flights.ndjson -k demo -t flights --job flights_2 --from-savepoint PATH",
      description: "Go on from a savepoint, under another name and maybe on another machine"
    },
    {
      command: `effect-cassandra load big.ndjson --job big --parallelism 4 --checkpoint-interval "5 seconds" \\
    --restart fixed-delay --restart-attempts 10 --restart-delay "30 seconds" --query "..."`,
      description: "Faster, with frequent checkpoints and a bounded number of restarts"
    }
  ])
)
