/**
 * Where the progress of a sink is recorded: its epoch, and for each subtask the checkpoint up to which everything is in.
 *
 * Flink's `CheckpointCommitter`, with three things added that make it safe. *One writer*: each start claims an epoch,
 * and nothing is recorded for a process whose epoch is no longer the newest. *Contiguous*: the ledger holds one number a
 * subtask, it only grows, and it means "this checkpoint and all before it". *Published before sent*: a checkpoint's rows
 * may only be sent after the checkpoint and its greatest write timestamp were recorded under the current epoch, so that
 * a successor, which claims afterwards and continues above that timestamp, always wins over a process that was frozen
 * in the middle of sending.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

/**
 * Another process has claimed the job since. This one has stopped: nothing it could still do would count.
 *
 * @category errors
 * @since 0.1.0
 */
export class Fenced extends Schema.TaggedError<Fenced>("effect-cassandra/Fenced")("Fenced", {
  ledger: Schema.String,
  epoch: Schema.Int,
  currentEpoch: Schema.NullOr(Schema.Int)
}) {
  override get message(): string {
    return `This process (epoch ${this.epoch}) was superseded: another process works on the same job` +
      (this.currentEpoch === null ? "" : ` (epoch ${this.currentEpoch})`) +
      ` and recorded so in ${this.ledger}. It has stopped; nothing is lost. Run one process for each job and uid.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A job, as its ledger is named.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobName {
  readonly jobId: string
  readonly uid: string
}

/**
 * A job that goes on with what another one has begun.
 *
 * @category models
 * @since 0.1.0
 */
export interface Heir extends JobName {
  /** How many records the other one had read at the point from which it goes on; 0 where that is not a point of the other one. */
  readonly records: number
}

/**
 * A job that shall be gone on from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Origin extends JobName {
  /** How many records it has read at the point from which it is gone on. Default 0, from its beginning. */
  readonly records?: number | undefined
}

const JobNameSchema = Schema.Struct({ jobId: Schema.String, uid: Schema.String })

const nameOf = ({ jobId, uid }: JobName): string => `job '${jobId}' (uid '${uid}')`

/**
 * Another job has gone on from a savepoint of this one, and reads the input from there on. Two jobs that go on from one point
 * would both own what comes behind it.
 *
 * @category errors
 * @since 0.1.0
 */
export class TakenOver extends Schema.TaggedError<TakenOver>("effect-cassandra/TakenOver")("TakenOver", {
  /** The job that is to be started, or whose savepoint is to be restored. */
  job: JobNameSchema,
  /** The job that has taken it over. */
  by: JobNameSchema,
  /** Where that is recorded. */
  ledger: Schema.String,
  /** Behind so many records of `job`, or earlier, it may be taken over from that job: what came behind them is written anew. */
  upTo: Schema.Int,
  /** Set where it was to be taken over from that job, but behind more records than that. */
  records: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    const by = nameOf(this.by)
    if (this.records !== undefined) {
      const point = this.upTo === 0 ? "an earlier point" : `a point behind ${this.upTo} records of it`
      return `${
        nameOf(this.job).replace("job", "Job")
      } can't go on behind ${this.records} records: ${by} has gone on from ` +
        `${point} (${this.ledger}), and what that has written of the records in between would stay in the place of what ` +
        `came later. Nothing was changed. Move its state directory away, and begin with the same --take-over-from from a ` +
        `savepoint of ${
          this.upTo === 0 ? "that job" : `at most ${this.upTo} records, or of that job`
        }, or from the beginning.`
    }
    return `${nameOf(this.job).replace("job", "Job")} was taken over by ${by}: so it is recorded in ${this.ledger}. ` +
      `Two jobs must not go on from it, so nothing was claimed. Go on with ${by}; or restore a savepoint of that one, ` +
      `under any name. Only if that job shall never go on again, take this one over from it: ` +
      `--take-over-from ${this.by.jobId} (takeOverFrom in a program) fences what is left of it.`
  }
  get isRetryable(): boolean {
    return false
  }
  /** Whether who takes over from `takeOverFrom` (a job id) behind so many records is refused nevertheless, and as what. */
  refuses(takeOverFrom: string | undefined, records = 0): TakenOver | null {
    if (this.by.jobId !== takeOverFrom) return this
    const { by, job, ledger, upTo } = this
    return records > upTo ? new TakenOver({ job, by, ledger, upTo, records }) : null
  }
}

/**
 * The ledger could not be read or written.
 *
 * @category errors
 * @since 0.1.0
 */
export class CommitterError extends Schema.TaggedError<CommitterError>("effect-cassandra/CommitterError")(
  "CommitterError",
  {
    ledger: Schema.String,
    operation: Schema.String,
    detail: Schema.String,
    isRetryable: Schema.Boolean,
    cause: Schema.Defect()
  }
) {
  override get message(): string {
    return `Could not ${this.operation} in ${this.ledger}: ${this.detail}`
  }
}

/**
 * "Subtask `subtask` has everything up to checkpoint `checkpointId` in Cassandra."
 *
 * @category models
 * @since 0.1.0
 */
export interface Commit {
  readonly subtask: number
  readonly checkpointId: number
}

/**
 * What a new epoch starts from, read after the claim.
 *
 * @category models
 * @since 0.1.0
 */
export interface Claim {
  /** The newest epoch: the one that was claimed. */
  readonly epoch: number
  /** The newest checkpoint whose rows any epoch may have sent; 0 if there was none. */
  readonly publishedCheckpointId: number
  /** The epoch that published it; 0 if there was none. A state that is older than this epoch is not the job's any more. */
  readonly publishedEpoch: number
  /** No row sent by an earlier epoch has a greater write timestamp (microseconds since 1970); 0 if there was none. */
  readonly maxTimestamp: number
  /** By subtask: everything up to this checkpoint is in. */
  readonly ledger: ReadonlyMap<number, number>
  /** The job that has gone on from a savepoint of this one; not there where none has, or none is recorded. */
  readonly takenOverBy?: Heir | undefined
  /**
   * What tells this ledger from every other, one of the same name in another cluster or one that was lost and has begun anew
   * included; kept in it since its first claim. Null where it was not claimed yet. A state keeps it, and is refused with another
   * ledger. Not there where a ledger has none: then nothing is compared.
   */
  readonly ledgerId?: string | null | undefined
}

/**
 * The ledger, as the coordinator uses it: one of a sink, for all its subtasks. An own one keeps to what each member
 * promises.
 *
 * @category services
 * @since 0.1.0
 */
export class CheckpointCommitter extends Context.Service<CheckpointCommitter, {
  /** The ledger's place, for messages. */
  readonly describe: string
  /** Makes what the ledger is kept in, if it is not there. The layers call it unless told not to. */
  readonly createResource: Effect.Effect<void, CommitterError>
  /**
   * Supersedes every other process of this job. `previous` is the epoch this same process held before (a restart):
   * then the claim only succeeds if no one else has claimed since, and fails with `Fenced` otherwise. The epoch is
   * greater than `above` (default 0): a ledger that was lost must not give out epochs that the state already knows.
   */
  readonly claimEpoch: (previous: number | null, above?: number) => Effect.Effect<Claim, CommitterError | Fenced>
  /**
   * Takes over another job whose ledger is kept in the same place, the job that a savepoint was taken of, and supersedes
   * every process of it. Gives what that ledger says, null if there is none. Fails with `Fenced`, and supersedes nobody, if
   * this process is superseded itself.
   *
   * A committer that has `takenOverBy` records durably, in the same step, that the job was taken over by this one. It fails
   * with `TakenOver`, and supersedes nobody, if a third job has taken it over before; unless that one is named by
   * `takeOverFrom` (its job id), has not gone on from an earlier point than this one (`records`), and then is taken over as
   * well. Only such a committer is also called with its own job. What was broken off can be begun again.
   */
  readonly supersede: (
    job: Origin,
    takeOverFrom?: string | undefined
  ) => Effect.Effect<Claim | null, CommitterError | Fenced | TakenOver>
  /**
   * Why `supersede` would refuse a job because of a third one that has taken it over; null if it would not. Nothing is
   * claimed by asking. Without this member nothing is recorded, and two jobs can go on from one savepoint.
   */
  readonly takenOverBy?: ((job: JobName) => Effect.Effect<TakenOver | null, CommitterError>) | undefined
  /** What a claim would say, with the newest epoch (0 if there was none), without claiming anything. */
  readonly current: Effect.Effect<Claim, CommitterError>
  /** Fails with `Fenced` if the epoch is no longer the newest. */
  readonly checkEpoch: Effect.Effect<void, CommitterError | Fenced>
  /** Must succeed before any row of the checkpoint is sent. Repeating it is harmless. */
  readonly publishCheckpoint: (
    checkpointId: number,
    maxTimestamp: number
  ) => Effect.Effect<void, CommitterError | Fenced>
  /** `commitCheckpoints` of one. */
  readonly commitCheckpoint: (subtask: number, checkpointId: number) => Effect.Effect<void, CommitterError | Fenced>
  /** All of them, or none. Those that are recorded already are left as they are. */
  readonly commitCheckpoints: (commits: ReadonlyArray<Commit>) => Effect.Effect<void, CommitterError | Fenced>
  /** Answered from a cache that one read fills and own commits advance. */
  readonly isCheckpointCommitted: (
    subtask: number,
    checkpointId: number
  ) => Effect.Effect<boolean, CommitterError>
}>()("effect-cassandra/CheckpointCommitter") {}

/**
 * A ledger in memory, shared by all committers that are given it.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryLedger {
  epoch: number
  publishedCheckpointId: number
  publishedEpoch: number
  maxTimestamp: number
  readonly committed: Map<number, number>
}

/**
 * A ledger that nobody has claimed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMemoryLedger = (): MemoryLedger => ({
  epoch: 0,
  publishedCheckpointId: 0,
  publishedEpoch: 0,
  maxTimestamp: 0,
  committed: new Map()
})

/**
 * A committer of a ledger in memory; several of one ledger are several processes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory = (ledger: MemoryLedger = makeMemoryLedger()): CheckpointCommitter["Service"] => {
  const describe = "memory"
  let epoch = 0
  const asHolder = (f: () => void): Effect.Effect<void, Fenced> =>
    Effect.suspend(() => {
      if (ledger.epoch !== epoch) {
        return Effect.fail(new Fenced({ ledger: describe, epoch, currentEpoch: ledger.epoch }))
      }
      f()
      return Effect.void
    })
  const commit = (commits: ReadonlyArray<Commit>) =>
    asHolder(() => {
      for (const { checkpointId, subtask } of commits) {
        ledger.committed.set(subtask, Math.max(checkpointId, ledger.committed.get(subtask) ?? 0))
      }
    })
  const read = Effect.sync((): Claim => {
    const { committed, epoch, maxTimestamp, publishedCheckpointId, publishedEpoch } = ledger
    return { epoch, publishedCheckpointId, publishedEpoch, maxTimestamp, ledger: new Map(committed) }
  })
  return CheckpointCommitter.of({
    describe,
    createResource: Effect.void,
    claimEpoch: (previous, above = 0) =>
      Effect.suspend(() => {
        // A claim of its own that led to nothing is no other process.
        if (previous !== null && ledger.epoch !== previous && ledger.epoch !== epoch) {
          return Effect.fail(new Fenced({ ledger: describe, epoch: previous, currentEpoch: ledger.epoch }))
        }
        epoch = ledger.epoch = Math.max(ledger.epoch, above) + 1
        return read
      }),
    current: read,
    // A ledger in memory is of one job.
    supersede: () => Effect.succeed(null),
    checkEpoch: asHolder(() => {}),
    publishCheckpoint: (checkpointId, maxTimestamp) =>
      asHolder(() => {
        ledger.publishedCheckpointId = Math.max(checkpointId, ledger.publishedCheckpointId)
        ledger.publishedEpoch = epoch
        ledger.maxTimestamp = Math.max(maxTimestamp, ledger.maxTimestamp)
      }),
    commitCheckpoint: (subtask, checkpointId) => commit([{ subtask, checkpointId }]),
    commitCheckpoints: commit,
    isCheckpointCommitted: (subtask, checkpointId) =>
      Effect.sync(() => checkpointId <= (ledger.committed.get(subtask) ?? 0))
  })
}

/**
 * Progress that is forgotten when the process ends, unless a ledger is given that outlives it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (ledger?: MemoryLedger): Layer.Layer<CheckpointCommitter> =>
  Layer.sync(CheckpointCommitter, () => makeMemory(ledger))
