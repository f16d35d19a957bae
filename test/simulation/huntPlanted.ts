/**
 * Whether the simulation finds the bugs that are planted.
 */
import { enumerate } from "./enumerate.ts"
import { scopes } from "./exhaustive.ts"
import type { PlantedBug } from "./planted.ts"
import { plantedBugs } from "./planted.ts"
import { out, say, summary } from "./told.ts"
import type { Failure } from "./worker.ts"
import { addTo, makeTotals, startWorker } from "./workers.ts"

/** How many programs each bug is looked for in. */
export const plantedSeedsMax = 2000

const bugsNamed = (name: string | null): ReadonlyArray<PlantedBug> => {
  const bugs = plantedBugs.filter((bug) => name === null || bug.name === name)
  if (bugs.length === 0) throw new TypeError(`there is no planted bug ${name}: ${plantedBugs.map((bug) => bug.name)}`)
  return bugs
}

/** Every bug of the catalogue is planted, and must be found within `seeds` programs. */
export const huntPlanted = async (
  name: string | null,
  { first, jobs, seeds }: { readonly first: number; readonly jobs: number; readonly seeds: number }
): Promise<boolean> => {
  const bugs = bugsNamed(name)
  const totals = makeTotals()
  const startedAt = performance.now()
  const queue = bugs.slice()
  let notFound = 0
  await Promise.all(Array.from({ length: jobs }, async () => {
    for (let bug = queue.shift(); bug !== undefined; bug = queue.shift()) {
      const worker = startWorker(bug.edits)
      let found: Failure | undefined
      for (let from = first; from < first + seeds && found === undefined; from += 50) {
        const report = await worker.ask({ _tag: "Run", from, to: from + 50, stopAtFirst: true })
        if (report._tag !== "Ran") continue
        addTo(totals, report)
        found = report.failures[0]
      }
      worker.stop()
      if (found === undefined) notFound++
      out(
        `${bug.name.padEnd(34)}` + (found === undefined
          ? `NOT FOUND in ${seeds} runs`
          : `found after ${String(found.seed - first + 1).padStart(4)} runs: ${found.violations[0]!.slice(0, 110)}`)
      )
    }
  }))
  out(summary(totals, bugs.length - notFound, (performance.now() - startedAt) / 1000))
  return notFound === 0
}

/** The same, in the small scopes: single deviations, and two deaths of the smaller job. */
export const enumeratePlanted = async (name: string | null, jobs: number): Promise<boolean> => {
  const order = [
    ...scopes.filter((scope) => !scope.name.includes(",")),
    ...scopes.filter((scope) => scope.name === "death, death 1x2")
  ]
  const totals = makeTotals()
  const startedAt = performance.now()
  const bugs = bugsNamed(name)
  let notFound = 0
  for (const bug of bugs) {
    let before = 0
    const all = await enumerate(order, {
      jobs,
      totals,
      edits: bug.edits,
      onScope: ({ count }) => {
        before += count
      },
      onProgress: (scope, done, count) => say(`${bug.name}: ${scope.name}: ${done} of ${count}`)
    })
    const last = all.at(-1)
    const failure = last?.failures[0]
    if (failure === undefined || last === undefined) notFound++
    out(
      `${bug.name.padEnd(34)}` + (failure === undefined || last === undefined
        ? `not found in ${before} programs`
        : `found in ${last.scope.name} at ${failure.seed}: ${failure.violations[0]!.slice(0, 90)}`)
    )
  }
  out(summary(totals, bugs.length - notFound, (performance.now() - startedAt) / 1000))
  return notFound === 0
}
