import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { connect } from "node:net"
import { cqlProbe } from "./cqlProbe.ts"
import type { Access } from "./serverModel.ts"

/** Whether something accepts connections: far cheaper to ask over and over than a CQL query. */
const accepts = (host: string, port: number): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const socket = connect({ host, port, timeout: 1000 })
    const end = (answer: boolean) => {
      socket.destroy()
      resume(Effect.succeed(answer))
    }
    socket.once("connect", () => end(true))
    socket.once("error", () => end(false))
    socket.once("timeout", () => end(false))
    return Effect.sync(() => socket.destroy())
  })

/**
 * Waits until a server on a local address answers a query. Fails with a sentence when `ended` says that it is gone, or
 * when the time is over.
 */
export const awaitAnswer = Effect.fnUntraced(function*(options: {
  readonly host: string
  readonly port: number
  readonly localDataCenter: string
  readonly access: Access
  readonly timeoutMillis: number
  /** How the server ended, or `null` while it runs. */
  readonly ended: Effect.Effect<string | null>
  readonly pollMillis: number
  /** Whether the answer needs all three nodes of the cluster. */
  readonly everyNode?: boolean | undefined
}): Effect.fn.Return<void, string> {
  const deadline = (yield* Clock.currentTimeMillis) + options.timeoutMillis
  let last = "the port was never open"
  while ((yield* Clock.currentTimeMillis) < deadline) {
    const ended = yield* options.ended
    if (ended !== null) return yield* Effect.fail(`it ${ended} before it answered a query`)
    if (yield* accepts(options.host, options.port)) {
      const { access, everyNode, localDataCenter } = options
      const failure = yield* cqlProbe({
        ...access,
        contactPoints: [`${options.host}:${options.port}`],
        localDataCenter
      }, everyNode).pipe(Effect.match({ onSuccess: () => null, onFailure: (detail) => detail }))
      if (failure === null) return
      last = failure
    }
    yield* Effect.sleep(options.pollMillis)
  }
  return yield* Effect.fail(`no query was answered within ${options.timeoutMillis / 1000} s (${last})`)
})
