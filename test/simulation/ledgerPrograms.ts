/**
 * Programs in which the ledger of a job is dropped while rows are pending, and the job goes on with a new one.
 */
import * as FaultProgram from "../../src/testing/FaultProgram.ts"
import type { Dice } from "../../src/testing/internal/dice.ts"
import type { Program } from "./program.ts"
import type { JobRun } from "./verbPrograms.ts"
import { brokenOff, withProcesses } from "./verbPrograms.ts"

/** Where whoever accepts a new ledger can die, or be frozen. */
const places: ReadonlyArray<string> = [
  "query",
  "after query",
  "lwt",
  "after lwt",
  "after lwt",
  "readDirectory checkpoints",
  "create *.manifest.tmp",
  "rename *.manifest.tmp",
  "after rename *.manifest.tmp",
  "syncDirectory checkpoints",
  "batch"
]

/**
 * Records were read, and some of them are not sent yet. Nobody is frozen here: whoever drops a ledger while a process of the job
 * is left must not wonder that it removes what it has sent, which only the lost ledger knew.
 */
const jobEnd = (dice: Dice): FaultProgram.End => ({
  kind: "crash",
  mode: dice.pick(["kill", "kill", "lost", "scattered"]),
  at: dice.between(3, 10),
  where: dice.pick(["after rename *.manifest.tmp", "after rename *.manifest.tmp", "before batch", "after batch", "lwt"])
})

const endOfAcceptance = (dice: Dice, mayFreeze: boolean): FaultProgram.End =>
  dice.chance(0.3) ? { kind: "finish" } : brokenOff(dice, { atMax: 4, places, mayFreeze })

/** The same records, cluster and disk, with other processes. */
export const withLostLedger = (dice: Dice, program: Program): Program => {
  const runs: Array<JobRun> = []
  for (let round = dice.between(1, 2); round > 0; round--) {
    runs.push({ ...FaultProgram.undisturbed(dice.between(1, 3), 0), end: jobEnd(dice) })
    runs.push({
      ...FaultProgram.undisturbed(dice.between(1, 3), 0),
      ledgerDropped: dice.pick(["known", "known", "unknown"]),
      end: endOfAcceptance(dice, round === 1)
    })
    if (dice.chance(0.5)) {
      runs.push({ ...FaultProgram.undisturbed(dice.between(1, 3), 0), end: endOfAcceptance(dice, round === 1) })
    }
  }
  return withProcesses(dice, program, runs)
}
