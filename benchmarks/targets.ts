/**
 * What the library has to reach, as numbers that stand beside what was measured.
 */
import type { Measurement } from "./model.ts"
import type { Spread } from "./stats.ts"
import { ratio, spreadOf } from "./stats.ts"

type Point = readonly [benchmark: string, key: string]

interface Target {
  readonly text: string
  readonly of: Point
  /** The measured number is `of` over this, round by round; without it `of` itself. */
  readonly over?: Point
  readonly bound: number
  readonly isAtLeast: boolean
  readonly unit: string
}

const throughput = (workload: string, peer: string, bound: number, text: string): Target => ({
  text,
  of: [`own-1s@${workload}`, "rowsPerSecond"],
  over: [`${peer}@${workload}`, "rowsPerSecond"],
  bound,
  isAtLeast: true,
  unit: "×"
})

const disk = (of: string, over: string, text: string): Target => ({
  text,
  of: [of, "mibPerSecond"],
  over: [over, "mibPerSecond"],
  bound: 0.7,
  isAtLeast: true,
  unit: "×"
})

const atMost = (benchmark: string, key: string, bound: number, unit: string, text: string): Target => ({
  text,
  of: [benchmark, key],
  bound,
  isAtLeast: false,
  unit
})

const targets: ReadonlyArray<Target> = [
  throughput("unique-100", "driver-tuned", 1.2, "unique partitions: the tuned raw loop of single inserts, no log"),
  throughput("unique-100", "flink-wal-heap", 2, "unique partitions: Flink's write-ahead sink on heap"),
  throughput("unique-100", "flink-wal-files", 9, "unique partitions: Flink's write-ahead sink on files"),
  throughput("unique-100", "dsbulk", 5, "unique partitions: dsbulk"),
  throughput("shared-100", "driver-tuned", 2.5, "100 rows a partition: the tuned raw loop of single inserts, no log"),
  disk("wal-append", "raw-write", "log append: raw write + fsync"),
  disk("wal-read", "raw-read", "log read-back: raw read, page cache"),
  disk("wal-read-cold", "raw-read-cold", "log read-back: raw read, from the disk"),
  atMost("recovery-10m", "firstRowMs", 150, "ms", "session to first replayed row, small log"),
  atMost("recovery-100m", "firstRowMs", 150, "ms", "session to first replayed row, larger log"),
  atMost("recovery-2g", "firstRowMs", 150, "ms", "session to first replayed row, largest log"),
  atMost("restart-kill", "commitMs", 1000, "ms", "SIGKILL to first commit"),
  atMost("restart-kill", "newCommitMs", 1000, "ms", "SIGKILL to first commit of rows never sent before"),
  atMost("restart-task", "newCommitMs", 1000, "ms", "failed task to first commit of rows never sent before"),
  atMost("recovery-2g", "peakRssMiB", 300, "MiB", "peak RSS, largest log"),
  atMost("memory-command-x1", "peakRssMiB", 250, "MiB", "peak RSS of load, the rows of the end to end runs"),
  atMost("memory-command-x20", "peakRssMiB", 250, "MiB", "peak RSS of load, twenty times as many rows"),
  {
    text: "peak RSS of load: twenty times as many rows",
    of: ["memory-command-x20", "peakRssMiB"],
    over: ["memory-command-x1", "peakRssMiB"],
    bound: 1.2,
    isAtLeast: false,
    unit: "×"
  },
  atMost("memory-command-x100", "peakRssMiB", 250, "MiB", "peak RSS of load, a hundred times as many rows"),
  atMost(
    "memory-x20-small",
    "peakRssMiB",
    250,
    "MiB",
    "peak RSS of a program with a small heap, twenty times as many rows"
  ),
  atMost("own-work-unique-100", "microsPerRow", 2, "µs", "the library's own work for a row, unique partitions"),
  atMost("own-work-shared-100", "microsPerRow", 2, "µs", "the library's own work for a row, 100 rows a partition")
]

export interface Verdict {
  readonly text: string
  readonly goal: string
  readonly unit: string
  readonly bound: number
  /** Null if it was not measured. */
  readonly measured: Spread | null
  /** By the median. */
  readonly isMet: boolean | null
}

export const judge = (measurements: ReadonlyArray<Measurement>): ReadonlyArray<Verdict> =>
  targets.map(({ bound, isAtLeast, of, over, text, unit }) => {
    const measured = over === undefined ? spreadOf(measurements, ...of) : ratio(measurements, of, over)
    return {
      text,
      goal: `${isAtLeast ? "at least" : "at most"} ${bound} ${unit}`,
      unit,
      bound,
      measured,
      isMet: measured === null ? null : isAtLeast ? measured.median >= bound : measured.median <= bound
    }
  })
