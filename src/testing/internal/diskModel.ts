/**
 * What a simulated disk tells about its operations, and the faults it can be given.
 */
import type * as Effect from "effect/Effect"
import type { ErrorCode } from "./diskError.ts"
import type { Random } from "./diskRandom.ts"
import { chance } from "./diskRandom.ts"

/**
 * `create` is an open that may create or empty a file, `sync` the fsync of a file, `syncDirectory` that of a directory.
 * `writeFile` is a `create` and a `write`; `readFile` is a `read`.
 */
export type DiskOperation =
  | "access"
  | "create"
  | "makeDirectory"
  | "open"
  | "read"
  | "readDirectory"
  | "remove"
  | "rename"
  | "stat"
  | "sync"
  | "syncDirectory"
  | "truncate"
  | "write"

const changing: ReadonlySet<DiskOperation> = new Set<DiskOperation>([
  "create",
  "makeDirectory",
  "remove",
  "rename",
  "sync",
  "syncDirectory",
  "truncate",
  "write"
])

/** An operation of the disk, as it is about to happen. */
export interface DiskStep {
  /** Counts the operations of the disk from 1. */
  readonly index: number
  readonly operation: DiskOperation
  /** Absolute; of a rename the old one. */
  readonly path: string
  /** `during` comes only with writes of more than one byte: a part of the bytes has been written. */
  readonly phase: "before" | "during" | "after"
  /** Whether the operation can change what a crash leaves. A crash around any other finds nothing new. */
  readonly changes: boolean
  /** Number of the process that does it. */
  readonly process: number
}

export const changesDisk = (operation: DiskOperation): boolean => changing.has(operation)

export type StepHook = (step: DiskStep) => Effect.Effect<void>

/** An operation that fails. */
export interface DiskFault {
  readonly operation: DiskOperation | ReadonlyArray<DiskOperation>
  /** Text that the path contains, a pattern, or a predicate of the absolute path. Default: any path. */
  readonly path?: string | RegExp | ((path: string) => boolean) | undefined
  /** The system's error. */
  readonly code: ErrorCode
  /** Matching operations that succeed before the first failure. Default 0. */
  readonly skip?: number | undefined
  /** Failures, after which the fault is over. Default 1; Infinity for a fault that stays. */
  readonly times?: number | undefined
  /** With which each matching operation fails, drawn from the disk's random source. Default 1. */
  readonly probability?: number | undefined
  /**
   * What happens nevertheless. `partial` (default): of a write a part is written; a sync drops what it should have made
   * durable, so that a later sync succeeds without it; any other operation does nothing. `none`: nothing happens.
   * `done`: all of it happens, and only its caller is told otherwise.
   */
  readonly outcome?: "partial" | "none" | "done" | undefined
}

const matches = (fault: DiskFault, operation: DiskOperation, path: string): boolean => {
  const operations = fault.operation
  if (typeof operations === "string" ? operations !== operation : !operations.includes(operation)) return false
  const wanted = fault.path
  if (wanted === undefined) return true
  if (typeof wanted === "string") return path.includes(wanted)
  return typeof wanted === "function" ? wanted(path) : path.search(wanted) >= 0
}

/** The faults that a disk was given, each with what it has seen. */
export class DiskFaults {
  private active: Array<{ readonly fault: DiskFault; skip: number; times: number }> = []

  add(fault: DiskFault): () => void {
    const entry = { fault, skip: fault.skip ?? 0, times: fault.times ?? 1 }
    this.active.push(entry)
    return () => {
      this.active = this.active.filter((other) => other !== entry)
    }
  }

  /** The fault that this operation meets, if any. */
  meet(operation: DiskOperation, path: string, random: Random): DiskFault | null {
    for (const entry of this.active) {
      if (entry.times <= 0 || !matches(entry.fault, operation, path)) continue
      if (entry.skip > 0) {
        entry.skip--
        continue
      }
      const { probability } = entry.fault
      if (probability !== undefined && !chance(random, probability)) continue
      entry.times--
      return entry.fault
    }
    return null
  }
}
