/**
 * All that can happen next in a state: the steps of each process, and of the world around them.
 *
 * A *zombie* is a process that is still there when its successor starts: it is frozen for as long as no step of it is
 * taken, and any of its steps may be taken at any time. At most two processes are alive at once.
 */
import * as Cassandra from "./cassandra.ts"
import * as Disk from "./disk.ts"
import { newest } from "./manifests.ts"
import { runFaults, runSteps } from "./run.ts"
import type { Emit, Model, Scope } from "./scope.ts"
import { violate } from "./scope.ts"
import { end, startSteps } from "./start.ts"
import type { State } from "./state.ts"
import { makeProcess, makeState } from "./state.ts"

const times = <A>(n: number, make: () => A): Array<A> => Array.from({ length: n }, make)

export const initial = ({ crashes, failures, keys, losses, triggers, zombies }: Scope): State => ({
  ...makeState(),
  crashes,
  failures,
  triggers,
  zombies,
  losses,
  ledger: { epoch: 0, owner: 0, published: 0, maxTs: 0, committed: [0, 0] },
  table: times(Math.max(...keys) + 1, () => ({ record: 0, ts: 0 })),
  sent: times(1 + losses, () => keys.map(() => 0)),
  disks: times(1 + losses, () => ({ segments: [], manifests: [] }))
})

const start = ({ scope }: Model, state: State, machine: number, clock: number): void => {
  const id = ++state.started
  state.machine = machine
  state.finished = 0
  const parallelism = scope.parallelism[Math.min(id, scope.parallelism.length) - 1]!
  state.processes.push({ ...makeProcess(), id, machine, parallelism, clock })
}

const starts = (model: Model, state: State, emit: Emit): void => {
  const { processes, started } = state
  const isNewestAlive = processes.some(({ id }) => id === started)
  if (state.finished === 1 || processes.length > 1) return
  // A process that has not claimed yet is no zombie: whichever of two claims first is the predecessor.
  if (isNewestAlive && (state.zombies === 0 || processes[0]!.epoch === 0)) return
  const beside = processes.length > 0 ? ` beside process ${processes[0]!.id}` : ""
  for (const clock of model.scope.clocks) {
    const name = `process ${started + 1}${clock > 0 ? ", whose clock is ahead," : ""} starts${beside}`
    emit(name, isNewestAlive, (next) => {
      if (isNewestAlive) next.zombies--
      start(model, next, next.machine, clock)
    })
    if (state.losses === 0 || started === 0) continue
    emit(`${name} on a machine with an empty disk`, true, (next) => {
      if (isNewestAlive) next.zombies--
      next.losses--
      start(model, next, next.machine + 1, clock)
    })
  }
}

const crashes = (model: Model, state: State, emit: Emit): void => {
  if (state.crashes === 0) return
  for (const { id, machine } of state.processes) {
    emit(`process ${id} is killed`, true, (next) => {
      next.crashes--
      next.finished = 0
      end(next, next.processes.find((process) => process.id === id)!)
      if (next.processes.every((process) => process.machine !== machine)) Disk.dropOrphans(next.disks[machine]!)
    })
  }
  if (!model.scope.power) return
  for (const machine of state.disks.keys()) {
    if (!Disk.hasUnsynced(state.disks[machine]!)) continue
    const outcomes = Disk.powerLosses(state.disks[machine]!)
    for (let which = 0; which < outcomes; which++) {
      emit(`machine ${machine} loses its power (outcome ${which + 1} of ${outcomes})`, true, (next) => {
        next.crashes--
        next.finished = 0
        next.processes = next.processes.filter((process) => process.machine !== machine)
        Disk.losePower(next.disks[machine]!, which)
      })
    }
  }
}

const lateRequests = (model: Model, state: State, emit: Emit): void => {
  for (const [i, { checkpoint, machine, record, ts }] of state.lateRows.entries()) {
    const name = `the late request with record ${record + 1}, timestamp ${ts},`
    emit(`${name} takes effect`, false, (next) => {
      next.lateRows.splice(i, 1)
      Cassandra.land(model, next, machine, record, ts, checkpoint)
    })
    emit(`${name} is lost`, false, (next) => next.lateRows.splice(i, 1))
  }
  for (const [i, write] of state.lateWrites.entries()) {
    const name = `the late write of epoch ${write.epoch} to the ledger`
    emit(`${name} takes effect`, false, (next) => {
      next.lateWrites.splice(i, 1)
      Cassandra.raise(model, next, write)
    })
    emit(`${name} is lost`, false, (next) => next.lateWrites.splice(i, 1))
  }
}

export const steps = (model: Model, state: State, emit: Emit): void => {
  starts(model, state, emit)
  for (let index = 0; index < state.processes.length; index++) {
    startSteps(model, state, index, emit)
    runSteps(model, state, index, emit)
    if (state.failures > 0) runFaults(model, state, index, emit)
  }
  lateRequests(model, state, emit)
  crashes(model, state, emit)
}

/** What must hold where nothing but a fault can happen any more: all is done, and done right. */
export const mustBeFinal = (model: Model, state: State): void => {
  const { keys } = model.scope
  if (state.processes.length > 0) {
    violate(`process ${state.processes.map(({ id }) => id).join(" and ")} waits for ever`)
  }
  if (state.finished === 0) violate("no process is left that finishes the job")
  for (const [record, key] of keys.entries()) {
    if (keys.lastIndexOf(key) !== record) continue
    const cell = state.table[key]!
    if (cell.record !== record + 1 || cell.ts !== state.sent[state.machine]![record]) {
      violate(`key ${key} has record ${cell.record} with timestamp ${cell.ts}, not record ${record + 1}`)
    }
  }
  const last = newest(model, state, state.machine)
  if (last === undefined || last.finished === 0 || last.pending.length > 0) {
    violate("the newest manifest does not say that the job is finished")
  }
}
