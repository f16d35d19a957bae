/**
 * A replayable input: reading it again from a position gives the same records in the same order.
 *
 * @since 0.1.0
 */
import type * as Stream from "effect/Stream"
import type { BadRecord, Located, Record } from "../checkpoint/Element.ts"
import type { Position } from "../checkpoint/Position.ts"

/**
 * Records read together, and where the source stands behind the last of them. Barriers are only ever put between
 * chunks, so this is the only place where a position is needed. A chunk may be empty (only the position moved).
 *
 * @category models
 * @since 0.1.0
 */
export interface SourceChunk<A> {
  readonly records: ReadonlyArray<Record<A>>
  /**
   * What could not be read among them, and shall go to the dead letters. It counts as read: the position is behind it too.
   */
  readonly rejected?: ReadonlyArray<BadRecord> | undefined
  readonly position: Position
}

/**
 * How many records a chunk stands for, those that could not be read among them.
 *
 * @category getters
 * @since 0.1.0
 */
export const sizeOf = ({ records, rejected }: Pick<SourceChunk<unknown>, "records" | "rejected">): number =>
  records.length + (rejected?.length ?? 0)

/**
 * `read(null)` starts at the beginning, `read(position)` behind the record the position was taken after. A bounded
 * source ends its stream; a source that finds its input changed since `position` was taken fails before the first
 * chunk.
 *
 * `describe` names the input in messages (`flights.ndjson`). `total` is the input's size for a progress display, if it
 * is known, and `progress` says how far a position is, in the same unit (bytes for a file, elements for an iterable).
 * `locate` says what a record's place stands for, where it is not simply a record in the input that `describe` names.
 *
 * @category models
 * @since 0.1.0
 */
export interface Source<A, E = never, R = never> {
  readonly describe: string
  /** Chunks from the beginning (null), or from behind the record that the position was taken after. */
  readonly read: (from: Position | null) => Stream.Stream<SourceChunk<A>, E, R>
  readonly total: number | null
  /** How far a position is, in the unit of `total`. */
  readonly progress: (position: Position) => number
  /** What a record's place stands for. Default: a record in the input that `describe` names. */
  readonly locate?: ((place: number) => Located) | undefined
}
