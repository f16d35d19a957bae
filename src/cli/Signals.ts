/**
 * The signals that ask the command to end.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import Process from "node:process"

/**
 * `first` asks for an orderly end, `second` for one at once; both give the signal's name.
 *
 * @category services
 * @since 0.1.0
 */
export class Signals extends Context.Service<Signals, {
  readonly first: Effect.Effect<string>
  readonly second: Effect.Effect<string>
  /** Whether the first has come. */
  readonly isStopping: Effect.Effect<boolean>
  /** Nothing is waited for any more: what closing takes beyond a few seconds is cut off. */
  readonly hurry: (detail: string) => Effect.Effect<void>
}>()("effect-cassandra/cli/Signals") {}

/** What is in flight is let go of in less; a server that has stopped to answer must not hold the process longer. */
const closingMillisMax = 3000

/**
 * SIGINT (Ctrl-C), SIGTERM and SIGHUP of this process, from now on. `giveUp` ends it without closing anything: it is
 * called at the third signal, and when closing in a hurry takes too long.
 *
 * @category constructors
 * @since 0.1.0
 */
export const listen = (giveUp: (detail: string) => void): Signals["Service"] => {
  const received = [Deferred.makeUnsafe<string>(), Deferred.makeUnsafe<string>()] as const
  let count = 0
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    Process.on(signal, () => {
      const deferred = received[count++]
      if (deferred === undefined) giveUp(`${signal} was received a third time.`)
      else Deferred.doneUnsafe(deferred, Effect.succeed(signal))
    })
  }
  return {
    first: Deferred.await(received[0]),
    second: Deferred.await(received[1]),
    isStopping: Deferred.isDone(received[0]),
    hurry: (detail) =>
      Effect.sync(() => {
        setTimeout(giveUp, closingMillisMax, detail).unref()
      })
  }
}
