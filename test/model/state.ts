/**
 * A state of the model: all that is remembered anywhere. Epochs, checkpoint ids and timestamps count from 1 within a
 * scope, records and subtasks from 0; switches are 0 and 1. Lists whose order means nothing are kept sorted.
 */

/** A sealed (or open) segment, as its handle tells it. */
export interface Segment {
  /** Epoch, subtask and number: its name. */
  e: number
  s: number
  n: number
  checkpoint: number
  /** Bit r for record r (from 0). */
  rows: number
  /** Timestamp of its first row; the others follow one by one. */
  ts: number
}

export interface SegmentFile extends Segment {
  /** 0: not (wholly) written; 1: written, a power loss may take a part of it; 2: synced. */
  content: number
  /** Its name can be opened now. */
  seen: number
  /** Its name is there after a power loss, whatever was not synced since. */
  kept: number
}

export interface Manifest {
  e: number
  checkpoint: number
  position: number
  finished: number
  maxTs: number
  pending: Array<Segment>
}

/** A version of a file: two of one name are the old one, which a power loss can bring back, and the new one. */
export interface ManifestFile extends Manifest {
  content: number
  seen: number
  kept: number
}

export interface Disk {
  segments: Array<SegmentFile>
  manifests: Array<ManifestFile>
}

export interface Ledger {
  epoch: number
  /** Which process claimed it. */
  owner: number
  published: number
  maxTs: number
  /** By subtask. */
  committed: Array<number>
}

/** A cell of the table: record + 1, 0 for none. */
export interface Cell {
  record: number
  ts: number
}

/** A row that was sent, whose answer nobody waits for any more. */
export interface LateRow {
  machine: number
  record: number
  ts: number
  checkpoint: number
}

/** A conditional write of the ledger that may still take effect. */
export interface LateWrite {
  epoch: number
  /** 0: none of these. */
  published: number
  maxTs: number
  committed: Array<number>
}

export interface Barrier {
  id: number
  /** Records `from` (included) to `to` are before it, and behind the one before it. */
  from: number
  to: number
  /** The position that it carries. */
  position: number
  finished: number
}

export interface InFlight {
  id: number
  /** Bit s for subtask s. */
  acknowledged: number
}

/** What is waiting for the manifest writer. */
export interface Ready {
  id: number
  position: number
  finished: number
}

export interface ToPublish {
  checkpoint: number
  maxTs: number
  hasPending: number
}

export interface Unsent extends Segment {
  restored: number
}

export const Sending = { idle: 0, rows: 1, commit: 2 } as const

export interface Subtask {
  /** The last barrier it has sealed for. */
  sealedId: number
  /** 1: there is a segment that is not sealed. */
  open: number
  segment: Segment
  lastTs: number
  segments: number
  unsent: Array<Unsent>
  sending: number
  /** Rows of the first of `unsent` that were not acknowledged. */
  left: number
}

export const Phase = {
  /** Nothing is known yet: is there anything to do? */
  look: 0,
  claim: 1,
  list: 2,
  read: 3,
  adopt: 4,
  sweep: 5,
  run: 6,
  settle: 7
} as const

export interface Process {
  /** In order of their starts: the token of its claims. */
  id: number
  phase: number
  machine: number
  parallelism: number
  clock: number
  /** The epoch of its last run that got going, 0 if none did. */
  previous: number
  /** What it claimed last. */
  epoch: number
  claimPublished: number
  claimMaxTs: number
  claimCommitted: Array<number>
  /** What `isCheckpointCommitted` answers from. */
  cache: Array<number>
  hasCache: number
  listedEpoch: number
  listedCheckpoint: number
  hasRestored: number
  restored: Manifest
  lastId: number
  completedId: number
  maxTs: number
  inFlight: Array<InFlight>
  ready: Array<Ready>
  /** The manifest being written: 0 none, 1 beside its name, 2 renamed, 3 durable. */
  writing: number
  draft: Manifest
  /** The newest that is complete: position and end, for the settling. */
  last: Manifest
  toPublish: Array<ToPublish>
  /** The subtasks know that everything up to here may be sent. */
  toldId: number
  sealed: Array<Segment>
  barriers: Array<Barrier>
  position: number
  /** 0: reading; 1: the last barrier is out; 2: its checkpoint is complete. */
  ending: number
  lastBarrier: number
  subtasks: Array<Subtask>
}

export interface State {
  crashes: number
  failures: number
  triggers: number
  zombies: number
  /** A machine with an empty disk may still take over. */
  losses: number
  /** Processes started so far. */
  started: number
  machine: number
  /** The newest process ended, and said that all is in. */
  finished: number
  ledger: Ledger
  table: Array<Cell>
  /** By machine and record: the timestamp it was sent with, 0 for never. */
  sent: Array<Array<number>>
  disks: Array<Disk>
  lateRows: Array<LateRow>
  lateWrites: Array<LateWrite>
  processes: Array<Process>
}

export const makeSegment = (): Segment => ({ e: 0, s: 0, n: 0, checkpoint: 0, rows: 0, ts: 0 })
export const makeSegmentFile = (): SegmentFile => ({ ...makeSegment(), content: 0, seen: 0, kept: 0 })
export const makeManifest = (): Manifest => ({
  e: 0,
  checkpoint: 0,
  position: 0,
  finished: 0,
  maxTs: 0,
  pending: []
})
export const makeManifestFile = (): ManifestFile => ({ ...makeManifest(), content: 0, seen: 0, kept: 0 })
export const makeSubtask = (): Subtask => ({
  sealedId: 0,
  open: 0,
  segment: makeSegment(),
  lastTs: 0,
  segments: 0,
  unsent: [],
  sending: 0,
  left: 0
})
export const makeProcess = (): Process => ({
  id: 0,
  phase: 0,
  machine: 0,
  parallelism: 0,
  clock: 0,
  previous: 0,
  epoch: 0,
  claimPublished: 0,
  claimMaxTs: 0,
  claimCommitted: [],
  cache: [],
  hasCache: 0,
  listedEpoch: 0,
  listedCheckpoint: 0,
  hasRestored: 0,
  restored: makeManifest(),
  lastId: 0,
  completedId: 0,
  maxTs: 0,
  inFlight: [],
  ready: [],
  writing: 0,
  draft: makeManifest(),
  last: makeManifest(),
  toPublish: [],
  toldId: 0,
  sealed: [],
  barriers: [],
  position: 0,
  ending: 0,
  lastBarrier: 0,
  subtasks: []
})
export const makeDisk = (): Disk => ({ segments: [], manifests: [] })
export const makeState = (): State => ({
  crashes: 0,
  failures: 0,
  triggers: 0,
  zombies: 0,
  losses: 0,
  started: 0,
  machine: 0,
  finished: 0,
  ledger: { epoch: 0, owner: 0, published: 0, maxTs: 0, committed: [] },
  table: [],
  sent: [],
  disks: [],
  lateRows: [],
  lateWrites: [],
  processes: []
})
