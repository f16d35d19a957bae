/**
 * A process that runs the programs of a range of seeds, and makes failing ones smaller, as it is told.
 */
import Process from "node:process"
import { minimise } from "../../src/testing/internal/minimise.ts"
import type { Programs } from "./exhaustive.ts"
import { scopes } from "./exhaustive.ts"
import type { Program } from "./program.ts"
import { generate } from "./program.ts"
import { smaller } from "./smaller.ts"
import * as World from "./world.ts"

export type Order =
  | { readonly _tag: "Run"; readonly from: number; readonly to: number; readonly stopAtFirst: boolean }
  | { readonly _tag: "Count"; readonly scope: string }
  | { readonly _tag: "Enumerate"; readonly scope: string; readonly from: number; readonly to: number }
  | { readonly _tag: "Minimise"; readonly program: Program; readonly violations: ReadonlyArray<string> }

export interface Failure {
  /** Or the number of the program in its scope. */
  readonly seed: number
  readonly violations: ReadonlyArray<string>
}

export type Report =
  | {
    readonly _tag: "Ran"
    readonly runs: number
    readonly steps: number
    readonly deaths: number
    readonly virtualMillis: number
    readonly coverage: ReadonlyArray<readonly [string, number]>
    readonly failures: ReadonlyArray<Failure>
  }
  | { readonly _tag: "Counted"; readonly count: number }
  | { readonly _tag: "Minimised"; readonly program: Program; readonly violations: ReadonlyArray<string> }

/** Stacks of errors that the simulation is made to produce cost more than the rest of it. */
Error.stackTraceLimit = 0

const execute = (order: Order): Report => {
  if (order._tag === "Minimise") {
    const { program, violations } = minimise({
      failing: order.program,
      violations: order.violations,
      smaller,
      run: (program) => World.run(program).violations,
      secondsMax: 120
    })
    return { _tag: "Minimised", program, violations }
  }
  if (order._tag === "Count") return { _tag: "Counted", count: programsOf(order.scope).count }
  const coverage = new Map<string, number>()
  const failures: Array<Failure> = []
  let [runs, steps, deaths, virtualMillis] = [0, 0, 0, 0]
  const programOf = order._tag === "Run" ? generate : programsOf(order.scope).at
  for (let seed = order.from; seed < order.to; seed++) {
    const outcome = World.run(programOf(seed))
    runs++
    steps += outcome.steps
    deaths += outcome.deaths
    virtualMillis += outcome.virtualMillis
    for (const [what, times] of outcome.coverage) coverage.set(what, (coverage.get(what) ?? 0) + times)
    if (outcome.violations.length === 0) continue
    failures.push({ seed, violations: outcome.violations })
    if (order._tag === "Enumerate" || order.stopAtFirst) break
  }
  return { _tag: "Ran", runs, steps, deaths, virtualMillis, coverage: [...coverage], failures }
}

let known: { readonly scope: string; readonly programs: Programs } | null = null

/** The last scope's are kept: to count them, jobs are run. */
const programsOf = (name: string): Programs => {
  if (known?.scope === name) return known.programs
  const scope = scopes.find((scope) => scope.name === name)
  if (scope === undefined) throw new Error(`there is no scope ${name}`)
  known = { scope: name, programs: scope.programs() }
  return known.programs
}

Process.on("message", (order: Order) => Process.send?.(execute(order)))
