/**
 * Loads 200,000 real flights into a real Cassandra, kills the loading process with SIGKILL at random moments, and
 * Cassandra itself once, starts the same command again each time, and then compares every row with the file.
 *
 *     npm run demo            (with flags: npm run demo -- --help)
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, FileSystem, Schedule } from "effect"
import * as ChildProcess from "node:child_process"
import * as Process from "node:process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import * as CassandraServer from "../../src/testing/CassandraServer.ts"
import * as Flights from "./flights.ts"
import * as Oracle from "./oracle.ts"

const usage =
  `Loads flights into a real Cassandra, exactly once, while the load is killed over and over, and compares every row.

  node examples/demo/demo.ts [flags]

  --rows N           flights to load (default: 200000)
  --kills N          SIGKILLs to the load, and one more to Cassandra (default: 4)
  --parallelism N    subtasks of the load (default: 2)
  --help             this text

Exit codes: 0 exactly once; 1 not, or too few kills; 3 another failure; 64 usage.
`

const readFlags = () => {
  const { values } = parseArgs({
    options: {
      rows: { type: "string", default: "200000" },
      kills: { type: "string", default: "4" },
      parallelism: { type: "string", default: "2" },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  for (const name of ["rows", "kills", "parallelism"] as const) {
    if (!/^\d+$/.test(values[name])) throw new Error(`--${name} is ${values[name]}, and must be a whole number`)
  }
  return values
}

/** The flags, or null for a command line that is none, which is told. */
const flagsOrNull = () => {
  try {
    return readFlags()
  } catch (error) {
    Process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    return null
  }
}

const flags = flagsOrNull() ?? Process.exit(64)
if (flags.help) {
  Process.stdout.write(usage)
  Process.exit(0)
}
const rowCount = Number(flags.rows)
const killCount = Number(flags.kills)

const command = fileURLToPath(new URL("../../src/bin.ts", import.meta.url))
const query = "INSERT INTO demo.flights (id, date, delay, distance, origin, destination) VALUES (?, ?, ?, ?, ?, ?)"

const startedAt = Process.hrtime.bigint()
const say = (text: string) =>
  Console.log(`${((Number(Process.hrtime.bigint() - startedAt) / 1e9).toFixed(1) + " s").padStart(8)}  ${text}`)

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly summary: { readonly replayedCheckpoints: number; readonly committed: number } | null
}

interface Loading {
  readonly kill: Effect.Effect<void>
  readonly ended: Promise<Ended>
  readonly hasEnded: () => boolean
}

/** One run of the command, as anybody would start it. */
const load = (file: string, state: string, contactPoint: string): Loading => {
  const child = ChildProcess.spawn(
    Process.execPath,
    [
      [command, "load", file, "--query", query, "--contact-points", contactPoint, "--local-dc", "datacenter1"],
      ["--job", "flights", "--uid", "flights-sink", "--state", state, "--parallelism", flags.parallelism],
      // Small and frequent checkpoints, so that every kill leaves something of each kind behind.
      ["--checkpoint-interval", "200 millis", "--segment-bytes", "262144", "--pending-bytes", "1048576", "--json"]
    ].flat(),
    { stdio: ["ignore", "pipe", "pipe"] }
  )
  let ended = false
  let stdout = ""
  child.stdout.on("data", (data) => stdout += data)
  child.stderr.on("data", (data: Buffer) => {
    for (const line of data.toString().split("\n")) {
      if (line !== "") Process.stdout.write(`            | ${line}\n`)
    }
  })
  const done = new Promise<Ended>((resolve) =>
    child.on("close", (code, signal) => {
      ended = true
      resolve({ code, signal, summary: stdout === "" ? null : JSON.parse(stdout) })
    })
  )
  return { kill: Effect.sync(() => void child.kill("SIGKILL")), ended: done, hasEnded: () => ended }
}

const between = (low: number, high: number) => Math.round(low + Math.random() * (high - low))

const program = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "effect-cassandra-demo-" })
  const file = `${directory}/flights.ndjson`
  const state = `${directory}/state`

  yield* say("Getting a real Cassandra (the first time it is downloaded) ...")
  const server = yield* CassandraServer.make()
  const contactPoint = server.contactPoints[0]!
  yield* say(`Cassandra at ${contactPoint} (${server.kind}), started in ${(server.startMillis / 1000).toFixed(1)} s`)
  const session = CassandraSession.make({ contactPoints: [contactPoint], localDataCenter: server.localDataCenter })
    .pipe(
      Effect.retry({ times: 20, schedule: Schedule.spaced("500 millis") })
    )
  yield* Effect.scoped(Effect.flatMap(session, (cassandra) => Oracle.makeTable(cassandra)))
  yield* Effect.promise(() => Flights.write(file, rowCount))
  yield* say(`${rowCount.toLocaleString("en")} flights in ${file}`)

  const oracle = Oracle.make(Flights.read(file))
  let kills = 0
  let serverKills = 0
  let replays = 0
  let loading = load(file, state, contactPoint)
  // Cassandra dies between two kills of the loading process, or not at all where it is not ours.
  const serverKillAfter = server.kind === "external" ? -1 : between(1, killCount - 1)
  while (kills < killCount) {
    yield* Effect.sleep(between(1200, 3000))
    if (loading.hasEnded()) break
    if (kills === serverKillAfter && serverKills === 0) {
      yield* say("SIGKILL to Cassandra; the load goes on and waits for it")
      yield* server.kill
      serverKills++
      yield* Effect.sleep(between(200, 1500))
      yield* server.restart
      yield* say("Cassandra is back")
      continue
    }
    yield* loading.kill
    const { signal } = yield* Effect.promise(() => loading.ended)
    if (signal !== "SIGKILL") break
    kills++
    const seen = yield* Effect.scoped(Effect.flatMap(session, oracle.observe))
    yield* say(
      `SIGKILL number ${kills} to the load; ${seen.toLocaleString("en")} rows are in the table. The same command again:`
    )
    loading = load(file, state, contactPoint)
  }
  const last = yield* Effect.promise(() => loading.ended)
  replays += last.summary?.replayedCheckpoints ?? 0
  if (last.code !== 0) {
    yield* say(`The load ended with exit code ${last.code}`)
    return 1
  }
  const again = yield* Effect.promise(() => load(file, state, contactPoint).ended)
  const verdict = yield* Effect.scoped(Effect.flatMap(session, oracle.compare))
  yield* say("Compared every row, and the write time of every row, with the file:")
  yield* Console.log([
    "",
    `  rows                   ${verdict.rows.toLocaleString("en")}`,
    `  kills of the load      ${kills}`,
    `  kills of Cassandra     ${serverKills}`,
    `  checkpoints replayed   ${replays} (in the last run)`,
    `  missing                ${verdict.missing}`,
    `  different              ${verdict.different}`,
    `  not in the file        ${verdict.unknown}`,
    `  write time changed     ${verdict.rewritten} (of ${
      verdict.observed.toLocaleString("en")
    } rows seen between the kills)`,
    `  out of order           ${verdict.unordered}`,
    ""
  ].join("\n"))
  const good = verdict.missing + verdict.different + verdict.unknown + verdict.rewritten + verdict.unordered === 0 &&
    kills >= Math.min(3, killCount) && (serverKills === 1 || server.kind === "external") && again.code === 0 &&
    again.summary?.committed === 0
  yield* say(good ? "Exactly once." : "NOT exactly once, or too few kills: see above.")
  return good ? 0 : 1
})

// Last resort only: every expected end is an exit code above.
Effect.runPromise(Effect.provide(Effect.scoped(program), NodeServices.layer)).then(
  (code) => Process.exit(code),
  (error) => {
    Process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`)
    Process.exit(3)
  }
)
