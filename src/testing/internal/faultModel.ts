/**
 * What a program of faults is made of: processes, how each of them ends, and what the disks and Cassandra do meanwhile.
 */
import type { Fault as RequestFault, FaultRates } from "../SimulatedCassandra.ts"
import type { CrashMode, DiskOperation, ErrorCode } from "../SimulatedDisk.ts"

/**
 * Operations of a disk that fail.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fault {
  readonly operation: DiskOperation
  /** Text that the path contains; empty for any. */
  readonly path: string
  readonly code: ErrorCode
  /** Operations of this kind that succeed before. */
  readonly skip: number
  readonly times: number
  readonly outcome: "partial" | "none" | "done"
}

/**
 * Where a process is: at the step with this number of its own. A step is the time before, during or after an operation of
 * its disk, or before or after a request; only those count whose description contains `where` ("sync *.wal", "lwt", ...).
 *
 * @category models
 * @since 0.1.0
 */
export interface Point {
  readonly at: number
  readonly where: string
}

/**
 * How a process stops being the one that works; if it has finished before it comes to the point, it has finished.
 *
 * - `crash`: its machine stops: with all processes on it, and for modes other than `kill` without power
 * - `kill`: the process dies
 * - `freeze`: it makes no step until its successors have made `thawAfter` (null: until they have finished), counting
 *   those whose description contains `thawWhere`
 * - `stop`: it is asked to end, and ends
 * - `finish`: it is left alone
 *
 * @category models
 * @since 0.1.0
 */
export type End =
  | Point & { readonly kind: "crash"; readonly mode: CrashMode }
  | Point & { readonly kind: "kill" }
  | Point & { readonly kind: "freeze"; readonly thawAfter: number | null; readonly thawWhere: string }
  | Point & { readonly kind: "stop" }
  | { readonly kind: "finish" }

/**
 * A process.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  readonly parallelism: number
  /** Which of the machines it runs on. One that was not used before has an empty disk: the state is lost. */
  readonly machine: number
  readonly skewMillis: number
  readonly diskFaults: ReadonlyArray<Fault>
  /** Bytes that its disk holds, as long as there are faults; null for no limit. */
  readonly capacity: number | null
  /** Of which file (by a part of their number) which bit (by a part of its length) flips before it starts. */
  readonly flip: { readonly file: number; readonly bit: number; readonly onlySegments: boolean } | null
  /** Steps before which it is held up, and for how long: others overtake it. */
  readonly delays: ReadonlyArray<{ readonly at: number; readonly millis: number }>
  /** What becomes of its requests with these numbers, from 1. The others meet what chance decides. */
  readonly requestFaults: ReadonlyArray<{ readonly at: number; readonly fault: RequestFault }>
  readonly end: End
}

/**
 * All that happens to a run, drawn from one seed: deaths, freezes, failing disks and requests.
 *
 * @category models
 * @since 0.1.0
 */
export interface FaultProgram {
  /** Of all that chance decides on the way. */
  readonly seed: number
  /** A last process that meets no fault follows. */
  readonly runs: ReadonlyArray<Run>
  readonly cassandra: {
    readonly replicas: 1 | 3
    readonly faults: FaultRates
    readonly turnsMax: number
    readonly delayMillisMax: number
    readonly slowMillisMax: number
    readonly lateChance: number
    readonly requestTimeoutMillis: number
    /** From the beginning of the simulation. */
    readonly outages: ReadonlyArray<{ readonly fromMillis: number; readonly toMillis: number }>
  }
  readonly disk: {
    readonly shortReads: boolean
    /** Of the steps before operations: they take turns of the scheduler, or time. */
    readonly turnsMax: number
    readonly delayMillisMax: number
    readonly delayChance: number
    /** One kind of operation takes this long, each time. */
    readonly slow: { readonly operation: DiskOperation; readonly millis: number } | null
  }
  /** After this long a process meets no more faults (but its end). */
  readonly faultMillis: number
}

/**
 * A process that meets nothing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const undisturbed = (parallelism: number, machine: number): Run => ({
  parallelism,
  machine,
  skewMillis: 0,
  diskFaults: [],
  capacity: null,
  flip: null,
  delays: [],
  requestFaults: [],
  end: { kind: "finish" }
})

/**
 * A program without faults: a place to begin from when one is written by hand.
 *
 * @category constructors
 * @since 0.1.0
 */
export const calm = (seed: number, runs: ReadonlyArray<Run> = []): FaultProgram => ({
  seed,
  runs,
  cassandra: {
    replicas: 1,
    faults: {},
    turnsMax: 0,
    delayMillisMax: 0,
    slowMillisMax: 20,
    lateChance: 0,
    requestTimeoutMillis: 12_000,
    outages: []
  },
  disk: { shortReads: false, turnsMax: 0, delayMillisMax: 0, delayChance: 0, slow: null },
  faultMillis: 60_000
})
