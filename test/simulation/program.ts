/**
 * What the simulated jobs do, and what happens to them: a workload and a program of faults, derived from one seed.
 */
import type { RestartStrategyConfig } from "../../src/checkpoint/RestartStrategy.ts"
import * as FaultProgram from "../../src/testing/FaultProgram.ts"
import type { Dice } from "../../src/testing/internal/dice.ts"
import { makeDice } from "../../src/testing/internal/dice.ts"

export type { End, Fault, Point, Run } from "../../src/testing/FaultProgram.ts"

/** Records that the source gives together, by their keys. The place of a record in all chunks is its number. */
export interface Chunk {
  readonly keys: ReadonlyArray<number>
  /** Virtual milliseconds before it. */
  readonly pause: number
  /** How often the source fails before it gives this chunk. */
  readonly failures: number
}

export interface Program extends FaultProgram.FaultProgram {
  readonly chunks: ReadonlyArray<Chunk>
  readonly checkpoint: {
    readonly intervalMillis: number
    readonly minPauseMillis: number
    readonly timeoutMillis: number
    readonly maxConcurrent: number
    readonly tolerableFailures: number
    readonly pendingCheckpointsMax: number
  }
  readonly restart: RestartStrategyConfig
  readonly retainedCheckpoints: number
  readonly writeBufferBytes: number
  readonly readBufferBytes: number
  readonly segmentBytesMax: number
  readonly pendingBytesMax: number
  readonly requestsInFlightMax: number
  /** Requests that are sent together; where it is more than one, each row is a request. */
  readonly burstMax: number
  /** Requests are repeated once only. */
  readonly isImpatient: boolean
  /** Virtual milliseconds between the last record and the end of the source. */
  readonly endPause: number
}

const restartOf = (dice: Dice): RestartStrategyConfig =>
  dice.pick<RestartStrategyConfig>([
    { kind: "none" },
    { kind: "fixed-delay", attempts: 2, delay: 10 },
    { kind: "fixed-delay", attempts: 1000, delay: 50 },
    { kind: "fixed-delay", attempts: 1000, delay: 0 },
    { kind: "exponential", initialBackoff: 5, maxBackoff: 2000 },
    { kind: "failure-rate", maxFailures: 3, interval: 1000, delay: 20 }
  ])

/** The program of a seed: the same for ever, as long as this function does not change. */
export const generate = (seed: number): Program => {
  const dice = makeDice(seed + 0.25 * 0x1_0000_0000)
  // What came later is drawn from a dice of its own, so that the rest of each seed's program is what it was.
  const ownDice = makeDice(seed + 0.75 * 0x1_0000_0000)
  const faults = FaultProgram.generate(seed)
  // Where a last checkpoint is left half written, it matters most if it is one without rows: the job is done with it.
  const endsQuietly = faults.runs.some(({ end }) => end.kind === "kill" && end.where === "after rename *.manifest.tmp")
  // Where two processes meet over the last checkpoint, keeping older ones would hide it.
  const meets = faults.runs.some(({ end }) => end.kind === "freeze" && end.thawWhere !== "")
  const failingSource = dice.chance(0.15)
  const isFlood = dice.chance(0.08)
  const keys = dice.pick([1, 3, 6, 6, 20])
  const keysMax = dice.pick([2, 8, 8])
  const chunkCount = isFlood ? dice.between(30, 60) : dice.between(2, 14)
  const pauses = endsQuietly ? [0] : dice.pick([[0], [0, 1, 5, 30], [0, 1, 5, 30], [30, 200]])
  const chunks = Array.from({ length: chunkCount }, (): Chunk => ({
    keys: Array.from({ length: isFlood ? 8 : dice.below(keysMax + 1) }, () => dice.below(keys)),
    pause: isFlood ? 0 : dice.pick(pauses),
    failures: failingSource && dice.chance(0.15) ? dice.between(1, 2) : 0
  }))
  const program: Program = {
    ...faults,
    chunks,
    checkpoint: {
      intervalMillis: endsQuietly ? 150 : dice.pick([2, 10, 10, 50, 1000]),
      minPauseMillis: dice.pick([0, 0, 1, 20]),
      timeoutMillis: dice.pick([15, 100, 10_000, 10_000]),
      maxConcurrent: dice.pick([1, 1, 2, 3]),
      tolerableFailures: dice.pick([0, 1, 3, 10]),
      pendingCheckpointsMax: dice.pick([1, 2, 8])
    },
    restart: restartOf(dice),
    retainedCheckpoints: endsQuietly || meets ? 1 : dice.pick([1, 1, 2, 3]),
    writeBufferBytes: dice.pick([64, 262_144]),
    readBufferBytes: ownDice.pick([64, 200, 1_048_576]),
    segmentBytesMax: dice.pick([100, 8_000_000]),
    pendingBytesMax: dice.pick([400, 8_000_000]),
    requestsInFlightMax: dice.pick([1, 4]),
    burstMax: ownDice.pick([1, 1, 3]),
    isImpatient: dice.chance(0.3),
    endPause: endsQuietly ? 200 : dice.pick([0, 0, 0, 60])
  }
  if (!FaultProgram.hasSlowCleanUp(faults)) return program
  // Records come, and checkpoints are triggered, while the run that failed is cleaned up.
  return {
    ...program,
    chunks: [...chunks, ...chunks].map(({ failures, keys }) => ({ failures, keys, pause: 10 })),
    checkpoint: {
      ...program.checkpoint,
      intervalMillis: 10,
      minPauseMillis: 0,
      timeoutMillis: 10_000,
      tolerableFailures: 10
    },
    restart: { kind: "fixed-delay", attempts: 1000, delay: 0 },
    isImpatient: true
  }
}
