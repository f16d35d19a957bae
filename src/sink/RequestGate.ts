/**
 * Who may send how many requests now: the subtasks of a sink share one bound.
 *
 * Requests are let through in bursts. A burst goes to the network in one write, and its answers often come in one read; sent
 * singly, each as soon as another one was answered, most of what a request costs would be system calls.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/**
 * Lets requests through in bursts, within a bound that may change.
 *
 * @category models
 * @since 0.1.0
 */
export interface RequestGate {
  /**
   * Waits until some of `wanted` requests may be sent, and sends them: `send` is told how many, at least one. They count
   * as under way until it has ended.
   */
  readonly pass: <A, E, R>(
    wanted: number,
    send: (count: number) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
}

/**
 * `bound` is asked each time; what is below one counts as one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (bound: () => number): RequestGate => {
  let underWay = 0
  const waiting = new Set<() => void>()

  /** None rather than a few, as long as enough others are under way: a burst is not cut for the last free places. */
  const allowed = (wanted: number): number => {
    const max = Math.max(1, bound())
    const free = max - underWay
    if (free >= wanted) return wanted
    return underWay === 0 || free * 4 >= max ? Math.max(0, free) : 0
  }

  const turn = Effect.callback<void>((resume) => {
    const wake = () => resume(Effect.void)
    waiting.add(wake)
    return Effect.sync(() => waiting.delete(wake))
  })

  const give = (count: number): void => {
    underWay -= count
    // All look again, in their order: one that was woken may have been interrupted before it could.
    const woken = [...waiting]
    waiting.clear()
    for (const wake of woken) wake()
  }

  return {
    pass: (wanted, send) =>
      Effect.uninterruptibleMask((restore) => {
        const enter: ReturnType<typeof send> = Effect.suspend(() => {
          const count = allowed(wanted)
          if (count === 0) return Effect.andThen(restore(turn), enter)
          underWay += count
          return Effect.onExit(restore(send(count)), () => Effect.sync(() => give(count)))
        })
        return enter
      })
  }
}
