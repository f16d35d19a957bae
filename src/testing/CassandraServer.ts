/**
 * A real Cassandra for tests, one node or three, as a scoped Layer.
 *
 * It takes what the machine has: a cluster named by `CASSANDRA_CONTACT_POINTS`, else a container, else a Java process
 * whose jars are fetched once from Maven Central. A server is ready when it has answered a query. A server that was
 * started here is gone with its Scope, processes, containers and directories, and also when the process that owned the
 * Scope was killed: a watchdog cleans up behind it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import * as CassandraSession from "../cassandra/CassandraSession.ts"
import { cassandraJars } from "./internal/cassandraJars.ts"
import { findDocker, makeDockerServer } from "./internal/dockerServer.ts"
import { findExternal } from "./internal/externalServer.ts"
import { findJava } from "./internal/javaRuntime.ts"
import { makeJavaServer } from "./internal/javaServer.ts"
import { CassandraServerError, serverError } from "./internal/serverError.ts"
import type {
  CassandraControls,
  CassandraNodeControls,
  CassandraServerControls,
  CassandraServerKind,
  CassandraServerOptions,
  ServerSettings
} from "./internal/serverModel.ts"

export { CassandraServerError }
export type {
  CassandraControls,
  CassandraNodeControls,
  CassandraServerControls,
  CassandraServerKind,
  CassandraServerOptions
}

/**
 * The server that tests run against.
 *
 * @category services
 * @since 0.1.0
 */
export class CassandraServer extends Context.Service<CassandraServer, CassandraServerControls>()(
  "effect-cassandra/testing/CassandraServer"
) {}

/** A server to use, or a sentence that says why there is none of this kind. */
type Attempt = Effect.Effect<Result.Result<CassandraServerControls, string>, CassandraServerError, Scope.Scope>

const attempts: { readonly [K in CassandraServerKind]: (settings: ServerSettings) => Attempt } = {
  external: (settings) => findExternal(settings),
  docker: (settings) =>
    Effect.matchEffect(findDocker(settings.environment), {
      onFailure: (reason) => Effect.succeed(Result.fail(reason)),
      onSuccess: (docker) => makeDockerServer(settings, docker)
    }),
  java: (settings) =>
    Effect.matchEffect(findJavaAndJars(settings), {
      onFailure: (reason) => Effect.succeed(Result.fail(reason)),
      onSuccess: ({ jars, java }) => makeJavaServer(settings, java, jars)
    })
}

const findJavaAndJars = Effect.fnUntraced(function*(settings: ServerSettings) {
  if (process.platform === "win32") {
    return yield* Effect.fail("Cassandra 5 does not run on Windows outside of a container")
  }
  const java = yield* findJava(settings.environment)
  const jars = yield* cassandraJars(settings.version, settings.environment)
  return { java, jars }
})

const names: { readonly [K in CassandraServerKind]: string } = {
  external: "A running cluster",
  docker: "Docker",
  java: "Java and Maven"
}

const remedies: { readonly [K in CassandraServerKind]: string } = {
  external: "name a cluster: CASSANDRA_CONTACT_POINTS=host:port, and CASSANDRA_LOCAL_DC unless it is datacenter1",
  docker: "start a Docker engine that `docker info` can reach",
  java: "install Java 17 and Maven: apt-get install openjdk-17-jre-headless maven, or brew install openjdk@17 maven"
}

/**
 * Gets a server for the current Scope.
 *
 * The kinds of `options.kinds` are tried in order. A cluster that is named in the environment but does not answer, and a
 * server that was started but does not come up, are errors and no reason to try the next kind. Time is always real time
 * here, also under a `TestClock`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: CassandraServerOptions = {}
): Effect.Effect<CassandraServerControls, CassandraServerError, Scope.Scope> =>
  makeFirst({
    kinds: options.kinds ?? ["external", "docker", "java"],
    version: options.version ?? "5.0.5",
    nodes: options.nodes ?? 1,
    behindProxies: options.behindProxies ?? false,
    authentication: options.authentication ?? false,
    tls: options.tls ?? false,
    heap: options.heap ?? (options.nodes === 3 ? "384M" : "512M"),
    yaml: options.yaml ?? {},
    jvmOptions: options.jvmOptions ?? [],
    startupTimeoutMillis: Duration.toMillis(options.startupTimeout ?? "120 seconds"),
    dataDirectory: options.dataDirectory,
    environment: options.environment ?? process.env
  }).pipe(Effect.map(inRealTime), realTime)

const makeFirst = Effect.fnUntraced(function*(settings: ServerSettings) {
  const reasons: Array<string> = []
  for (const kind of settings.kinds) {
    const attempt = yield* attempts[kind](settings)
    if (Result.isSuccess(attempt)) return attempt.success
    reasons.push(`${names[kind]}: ${attempt.failure}`)
  }
  return yield* serverError(
    "find",
    [
      "No Cassandra to test against. Tried, in this order:",
      ...reasons.map((reason, index) => `  ${index + 1}. ${reason}`),
      "Any one of these helps:",
      ...settings.kinds.map((kind) => `  - ${remedies[kind]}`)
    ].join("\n")
  )
})

/** A server does not start faster because a test stands still the clock. */
const realTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())

const controlsInRealTime = <A extends CassandraControls>(controls: A): A => ({
  ...controls,
  kill: realTime(controls.kill),
  stop: realTime(controls.stop),
  restart: realTime(controls.restart),
  pause: realTime(controls.pause),
  resume: realTime(controls.resume),
  log: realTime(controls.log)
})

const inRealTime = (server: CassandraServerControls): CassandraServerControls => ({
  ...controlsInRealTime(server),
  nodes: server.nodes.map(controlsInRealTime)
})

/**
 * `make` as a Layer: one server for all who share the Layer, for as long as it is built.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: CassandraServerOptions = {}): Layer.Layer<CassandraServer, CassandraServerError> =>
  Layer.effect(CassandraServer, make(options))

/**
 * A server and a session with it: all that most tests need.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSession = (
  options: CassandraServerOptions = {}
): Layer.Layer<CassandraServer | CassandraSession.CassandraSession, CassandraServerError | CassandraError> =>
  Layer.effect(
    CassandraSession.CassandraSession,
    Effect.flatMap(CassandraServer, ({ session }) => CassandraSession.make(session))
  ).pipe(Layer.provideMerge(layer(options)))
