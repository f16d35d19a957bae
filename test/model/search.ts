/**
 * Visits every state of a scope once, breadth first, and checks all of them.
 *
 * States are kept as bytes in one arena, found again by a hash table that compares them whole: none is mistaken for
 * another. Each has the one it was first reached from, so that the first violation comes with a shortest trace.
 *
 * *Going on.* Steps without faults are kept as a graph. If it has no circle, and each state in which no such step is
 * possible is final and right, then every run ends, and ends well, whatever the order of its steps, once faults stop.
 */
import { Bytes, transfer } from "./codec.ts"
import type { Emit, Model } from "./scope.ts"
import { Violation } from "./scope.ts"
import type { State } from "./state.ts"
import { makeState } from "./state.ts"
import { initial, mustBeFinal, steps } from "./world.ts"

export interface Found {
  readonly violation: string
  readonly trace: ReadonlyArray<string>
}

export interface Result {
  readonly states: number
  readonly transitions: number
  /** Of the state that is farthest from the first. */
  readonly depth: number
  /** States in which all is done. */
  readonly finals: number
  readonly seconds: number
  readonly found: Found | null
}

const grown = <A extends Int32Array | Uint32Array | Uint8Array>(array: A, length: number): A => {
  if (length <= array.length) return array
  const larger = new (array.constructor as new(length: number) => A)(Math.max(length, Math.ceil(array.length * 1.7)))
  larger.set(array as never)
  return larger
}

/** Strings of bytes, numbered in the order of their coming. */
class Arena {
  private bytes = new Uint8Array(1 << 20)
  private ends = new Uint32Array(1 << 14)
  private table = new Int32Array(1 << 16).fill(-1)
  size = 0

  private startOf(index: number): number {
    return index === 0 ? 0 : this.ends[index - 1]!
  }

  private static hash(bytes: Uint8Array, from: number, to: number): number {
    let hash = 0x811c9dc5
    for (let i = from; i < to; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
    hash ^= hash >>> 15
    return Math.imul(hash, 0x2c1b3c6d) >>> 0
  }

  private slotOf(bytes: Uint8Array, length: number): number {
    const mask = this.table.length - 1
    let slot = Arena.hash(bytes, 0, length) & mask
    while (true) {
      const index = this.table[slot]!
      if (index < 0) return slot
      const start = this.startOf(index)
      if (this.ends[index]! - start === length) {
        let i = 0
        while (i < length && this.bytes[start + i] === bytes[i]) i++
        if (i === length) return slot
      }
      slot = (slot + 1) & mask
    }
  }

  find(bytes: Uint8Array, length: number): number {
    return this.table[this.slotOf(bytes, length)]!
  }

  /** Its number; a new one is `size - 1` afterwards. */
  add(bytes: Uint8Array, length: number): number {
    if (this.size * 2 > this.table.length) this.rehash()
    const slot = this.slotOf(bytes, length)
    if (this.table[slot]! >= 0) return this.table[slot]!
    const start = this.startOf(this.size)
    this.bytes = grown(this.bytes, start + length)
    this.bytes.set(bytes.subarray(0, length), start)
    this.ends = grown(this.ends, this.size + 1)
    this.ends[this.size] = start + length
    this.table[slot] = this.size
    return this.size++
  }

  read(index: number, into: Uint8Array): void {
    into.set(this.bytes.subarray(this.startOf(index), this.ends[index]!))
  }

  private rehash(): void {
    this.table = new Int32Array(this.table.length * 2).fill(-1)
    const mask = this.table.length - 1
    for (let index = 0; index < this.size; index++) {
      let slot = Arena.hash(this.bytes, this.startOf(index), this.ends[index]!) & mask
      while (this.table[slot]! >= 0) slot = (slot + 1) & mask
      this.table[slot] = index
    }
  }
}

class Search {
  private readonly model: Model
  private readonly arena = new Arena()
  private readonly io = new Bytes()
  private readonly out = new Bytes()
  private parents = new Int32Array(1 << 14)
  /** Steps without faults, one state after another. */
  private edges = new Int32Array(1 << 16)
  private edgeEnds = new Uint32Array(1 << 14)
  private edgeCount = 0
  private transitions = 0
  private depth = 0
  private finals = 0

  constructor(model: Model) {
    this.model = model
  }

  private decode(index: number): State {
    const { io } = this
    this.arena.read(index, io.bytes)
    io.isReading = true
    io.at = 0
    const state = makeState()
    transfer(io, state)
    return state
  }

  private encode(state: State): number {
    const { out } = this
    out.at = 0
    transfer(out, state)
    return out.at
  }

  run(statesMax: number): Result {
    const startedAt = process.cpuUsage().user
    const { arena, model } = this
    let found: Found | null = null
    arena.add(this.out.bytes, this.encode(initial(model.scope)))
    this.parents[0] = -1
    let levelEnd = 1
    let index = 0
    for (; index < arena.size && found === null; index++) {
      if (arena.size > statesMax) throw new RangeError(`${model.scope.name} has more than ${statesMax} states`)
      if (index === levelEnd) {
        this.depth++
        levelEnd = arena.size
      }
      found = this.visit(index)
    }
    found ??= this.circle()
    return {
      states: arena.size,
      transitions: this.transitions,
      depth: this.depth,
      finals: this.finals,
      seconds: (process.cpuUsage().user - startedAt) / 1e6,
      found
    }
  }

  private visit(index: number): Found | null {
    const { arena, model } = this
    let label = ""
    let calm = 0
    const emit: Emit = (what, isFault, apply) => {
      label = what
      const next = this.decode(index)
      apply(next)
      const before = arena.size
      const to = arena.add(this.out.bytes, this.encode(next))
      this.transitions++
      if (to === before) {
        this.parents = grown(this.parents, arena.size)
        this.parents[to] = index
      }
      if (isFault) return
      calm++
      this.edges = grown(this.edges, this.edgeCount + 1)
      this.edges[this.edgeCount++] = to
    }
    try {
      const state = this.decode(index)
      steps(model, state, emit)
      label = ""
      if (calm === 0) {
        mustBeFinal(model, state)
        this.finals++
      }
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      return { violation: error.message, trace: [...this.trace(index), ...(label === "" ? [] : [label])] }
    }
    this.edgeEnds = grown(this.edgeEnds, index + 1)
    this.edgeEnds[index] = this.edgeCount
    return null
  }

  /** The steps from the first state to this one. */
  private trace(index: number): Array<string> {
    const labels: Array<string> = []
    for (let to = index; to > 0; to = this.parents[to]!) {
      const from = this.parents[to]!
      let found: string | null = null
      steps(this.model, this.decode(from), (label, _, apply) => {
        if (found !== null) return
        const next = this.decode(from)
        apply(next)
        if (this.arena.find(this.out.bytes, this.encode(next)) === to) found = label
      })
      labels.push(found ?? "?")
    }
    return labels.toReversed()
  }

  /** States are taken away whose steps lead to none that is left; what can't be taken away goes round in circles. */
  private circle(): Found | null {
    const { size } = this.arena
    const { edgeEnds, edges } = this
    const into = new Int32Array(size)
    for (let i = 0; i < this.edgeCount; i++) into[edges[i]!]!++
    const queue = new Int32Array(size)
    let length = 0
    for (let i = 0; i < size; i++) if (into[i] === 0) queue[length++] = i
    for (let at = 0; at < length; at++) {
      const index = queue[at]!
      for (let i = index === 0 ? 0 : edgeEnds[index - 1]!; i < edgeEnds[index]!; i++) {
        const to = edges[i]!
        if (--into[to]! === 0) queue[length++] = to
      }
    }
    if (length === size) return null
    const first = into.findIndex((count) => count > 0)
    return { violation: "it can go on for ever without a fault", trace: this.trace(first) }
  }
}

export const explore = (model: Model, statesMax = 20_000_000): Result => new Search(model).run(statesMax)
