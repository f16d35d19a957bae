/**
 * Makes a failing program smaller, one thing after another, as long as it fails in the same way.
 */
import type { FaultProgram, Run } from "../FaultProgram.ts"

/** What went wrong, without the numbers. */
export const kindOf = (violation: string): string =>
  violation.replace(/[0-9]+/g, "#").replace(/-?[a-z]#\S*/g, "*").slice(0, 60)

export const without = <A>(items: ReadonlyArray<A>, from: number, count: number): Array<A> =>
  items.filter((_, i) => i < from || i >= from + count)

const withRun = <P extends FaultProgram>(program: P, at: number, change: Partial<Run>): P => ({
  ...program,
  runs: program.runs.map((run, i) => i === at ? { ...run, ...change } : run)
})

/** Programs with a little less trouble, the most promising first. */
export function* withFewerFaults<P extends FaultProgram>(program: P): Generator<P> {
  const { cassandra, disk, runs } = program
  for (let i = runs.length - 1; i >= 0; i--) yield { ...program, runs: without(runs, i, 1) }
  if (Object.keys(cassandra.faults).length > 0) {
    yield { ...program, cassandra: { ...cassandra, faults: {} } }
    for (const tag of Object.keys(cassandra.faults)) {
      yield { ...program, cassandra: { ...cassandra, faults: { ...cassandra.faults, [tag]: undefined } } }
    }
  }
  for (let i = 0; i < cassandra.outages.length; i++) {
    yield { ...program, cassandra: { ...cassandra, outages: without(cassandra.outages, i, 1) } }
  }
  if (cassandra.replicas > 1) yield { ...program, cassandra: { ...cassandra, replicas: 1 } }
  for (const name of ["turnsMax", "delayMillisMax", "lateChance"] as const) {
    if (cassandra[name] > 0) yield { ...program, cassandra: { ...cassandra, [name]: 0 } }
  }
  if (disk.slow !== null) yield { ...program, disk: { ...disk, slow: null } }
  if (disk.shortReads) yield { ...program, disk: { ...disk, shortReads: false } }
  for (const name of ["turnsMax", "delayMillisMax"] as const) {
    if (disk[name] > 0) yield { ...program, disk: { ...disk, [name]: 0 } }
  }
  for (const [i, run] of runs.entries()) {
    for (let j = 0; j < run.diskFaults.length; j++) {
      yield withRun(program, i, { diskFaults: without(run.diskFaults, j, 1) })
    }
    if (run.capacity !== null) yield withRun(program, i, { capacity: null })
    if (run.flip !== null) yield withRun(program, i, { flip: null })
    if (run.skewMillis !== 0) yield withRun(program, i, { skewMillis: 0 })
    if (run.parallelism > 1) yield withRun(program, i, { parallelism: run.parallelism - 1 })
    if (run.end.kind === "crash" && run.end.mode !== "kill") {
      yield withRun(program, i, { end: { ...run.end, mode: "kill" } })
      if (run.end.mode !== "lost") yield withRun(program, i, { end: { ...run.end, mode: "lost" } })
    }
  }
}

export interface Minimised<P> {
  readonly program: P
  readonly violations: ReadonlyArray<string>
  readonly attempts: number
}

/** Ends after `secondsMax`, or when no program is smaller. */
export const minimise = <P>(options: {
  readonly failing: P
  readonly violations: ReadonlyArray<string>
  readonly smaller: (program: P) => Iterable<P>
  readonly run: (program: P) => ReadonlyArray<string>
  readonly secondsMax: number
}): Minimised<P> => {
  const endsAt = performance.now() + options.secondsMax * 1000
  const kinds = new Set(options.violations.map(kindOf))
  let program = options.failing
  let violations = options.violations
  let attempts = 0
  for (let progress = true; progress;) {
    progress = false
    for (const candidate of options.smaller(program)) {
      if (performance.now() > endsAt) return { program, violations, attempts }
      attempts++
      const found = options.run(candidate)
      if (!found.some((violation) => kinds.has(kindOf(violation)))) continue
      program = candidate
      violations = found
      progress = true
      break
    }
  }
  return { program, violations, attempts }
}
