/**
 * Turns barriers into checkpoints.
 *
 *     trigger n -> the source puts barrier n into the stream -> every subtask seals its log and acknowledges n
 *     all have acknowledged in time -> the manifest of n is written durably: checkpoint n is complete
 *     -> n is published in the ledger -> every subtask is told, sends its rows, and has its commit recorded
 *
 * A checkpoint that is not acknowledged in time is aborted; the segments sealed for it stay pending and are part of the
 * next one that completes. A completed checkpoint subsumes all before it. Acknowledgements and notifications carry
 * ids and may be repeated; nothing in them depends on being in the same process.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import type { Claim } from "./CheckpointCommitter.ts"
import { CheckpointCommitter } from "./CheckpointCommitter.ts"
import type { CheckpointConfig } from "./CheckpointConfig.ts"
import { resolve } from "./CheckpointConfig.ts"
import * as Metrics from "./CheckpointMetrics.ts"
import type { Barrier } from "./Element.ts"
import type { Acknowledgement, CoordinatorError, Notification, Outcome } from "./internal/coordinatorService.ts"
import { CheckpointCoordinator, CheckpointsFailed } from "./internal/coordinatorService.ts"
import * as LedgerWrites from "./internal/ledgerWrites.ts"
import type { Manifest } from "./Manifest.ts"
import { ledgerIdOf } from "./Manifest.ts"
import * as SealedSegments from "./SealedSegments.ts"

export type {
  Acknowledgement,
  CoordinatorError,
  CoordinatorStatus,
  Notification,
  Outcome
} from "./internal/coordinatorService.ts"
export {
  /**
   * @category services
   * @since 0.1.0
   */
  CheckpointCoordinator,
  /**
   * @category errors
   * @since 0.1.0
   */
  CheckpointsFailed
} from "./internal/coordinatorService.ts"

/**
 * What a run begins with.
 *
 * @category models
 * @since 0.1.0
 */
export interface CoordinatorOptions<E> {
  readonly jobId: string
  readonly uid: string
  readonly parallelism: number
  readonly attempt: number
  /** From `CheckpointCommitter.claimEpoch`, taken before `restored` was read. */
  readonly claim: Claim
  readonly restored: Manifest | null
  /** Null switches checkpointing off. */
  readonly config: CheckpointConfig | null
  /** Makes a manifest durable: `StateBackend.completeCheckpoint`. */
  readonly completeCheckpoint: (manifest: Manifest) => Effect.Effect<void, E>
}

interface InFlight {
  readonly id: number
  readonly startedAt: number
  readonly outcome: Deferred.Deferred<Outcome>
  readonly acknowledged: Map<number, Acknowledgement>
}

/**
 * Starts the coordination of one run. It lives as long as the Scope.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*<E extends { readonly message: string; readonly isRetryable: boolean }>(
  options: CoordinatorOptions<E>
): Effect.fn.Return<CheckpointCoordinator["Service"], E, CheckpointCommitter | Scope.Scope> {
  const committer = yield* CheckpointCommitter
  const scope = yield* Effect.scope
  const { claim, parallelism, restored } = options
  const config = resolve(options.config ?? {})
  const epoch = claim.epoch
  const origin = {
    ...ledgerIdOf(claim),
    ...(restored?.restoredFrom === undefined ? {} : { restoredFrom: restored.restoredFrom })
  }

  const triggers = yield* Queue.unbounded<number>()
  const wakeups = yield* Queue.sliding<void>(1)
  const acknowledgedByAll = yield* Queue.unbounded<{ readonly checkpoint: InFlight; readonly barrier: Barrier }>()
  const completed = yield* Queue.unbounded<Manifest>()
  const stopRequested = yield* Deferred.make<void>()
  const failure = yield* Deferred.make<never, CoordinatorError>()
  const notifications = yield* Effect.forEach(
    Array.from({ length: parallelism }, (_, i) => i),
    () => Queue.unbounded<Notification, CoordinatorError | Cause.Done>()
  )

  /** Triggered, and neither complete nor aborted. Ids ascend. */
  const inFlight = new Map<number, InFlight>()
  /** Who waits for a checkpoint with an id above this. */
  const awaited = new Set<{ readonly above: number; readonly taken: Deferred.Deferred<Manifest | null> }>()
  const sealed = SealedSegments.make()
  const backPressured = new Set<number>()
  let lastId = Math.max(restored?.checkpointId ?? 0, claim.publishedCheckpointId, ...claim.ledger.values())
  let lastCompletedId = restored?.checkpointId ?? lastId
  let lastTriggerAt = yield* Clock.currentTimeMillis
  let lastEndAt = Number.NEGATIVE_INFINITY
  let requested = false
  let failuresInARow = 0
  let maxTimestamp = Math.max(claim.maxTimestamp, restored?.maxTimestamp ?? 0)
  const counts = { completed: 0, failed: 0, committedRows: 0 }

  const giveUp = Effect.suspend(() =>
    Effect.forEach(awaited, ({ taken }) => Deferred.succeed(taken, null), { discard: true })
  )
  yield* Scope.addFinalizer(scope, giveUp)

  /** Whatever ends a loop, a defect included, ends the run: a loop that is gone in silence would leave it hanging. */
  const failCause = (cause: Cause.Cause<CoordinatorError>) =>
    Effect.suspend(() => {
      // Counted first: who waits for the failure ends this run, and this fiber with it.
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      const isNews = error?._tag === "Fenced" && !Deferred.isDoneUnsafe(failure)
      return isNews ? Metric.update(Metrics.fenced, 1) : Effect.void
    }).pipe(
      Effect.andThen(Deferred.failCause(failure, cause)),
      Effect.andThen(giveUp),
      Effect.andThen(Effect.forEach(notifications, (queue) => Queue.failCause(queue, cause), { discard: true }))
    )
  const failWith = (error: CoordinatorError) => failCause(Cause.fail(error))

  const updateGauges = Effect.suspend(() => sealed.report(lastCompletedId, lastManifest.completedAt))

  const ledger = yield* LedgerWrites.make({
    committer,
    retry: config.commitRetry,
    sealed,
    failure: Deferred.await(failure),
    onCommitted: (rows) =>
      Effect.suspend(() => {
        counts.committedRows += rows
        return updateGauges
      }),
    onSettled: Queue.offer(wakeups, undefined)
  })

  const settle = (checkpoint: InFlight, isComplete: boolean) => {
    inFlight.delete(checkpoint.id)
    return Effect.andThen(
      Metric.update(Metrics.checkpointsInProgress, inFlight.size),
      Deferred.succeed(checkpoint.outcome, { completed: isComplete })
    )
  }

  const abort = Effect.fnUntraced(function*(
    checkpoint: InFlight,
    reason: "expired" | "not-written",
    detail: string,
    isRetryable: boolean
  ) {
    if (!inFlight.has(checkpoint.id)) return
    yield* settle(checkpoint, false)
    lastEndAt = yield* Clock.currentTimeMillis
    const counted = reason !== "expired" || backPressured.size === 0
    yield* Metric.update(Metrics.checkpointsFailed[counted ? reason : "back-pressured"], 1)
    if (counted) yield* Metric.modify(Metrics.consecutiveFailures, 1)
    yield* Effect.logWarning(`Checkpoint ${checkpoint.id} was aborted: ${detail}`)
    for (const queue of notifications) {
      yield* Queue.offer(queue, { _tag: "Aborted", checkpointId: checkpoint.id })
    }
    counts.failed++
    if (counted && ++failuresInARow > config.tolerableFailures) {
      const { id: checkpointId } = checkpoint
      yield* failWith(new CheckpointsFailed({ checkpointId, failures: failuresInARow, detail, isRetryable }))
    }
    if (awaited.size > 0) requested = true
    yield* Queue.offer(wakeups, undefined)
  })

  const begin = Effect.gen(function*() {
    const startedAt = yield* Clock.currentTimeMillis
    const id = ++lastId
    const checkpoint: InFlight = { id, startedAt, outcome: Deferred.makeUnsafe(), acknowledged: new Map() }
    inFlight.set(id, checkpoint)
    lastTriggerAt = startedAt
    requested = false
    yield* Metric.update(Metrics.checkpointsInProgress, inFlight.size)
    const expires = Number.isFinite(config.timeoutMillis) ? Effect.sleep(config.timeoutMillis) : Effect.never
    yield* Effect.raceFirst(Effect.as(expires, true), Effect.as(Deferred.await(checkpoint.outcome), false)).pipe(
      Effect.flatMap((expired) => {
        if (!expired) return Effect.void
        const missing = parallelism - checkpoint.acknowledged.size
        const detail = missing === 0
          ? `it was not written within ${config.timeoutMillis} ms`
          : `${missing} of ${parallelism} subtasks did not acknowledge within ${config.timeoutMillis} ms`
        return abort(checkpoint, "expired", detail, true)
      }),
      Effect.forkIn(scope)
    )
    return id
  })

  /** The periodic trigger: at most `maxConcurrent` at once, and none while Cassandra is too far behind. */
  const triggerLoop = Effect.gen(function*() {
    while (!(yield* Deferred.isDone(stopRequested))) {
      const now = yield* Clock.currentTimeMillis
      const due = requested ? now : Math.max(lastTriggerAt + config.intervalMillis, lastEndAt + config.minPauseMillis)
      // A requested one is not held back by what is pending: it is what lets a full subtask seal, and wait.
      const blocked = inFlight.size >= config.maxConcurrent ||
        (!requested && sealed.checkpoints(lastCompletedId) >= config.pendingCheckpointsMax)
      if (!blocked && now >= due) {
        yield* Queue.offer(triggers, yield* begin)
      } else {
        const wait = blocked || due === Number.POSITIVE_INFINITY ? Effect.never : Effect.sleep(due - now)
        yield* Effect.raceFirst(Queue.take(wakeups), wait)
      }
    }
  })

  /** One manifest after another, in order of their ids. */
  const completeLoop = Effect.gen(function*() {
    const { barrier, checkpoint } = yield* Queue.take(acknowledgedByAll)
    if (!inFlight.has(checkpoint.id)) return
    const now = yield* Clock.currentTimeMillis
    const pending = sealed.upTo(checkpoint.id)
    for (const handle of pending) maxTimestamp = Math.max(maxTimestamp, handle.lastTimestamp)
    const manifest: Manifest = {
      jobId: options.jobId,
      uid: options.uid,
      epoch,
      checkpointId: checkpoint.id,
      parallelism,
      completedAt: Math.floor(now),
      maxTimestamp,
      position: barrier.position,
      finished: barrier.finished,
      records: barrier.records,
      pending,
      ...origin
    }
    const written = yield* Effect.result(options.completeCheckpoint(manifest))
    if (written._tag === "Failure") {
      return yield* abort(checkpoint, "not-written", written.failure.message, written.failure.isRetryable)
    }
    failuresInARow = 0
    lastCompletedId = checkpoint.id
    lastManifest = manifest
    lastEndAt = yield* Clock.currentTimeMillis
    counts.completed++
    yield* Metrics.reportCompleted({
      segments: [...checkpoint.acknowledged.values()].map(({ segment }) => segment),
      seconds: (lastEndAt - checkpoint.startedAt) / 1000
    })
    yield* updateGauges
    for (const other of inFlight.values()) {
      if (other.id <= checkpoint.id) yield* settle(other, true)
    }
    for (const { above, taken } of awaited) {
      if (checkpoint.id > above) yield* Deferred.succeed(taken, manifest)
    }
    yield* Queue.offer(completed, manifest)
    yield* Queue.offer(wakeups, undefined)
  })

  const publishLoop = Effect.gen(function*() {
    const manifest = yield* Queue.take(completed)
    yield* ledger.publish(manifest)
    for (const queue of notifications) {
      yield* Queue.offer(queue, { _tag: "Completed", checkpointId: manifest.checkpointId })
    }
  })

  const forkLoop = (loop: Effect.Effect<void, CoordinatorError>) =>
    Effect.forever(loop).pipe(Effect.catchCause(failCause), Effect.forkIn(scope))

  // The first manifest of this epoch: from now on nothing that a superseded process writes is the newest.
  const adopted: Manifest = {
    jobId: options.jobId,
    uid: options.uid,
    epoch,
    checkpointId: lastCompletedId,
    parallelism,
    // When that checkpoint completed, not when it was adopted: a job that never gets further must not look young.
    completedAt: restored?.completedAt ?? Math.floor(yield* Clock.currentTimeMillis),
    maxTimestamp,
    position: restored?.position ?? null,
    finished: restored?.finished ?? false,
    records: restored?.records ?? 0,
    pending: (restored?.pending ?? []).filter((handle) =>
      handle.checkpointId > (claim.ledger.get(handle.subtask) ?? 0)
    ),
    ...origin
  }
  let lastManifest = adopted
  if (options.config !== null) yield* options.completeCheckpoint(adopted)
  for (const handle of adopted.pending) sealed.add(handle)
  yield* Queue.offer(completed, adopted)
  yield* Metrics.reportStarted({ epoch, intervalMillis: config.intervalMillis })
  yield* updateGauges

  yield* forkLoop(completeLoop)
  yield* forkLoop(publishLoop)
  yield* forkLoop(ledger.commitGathered)
  if (options.config !== null) yield* triggerLoop.pipe(Effect.catchCause(failCause), Effect.forkIn(scope))

  const requestCheckpoint = Effect.suspend(() => {
    requested = true
    return Queue.offer(wakeups, undefined)
  })

  return CheckpointCoordinator.of({
    epoch,
    attempt: options.attempt,
    parallelism,
    enabled: options.config !== null,
    restored,
    firstTimestamp: maxTimestamp + 1,
    triggers,
    begin,
    requestCheckpoint,
    takeCheckpoint: Effect.suspend(() => {
      const isStopping = Deferred.isDoneUnsafe(stopRequested)
      if (isStopping && inFlight.size === 0) return Effect.succeed(lastManifest)
      const waiting = {
        above: isStopping ? lastCompletedId : lastId,
        taken: Deferred.makeUnsafe<Manifest | null>()
      }
      awaited.add(waiting)
      return Effect.andThen(requestCheckpoint, Deferred.await(waiting.taken)).pipe(
        Effect.ensuring(Effect.sync(() => awaited.delete(waiting)))
      )
    }),
    acknowledge: Effect.fnUntraced(function*({ barrier, segment, subtask }) {
      // Kept even when its checkpoint was aborted meanwhile: it goes with the next one.
      if (segment !== null) sealed.add(segment)
      const checkpoint = inFlight.get(barrier.checkpointId)
      if (checkpoint === undefined) return
      checkpoint.acknowledged.set(subtask, { barrier, segment, subtask })
      if (checkpoint.acknowledged.size < parallelism) return
      yield* updateGauges
      yield* Queue.offer(acknowledgedByAll, { checkpoint, barrier })
    }),
    notifications: (subtask) => notifications[subtask]!,
    commit: (subtask, checkpointId, setAside = 0) => ledger.commit({ subtask, checkpointId, setAside }),
    awaitOutcome: (checkpointId) =>
      Effect.suspend(() => {
        const checkpoint = inFlight.get(checkpointId)
        return checkpoint === undefined
          ? Effect.succeed({ completed: checkpointId <= lastCompletedId })
          : Deferred.await(checkpoint.outcome)
      }),
    setBackPressured: (subtask, waiting) =>
      Effect.suspend(() => {
        if (waiting) backPressured.add(subtask)
        else backPressured.delete(subtask)
        return Metric.update(Metrics.subtasksWaiting, backPressured.size)
      }),
    stop: Effect.andThen(Deferred.succeed(stopRequested, undefined), Queue.offer(wakeups, undefined)),
    awaitStop: Deferred.await(stopRequested),
    // Only tidiness: a manifest that still lists committed segments is as good, the ledger is asked first.
    settleManifest: Effect.suspend(() =>
      Effect.ignore(options.completeCheckpoint({ ...lastManifest, pending: sealed.upTo(lastCompletedId) }))
    ),
    failure: Deferred.await(failure),
    status: Effect.sync(() => ({
      lastCompletedId,
      lastCompletedAt: lastManifest.completedAt,
      records: lastManifest.records,
      ...counts,
      ...sealed.totals(),
      pendingCheckpoints: sealed.checkpoints(lastCompletedId)
    }))
  })
})
