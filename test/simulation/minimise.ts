/**
 * Makes a failing program smaller, one thing after another, as long as it fails in the same way.
 */
import type { Chunk, Program, Run } from "./program.ts"
import * as World from "./world.ts"

/** What went wrong, without the numbers. */
export const kindOf = (violation: string): string =>
  violation.replace(/[0-9]+/g, "#").replace(/-?[a-z]#\S*/g, "*").slice(0, 60)

const without = <A>(items: ReadonlyArray<A>, from: number, count: number): Array<A> =>
  items.filter((_, i) => i < from || i >= from + count)

const withRun = (program: Program, at: number, change: Partial<Run>): Program => ({
  ...program,
  runs: program.runs.map((run, i) => i === at ? { ...run, ...change } : run)
})

const withChunk = (program: Program, at: number, change: Partial<Chunk>): Program => ({
  ...program,
  chunks: program.chunks.map((chunk, i) => i === at ? { ...chunk, ...change } : chunk)
})

/** Programs that are a little smaller, the most promising first. */
function* smaller(program: Program): Generator<Program> {
  const { cassandra, checkpoint, chunks, disk, runs } = program
  for (let i = runs.length - 1; i >= 0; i--) yield { ...program, runs: without(runs, i, 1) }
  for (let count = chunks.length >> 1; count >= 1; count >>= 1) {
    for (let i = 0; i + count <= chunks.length; i += count) yield { ...program, chunks: without(chunks, i, count) }
  }
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
  for (const [i, { failures, keys, pause }] of chunks.entries()) {
    if (failures > 0) yield withChunk(program, i, { failures: failures - 1 })
    if (pause > 0) yield withChunk(program, i, { pause: 0 })
    for (let count = keys.length >> 1; count >= 1; count >>= 1) {
      for (let j = 0; j + count <= keys.length; j += count) {
        yield withChunk(program, i, { keys: without(keys, j, count) })
      }
    }
  }
  const plain: Partial<Program> = {
    isImpatient: false,
    retainedCheckpoints: 1,
    writeBufferBytes: 262_144,
    segmentBytesMax: 8_000_000,
    pendingBytesMax: 8_000_000
  }
  for (const [name, value] of Object.entries(plain)) {
    if (program[name as keyof Program] !== value) yield { ...program, [name]: value }
  }
  const plainCheckpoint: Partial<Program["checkpoint"]> = {
    timeoutMillis: 10_000,
    maxConcurrent: 1,
    tolerableFailures: 10,
    pendingCheckpointsMax: 8,
    minPauseMillis: 0
  }
  for (const [name, value] of Object.entries(plainCheckpoint)) {
    if (checkpoint[name as keyof Program["checkpoint"]] !== value) {
      yield { ...program, checkpoint: { ...checkpoint, [name]: value } }
    }
  }
}

export interface Minimised {
  readonly program: Program
  readonly violations: ReadonlyArray<string>
  readonly attempts: number
}

/** Ends after `secondsMax`, or when no program is smaller. */
export const minimise = (failing: Program, violations: ReadonlyArray<string>, secondsMax = 120): Minimised => {
  const endsAt = performance.now() + secondsMax * 1000
  const kinds = new Set(violations.map(kindOf))
  let program = failing
  let found = violations
  let attempts = 0
  for (let progress = true; progress;) {
    progress = false
    for (const candidate of smaller(program)) {
      if (performance.now() > endsAt) return { program, violations: found, attempts }
      attempts++
      const outcome = World.run(candidate)
      if (!outcome.violations.some((violation) => kinds.has(kindOf(violation)))) continue
      program = candidate
      found = outcome.violations
      progress = true
      break
    }
  }
  return { program, violations: found, attempts }
}
