/**
 * Values that are already in the program, as a source: for tests, examples and small inputs.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Record } from "../checkpoint/Element.ts"
import type { Position } from "../checkpoint/Position.ts"
import type { Source, SourceChunk } from "./Source.ts"
import { excerpt, InputChanged, InvalidOption, SourceError } from "./SourceError.ts"

/**
 * - `chunkSize`: values in a chunk, a whole number of at least 1; default 1024.
 * - `describe`: the name of the input in messages; default `iterable`.
 *
 * @category models
 * @since 0.1.0
 */
export interface IterableOptions {
  readonly chunkSize?: number | undefined
  readonly describe?: string | undefined
}

const sizeOf = (items: Iterable<unknown>): number | null =>
  Array.isArray(items) ? items.length : items instanceof Set || items instanceof Map ? items.size : null

const resumeIndex = (position: Position): number | null => {
  const index = position["index"]
  return position["kind"] === "iterable" && typeof index === "number" && Number.isSafeInteger(index) && index >= 0
    ? index
    : null
}

/**
 * A source over an iterable. The place of a record is its index, the first being 0; the position is
 * `{ kind: "iterable", index }`, with the number of values before it.
 *
 * A read from a position iterates from the beginning and skips, so the iterable must give the same values each time: an
 * array, or an object whose `[Symbol.iterator]` starts anew. A generator object can be read once, and fails with
 * `InputChanged` the second time, as does an iterable shorter than the position.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromIterable = <A>(items: Iterable<A>, options: IterableOptions = {}): Source<A, SourceError> => {
  const describe = options.describe ?? "iterable"
  const chunkSize = options.chunkSize ?? 1024
  const changed = (what: string) => new SourceError({ reason: new InputChanged({ input: describe, what }) })
  let reads = 0

  const read = Effect.fnUntraced(function*(from: Position | null) {
    if (!Number.isSafeInteger(chunkSize) || chunkSize < 1) {
      const problem = `must be a whole number of at least 1, not ${chunkSize}`
      return yield* new SourceError({ reason: new InvalidOption({ input: describe, option: "chunkSize", problem }) })
    }
    const skip = from === null ? 0 : resumeIndex(from)
    if (skip === null) {
      return yield* changed(
        `the position in the checkpoint is not one of an iterable: ${excerpt(JSON.stringify(from))}`
      )
    }
    const iterator = yield* Effect.acquireRelease(
      Effect.sync(() => items[Symbol.iterator]()),
      (iterator) => Effect.sync(() => iterator.return?.())
    )
    if ((iterator as unknown) === items && reads++ > 0) {
      return yield* changed("it can be iterated only once, and was; give an array, or an iterable that starts anew")
    }
    for (let index = 0; index < skip; index++) {
      if (iterator.next().done === true) {
        return yield* changed(`it was cut: it has ${index} values, the position is ${skip}`)
      }
    }
    let index = skip
    return Stream.fromPull(Effect.succeed(Effect.suspend(() => {
      const records: Array<Record<A>> = []
      while (records.length < chunkSize) {
        const next = iterator.next()
        if (next.done === true) break
        records.push(new Record(next.value, index++))
      }
      if (records.length === 0) return Cause.done()
      const chunk: SourceChunk<A> = { records, position: { kind: "iterable", index } }
      return Effect.succeed([chunk] as const)
    })))
  })

  return {
    describe,
    total: sizeOf(items),
    progress: (position) => resumeIndex(position) ?? 0,
    read: (from) => Stream.unwrap(read(from))
  }
}
