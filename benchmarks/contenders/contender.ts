/**
 * Somebody who writes a workload into a table.
 */
import type { Finished } from "../measure.ts"
import type { RunContext } from "../model.ts"
import type { Workload } from "../rows.ts"
import type { Sample } from "../sample.ts"

export interface Task {
  readonly context: RunContext
  readonly workload: Workload
  readonly rows: number
  readonly table: string
}

export interface Written {
  /** The time that the rate is computed from; what it covers, `Contender.timed` says. */
  readonly seconds: number
  /** Rows that the contender believes it has written. */
  readonly committed: number
  readonly finished: Finished
  readonly samples: ReadonlyArray<Sample>
}

export interface Contender {
  readonly name: string
  readonly title: string
  readonly tags: ReadonlyArray<string>
  readonly needs: ReadonlyArray<"server" | "flink" | "dsbulk">
  /** Runs on rows of 1 KiB and 10 KiB as well; the others only on rows of 100 bytes. */
  readonly isCore: boolean
  /** Each row has a write timestamp of its own, rising in the order of the input. */
  readonly isOrdered: boolean
  readonly write: (task: Task) => Promise<Written>
}

const isSample = (value: unknown): value is Sample => typeof value === "object" && value !== null && "t" in value

/** What the process recorded itself, else what was seen of it from outside. */
export const samplesOf = (finished: Finished): ReadonlyArray<Sample> => {
  const own = finished.result["samples"]
  return Array.isArray(own) ? own.filter(isSample) : finished.samples
}
