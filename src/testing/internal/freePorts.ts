import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer, type Server } from "node:net"

const attemptsMax = 10

const listen = (port: number, address: string) =>
  Effect.callback<Server, Error>((resume) => {
    const server = createServer()
    server.once("error", (error) => resume(Effect.fail(error)))
    server.listen(port, address, () => resume(Effect.succeed(server)))
  })

const close = (server: Server) =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
  })

const portOf = (server: Server): number => {
  const address = server.address()
  return address !== null && typeof address === "object" ? address.port : 0
}

const hold = (port: number, address: string) => Effect.acquireRelease(listen(port, address), close)

/** A port that is free on the first address need not be so on the others. */
const holdOnAll = (addresses: ReadonlyArray<string>): Effect.Effect<number, Error, Scope.Scope> =>
  Effect.gen(function*() {
    const [first = "127.0.0.1", ...others] = addresses
    const port = portOf(yield* hold(0, first))
    for (const address of others) yield* hold(port, address)
    return port
  }).pipe(Effect.retry({ times: attemptsMax }))

/**
 * `count` different TCP ports that nobody listened on a moment ago, at any of `addresses`. Another program may take one
 * before it is used: whoever uses them must be ready to ask again. Fails when an address is none of this machine.
 */
export const freePortsOf = (
  count: number,
  addresses: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<number>, Error> =>
  // All are held open until the last one is known, or the same port could be given twice.
  Effect.scoped(Effect.all(Array.from({ length: count }, () => holdOnAll(addresses))))

/** `count` different TCP ports of 127.0.0.1. */
export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.orDie(freePortsOf(count, ["127.0.0.1"]))
