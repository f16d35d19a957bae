/**
 * What a benchmark is, and what one run of it gives.
 */
import type { Peers } from "./peers/peers.ts"
import type { Workload } from "./rows.ts"
import type { Sample } from "./sample.ts"
import type { BenchServer } from "./server.ts"

/** How a number is shown. */
export interface Quantity {
  readonly key: string
  readonly label: string
  readonly digits: number
}

/** Named numbers; one that could not be measured is left out, never guessed. */
export type Values = Readonly<Record<string, number>>

export interface Run {
  readonly values: Values
  readonly samples?: ReadonlyArray<Sample> | undefined
}

export interface RunContext {
  readonly server: () => BenchServer
  readonly peers: Peers
  /** Rows of up to 1 KiB; see `rows.rowCount`. */
  readonly rows: number
  /** For this run alone; gone after it. */
  readonly directory: string
  /** An input file of these rows, made once. */
  readonly inputFile: (format: "ndjson" | "csv", workload: Workload, count: number) => string
  /** Where `--cpu-prof` wants the profiles of Node processes; null without it. */
  readonly profiles: string | null
}

export type Group = "end-to-end" | "log" | "checkpoints" | "recovery" | "resources" | "own-work"

export interface Benchmark {
  /** `own-1s@unique-100`, `wal-append`, ... */
  readonly name: string
  readonly group: Group
  /** What stands in the report's table. */
  readonly title: string
  /** Words that `--only` takes in place of the name. */
  readonly tags: ReadonlyArray<string>
  readonly needs: ReadonlyArray<"server" | "flink" | "dsbulk">
  readonly quantities: ReadonlyArray<Quantity>
  /** Long runs that one or two rounds are enough for. */
  readonly roundsMax?: number | undefined
  /** Only with `--large`, or by its name. */
  readonly isLarge?: boolean | undefined
  readonly run: (context: RunContext) => Promise<Run>
}

/** A run as it is kept in the raw data. */
export interface Measurement extends Run {
  readonly benchmark: string
  readonly round: number
}

/** A run whose table was not as it had to be, or that ended badly. It has no number. */
export interface Failure {
  readonly benchmark: string
  readonly round: number
  readonly message: string
}
