/** The programs of the simulation, which are carried out on the real world here. The one place that imports them. */
import type { Program } from "../simulation/program.ts"
import * as Simulation from "../simulation/program.ts"

export { undisturbed } from "../../src/testing/FaultProgram.ts"
export type { Dice } from "../../src/testing/internal/dice.ts"
export { makeDice } from "../../src/testing/internal/dice.ts"
export type { End, Program, Run } from "../simulation/program.ts"

/** Nobody goes back to a machine that was left: which one is right then depends on how far each came, to the millisecond. */
export const generate = (seed: number): Program => {
  const program = Simulation.generate(seed)
  const runs = program.runs.filter(({ machine }, i) => program.runs.slice(0, i).every((run) => run.machine <= machine))
  return { ...program, runs }
}
