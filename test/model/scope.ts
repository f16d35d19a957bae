/**
 * How much happens in a world that is explored, and what is wrong with the protocol in it.
 */
import type { Bug } from "./bugs.ts"
import type { Segment, State } from "./state.ts"

export interface Scope {
  readonly name: string
  /** Subtasks of the first process, the second, ...; the last number is for all that follow. */
  readonly parallelism: ReadonlyArray<number>
  /** The key of each record. Key k goes to subtask k modulo the parallelism. */
  readonly keys: ReadonlyArray<number>
  /** Checkpoints that are triggered while the source is read, over all processes; each run ends with one more. */
  readonly triggers: number
  /** Processes that are killed, and power losses. */
  readonly crashes: number
  /** Checkpoints that expire or can't be written, requests without an answer, runs that fail and start again. */
  readonly failures: number
  /** Successors that are started while the process before them is still there. */
  readonly zombies: number
  /** Successors on another machine, whose disk is empty. */
  readonly losses: number
  /** Whether a crash may be a power loss. */
  readonly power: boolean
  /** What a clock may stand at, compared with the timestamps of others; each process has one of these. */
  readonly clocks: ReadonlyArray<number>
}

export interface Model {
  readonly scope: Scope
  readonly bug: Bug | null
}

/** What must never be, has been. */
export class Violation extends Error {}

export const violate = (what: string): never => {
  throw new Violation(what)
}

/** Timestamps of clocks that are ahead: above all that a scope gives out otherwise. */
export const ahead = 60

export const recordsOf = (rows: number): Array<number> => {
  const records: Array<number> = []
  for (let record = 0; rows >> record > 0; record++) if ((rows >> record & 1) === 1) records.push(record)
  return records
}

/** The timestamp of a record of a segment: each row has the next one. */
export const timestampOf = ({ bug }: Model, { rows, ts }: Segment, record: number): number => {
  if (bug === "timestamp-per-checkpoint") return ts
  let before = 0
  for (let r = 0; r < record; r++) before += rows >> r & 1
  return ts + before
}

export const lastTimestampOf = (model: Model, segment: Segment): number =>
  timestampOf(model, segment, recordsOf(segment.rows).at(-1)!)

/**
 * A step that is possible: what is said of it, whether it spends the budget of what goes wrong (or of what only may
 * happen), and what it does to a state of its own.
 */
export type Emit = (label: string, isFault: boolean, apply: (state: State) => void) => void
