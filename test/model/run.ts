/**
 * A run: the source, the coordinator's loops and the subtasks, each step of theirs that others can see.
 *
 * What only its own process sees is no step of its own. Records are read when the barrier behind them is placed: reading
 * is seen by nobody, and a barrier can be placed behind any number of them. A trigger is answered at once, a subtask
 * that has nothing to seal acknowledges at once, and a notification arrives at once: waiting with any of these is
 * waiting with what follows.
 */
import * as Cassandra from "./cassandra.ts"
import * as Disk from "./disk.ts"
import { writeSteps, Writing } from "./manifests.ts"
import type { Emit, Model } from "./scope.ts"
import { lastTimestampOf, recordsOf, timestampOf, violate } from "./scope.ts"
import { fenced, restart, succeed } from "./start.ts"
import type { Barrier, LateWrite, Process, Segment, State } from "./state.ts"
import { Phase, Sending } from "./state.ts"

// --- barriers

const place = ({ bug, scope }: Model, process: Process, to: number, finished: number): void => {
  const id = ++process.lastId
  const position = bug === "position-early" && finished === 0 ? Math.min(to + 1, scope.keys.length) : to
  process.barriers.push({ id, from: process.position, to, position, finished })
  process.inFlight.push({ id, acknowledged: 0 })
  process.position = to
  if (finished === 1) {
    process.ending = 1
    process.lastBarrier = id
  }
}

const rowsOf = ({ bug, scope }: Model, { parallelism }: Process, s: number, { from, to }: Barrier): number => {
  let rows = 0
  for (let record = from; record < to; record++) {
    const dealtBy = bug === "rows-dealt-round-robin" ? record : scope.keys[record]!
    if (dealtBy % parallelism === s) rows |= 1 << record
  }
  return rows
}

const acknowledge = (
  { bug }: Model,
  process: Process,
  s: number,
  barrier: Barrier,
  segment: Segment | null
): void => {
  process.subtasks[s]!.sealedId = barrier.id
  const checkpoint = process.inFlight.find(({ id }) => id === barrier.id)
  if (segment !== null && (bug !== "late-acknowledgement" || checkpoint !== undefined)) {
    process.sealed.push(segment)
    process.sealed.sort(Disk.bySegment)
  }
  if (checkpoint === undefined) return
  checkpoint.acknowledged |= 1 << s
  if (checkpoint.acknowledged === (1 << process.parallelism) - 1) {
    const { finished, id, position } = barrier
    process.ready.push({ id, position, finished })
  }
}

/** Each subtask logs up to its next barrier: the file of its rows is there from its first row on. */
const logUpToBarriers = (model: Model, state: State, process: Process): void => {
  for (const [s, subtask] of process.subtasks.entries()) {
    while (subtask.open === 0) {
      const barrier = process.barriers.find(({ id }) => id > subtask.sealedId)
      if (barrier === undefined) break
      const rows = rowsOf(model, process, s, barrier)
      if (rows === 0) {
        acknowledge(model, process, s, barrier, null)
        continue
      }
      const ts = Math.max(subtask.lastTs + 1, process.clock)
      subtask.segment = { e: process.epoch, s, n: subtask.segments++, checkpoint: barrier.id, rows, ts }
      subtask.lastTs = lastTimestampOf(model, subtask.segment)
      subtask.open = 1
      Disk.createSegment(state.disks[process.machine]!, subtask.segment, model.scope.power)
    }
  }
  const sealedByAll = Math.min(...process.subtasks.map(({ sealedId }) => sealedId))
  process.barriers = process.barriers.filter(({ id }) => id > sealedByAll)
}

/** What follows from a step at once. */
export const settle = (model: Model, state: State, process: Process): void => {
  logUpToBarriers(model, state, process)
  process.ready = process.ready.filter((ready) => process.inFlight.some(({ id }) => id === ready.id))
  const { toPublish } = process
  while (toPublish.length > 0 && (toPublish[0]!.hasPending === 0 || model.bug === "no-publish")) {
    process.toldId = Math.max(process.toldId, toPublish.shift()!.checkpoint)
  }
  if (process.phase === Phase.run && state.processes.length === 1) {
    for (const [s, { sending, unsent }] of process.subtasks.entries()) {
      if (unsent.length === 0 || sending !== Sending.idle || unsent[0]!.checkpoint > process.toldId) continue
      return openOrSkip(model, state, process, s)
    }
  }
  if (
    process.phase === Phase.run && process.ending === 2 && process.toldId >= process.lastBarrier &&
    process.subtasks.every(({ unsent }) => unsent.length === 0)
  ) {
    process.phase = Phase.settle
    process.writing = Writing.beside
    process.draft = {
      ...process.last,
      pending: process.sealed.filter(({ checkpoint }) => checkpoint <= process.completedId).map(Disk.copySegment)
    }
  }
}

const abort = (model: Model, process: Process, id: number): void => {
  if (!process.inFlight.some((checkpoint) => checkpoint.id === id)) return
  process.inFlight = process.inFlight.filter((checkpoint) => checkpoint.id !== id)
  // A last checkpoint is tried again.
  if (process.ending === 1 && process.lastBarrier === id) place(model, process, model.scope.keys.length, 1)
}

// --- the coordinator

const draw = (model: Model, _state: State, process: Process): void => {
  const { finished, id, position } = process.ready.shift()!
  const pending = process.sealed.filter(({ checkpoint }) => checkpoint <= id).map(Disk.copySegment)
  process.maxTs = Math.max(process.maxTs, ...pending.map((segment) => lastTimestampOf(model, segment)))
  process.draft = { e: process.epoch, checkpoint: id, position, finished, maxTs: process.maxTs, pending }
  process.writing = Writing.beside
}

const completed = (process: Process): void => {
  const { draft } = process
  process.completedId = draft.checkpoint
  process.last = { ...draft, pending: [] }
  if (process.ending === 1 && process.lastBarrier <= draft.checkpoint) process.ending = 2
  process.inFlight = process.inFlight.filter(({ id }) => id > draft.checkpoint)
  const hasPending = draft.pending.length > 0 ? 1 : 0
  process.toPublish.push({ checkpoint: draft.checkpoint, maxTs: draft.maxTs, hasPending })
}

const publication = (process: Process): LateWrite => {
  const { checkpoint, maxTs } = process.toPublish[0]!
  return { epoch: process.epoch, published: checkpoint, maxTs, committed: [0, 0] }
}

const publish = (model: Model, state: State, process: Process): void => {
  if (Cassandra.raise(model, state, publication(process)) === "fenced") return fenced(model, state, process)
  process.toldId = Math.max(process.toldId, process.toPublish.shift()!.checkpoint)
  settle(model, state, process)
}

/** Group commit: all subtasks that wait, in one batch. */
const commitOf = (process: Process): LateWrite => {
  const committed = [0, 0]
  for (const { sending, unsent } of process.subtasks) {
    if (sending !== Sending.commit) continue
    const { checkpoint, s } = unsent[0]!
    committed[s] = Math.max(committed[s]!, checkpoint)
  }
  return { epoch: process.epoch, published: 0, maxTs: 0, committed }
}

const mustHaveSent = (model: Model, state: State, process: Process, { committed }: LateWrite): void => {
  for (const segment of [...process.sealed, ...process.subtasks.flatMap(({ unsent }) => unsent.slice(0, 1))]) {
    if (segment.checkpoint <= committed[segment.s]!) Cassandra.mustBeIn(model, state, segment, "it is committed")
  }
}

const commit = (model: Model, state: State, process: Process): void => {
  const write = commitOf(process)
  const { committed } = write
  const answer = Cassandra.raise(model, state, write)
  if (answer === "fenced") return fenced(model, state, process)
  mustHaveSent(model, state, process, write)
  if (answer === "applied") process.cache = process.cache.map((id, s) => Math.max(id, committed[s]!))
  else if (model.bug !== "stale-cache") process.cache = state.ledger.committed.slice()
  process.sealed = process.sealed.filter(({ checkpoint, s }) => checkpoint > committed[s]!)
  for (const [s, subtask] of process.subtasks.entries()) {
    if (subtask.sending === Sending.commit) discard(state, process, s)
  }
  settle(model, state, process)
}

// --- subtasks

/**
 * Write, sync, sync of the directory, acknowledgement. Until the last of these nobody knows of the segment, so that
 * what a crash in between leaves of it is an orphan, whole or not.
 */
const seal = (model: Model, state: State, process: Process, s: number): void => {
  const { bug, scope } = model
  const subtask = process.subtasks[s]!
  const disk = state.disks[process.machine]!
  // A process that takes it for an orphan may have removed it meanwhile: writing goes on without a name.
  const file = Disk.findSegment(disk, subtask.segment)
  if (file !== undefined) file.content = bug === "segment-not-synced" && scope.power ? 1 : 2
  if (bug !== "segments-directory-not-synced") Disk.syncSegmentNames(disk)
  subtask.open = 0
  subtask.unsent.push(Disk.asUnsent(subtask.segment, 0))
  const barrier = process.barriers.find(({ id }) => id === subtask.segment.checkpoint)!
  acknowledge(model, process, s, barrier, Disk.copySegment(subtask.segment))
  settle(model, state, process)
}

/** A segment is only opened when the ledger, as its cache has it, does not say that it is in. */
const openOrSkip = (model: Model, state: State, process: Process, s: number): void => {
  const { bug } = model
  const subtask = process.subtasks[s]!
  const segment = subtask.unsent[0]!
  const name = `segment e${segment.e}-s${segment.s}-n${segment.n} of checkpoint ${segment.checkpoint}`
  const file = Disk.findSegment(state.disks[process.machine]!, segment)
  const isWhole = file !== undefined && file.content > 0
  if (segment.restored === 1 && bug === "file-opened-before-ledger" && !isWhole) violate(`${name} is gone`)
  if (segment.restored === 1 && segment.checkpoint <= process.cache[segment.s]!) {
    Cassandra.mustBeIn(model, state, segment, "the ledger says")
    discard(state, process, s)
    return settle(model, state, process)
  }
  if (!isWhole) {
    if (state.ledger.epoch !== process.epoch && bug !== "fenced-as-corrupt") return fenced(model, state, process)
    violate(`process ${process.id} finds that ${name} is ${file === undefined ? "gone" : "damaged"}`)
  }
  subtask.sending = bug === "commit-before-send" ? Sending.commit : Sending.rows
  subtask.left = segment.rows
  settle(model, state, process)
}

const send = (model: Model, state: State, process: Process, s: number, record: number): void => {
  const subtask = process.subtasks[s]!
  const segment = subtask.unsent[0]!
  const { checkpoint } = segment
  Cassandra.land(model, state, process.machine, record, timestampOf(model, segment, record), checkpoint)
  subtask.left &= ~(1 << record)
  if (subtask.left === 0) subtask.sending = Sending.commit
}

const discard = (state: State, process: Process, s: number): void => {
  const subtask = process.subtasks[s]!
  const segment = subtask.unsent.shift()!
  Disk.forgetSegment(state.disks[process.machine]!, segment)
  subtask.sending = Sending.idle
}

// --- what is possible

export const runSteps = (model: Model, state: State, index: number, emit: Emit): void => {
  const process = state.processes[index]!
  const { id, phase } = process
  type Step = (model: Model, state: State, process: Process) => void
  const step = (label: string, f: Step, isFault = false) =>
    emit(`process ${id} ${label}`, isFault, (next) => f(model, next, next.processes[index]!))
  if (phase === Phase.settle) return writeSteps(model, state, index, emit, (next, own) => succeed(model, next, own))
  if (phase < Phase.sweep) return

  if (process.toPublish.length > 0) {
    const { checkpoint, maxTs } = process.toPublish[0]!
    step(`publishes checkpoint ${checkpoint} with timestamp ${maxTs}`, publish)
  }
  if (process.writing > Writing.none) {
    writeSteps(model, state, index, emit, (next, own) => {
      completed(own)
      settle(model, next, own)
    })
  } else if (process.ready.length > 0) {
    step(`writes the manifest of checkpoint ${process.ready[0]!.id} beside its name`, draw)
  }
  if (phase !== Phase.run) return

  const records = model.scope.keys.length
  if (process.ending === 0) {
    const barrier = (to: number, finished: number): Step => (model, next, own) => {
      place(model, own, to, finished)
      settle(model, next, own)
    }
    step(`reads to the end and places the last barrier, ${process.lastId + 1}`, barrier(records, 1))
    if (state.triggers > 0) {
      for (let to = process.position; to <= records; to++) {
        step(`places barrier ${process.lastId + 1} behind ${to} records`, (model, next, own) => {
          next.triggers--
          barrier(to, 0)(model, next, own)
        }, true)
      }
    }
  }
  for (const [s, { left, open, sending, unsent }] of process.subtasks.entries()) {
    const of = `(subtask ${s})`
    if (open === 1) step(`seals its segment ${of}`, (model, next, own) => seal(model, next, own, s))
    const first = unsent[0]
    if (first === undefined) continue
    const name = `e${first.e}-s${first.s}-n${first.n} ${of}`
    if (sending === Sending.idle && first.checkpoint <= process.toldId) {
      step(`asks the ledger for, or opens, ${name}`, (model, next, own) => openOrSkip(model, next, own, s))
    }
    if (sending === Sending.rows) {
      for (const record of recordsOf(left)) {
        const ts = timestampOf(model, first, record)
        step(
          `sends record ${record + 1} with timestamp ${ts} ${of}`,
          (model, next, own) => send(model, next, own, s, record)
        )
      }
    }
  }
  if (process.subtasks.some(({ sending }) => sending === Sending.commit)) step("commits", commit)
}

/** What goes wrong in a run, each for one of the failures that the scope allows. */
export const runFaults = (model: Model, state: State, index: number, emit: Emit): void => {
  const { bug, scope } = model
  const process = state.processes[index]!
  const fault = (label: string, f: (state: State, process: Process) => void) =>
    emit(label.replace("$", `process ${process.id}`), true, (next) => {
      next.failures--
      f(next, next.processes[index]!)
    })
  const aborted = (id: number) => (next: State, own: Process) => {
    abort(model, own, id)
    settle(model, next, own)
  }

  const couldRestart = process.previous > 0 || process.phase >= Phase.run
  if (couldRestart && process.phase >= Phase.adopt && process.phase < Phase.settle) {
    fault("the run of $ fails and starts again", (next, own) => restart(model, next, own))
  }
  if (process.phase < Phase.sweep || process.phase > Phase.run) return
  for (const { id } of process.inFlight) fault(`checkpoint ${id} of $ expires`, aborted(id))
  if (process.writing > Writing.none && process.writing < Writing.durable) {
    const what = process.writing === Writing.beside ? "rename" : "sync the directory of"
    fault(`$ can't ${what} the manifest of checkpoint ${process.draft.checkpoint}`, (next, own) => {
      own.writing = Writing.none
      aborted(own.draft.checkpoint)(next, own)
    })
  }
  const late = (write: LateWrite) => (next: State) => {
    next.lateWrites.push(write)
  }
  if (process.toPublish.length > 0) fault("the publication by $ has no answer", late(publication(process)))
  if (process.subtasks.some(({ sending }) => sending === Sending.commit)) {
    fault("the commit by $ has no answer", late(commitOf(process)))
  }
  for (const [s, subtask] of process.subtasks.entries()) {
    if (subtask.sending !== Sending.rows) continue
    const segment = subtask.unsent[0]!
    for (const record of recordsOf(subtask.left)) {
      const ts = timestampOf(model, segment, record)
      fault(`the request with record ${record + 1} by $ has no answer`, (next) => {
        next.lateRows.push({ machine: process.machine, record, ts, checkpoint: segment.checkpoint })
      })
    }
    if (bug === "commit-past-failure") {
      fault(`$ can't send a segment (subtask ${s})`, (_, own) => {
        own.subtasks[s]!.left = 0
        own.subtasks[s]!.sending = Sending.commit
      })
    }
  }
  if (bug === "failure-as-end" && process.phase === Phase.run && process.ending === 0) {
    for (let to = process.position; to < scope.keys.length; to++) {
      fault(`the source of $ fails behind ${to} records`, (next, own) => {
        place(model, own, to, 1)
        settle(model, next, own)
      })
    }
  }
}
