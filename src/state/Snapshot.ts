/**
 * A completed checkpoint with its rows, wherever they are kept: what a savepoint is made from, and what it is restored as.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { CommitterError, Fenced } from "../checkpoint/CheckpointCommitter.ts"
import type { Manifest, SegmentHandle } from "../checkpoint/Manifest.ts"
import type { OpenSegment } from "./StateBackend.ts"
import type { WalError } from "./WalError.ts"
import type { LoggedStatement } from "./WalFormat.ts"

/**
 * A checkpoint of a job that may go on meanwhile.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly checkpoint: Manifest
  /** The ledger's place, for people; null where nobody knows it. */
  readonly ledger: string | null
  /** Reads the rows of a segment that the checkpoint lists as pending; every block is checked. */
  readonly openSegment: (handle: SegmentHandle) => Effect.Effect<OpenSegment, WalError, Scope.Scope>
  /** Asked about a segment that can't be read: one whose rows are in the table is removed, and is not needed. */
  readonly isCommitted: (handle: SegmentHandle) => Effect.Effect<boolean, CommitterError>
  /** Run when all is copied and before it counts: a process that was superseded fails here. */
  readonly stillOwned: Effect.Effect<void, CommitterError | Fenced>
}

/**
 * A savepoint that was found to be whole.
 *
 * @category models
 * @since 0.1.0
 */
export interface Savepoint {
  /** The place, for messages. */
  readonly describe: string
  /** Never used twice. A state that was restored from a savepoint keeps it. */
  readonly id: string
  /** Milliseconds since 1970. */
  readonly takenAt: number
  /** Where the job had its ledger, for people; null where it was not known. */
  readonly ledger: string | null
  /** What the pending rows are for; empty where none are pending. */
  readonly statements: ReadonlyArray<LoggedStatement>
  readonly checkpoint: Manifest
  /** Reads the rows of a segment that the checkpoint lists as pending, out of the savepoint; every block is checked. */
  readonly openSegment: (handle: SegmentHandle) => Effect.Effect<OpenSegment, WalError, Scope.Scope>
}
