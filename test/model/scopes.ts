/**
 * What is explored, and how many states there are: a table to be looked at in a diff. A change of the model, or of what
 * a scope allows, changes a number here; a number that changes without a reason is a mistake in the model.
 *
 * Each run of a job ends with a checkpoint, and `triggers` come before it, over all its processes: with 2 of them a run
 * that is not disturbed has three checkpoints. A crash in a scope with power losses is a kill or a power loss.
 *
 * Together they are all pairs of what can go wrong, each with three checkpoints or two subtasks, many with both. Beside a
 * zombie, one subtask has three checkpoints with a failure, a kill or two kills, and two with a power loss, two failures, or a
 * kill and a failure; two subtasks have three checkpoints with a kill, and two with a failure or two kills. What is not among
 * them: two subtasks and three checkpoints beside a zombie with a failure or with two faults, which are some hundred million
 * states.
 */
import type { Scope } from "./scope.ts"
import { ahead } from "./scope.ts"

export interface Explored extends Scope {
  readonly states: number
  /** Whether it is small enough for `npm test`. */
  readonly isQuick: boolean
}

const one = {
  parallelism: [1],
  keys: [0, 0],
  triggers: 2,
  crashes: 0,
  failures: 0,
  zombies: 0,
  losses: 0,
  power: false,
  clocks: [0]
}

/** Two subtasks, then one for what both have left behind, then two again. */
const two = { ...one, parallelism: [2, 1, 2], keys: [0, 1, 0] }

const scope = (name: string, states: number, options: Partial<Scope>, isQuick = true): Explored => ({
  ...one,
  ...options,
  name,
  states,
  isQuick
})

const large = false

export const scopes: ReadonlyArray<Explored> = [
  scope("nothing goes wrong", 5_569, { ...two, keys: [0, 1, 0, 1] }),
  scope("2 kills", 62_224, { keys: [0, 0, 0], crashes: 2 }),
  scope("1 kill, 1 failure", 225_760, { keys: [0, 0, 0], crashes: 1, failures: 1 }),
  scope("2 failures", 214_303, { keys: [0, 0, 0], failures: 2 }),
  scope("2 power losses", 413_372, { keys: [0, 0, 0], crashes: 2, power: true }, large),
  scope("1 power loss, 1 failure", 804_648, { keys: [0, 0, 0], crashes: 1, failures: 1, power: true }, large),
  scope("2 power losses, 1 trigger", 29_444, { triggers: 1, crashes: 2, power: true }),
  scope("2 subtasks, 2 kills", 125_318, { ...two, crashes: 2 }),
  scope("2 subtasks, 1 kill, 1 failure", 430_647, { ...two, crashes: 1, failures: 1 }, large),
  scope("2 subtasks, 2 failures", 590_868, { ...two, failures: 2 }, large),
  scope("2 subtasks, 1 power loss", 72_261, { ...two, crashes: 1, power: true }),
  scope("2 subtasks, 2 power losses, 1 trigger", 150_016, { ...two, triggers: 1, crashes: 2, power: true }, large),
  scope("state lost, 2 kills", 815_205, { losses: 1, crashes: 2, clocks: [0, ahead] }, large),
  scope("state lost, 1 kill, 1 failure, 1 trigger", 182_720, {
    triggers: 1,
    losses: 1,
    crashes: 1,
    failures: 1,
    clocks: [0, ahead]
  }, large),
  scope("zombie", 78_443, { zombies: 1 }),
  scope("zombie, clocks, 1 trigger", 37_961, { triggers: 1, zombies: 1, clocks: [0, ahead] }),
  scope("zombie, 2 subtasks, 1 trigger", 19_298, { ...two, triggers: 1, keys: [0, 1], zombies: 1 }),
  scope("zombie, 1 kill", 1_257_812, { zombies: 1, crashes: 1 }, large),
  scope("zombie, 1 failure", 2_011_526, { zombies: 1, failures: 1 }, large),
  scope("zombie, 1 kill, 1 failure, 1 trigger", 3_806_048, { triggers: 1, zombies: 1, crashes: 1, failures: 1 }, large),
  scope("zombie, 2 failures, 1 trigger", 3_618_280, { triggers: 1, zombies: 1, failures: 2 }, large),
  scope("zombie, 2 kills", 8_333_059, { zombies: 1, crashes: 2 }, large),
  scope("zombie, 2 subtasks", 522_181, { ...two, zombies: 1 }, large),
  scope("zombie, 1 kill, 2 subtasks", 11_114_455, { ...two, zombies: 1, crashes: 1 }, large),
  scope("zombie, 2 kills, 2 subtasks, 1 trigger", 3_205_543, {
    ...two,
    triggers: 1,
    keys: [0, 1],
    zombies: 1,
    crashes: 2
  }, large),
  scope("zombie, 1 power loss, 1 trigger", 1_479_364, { triggers: 1, zombies: 1, crashes: 1, power: true }, large),
  scope("zombie, 1 kill, 2 subtasks, 1 trigger", 379_374, {
    ...two,
    triggers: 1,
    keys: [0, 1],
    zombies: 1,
    crashes: 1
  }, large),
  scope("zombie, 1 failure, 2 subtasks, 1 trigger", 601_330, {
    ...two,
    triggers: 1,
    keys: [0, 1],
    zombies: 1,
    failures: 1
  }, large),
  scope("zombie on the machine that is left, 1 trigger", 14_431, { triggers: 1, zombies: 1, losses: 1 }, large)
]
