/**
 * A job: a source, the user's operators, a write-ahead sink, with checkpoints, recovery and restarts.
 *
 *     const job = Job.run({
 *       source,
 *       pipeline: Barriers.map(toRow),
 *       sink: { query: "INSERT INTO demo.flights (id, delay) VALUES (?, ?)" },
 *       parallelism: 4
 *     })
 *
 * Run it again after any death, and it goes on where its last checkpoint was. A bounded job is done when its last
 * checkpoint is committed; run again after that, it finds nothing to do.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CassandraSession } from "../cassandra/CassandraSession.ts"
import * as Barriers from "../checkpoint/Barriers.ts"
import type { CommitterError, Fenced, TakenOver } from "../checkpoint/CheckpointCommitter.ts"
import { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import type { CheckpointConfig } from "../checkpoint/CheckpointConfig.ts"
import { CheckpointCoordinator } from "../checkpoint/CheckpointCoordinator.ts"
import * as CheckpointMetrics from "../checkpoint/CheckpointMetrics.ts"
import type { Element } from "../checkpoint/Element.ts"
import type { Manifest } from "../checkpoint/Manifest.ts"
import * as RestartStrategy from "../checkpoint/RestartStrategy.ts"
import { DeadLetters } from "../sink/DeadLetters.ts"
import { deal } from "../sink/Dealer.ts"
import * as Recovery from "../sink/Recovery.ts"
import * as RestoreSavepoint from "../sink/RestoreSavepoint.ts"
import type { SinkError, WriteAheadSinkOptions } from "../sink/WriteAheadSink.ts"
import * as Sink from "../sink/WriteAheadSink.ts"
import type { Source } from "../source/Source.ts"
import { sizeOf } from "../source/Source.ts"
import type { Failure } from "../state/FailureLog.ts"
import type { Savepoint, Snapshot } from "../state/Snapshot.ts"
import { StateBackend } from "../state/StateBackend.ts"
import type { WalError } from "../state/WalError.ts"
import { StateUnusable } from "../state/WalError.ts"
import type { JobProgress, JobStatus, JobSummary } from "./internal/jobTally.ts"
import * as JobTally from "./internal/jobTally.ts"
import * as Metrics from "./JobMetrics.ts"

export type { JobProgress, JobStatus, JobSummary } from "./internal/jobTally.ts"

/**
 * What a job is made of: only the source and the query of the sink have no default.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobOptions<In, A, E, R, E2 = never, R2 = never> {
  readonly source: Source<In, E, R>
  /**
   * From the source's records to the sink's, built from the operators of `Barriers` (or others that keep order and let
   * barriers pass). Default: the records as they are.
   */
  readonly pipeline?:
    | ((elements: Stream.Stream<Element<In>, E>) => Stream.Stream<Element<A>, E2, R2>)
    | undefined
  readonly sink: WriteAheadSinkOptions<A>
  /** Subtasks of the sink. Rows of one partition stay in order at any number; it may differ from run to run. Default 1. */
  readonly parallelism?: number | undefined
  /** Null switches checkpointing off, which the write-ahead sink refuses. Default `{}`: every 10 seconds. */
  readonly checkpoint?: CheckpointConfig | null | undefined
  /** What to do when a run fails in a way that trying again may mend. Default `RestartStrategy.exponentialDelay()`. */
  readonly restart?: RestartStrategy.RestartStrategy | undefined
  /**
   * Where a job without a state begins: `Savepoint.open`, of this or another job. One whose state was made from the same
   * savepoint goes on where it is, so that the same program can be run again; any other state is refused. Default: none,
   * the job begins with its own state, or with the beginning of the source.
   */
  readonly fromSavepoint?: Savepoint | undefined
  /**
   * The id of a job that has gone on from a savepoint of this one, or from `fromSavepoint`, and shall never go on again: what
   * is left of it is fenced. Default: such a job is refused with `TakenOver`, as it is if another one than this has.
   */
  readonly takeOverFrom?: string | undefined
  /**
   * The ledger that the state was made with is lost, and the tables have what was sent: the job goes on with a new ledger, as long
   * as no checkpoint was completed in that. Default false: a state is refused with another ledger than its own, since that may be
   * of another cluster, where none of the rows are.
   */
  readonly acceptNewLedger?: boolean | undefined
  /**
   * Told of each run that fails, before the next one begins or the job is over: for keeping it (`FailureLog.recorder`) or
   * telling somebody. The job waits for it, so it should be quick. Layers that fail before there is a job (no connection, a
   * state that another process holds) fail where they are built. Default: nothing, the log tells.
   */
  readonly onFailure?: ((failure: Failure) => Effect.Effect<void>) | undefined
}

/**
 * Why a job fails, besides the errors of its source and its pipeline.
 *
 * @category errors
 * @since 0.1.0
 */
export type JobError = SinkError | CommitterError | Fenced | TakenOver | WalError

/**
 * A running job.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobHandle<E> {
  readonly result: Effect.Effect<JobSummary, E>
  /** Ends the job with a last checkpoint that is committed. It can be run again and goes on from there. */
  readonly stop: Effect.Effect<void>
  /**
   * Gives a checkpoint to `write`, such as `Savepoint.writeTo(directory)`: a new one while the job runs, which goes on
   * meanwhile; the last one when it has ended, or waits to start again.
   */
  readonly savepoint: <A, E2, R>(
    write: (snapshot: Snapshot) => Effect.Effect<A, E2, R>
  ) => Effect.Effect<A, E | E2 | JobError, R>
  readonly progress: Effect.Effect<JobProgress>
  readonly status: Effect.Effect<JobStatus>
}

/** Failures that trying again can't mend say so; those of the user's own code are tried again, as in Flink. */
const isRestartable = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "isRetryable" in error ? error.isRetryable === true : true

const messageOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

const kindOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "_tag" in error && typeof error._tag === "string"
    ? error._tag
    : error instanceof Error
    ? error.name
    : typeof error

/**
 * Starts a job that runs as long as the Scope is open.
 *
 * @category constructors
 * @since 0.1.0
 */
export const start = Effect.fnUntraced(function*<In, A, E, R, E2 = never, R2 = never>(
  options: JobOptions<In, A, E, R, E2, R2>
): Effect.fn.Return<
  JobHandle<E | E2 | JobError>,
  never,
  R | R2 | CassandraSession | CheckpointCommitter | StateBackend | Scope.Scope
> {
  const backend = yield* StateBackend
  const committer = yield* CheckpointCommitter
  const { fromSavepoint, source, takeOverFrom } = options
  const parallelism = Math.max(1, Math.trunc(options.parallelism ?? 1))
  const stopRequested = yield* Deferred.make<void>()
  const done = yield* Deferred.make<JobSummary, E | E2 | JobError>()
  const { jobId, uid } = backend
  const tally = JobTally.make({ jobId, uid, source, startedAt: yield* Clock.currentTimeMillis })
  const { enter } = tally
  let epoch: number | null = null
  /** Failures before everything was set up say that something is set up wrongly: a restart would hide it. */
  let everStarted = false
  /** Open from a failure to the next attempt. */
  const waiting = yield* Latch.make(false)

  /** What the caller does with it is no reason to fail. */
  const tellFailure = (error: unknown, restartsInMillis: number | null) =>
    options.onFailure === undefined ? Effect.void : Clock.currentTimeMillis.pipe(
      Effect.flatMap((at) =>
        options.onFailure!({
          at,
          epoch,
          attempt: tally.runs(),
          error: kindOf(error),
          message: messageOf(error),
          restartsInMillis
        })
      ),
      Effect.catchDefect((defect) => Effect.logWarning(`onFailure of the job failed: ${messageOf(defect)}`))
    )

  /** A finished job whose source has not grown: nothing is claimed, and no running process is disturbed. */
  const isDone = Effect.fnUntraced(function*(last: Manifest | null) {
    if (last === null || !last.finished || last.pending.length > 0) return false
    const more = yield* source.read(last.position).pipe(
      Stream.filter((chunk) => sizeOf(chunk) > 0),
      Stream.runHead
    )
    return Option.isNone(more)
  })

  const attempt = Effect.scoped(Effect.gen(function*() {
    const number = tally.runBegins()
    // Before anything is claimed: a statement that is refused disturbs no running process.
    const sink = yield* Sink.open({ input: source.describe, locate: source.locate, ...options.sink })
    const running = yield* Recovery.start({
      parallelism,
      attempt: number,
      previousEpoch: epoch,
      config: options.checkpoint === undefined ? {} : options.checkpoint
    })
    yield* Effect.provideService(Sink.begin(sink), CheckpointCoordinator, running)
    epoch = running.epoch
    tally.runReads({ coordinator: running, logged: () => sink.counters.logged, setAside: sink.setAside })
    const position = running.restored?.position ?? null
    everStarted = true
    yield* Metrics.setSourceLag(source, position)
    yield* enter("running")
    const chunks = Stream.tap(source.read(position), (chunk) =>
      Effect.suspend(() => {
        const size = sizeOf(chunk)
        tally.read(size, chunk.position)
        return Effect.andThen(Metric.update(Metrics.recordsRead, size), Metrics.setSourceLag(source, chunk.position))
      }))
    const injected = Barriers.inject(chunks).pipe(Stream.provideService(CheckpointCoordinator, running))
    const context = yield* Effect.context<R>()
    const elements = Stream.provideContext(injected, context) as Stream.Stream<Element<In>, E>
    const transformed = options.pipeline === undefined
      ? elements as unknown as Stream.Stream<Element<A>, E | E2>
      : options.pipeline(elements)
    const parts = yield* deal(sink, parallelism, transformed)
    yield* Effect.forkScoped(Effect.andThen(Deferred.await(stopRequested), running.stop))
    yield* Effect.forEach(
      parts,
      (part, index) =>
        Sink.subtask(sink, index, part).pipe(
          Stream.provideService(CheckpointCoordinator, running),
          Stream.runForEach((committed) =>
            Effect.sync(() => {
              if (committed.replayed) tally.replayed(committed.checkpointId)
            })
          )
        ),
      { concurrency: "unbounded", discard: true }
    ).pipe(Effect.raceFirst(running.failure))
    yield* running.settleManifest
    yield* tally.runEnds
    const stopped = (yield* Deferred.isDone(stopRequested)) && !(yield* sourceEnded(backend))
    return yield* tally.summary(stopped ? "stopped" : "finished", running.epoch)
  })).pipe(
    Effect.onError(() => tally.runEnds)
  )

  // The condition comes first, so that nothing is said of a restart that does not come.
  const strategy = (options.restart ?? RestartStrategy.exponentialDelay()).pipe(
    Schedule.while(({ input }) => everStarted && isRestartable(input)),
    Schedule.tap(({ duration, input }) =>
      Effect.gen(function*() {
        const message = messageOf(input)
        tally.failed(message)
        yield* Effect.logWarning(`The job failed and starts again in ${Duration.format(duration)}: ${message}`)
        yield* Metric.update(Metrics.jobRestarts, 1)
        yield* enter("restarting")
        yield* tellFailure(input, Duration.toMillis(duration))
        yield* waiting.open
      })
    )
  )
  const restarting = Effect.retry(Effect.andThen(waiting.close, attempt), strategy)

  /** A stop while nothing runs but the time to the next attempt needs no last checkpoint. */
  const stoppedBetween = Deferred.await(stopRequested).pipe(
    Effect.andThen(waiting.await),
    Effect.andThen(Effect.suspend(() => tally.summary("stopped", epoch ?? 0)))
  )

  // A Scope that closes first ends the job, maybe before it began: nobody may wait for a result that never comes.
  yield* Effect.addFinalizer(() => Deferred.interrupt(done))
  yield* enter("starting")
  yield* Effect.gen(function*() {
    // As below: a statement that is refused disturbs no running process.
    const checked = Effect.scoped(Sink.open({ input: source.describe, locate: source.locate, ...options.sink }))
    if (fromSavepoint !== undefined) {
      yield* checked
      epoch = yield* RestoreSavepoint.restore(fromSavepoint, takeOverFrom)
    }
    if (epoch === null && options.acceptNewLedger === true) {
      yield* checked
      epoch = yield* Recovery.acceptLedger
    }
    const last = yield* backend.latestCheckpoint
    if (yield* isDone(last)) {
      // It is not, if the job has begun anew elsewhere and is not done there, or has gone on there under another name.
      if (yield* Recovery.wasLeftTo(takeOverFrom)) yield* Effect.andThen(checked, Recovery.takeBack(takeOverFrom!))
      const letters = yield* Effect.serviceOption(DeadLetters)
      if (Option.isSome(letters)) {
        tally.found(yield* letters.value.known(jobId, uid))
      }
      // What a crash behind the last checkpoint left (or brought back) belongs to nobody.
      yield* backend.sweep([], last!.epoch)
      return yield* tally.summary("nothing-to-do", last!.epoch)
    }
    if (epoch === null && takeOverFrom !== undefined) {
      yield* checked
      epoch = yield* Recovery.takeBack(takeOverFrom)
    }
    return yield* Effect.raceFirst(restarting, stoppedBetween)
  }).pipe(
    Effect.onExit((exit) => {
      if (exit._tag === "Failure") {
        const error = Cause.squash(exit.cause)
        tally.failed(messageOf(error))
        if (Cause.hasInterruptsOnly(exit.cause)) return enter("stopped")
        return Effect.andThen(enter("failed"), tellFailure(error, null))
      }
      // Nothing grows old in a job that is over.
      return Effect.andThen(
        enter(exit.value.outcome === "stopped" ? "stopped" : "finished"),
        CheckpointMetrics.clearTimestamps
      )
    }),
    Effect.onExit((exit) => Deferred.done(done, exit)),
    Effect.forkScoped
  )

  /** Of the job as it is: while it runs, a new checkpoint; once it has ended, or between two attempts, the last one. */
  const checkpointNow = Effect.suspend((): Effect.Effect<Manifest | null, E | E2 | JobError> => {
    const running = tally.running()
    if (running === null) return backend.latestCheckpoint
    return Effect.flatMap(
      running.takeCheckpoint,
      (taken) => taken === null ? backend.latestCheckpoint : Effect.succeed(taken)
    )
  })

  /** What a superseded process has is none of the job's. A ledger that can't be asked must not stand in the way. */
  const stillOwned = Effect.suspend(() => epoch === null ? Effect.void : committer.checkEpoch).pipe(
    Effect.catchTag(
      "CommitterError",
      (error) =>
        Effect.logWarning(
          `The savepoint is taken without knowing whether the job is still this process's: ${error.message}`
        )
    )
  )

  const snapshot = Effect.flatMap(checkpointNow, (checkpoint) =>
    checkpoint === null
      ? Effect.fail(
        new StateUnusable({
          path: backend.describe,
          reason: "no-savepoint",
          detail: `Job '${jobId}' has no completed checkpoint yet, so there is nothing to make a savepoint of`
        })
      )
      : Effect.succeed<Snapshot>({
        checkpoint,
        ledger: committer.describe,
        openSegment: backend.openSegment,
        isCommitted: ({ checkpointId, subtask }) => committer.isCheckpointCommitted(subtask, checkpointId),
        stillOwned
      }))

  return {
    result: Deferred.await(done),
    savepoint: (write) => Effect.flatMap(snapshot, write),
    stop: Effect.asVoid(Deferred.succeed(stopRequested, undefined)),
    status: tally.status,
    progress: tally.progress
  }
})

const sourceEnded = (backend: StateBackend["Service"]) =>
  Effect.map(Effect.orElseSucceed(backend.latestCheckpoint, () => null), (last) => last?.finished === true)

/**
 * Runs a job to its end: until its bounded source is committed, or for ever.
 *
 * @category constructors
 * @since 0.1.0
 */
export const run = <In, A, E, R, E2 = never, R2 = never>(
  options: JobOptions<In, A, E, R, E2, R2>
): Effect.Effect<
  JobSummary,
  E | E2 | JobError,
  R | R2 | CassandraSession | CheckpointCommitter | StateBackend
> => Effect.scoped(Effect.flatMap(start(options), (handle) => handle.result))
