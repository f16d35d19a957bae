/**
 * A source that gives no more than so many records a second.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Source } from "../source/Source.ts"
import { sizeOf } from "../source/Source.ts"

/**
 * Records in a chunk at most, so that the pace is kept within a tenth of a second.
 *
 * @category combinators
 * @since 0.1.0
 */
export const recordsPerChunk = (perSecond: number): number => Math.max(1, Math.min(4096, Math.floor(perSecond / 10)))

/**
 * Each chunk waits for its turn. Time in which nobody asked for records is not made up for.
 *
 * @category combinators
 * @since 0.1.0
 */
export const pace = <A, E, R>(source: Source<A, E, R>, perSecond: number): Source<A, E, R> => ({
  ...source,
  read: (from) =>
    Stream.suspend(() => {
      let turn = 0
      return Stream.mapEffect(source.read(from), (chunk) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const wait = turn - now
          turn = Math.max(turn, now) + sizeOf(chunk) * 1000 / perSecond
          return wait > 0 ? Effect.as(Effect.sleep(wait), chunk) : Effect.succeed(chunk)
        }))
    })
})
