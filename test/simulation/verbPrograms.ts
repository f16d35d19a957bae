/**
 * Programs in which somebody commits, skips and repairs by hand.
 */
import * as FaultProgram from "../../src/testing/FaultProgram.ts"
import type { Dice } from "../../src/testing/internal/dice.ts"
import type { Program } from "./program.ts"

/** What a disk does to a file before a repair: the newest manifest (`file` null), or one of the segments that are pending. */
export interface Damage {
  /** Which of them, by a part of their number. */
  readonly file: number | null
  /** Where, by a part of its length, and which bit of the byte. */
  readonly at: number
  readonly bit: number
  /** All that is behind is gone; else a bit flips. */
  readonly isCut: boolean
}

export interface Verb {
  readonly kind: "commit" | "skip" | "repair"
  /** Checkpoints that are committed or skipped, one after the other. */
  readonly times: number
  readonly damage: Damage | null
}

/** A process: of the job, or of a person who does something by hand. */
export interface JobRun extends FaultProgram.Run {
  readonly verb?: Verb | undefined
  /** The job's ledger is dropped before it starts; and whoever starts it knows of that, or is told. */
  readonly ledgerDropped?: "known" | "unknown" | undefined
}

const damageOf = (dice: Dice): Damage => ({
  file: dice.chance(0.2) ? null : dice.next(),
  at: dice.chance(0.5) ? 0.5 + dice.next() / 2 : dice.next(),
  bit: dice.below(8),
  isCut: dice.chance(0.25)
})

const verbOf = (dice: Dice): Verb => {
  const kind = dice.pick(["commit", "skip", "skip", "repair", "repair", "repair"] as const)
  return {
    kind,
    times: dice.pick([1, 1, 2, 3]),
    damage: kind === "repair" && dice.chance(0.9) ? damageOf(dice) : null
  }
}

/** Where what is pending is left: a job that has completed a checkpoint and not sent it. */
const jobEnd = (dice: Dice): FaultProgram.End => {
  const mode = dice.pick(["kill", "kill", "lost", "scattered"] as const)
  if (dice.chance(0.4)) {
    return {
      kind: "freeze",
      at: dice.between(2, 10),
      where: dice.pick(["batch", "lwt", "after rename *.manifest.tmp", "sync *.wal", "rename *.manifest.tmp"]),
      thawAfter: dice.pick([0, dice.below(40), dice.between(20, 120), null]),
      thawWhere: ""
    }
  }
  return {
    kind: "crash",
    mode,
    at: dice.between(2, 8),
    where: dice.pick(["after rename *.manifest.tmp", "after syncDirectory checkpoints", "before batch", "after batch"])
  }
}

const placesOfVerbs: ReadonlyArray<string> = [
  "lwt",
  "after lwt",
  "after lwt",
  "rename",
  "after rename",
  "syncDirectory",
  "remove *.wal",
  "sync *.wal",
  "sync skipped",
  "readDirectory checkpoints",
  "query"
]

const verbEnd = (dice: Dice): FaultProgram.End =>
  dice.chance(0.5) ? { kind: "finish" } : brokenOff(dice, { atMax: 5, places: placesOfVerbs, mayFreeze: true })

/** A process that is frozen, or dies, at one of the first `atMax` steps of a kind. */
export const brokenOff = (
  dice: Dice,
  { atMax, mayFreeze, places }: {
    readonly atMax: number
    readonly places: ReadonlyArray<string>
    readonly mayFreeze: boolean
  }
): FaultProgram.End => {
  const point = { at: dice.between(1, atMax), where: dice.pick(places) }
  return mayFreeze && dice.chance(0.4)
    ? {
      kind: "freeze",
      ...point,
      thawAfter: dice.pick([0, dice.below(30), dice.between(20, 120), null]),
      thawWhere: ""
    }
    : { kind: "crash", ...point, mode: dice.pick(["kill", "kill", "lost", "scattered", "mixed"]) }
}

/** A repair that is held up, while the job goes on without it as far as the damage; and then another one. */
const heldUp = (dice: Dice): ReadonlyArray<JobRun> => {
  const run = FaultProgram.undisturbed(dice.between(1, 2), 0)
  const repair = (damage: Damage | null): Verb => ({ kind: "repair", times: 1, damage })
  // It comes to write its manifest just when the job has one of its own.
  const comesLate: FaultProgram.End = {
    kind: "freeze",
    at: 1,
    where: dice.pick(["before create *.wal", "before create *.manifest.tmp"]),
    thawAfter: 1,
    thawWhere: "after rename *.manifest.tmp"
  }
  return [
    // Behind the removal of the older checkpoint there is none to go back to.
    {
      ...run,
      end: {
        kind: "kill",
        at: dice.between(2, 6),
        where: dice.pick(["after rename *.manifest.tmp", "after remove *.manifest"])
      }
    },
    {
      ...run,
      verb: repair({ file: dice.next(), at: dice.next(), bit: dice.below(8), isCut: dice.chance(0.3) }),
      end: dice.chance(0.5) ? comesLate : {
        kind: "freeze",
        at: dice.between(1, 12),
        where: dice.pick(["*.wal", "*.manifest", "rename"]),
        thawAfter: dice.between(1, 120),
        thawWhere: dice.pick(["", "after rename *.manifest.tmp", "read *.wal"])
      }
    },
    run,
    { ...run, verb: repair(null) }
  ]
}

/** A job begins anew on another machine, and then somebody does something by hand to what was left on the first. */
export const onWhatWasLeft = (dice: Dice, runs: ReadonlyArray<JobRun>): ReadonlyArray<JobRun> =>
  dice.chance(0.4) ? runs : runs.toSpliced(2, 0, {
    ...FaultProgram.undisturbed(1, 0),
    // A manifest: the ledger's marks, which are about other rows, say that no segment is needed.
    verb: dice.chance(0.4) ? verbOf(dice) : { kind: "repair", times: 1, damage: { ...damageOf(dice), file: null } }
  })

const storyOf = (dice: Dice): ReadonlyArray<JobRun> => {
  const losesState = dice.chance(0.2)
  let machine = 0
  const runs: Array<JobRun> = []
  for (let round = dice.between(1, 3); round > 0; round--) {
    runs.push({ ...FaultProgram.undisturbed(dice.between(1, 3), machine), end: jobEnd(dice) })
    for (let left = dice.pick([1, 1, 2]); left > 0; left--) {
      const run = FaultProgram.undisturbed(1, machine)
      const verb = verbOf(dice)
      const end = verbEnd(dice)
      runs.push({ ...run, verb, end })
      // What is broken off is begun again.
      if (verb.kind === "repair" && end.kind !== "finish" && dice.chance(0.5)) {
        runs.push({ ...run, verb: { ...verb, damage: null } })
      }
    }
    if (losesState && dice.chance(0.4)) machine++
  }
  return runs
}

/** The same records, cluster and disk, with these processes; and with checkpoints enough for something to be pending. */
export const withProcesses = (dice: Dice, program: Program, runs: ReadonlyArray<JobRun>): Program => {
  const chunks = [...program.chunks, ...program.chunks].map(({ keys }) => ({
    keys: [...keys, dice.below(6)],
    failures: 0,
    pause: dice.pick([0, 0, 1, 5])
  }))
  return {
    ...program,
    runs,
    savepoints: null,
    chunks,
    checkpoint: {
      ...program.checkpoint,
      intervalMillis: dice.pick([2, 5, 10]),
      minPauseMillis: 0,
      timeoutMillis: 10_000,
      pendingCheckpointsMax: 8
    },
    cassandra: {
      ...program.cassandra,
      faults: dice.chance(0.6) ? { Slow: 0.5 } : program.cassandra.faults,
      outages: []
    },
    retainedCheckpoints: dice.pick([1, 1, 2, 3]),
    pendingBytesMax: 8_000_000,
    segmentBytesMax: dice.pick([100, 8_000_000, 8_000_000])
  }
}

/** What somebody does by hand, in the midst of a job. */
export const withVerbs = (dice: Dice, program: Program): Program => {
  const busy = withProcesses(dice, program, [])
  return { ...busy, runs: dice.chance(0.2) ? heldUp(dice) : storyOf(dice) }
}
