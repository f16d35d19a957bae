/** Cassandra in a container of the Docker engine, driven through the `docker` command. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { mkdirSync } from "node:fs"
import { resolve } from "node:path"
import { awaitAnswer } from "./awaitAnswer.ts"
import { guard, impatience, yamlChanges } from "./cassandraFiles.ts"
import { findOnPath, type Finished, lastLine, run } from "./command.ts"
import { freePorts } from "./freePorts.ts"
import { type CassandraServerError, serverError } from "./serverError.ts"
import {
  accessOf,
  type CassandraServerControls,
  logLinesMax,
  type ServerSettings,
  startedDataCenter
} from "./serverModel.ts"
import { startWatchdog } from "./watchdog.ts"

type Operation = CassandraServerError["operation"]

const infoTimeoutMillis = 5000
const commandTimeoutMillis = 60_000
const pullTimeoutMillis = 10 * 60 * 1000
const portAttemptsMax = 3
const portTaken = /port is already allocated|address already in use/i

/** The path of a `docker` whose engine answers, or a sentence that says why there is none. */
export const findDocker = Effect.fnUntraced(
  function*(environment: ServerSettings["environment"]): Effect.fn.Return<string, string> {
    const docker = findOnPath("docker", environment)
    if (docker === null) return yield* Effect.fail("no docker on the PATH")
    const info = yield* run(docker, ["info"], { environment, timeoutMillis: infoTimeoutMillis })
    return info.code === 0 ? docker : yield* Effect.fail(`${docker} info: ${lastLine(info)}`)
  }
)

/** The young generation, which the image wants beside the heap: a quarter of it. */
const youngGeneration = (heap: string): string => {
  const [, size = "512", unit = "M"] = /^(\d+)([kKmMgG]?)$/.exec(heap) ?? []
  return unit.toLowerCase() === "g" ? `${Number(size) * 256}M` : `${Math.max(1, Math.floor(Number(size) / 4))}${unit}`
}

/** What the container runs: the image's own entrypoint, after our changes to the image's own settings. */
const script = `sed -i -E "/^($EFFECT_CASSANDRA_WITHOUT):/d" /etc/cassandra/cassandra.yaml
printf '\\n%s' "$EFFECT_CASSANDRA_YAML" >> /etc/cassandra/cassandra.yaml
exec docker-entrypoint.sh cassandra -f`

/** The arguments of `docker` that start the server. */
const runArguments = (settings: ServerSettings, name: string, port: number): ReadonlyArray<string> => {
  const { lines, without } = yamlChanges({ ...guard(settings, null), ...settings.yaml })
  const environment = {
    MAX_HEAP_SIZE: settings.heap,
    HEAP_NEWSIZE: youngGeneration(settings.heap),
    JVM_EXTRA_OPTS: [...impatience, ...settings.jvmOptions].join(" "),
    CASSANDRA_CLUSTER_NAME: "effect-cassandra",
    CASSANDRA_NUM_TOKENS: "1",
    EFFECT_CASSANDRA_YAML: lines,
    EFFECT_CASSANDRA_WITHOUT: without.join("|")
  }
  const volume = settings.dataDirectory === undefined
    ? []
    : ["--volume", `${resolve(settings.dataDirectory)}:/var/lib/cassandra`]
  return [
    "run",
    "--detach",
    "--name",
    name,
    // A port of our choice: one that Docker chooses would change at a restart.
    "--publish",
    `127.0.0.1:${port}:9042`,
    ...Object.entries(environment).flatMap(([variable, value]) => ["--env", `${variable}=${value}`]),
    ...volume,
    `cassandra:${settings.version}`,
    "bash",
    "-c",
    script
  ]
}

/**
 * Succeeds with a sentence instead of a server when the engine does not run the image at all (it cannot be pulled, say),
 * and fails when the server itself does not come up.
 */
export const makeDockerServer = Effect.fnUntraced(function*(
  settings: ServerSettings,
  docker: string
): Effect.fn.Return<Result.Result<CassandraServerControls, string>, CassandraServerError, Scope.Scope> {
  if (settings.nodes > 1 || settings.behindProxies || settings.tls !== false) {
    return Result.fail("it starts one node without TLS that tells clients its own address; the kind java does more")
  }
  const access = accessOf(settings, null)
  const name = `effect-cassandra-${randomBytes(6).toString("hex")}`
  const command = (args: ReadonlyArray<string>, timeoutMillis = commandTimeoutMillis): Effect.Effect<Finished> =>
    run(docker, args, { environment: settings.environment, timeoutMillis })
  const remove = command(["rm", "--force", "--volumes", name])
  yield* Effect.acquireRelease(
    Effect.sync(() => startWatchdog({ container: { docker, name } })),
    (watchdog) => Effect.andThen(remove, watchdog.done)
  )
  const log = Effect.map(
    command(["logs", "--tail", String(logLinesMax), name]),
    (finished) => `${finished.stdout}\n${finished.stderr}`.split("\n").filter((line) => line !== "").slice(-logLinesMax)
  )
  const fail = (operation: Operation, detail: string) =>
    Effect.flatMap(log, (lines) => Effect.fail(serverError(operation, detail, lines)))
  const ended = Effect.map(
    command(["inspect", "--format", "{{.State.Status}}", name]),
    (finished) => (finished.stdout.trim() === "exited" || finished.stdout.trim() === "dead" ? "stopped" : null)
  )
  const ready = Effect.fnUntraced(function*(operation: "start" | "restart", port: number) {
    const launched = yield* Clock.currentTimeMillis
    yield* awaitAnswer({
      host: "127.0.0.1",
      port,
      localDataCenter: startedDataCenter,
      access,
      timeoutMillis: settings.startupTimeoutMillis,
      ended,
      pollMillis: 250
    }).pipe(Effect.catch((detail) => fail(operation, `container ${name} of cassandra:${settings.version}: ${detail}`)))
    return (yield* Clock.currentTimeMillis) - launched
  })

  const image = `cassandra:${settings.version}`
  // Apart from `run`, which would pull it as well: until the image is here there is no container that a killed owner
  // could leave behind.
  const pull = Effect.fnUntraced(function*(): Effect.fn.Return<void, string> {
    if ((yield* command(["image", "inspect", image])).code === 0) return
    yield* Effect.logInfo(`Pulling ${image}, once`)
    const pulled = yield* command(["pull", "--quiet", image], pullTimeoutMillis)
    if (pulled.code !== 0) return yield* Effect.fail(`docker pull ${image}: ${lastLine(pulled)}`)
  })

  const runOnFreePort = Effect.fnUntraced(function*(): Effect.fn.Return<number, string> {
    yield* pull()
    for (let attempt = 1;; attempt++) {
      const [port = 0] = yield* freePorts(1)
      const finished = yield* command(runArguments(settings, name, port))
      if (finished.code === 0) return port
      // A container whose port was taken exists all the same, under our name.
      yield* remove
      if (attempt === portAttemptsMax || !portTaken.test(finished.stderr)) {
        return yield* Effect.fail(`docker run ${image}: ${lastLine(finished)}`)
      }
    }
  })
  const { dataDirectory } = settings
  if (dataDirectory !== undefined) {
    yield* Effect.try({
      try: () => mkdirSync(dataDirectory, { recursive: true }),
      catch: (error) => serverError("start", `its data directory cannot be made: ${String(error)}`)
    })
  }
  const port = yield* Effect.result(runOnFreePort())
  if (Result.isFailure(port)) return Result.fail(port.failure)
  const startMillis = yield* ready("start", port.success)

  const control = (operation: Operation, ...args: ReadonlyArray<string>) =>
    Effect.flatMap(
      command([...args, name]),
      (finished) =>
        finished.code === 0 ? Effect.void : fail(operation, `docker ${args.join(" ")} ${name}: ${lastLine(finished)}`)
    )
  // A paused container takes no other command; one that is not paused refuses this one, which is fine.
  const unpause = command(["unpause", name])
  const controls = {
    kill: Effect.andThen(unpause, control("kill", "kill", "--signal", "KILL")),
    stop: Effect.andThen(unpause, control("stop", "stop", "--time", "30")),
    restart: unpause.pipe(
      Effect.andThen(control("restart", "restart", "--time", "30")),
      Effect.andThen(ready("restart", port.success)),
      Effect.asVoid
    ),
    pause: control("pause", "pause"),
    resume: control("resume", "unpause"),
    log
  }
  const contactPoint = `127.0.0.1:${port.success}`
  return Result.succeed({
    ...controls,
    contactPoints: [contactPoint],
    port: port.success,
    localDataCenter: startedDataCenter,
    kind: "docker",
    startMillis,
    session: { contactPoints: [contactPoint], localDataCenter: startedDataCenter, ...access },
    nodes: [{ ...controls, contactPoint, advertised: contactPoint }]
  })
})
