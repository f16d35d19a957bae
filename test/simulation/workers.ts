/**
 * Worker processes, and seeds for them. Node's, not Effect's: what is tested here must not be what tests it.
 */
import type { ChildProcess } from "node:child_process"
import * as ChildProcesses from "node:child_process"
import Process from "node:process"
import * as Url from "node:url"
import type { Edit } from "./planted.ts"
import type { Order, Report } from "./worker.ts"

export interface Worker {
  readonly ask: (order: Order) => Promise<Report>
  readonly stop: () => void
}

const here = (file: string): string => Url.fileURLToPath(new URL(file, import.meta.url))

/** With `edits`, the sources that it loads are changed so. */
export const startWorker = (edits: ReadonlyArray<Edit> = []): Worker => {
  const child: ChildProcess = ChildProcesses.fork(here("./worker.ts"), [], {
    execArgv: edits.length === 0 ? [] : ["--import", new URL("./plantedHooks.ts", import.meta.url).href],
    env: { ...Process.env, SIMULATION_EDITS: JSON.stringify(edits) },
    stdio: ["ignore", "inherit", "inherit", "ipc"]
  })
  return {
    ask: (order) =>
      new Promise((resolve, reject) => {
        const onExit = (code: number | null) => reject(new Error(`a worker ended with exit code ${code}`))
        child.once("exit", onExit)
        child.once("message", (report: Report) => {
          child.off("exit", onExit)
          resolve(report)
        })
        child.send(order)
      }),
    stop: () => {
      child.disconnect()
    }
  }
}

export interface Totals {
  runs: number
  steps: number
  deaths: number
  virtualMillis: number
  readonly coverage: Map<string, number>
}

export const makeTotals = (): Totals => ({ runs: 0, steps: 0, deaths: 0, virtualMillis: 0, coverage: new Map() })

export const addTo = (totals: Totals, report: Extract<Report, { readonly _tag: "Ran" }>): void => {
  totals.runs += report.runs
  totals.steps += report.steps
  totals.deaths += report.deaths
  totals.virtualMillis += report.virtualMillis
  for (const [what, times] of report.coverage) totals.coverage.set(what, (totals.coverage.get(what) ?? 0) + times)
}
