/**
 * All benchmarks, and which of them a run is about.
 */
import * as EndToEnd from "./contenders/endToEnd.ts"
import type { Benchmark, Group } from "./model.ts"
import * as Committer from "./parts/committer.ts"
import * as Log from "./parts/log.ts"
import * as OwnWork from "./parts/ownWork.ts"
import * as Recovery from "./parts/recovery.ts"
import * as Resources from "./parts/resources.ts"
import * as Restart from "./parts/restart.ts"
import { UsageError } from "./usage.ts"

export const groups: ReadonlyArray<readonly [Group, string]> = [
  ["end-to-end", "End to end"],
  ["own-work", "The library's own work"],
  ["log", "The log against the disk"],
  ["checkpoints", "Barriers, checkpoints and the ledger"],
  ["recovery", "Recovery and restart"],
  ["resources", "Memory, and CPU while waiting"]
]

export const all: ReadonlyArray<Benchmark> = [
  ...EndToEnd.benchmarks,
  ...OwnWork.benchmarks,
  ...Log.benchmarks,
  ...Committer.benchmarks,
  ...Recovery.benchmarks,
  ...Restart.benchmarks,
  ...Resources.benchmarks
]

/** Every name, group and tag selects; without any, all but the large ones run. Throws a UsageError that names the unknown. */
export const select = (only: ReadonlyArray<string>, withLarge: boolean): ReadonlyArray<Benchmark> => {
  const matches = (benchmark: Benchmark, word: string) =>
    benchmark.name === word || benchmark.group === word || benchmark.tags.includes(word)
  for (const word of only) {
    if (!all.some((benchmark) => matches(benchmark, word))) {
      throw new UsageError(`there is no benchmark '${word}': --list shows their names`)
    }
  }
  return all.filter((benchmark) =>
    (only.length === 0 || only.some((word) => matches(benchmark, word))) &&
    (benchmark.isLarge !== true || withLarge || only.includes(benchmark.name))
  )
}
