/**
 * What one subtask has sealed and not yet committed, in the order in which it is sent.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { CoordinatorError, Notification } from "../checkpoint/CheckpointCoordinator.ts"
import type { Manifest, SegmentHandle } from "../checkpoint/Manifest.ts"
import type { Position } from "../checkpoint/Position.ts"
import { SinkMisuse } from "./SinkError.ts"

/**
 * Rows up to a barrier, sealed; they wait for the checkpoint to complete, then for Cassandra.
 *
 * @category models
 * @since 0.1.0
 */
export interface PendingCheckpoint {
  /** Whose ledger row this is: another subtask's, when an earlier run had more of them. */
  readonly lineage: number
  readonly checkpointId: number
  /** Null when there was nothing to seal. */
  readonly segment: SegmentHandle | null
  /** Where the source stands behind these rows; null for those of an earlier run. */
  readonly position: Position | null
  readonly restored: boolean
}

/**
 * A queue that is told of checkpoints when they are sealed, and gives them when they are complete.
 *
 * @category models
 * @since 0.1.0
 */
export interface PendingCheckpoints {
  /** Bytes of all segments that are not committed. */
  readonly bytes: () => number
  /** Whether one of them is complete, or may still become so without a further barrier. */
  readonly areOnTheirWay: () => boolean
  /** Another one is sealed. */
  readonly add: (sealed: PendingCheckpoint) => void
  /** No further one will be sealed. */
  readonly end: Effect.Effect<void>
  /** The next complete checkpoint, in order; undefined when the input has ended and there is none left. */
  readonly next: Effect.Effect<PendingCheckpoint | undefined, CoordinatorError | SinkMisuse>
  /** The first of those that were given is committed, and its segment gone. */
  readonly shift: () => void
}

/**
 * Which segments of the restored checkpoint are for this subtask: each lineage has one owner, however many there are now.
 *
 * @category combinators
 * @since 0.1.0
 */
export const ofRestored = (
  restored: Manifest | null,
  index: number,
  parallelism: number
): Array<PendingCheckpoint> =>
  (restored?.pending ?? [])
    .filter((handle) => handle.subtask % parallelism === index)
    .toSorted((a, b) => a.checkpointId - b.checkpointId || a.subtask - b.subtask)
    .map((segment) => ({
      lineage: segment.subtask,
      checkpointId: segment.checkpointId,
      segment,
      position: null,
      restored: true
    }))

/**
 * Begins with what is `restored`, which comes before what this run seals. `changed` is run after each message.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  restored: ReadonlyArray<PendingCheckpoint>,
  notifications: Queue.Dequeue<Notification, CoordinatorError | Cause.Done>,
  changed: Effect.Effect<void>
): Effect.fn.Return<PendingCheckpoints, never, Scope.Scope> {
  /** What the coordinator says, and null when the input has ended: one queue, so that no message is lost in a race. */
  const news = yield* Queue.unbounded<Notification | null, CoordinatorError | Cause.Done>()
  /** In order of checkpoint ids. */
  const pending = [...restored]
  /** How many of these were given. */
  let given = 0
  let bytes = restored.reduce((sum, { segment }) => sum + (segment?.bytes ?? 0), 0)
  let completedId = -1
  const aborted = new Set<number>()
  let ended = false

  yield* Effect.forever(Effect.flatMap(Queue.take(notifications), (message) => Queue.offer(news, message))).pipe(
    Effect.onError((cause) => Queue.failCause(news, cause)),
    Effect.ignore,
    Effect.forkScoped
  )

  return {
    bytes: () => bytes,
    areOnTheirWay: () => pending.some(({ checkpointId }) => !aborted.has(checkpointId)),
    add: (sealed) => {
      pending.push(sealed)
      bytes += sealed.segment?.bytes ?? 0
    },
    end: Effect.suspend(() => {
      ended = true
      return Effect.asVoid(Queue.offer(news, null))
    }),
    next: Effect.gen(function*() {
      while (true) {
        const next = pending[given]
        if (next !== undefined && next.checkpointId <= completedId) {
          given++
          return next
        }
        if (ended && next === undefined) return undefined
        const last = pending[pending.length - 1]
        if (ended && last !== undefined && aborted.has(last.checkpointId)) {
          return yield* new SinkMisuse({
            reason: "last-checkpoint-aborted",
            detail:
              `The stream ended, but its last checkpoint (${last.checkpointId}) was aborted. Its rows are not sent.`
          })
        }
        const message = yield* Effect.catchIf(Queue.take(news), Cause.isDone, () => Effect.never)
        if (message === null) continue
        if (message._tag === "Aborted") {
          aborted.add(message.checkpointId)
        } else {
          completedId = Math.max(completedId, message.checkpointId)
          for (const id of aborted) if (id <= completedId) aborted.delete(id)
        }
        yield* changed
      }
    }),
    shift: () => {
      bytes -= pending.shift()?.segment?.bytes ?? 0
      given--
    }
  }
})
