/** One Cassandra node as a child process: its directory, its start, and everything that may happen to it afterwards. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { closeSync, fstatSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { awaitAnswer } from "./awaitAnswer.ts"
import { cassandraYaml, guard, javaArguments, logbackXml, type Place, storeNames } from "./cassandraFiles.ts"
import type { JavaRuntime } from "./javaRuntime.ts"
import { type CassandraServerError, serverError } from "./serverError.ts"
import { accessOf, type CassandraControls, logLinesMax, type ServerSettings, startedDataCenter } from "./serverModel.ts"
import { type ServerProcess, startProcess } from "./serverProcess.ts"
import { startWatchdog, type Watchdog } from "./watchdog.ts"

type Operation = CassandraServerError["operation"]

const stopTimeoutMillis = 30_000
const logBytesMax = 256 * 1024

interface Home {
  readonly directory: string
  readonly dataDirectory: string
  readonly logFile: string
  readonly watchdog: Watchdog
  process: ServerProcess | null
}

const makeHome = (settings: ServerSettings): Home => {
  const directory = mkdtempSync(join(tmpdir(), "effect-cassandra-"))
  const watchdog = startWatchdog({ directory })
  const dataDirectory = settings.dataDirectory === undefined
    ? join(directory, "storage")
    : resolve(settings.dataDirectory)
  mkdirSync(join(directory, "tmp"))
  mkdirSync(dataDirectory, { recursive: true })
  writeFileSync(join(directory, "logback.xml"), logbackXml)
  return { directory, dataDirectory, logFile: join(directory, "server.log"), watchdog, process: null }
}

const writeSettings = ({ dataDirectory, directory }: Home, settings: ServerSettings, at: Place): void => {
  const { tls } = at
  if (tls !== null) {
    writeFileSync(join(directory, storeNames.server), tls.server)
    if (tls.trusted !== null) writeFileSync(join(directory, storeNames.trusted), tls.trusted)
  }
  const guarded = guard(settings, tls === null ? null : { directory, password: tls.password })
  writeFileSync(join(directory, "cassandra.yaml"), cassandraYaml(dataDirectory, at, { ...guarded, ...settings.yaml }))
}

/** The last lines of a file, of which only the end is read. */
const tail = (path: string): ReadonlyArray<string> => {
  try {
    const file = openSync(path, "r")
    try {
      const size = fstatSync(file).size
      const bytes = Buffer.alloc(Math.min(size, logBytesMax))
      const read = readSync(file, bytes, 0, bytes.length, size - bytes.length)
      return bytes.toString("utf8", 0, read).split("\n").filter((line) => line !== "").slice(-logLinesMax)
    } finally {
      closeSync(file)
    }
  } catch {
    return []
  }
}

/** A node that does not run before it is started at a place, and runs there from then on. */
export interface JavaNode extends CassandraControls {
  /** Succeeds when it has answered a query. */
  readonly startAt: (place: Place) => Effect.Effect<void, CassandraServerError>
  /** Succeeds when it has answered a query that needs all three nodes of its cluster. */
  readonly awaitOthers: Effect.Effect<void, CassandraServerError>
  /** Whatever it does, and with all that it has written. */
  readonly undo: Effect.Effect<void>
}

export const makeJavaNode = Effect.fnUntraced(function*(
  settings: ServerSettings,
  java: JavaRuntime,
  jars: string
): Effect.fn.Return<JavaNode, CassandraServerError, Scope.Scope> {
  const home = yield* Effect.acquireRelease(
    Effect.try({
      try: () => makeHome(settings),
      catch: (error) => serverError("start", `its directories cannot be made: ${String(error)}`)
    }),
    (home) => releaseHome(home, settings)
  )
  let place: Place | null = null
  const log = Effect.sync(() => tail(home.logFile))
  const fail = (operation: Operation, detail: string) =>
    Effect.flatMap(log, (lines) => Effect.fail(serverError(operation, detail, lines)))

  const answer = (operation: Operation, process: ServerProcess, at: Place, everyNode = false) =>
    awaitAnswer({
      host: at.address,
      port: at.ports.native,
      localDataCenter: startedDataCenter,
      access: accessOf(settings, at.tls),
      timeoutMillis: settings.startupTimeoutMillis,
      ended: process.ended,
      pollMillis: 50,
      everyNode
    }).pipe(
      Effect.catch((detail) =>
        fail(operation, `Cassandra ${settings.version} on Java ${java.version} (${java.path}): ${detail}`)
      ),
      Effect.onError(() => endProcess(home, "SIGKILL"))
    )

  const start = Effect.fnUntraced(function*(operation: "start" | "restart") {
    if (place === null) return yield* fail(operation, "it was never started")
    // Uninterruptible, so that no process starts that the release does not know of.
    const process = yield* Effect.uninterruptible(Effect.tap(
      startProcess({
        command: java.path,
        args: javaArguments({ ...home, jars, heap: settings.heap, jvmOptions: settings.jvmOptions }),
        directory: home.directory,
        logFile: home.logFile,
        environment: settings.environment,
        watchdog: home.watchdog
      }),
      (process) => Effect.sync(() => void (home.process = process))
    )).pipe(Effect.catch((detail) => fail(operation, detail)))
    yield* answer(operation, process, place)
  })

  // One thing at a time: a restart does not meet a kill halfway.
  const lock = yield* Semaphore.make(1)
  const withProcess = <A, E>(
    operation: Operation,
    use: (process: ServerProcess) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | CassandraServerError> =>
    lock.withPermits(1)(Effect.gen(function*() {
      const process = home.process
      if (process === null) return yield* fail(operation, "it does not run")
      const ended = yield* process.ended
      if (ended !== null) return yield* fail(operation, `it does not run: it ${ended}`)
      return yield* use(process)
    }))

  return {
    startAt: (at) =>
      Effect.suspend(() => {
        place = at
        writeSettings(home, settings, at)
        return start("start")
      }),
    awaitOthers: withProcess("start", (process) => answer("start", process, place!, true)),
    undo: Effect.andThen(
      endProcess(home, "SIGKILL"),
      Effect.sync(() => {
        rmSync(home.logFile, { force: true })
        // Its tokens and addresses would be remembered.
        if (settings.dataDirectory === undefined) {
          rmSync(home.dataDirectory, { recursive: true, force: true, maxRetries: 3 })
          mkdirSync(home.dataDirectory)
        }
      })
    ),
    kill: withProcess("kill", () => endProcess(home, "SIGKILL")),
    stop: withProcess("stop", () => endProcess(home, "SIGTERM")),
    restart: lock.withPermits(1)(Effect.andThen(endProcess(home, "SIGTERM"), start("restart"))),
    pause: withProcess("pause", (process) => process.signal("SIGSTOP")),
    resume: withProcess("resume", (process) => process.signal("SIGCONT")),
    log
  }
})

/** Returns when no process is left. */
const endProcess = (home: Home, signal: "SIGTERM" | "SIGKILL"): Effect.Effect<void> =>
  Effect.gen(function*() {
    const process = home.process
    if (process === null) return
    yield* process.signal(signal)
    // A paused process gets no other signal until it runs again.
    yield* process.signal("SIGCONT")
    yield* process.awaitEnd.pipe(
      Effect.timeoutOrElse({
        duration: stopTimeoutMillis,
        orElse: () => Effect.andThen(process.signal("SIGKILL"), process.awaitEnd)
      })
    )
    home.process = null
    yield* home.watchdog.guardGroup(0)
  }).pipe(Effect.uninterruptible)

const releaseHome = (home: Home, settings: ServerSettings): Effect.Effect<void> =>
  // Data that is thrown away needs no drain; data that is kept gets one.
  endProcess(home, settings.dataDirectory === undefined ? "SIGKILL" : "SIGTERM").pipe(
    Effect.andThen(Effect.sync(() => rmSync(home.directory, { recursive: true, force: true, maxRetries: 3 }))),
    Effect.andThen(home.watchdog.done)
  )
