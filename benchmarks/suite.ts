/**
 * Runs benchmarks interleaved: A, B, C, B, C, A, ... What disturbs the machine for a while then disturbs all of them, and
 * ratios of runs of one round are worth more than ratios of medians.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type { Benchmark, Failure, Measurement, RunContext } from "./model.ts"
import type { Peers } from "./peers/peers.ts"
import type { Progress } from "./progress.ts"
import { writeFile } from "./rows.ts"
import type { BenchServer } from "./server.ts"

export interface SuiteOptions {
  readonly benchmarks: ReadonlyArray<Benchmark>
  readonly rounds: number
  /** End to end runs that are not counted, before the first round: the server then has compiled the code that each needs. */
  readonly hasWarmUp: boolean
  readonly rows: number
  readonly server: BenchServer | null
  readonly peers: Peers
  readonly profiles: string | null
  readonly progress: Progress
}

export interface Outcome {
  readonly measurements: ReadonlyArray<Measurement>
  readonly failures: ReadonlyArray<Failure>
}

export const roundsOf = (benchmark: Benchmark, rounds: number): number =>
  Math.min(rounds, benchmark.roundsMax ?? rounds)

/** What stands beside each other in the report: of one group, on one workload. */
const blockOf = ({ group, name }: Benchmark): string => `${group}@${name.split("@")[1] ?? ""}`

/**
 * Each round begins a block with another of its benchmarks: the first on a table of other rows finds a server whose compiled
 * code is for the last ones.
 */
export const orderOf = (benchmarks: ReadonlyArray<Benchmark>, round: number): ReadonlyArray<Benchmark> => {
  const blocks = new Map<string, Array<Benchmark>>()
  for (const benchmark of benchmarks) {
    const block = blocks.get(blockOf(benchmark))
    if (block === undefined) blocks.set(blockOf(benchmark), [benchmark])
    else block.push(benchmark)
  }
  return [...blocks.values()].flatMap((block) => {
    const first = (round - 1) % block.length
    return block.slice(first).concat(block.slice(0, first))
  })
}

const warmUpRows = 200_000

export const isWarmedUp = (benchmark: Benchmark): boolean => benchmark.group === "end-to-end"

/** The number that says most, for the line of a run. */
const headline = (benchmark: Benchmark, values: Measurement["values"]): string =>
  benchmark.quantities.flatMap(({ digits, key, label }) => {
    const value = values[key]
    return value === undefined ? [] : [`${value.toLocaleString("en", { maximumFractionDigits: digits })} ${label}`]
  }).slice(0, 3).join(" · ")

export const run = async (options: SuiteOptions): Promise<Outcome> => {
  const measurements: Array<Measurement> = []
  const failures: Array<Failure> = []
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-bench-"))
  const remove = () => Fs.rmSync(directory, { recursive: true, force: true })
  process.once("exit", remove)
  const inputs = new Map<string, string>()
  const inputFile: RunContext["inputFile"] = (format, workload, count) => {
    const name = `${workload.name}-${count}.${format}`
    const path = inputs.get(name) ?? Path.join(directory, name)
    if (!inputs.has(name)) writeFile(path, format, workload, count)
    inputs.set(name, path)
    return path
  }
  try {
    for (let round = options.hasWarmUp ? 0 : 1; round <= options.rounds; round++) {
      for (const benchmark of orderOf(options.benchmarks, Math.max(1, round))) {
        const rounds = roundsOf(benchmark, options.rounds)
        if (round > rounds || round === 0 && !isWarmedUp(benchmark)) continue
        options.progress.starts(benchmark.name, round, rounds)
        const own = Fs.mkdtempSync(Path.join(directory, "run-"))
        try {
          const { samples, values } = await benchmark.run({
            server: () => {
              if (options.server === null) throw new Error(`${benchmark.name} asked for a server that it does not need`)
              return options.server
            },
            peers: options.peers,
            rows: round === 0 ? Math.min(warmUpRows, options.rows) : options.rows,
            directory: own,
            inputFile,
            profiles: options.profiles
          })
          if (round > 0) measurements.push({ benchmark: benchmark.name, round, values, samples })
          options.progress.ended(benchmark.name, headline(benchmark, values))
        } catch (error) {
          const message = error instanceof Error ? error.message : String(error)
          failures.push({ benchmark: benchmark.name, round, message })
          options.progress.ended(benchmark.name, `FAILED: ${message}`)
        } finally {
          Fs.rmSync(own, { recursive: true, force: true })
        }
      }
    }
  } finally {
    remove()
    process.off("exit", remove)
  }
  return { measurements, failures }
}
