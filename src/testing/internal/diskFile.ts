/**
 * A file of a simulated disk: what programs see, what would survive a power loss, and the writes in between.
 */
import type { Random } from "./diskRandom.ts"
import { below, chance } from "./diskRandom.ts"

/** What a disk writes whole or not at all, in bytes. */
export const sectorBytes = 512

/** A change of the content that no fsync has made durable. `at` is its place in the order of all changes. */
export type Unsynced =
  | { readonly _tag: "Write"; readonly at: number; readonly offset: number; readonly bytes: Buffer }
  | { readonly _tag: "Truncate"; readonly at: number; readonly size: number }

/** What a power loss does to one unsynced change: all, nothing, a prefix of its sectors, or any of its sectors. */
export type Fate = "kept" | "lost" | "torn" | "scattered"

const none = Buffer.alloc(0)

export class DiskFile {
  readonly kind = "File"
  readonly id: number
  /** Its newest name, for messages only. */
  path: string
  /** What reads see. Bytes from `size` on are zero. */
  content: Buffer = none
  size = 0
  /** May be the same buffer as `content`; then its bytes below `durableSize` are not written in place. */
  durable: Buffer = none
  durableSize = 0
  unsynced: Array<Unsynced> = []
  /** A failed fsync dropped writes: what reads see is no longer `durable` with `unsynced` on it. */
  diverged = false
  /** Names it has now. */
  links = 0
  /** Handles that are open on it. */
  handles = 0
  modified: number

  constructor(id: number, path: string, modified: number) {
    this.id = id
    this.path = path
    this.modified = modified
  }

  /** Bytes by which a write would make it longer. */
  growth(offset: number, length: number): number {
    return Math.max(0, offset + length - this.size)
  }

  write(at: number, offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return
    const end = offset + bytes.length
    if (end > this.content.length) {
      const grown = Buffer.alloc(Math.max(end, this.content.length * 2, 64))
      this.content.copy(grown, 0, 0, this.size)
      this.content = grown
    } else if (this.content === this.durable && offset < this.durableSize) {
      this.content = Buffer.from(this.content)
    }
    const copy = Buffer.from(bytes)
    this.content.set(copy, offset)
    this.size = Math.max(this.size, end)
    this.unsynced.push({ _tag: "Write", at, offset, bytes: copy })
    this.modified = at
  }

  truncate(at: number, size: number): void {
    if (size === this.size) return
    this.content = resized(this.content, this.size, size)
    this.size = size
    this.unsynced.push({ _tag: "Truncate", at, size })
    this.modified = at
  }

  sync(): void {
    if (this.unsynced.length === 0) return
    if (this.diverged) {
      const image = new Image(this)
      for (const change of this.unsynced) image.apply(change)
      this.durable = image.bytes
      this.durableSize = image.size
    } else {
      this.durable = this.content
      this.durableSize = this.size
    }
    this.unsynced = []
  }

  /** An fsync that failed: the system marks the pages clean, so they stay readable and are never written. */
  dropUnsynced(): void {
    if (this.unsynced.length === 0) return
    this.unsynced = []
    this.diverged = true
  }

  /** Leaves on the disk what survives, and counts what happened. */
  powerLoss(fateOf: (change: Unsynced) => Fate, random: Random, count: (event: string) => void): void {
    if (this.unsynced.length === 0 && !this.diverged) return
    const image = new Image(this)
    /** Once an older version of a sector was left on the disk, a newer one that contains it can't be there. */
    const stale = new Set<number>()
    let lostBefore = false
    for (const change of this.unsynced) {
      const fate = fateOf(change)
      if (change._tag === "Truncate") {
        if (fate === "kept" || (fate !== "lost" && chance(random, 0.5))) image.apply(change)
        else count("truncation lost")
        continue
      }
      const first = Math.floor(change.offset / sectorBytes)
      const end = Math.floor((change.offset + change.bytes.length - 1) / sectorBytes) + 1
      const torn = fate === "torn" ? first + below(random, end - first + 1) : end
      let kept = 0
      for (let sector = first; sector < end; sector++) {
        const survives = !stale.has(sector) && fate !== "lost" && sector < torn &&
          (fate !== "scattered" || chance(random, 0.5))
        if (survives) {
          kept++
          image.write(change, sector)
        } else {
          stale.add(sector)
        }
      }
      // The size is kept apart from the data: a file may have its new length, and zeros where the data should be.
      if (fate === "scattered" && chance(random, 0.5)) {
        if (change.offset + change.bytes.length > image.size) count("zeros in place of data")
        image.extend(change.offset + change.bytes.length)
      }
      if (kept > 0 && lostBefore) count("later write kept without an earlier one")
      if (kept < end - first) lostBefore = true
      count(kept === 0 ? "write lost" : kept < end - first ? "write torn" : "write kept")
    }
    this.content = this.durable = image.bytes
    this.size = this.durableSize = image.size
    this.unsynced = []
    this.diverged = false
  }

  read(offset: number, length: number): Buffer {
    return this.content.subarray(Math.min(offset, this.size), Math.min(offset + length, this.size))
  }

  /** Flips one bit where it would be read from, and on the disk. */
  flipBit(bit: number): boolean {
    const byte = bit >>> 3
    if (byte >= this.size) return false
    const mask = 1 << (bit & 7)
    if (this.content !== this.durable && byte < this.durableSize) this.durable[byte]! ^= mask
    this.content[byte]! ^= mask
    return true
  }

  clone(): DiskFile {
    const copy = new DiskFile(this.id, this.path, this.modified)
    copy.content = Buffer.from(this.content.subarray(0, this.size))
    copy.size = this.size
    copy.durable = this.content === this.durable && this.size === this.durableSize
      ? copy.content
      : Buffer.from(this.durable.subarray(0, this.durableSize))
    copy.durableSize = this.durableSize
    copy.unsynced = this.unsynced.slice()
    copy.diverged = this.diverged
    copy.links = this.links
    return copy
  }
}

/** `size` bytes of `from`, as a new buffer, zeros behind them. */
const resized = (bytes: Buffer, from: number, size: number): Buffer => {
  const result = Buffer.alloc(size)
  bytes.copy(result, 0, 0, Math.min(from, size))
  return result
}

/** The durable content while changes are laid over it. */
class Image {
  bytes: Buffer
  size: number

  constructor(file: DiskFile) {
    let end = file.durableSize
    for (const change of file.unsynced) {
      end = Math.max(end, change._tag === "Write" ? change.offset + change.bytes.length : change.size)
    }
    this.bytes = resized(file.durable, file.durableSize, end)
    this.size = file.durableSize
  }

  extend(end: number): void {
    this.size = Math.max(this.size, end)
  }

  /** The part of a write that lies in one sector. */
  write(change: Unsynced & { _tag: "Write" }, sector: number): void {
    const from = Math.max(change.offset, sector * sectorBytes)
    const to = Math.min(change.offset + change.bytes.length, (sector + 1) * sectorBytes)
    change.bytes.copy(this.bytes, from, from - change.offset, to - change.offset)
    this.extend(to)
  }

  apply(change: Unsynced): void {
    if (change._tag === "Write") {
      change.bytes.copy(this.bytes, change.offset)
      this.extend(change.offset + change.bytes.length)
    } else {
      if (change.size < this.size) this.bytes.fill(0, change.size, this.size)
      this.size = change.size
    }
  }
}
