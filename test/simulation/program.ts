/**
 * What the simulated jobs do, and what happens to them: a workload and a program of faults, derived from one seed.
 */
import type { RestartStrategyConfig } from "../../src/checkpoint/RestartStrategy.ts"
import * as FaultProgram from "../../src/testing/FaultProgram.ts"
import type { Dice } from "../../src/testing/internal/dice.ts"
import { makeDice } from "../../src/testing/internal/dice.ts"
import { withLostLedger } from "./ledgerPrograms.ts"
import type { JobRun } from "./verbPrograms.ts"
import { onWhatWasLeft, withVerbs } from "./verbPrograms.ts"

export type { End, Fault, Point, Run } from "../../src/testing/FaultProgram.ts"

/**
 * What is bad about a record: its source can't read it, it does not fit the table, Cassandra refuses it for ever; or a node
 * has not heard of the table yet when it gets it, which is no fault of the record.
 */
export type Bad = "malformed" | "misfit" | "refused" | "unheard" | ""

/** Records that the source gives together, by their keys. The place of a record in all chunks is its number. */
export interface Chunk {
  readonly keys: ReadonlyArray<number>
  /** Virtual milliseconds before it. */
  readonly pause: number
  /** How often the source fails before it gives this chunk. */
  readonly failures: number
  /** In the order of the keys; without it, and beyond it, nothing is bad. */
  readonly bad?: ReadonlyArray<Bad> | undefined
}

/** A savepoint that a process takes, and tells of. */
export interface Take {
  /** The number of the process. */
  readonly run: number
  /** While its job runs, so long after its start; of what the job leaves; or of what lies there before it starts. */
  readonly when: { readonly kind: "running"; readonly afterMillis: number } | { readonly kind: "ended" | "before" }
}

export interface Savepoints {
  readonly takes: ReadonlyArray<Take>
  /**
   * By machine: the name of the job there, and whether it begins with the last savepoint of the machine before (else its
   * state is lost). A machine that is not there begins with one, under the same name.
   */
  readonly machines: ReadonlyArray<{ readonly jobId: string; readonly restores: boolean }>
  /** A savepoint that looks complete is restored, though the process that took it has died before it could tell. */
  readonly trusts: boolean
  /** When a job has moved under another name, somebody restores the same savepoint under a third one. */
  readonly hasRival?: boolean | undefined
}

export interface Program extends FaultProgram.FaultProgram {
  readonly runs: ReadonlyArray<JobRun>
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
  readonly sortBytesMax: number
  readonly pendingBytesMax: number
  readonly requestsInFlightMax: number
  /** Requests that are sent together; where it is more than one, each row is a request. */
  readonly burstMax: number
  /** Requests are repeated once only. */
  readonly isImpatient: boolean
  /** Records are written with one of two statements by turns, both of which write the same cells. */
  readonly isRouted: boolean
  /** Virtual milliseconds between the last record and the end of the source. */
  readonly endPause: number
  /** Null: none are taken. */
  readonly savepoints: Savepoints | null
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

const deathsOfSavepoints: ReadonlyArray<string> = [
  "_metadata.tmp",
  "syncDirectory savepoint-*",
  "syncDirectory segments",
  "open savepoint-*",
  "sync *.wal",
  "batch",
  "lwt"
]

/** Four of ten programs take savepoints, and moves with them. Drawn from dice of its own: the others are as they were. */
const savepointsOf = (
  seed: number,
  runs: ReadonlyArray<FaultProgram.Run>
): { readonly savepoints: Savepoints | null; readonly runs: ReadonlyArray<FaultProgram.Run> } => {
  const dice = makeDice(seed + 0.75 * 0x1_0000_0000)
  if (runs.length < 2 || !dice.chance(0.4)) return { savepoints: null, runs }
  const takes = runs.flatMap((_, run): Array<Take> =>
    Array.from({ length: dice.pick([1, 2, 2, 3]) }, () => {
      const kind = dice.pick(["running", "running", "running", "ended", "before"] as const)
      return { run, when: kind === "running" ? { kind, afterMillis: dice.pick([1, 5, 15, 15, 40, 120]) } : { kind } }
    })
  )
  let moved = 0
  const moves = runs.map((run, i) => {
    if (i > 0 && dice.chance(0.45)) moved++
    return { ...run, machine: run.machine + moved }
  })
  // Deaths at random steps are seldom those of a savepoint.
  const ends = moves.map((run, i): FaultProgram.Run =>
    (moves[i + 1]?.machine ?? run.machine) > run.machine && dice.chance(0.5)
      ? {
        ...run,
        end: {
          kind: "crash",
          mode: dice.pick(["lost", "lost", "scattered", "mixed"]),
          at: dice.between(1, dice.pick([2, 6])),
          where: dice.pick(deathsOfSavepoints)
        }
      }
      : run
  )
  let jobId = "job"
  const machines = Array.from({ length: (moves.at(-1)?.machine ?? 0) + 3 }, (_, machine) => {
    if (machine > 0 && dice.chance(0.6)) jobId = dice.pick(["job", "job_b", "job_c"])
    return { jobId, restores: dice.chance(0.9) }
  })
  const trusts = dice.chance(0.5)
  if (dice.chance(0.25)) return dice.pick([thereAndBack, overtaken, brokenOff, brokenOff, wakesUpTaking])(dice)
  // Where the new machine's clock is behind, only what the old job has told of keeps the new one above it.
  const skewed = (run: FaultProgram.Run, i: number): FaultProgram.Run => {
    if (run.machine <= (ends[i - 1]?.machine ?? run.machine) || !dice.chance(0.35)) return run
    const skewMillis = -dice.pick([20, 200, 5000, 3_600_000])
    return { ...run, skewMillis, end: dice.chance(0.5) ? { kind: "finish" } : run.end }
  }
  return { savepoints: { takes, machines, trusts }, runs: ends.map(skewed) }
}

/** Where nobody wakes up: a rival that sleeps until the job is back under its first name would take it over by right. */
const withRival = (
  seed: number,
  { runs, savepoints }: ReturnType<typeof savepointsOf>
): ReturnType<typeof savepointsOf> => {
  const hasRival = makeDice(seed + 0.6875 * 0x1_0000_0000).chance(0.5) && runs.every(({ end }) => end.kind !== "freeze")
  return { runs, savepoints: savepoints === null || !hasRival ? savepoints : { ...savepoints, hasRival } }
}

/** A job that goes on behind its savepoint, to its end; what is restored from it has a clock that is far behind. */
const overtaken = (
  dice: Dice
): { readonly savepoints: Savepoints; readonly runs: ReadonlyArray<FaultProgram.Run> } => ({
  runs: [
    FaultProgram.undisturbed(dice.between(1, 3), 0),
    { ...FaultProgram.undisturbed(dice.between(1, 3), 1), skewMillis: -dice.pick([5000, 3_600_000]) }
  ],
  savepoints: {
    takes: [{ run: 0, when: { kind: "running", afterMillis: dice.pick([1, 5, 15, 40]) } }],
    machines: ["job", "job_b"].map((jobId) => ({ jobId, restores: true })),
    trusts: false
  }
})

/** A job that dies behind its savepoint, and then again while it is restored. */
const brokenOff = (
  dice: Dice
): { readonly savepoints: Savepoints; readonly runs: ReadonlyArray<FaultProgram.Run> } => {
  const run = (machine: number, end: FaultProgram.End): FaultProgram.Run => ({
    ...FaultProgram.undisturbed(dice.between(1, 3), machine),
    end
  })
  const mode = dice.pick(["kill", "lost", "scattered"] as const)
  return {
    runs: [
      run(0, {
        kind: "kill",
        at: dice.between(1, 3),
        where: dice.pick(["after rename _metadata.tmp", "batch", "lwt"])
      }),
      run(1, {
        kind: "crash",
        at: dice.between(1, 3),
        where: dice.pick([
          "sync *.wal",
          "after rename *.manifest.tmp",
          "after rename *.manifest.tmp",
          "after syncDirectory checkpoints",
          "lwt"
        ]),
        mode
      })
    ],
    savepoints: {
      takes: [{ run: 0, when: { kind: "running", afterMillis: dice.pick([1, 5, 15, 40]) } }],
      machines: ["job", dice.pick(["job", "job_b"])].map((jobId) => ({ jobId, restores: true })),
      trusts: true
    }
  }
}

/** A process wakes up while it takes a savepoint, when its successor is done, whose clock is ahead. */
const wakesUpTaking = (
  dice: Dice
): { readonly savepoints: Savepoints; readonly runs: ReadonlyArray<FaultProgram.Run> } => ({
  runs: [
    {
      ...FaultProgram.undisturbed(dice.between(1, 3), 0),
      end: { kind: "freeze", at: dice.between(1, 12), where: "savepoint-*", thawAfter: null, thawWhere: "" }
    },
    { ...FaultProgram.undisturbed(dice.between(1, 3), 0), skewMillis: dice.pick([5000, 3_600_000]) }
  ],
  savepoints: {
    takes: [{ run: 0, when: { kind: "running", afterMillis: dice.pick([1, 5, 15]) } }],
    machines: [{ jobId: "job", restores: true }],
    trusts: false
  }
})

/** A job that moves and comes back to its first name, while a process wakes up that was frozen on the first of these ways. */
const thereAndBack = (
  dice: Dice
): { readonly savepoints: Savepoints; readonly runs: ReadonlyArray<FaultProgram.Run> } => {
  const run = (machine: number, end: FaultProgram.End): FaultProgram.Run => ({
    ...FaultProgram.undisturbed(dice.between(1, 3), machine),
    end
  })
  const stop = (): FaultProgram.End => ({ kind: "stop", at: dice.between(80, 250), where: "" })
  return {
    runs: [
      run(0, stop()),
      run(1, {
        kind: "freeze",
        at: dice.between(3, 4),
        where: "readDirectory checkpoints",
        thawAfter: dice.between(4, 40),
        thawWhere: "after lwt"
      }),
      run(1, stop()),
      run(2, { kind: "finish" })
    ],
    savepoints: {
      takes: [0, 2].map((run) => ({ run, when: { kind: "ended" } })),
      machines: ["job", "job_b", "job"].map((jobId) => ({ jobId, restores: true })),
      trusts: false
    }
  }
}

/** The program of a seed: the same for ever, as long as this function does not change. */
export const generate = (seed: number): Program => {
  const dice = makeDice(seed + 0.25 * 0x1_0000_0000)
  // What came later is drawn from a dice of its own, so that the rest of each seed's program is what it was.
  const ownDice = makeDice(seed + 0.875 * 0x1_0000_0000)
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
  const good = Array.from({ length: chunkCount }, (): Chunk => ({
    keys: Array.from({ length: isFlood ? 8 : dice.below(keysMax + 1) }, () => dice.below(keys)),
    pause: isFlood ? 0 : dice.pick(pauses),
    failures: failingSource && dice.chance(0.15) ? dice.between(1, 2) : 0
  }))
  const program: Program = {
    ...faults,
    // A story that is told already must not be told otherwise.
    ...endsQuietly || meets || FaultProgram.hasSlowCleanUp(faults)
      ? { savepoints: null }
      : withRival(seed, savepointsOf(seed, faults.runs)),
    chunks: good,
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
    sortBytesMax: makeDice(seed + 0.1875 * 0x1_0000_0000).pick([1, 200, 8_000_000]),
    pendingBytesMax: dice.pick([400, 8_000_000]),
    requestsInFlightMax: dice.pick([1, 4]),
    burstMax: ownDice.pick([1, 1, 3]),
    isImpatient: dice.chance(0.3),
    isRouted: makeDice(seed + 0.625 * 0x1_0000_0000).chance(0.3),
    endPause: endsQuietly ? 200 : dice.pick([0, 0, 0, 60])
  }
  if (endsQuietly) return program
  // They only meet if there are checkpoints enough.
  if (meets) {
    return {
      ...program,
      chunks: [...good, ...good].map(({ keys }) => ({ keys, failures: 0, pause: 10 })),
      checkpoint: { ...program.checkpoint, intervalMillis: 10, minPauseMillis: 0, timeoutMillis: 10_000 }
    }
  }
  const verbBadDice = makeDice(seed + 0.4375 * 0x1_0000_0000)
  if (ownDice.chance(0.05)) return withBad(verbBadDice, comesBack(ownDice, program), 0.3)
  const ledgerDice = makeDice(seed + 0.3125 * 0x1_0000_0000)
  if (program.savepoints === null && !FaultProgram.hasSlowCleanUp(faults) && ledgerDice.chance(0.08)) {
    return withLostLedger(ledgerDice, program)
  }
  const verbDice = makeDice(seed + 0.9375 * 0x1_0000_0000)
  if (program.savepoints === null && !FaultProgram.hasSlowCleanUp(faults) && verbDice.chance(0.25)) {
    return withBad(verbBadDice, withVerbs(verbDice, program), 0.5)
  }
  // Not the dice of the savepoints: of those that have none, none would have bad records.
  const badDice = makeDice(seed + 0.8125 * 0x1_0000_0000)
  // What it is about there, deaths and moves, is drawn already.
  if (program.savepoints !== null) return withBad(badDice, program, 0.3)
  if (!FaultProgram.hasSlowCleanUp(faults)) return spoiled(badDice, program)
  // Records come, and checkpoints are triggered, while the run that failed is cleaned up.
  return {
    ...program,
    chunks: [...good, ...good].map(({ failures, keys }) => ({ failures, keys, pause: 10 })),
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

/**
 * A job begins anew on another machine, and then somebody runs it again on the first: with rows there that are not sent, and
 * marks in the ledger that are about others.
 */
const comesBack = (dice: Dice, program: Program): Program => {
  const [one, other] = [
    FaultProgram.undisturbed(dice.between(1, 2), 0),
    FaultProgram.undisturbed(dice.between(1, 2), 1)
  ]
  return {
    ...program,
    runs: onWhatWasLeft(dice, [
      { ...one, end: { kind: "kill", at: dice.between(3, 7), where: "after rename *.manifest.tmp" } },
      { ...other, end: { kind: "kill", at: dice.between(2, 10), where: dice.pick(["after lwt", "after batch"]) } },
      one,
      other
    ]),
    savepoints: null,
    chunks: [...program.chunks, ...program.chunks].map(({ keys }) => ({ keys, failures: 0, pause: 10 })),
    checkpoint: {
      ...program.checkpoint,
      intervalMillis: 10,
      minPauseMillis: 0,
      timeoutMillis: 10_000,
      pendingCheckpointsMax: 8
    },
    restart: { kind: "fixed-delay", attempts: 1000, delay: 0 }
  }
}

/** With bad records, and deaths where these are kept. */
const spoiled = (dice: Dice, program: Program): Program => {
  const bad = withBad(dice, program, 0.3)
  return bad === program ? program : aroundLetters(dice, bad)
}

const withBad = (dice: Dice, program: Program, chance: number): Program => {
  if (!dice.chance(chance)) return program
  const rate = dice.pick([0.05, 0.2, 0.2, 0.6])
  const kinds = dice.pick<ReadonlyArray<Bad>>([
    ["malformed", "misfit", "refused", "unheard"],
    ["refused"],
    ["malformed", "misfit"],
    ["refused", "unheard"]
  ])
  const chunks = program.chunks.map((chunk): Chunk => ({
    ...chunk,
    bad: chunk.keys.map((): Bad => dice.chance(rate) ? dice.pick(kinds) : "")
  }))
  return { ...program, chunks }
}

const aroundLetters = (dice: Dice, program: Program): Program => {
  // A letter can be read and is not on the disk yet: whoever finds it must not rely on it.
  if (dice.chance(0.1)) {
    const run = FaultProgram.undisturbed(1, 0)
    const kill: FaultProgram.End = { kind: "kill", at: dice.between(1, 2), where: "after write letters" }
    const crash: FaultProgram.End = { kind: "crash", at: dice.between(3, 6), where: "after lwt", mode: "lost" }
    return { ...program, runs: [{ ...run, end: kill }, { ...run, end: crash }, ...program.runs.slice(2)] }
  }
  // Around the file of the letters is where the letters can get lost.
  const [first, ...rest] = program.runs
  if (first === undefined || !dice.chance(0.35)) return program
  const end: FaultProgram.End = {
    kind: "crash",
    at: dice.between(1, 7),
    where: dice.pick([
      "letters",
      "during write letters",
      "during write letters",
      "after write letters",
      "after sync letters",
      "syncDirectory jobs"
    ]),
    mode: dice.pick(["kill", "lost", "lost", "cut", "scattered"])
  }
  return { ...program, runs: [{ ...first, end }, ...rest] }
}
