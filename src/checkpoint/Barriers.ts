/**
 * Puts the coordinator's barriers into a stream, and order-preserving operators that let them pass.
 *
 * Other operators may stand between a source and a sink if they keep the order, drop no barrier and hold none back.
 * `Stream.rechunk`, `Stream.grouped` and everything that gathers elements does hold them back: a checkpoint then waits
 * for records that may never come.
 *
 * A record for which a function of the user throws becomes a `BadRecord`: it goes to the dead letters, or, where there are none,
 * ends the sink with a `RecordRefused` that has its place.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Queue from "effect/Queue"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { CheckpointCoordinator } from "./CheckpointCoordinator.ts"
import type { Element } from "./Element.ts"
import { BadRecord, Barrier, Record } from "./Element.ts"
import type { Position } from "./Position.ts"

/**
 * Records read together, and the position behind the last of them (`Source.SourceChunk`).
 *
 * @category models
 * @since 0.1.0
 */
export interface PositionedChunk<A> {
  readonly records: ReadonlyArray<Record<A>>
  /** What could not be read among them, for the dead letters. */
  readonly rejected?: ReadonlyArray<BadRecord> | undefined
  readonly position: Position | null
}

/** Chunks read ahead of the pipeline. */
const readAheadChunks = 2

/**
 * What could not be read, where it stood among the records: where a log is cut, what is lost is told by the places around it.
 */
const inPlace = <A>(good: ReadonlyArray<Record<A>>, rejected: ReadonlyArray<BadRecord>): Array<Element<A>> => {
  const all: Array<Element<A>> = []
  let next = 0
  for (const record of good) {
    while (next < rejected.length && rejected[next]!.place < record.place) all.push(rejected[next++]!)
    all.push(record)
  }
  return all.concat(rejected.slice(next))
}

/** Between a last checkpoint that failed and the next try. */
const lastCheckpointPause = "1 second"

/**
 * The elements of `chunks` with a barrier between two chunks whenever the coordinator triggers one, also while no
 * record comes. When the chunks end, or a stop is requested, a last checkpoint is taken, and the stream ends once it is
 * complete. When they fail, the stream fails at once: no barrier follows.
 *
 * @category combinators
 * @since 0.1.0
 */
export const inject = <A, E, R>(
  chunks: Stream.Stream<PositionedChunk<A>, E, R>
): Stream.Stream<Element<A>, E, R | CheckpointCoordinator> =>
  Stream.unwrap(Effect.gen(function*() {
    const coordinator = yield* CheckpointCoordinator
    const queue = yield* Queue.unbounded<Read<A>, E | Cause.Done>()
    const readAhead = yield* Semaphore.make(readAheadChunks)
    let position = coordinator.restored?.position ?? null
    let records = coordinator.restored?.records ?? 0

    // Room is waited for first; then records and position move together, in one step that can't be interrupted, so
    // that a barrier (offered in one step as well) never comes between the two.
    const read = Stream.runForEach(chunks, (chunk) => {
      const { records: good, rejected } = chunk
      const all: ReadonlyArray<Element<A>> = rejected === undefined ? good : inPlace(good, rejected)
      const [head, ...tail] = all
      return head === undefined
        ? Effect.sync(() => {
          position = chunk.position
        })
        : Effect.andThen(
          readAhead.take(1),
          Effect.sync(() => {
            position = chunk.position
            records += all.length
            Queue.offerUnsafe(queue, { elements: [head, ...tail], permits: 1 })
          })
        )
    })

    const offerBarrier = (id: number, finished: boolean) =>
      Effect.sync(() => {
        Queue.offerUnsafe(queue, { elements: [new Barrier(id, position, records, finished)], permits: 0 })
      })

    const answerTriggers = Effect.forever(
      Effect.flatMap(Queue.take(coordinator.triggers), (id) => offerBarrier(id, false))
    )

    yield* Effect.gen(function*() {
      const finished = yield* read.pipe(
        Effect.as(true),
        Effect.raceFirst(Effect.as(coordinator.awaitStop, false)),
        Effect.raceFirst(answerTriggers)
      )
      // Nobody answers triggers from here on: one that went unanswered would expire, and count as a failure.
      yield* coordinator.stop
      // A last checkpoint that fails is tried again as long as the coordinator tolerates it.
      while (true) {
        const id = yield* coordinator.begin
        yield* offerBarrier(id, finished)
        const { completed } = yield* coordinator.awaitOutcome(id)
        if (completed) break
        yield* Effect.sleep(lastCheckpointPause)
      }
      yield* Queue.end(queue)
    }).pipe(
      Effect.onError((cause) => Queue.failCause(queue, cause)),
      Effect.ignore,
      Effect.forkScoped
    )
    return Stream.fromQueue(queue).pipe(
      Stream.mapEffect(({ elements, permits }) =>
        permits === 0 ? Effect.succeed(elements) : Effect.as(readAhead.release(permits), elements)
      ),
      Stream.flattenArray
    ) as Stream.Stream<Element<A>, E>
  }))

interface Read<A> {
  readonly elements: readonly [Element<A>, ...Array<Element<A>>]
  readonly permits: number
}

/**
 * `position` tells where the input stands behind an element; without it the input can't be resumed and starts over.
 * Places count from `firstPlace`, default 0.
 *
 * @category models
 * @since 0.1.0
 */
export interface FromStreamOptions<A> {
  /** Where the input goes on behind this value. Default: no position, and a restart reads from the beginning. */
  readonly position?: ((last: A) => Position) | undefined
  /** Default 0. */
  readonly firstPlace?: number | undefined
}

/**
 * A bare stream as positioned chunks, for `inject`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const fromStream: {
  <A>(options?: FromStreamOptions<A>): <E, R>(self: Stream.Stream<A, E, R>) => Stream.Stream<PositionedChunk<A>, E, R>
  <A, E, R>(self: Stream.Stream<A, E, R>, options?: FromStreamOptions<A>): Stream.Stream<PositionedChunk<A>, E, R>
} = dual(
  (args) => Stream.isStream(args[0]),
  <A, E, R>(
    self: Stream.Stream<A, E, R>,
    options: FromStreamOptions<A> = {}
  ): Stream.Stream<PositionedChunk<A>, E, R> =>
    Stream.suspend(() => {
      let place = options.firstPlace ?? 0
      return Stream.map(Stream.chunks(self), (values) => {
        const records = values.map((value) => new Record(value, place++))
        return { records, position: options.position?.(values[values.length - 1]!) ?? null }
      })
    })
)

const nothingRaw = { text: null, bytes: null, csv: null }

/** What is left of a record for which the function of an operator threw. */
const refusedBy = (operator: string, { place, value }: Record<unknown>, thrown: unknown): BadRecord =>
  new BadRecord(place, "OperatorThrew", `${operator} threw ${String(thrown)}`, nothingRaw, value)

/**
 * Applies `f` to each record, which keeps its place. Barriers pass.
 *
 * @category combinators
 * @since 0.1.0
 */
export const map: {
  <A, B>(
    f: (value: A) => B
  ): <E, R>(self: Stream.Stream<Element<A>, E, R>) => Stream.Stream<Element<B>, E, R>
  <A, B, E, R>(self: Stream.Stream<Element<A>, E, R>, f: (value: A) => B): Stream.Stream<Element<B>, E, R>
} = dual(
  2,
  <A, B, E, R>(self: Stream.Stream<Element<A>, E, R>, f: (value: A) => B): Stream.Stream<Element<B>, E, R> =>
    Stream.map(self, (element): Element<B> => {
      if (element._tag !== "Record") return element
      try {
        return new Record(f(element.value), element.place)
      } catch (thrown) {
        return refusedBy("map", element, thrown)
      }
    })
)

/**
 * Keeps the records that the predicate holds for. Barriers pass.
 *
 * @category combinators
 * @since 0.1.0
 */
export const filter: {
  <A>(
    predicate: (value: A) => boolean
  ): <E, R>(self: Stream.Stream<Element<A>, E, R>) => Stream.Stream<Element<A>, E, R>
  <A, E, R>(
    self: Stream.Stream<Element<A>, E, R>,
    predicate: (value: A) => boolean
  ): Stream.Stream<Element<A>, E, R>
} = dual(
  2,
  <A, E, R>(
    self: Stream.Stream<Element<A>, E, R>,
    predicate: (value: A) => boolean
  ): Stream.Stream<Element<A>, E, R> =>
    Stream.filter(
      Stream.map(self, (element) => {
        if (element._tag !== "Record") return element
        try {
          return predicate(element.value) ? element : null
        } catch (thrown) {
          return refusedBy("filter", element, thrown)
        }
      }),
      (element) => element !== null
    )
)

/**
 * Each record becomes any number of records, in order, all with its place.
 *
 * @category combinators
 * @since 0.1.0
 */
export const flatMap: {
  <A, B>(
    f: (value: A) => Iterable<B>
  ): <E, R>(self: Stream.Stream<Element<A>, E, R>) => Stream.Stream<Element<B>, E, R>
  <A, B, E, R>(
    self: Stream.Stream<Element<A>, E, R>,
    f: (value: A) => Iterable<B>
  ): Stream.Stream<Element<B>, E, R>
} = dual(
  2,
  <A, B, E, R>(
    self: Stream.Stream<Element<A>, E, R>,
    f: (value: A) => Iterable<B>
  ): Stream.Stream<Element<B>, E, R> =>
    Stream.flattenIterable(
      Stream.map(self, (element): ReadonlyArray<Element<B>> => {
        if (element._tag !== "Record") return [element]
        try {
          return Array.from(f(element.value), (value) => new Record(value, element.place))
        } catch (thrown) {
          return [refusedBy("flatMap", element, thrown)]
        }
      })
    )
)

/**
 * Runs an Effect for each record, `concurrency` at once (default 1); results and barriers come out in order. What the Effect
 * fails with fails the stream.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mapEffect: {
  <A, B, E2, R2>(
    f: (value: A) => Effect.Effect<B, E2, R2>,
    options?: { readonly concurrency?: number | undefined }
  ): <E, R>(self: Stream.Stream<Element<A>, E, R>) => Stream.Stream<Element<B>, E | E2, R | R2>
  <A, E, R, B, E2, R2>(
    self: Stream.Stream<Element<A>, E, R>,
    f: (value: A) => Effect.Effect<B, E2, R2>,
    options?: { readonly concurrency?: number | undefined }
  ): Stream.Stream<Element<B>, E | E2, R | R2>
} = dual(
  (args) => Stream.isStream(args[0]),
  <A, E, R, B, E2, R2>(
    self: Stream.Stream<Element<A>, E, R>,
    f: (value: A) => Effect.Effect<B, E2, R2>,
    options?: { readonly concurrency?: number | undefined }
  ): Stream.Stream<Element<B>, E | E2, R | R2> =>
    Stream.mapEffect(
      self,
      (element): Effect.Effect<Element<B>, E2, R2> => {
        if (element._tag !== "Record") return Effect.succeed(element)
        try {
          return Effect.map(f(element.value), (value) => new Record(value, element.place))
        } catch (thrown) {
          return Effect.succeed(refusedBy("mapEffect", element, thrown))
        }
      },
      { concurrency: options?.concurrency ?? 1 }
    )
)
