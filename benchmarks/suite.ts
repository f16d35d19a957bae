/**
 * Runs benchmarks interleaved: A, B, C, A, B, C, ... What disturbs the machine for a while then disturbs all of them, and
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
    for (let round = 1; round <= options.rounds; round++) {
      for (const benchmark of options.benchmarks) {
        const rounds = roundsOf(benchmark, options.rounds)
        if (round > rounds) continue
        options.progress.starts(benchmark.name, round, rounds)
        const own = Fs.mkdtempSync(Path.join(directory, "run-"))
        try {
          const { samples, values } = await benchmark.run({
            server: () => {
              if (options.server === null) throw new Error(`${benchmark.name} asked for a server that it does not need`)
              return options.server
            },
            peers: options.peers,
            rows: options.rows,
            directory: own,
            inputFile,
            profiles: options.profiles
          })
          measurements.push({ benchmark: benchmark.name, round, values, samples })
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
