/**
 * What a job has done, over all its runs in this process, and how far it is: from it come its summary, its progress and its
 * status.
 *
 * The run that goes on is asked, since its coordinator knows; the one that has ended has left its numbers here.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { CheckpointCoordinator, CoordinatorStatus } from "../../checkpoint/CheckpointCoordinator.ts"
import type { Position } from "../../checkpoint/Position.ts"
import type { KnownLetters, StageCounts } from "../../sink/DeadLetters.ts"
import { countStages } from "../../sink/DeadLetters.ts"
import type { SetAside } from "../../sink/SetAside.ts"
import type { Source } from "../../source/Source.ts"
import type { JobState } from "../JobMetrics.ts"
import * as Metrics from "../JobMetrics.ts"

/**
 * What a job has done when it has ended well.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobSummary {
  /** `finished`: the source ended and all of it is committed. `stopped`: on request, with a last checkpoint. */
  readonly outcome: "finished" | "stopped" | "nothing-to-do"
  readonly jobId: string
  readonly uid: string
  /** Records read from the source in this run. */
  readonly rows: number
  /** Rows committed in this run, replayed ones included; those in the dead letters are not. */
  readonly committed: number
  /** Checkpoints completed in this run. */
  readonly checkpoints: number
  /** Checkpoints of earlier runs whose rows were sent in this one. */
  readonly replayedCheckpoints: number
  /** Records of the job that are in the dead letters, those of earlier runs included. */
  readonly deadLetters: number
  /** The same by the stage where they failed; one that was kept without a stage is in none of them. */
  readonly deadLettersByStage: StageCounts
  readonly seconds: number
  readonly restarts: number
  readonly epoch: number
}

/**
 * How far a job is, for a progress display.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobProgress {
  readonly rowsRead: number
  readonly rowsLogged: number
  readonly rowsCommitted: number
  readonly lastCheckpointId: number
  readonly pendingCheckpoints: number
  /** Rows, and bytes of the log, that are sealed and not committed. */
  readonly pendingRows: number
  readonly pendingBytes: number
  /** When the oldest of these rows was logged, milliseconds since 1970; null when there is none. */
  readonly oldestPendingAt: number | null
  /** Records of the job that were set aside, those of earlier runs included. */
  readonly deadLetters: number
  /** How many of them there were when this run began to read. */
  readonly deadLettersBefore: number
  readonly restarts: number
  /** How far the source is, and how large it is, in its own unit; null where it can't be told. */
  readonly position: number | null
  readonly total: number | null
}

/**
 * Whether a job does its work, for a health check. Times are milliseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobStatus {
  readonly state: JobState
  /** Why the last run failed; null if none did. */
  readonly lastFailure: string | null
  readonly restarts: number
  /** When this process started it. */
  readonly startedAt: number
  /** When the last checkpoint completed, maybe in an earlier run; null as long as nothing is known of it. */
  readonly lastCompletedAt: number | null
  /** When the oldest row was logged that is not committed; null when there is none. */
  readonly oldestPendingAt: number | null
}

/** What a run is asked. */
export interface Run {
  readonly coordinator: CheckpointCoordinator["Service"]
  /** Rows that it has logged. */
  readonly logged: () => number
  /** Null where the job sets no records aside. */
  readonly setAside: Pick<SetAside, "total" | "byStage"> | null
}

export interface Tally {
  /** A run begins to set itself up. Gives its number, from 0. */
  readonly runBegins: () => number
  /** How many have begun. */
  readonly runs: () => number
  /** It reads, from now on, behind the checkpoint that it has restored. */
  readonly runReads: (run: Run) => void
  /** Adds what the run that ends has done. What was read behind its last checkpoint is read again. */
  readonly runEnds: Effect.Effect<void>
  /** The coordinator of the run that goes on; null as long as none does. */
  readonly running: () => CheckpointCoordinator["Service"] | null
  /** The source has given so many records, and is here. */
  readonly read: (records: number, position: Position) => void
  /** Where the source is; null at its beginning. */
  readonly position: () => Position | null
  /** A checkpoint of an earlier run was sent. */
  readonly replayed: (checkpointId: number) => void
  /** The dead letters of a job that has nothing to do. */
  readonly found: (letters: KnownLetters) => void
  readonly enter: (state: JobState) => Effect.Effect<void>
  /** Why the last run failed. */
  readonly failed: (message: string) => void
  readonly summary: (outcome: JobSummary["outcome"], epoch: number) => Effect.Effect<JobSummary>
  readonly progress: Effect.Effect<JobProgress>
  readonly status: Effect.Effect<JobStatus>
}

/** Of a job that starts at `startedAt`, in milliseconds since 1970. */
export const make = (
  { jobId, source, startedAt, uid }: {
    readonly jobId: string
    readonly uid: string
    readonly source: Pick<Source<unknown>, "progress" | "total">
    readonly startedAt: number
  }
): Tally => {
  const counts = { rows: 0, committed: 0, checkpoints: 0, replayed: new Set<number>(), runs: 0 }
  let coordinator: CheckpointCoordinator["Service"] | null = null
  /** Of the run that has ended last. */
  let left: CoordinatorStatus | null = null
  let position: Position | null = null
  let logged = () => 0
  let loggedBefore = 0
  let deadLetters = () => 0
  let deadLettersByStage = (): StageCounts => countStages([])
  let deadLettersBefore: number | null = null
  /** Records of the runs before this one. */
  let recordsBefore: number | null = null
  let state: JobState = "starting"
  let lastFailure: string | null = null

  const restarts = () => Math.max(0, counts.runs - 1)
  const latest = Effect.suspend(() => coordinator === null ? Effect.succeed(left) : coordinator.status)

  return {
    runBegins: () => {
      loggedBefore += logged()
      logged = () => 0
      return counts.runs++
    },
    runs: () => counts.runs,
    runReads: ({ coordinator: running, logged: loggedBy, setAside }) => {
      const { restored } = running
      coordinator = running
      position = restored?.position ?? null
      recordsBefore ??= restored?.records ?? 0
      counts.rows = (restored?.records ?? 0) - recordsBefore
      logged = loggedBy
      deadLetters = () => setAside?.total() ?? 0
      deadLettersByStage = () => setAside?.byStage() ?? countStages([])
      deadLettersBefore ??= deadLetters()
    },
    runEnds: Effect.suspend(() => {
      const ended = coordinator
      coordinator = null
      return ended === null ? Effect.void : Effect.map(ended.status, (status) => {
        counts.checkpoints += status.completed
        counts.committed += status.committedRows
        counts.rows = status.records - (recordsBefore ?? 0)
        left = status
      })
    }),
    running: () => coordinator,
    read: (records, at) => {
      counts.rows += records
      position = at
    },
    position: () => position,
    replayed: (checkpointId) => {
      counts.replayed.add(checkpointId)
    },
    found: (letters) => {
      deadLetters = () => letters.size
      deadLettersByStage = () => countStages(letters.values())
    },
    enter: (next) =>
      Effect.suspend(() => {
        state = next
        return Metrics.setJobState(next)
      }),
    failed: (message) => {
      lastFailure = message
    },
    summary: (outcome, epoch) =>
      Effect.map(Clock.currentTimeMillis, (now): JobSummary => ({
        outcome,
        jobId,
        uid,
        rows: counts.rows,
        committed: counts.committed,
        checkpoints: counts.checkpoints,
        replayedCheckpoints: counts.replayed.size,
        deadLetters: deadLetters(),
        deadLettersByStage: deadLettersByStage(),
        seconds: (now - startedAt) / 1000,
        restarts: restarts(),
        epoch
      })),
    progress: Effect.gen(function*() {
      const isRunning = coordinator !== null
      const last = yield* latest
      return {
        rowsRead: counts.rows,
        rowsLogged: loggedBefore + logged(),
        // Those of a run that has ended are among them already.
        rowsCommitted: counts.committed + (isRunning ? last?.committedRows ?? 0 : 0),
        lastCheckpointId: last?.lastCompletedId ?? 0,
        pendingCheckpoints: last?.pendingCheckpoints ?? 0,
        pendingRows: last?.pendingRows ?? 0,
        pendingBytes: last?.pendingBytes ?? 0,
        oldestPendingAt: last?.oldestPendingAt ?? null,
        deadLetters: deadLetters(),
        deadLettersBefore: deadLettersBefore ?? deadLetters(),
        restarts: restarts(),
        position: position === null ? null : source.progress(position),
        total: source.total
      }
    }),
    status: Effect.map(latest, (last) => ({
      state,
      lastFailure,
      restarts: restarts(),
      startedAt,
      lastCompletedAt: last?.lastCompletedAt ?? null,
      oldestPendingAt: last?.oldestPendingAt ?? null
    }))
  }
}
