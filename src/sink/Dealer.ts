/**
 * Deals one stream to several subtasks: the rows of a partition always to the same one, in order, barriers to all.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Element } from "../checkpoint/Element.ts"
import * as ChunkEncoder from "./ChunkEncoder.ts"
import type { TooManyBadRecords } from "./DeadLetters.ts"
import type { RecordRefused } from "./SinkError.ts"
import type { EncodedElement, OpenSink } from "./Subtask.ts"

/** Blocks that a subtask may be behind the others before all wait for it. */
const chunksAhead = 4

/**
 * One stream for each subtask. They end, or fail, together with `elements`, which is read as long as the Scope is open.
 *
 * @category combinators
 * @since 0.1.0
 */
export const deal = Effect.fnUntraced(function*<A, E, R>(
  sink: OpenSink<A>,
  parallelism: number,
  elements: Stream.Stream<Element<A>, E, R>
): Effect.fn.Return<
  ReadonlyArray<Stream.Stream<EncodedElement, E | RecordRefused | TooManyBadRecords>>,
  never,
  R | Scope.Scope
> {
  const queues = yield* Effect.forEach(
    Array.from({ length: parallelism }, (_, i) => i),
    () => Queue.bounded<EncodedElement, E | RecordRefused | TooManyBadRecords | Cause.Done>(chunksAhead)
  )
  const encoder = ChunkEncoder.make(sink, parallelism)
  yield* Stream.runForEachArray(
    elements,
    (chunk) =>
      encoder.encode(
        chunk,
        (parts) =>
          Effect.forEach(parts, (part, i) => part.length === 0 ? Effect.void : Queue.offerAll(queues[i]!, part), {
            discard: true
          })
      )
  ).pipe(
    Effect.andThen(Effect.suspend(() => Effect.forEach(queues, Queue.end, { discard: true }))),
    Effect.onError((cause) => Effect.forEach(queues, (queue) => Queue.failCause(queue, cause), { discard: true })),
    Effect.ignore,
    Effect.forkScoped
  )
  return queues.map((queue) =>
    Stream.fromQueue(queue) as Stream.Stream<EncodedElement, E | RecordRefused | TooManyBadRecords>
  )
})
