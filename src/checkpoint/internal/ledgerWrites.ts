/**
 * What a run writes to its ledger: each completed checkpoint before its rows may be sent, and what the subtasks have sent, as
 * group commits. What fails while the ledger does not answer is repeated as the configuration says.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import type { CheckpointCommitter, Commit, CommitterError, Fenced } from "../CheckpointCommitter.ts"
import type { ResolvedCheckpointConfig } from "../CheckpointConfig.ts"
import * as Metrics from "../CheckpointMetrics.ts"
import type { Manifest } from "../Manifest.ts"
import * as OutageLog from "../OutageLog.ts"
import type { SealedSegments } from "../SealedSegments.ts"
import type { CoordinatorError } from "./coordinatorService.ts"

/** Everything that a subtask has sealed up to a checkpoint is sent; `setAside` of the rows are among the dead letters. */
export interface Sent extends Commit {
  readonly setAside: number
}

export interface LedgerWrites {
  /** Nothing of a checkpoint is sent before the ledger, under this epoch, knows its greatest timestamp. */
  readonly publish: (manifest: Manifest) => Effect.Effect<void, CommitterError | Fenced>
  /** Returns when the ledger says so, or fails with the run. */
  readonly commit: (sent: Sent) => Effect.Effect<void, CoordinatorError>
  /** Group commit: what has gathered while the last request was under way goes in one. Waits until there is something. */
  readonly commitGathered: Effect.Effect<void, CommitterError | Fenced>
}

export const make = Effect.fnUntraced(function*(
  { committer, failure, onCommitted, onSettled, retry, sealed }: {
    readonly committer: CheckpointCommitter["Service"]
    readonly retry: ResolvedCheckpointConfig["commitRetry"]
    /** Loses what is committed. */
    readonly sealed: SealedSegments
    /** Of the run. */
    readonly failure: Effect.Effect<never, CoordinatorError>
    /** So many rows are in the table, and in the ledger. Before the subtasks hear of it. */
    readonly onCommitted: (rows: number) => Effect.Effect<void>
    /** The subtasks know. */
    readonly onSettled: Effect.Effect<unknown>
  }
): Effect.fn.Return<LedgerWrites> {
  const commits = yield* Queue.unbounded<Sent & { readonly done: Deferred.Deferred<void> }>()
  const outage = OutageLog.make("writing to the ledger")

  const repeated = <A, E extends CommitterError | Fenced>(self: Effect.Effect<A, E>) =>
    self.pipe(
      Effect.tapError((error) =>
        error.isRetryable
          ? Effect.andThen(Metric.update(Metrics.commitRetries, 1), outage.failed(error.message))
          : Effect.void
      ),
      Effect.retry({ schedule: retry, while: (error) => error.isRetryable }),
      Effect.tap(outage.succeeded)
    )

  return {
    publish: ({ checkpointId, maxTimestamp, pending }) =>
      pending.length === 0 ? Effect.void : repeated(committer.publishCheckpoint(checkpointId, maxTimestamp)),
    commit: Effect.fnUntraced(function*(sent) {
      const done = Deferred.makeUnsafe<void>()
      yield* Queue.offer(commits, { ...sent, done })
      yield* Effect.raceFirst(Deferred.await(done), failure)
    }),
    commitGathered: Effect.gen(function*() {
      const batch = yield* Queue.takeAll(commits)
      const newest = new Map<number, number>()
      for (const { checkpointId, subtask } of batch) {
        newest.set(subtask, Math.max(checkpointId, newest.get(subtask) ?? 0))
      }
      yield* repeated(committer.commitCheckpoints(
        [...newest].map(([subtask, checkpointId]) => ({ subtask, checkpointId }))
      ))
      const rows = batch.reduce((left, { setAside }) => left - setAside, sealed.committed(newest))
      yield* Metric.update(Metrics.checkpointCommits, newest.size)
      yield* Metric.update(Metrics.rowsCommitted, rows)
      yield* onCommitted(rows)
      for (const { done } of batch) yield* Deferred.succeed(done, undefined)
      yield* onSettled
    })
  }
})
