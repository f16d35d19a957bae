/**
 * What a crash test does, and what it finds.
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import type { CassandraSession } from "../../cassandra/CassandraSession.ts"
import type { Run } from "../FaultProgram.ts"
import type { WrittenRow } from "../SimulatedCassandra.ts"
import type { DiskOperation, DiskStep } from "../SimulatedDisk.ts"
import type { Machine, Process, Request } from "./crashProcess.ts"
import type { World } from "./crashWorld.ts"

/** What the processes do, and who looks at it. Every hook is optional. */
export interface Scenario {
  /** Statements that make keyspaces and tables. */
  readonly setup: ReadonlyArray<string>
  readonly main: (
    process: Process,
    world: World
  ) => Effect.Effect<unknown, unknown, CassandraSession | FileSystem.FileSystem>
  /** Whether an error is a reason for a supervisor to start the process again, half a second later. */
  readonly isRestarted: (error: unknown) => boolean
  /** Why a row of a process is refused, whatever is tried; null if it is not. */
  readonly refuses?: (row: WrittenRow, sender: Process) => string | null
  /** Whether a bit of this file may flip. Default: of any. */
  readonly mayFlip?: (path: string) => boolean
  /** A row that a process sends. */
  readonly onWrite?: (row: WrittenRow, sender: Process, world: World) => void
  /** Cassandra has answered; the process does not know it yet. */
  readonly onAnswer?: (process: Process, request: Request) => void
  readonly onLog?: (process: Process | null, text: string) => void
  /** Before what may happen to the process at this step. */
  readonly onStep?: (process: Process, step: DiskStep | null) => void
  /** Whether a process that is to freeze here may. */
  readonly mayFreeze?: (process: Process) => boolean
  /** Called before a process is started: what somebody does between two of them. */
  readonly onStart?: (run: Run, machine: Machine) => void
  /** Which machine a process is started on that is to run on this one. Default: this one. */
  readonly placeOf?: (machine: number) => number
  /** How a process ended by itself. */
  readonly onExit?: (process: Process, exit: Exit.Exit<unknown, unknown>, world: World) => void
  /** It is somebody else's turn: the process has ended, died or was frozen. */
  readonly onTurnOver?: (process: Process) => void
  /** A process has died of a damaged file: whoever comes after it gets an empty machine. */
  readonly isDamageReport?: (error: unknown, process: Process) => boolean
  /** The process without faults has ended well, and nobody else was there when it began. */
  readonly onFinished?: (process: Process) => void
  readonly onEnd?: (last: Process, world: World) => void
}

/**
 * A step of a process: before an operation or a request, during a write, after something that others can see (a change
 * of the disk, a request), after something else.
 */
export type TrailStep = "before" | "during" | "after-change" | "after"

export interface Trail {
  readonly steps: ReadonlyArray<TrailStep>
  readonly requests: number
  readonly operations: ReadonlyMap<DiskOperation, number>
}

/** What came of one run: its violations, none if all is well, and what was met on the way. */
export interface Outcome {
  readonly violations: ReadonlyArray<string>
  readonly steps: number
  readonly deaths: number
  readonly virtualMillis: number
  /** What each process did, in their order: where it could have died, and what could have failed. */
  readonly trails: ReadonlyArray<Trail>
  readonly coverage: ReadonlyMap<string, number>
}
