/**
 * What goes wrong in a run of the simulation, as data: derived from one seed, printed as JSON, made smaller.
 *
 * Each kind of trouble is switched on or off for a whole program first, and only then drawn in detail. A program in which
 * everything happens at once hides what needs calm to be seen (swarm testing: Groce et al., ISSTA 2012).
 *
 * @since 0.1.0
 */
import type { Dice } from "./internal/dice.ts"
import { makeDice } from "./internal/dice.ts"
import type { End, Fault, FaultProgram, Point, Run } from "./internal/faultModel.ts"
import { undisturbed } from "./internal/faultModel.ts"
import { slowCleanUp, stories } from "./internal/faultStories.ts"
import type { FaultRates } from "./SimulatedCassandra.ts"
import type { CrashMode, DiskOperation } from "./SimulatedDisk.ts"

export type { End, Fault, FaultProgram, Point, Run } from "./internal/faultModel.ts"
export {
  /**
   * @category constructors
   * @since 0.1.0
   */
  calm,
  /**
   * @category constructors
   * @since 0.1.0
   */
  undisturbed
} from "./internal/faultModel.ts"
export {
  /**
   * @category getters
   * @since 0.1.0
   */
  hasSlowCleanUp
} from "./internal/faultStories.ts"

const rates: ReadonlyArray<FaultRates> = [
  {
    WriteTimeout: 0.06,
    WriteFailure: 0.02,
    ReadTimeout: 0.01,
    Unavailable: 0.02,
    Overloaded: 0.02,
    ServerError: 0.01,
    ConnectionLost: 0.03,
    NoAnswer: 0.005,
    Slow: 0.05,
    Lag: 0.05
  },
  { WriteTimeout: 0.25, Slow: 0.05 },
  { ConnectionLost: 0.2 },
  { Slow: 0.3, NoAnswer: 0.05 },
  { Unavailable: 0.15, Overloaded: 0.15, Lag: 0.2 }
]

const crashModes: ReadonlyArray<CrashMode> = [
  "kill",
  "lost",
  "lost",
  "kept",
  "cut",
  "scattered",
  "scattered",
  "mixed",
  "mixed"
]

/** Early steps make the directories, claim the job and recover; later ones are those of the stream. */
const pointOf = (dice: Dice, kind: End["kind"]): Point => {
  if (dice.chance(0.4)) {
    return { at: dice.between(1, dice.pick([4, 24])), where: dice.pick(kind === "freeze" ? freezePlaces : places) }
  }
  const [from, to] = dice.pick([[1, 60], [40, 160], [100, 260], [160, 600]] as const)
  return { at: dice.between(from, to), where: "" }
}

const places: ReadonlyArray<string> = [
  "create *.wal",
  "write *.wal",
  "sync *.wal",
  "syncDirectory segments",
  "open *.wal",
  "read *.wal",
  "remove *.wal",
  "create *.manifest.tmp",
  "write *.manifest.tmp",
  "sync *.manifest.tmp",
  "rename",
  "syncDirectory",
  "readDirectory",
  "makeDirectory",
  "remove",
  "lock",
  "job.json",
  "lwt",
  "batch",
  "query"
]

/** Between looking and doing, which is where a long pause hurts. */
const freezePlaces: ReadonlyArray<string> = [
  "readDirectory segments",
  "readDirectory segments",
  "readDirectory checkpoints",
  "read *.manifest",
  "rename *.manifest.tmp",
  "create *.manifest.tmp",
  "remove",
  "sync *.wal",
  "lwt",
  "lwt",
  "batch",
  "query"
]

const slowOperations: ReadonlyArray<DiskOperation> = [
  "remove",
  "remove",
  "sync",
  "syncDirectory",
  "rename",
  "create",
  "write"
]

const faultOf = (dice: Dice): Fault => {
  const [operation, path] = dice.pick<readonly [DiskOperation, string]>([
    ["sync", ""],
    ["sync", ".wal"],
    ["sync", ".manifest"],
    ["syncDirectory", ""],
    ["syncDirectory", "/segments"],
    ["syncDirectory", "/checkpoints"],
    ["write", ""],
    ["write", ".wal"],
    ["write", ".manifest"],
    ["create", ""],
    ["rename", ""],
    ["remove", ""],
    ["read", ""],
    ["open", ""],
    ["readDirectory", ""],
    ["makeDirectory", ""]
  ])
  const mayBeFull = operation === "write" || operation === "create" || operation === "sync"
  return {
    operation,
    path,
    code: mayBeFull && dice.chance(0.3) ? "ENOSPC" : "EIO",
    skip: dice.pick([0, 0, 1, 2, 5, dice.below(20)]),
    times: dice.pick([1, 1, 1, 2, 3, 8]),
    // A file that is open has a handle, and names are kept in a journal, which is whole or stops the file system.
    outcome: operation === "open"
      ? "none"
      : operation === "syncDirectory"
      ? dice.pick(["none", "none", "done"])
      : dice.pick(["partial", "partial", "none", "done"])
  }
}

interface Trouble {
  readonly disk: boolean
  readonly skew: boolean
  readonly freezes: boolean
  readonly losesState: boolean
  readonly powerLoss: boolean
  readonly flips: boolean
}

const endOf = (dice: Dice, trouble: Trouble): End => {
  const kind = dice.pick<End["kind"]>([
    "crash",
    "crash",
    "crash",
    "kill",
    "kill",
    "stop",
    "finish",
    ...trouble.freezes ? ["freeze", "freeze", "freeze", "freeze"] as const : []
  ])
  const point = pointOf(dice, kind)
  switch (kind) {
    case "crash":
      return { kind, ...point, mode: trouble.powerLoss ? dice.pick(crashModes) : "kill" }
    case "freeze":
      return {
        kind,
        ...point,
        thawWhere: "",
        thawAfter: dice.chance(0.15) ? null : dice.pick([0, dice.below(60), dice.between(100, 300), dice.below(600)])
      }
    case "finish":
      return { kind }
    default:
      return { kind, ...point }
  }
}

/**
 * The program of a seed: the same for ever, as long as this function does not change.
 *
 * @category constructors
 * @since 0.1.0
 */
export const generate = (seed: number): FaultProgram => {
  const dice = makeDice(seed)
  const trouble: Trouble = {
    disk: dice.chance(0.4),
    skew: dice.chance(0.3),
    freezes: dice.chance(0.45),
    losesState: dice.chance(0.3),
    powerLoss: dice.chance(0.75),
    flips: dice.chance(0.1)
  }
  const skews = [0, dice.between(-5000, 5000), dice.pick([-3_600_000, 3_600_000, -50, 50])]
  let machine = 0
  const runs = Array.from({ length: dice.pick([1, 2, 2, 3, 3, 4, 5, 6]) }, (_, i): Run => {
    if (i > 0 && trouble.losesState && dice.chance(0.35)) machine++
    return {
      parallelism: dice.between(1, 3),
      machine,
      skewMillis: trouble.skew ? dice.pick(skews) : 0,
      diskFaults: trouble.disk && dice.chance(0.6)
        ? Array.from({ length: dice.between(1, 3) }, () => faultOf(dice))
        : [],
      capacity: trouble.disk && dice.chance(0.1) ? dice.between(300, 4000) : null,
      flip: i > 0 && trouble.flips && dice.chance(0.6)
        ? { file: dice.next(), bit: dice.next(), onlySegments: dice.chance(0.6) }
        : null,
      delays: [],
      requestFaults: [],
      end: endOf(dice, trouble)
    }
  })
  const story = dice.chance(0.12) ? dice.pick(stories)(dice) : null
  // A story begins the program, as long as nothing has happened yet: its steps are counted from a start on an empty disk.
  if (story !== null) {
    const [first, second] = story.ends
    const calmRun = undisturbed(dice.between(1, 2), 0)
    runs.splice(0, 3, { ...calmRun, end: first }, { ...calmRun, end: second }, calmRun)
  }
  // What comes between the two would only spoil the story.
  const isQuiet = story !== null && dice.chance(0.7)
  const slowDisk = dice.chance(0.3)
  const outages = !isQuiet && dice.chance(0.2)
    ? Array.from({ length: dice.between(1, 2) }, () => {
      const fromMillis = dice.pick([0, dice.below(50), dice.below(2000)])
      return { fromMillis, toMillis: fromMillis + dice.pick([20, 500, 5000, 40_000]) }
    })
    : []
  const program: FaultProgram = {
    seed,
    runs,
    cassandra: {
      replicas: dice.chance(0.3) ? 3 : 1,
      faults: isQuiet || dice.chance(0.45) ? {} : dice.pick(rates),
      turnsMax: dice.pick([0, 1, 2, 5]),
      delayMillisMax: dice.pick([0, 0, 3, 20]),
      slowMillisMax: dice.pick([20, 200, 3000]),
      lateChance: dice.pick([0, 0.125, 0.125, 0.5]),
      requestTimeoutMillis: dice.pick([500, 2000, 12_000]),
      outages
    },
    disk: {
      shortReads: dice.chance(0.3),
      turnsMax: dice.pick([0, 0, 1, 3]),
      delayMillisMax: slowDisk ? dice.pick([1, 5, 40]) : 0,
      delayChance: dice.pick([0.02, 0.1]),
      slow: story?.slow ??
        (dice.chance(0.3) ? { operation: dice.pick(slowOperations), millis: dice.pick([2, 30, 400]) } : null)
    },
    faultMillis: dice.pick([2000, 20_000, 60_000])
  }
  // Drawn from a dice of its own, so that the programs of all other seeds are what they were.
  const ownDice = makeDice(seed + 0.5 * 0x1_0000_0000)
  return story === null && ownDice.chance(0.05) ? slowCleanUp(ownDice, program) : program
}
