/**
 * The segments that are sealed and not yet known to be in Cassandra: what a manifest lists as pending, and what an
 * operator wants to know about.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metrics from "./CheckpointMetrics.ts"
import type { SegmentHandle } from "./Manifest.ts"

/**
 * How much waits for Cassandra.
 *
 * @category models
 * @since 0.1.0
 */
export interface PendingTotals {
  readonly pendingRows: number
  readonly pendingBytes: number
  /** When the first of these rows was logged, milliseconds since 1970; null when there is none. */
  readonly oldestPendingAt: number | null
}

/**
 * The sealed segments of one run, and what the ledger has of them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SealedSegments {
  /** From now on it is pending. */
  readonly add: (segment: SegmentHandle) => void
  /** Removes what the ledger has of each subtask. Gives the number of rows. */
  readonly committed: (newest: ReadonlyMap<number, number>) => number
  /** In the order in which they are sent. */
  readonly upTo: (checkpointId: number) => Array<SegmentHandle>
  /** How many checkpoints up to this one have segments here. */
  readonly checkpoints: (upTo: number) => number
  /** Over all that is pending. */
  readonly totals: () => PendingTotals
  /** Brings the gauges up to date; `completedAt` is in milliseconds. */
  readonly report: (lastCompletedId: number, completedAt: number) => Effect.Effect<void>
}

/**
 * None yet: a run adds what it restores, and what it seals.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (): SealedSegments => {
  const segments = new Map<string, SegmentHandle>()

  const upTo = (checkpointId: number): Array<SegmentHandle> =>
    [...segments.values()].filter((handle) => handle.checkpointId <= checkpointId)
      .toSorted((a, b) => a.checkpointId - b.checkpointId || a.subtask - b.subtask)

  const checkpoints = (id: number): number => new Set(upTo(id).map((handle) => handle.checkpointId)).size

  const totals = (): PendingTotals => {
    let pendingRows = 0
    let pendingBytes = 0
    let oldest = Number.POSITIVE_INFINITY
    for (const { bytes, firstTimestamp, rows } of segments.values()) {
      pendingRows += rows
      pendingBytes += bytes
      // A write timestamp is the clock's, in microseconds, unless an earlier epoch was ahead of it.
      if (firstTimestamp < oldest) oldest = firstTimestamp
    }
    return { pendingRows, pendingBytes, oldestPendingAt: segments.size === 0 ? null : oldest / 1000 }
  }

  return {
    add: (segment) => {
      segments.set(segment.name, segment)
    },
    committed: (newest) => {
      let rows = 0
      for (const handle of segments.values()) {
        if (handle.checkpointId > (newest.get(handle.subtask) ?? 0)) continue
        segments.delete(handle.name)
        rows += handle.rows
      }
      return rows
    },
    upTo,
    checkpoints,
    totals,
    report: (lastCompletedId, completedAt) =>
      Effect.contextWith((context: Context.Context<never>) =>
        Effect.sync(() => {
          const { oldestPendingAt, pendingBytes, pendingRows } = totals()
          Metrics.pendingRows.updateUnsafe(pendingRows, context)
          Metrics.pendingBytes.updateUnsafe(pendingBytes, context)
          Metrics.pendingCheckpoints.updateUnsafe(checkpoints(lastCompletedId), context)
          Metrics.lastCompletedId.updateUnsafe(lastCompletedId, context)
          Metrics.lastCompletedTimestamp.updateUnsafe(completedAt / 1000, context)
          Metrics.oldestPendingTimestamp.updateUnsafe((oldestPendingAt ?? 0) / 1000, context)
        })
      )
  }
}
