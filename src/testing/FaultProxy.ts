/**
 * A TCP proxy between a client and a server that can be told to misbehave, as a scoped resource: the network faults that
 * a test on real sockets needs, for the code under test in this process or in another one.
 *
 * **Which way do connections go?** To one server, a proxy is enough: its `address` is what the client gets. A client of a
 * Cassandra cluster, though, asks the first node for the addresses of the others and connects to these by itself.
 * `CassandraServer.make({ nodes: 3, behindProxies: true })` starts nodes that tell clients the addresses at which
 * `ofServer` listens, so that no connection goes past the proxies.
 *
 * Faults take effect at once, on connections that are open too. A connection of which bytes were dropped is reset when
 * the fault ends, because nothing can fill the hole. Time is always real time here, also under a `TestClock`.
 *
 * @since 0.1.0
 */
import { type DseClientOptions, policies } from "cassandra-driver"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Net from "node:net"
import type { CassandraServerControls } from "./CassandraServer.ts"
import { Link, type Totals } from "./internal/proxyLink.ts"

/**
 * What the network does. What is left out works.
 *
 * @category models
 * @since 0.1.0
 */
export interface Faults {
  /** Each byte arrives this much later, in both directions. Default 0. */
  readonly latencyMillis?: number | undefined
  /** As much gets through of each connection, in each direction. Default no limit. */
  readonly bytesPerSecond?: number | undefined
  /** Nobody listens: connections are refused. Those that are open go on. Default false. */
  readonly refuse?: boolean | undefined
  /**
   * Half-open: after so many more bytes from clients, nothing arrives any more in either direction, and nobody is told.
   * New connections are accepted. Default never; 0 is at once.
   */
  readonly silentAfter?: number | undefined
  /**
   * The lost acknowledgement: after so many more bytes from the server, its replies are dropped, while it still gets
   * and does what clients ask for. Default never; 0 is at once.
   */
  readonly noRepliesAfter?: number | undefined
}

/**
 * A proxy that is listening, and what it does to the traffic.
 *
 * @category models
 * @since 0.1.0
 */
export interface FaultProxy {
  /** Where it listens, `host:port`. */
  readonly address: string
  readonly host: string
  readonly port: number
  /** From now on these faults, and no others. */
  readonly set: (faults: Faults) => Effect.Effect<void, FaultProxyError>
  /** `set({})`. */
  readonly heal: Effect.Effect<void, FaultProxyError>
  /** Resets (RST) all connections that are open, and succeeds with how many there were. */
  readonly reset: Effect.Effect<number>
  /** How many connections are open, and how much has passed in all. */
  readonly stats: Effect.Effect<{
    readonly connections: number
    readonly bytesFromClients: number
    readonly bytesFromServer: number
  }>
}

/**
 * The proxy could not listen at its address.
 *
 * @category errors
 * @since 0.1.0
 */
export class FaultProxyError extends Data.TaggedError("FaultProxyError")<{
  readonly address: string
  readonly cause: Error
}> {
  override get message(): string {
    return `The proxy can't listen at ${this.address}: ${this.cause.message}`
  }
}

/**
 * Between which two addresses it stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface FaultProxyOptions {
  /** The server behind it, `host:port`. */
  readonly target: string
  /** Where to listen, `host:port`; port 0 is any that is free. Default `127.0.0.1:0`. */
  readonly listen?: string | undefined
}

const parse = (address: string): { readonly host: string; readonly port: number } => {
  const colon = address.lastIndexOf(":")
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), port: Number(address.slice(colon + 1)) }
}

/**
 * Listens for as long as the Scope is open; then every connection is reset.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: FaultProxyOptions
): Effect.fn.Return<FaultProxy, FaultProxyError, Scope.Scope> {
  const target = parse(options.target)
  const { host, port: wanted } = parse(options.listen ?? "127.0.0.1:0")
  const links = new Set<Link>()
  const totals: Totals = { fromClients: 0, fromServer: 0, silentAt: Infinity, noRepliesAt: Infinity }
  let faults: Faults = {}

  const accept = (client: Net.Socket) => {
    const link = new Link(client, Net.connect(target), faults, totals)
    links.add(link)
    link.onClose = () => links.delete(link)
  }
  const reset = Effect.sync(() => {
    const open = links.size
    for (const link of links) link.reset()
    return open
  })

  let server: Net.Server | null = null
  const listen = (port: number): Effect.Effect<number, FaultProxyError> =>
    Effect.callback((resume) => {
      const made = Net.createServer(accept)
      const refused = (cause: Error) => resume(Effect.fail(new FaultProxyError({ address: `${host}:${port}`, cause })))
      made.once("error", refused)
      made.listen(port, host, () => {
        made.off("error", refused)
        server = made
        resume(Effect.succeed((made.address() as Net.AddressInfo).port))
      })
    })
  /** The socket is closed when this ends; connections that came through it stay. */
  const deafen = Effect.suspend(() => {
    if (server === null) return Effect.void
    const closing = server
    server = null
    closing.close()
    return Effect.void
  })

  const port = yield* Effect.acquireRelease(
    listen(wanted),
    () => Effect.andThen(deafen, reset)
  )

  // One thing at a time: two who open the socket again at once would find it taken.
  const lock = yield* Semaphore.make(1)
  const set = (next: Faults): Effect.Effect<void, FaultProxyError> =>
    Semaphore.withPermits(lock, 1)(Effect.suspend(() => {
      faults = next
      totals.silentAt = totals.fromClients + (next.silentAfter ?? Infinity)
      totals.noRepliesAt = totals.fromServer + (next.noRepliesAfter ?? Infinity)
      for (const link of links) link.set(next)
      if (next.refuse === true) return deafen
      return server === null ? Effect.asVoid(listen(port)) : Effect.void
    }))

  return {
    address: `${host}:${port}`,
    host,
    port,
    set,
    heal: set({}),
    reset,
    stats: Effect.sync(() => ({
      connections: links.size,
      bytesFromClients: totals.fromClients,
      bytesFromServer: totals.fromServer
    }))
  }
})

/**
 * A proxy for each node of a server that was started with `behindProxies`, in the order of its nodes. Their addresses are
 * the contact points that clients get.
 *
 * **Example** (A node that gets what it is asked for, and does not answer)
 *
 * ```ts
 * import { Effect } from "effect"
 * import * as CassandraServer from "effect-cassandra/testing/CassandraServer"
 * import * as FaultProxy from "effect-cassandra/testing/FaultProxy"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* CassandraServer.make({ nodes: 3, behindProxies: true })
 *   const proxies = yield* FaultProxy.ofServer(server)
 *   const contactPoints = proxies.map(({ address }) => address)
 *   // ... start what is tested with these contact points, then:
 *   yield* proxies[0]!.set({ noRepliesAfter: 0 })
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofServer = (
  server: CassandraServerControls
): Effect.Effect<ReadonlyArray<FaultProxy>, FaultProxyError, Scope.Scope> =>
  Effect.forEach(server.nodes, ({ advertised, contactPoint }) =>
    // A node that is not behind a proxy gets one at any address: enough for a client that asks for no others.
    make({ target: contactPoint, listen: advertised === contactPoint ? undefined : advertised }))

/**
 * Options of the driver (`driverOptions` of a session) with which a session finds all nodes of a server past the proxies:
 * for whoever looks on. Its contact points are the server's own.
 *
 * @category combinators
 * @since 0.1.0
 */
export const bypass = (server: CassandraServerControls): DseClientOptions => {
  const direct = new Map(server.nodes.map(({ advertised, contactPoint }) => [advertised, contactPoint]))
  const addressResolution = policies.defaultAddressTranslator()
  addressResolution.translate = (address, port, callback) => {
    const told = `${address}:${port}` // The driver's types say that this gives nothing; it calls back with an address.
    ;(callback as (address: string) => void)(direct.get(told) ?? told)
  }
  return { policies: { addressResolution } }
}
