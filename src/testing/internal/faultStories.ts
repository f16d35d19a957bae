/**
 * What chance alone would hardly ever bring about: faults that belong together, written down, with some of their numbers drawn.
 */
import type { Dice } from "./dice.ts"
import type { End, Fault, FaultProgram } from "./faultModel.ts"
import { undisturbed } from "./faultModel.ts"

export interface Story {
  readonly ends: readonly [End, End]
  /** What has to take its time for the one to meet the other. */
  readonly slow?: FaultProgram["disk"]["slow"]
}

/**
 * Ends of two processes that belong together: what the first has left half done is what the second must not rely on. Each
 * by itself is drawn often enough, both one after the other hardly ever.
 */
export const stories: ReadonlyArray<(dice: Dice) => Story> = [
  // A checkpoint has its name, which is not durable; whoever comes next removes the one before.
  (dice) => ({
    ends: [
      { kind: "kill", at: dice.between(2, 4), where: "after rename *.manifest.tmp" },
      { kind: "crash", at: 1, where: "after remove *.manifest", mode: "scattered" }
    ]
  }),
  // A superseded process completes a checkpoint just when its successor's has its name.
  (dice) => ({
    ends: [
      {
        kind: "freeze",
        at: dice.between(6, 10),
        where: "before readDirectory checkpoints",
        thawAfter: 1,
        thawWhere: "after rename *.manifest.tmp"
      },
      { kind: "crash", at: 1, where: "after open checkpoints", mode: "scattered" }
    ],
    slow: { operation: "open", millis: 30 }
  }),
  // A claim was made, and nothing of it is on the disk.
  (dice) => ({
    ends: [
      { kind: "kill", at: dice.between(1, 3), where: "after lwt" },
      {
        kind: "crash",
        at: dice.between(1, 4),
        where: dice.pick(["lwt", "after rename", "after remove"]),
        mode: "scattered"
      }
    ]
  })
]

/**
 * New segments that can't be made, on a machine that takes its time for everything, and most for removing files: what has
 * not been interrupted yet goes on beside the clean-up of what has failed.
 */
export const slowCleanUp = (dice: Dice, program: FaultProgram): FaultProgram => {
  const diskFaults = Array.from({ length: 6 }, (_, i): Fault => ({
    operation: "create",
    path: ".wal",
    code: "EIO",
    skip: 2 + i * 5 + dice.below(5),
    times: 1,
    outcome: "none"
  }))
  return {
    ...program,
    runs: program.runs.with(0, { ...undisturbed(dice.between(2, 3), 0), diskFaults }),
    cassandra: { ...program.cassandra, faults: {}, delayMillisMax: 3, outages: [] },
    disk: {
      ...program.disk,
      delayMillisMax: dice.pick([10, 40]),
      delayChance: 0.3,
      slow: { operation: "remove", millis: dice.pick([50, 150]) }
    }
  }
}

/** Whether a program is about a slow clean-up: its records have to go on coming. */
export const hasSlowCleanUp = ({ disk, runs }: FaultProgram): boolean =>
  disk.slow?.operation === "remove" && runs[0]!.diskFaults.length > 3
