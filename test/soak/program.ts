/** The programs of the simulation, which are carried out on the real world here. The one place that imports them. */
export { undisturbed } from "../../src/testing/FaultProgram.ts"
export type { Dice } from "../../src/testing/internal/dice.ts"
export { makeDice } from "../../src/testing/internal/dice.ts"
export type { End, Program, Run } from "../simulation/program.ts"
export { generate } from "../simulation/program.ts"
