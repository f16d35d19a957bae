import * as Effect from "effect/Effect"
import { createServer, type Server } from "node:net"

const listen = Effect.callback<Server>((resume) => {
  const server = createServer()
  server.once("error", (error) => resume(Effect.die(error)))
  server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
})

const close = (server: Server) =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
  })

const portOf = (server: Server): number => {
  const address = server.address()
  return address !== null && typeof address === "object" ? address.port : 0
}

/**
 * `count` different TCP ports of 127.0.0.1 that nobody listened on a moment ago. Another program may take one before
 * it is used: whoever uses them must be ready to ask again.
 */
export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.scoped(Effect.map(
    // All are held open until the last one is known, or the same port could be given twice.
    Effect.all(Array.from({ length: count }, () => Effect.acquireRelease(listen, close))),
    (servers) => servers.map(portOf)
  ))
