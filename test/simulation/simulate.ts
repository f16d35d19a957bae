/**
 * The simulator as a command:
 *
 *     node test/simulation/simulate.ts --seeds 10000           programs of the seeds 0 to 9999
 *     node test/simulation/simulate.ts --minutes 60            as many as fit into an hour
 *     node test/simulation/simulate.ts --seed 4711             one program, told step by step
 *     node test/simulation/simulate.ts --program failing.json  the same for a program from a file
 *     node test/simulation/simulate.ts --planted [name]        whether each planted bug is found in 2,000 programs, or --seeds
 *     node test/simulation/simulate.ts --exhaustive [scope]    all programs of small scopes; "quick": the smaller ones
 *
 * `--from N` begins with another seed than 0, `--jobs N` sets the number of processes, `--keep-going` does not stop at the
 * first failure; `--planted --exhaustive [name]` looks for planted bugs in the small scopes. The first failing program is
 * made smaller and printed. The last line of stdout is a JSON summary; exit code 1 for a violation or a planted bug that
 * is not found, 2 for wrong arguments.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import Process from "node:process"
import * as Util from "node:util"
import { enumerate } from "./enumerate.ts"
import { isQuick, scopes } from "./exhaustive.ts"
import { enumeratePlanted, huntPlanted, plantedSeedsMax } from "./huntPlanted.ts"
import type { Program } from "./program.ts"
import { generate } from "./program.ts"
import { out, say, summary } from "./told.ts"
import type { Failure } from "./worker.ts"
import type { Totals } from "./workers.ts"
import { addTo, makeTotals, startWorker } from "./workers.ts"
import * as World from "./world.ts"

const command = "node test/simulation/simulate.ts"
/** How often each thing happened, crash points last. */
const tellCoverage = ({ coverage }: Totals) => {
  const isPoint = (what: string) => /^(crash|kill|freeze|stop): /.test(what)
  const entries = [...coverage].toSorted(([a], [b]) => Number(isPoint(a)) - Number(isPoint(b)) || (a < b ? -1 : 1))
  for (const [what, times] of entries) say(`${String(times).padStart(10)}  ${what}`)
}

/** One program, line by line. */
const replay = (program: Program): boolean => {
  Error.stackTraceLimit = 30
  const startedAt = performance.now()
  out(JSON.stringify(program))
  const outcome = World.run(program, { trace: out })
  for (const violation of outcome.violations) out(`VIOLATION: ${violation}`)
  const totals = makeTotals()
  addTo(totals, { ...outcome, _tag: "Ran", runs: 1, coverage: [...outcome.coverage], failures: [] })
  out(summary(totals, outcome.violations.length, (performance.now() - startedAt) / 1000))
  return outcome.violations.length === 0
}

/** Makes the program of a failing seed smaller, and prints it. */
const explain = async (failure: Failure): Promise<void> => {
  say(`seed ${failure.seed} fails; looking for a smaller program that does`)
  const worker = startWorker()
  const report = await worker.ask({ _tag: "Minimise", program: generate(failure.seed), violations: failure.violations })
  worker.stop()
  if (report._tag !== "Minimised") return
  const file = Path.join(Os.tmpdir(), `failing-${failure.seed}.json`)
  Fs.writeFileSync(file, `${JSON.stringify(report.program, null, 2)}\n`)
  out(JSON.stringify(report.program))
  for (const violation of report.violations) out(`VIOLATION: ${violation}`)
  out(`replay: ${command} --seed ${failure.seed}`)
  out(`the smaller program: ${command} --program ${file}`)
}

interface Hunt {
  readonly from: number
  readonly seeds: number
  readonly minutes: number
  readonly jobs: number
  readonly keepGoing: boolean
}

const hunt = async ({ from, jobs, keepGoing, minutes, seeds }: Hunt): Promise<boolean> => {
  const totals = makeTotals()
  const failures: Array<Failure> = []
  const startedAt = performance.now()
  const seconds = () => (performance.now() - startedAt) / 1000
  let next = from
  let saidAt = 0
  const isOver = () => next >= from + seeds || seconds() > minutes * 60 || (failures.length > 0 && !keepGoing)
  const progress = () => {
    if (seconds() - saidAt < 5) return
    saidAt = seconds()
    say(
      `${totals.runs} runs, ${Math.round(totals.runs / seconds())}/s, ${totals.deaths} deaths, ` +
        `${totals.coverage.size} kinds of events` + (failures.length > 0 ? `, ${failures.length} FAILED` : "")
    )
  }
  await Promise.all(Array.from({ length: jobs }, async () => {
    const worker = startWorker()
    while (!isOver()) {
      const first = next
      next = Math.min(first + 20, from + seeds)
      const report = await worker.ask({ _tag: "Run", from: first, to: next, stopAtFirst: !keepGoing })
      if (report._tag !== "Ran") continue
      addTo(totals, report)
      for (const failure of report.failures) {
        failures.push(failure)
        say(`seed ${failure.seed}: ${failure.violations[0]}`)
      }
      progress()
    }
    worker.stop()
  }))
  tellCoverage(totals)
  const [first] = failures.toSorted((a, b) => a.seed - b.seed)
  const elapsed = seconds()
  if (first !== undefined) await explain(first)
  if (failures.length > 1) out(`failing seeds: ${failures.map(({ seed }) => seed).toSorted((a, b) => a - b).join(" ")}`)
  out(summary(totals, failures.length, elapsed))
  return failures.length === 0
}

/** Every program of small scopes. */
const enumerateScopes = async (name: string | null, jobs: number): Promise<boolean> => {
  const chosen = scopes.filter((scope) => name === null || scope.name === name || (name === "quick" && isQuick(scope)))
  if (chosen.length === 0) {
    throw new TypeError(`there is no scope ${name}: quick, ${scopes.map((scope) => scope.name).join("; ")}`)
  }
  const totals = makeTotals()
  const startedAt = performance.now()
  let saidAt = startedAt
  const all = await enumerate(chosen, {
    jobs,
    totals,
    onScope: ({ count, failures, scope, seconds }) =>
      out(
        `${scope.name.padEnd(22)} ${String(count).padStart(7)} programs ${seconds.toFixed(0).padStart(6)} s  ` +
          (failures.length === 0 ? "no violation" : "VIOLATION") + `  (${scope.what})`
      ),
    onProgress: (scope, done, count) => {
      if (performance.now() - saidAt < 5000) return
      saidAt = performance.now()
      say(`${scope.name}: ${done} of ${count}`)
    }
  })
  const failed = all.find(({ failures }) => failures.length > 0)
  const [failure] = failed?.failures ?? []
  if (failed !== undefined && failure !== undefined) {
    const program = failed.scope.programs().at(failure.seed)
    const file = Path.join(Os.tmpdir(), `failing-${failed.scope.name.replace(/\W+/g, "-")}-${failure.seed}.json`)
    Fs.writeFileSync(file, `${JSON.stringify(program, null, 2)}\n`)
    for (const violation of failure.violations) out(`VIOLATION: ${violation}`)
    out(`replay: ${command} --program ${file}`)
  }
  out(summary(totals, failed === undefined ? 0 : 1, (performance.now() - startedAt) / 1000))
  return failed === undefined
}

const number = (name: string, text: string | undefined, otherwise: number): number => {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (!(value >= 0)) throw new TypeError(`--${name} must be a number, not ${text}`)
  return value
}

const main = async (args: ReadonlyArray<string>): Promise<boolean> => {
  const { positionals, values } = Util.parseArgs({
    args: args.slice(),
    allowPositionals: true,
    options: {
      seeds: { type: "string" },
      seed: { type: "string" },
      from: { type: "string" },
      minutes: { type: "string" },
      jobs: { type: "string" },
      program: { type: "string" },
      planted: { type: "boolean" },
      exhaustive: { type: "boolean" },
      "keep-going": { type: "boolean" }
    }
  })
  const jobs = Math.max(1, number("jobs", values.jobs, Os.availableParallelism()))
  if (values.planted === true) {
    const name = positionals[0] ?? null
    if (values.exhaustive === true) return enumeratePlanted(name, jobs)
    return huntPlanted(name, {
      jobs,
      first: number("from", values.from, 0),
      seeds: number("seeds", values.seeds, plantedSeedsMax)
    })
  }
  if (values.exhaustive === true) return enumerateScopes(positionals[0] ?? null, jobs)
  if (positionals.length > 0) throw new TypeError(`what is ${positionals.join(" ")}?`)
  if (values.program !== undefined) return replay(JSON.parse(Fs.readFileSync(values.program, "utf8")))
  if (values.seed !== undefined) return replay(generate(number("seed", values.seed, 0)))
  return hunt({
    from: number("from", values.from, 0),
    seeds: number("seeds", values.seeds, values.minutes === undefined ? 1000 : Infinity),
    minutes: number("minutes", values.minutes, Infinity),
    jobs,
    keepGoing: values["keep-going"] === true
  })
}

main(Process.argv.slice(2)).then(
  (isGood) => {
    Process.exitCode = isGood ? 0 : 1
  },
  (error: unknown) => {
    say(error instanceof TypeError ? `${error.message}\nSee the head of test/simulation/simulate.ts.` : String(error))
    Process.exitCode = error instanceof TypeError ? 2 : 1
  }
)
