/**
 * The soak: programs of the simulation, one after the other, on one real cluster whose nodes die and whose network fails
 * meanwhile. All of it follows from one seed, but for the time that real things take.
 */
import { Clock, Effect, Fiber } from "effect"
import type { Cluster } from "./cluster.ts"
import type { Counts } from "./counts.ts"
import { noCounts } from "./counts.ts"
import type { Tally } from "./oracle.ts"
import type { Dice, End, Program, Run } from "./program.ts"
import { generate, makeDice } from "./program.ts"
import type { Outcome } from "./realWorld.ts"
import { run } from "./realWorld.ts"
import type { WeatherCounts } from "./weather.ts"
import { weather } from "./weather.ts"

export interface SoakOptions {
  readonly cluster: Cluster
  readonly minutes: number
  readonly seed: number
  readonly directory: string
  /** Number of the first program: see `Options.number`. Default 0. */
  readonly firstNumber?: number | undefined
  readonly say: (line: string) => void
}

export interface SoakOutcome extends Tally {
  readonly programs: number
  readonly counts: Counts & WeatherCounts
  readonly violations: ReadonlyArray<string>
}

/** As many as take some seconds to load: that depends on the machine, and is found out on the way. */
const records = { first: 60_000, min: 20_000, max: 500_000, more: 1.6, less: 0.85 }
const weatherPause = [2000, 8000] as const

/**
 * The simulation has the time to wait for what is rare. Here no process is left alone, a disk is full now and then, and
 * most zombies may try until they know that they are fenced.
 */
const toughen = (program: Program, dice: Dice): Program => ({
  ...program,
  restart: dice.chance(0.7) ? { kind: "exponential", initialBackoff: 5, maxBackoff: 2000 } : program.restart,
  runs: program.runs.map((run): Run => ({
    ...run,
    capacity: run.capacity === null && dice.chance(0.12) ? dice.between(300, 4000) : run.capacity,
    end: run.end.kind === "finish"
      ? dice.pick<End>([
        { kind: "kill", at: dice.between(1, 400), where: "" },
        { kind: "freeze", at: dice.between(1, 400), where: "", thawAfter: dice.between(0, 600), thawWhere: "" }
      ])
      : run.end
  }))
})

export const soak = (options: SoakOptions): Effect.Effect<SoakOutcome> =>
  Effect.scoped(Effect.gen(function*() {
    const { cluster, directory, say, seed } = options
    const dice = makeDice(seed)
    const counts = { ...noCounts(), nodeKills: 0, nodePauses: 0 }
    const total: Tally = { rows: 0, missing: 0, different: 0, writeTimesChanged: 0 }
    const outcomes: Array<{ readonly number: number; readonly outcome: Outcome }> = []
    const violations: Array<string> = []
    const startedAt = yield* Clock.currentTimeMillis
    const storms = yield* Effect.forkScoped(
      weather({ cluster, dice: makeDice(seed + 1), counts, say, pauseMillis: weatherPause })
    )
    let size = records.first
    for (let i = 0; violations.length === 0; i++) {
      if ((yield* Clock.currentTimeMillis) - startedAt > options.minutes * 60_000) break
      const number = (options.firstNumber ?? 0) + i
      const program = toughen(generate(dice.below(1_000_000)), dice)
      const outcome = yield* run(program, { cluster, number, directory, say, counts, records: size })
      size = Math.round(
        Math.max(records.min, Math.min(records.max, size * (outcome.tooFast > 0 ? records.more : records.less)))
      )
      outcomes.push({ number, outcome })
      violations.push(...outcome.violations)
      const died = storms.pollUnsafe()
      if (died !== undefined) violations.push(`the weather ended: ${String(died)}`)
    }
    yield* Fiber.interrupt(storms)
    // Nobody has come late and changed what was done.
    for (const { number, outcome: { oracle } } of outcomes) {
      if (violations.length === 0) {
        oracle.contents(yield* cluster.rows(number))
        violations.push(...oracle.violations)
      }
      total.rows += oracle.tally.rows
      total.missing += oracle.tally.missing
      total.different += oracle.tally.different
      total.writeTimesChanged += oracle.tally.writeTimesChanged
    }
    return { ...total, programs: outcomes.length, counts, violations }
  }))
