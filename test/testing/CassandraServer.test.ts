import { assert, describe, it, layer } from "@effect/vitest"
import { Client } from "cassandra-driver"
import { Duration, Effect, Exit, Layer, Result, Scope } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import * as CassandraServer from "../../src/testing/CassandraServer.ts"
import { cassandraJars } from "../../src/testing/internal/cassandraJars.ts"
import { freePorts } from "../../src/testing/internal/freePorts.ts"
import { findJava } from "../../src/testing/internal/javaRuntime.ts"
import { makeJavaServer } from "../../src/testing/internal/javaServer.ts"
import { hasJava } from "./hasJava.ts"
import { tempDirectory } from "./tempDirectory.ts"

type Server = CassandraServer.CassandraServerControls

const executable = (folder: string, name: string, script: string) => {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, name), script)
  chmodSync(join(folder, name), 0o755)
}

/** Processes (the server, its watchdog) that have this text among their arguments. */
const processesWith = (text: string): ReadonlyArray<string> =>
  execFileSync("ps", ["-A", "-ww", "-o", "pid=,args="], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes(text))

const eventually = (what: string, condition: () => boolean, timeoutMillis = 15_000) =>
  Effect.promise(async () => {
    const deadline = performance.now() + timeoutMillis
    while (!condition()) {
      assert.isBelow(performance.now(), deadline, `not so within ${timeoutMillis} ms: ${what}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })

const withClient = <A>(server: Server, use: (client: Client) => Promise<A>) =>
  Effect.acquireUseRelease(
    Effect.sync(() =>
      new Client({
        contactPoints: [...server.contactPoints],
        localDataCenter: server.localDataCenter,
        socketOptions: { readTimeout: 1000 }
      })
    ),
    (client) => Effect.promise(() => use(client)),
    (client) => Effect.promise(() => client.shutdown())
  )

const setting = (server: Server, name: string) =>
  withClient(server, async (client) => {
    const result = await client.execute("SELECT value FROM system_views.settings WHERE name = ?", [name])
    return String(result.first()["value"])
  })

/** Everything of a server that this module started is under one directory: its data, its log, its settings. */
const directoryOf = (server: Server) =>
  Effect.map(setting(server, "commitlog_directory"), (path) => path.slice(0, path.indexOf("/storage/")))

describe.skipIf(!hasJava)("a private server", () => {
  layer(
    CassandraServer.layer({ kinds: ["java"], heap: "300M", yaml: { batch_size_warn_threshold: "7KiB" } }),
    // Built under the TestClock on purpose: a server takes its real time to start whatever the test's clock says.
    { timeout: Duration.minutes(2) }
  )((it) => {
    it.effect("takes the settings it is given", () =>
      Effect.gen(function*() {
        const server = yield* CassandraServer.CassandraServer
        assert.strictEqual(server.kind, "java")
        assert.deepStrictEqual(server.contactPoints, [`127.0.0.1:${server.port}`])
        assert.strictEqual(yield* setting(server, "native_transport_port"), String(server.port))
        assert.strictEqual(yield* setting(server, "batch_size_warn_threshold"), "7KiB")
        assert.strictEqual(yield* setting(server, "auto_snapshot"), "false")
        assert.include(processesWith(yield* directoryOf(server)).join("\n"), "-Xmx300M")
        assert.include((yield* server.log).join("\n"), "Starting listening for CQL clients")
        assert.isAbove(server.startMillis, 100)
      }), 60_000)

    it.effect("does not answer while it is paused", () =>
      Effect.gen(function*() {
        const server = yield* CassandraServer.CassandraServer
        yield* server.pause
        const paused = yield* Effect.exit(setting(server, "auto_snapshot"))
        yield* server.resume
        assert.isTrue(Exit.isFailure(paused))
        assert.strictEqual(yield* setting(server, "auto_snapshot"), "false")
      }), 60_000)

    it.effect("keeps every acknowledged row through a kill", () =>
      Effect.gen(function*() {
        const server = yield* CassandraServer.CassandraServer
        const rows = 300
        yield* withClient(server, async (client) => {
          await client.execute(
            "CREATE KEYSPACE kept WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
          )
          await client.execute("CREATE TABLE kept.rows (id int PRIMARY KEY)")
          for (let id = 0; id < rows; id++) {
            await client.execute("INSERT INTO kept.rows (id) VALUES (?)", [id], { prepare: true })
          }
        })
        yield* server.kill
        const again = yield* Effect.flip(server.kill)
        assert.include(again.message, "kill: it does not run")
        assert.isTrue(Exit.isFailure(yield* Effect.exit(setting(server, "auto_snapshot"))))

        yield* server.restart
        assert.strictEqual(yield* setting(server, "native_transport_port"), String(server.port))
        const count = yield* withClient(server, async (client) =>
          Number((await client.execute("SELECT count(*) AS n FROM kept.rows")).first()["n"]))
        assert.strictEqual(count, rows)
      }), 90_000)
  })
})

describe.skipIf(!hasJava)("what is left", () => {
  it.live("nothing after the Scope, after a start that found its port taken", () =>
    Effect.gen(function*() {
      const java = yield* findJava(process.env)
      const jars = yield* cassandraJars("5.0.5", process.env)
      const occupied = createServer().listen(0, "127.0.0.1")
      yield* Effect.promise(() => new Promise((resolve) => occupied.once("listening", resolve)))
      const taken = (occupied.address() as { readonly port: number }).port
      let choices = 0
      const choosePorts = () =>
        choices++ === 0 ? Effect.map(freePorts(1), ([native = 0]) => [native, taken]) : freePorts(2)
      const scope = Scope.makeUnsafe()
      const started = yield* Scope.provide(
        makeJavaServer(
          {
            kinds: ["java"],
            version: "5.0.5",
            nodes: 1,
            behindProxies: false,
            authentication: false,
            tls: false,
            heap: "300M",
            yaml: {},
            jvmOptions: [],
            startupTimeoutMillis: 90_000,
            dataDirectory: undefined,
            environment: process.env
          },
          java,
          jars,
          choosePorts
        ),
        scope
      )
      assert(Result.isSuccess(started))
      const server = started.success
      occupied.close()
      assert.strictEqual(choices, 2)
      const directory = yield* directoryOf(server)
      assert.isTrue(existsSync(directory))
      assert.lengthOf(processesWith(directory), 2, "the server and its watchdog")
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(existsSync(directory))
      yield* eventually("no process", () => processesWith(directory).length === 0)
    }), 120_000)

  const modulePath = pathToFileURL(join(import.meta.dirname, "../../src/testing/CassandraServer.ts")).href
  const effectPath = import.meta.resolve("effect")
  const owner = `
    import { Effect } from ${JSON.stringify(effectPath)}
    import { make } from ${JSON.stringify(modulePath)}
    await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      yield* make({ kinds: ["java"], heap: "300M" })
      process.stdout.write("ready")
      setInterval(() => {}, 1000)
      yield* Effect.never
    })))`

  const killOwner = (child: ChildProcess) =>
    Effect.promise(async () => {
      const ended = new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)))
      assert.isNull(child.exitCode, "the owner is alive until it is killed")
      child.kill("SIGKILL")
      assert.strictEqual(await ended, "SIGKILL")
    })

  /** A Node process that owns a server, all of whose files are in `folder`. */
  const startOwner = (folder: string) =>
    Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, ["--input-type=module", "-e", owner], {
          env: { ...process.env, TMPDIR: folder },
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )

  it.live("nothing after a SIGKILL of the process that owned it", () =>
    Effect.gen(function*() {
      const folder = yield* tempDirectory
      const child = yield* startOwner(folder)
      yield* Effect.promise(() => new Promise((resolve) => child.stdout.once("data", resolve)))
      assert.isAbove(processesWith(folder).length, 0)
      yield* killOwner(child)
      yield* eventually("no process", () => processesWith(folder).length === 0)
      yield* eventually("no file", () => readdirSync(folder).length === 0)
    }), 90_000)

  it.live("nothing after a SIGKILL in the middle of the start", () =>
    Effect.gen(function*() {
      const folder = yield* tempDirectory
      const child = yield* startOwner(folder)
      yield* eventually("a JVM runs", () => processesWith(folder).some((line) => line.includes("CassandraDaemon")))
      yield* killOwner(child)
      yield* eventually("no process", () => processesWith(folder).length === 0)
      yield* eventually("no file", () => readdirSync(folder).length === 0)
    }), 60_000)

  it.live("a data directory that was given, and only that, after a start that failed", () =>
    Effect.gen(function*() {
      const folder = yield* tempDirectory
      const dataDirectory = join(folder, "data")
      const java = yield* findJava(process.env)
      const error = yield* Effect.flip(Effect.scoped(
        CassandraServer.make({ kinds: ["java"], dataDirectory, yaml: { no_such_setting: 1 } })
      ))
      assert.strictEqual(error.operation, "start")
      assert.include(error.message, java.path)
      assert.include(error.message, `Java ${java.version}`)
      assert.include(error.message, "no_such_setting")
      assert.isAtLeast(error.log.length, 1)
      assert.isAtMost(error.log.length, 50)
      assert.lengthOf(processesWith(dataDirectory), 0)
      assert.isTrue(existsSync(dataDirectory))
    }), 60_000)
})

describe("which server", () => {
  const find = (options: CassandraServer.CassandraServerOptions) =>
    Effect.result(Effect.scoped(CassandraServer.make(options)))

  it.effect("none: the error says what was tried, why it failed, and what helps", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.flip(
        Effect.scoped(Layer.build(CassandraServer.layer({ environment: { PATH: "" } })))
      )
      assert.strictEqual(
        exit.message,
        [
          "No Cassandra to test against. Tried, in this order:",
          "  1. A running cluster: CASSANDRA_CONTACT_POINTS is not set",
          "  2. Docker: no docker on the PATH",
          "  3. Java and Maven: no java in JAVA_HOME or on the PATH",
          "Any one of these helps:",
          "  - name a cluster: CASSANDRA_CONTACT_POINTS=host:port, and CASSANDRA_LOCAL_DC unless it is datacenter1",
          "  - start a Docker engine that `docker info` can reach",
          "  - install Java 17 and Maven: apt-get install openjdk-17-jre-headless maven, or brew install openjdk@17 maven"
        ].join("\n")
      )
    }))

  it.effect("the one that the environment names, which is not ours to kill", () =>
    Effect.gen(function*() {
      const server = yield* CassandraServer.make()
      assert.strictEqual(server.kind, "external")
      assert.strictEqual(server.contactPoints.join(","), process.env["CASSANDRA_CONTACT_POINTS"])
      for (const operation of ["kill", "stop", "restart", "pause", "resume"] as const) {
        const error = yield* Effect.flip(server[operation])
        assert.include(error.message, `${operation}: ${server.contactPoints.join(",")} was named by`)
      }
    }))

  it.live("a docker without an engine and a java of the wrong version are passed over, with their own words", () =>
    Effect.gen(function*() {
      const folder = yield* tempDirectory
      executable(
        folder,
        "docker",
        "#!/bin/sh\necho 'Client:'\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n"
      )
      executable(folder, "java", "#!/bin/sh\necho 'openjdk version \"21.0.4\" 2024-07-16' >&2\n")
      const result = yield* find({ environment: { PATH: folder } })
      assert(Result.isFailure(result))
      assert.include(result.failure.message, "docker info: Cannot connect to the Docker daemon")
      assert.include(result.failure.message, `${folder}/java is 21.0.4, and Cassandra 5 needs Java 11 or 17`)
    }))

  it.live("a download that fails leaves nothing that looks complete", () =>
    Effect.gen(function*() {
      const folder = yield* tempDirectory
      const cache = join(folder, "cache")
      executable(folder, "java", "#!/bin/sh\necho 'openjdk version \"17.0.1\" 2021-10-19' >&2\n")
      const environment = { PATH: `${folder}:/bin:/usr/bin`, EFFECT_CASSANDRA_CACHE: cache }
      const options = { kinds: ["java"], environment, version: "5.0.99" } as const
      executable(folder, "mvn", "#!/bin/sh\necho '[ERROR] no such artifact'\nexit 1\n")
      const result = yield* find(options)
      assert(Result.isFailure(result))
      assert.include(
        result.failure.message,
        "mvn did not fetch org.apache.cassandra:cassandra-all:5.0.99: [ERROR] no such"
      )
      assert.deepStrictEqual(readdirSync(cache), [])
    }))

  it.live("two downloads at once share one result", () =>
    Effect.gen(function*() {
      const folder = yield* tempDirectory
      const cache = join(folder, "cache")
      // Writes the jar in two halves, so that a copy that is used too early would be seen.
      executable(
        folder,
        "mvn",
        `#!/bin/sh
for argument in "$@"; do case "$argument" in -DoutputDirectory=*) lib=\${argument#*=} ;; esac; done
mkdir -p "$lib"
printf half > "$lib/cassandra-all-1.2.3.jar"
sleep 0.3
printf whole >> "$lib/cassandra-all-1.2.3.jar"
echo run >> "${folder}/runs"
`
      )
      const jars = cassandraJars("1.2.3", { PATH: `${folder}:/bin:/usr/bin`, EFFECT_CASSANDRA_CACHE: cache })
      const lib = join(cache, "cassandra-1.2.3", "lib")
      assert.deepStrictEqual(yield* Effect.all([jars, jars], { concurrency: 2 }), [lib, lib])
      assert.strictEqual(yield* jars, lib)
      assert.strictEqual(readFileSync(join(folder, "runs"), "utf8"), "run\nrun\n")
      assert.strictEqual(readFileSync(join(lib, "cassandra-all-1.2.3.jar"), "utf8"), "halfwhole")
      assert.deepStrictEqual(readdirSync(cache), ["cassandra-1.2.3"])
    }))
})

describe("a container", () => {
  // Stands for the engine: writes down what it is told, and lets the published port lead to the server of this run.
  const fakeDocker = (folder: string, contactPoint: string) => {
    const [host, port] = contactPoint.split(":")
    const forward = `
      const net = require("node:net")
      net.createServer((a) => {
        const b = net.connect(${port}, ${JSON.stringify(host)})
        a.pipe(b).pipe(a)
        a.on("error", () => b.destroy())
        b.on("error", () => a.destroy())
      }).listen(Number(process.argv[2]), "127.0.0.1")`
    writeFileSync(join(folder, "forward.cjs"), forward)
    executable(
      folder,
      "docker",
      `#!/bin/sh
{ printf '%s|' "$@"; echo; } >> "${folder}/calls"
case "$1" in
  image) [ -e "${folder}/pulled" ] ;;
  pull) touch "${folder}/pulled" ;;
  run)
    [ -e "${folder}/retried" ] || { touch "${folder}/retried"; echo 'Bind for 127.0.0.1 failed: port is already allocated' >&2; exit 125; }
    "${process.execPath}" "${folder}/forward.cjs" "$(echo "$6" | cut -d: -f2)" > /dev/null 2>&1 < /dev/null &
    echo $! > "${folder}/pid" ;;
  rm) [ -e "${folder}/pid" ] && kill "$(cat "${folder}/pid")" && rm "${folder}/pid" ;;
  inspect) echo running ;;
  logs) echo out; echo err >&2 ;;
  pause) echo 'no such container' >&2; exit 1 ;;
esac
`
    )
  }

  it.live(
    "is pulled, run on a free port with our settings, controlled by name, and removed",
    () =>
      Effect.gen(function*() {
        const folder = yield* tempDirectory
        const contactPoint = (process.env["CASSANDRA_CONTACT_POINTS"] ?? "").split(",")[0] ?? ""
        fakeDocker(folder, contactPoint)
        const calls = () =>
          readFileSync(join(folder, "calls"), "utf8").replaceAll(/effect-cassandra-[0-9a-f]{12}/g, "NAME").split("\n")
        const port = yield* Effect.scoped(Effect.gen(function*() {
          const server = yield* CassandraServer.make({
            kinds: ["docker", "java"],
            environment: { PATH: `${folder}:/usr/bin:/bin` },
            heap: "400M",
            yaml: { batch_size_warn_threshold: "7KiB", hints_directory: null }
          })
          assert.strictEqual(server.kind, "docker")
          assert.deepStrictEqual(server.contactPoints, [`127.0.0.1:${server.port}`])
          assert.deepStrictEqual(yield* server.log, ["out", "err"])
          yield* server.kill
          yield* server.restart
          const error = yield* Effect.flip(server.pause)
          assert.include(error.message, "no such container")
          assert.include(calls(), "kill|--signal|KILL|NAME|")
          assert.include(calls(), "restart|--time|30|NAME|")
          return server.port
        }))
        const text = calls().join("\n")
        assert.match(text, /^info\|\nimage\|inspect\|cassandra:5\.0\.5\|\npull\|--quiet\|cassandra:5\.0\.5\|\n/)
        // The first port was refused: what remained of that attempt is removed before the next one.
        assert.match(text, /\nrm\|--force\|--volumes\|NAME\|\n[^]*run\|--detach\|--name\|NAME\|/)
        assert.include(text, `--publish|127.0.0.1:${port}:9042|`)
        assert.include(text, "--env|MAX_HEAP_SIZE=400M|--env|HEAP_NEWSIZE=100M|")
        assert.include(text, "-Dcassandra.skip_wait_for_gossip_to_settle=0")
        assert.include(text, `batch_size_warn_threshold: "7KiB"\n`)
        assert.include(text, "EFFECT_CASSANDRA_WITHOUT=hints_directory|")
        assert.match(text, /\nrm\|--force\|--volumes\|NAME\|\n$/)
        assert.isFalse(existsSync(join(folder, "pid")))
      }),
    60_000
  )

  it.live("that cannot be run is passed over", () =>
    Effect.gen(function*() {
      const folder = yield* tempDirectory
      executable(
        folder,
        "docker",
        `#!/bin/sh
case "$1" in image) exit 1 ;; pull) echo 'toomanyrequests: rate limit' >&2; exit 1 ;; esac
`
      )
      const result = yield* Effect.result(Effect.scoped(
        CassandraServer.make({ kinds: ["docker", "java"], environment: { PATH: folder } })
      ))
      assert(Result.isFailure(result))
      assert.include(result.failure.message, "1. Docker: docker pull cassandra:5.0.5: toomanyrequests: rate limit")
      assert.include(result.failure.message, "2. Java and Maven: no java")
    }))
})
