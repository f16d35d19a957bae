/** The programs of the simulation, which are carried out on the real world here. The one place that imports them. */
export type { Dice, End, Program, Run } from "../simulation/program.ts"
export { generate, makeDice } from "../simulation/program.ts"
