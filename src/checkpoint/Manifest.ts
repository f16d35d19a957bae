/**
 * A checkpoint as it is kept: where the source stood, and which segments of the log still have to reach Cassandra.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type { Claim } from "./CheckpointCommitter.ts"
import { Position } from "./Position.ts"

/**
 * A sealed segment: rows of one subtask between two barriers, durable and never changed again. `crc` covers all its
 * blocks in order, so a manifest tells a whole segment from a damaged one.
 *
 * @category models
 * @since 0.1.0
 */
export const SegmentHandle = Schema.Struct({
  name: Schema.String,
  subtask: Schema.Int,
  checkpointId: Schema.Int,
  /** Rows in the segment. */
  rows: Schema.Int,
  /** Length of the file in bytes. */
  bytes: Schema.Int,
  /** Running CRC-32 behind its last block: over lengths, row counts and payloads of all blocks. */
  crc: Schema.Int,
  /** First and last write timestamp in it, microseconds since 1970. */
  firstTimestamp: Schema.Int,
  lastTimestamp: Schema.Int
})

/**
 * @category models
 * @since 0.1.0
 */
export type SegmentHandle = typeof SegmentHandle.Type

/**
 * A completed checkpoint. Of two manifests the one with the greater (epoch, checkpoint id) is the newer: what a
 * superseded process still writes never counts again once its successor has written its first.
 *
 * @category models
 * @since 0.1.0
 */
export const Manifest = Schema.Struct({
  jobId: Schema.String,
  uid: Schema.String,
  epoch: Schema.Int,
  checkpointId: Schema.Int,
  parallelism: Schema.Int,
  /** Wall clock at completion, milliseconds since 1970. */
  completedAt: Schema.Int,
  /** No write timestamp up to this checkpoint is greater, microseconds since 1970. */
  maxTimestamp: Schema.Int,
  /** Where the source resumes; null when nothing was read yet. */
  position: Schema.NullOr(Position),
  /** The source ended here: when `pending` is empty as well, the job is done. */
  finished: Schema.Boolean,
  /** Records read by the job up to here, over all its runs. */
  records: Schema.Int,
  /** Segments of this and earlier checkpoints whose rows were not yet known to be in Cassandra. */
  pending: Schema.Array(SegmentHandle),
  /** Id of the savepoint that this state began with; not there for a state that began with nothing. */
  restoredFrom: Schema.optionalKey(Schema.String),
  /** `ledgerId` of the claim that it was written under; not there where the ledger has none. */
  ledgerId: Schema.optionalKey(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Manifest = typeof Manifest.Type

/**
 * What a manifest keeps of the ledger that it is written under.
 *
 * @category getters
 * @since 0.1.0
 */
export const ledgerIdOf = ({ ledgerId }: Pick<Claim, "ledgerId">): Pick<Manifest, "ledgerId"> =>
  typeof ledgerId === "string" ? { ledgerId } : {}

/**
 * Newest first: by epoch, then by checkpoint id.
 *
 * @category combinators
 * @since 0.1.0
 */
export const newestFirst = (
  a: { readonly epoch: number; readonly checkpointId: number },
  b: { readonly epoch: number; readonly checkpointId: number }
): number => b.epoch - a.epoch || b.checkpointId - a.checkpointId
