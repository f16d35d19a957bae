/**
 * How a process begins and how it ends: `Job.start`, `Recovery.start`, and the first lines of the coordinator.
 *
 *     look    is the newest manifest finished, with nothing pending? Then sweep, and end
 *     claim   the next epoch, by conditional batch; what the ledger says then
 *     list    which manifest is the newest; read it (it may be gone meanwhile: list again)
 *     adopt   the same manifest again, under the own epoch, without what is committed: rename, sync, remove older ones
 *     sweep   remove files of no manifest; from here on the coordinator publishes
 *     run     subtasks and source, in run.ts
 *     settle  the last manifest again without what is committed; then success
 */
import * as Cassandra from "./cassandra.ts"
import * as Disk from "./disk.ts"
import { newest, orderOf, writeSteps } from "./manifests.ts"
import { settle } from "./run.ts"
import type { Emit, Model } from "./scope.ts"
import { violate } from "./scope.ts"
import type { Manifest, ManifestFile, Process, Segment, State } from "./state.ts"
import { makeManifest, makeSubtask, Phase } from "./state.ts"

const copyManifest = ({ checkpoint, e, finished, maxTs, pending, position }: Manifest): Manifest => ({
  e,
  checkpoint,
  position,
  finished,
  maxTs,
  pending: pending.map(Disk.copySegment)
})

/** Nothing is damaged in any scope: whoever finds that something is, is wrong, or what was before is. */
const mustBeWhole = (file: ManifestFile): void => {
  if (file.content === 0) violate(`the manifest of epoch ${file.e}, checkpoint ${file.checkpoint} is damaged`)
}

export const end = (state: State, process: Process): void => {
  state.processes = state.processes.filter((other) => other !== process)
}

/** Segments that were not sealed are removed when their run ends, unless its process dies. */
const removeUnsealed = (model: Model, state: State, process: Process): void => {
  Disk.removeSegments(
    state.disks[process.machine]!,
    (file) => process.subtasks.some(({ open, segment }) => open === 1 && Disk.isSame(file, segment)),
    model.scope.power
  )
}

/** It finds that it was superseded, says so, and ends. */
export const fenced = (model: Model, state: State, process: Process): void => {
  if (state.ledger.owner === process.id) violate(`process ${process.id} calls itself fenced, and nobody else claimed`)
  removeUnsealed(model, state, process)
  end(state, process)
}

export const succeed = (model: Model, state: State, process: Process): void => {
  Cassandra.mustBeAll(model, state, process)
  if (process.id === state.started) state.finished = 1
  end(state, process)
}

/** What one run leaves behind for the next one in the same process. */
const clearRun = (process: Process): void => {
  process.hasRestored = 0
  process.restored = makeManifest()
  process.inFlight = []
  process.ready = []
  process.writing = 0
  process.last = makeManifest()
  process.toPublish = []
  process.toldId = 0
  process.sealed = []
  process.barriers = []
  process.position = 0
  process.ending = 0
  process.lastBarrier = 0
  process.subtasks = []
}

/** The run fails in a way that trying again may mend. */
export const restart = (model: Model, state: State, process: Process): void => {
  removeUnsealed(model, state, process)
  if (process.phase >= Phase.run) process.previous = process.epoch
  clearRun(process)
  process.phase = model.bug === "manifest-before-claim" ? Phase.list : Phase.claim
}

const sweep = (
  model: Model,
  state: State,
  process: Process,
  keep: ReadonlyArray<Segment>,
  epoch: number
): void => {
  const { bug, scope } = model
  const disk = state.disks[process.machine]!
  const [first] = Disk.manifests(disk, orderOf(model))
  const kept = bug === "sweep-takes-all" ? [] : [...keep, ...(first?.pending ?? [])]
  Disk.removeSegments(
    disk,
    (file) => (file.e <= epoch || bug === "sweep-of-a-zombie") && !kept.some((segment) => Disk.isSame(segment, file)),
    scope.power
  )
  if (scope.power && bug !== "swept-before-durable" && Disk.manifests(disk, orderOf(model)).length > 1) {
    Disk.syncManifestNames(disk)
  }
  Disk.removeManifests(
    disk,
    (file) => file.e <= epoch && first !== undefined && (file.e !== first.e || file.checkpoint !== first.checkpoint),
    scope.power
  )
}

const look = (model: Model, state: State, process: Process): void => {
  const last = newest(model, state, process.machine)
  if (last !== undefined) mustBeWhole(last)
  if (last !== undefined && last.finished === 1 && last.pending.length === 0) {
    sweep(model, state, process, [], last.e)
    return succeed(model, state, process)
  }
  process.phase = model.bug === "manifest-before-claim" ? Phase.list : Phase.claim
  if (state.processes.length === 1 && process.phase === Phase.claim) claim(model, state, process)
}

const beginAdoption = (model: Model, process: Process): void => {
  const { bug } = model
  const { claimCommitted, restored } = process
  const ids = [process.hasRestored === 1 ? restored.checkpoint : 0]
  if (bug !== "ids-reused") ids.push(process.claimPublished, ...claimCommitted)
  process.lastId = Math.max(...ids)
  process.completedId = process.hasRestored === 1 ? restored.checkpoint : process.lastId
  process.maxTs = Math.max(bug === "timestamp-below-claim" ? 0 : process.claimMaxTs, restored.maxTs)
  process.draft = {
    e: process.epoch,
    checkpoint: process.completedId,
    position: restored.position,
    finished: restored.finished,
    maxTs: process.maxTs,
    pending: restored.pending.filter(({ checkpoint, s }) => checkpoint > claimCommitted[s]!).map(Disk.copySegment)
  }
  process.writing = 1
  process.phase = Phase.adopt
  process.claimPublished = 0
  process.claimMaxTs = 0
  process.claimCommitted = [0, 0]
}

const claim = (model: Model, state: State, process: Process): void => {
  if (Cassandra.claim(model, state, process) === "fenced") return fenced(model, state, process)
  if (model.bug === "manifest-before-claim") return beginAdoption(model, process)
  process.phase = Phase.list
  if (state.processes.length === 1) read(model, state, process)
}

const list = (model: Model, state: State, process: Process): void => {
  const file = newest(model, state, process.machine)
  process.listedEpoch = file?.e ?? 0
  process.listedCheckpoint = file?.checkpoint ?? 0
  process.phase = Phase.read
}

/** With nobody else there, listing and reading are one step: `read` lists again where the listed one is gone. */
const read = (model: Model, state: State, process: Process): void => {
  const { bug } = model
  if (process.phase === Phase.list) list(model, state, process)
  if (process.listedEpoch > 0) {
    const file = Disk.manifests(state.disks[process.machine]!, orderOf(model))
      .find(({ checkpoint, e }) => e === process.listedEpoch && checkpoint === process.listedCheckpoint)
    if (file === undefined) {
      process.phase = Phase.list
      return
    }
    mustBeWhole(file)
    process.hasRestored = 1
    process.restored = copyManifest(file)
  }
  process.listedEpoch = 0
  process.listedCheckpoint = 0
  if (bug === "manifest-before-claim") {
    process.phase = Phase.claim
    return
  }
  if (bug === "sweep-before-adoption") sweep(model, state, process, process.restored.pending, process.epoch)
  beginAdoption(model, process)
}

/** The coordinator of the new run is there; its subtasks begin behind the sweep. */
const adopted = (model: Model, state: State, process: Process): void => {
  const { bug } = model
  const { draft, parallelism, restored } = process
  process.last = { ...copyManifest(draft), pending: [] }
  process.sealed = draft.pending.map(Disk.copySegment)
  process.toPublish = [{
    checkpoint: draft.checkpoint,
    maxTs: draft.maxTs,
    hasPending: draft.pending.length > 0 ? 1 : 0
  }]
  process.position = draft.position
  process.subtasks = Array.from({ length: parallelism }, (_, index) => ({
    ...makeSubtask(),
    lastTs: bug === "timestamp-below-checkpoint" ? 0 : process.maxTs,
    unsent: restored.pending
      .filter(({ s }) => bug === "vanished-subtasks" ? s === index : s % parallelism === index)
      .map((segment) => Disk.asUnsent(segment, 1))
      .toSorted(Disk.bySegment)
  }))
  process.phase = Phase.sweep
  if (state.processes.length === 1) beginRun(model, state, process)
}

const beginRun = (model: Model, state: State, process: Process): void => {
  if (model.bug !== "sweep-before-adoption") sweep(model, state, process, process.restored.pending, process.epoch)
  process.hasRestored = 0
  process.restored = makeManifest()
  process.phase = Phase.run
  settle(model, state, process)
}

export const startSteps = (model: Model, state: State, index: number, emit: Emit): void => {
  const process = state.processes[index]!
  const step = (label: string, f: (model: Model, state: State, process: Process) => void) =>
    emit(`process ${process.id} ${label}`, false, (next) => f(model, next, next.processes[index]!))
  switch (process.phase) {
    case Phase.look:
      return step("looks whether there is anything to do", look)
    case Phase.claim:
      return step("claims the job", claim)
    case Phase.list:
      return step("lists the manifests", list)
    case Phase.read:
      return step("reads the newest manifest", read)
    case Phase.adopt:
      return writeSteps(model, state, index, emit, (next, process) => adopted(model, next, process))
    case Phase.sweep:
      return step("sweeps", beginRun)
    default:
  }
}
