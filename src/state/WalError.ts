/**
 * What can go wrong with the log and the checkpoints, told so that a person knows which file, and what to do.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The operating system refused an operation (disk full, no permission, I/O error). The file it happened on is closed
 * and not used again: after a failed fsync nobody knows what is on the disk, so the next attempt starts a new file.
 *
 * @category errors
 * @since 0.1.0
 */
export class StateIoError extends Schema.TaggedError<StateIoError>("effect-cassandra/StateIoError")("StateIoError", {
  path: Schema.String,
  operation: Schema.String,
  /** The system's own code (ENOSPC, EACCES, EIO), where it is known. */
  code: Schema.NullOr(Schema.String),
  detail: Schema.String
}) {
  override get message(): string {
    const why = this.code === "ENOSPC" || this.code === "EDQUOT"
      ? "the disk (or quota) is full: free some space"
      : this.code === "EACCES" || this.code === "EPERM" || this.code === "EROFS"
      ? "it may not be written: check its owner and permissions"
      : this.code === "EIO"
      ? "the device reports an I/O error: check the disk"
      : "check the directory and the disk"
    return `Could not ${this.operation} ${this.path} (${this.detail}); ${why}. Nothing that was checkpointed is lost.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * Bytes that were durable are not what they were. Recovery stops: nothing is skipped and nothing is repaired silently.
 *
 * @category errors
 * @since 0.1.0
 */
export class StateCorrupt extends Schema.TaggedError<StateCorrupt>("effect-cassandra/StateCorrupt")("StateCorrupt", {
  path: Schema.String,
  /** Byte offset of the first frame that fails its check. */
  offset: Schema.Number,
  checkpointId: Schema.NullOr(Schema.Number),
  detail: Schema.String,
  /** What to do about it, where it is not what helps for a state directory. */
  advice: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const checkpoint = this.checkpointId === null ? "" : ` of checkpoint ${this.checkpointId}`
    return `${this.path}${checkpoint} is corrupt at byte ${this.offset}: ${this.detail}. ` + (this.advice ??
      `Nothing was skipped and nothing was deleted. Restore the file from a copy; if there is none, effect-cassandra ` +
        `repair says what can be done, or move the state directory away and load the input again from its beginning ` +
        `(the same rows are written again, with newer timestamps).`)
  }
  /** The same damage, with another way out. */
  withAdvice(advice: string): StateCorrupt {
    const { checkpointId, detail, offset, path } = this
    return new StateCorrupt({ path, offset, checkpointId, detail, advice })
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The state belongs to another job, or another process works on it, or it was written by a newer version; or there is one
 * where a savepoint shall be restored, or none where one is needed; or the job has gone on with another one, or has another
 * ledger.
 *
 * @category errors
 * @since 0.1.0
 */
export class StateUnusable extends Schema.TaggedError<StateUnusable>("effect-cassandra/StateUnusable")(
  "StateUnusable",
  {
    path: Schema.String,
    reason: Schema.Literals([
      "locked",
      "other-job",
      "other-version",
      "not-empty",
      "no-savepoint",
      "is-savepoint",
      "outdated",
      "other-ledger"
    ]),
    detail: Schema.String
  }
) {
  override get message(): string {
    return this.detail
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Why log or checkpoints can't be read or written.
 *
 * @category errors
 * @since 0.1.0
 */
export type WalError = StateIoError | StateCorrupt | StateUnusable
