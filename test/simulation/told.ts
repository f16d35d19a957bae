/**
 * What the simulator prints.
 */
import Process from "node:process"
import type { Totals } from "./workers.ts"

// A reader that went away (`| head`) is no failure.
for (const stream of [Process.stdout, Process.stderr]) stream.on("error", () => {})

export const out = (line: string) => Process.stdout.write(`${line}\n`)
export const say = (line: string) => Process.stderr.write(`${line}\n`)

export const summary = (totals: Totals, violations: number, seconds: number) =>
  JSON.stringify({
    runs: totals.runs,
    steps: totals.steps,
    crashes: totals.deaths,
    violations,
    runsPerSecond: Math.round(totals.runs / seconds * 10) / 10,
    simulatedHours: Math.round(totals.virtualMillis / 36_000) / 100
  })
