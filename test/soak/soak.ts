/**
 * The soak as a command:
 *
 *     node test/soak/soak.ts --minutes 60          real processes, real nodes, real faults for an hour
 *     node test/soak/soak.ts --seed 4711           with the events of this seed
 *     node test/soak/soak.ts --program 4711        one program of the simulation, by its seed, and nothing else
 *
 * It tells what happens on stderr, a line an event (`--json`: nothing, just the result). The last line of stdout is a JSON
 * summary; exit code 1 for a violation, after which the directory with the files, the state and the log of events is kept
 * and named; 2 for wrong arguments; 3 when there is nothing to run it on. A full disk needs root, for a file system of
 * its own.
 */
import { Cause, Effect, Exit, Logger } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import Process from "node:process"
import * as Util from "node:util"
import * as CassandraServer from "../../src/testing/CassandraServer.ts"
import { makeCluster } from "./cluster.ts"
import { soak } from "./endless.ts"
import { generate } from "./program.ts"
import { run } from "./realWorld.ts"

const number = (name: string, text: string | undefined, otherwise: number): number => {
  const value = Number(text ?? otherwise)
  if (!(value >= 0)) throw new TypeError(`--${name} must be a number, not ${text}`)
  return value
}

const main = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const { values } = Util.parseArgs({
    args: args.slice(),
    options: {
      minutes: { type: "string" },
      seed: { type: "string" },
      program: { type: "string" },
      json: { type: "boolean" }
    }
  })
  const minutes = number("minutes", values.minutes, 5)
  const seed = number("seed", values.seed, Date.now() % 1_000_000)
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-soak-"))
  const log = Path.join(directory, "events.log")
  const startedAt = performance.now()
  const elapsedSeconds = () => (performance.now() - startedAt) / 1000
  const say = (line: string) => {
    const text = `${elapsedSeconds().toFixed(1).padStart(7)} s  ${line}\n`
    Fs.appendFileSync(log, text)
    if (values.json !== true) Process.stderr.write(text)
  }

  say(`seed ${seed}, in ${directory}`)
  const server = yield* CassandraServer.make({ kinds: ["java"], nodes: 3, behindProxies: true })
  const cluster = yield* makeCluster(server)
  say(`three nodes at ${server.contactPoints.join(", ")}, behind ${cluster.contactPoints.join(", ")}`)
  const startAt = elapsedSeconds()
  const outcome = values.program === undefined
    ? yield* soak({ cluster, minutes, seed, directory, say })
    : yield* Effect.map(
      run(generate(number("program", values.program, 0)), { cluster, number: 0, directory, say }),
      (one) => ({ ...one, programs: 1, counts: { ...one.counts, nodeKills: 0, nodePauses: 0 } })
    )
  const { counts, different, missing, programs, rows, violations, writeTimesChanged } = outcome
  for (const violation of violations) say(`VIOLATION: ${violation}`)
  if (violations.length === 0) Fs.rmSync(directory, { recursive: true, force: true })
  else say(`seed ${seed}; what is left is in ${directory}`)
  const { cuts, diskFull, kills, nodeKills, zombies, ...others } = counts
  const json = JSON.stringify({
    minutes: Math.round((elapsedSeconds() - startAt) / 6) / 10,
    kills,
    zombies,
    nodeKills,
    cuts,
    diskFull,
    rows,
    missing,
    different,
    writeTimesChanged,
    violations: violations.length,
    programs,
    ...others,
    seed
  })
  return { json, isGood: violations.length === 0 }
}, Effect.scoped)

// The log is not to come after the result.
const silent = Logger.layer([])
const fiber = Effect.runFork(Effect.provide(main(Process.argv.slice(2)), silent))
// Processes that stand still, nodes and file systems are not left behind.
for (const signal of ["SIGINT", "SIGTERM"] as const) Process.once(signal, () => fiber.interruptUnsafe())
fiber.addObserver((exit) => {
  if (Exit.isSuccess(exit)) {
    return Process.stdout.write(`${exit.value.json}\n`, () => Process.exit(exit.value.isGood ? 0 : 1))
  }
  if (Cause.hasInterruptsOnly(exit.cause)) return Process.exit(130)
  const error = Cause.squash(exit.cause)
  const isUsage = error instanceof TypeError
  Process.stderr.write(
    isUsage ? `${error.message}\nSee the head of test/soak/soak.ts.\n` : `${Cause.pretty(exit.cause)}\n`
  )
  Process.exit(isUsage ? 2 : 3)
})
