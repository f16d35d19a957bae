/**
 * The benchmark suite as a command:
 *
 *     npm run bench                              everything, five rounds; writes benchmarks/report/
 *     npm run bench -- --list                    the names
 *     npm run bench -- --only own-1s,log         some: names, groups or tags
 *     npm run bench -- --rows 2000000            more rows (default 200,000)
 *     npm run bench -- --rounds 10 --json        the raw data as JSON on stdout as well
 *     npm run bench -- --large                   with the runs of 2 GiB of log and 100 times the rows
 *     npm run bench -- --cpu-prof DIRECTORY      CPU profiles of all Node processes, and what was on top in them
 *     npm run bench -- --report DIRECTORY        where the report goes; anything less than a whole run writes none without it
 *     npm run bench -- --from FILE               no runs: tables, and with --report plots, from the raw data of an earlier one
 *
 * Exit code 0 if every run was good, 1 if one was not, 2 for wrong arguments, 3 if there is no Cassandra to be had.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Util from "node:util"
import * as Catalogue from "./catalogue.ts"
import * as Machine from "./machine.ts"
import * as Peers from "./peers/peers.ts"
import * as Profile from "./profile.ts"
import * as Programs from "./programs.ts"
import * as Progress from "./progress.ts"
import type { RawData } from "./report.ts"
import * as Report from "./report.ts"
import * as Server from "./server.ts"
import * as Suite from "./suite.ts"
import { UsageError } from "./usage.ts"

const out = (text: string) => process.stdout.write(`${text}\n`)

// A reader that went away (`| head`) must not end the runs before their report.
process.stdout.on("error", () => {})

const reportDirectory = fileURLToPath(new URL("./report", import.meta.url))

const defaultRounds = 5
const defaultRows = 200_000

const count = (name: string, text: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new UsageError(`--${name} must be a whole number above 0, not ${text}`)
  }
  return value
}

const parse = (args: ReadonlyArray<string>) => {
  const { values } = Util.parseArgs({
    args: args.slice(),
    options: {
      list: { type: "boolean", default: false },
      only: { type: "string" },
      rounds: { type: "string", default: String(defaultRounds) },
      rows: { type: "string", default: String(defaultRows) },
      json: { type: "boolean", default: false },
      large: { type: "boolean", default: false },
      "cpu-prof": { type: "string" },
      report: { type: "string" },
      from: { type: "string" }
    }
  })
  const only = (values.only ?? "").split(",").map((word) => word.trim()).filter((word) => word !== "")
  const rounds = count("rounds", values.rounds)
  const rows = count("rows", values.rows)
  // The report in the repository is of whole runs: a trial must not take its place unasked.
  const isWhole = only.length === 0 && values.from === undefined && rounds >= defaultRounds && rows === defaultRows
  return {
    isList: values.list,
    benchmarks: Catalogue.select(only, values.large),
    rounds,
    rows,
    isJson: values.json,
    profiles: values["cpu-prof"] === undefined ? null : Path.resolve(values["cpu-prof"]),
    report: values.report ?? (isWhole ? reportDirectory : null),
    from: values.from ?? null
  }
}

const list = () => {
  for (const [group, title] of Catalogue.groups) {
    out(`${title} (${group})`)
    for (const benchmark of Catalogue.all.filter((one) => one.group === group)) {
      out(`  ${benchmark.name.padEnd(28)} ${benchmark.title}${benchmark.isLarge === true ? " (--large)" : ""}`)
    }
  }
}

const measure = async (options: ReturnType<typeof parse>): Promise<RawData> => {
  Programs.build()
  const needs = new Set(options.benchmarks.flatMap((benchmark) => benchmark.needs))
  const wanted = new Set((["flink", "dsbulk"] as const).filter((peer) => needs.has(peer)))
  const say = (text: string) => void process.stderr.write(`${text}\n`)
  const peers = Peers.find(wanted, say)
  const absent = [...wanted].flatMap((peer) => {
    const found = peers[peer]
    return "absent" in found ? [found.absent] : []
  })
  for (const sentence of absent) say(`WARNING: ${sentence}`)
  const benchmarks = options.benchmarks.filter(({ needs }) =>
    needs.every((need) => need === "server" || !("absent" in peers[need]))
  )
  const machine = Machine.describe(peers.java)
  const server = benchmarks.some(({ needs }) => needs.includes("server"))
    ? await Server.start({ warmUpRows: Math.min(200_000, options.rows), say })
    : null
  // One round is for trying something out.
  const hasWarmUp = options.rounds > 1
  const progress = Progress.make(benchmarks.reduce(
    (sum, benchmark) =>
      sum + Suite.roundsOf(benchmark, options.rounds) + (hasWarmUp && Suite.isWarmedUp(benchmark) ? 1 : 0),
    0
  ))
  const oldProfiles = options.profiles === null ? new Set<string>() : Profile.present(options.profiles)
  try {
    const { failures, measurements } = await Suite.run({ ...options, hasWarmUp, benchmarks, server, peers, progress })
    return {
      machine,
      server: server?.describe ?? null,
      rows: options.rows,
      rounds: options.rounds,
      absent,
      measurements,
      failures,
      profile: options.profiles === null ? null : Profile.summarize(options.profiles, oldProfiles)
    }
  } finally {
    progress.close()
    await server?.stop()
  }
}

const main = async (): Promise<number> => {
  const options = parse(process.argv.slice(2))
  if (options.isList) {
    list()
    return 0
  }
  const data = options.from === null
    ? await measure(options)
    : JSON.parse(Fs.readFileSync(options.from, "utf8")) as RawData
  if (options.isJson) out(JSON.stringify(data))
  else out(Report.markdown(data, []))
  if (options.report !== null) {
    await Report.write(options.report, data)
    process.stderr.write(`The report is in ${options.report}\n`)
  }
  return data.failures.length === 0 && data.absent.length === 0 ? 0 : 1
}

/** An error with a message for people: no stack. Anything else is a bug, and shows where. */
const describeError = (error: unknown): { readonly text: string; readonly code: number } => {
  if (!(error instanceof Error)) return { text: String(error), code: 3 }
  const isUsage = error instanceof UsageError ||
    String((error as NodeJS.ErrnoException).code).startsWith("ERR_PARSE_ARGS")
  if (isUsage) {
    return { text: `${error.message}\nSee benchmarks/README.md, or the head of benchmarks/bench.ts.`, code: 2 }
  }
  return { text: error instanceof Server.NoServer ? error.message : error.stack ?? error.message, code: 3 }
}

// Through `exit`, so that what was started and written on the way goes.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130))

main().then(
  // Not before stdout has taken all of it.
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    const { code, text } = describeError(error)
    process.stderr.write(`error: ${text}\n`)
    process.exit(code)
  }
)
