/**
 * Recovery as a property: whatever a small job does, and wherever its processes die, each record is in the table once, in
 * order, with the one timestamp it ever had. The world and the oracle are the simulation's; the programs are drawn, and
 * made smaller, by Effect's own generators, so that a failure is a short program to read.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as FaultProgram from "../../src/testing/FaultProgram.ts"
import type { Program } from "../simulation/program.ts"
import * as World from "../simulation/world.ts"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Chunk = Schema.Struct({
  keys: Schema.Array(int(0, 5)).check(Schema.isMaxLength(8)),
  pause: Schema.Literals([0, 1, 5, 30])
})

const Run = Schema.Struct({
  parallelism: int(1, 3),
  diesAt: Schema.Union([int(1, 60), int(60, 130), int(90, 160), int(130, 300), Schema.Null]),
  death: Schema.Literals(["kill", "lost", "kept", "cut", "scattered", "mixed"])
})

const rough = {
  WriteTimeout: 0.06,
  WriteFailure: 0.02,
  ReadTimeout: 0.01,
  Unavailable: 0.02,
  Overloaded: 0.02,
  ConnectionLost: 0.03,
  NoAnswer: 0.005,
  Slow: 0.05
}

const Job = Schema.Struct({
  seed: int(0, 1_000_000),
  chunks: Schema.Array(Chunk).check(Schema.isMinLength(3), Schema.isMaxLength(14)),
  runs: Schema.Array(Run).check(Schema.isMinLength(1), Schema.isMaxLength(5)),
  intervalMillis: Schema.Literals([2, 10, 50]),
  maxConcurrent: Schema.Literals([1, 2]),
  isRough: Schema.Boolean,
  segmentBytesMax: Schema.Literals([100, 8_000_000]),
  sortBytesMax: Schema.Literals([1, 200, 8_000_000]),
  pendingBytesMax: Schema.Literals([400, 8_000_000]),
  isImpatient: Schema.Boolean
})

const runOf = ({ death, diesAt, parallelism }: typeof Run.Type): FaultProgram.Run => ({
  ...FaultProgram.undisturbed(parallelism, 0),
  end: diesAt === null ? { kind: "finish" } : { kind: "crash", at: diesAt, where: "", mode: death }
})

const programOf = (
  { chunks, intervalMillis, isRough, maxConcurrent, runs, seed, ...settings }: typeof Job.Type
): Program => {
  const faults = FaultProgram.calm(seed, runs.map(runOf))
  return {
    ...faults,
    ...settings,
    cassandra: { ...faults.cassandra, faults: isRough ? rough : {}, turnsMax: seed % 3, slowMillisMax: 200 },
    chunks: chunks.map(({ keys, pause }) => ({ keys, pause, failures: 0 })),
    checkpoint: {
      intervalMillis,
      minPauseMillis: 0,
      timeoutMillis: 10_000,
      maxConcurrent,
      tolerableFailures: 2,
      pendingCheckpointsMax: 8
    },
    restart: { kind: "fixed-delay", attempts: 1000, delay: 50 },
    retainedCheckpoints: 1,
    writeBufferBytes: 262_144,
    readBufferBytes: 1_048_576,
    requestsInFlightMax: 4,
    burstMax: 1,
    isRouted: seed % 3 === 0,
    endPause: 0,
    savepoints: null
  }
}

const totals = { programs: 0, deaths: 0, steps: 0, replayed: 0, virtualMillis: 0 }

describe("recovery", () => {
  it.prop(
    "1,000 random programs with failing requests and a death at any step: each record once, in order",
    { job: Arbitrary.schema(Job) },
    ({ job }) => {
      const outcome = World.run(programOf(job))
      assert.deepStrictEqual(outcome.violations, [])
      totals.programs++
      totals.deaths += outcome.deaths
      totals.steps += outcome.steps
      totals.virtualMillis += outcome.virtualMillis
      totals.replayed += outcome.coverage.get("replayed checkpoints") ?? 0
    },
    { arbitrary: { runs: 1000 }, timeout: 300_000 }
  )

  it("the programs met what they are for", () => {
    process.stdout.write(`recovery: ${JSON.stringify(totals)}\n`)
    assert.isAtLeast(totals.programs, 1000)
    assert.isAtLeast(totals.deaths, 800)
    assert.isAtLeast(totals.replayed, 50)
  })
})
