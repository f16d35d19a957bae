/**
 * `StateBackend.completeCheckpoint`, step by step: what is in the draft is beside its name and synced already.
 *
 *     rename   it is seen
 *     sync     its name is durable, and so is every other change in the directory
 *     remove   all but the newest that is seen now, which is synced first if it is a successor's; only then does it count
 *
 * Without power losses this is one step: what is older is looked at by nobody but who listed it before, and he could as
 * well have read it before. With them, sync and removal are one step where nobody else works on this disk: a loss
 * between the two is one behind both that undoes the removal.
 */
import * as Disk from "./disk.ts"
import type { Emit, Model } from "./scope.ts"
import type { ManifestFile, Process, State } from "./state.ts"

export const orderOf = ({ bug }: Model): Disk.Order => bug === "newest-by-id" ? Disk.greatestIdFirst : Disk.newestFirst

export const newest = (model: Model, state: State, machine: number): ManifestFile | undefined =>
  Disk.manifests(state.disks[machine]!, orderOf(model))[0]

export const Writing = { none: 0, beside: 1, renamed: 2, durable: 3 } as const

const rename = (model: Model, state: State, process: Process): void => {
  const { bug, scope } = model
  const isSynced = bug !== "manifest-not-synced" && bug !== "rename-before-sync"
  Disk.renameManifest(state.disks[process.machine]!, process.draft, isSynced ? 2 : 1, scope.power)
  process.writing = Writing.renamed
}

const sync = (model: Model, state: State, process: Process): void => {
  const disk = state.disks[process.machine]!
  if (model.bug === "rename-before-sync") { for (const file of disk.manifests) file.content = 2 }
  if (model.bug !== "checkpoints-directory-not-synced") Disk.syncManifestNames(disk)
  process.writing = Writing.durable
}

const removeOlder = (model: Model, state: State, process: Process): void => {
  const disk = state.disks[process.machine]!
  const first = newest(model, state, process.machine)!
  const isOwn = first.e === process.draft.e && first.checkpoint === process.draft.checkpoint
  if (!isOwn && model.scope.power && model.bug !== "removed-before-durable") Disk.syncManifestNames(disk)
  Disk.removeManifests(disk, ({ checkpoint, e }) => e !== first.e || checkpoint !== first.checkpoint, model.scope.power)
  process.writing = Writing.none
}

/** `done` is called in the step that ends it. */
export const writeSteps = (
  model: Model,
  state: State,
  index: number,
  emit: Emit,
  done: (state: State, process: Process) => void
): void => {
  const { draft, id, machine, writing } = state.processes[index]!
  const name = `e${draft.e}-c${draft.checkpoint}.manifest`
  const isAlone = state.processes.every((other) => other.id === id || other.machine !== machine)
  const step = (what: string, ...parts: ReadonlyArray<(model: Model, state: State, process: Process) => void>) =>
    emit(`process ${id} ${what}`, false, (next) => {
      const process = next.processes[index]!
      for (const part of parts) part(model, next, process)
      if (process.writing === Writing.none) done(next, process)
    })
  if (writing === Writing.beside) {
    return model.scope.power ? step(`renames ${name}`, rename) : step(`completes ${name}`, rename, removeOlder)
  }
  if (writing === Writing.renamed) {
    if (isAlone) return step(`syncs ${name}'s directory, removes what is older`, sync, removeOlder)
    return step(`syncs ${name}'s directory`, sync)
  }
  if (writing === Writing.durable) step(`removes what is older than ${name}`, removeOlder)
}
