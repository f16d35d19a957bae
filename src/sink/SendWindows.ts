/**
 * How much of the log is sorted at once before it is sent (`BatchPlan`): the more, the closer are the rows that a server gets
 * one after another. A window is read and sorted while the one before it is sent.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { LoggedRow } from "../state/RowFrame.ts"

/**
 * Rows that were read together, and are planned together: the more there are, the more of them share a partition.
 *
 * @category models
 * @since 0.1.0
 */
export interface RowBlock {
  readonly rows: ReadonlyArray<LoggedRow>
  /** Of the log. */
  readonly bytes: number
  /** Called when nobody looks at the rows' bytes any more: each was acknowledged, or refused for good. */
  readonly release?: (() => void) | undefined
}

const join = (blocks: ReadonlyArray<RowBlock>): RowBlock =>
  blocks.length === 1 ? blocks[0]! : {
    rows: new Array<LoggedRow>().concat(...blocks.map(({ rows }) => rows)),
    bytes: blocks.reduce((sum, { bytes }) => sum + bytes, 0),
    release: () => {
      for (const { release } of blocks) release?.()
    }
  }

const firstBytes = 512 * 1024

/**
 * How large each window becomes, from 512 KiB on twice as large as the one before, up to `bytesMax`: the first rows of a run do not
 * wait for a large one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const growing = (bytesMax: number): () => number => {
  let next = firstBytes
  return () => {
    const bytes = Math.min(next, bytesMax)
    next = 2 * bytes
    return bytes
  }
}

/**
 * Puts blocks together while another one like the last still fits into `bytesMax`, which is asked for each. What was read
 * before a failure is handed on before it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const gather = <E, R>(
  blocks: Stream.Stream<RowBlock, E, R>,
  bytesMax: () => number
): Stream.Stream<RowBlock, E, R> =>
  Stream.transformPull(blocks, (pull) => {
    let end: typeof pull | null = null
    return Effect.succeed(Effect.gen(function*() {
      const some: Array<RowBlock> = []
      const enough = bytesMax()
      let bytes = 0
      let last = 0
      while (end === null && (last === 0 || bytes + last <= enough)) {
        const exit = yield* Effect.exit(pull)
        if (exit._tag === "Failure") end = Effect.failCause(exit.cause)
        else {
          last = exit.value.reduce((sum, block) => sum + block.bytes, 0)
          bytes += last
          some.push(...exit.value)
        }
      }
      return some.length === 0 && end !== null ? yield* end : [join(some)] as const
    }))
  })

/**
 * Begins at once, and then has the next elements made while somebody is busy with those before.
 *
 * @category combinators
 * @since 0.1.0
 */
export const ahead = Effect.fnUntraced(function*<A, E, R>(
  stream: Stream.Stream<A, E, R>
): Effect.fn.Return<Stream.Stream<A, E>, never, R | Scope.Scope> {
  const scope = yield* Effect.scope
  const pull = yield* Stream.toPull(stream)
  let made = yield* Effect.forkIn(pull, scope, { startImmediately: true })
  // Not immediately: what was made is on its way first.
  const begin = Effect.forkIn(pull, scope)
  return Stream.fromPull(Effect.succeed(
    Effect.flatMap(Effect.suspend(() => Fiber.join(made)), (elements) =>
      Effect.map(begin, (next) => {
        made = next
        return elements
      }))
  ))
})
