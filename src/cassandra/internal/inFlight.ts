/**
 * Promises under way, counted. A promise cannot be cancelled, so an interrupted request returns at once but stays in
 * the count until it settles, and closing waits for it.
 */
import * as Effect from "effect/Effect"

/** @internal */
export interface InFlight<E> {
  /** Runs a request, unless closing has begun. A plain callback: nothing but the promise is allocated per request. */
  readonly run: <A>(
    request: () => Promise<A>,
    onFailure: (cause: unknown) => E,
    onClosed: () => E
  ) => Effect.Effect<A, E>
  /** Refuses what comes from now on, and waits for the rest, at most so many milliseconds. Gives what was left over. */
  readonly close: (millis: number) => Effect.Effect<number>
}

/** @internal */
export const makeInFlight = <E>(): InFlight<E> => {
  let count = 0
  let closed = false
  let onIdle: (() => void) | undefined

  const settled = (): void => {
    count--
    if (count === 0) onIdle?.()
  }

  return {
    run: (request, onFailure, onClosed) =>
      Effect.callback((resume) => {
        if (closed) return resume(Effect.fail(onClosed()))
        count++
        try {
          request().then(
            (value) => {
              settled()
              resume(Effect.succeed(value))
            },
            (cause) => {
              settled()
              resume(Effect.fail(onFailure(cause)))
            }
          )
        } catch (cause) {
          settled()
          resume(Effect.fail(onFailure(cause)))
        }
      }),
    close: (millis) =>
      Effect.suspend(() => {
        closed = true
        if (count === 0 || millis <= 0) return Effect.succeed(count)
        return Effect.callback<number>((resume) => {
          onIdle = () => resume(Effect.succeed(0))
        }).pipe(
          Effect.timeoutOrElse({ duration: millis, orElse: () => Effect.sync(() => count) }),
          // closing happens in a finalizer, where a timeout could not interrupt what it waits for
          Effect.interruptible
        )
      })
  }
}
