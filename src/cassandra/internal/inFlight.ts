/**
 * Promises under way, counted. A promise cannot be cancelled, so an interrupted request returns at once but stays in
 * the count until it settles, and closing waits for it.
 */
import * as Effect from "effect/Effect"

/**
 * Called when a request is sent; what it gives is called when its promise has settled, with the failure or null.
 *
 * @internal
 */
export type Observe<E> = () => (failure: E | null) => void

/** @internal */
export interface InFlight<E> {
  /** Runs a request, unless closing has begun. A plain callback: nothing but the promise is allocated per request. */
  readonly run: <A>(
    request: () => Promise<A>,
    onFailure: (cause: unknown) => E,
    onClosed: () => E,
    observe: Observe<E>
  ) => Effect.Effect<A, E>
  /**
   * Runs some requests at once: one callback for all of them, which comes when the last has settled, with the failure of
   * each, or null. When closing has begun, none is sent.
   */
  readonly runAll: (
    count: number,
    request: (index: number) => Promise<unknown>,
    onFailure: (cause: unknown) => E,
    onClosed: () => E,
    observe: Observe<E>
  ) => Effect.Effect<Array<E | null>>
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
    run: (request, onFailure, onClosed, observe) =>
      Effect.callback((resume) => {
        if (closed) return resume(Effect.fail(onClosed()))
        count++
        const observed = observe()
        const failed = (cause: unknown) => {
          const failure = onFailure(cause)
          settled()
          observed(failure)
          resume(Effect.fail(failure))
        }
        try {
          request().then(
            (value) => {
              settled()
              observed(null)
              resume(Effect.succeed(value))
            },
            failed
          )
        } catch (cause) {
          failed(cause)
        }
      }),
    runAll: (requests, request, onFailure, onClosed, observe) =>
      Effect.callback((resume) => {
        const failures: Array<E | null> = Array.from({ length: requests }, () => null)
        if (closed) return resume(Effect.succeed(failures.map(onClosed)))
        let left = requests
        count += requests
        const end = () => {
          settled()
          if (--left === 0) resume(Effect.succeed(failures))
        }
        for (let i = 0; i < requests; i++) {
          const observed = observe()
          const failed = (cause: unknown) => {
            const failure = onFailure(cause)
            failures[i] = failure
            observed(failure)
            end()
          }
          try {
            request(i).then(() => {
              observed(null)
              end()
            }, failed)
          } catch (cause) {
            failed(cause)
          }
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
