/**
 * The one canonical form of a state in bytes: one a number, as all are small, and lists with their length before them.
 *
 * `transfer` goes over a state once and reads or writes it, so that the two can't differ. What has no meaning in a phase
 * of a process is left out there, so that states which differ only in this are one.
 */
import type { Disk, Manifest, ManifestFile, Process, Segment, SegmentFile, State, Subtask, Unsent } from "./state.ts"
import { makeDisk, makeManifestFile, makeProcess, makeSegment, makeSegmentFile, makeSubtask, Phase } from "./state.ts"

/** Goes over bytes, reading or writing. */
export class Bytes {
  bytes = new Uint8Array(4096)
  at = 0
  isReading = false

  one(value: number): number {
    if (this.isReading) return this.bytes[this.at++]!
    if (value < 0 || value > 255 || this.at >= this.bytes.length) throw new RangeError(`${value} at ${this.at}`)
    this.bytes[this.at++] = value
    return value
  }

  list<A>(items: Array<A>, make: () => A, transfer: (io: Bytes, item: A) => void): void {
    const length = this.one(items.length)
    for (let i = 0; i < length; i++) {
      if (this.isReading) items.push(make())
      transfer(this, items[i]!)
    }
  }

  numbers(items: Array<number>): void {
    const length = this.one(items.length)
    for (let i = 0; i < length; i++) items[i] = this.one(items[i] ?? 0)
  }
}

const segment = (io: Bytes, it: Segment): void => {
  it.e = io.one(it.e)
  it.s = io.one(it.s)
  it.n = io.one(it.n)
  it.checkpoint = io.one(it.checkpoint)
  it.rows = io.one(it.rows)
  it.ts = io.one(it.ts)
}

const segmentFile = (io: Bytes, it: SegmentFile): void => {
  segment(io, it)
  it.content = io.one(it.content)
  it.seen = io.one(it.seen)
  it.kept = io.one(it.kept)
}

const manifest = (io: Bytes, it: Manifest): void => {
  it.e = io.one(it.e)
  it.checkpoint = io.one(it.checkpoint)
  it.position = io.one(it.position)
  it.finished = io.one(it.finished)
  it.maxTs = io.one(it.maxTs)
  io.list(it.pending, makeSegment, segment)
}

const manifestFile = (io: Bytes, it: ManifestFile): void => {
  manifest(io, it)
  it.content = io.one(it.content)
  it.seen = io.one(it.seen)
  it.kept = io.one(it.kept)
}

const disk = (io: Bytes, it: Disk): void => {
  io.list(it.segments, makeSegmentFile, segmentFile)
  io.list(it.manifests, makeManifestFile, manifestFile)
}

const unsent = (io: Bytes, it: Unsent): void => {
  segment(io, it)
  it.restored = io.one(it.restored)
}

const subtask = (io: Bytes, it: Subtask): void => {
  it.sealedId = io.one(it.sealedId)
  it.open = io.one(it.open)
  if (it.open > 0) segment(io, it.segment)
  it.lastTs = io.one(it.lastTs)
  it.segments = io.one(it.segments)
  io.list(it.unsent, () => ({ ...makeSegment(), restored: 0 }), unsent)
  it.sending = io.one(it.sending)
  it.left = io.one(it.left)
}

const process = (io: Bytes, it: Process): void => {
  it.id = io.one(it.id)
  it.phase = io.one(it.phase)
  it.machine = io.one(it.machine)
  it.parallelism = io.one(it.parallelism)
  it.clock = io.one(it.clock)
  it.previous = io.one(it.previous)
  it.epoch = io.one(it.epoch)
  it.hasCache = io.one(it.hasCache)
  if (it.hasCache === 1) io.numbers(it.cache)
  it.hasRestored = io.one(it.hasRestored)
  if (it.hasRestored === 1) manifest(io, it.restored)
  if (it.phase <= Phase.claim) return
  it.claimPublished = io.one(it.claimPublished)
  it.claimMaxTs = io.one(it.claimMaxTs)
  io.numbers(it.claimCommitted)
  it.listedEpoch = io.one(it.listedEpoch)
  it.listedCheckpoint = io.one(it.listedCheckpoint)
  if (it.phase <= Phase.read) return
  it.writing = io.one(it.writing)
  if (it.writing > 0) manifest(io, it.draft)
  it.lastId = io.one(it.lastId)
  it.completedId = io.one(it.completedId)
  it.maxTs = io.one(it.maxTs)
  io.list(it.inFlight, () => ({ id: 0, acknowledged: 0 }), (io, f) => {
    f.id = io.one(f.id)
    f.acknowledged = io.one(f.acknowledged)
  })
  io.list(it.ready, () => ({ id: 0, position: 0, finished: 0 }), (io, r) => {
    r.id = io.one(r.id)
    r.position = io.one(r.position)
    r.finished = io.one(r.finished)
  })
  manifest(io, it.last)
  io.list(it.toPublish, () => ({ checkpoint: 0, maxTs: 0, hasPending: 0 }), (io, p) => {
    p.checkpoint = io.one(p.checkpoint)
    p.maxTs = io.one(p.maxTs)
    p.hasPending = io.one(p.hasPending)
  })
  it.toldId = io.one(it.toldId)
  io.list(it.sealed, makeSegment, segment)
  io.list(it.barriers, () => ({ id: 0, from: 0, to: 0, position: 0, finished: 0 }), (io, b) => {
    b.id = io.one(b.id)
    b.from = io.one(b.from)
    b.to = io.one(b.to)
    b.position = io.one(b.position)
    b.finished = io.one(b.finished)
  })
  it.position = io.one(it.position)
  it.ending = io.one(it.ending)
  it.lastBarrier = io.one(it.lastBarrier)
  io.list(it.subtasks, makeSubtask, subtask)
}

export const transfer = (io: Bytes, it: State): void => {
  it.crashes = io.one(it.crashes)
  it.failures = io.one(it.failures)
  it.triggers = io.one(it.triggers)
  it.zombies = io.one(it.zombies)
  it.losses = io.one(it.losses)
  it.started = io.one(it.started)
  it.machine = io.one(it.machine)
  it.finished = io.one(it.finished)
  const { ledger } = it
  ledger.epoch = io.one(ledger.epoch)
  ledger.owner = io.one(ledger.owner)
  ledger.published = io.one(ledger.published)
  ledger.maxTs = io.one(ledger.maxTs)
  io.numbers(ledger.committed)
  io.list(it.table, () => ({ record: 0, ts: 0 }), (io, cell) => {
    cell.record = io.one(cell.record)
    cell.ts = io.one(cell.ts)
  })
  io.list(it.sent, () => [], (io, sent) => io.numbers(sent))
  io.list(it.disks, makeDisk, disk)
  io.list(it.lateRows, () => ({ machine: 0, record: 0, ts: 0, checkpoint: 0 }), (io, late) => {
    late.machine = io.one(late.machine)
    late.record = io.one(late.record)
    late.ts = io.one(late.ts)
    late.checkpoint = io.one(late.checkpoint)
  })
  io.list(it.lateWrites, () => ({ epoch: 0, published: 0, maxTs: 0, committed: [] }), (io, late) => {
    late.epoch = io.one(late.epoch)
    late.published = io.one(late.published)
    late.maxTs = io.one(late.maxTs)
    io.numbers(late.committed)
  })
  io.list(it.processes, makeProcess, process)
}
