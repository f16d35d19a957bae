/**
 * Where the write-ahead log and the checkpoints are kept.
 *
 * What a backend owes its callers: a segment that was sealed, and a checkpoint that was completed, are there after any
 * crash, exactly as they were; of a checkpoint that was not completed nothing is ever seen. It knows no database and
 * assumes nothing about being local. Layers: `FileStateBackend.layer` (durable) and `MemoryStateBackend.layer` (lost
 * with the process: for tests and for at-most-one-process pipelines that may start over).
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Manifest, SegmentHandle } from "../checkpoint/Manifest.ts"
import type { EncodedRows } from "./RowFrame.ts"
import type { WalError } from "./WalError.ts"
import type { SegmentHeader } from "./WalFormat.ts"

/**
 * The open segment of one subtask. Appending buffers and writes; only `seal` makes it durable. After a failed
 * operation the writer is closed and every further call fails in the same way.
 *
 * @category models
 * @since 0.1.0
 */
export interface SegmentWriter {
  /**
   * Rows with their timestamps already stamped, and the first and last of these. Who keeps the bytes does not call
   * `encoded.release`; who has written or copied them may. The write may still be under way when this returns: a later call,
   * `seal` at the latest, tells of its failure.
   */
  readonly append: (
    encoded: EncodedRows,
    firstTimestamp: number,
    lastTimestamp: number
  ) => Effect.Effect<void, WalError>
  /** Everything appended is on stable storage when this returns; the rows belong to `checkpointId`. */
  readonly seal: (checkpointId: number) => Effect.Effect<SegmentHandle, WalError>
}

/**
 * Rows of a sealed segment that passed their checksum, in the order they were logged. `payload` holds row frames.
 *
 * @category models
 * @since 0.1.0
 */
export interface SegmentBlock {
  readonly payload: Buffer
  readonly rows: number
  /** Byte offset of the block in its segment, for messages. */
  readonly offset: number
  /**
   * Gives the bytes back to be read over, when nobody will look at `payload` any more. Without the call they are the garbage
   * collector's.
   */
  readonly release?: (() => void) | undefined
}

/**
 * A sealed segment that is being read.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenSegment {
  readonly header: SegmentHeader
  /** Fails with `StateCorrupt` at the first block that is not as it was sealed, or if blocks are missing at the end. */
  readonly blocks: Stream.Stream<SegmentBlock, WalError>
}

/**
 * What a sweep removed: files of no retained checkpoint.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sweep {
  readonly segments: number
  readonly manifests: number
  readonly temporary: number
}

/**
 * The log and the checkpoints of one job. A backend of your own keeps to what each member promises.
 *
 * @category services
 * @since 0.1.0
 */
export class StateBackend extends Context.Service<StateBackend, {
  /** The place, for messages. */
  readonly describe: string
  readonly jobId: string
  readonly uid: string
  /** A new segment; its name carries epoch and attempt and was never used before. Closed by `seal` or by the Scope. */
  readonly createSegment: (header: SegmentHeader) => Effect.Effect<SegmentWriter, WalError, Scope.Scope>
  /** Fails with `StateCorrupt` if it is gone, or is not the one that was sealed. Closed by the Scope. */
  readonly openSegment: (handle: SegmentHandle) => Effect.Effect<OpenSegment, WalError, Scope.Scope>
  /** Whether there is such a segment, whole or not: one that was removed has its rows in Cassandra. */
  readonly holdsSegment: (handle: SegmentHandle) => Effect.Effect<boolean, WalError>
  /** Removes a segment whose rows are in Cassandra. One that is gone already, or can't be removed, is no error. */
  readonly discardSegment: (handle: SegmentHandle) => Effect.Effect<void>
  /** Publishes a checkpoint: all of it or nothing. Older ones beyond the retained number are removed. */
  readonly completeCheckpoint: (manifest: Manifest) => Effect.Effect<void, WalError>
  /** The newest completed checkpoint by (epoch, id), or null. */
  readonly latestCheckpoint: Effect.Effect<Manifest | null, WalError>
  /**
   * Removes everything of this epoch and earlier ones that belongs to neither a retained checkpoint nor `keep`. What a
   * later epoch has written is not touched: the caller may have been superseded without knowing it yet.
   */
  readonly sweep: (keep: ReadonlyArray<SegmentHandle>, epoch: number) => Effect.Effect<Sweep, WalError>
}>()("effect-cassandra/StateBackend") {}
