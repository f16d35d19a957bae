/**
 * A process of the real world, and how it may end by itself, after all that was done to it.
 */
import type { Deferred } from "effect"
import { Effect } from "effect"
import type { Cluster } from "./cluster.ts"
import type { Ended, Home, Loading } from "./command.ts"
import type { Oracle } from "./oracle.ts"
import type { Program, Run } from "./program.ts"
import { takenOverBy } from "./rivals.ts"

export interface Process {
  readonly name: string
  readonly run: Run
  readonly home: Home
  readonly machine: number
  readonly over: Deferred.Deferred<void>
  /** Of the ledger, when it was started last. */
  epochBefore: number
  loading: Loading
  ended: Ended | null
  isFrozen: boolean
  wasFrozen: boolean
  isSuperseded: boolean
  wasStopped: boolean
  /** Nobody starts it again. */
  isLast: boolean
  /** What its program wants for it has happened. */
  hasMetEnd: boolean
}

/** What is known of the world that a process was in. */
export interface Witness {
  readonly program: Program
  readonly processes: ReadonlyArray<Process>
  readonly cluster: Cluster
  readonly oracle: Oracle
  readonly uid: string
  readonly say: (line: string) => void
}

/** Of the ledger: the length of the name of the job that has taken it over. */
export const takenOverRow = -6

/** The end of what it has said. */
export const why = (ended: Ended | null): string =>
  ended === null ? "" : `: ${ended.stderr.trimEnd().split("\n").slice(-6).join("\n    ")}`

/**
 * Whether a process that was frozen before it had claimed the job found, when it woke up, that the job had gone on without
 * it: with another state, since its own machine was given up, or under another name. That it says so is right if it is so.
 */
const isLeftBehind = Effect.fnUntraced(function*({ home, machine, name }: Process, ended: Ended, world: Witness) {
  const by = takenOverBy(ended)
  const isSo = by === null
    ? /is not the newest of job /.test(ended.stderr) &&
      world.processes.some((other) => other.machine > machine) &&
      world.oracle.isLeftBehind(home.state, yield* world.cluster.ledger(world.uid, home.jobId))
    : (yield* world.cluster.ledger(world.uid, home.jobId)).get(takenOverRow) !== undefined
  if (isSo) world.say(`process ${name} was frozen before its claim, and the job has gone on without it`)
  return isSo
})

/** How a process may end by itself. */
export const judge = Effect.fnUntraced(function*(process: Process, ended: Ended, world: Witness) {
  const { code, signal, summary } = ended
  // Killed, or it had failed by itself a moment before.
  if (process.isLast && (signal === "SIGKILL" || code === 3)) return
  world.say(`process ${process.name} ended: ${signal ?? `exit code ${code}`}${summary ? `, ${summary.outcome}` : ""}`)
  const { restart } = world.program
  const isGood = code === 0 || (code === 4 && process.wasStopped) || (code === 6 && process.wasFrozen) ||
    (code === 3 && process.wasStopped) ||
    // It was asked to end before it listened.
    (signal === "SIGTERM" && process.wasStopped) ||
    // A zombie whose restarts are used up has failed before it could find out.
    (code === 3 && process.wasFrozen && restart.kind !== "exponential") ||
    (code === 7 && process.wasFrozen && (yield* isLeftBehind(process, ended, world)))
  if (!isGood) world.oracle.violate(`process ${process.name} ended with ${signal ?? `exit code ${code}`}${why(ended)}`)
})
