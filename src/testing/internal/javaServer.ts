/** Cassandra as child processes: one on 127.0.0.1, or several on addresses of their own with the same ports. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { randomInt } from "node:crypto"
import { type Place, tokensOf } from "./cassandraFiles.ts"
import { freePortsOf } from "./freePorts.ts"
import { type JavaNode, makeJavaNode } from "./javaNode.ts"
import type { JavaRuntime } from "./javaRuntime.ts"
import { type CassandraServerError, serverError } from "./serverError.ts"
import {
  type Access,
  accessOf,
  type CassandraControls,
  type CassandraServerControls,
  type ServerSettings,
  startedDataCenter
} from "./serverModel.ts"
import { makeTlsMaterial, type TlsMaterial } from "./tlsMaterial.ts"

const portAttemptsMax = 3
const tokensEach = 4
/** Of the proxies' addresses, in the same net as the nodes' own. */
const proxyOffset = 100

/** What Cassandra writes when a port of its was taken between choosing and binding it. */
const portTaken = /Failed to bind port|Address already in use|BindException|is in use by another process/

interface Net {
  readonly addresses: ReadonlyArray<string>
  /** Null when the nodes are what clients talk to. */
  readonly proxies: ReadonlyArray<string> | null
}

/** A net of its own for each cluster, 127.0.x.0, so that those of parallel tests do not meet. */
const chooseNet = (settings: ServerSettings): Net => {
  if (settings.nodes === 1 && !settings.behindProxies) return { addresses: ["127.0.0.1"], proxies: null }
  const net = randomInt(1, 255)
  const address = (host: number) => `127.0.${net}.${host}`
  const hosts = Array.from({ length: settings.nodes }, (_, i) => i + 1)
  return {
    addresses: hosts.map(address),
    proxies: settings.behindProxies ? hosts.map((host) => address(host + proxyOffset)) : null
  }
}

const placesOf = (net: Net, native: number, storage: number, tls: TlsMaterial | null): ReadonlyArray<Place> =>
  net.addresses.map((address, i) => ({
    address,
    advertised: net.proxies?.[i],
    ports: { native, storage },
    seeds: net.addresses,
    tokens: net.addresses.length === 1 ? undefined : tokensOf(i, net.addresses.length, tokensEach),
    tls
  }))

/** `choosePorts` gives two that are free on all addresses: for CQL, and for the nodes among themselves. */
export const makeJavaServer = Effect.fnUntraced(function*(
  settings: ServerSettings,
  java: JavaRuntime,
  jars: string,
  choosePorts: (addresses: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<number>, Error> = (addresses) =>
    freePortsOf(2, addresses)
): Effect.fn.Return<Result.Result<CassandraServerControls, string>, CassandraServerError, Scope.Scope> {
  if (settings.nodes > 1 && settings.dataDirectory !== undefined) {
    return yield* serverError("start", "a data directory can be given for one node only, not for 3")
  }
  const nodes: Array<JavaNode> = []
  for (let i = 0; i < settings.nodes; i++) nodes.push(yield* makeJavaNode(settings, java, jars))

  for (let attempt = 1;; attempt++) {
    const net = chooseNet(settings)
    const addresses = [...net.addresses, ...net.proxies ?? []]
    // Before the ports are chosen: it takes a while, and a port is only free at the moment.
    const tls = settings.tls === false
      ? null
      : yield* makeTlsMaterial(
        java.path,
        addresses,
        settings.tls === "client-certificate",
        settings.environment
      ).pipe(Effect.mapError((detail) => serverError("start", `its certificates cannot be made: ${detail}`)))
    const ports = yield* Effect.result(choosePorts(addresses))
    if (Result.isFailure(ports)) {
      return Result.fail(
        `it needs the addresses ${addresses.join(", ")}, which this machine does not ` +
          `have (${ports.failure.message}); Linux has all of 127.0.0.0/8`
      )
    }
    const [native = 0, storage = 0] = ports.success
    const places = placesOf(net, native, storage, tls)
    const startMillis = yield* startAll(nodes, places).pipe(
      Effect.catchIf(
        (error) => attempt < portAttemptsMax && error.log.some((line) => portTaken.test(line)),
        () => Effect.as(Effect.forEach(nodes, ({ undo }) => undo, { discard: true }), null)
      )
    )
    if (startMillis !== null) return Result.succeed(controlsOf(nodes, places, startMillis, accessOf(settings, tls)))
  }
})

const startAll = Effect.fnUntraced(function*(nodes: ReadonlyArray<JavaNode>, places: ReadonlyArray<Place>) {
  const concurrency = "unbounded"
  const launched = yield* Clock.currentTimeMillis
  // At once: one that starts alone would wait for the others.
  yield* Effect.forEach(nodes, (node, i) => node.startAt(places[i]!), { concurrency, discard: true })
  if (nodes.length > 1) yield* Effect.forEach(nodes, ({ awaitOthers }) => awaitOthers, { concurrency, discard: true })
  return (yield* Clock.currentTimeMillis) - launched
})

const controlsOf = (
  nodes: ReadonlyArray<JavaNode>,
  places: ReadonlyArray<Place>,
  startMillis: number,
  access: Access
): CassandraServerControls => {
  const port = places[0]!.ports.native
  const contactPoints = places.map(({ address }) => `${address}:${port}`)
  return {
    ...ofAll(nodes),
    contactPoints,
    session: { contactPoints, localDataCenter: startedDataCenter, ...access },
    port,
    localDataCenter: startedDataCenter,
    kind: "java",
    startMillis,
    nodes: nodes.map(({ kill, log, pause, restart, resume, stop }, i) => ({
      kill,
      stop,
      restart,
      pause,
      resume,
      log,
      contactPoint: `${places[i]!.address}:${port}`,
      advertised: `${places[i]!.advertised ?? places[i]!.address}:${port}`
    }))
  }
}

/** The controls of all nodes: what some can't do the others do. */
const ofAll = (nodes: ReadonlyArray<CassandraControls>): CassandraControls => {
  const each = Effect.fnUntraced(function*(operation: "kill" | "stop" | "pause" | "resume") {
    const results = yield* Effect.forEach(nodes, (node) => Effect.result(node[operation]), { concurrency: "unbounded" })
    const failed = results.find(Result.isFailure)
    if (failed !== undefined && results.every(Result.isFailure)) return yield* Effect.fail(failed.failure)
  })
  return {
    kill: each("kill"),
    stop: each("stop"),
    restart: Effect.forEach(nodes, ({ restart }) => restart, { concurrency: "unbounded", discard: true }),
    pause: each("pause"),
    resume: each("resume"),
    log: Effect.map(Effect.forEach(nodes, ({ log }) => log), (logs) => logs.flat())
  }
}
