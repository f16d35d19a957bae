/**
 * Goes through all programs of scopes, with as many workers as there are processors.
 */
import type { Scope } from "./exhaustive.ts"
import type { Edit } from "./planted.ts"
import type { Failure } from "./worker.ts"
import type { Totals, Worker } from "./workers.ts"
import { addTo, startWorker } from "./workers.ts"

/** Programs that a worker is given at a time. */
const programsAtOnce = 100

export interface Enumerated {
  readonly scope: Scope
  readonly count: number
  readonly seconds: number
  /** In the order of their numbers; looking ends with the first ones. */
  readonly failures: ReadonlyArray<Failure>
}

export const enumerate = async (
  scopes: ReadonlyArray<Scope>,
  options: {
    readonly jobs: number
    readonly totals: Totals
    readonly edits?: ReadonlyArray<Edit>
    readonly onScope: (done: Enumerated) => void
    readonly onProgress: (scope: Scope, done: number, count: number) => void
  }
): Promise<ReadonlyArray<Enumerated>> => {
  const workers = Array.from({ length: options.jobs }, () => startWorker(options.edits))
  const all: Array<Enumerated> = []
  for (const scope of scopes) {
    const done = await enumerateOne(scope, workers, options)
    options.onScope(done)
    all.push(done)
    if (done.failures.length > 0) break
  }
  for (const worker of workers) worker.stop()
  return all
}

const enumerateOne = async (
  scope: Scope,
  workers: ReadonlyArray<Worker>,
  options: Parameters<typeof enumerate>[1]
): Promise<Enumerated> => {
  const startedAt = performance.now()
  const failures: Array<Failure> = []
  let count = 0
  let next = 0
  let done = 0
  await Promise.all(workers.map(async (worker) => {
    const counted = await worker.ask({ _tag: "Count", scope: scope.name })
    if (counted._tag === "Counted") count = counted.count
    while (next < count && failures.length === 0) {
      const from = next
      next = Math.min(from + programsAtOnce, count)
      const report = await worker.ask({ _tag: "Enumerate", scope: scope.name, from, to: next })
      if (report._tag !== "Ran") continue
      addTo(options.totals, report)
      done += report.runs
      failures.push(...report.failures)
      options.onProgress(scope, done, count)
    }
  }))
  return {
    scope,
    count,
    seconds: (performance.now() - startedAt) / 1000,
    failures: failures.toSorted((a, b) => a.seed - b.seed)
  }
}
