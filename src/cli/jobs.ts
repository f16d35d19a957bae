/**
 * `effect-cassandra jobs`: the jobs whose state lies under a directory.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as FailureLog from "../state/FailureLog.ts"
import * as StateDirectory from "../state/StateDirectory.ts"
import { CheckFailed } from "./CheckFailed.ts"
import { exitCodes } from "./exitCode.ts"
import { withLogLevel } from "./flag.ts"
import { formatCount, formatTime } from "./Progress.ts"
import { Exit, printable, report, untilSignal } from "./report.ts"
import type { Standing } from "./standing.ts"
import { standingOf, stillPending } from "./standing.ts"
import { gather, pendingOf, sum } from "./stateFound.ts"
import type { JobsOptions } from "./stateOptions.ts"
import * as Options from "./stateOptions.ts"
import { StatusLine } from "./StatusLine.ts"
import { table } from "./table.ts"

/** `.effect-cassandra/flights-sink` is one below; a directory for each machine, or each customer, is one more. */
const depthMax = 3

interface Listed {
  readonly directory: string
  readonly jobId: string | null
  readonly uid: string | null
  readonly standing: Standing | null
  readonly checkpoint: { readonly checkpointId: number; readonly completedAt: number; readonly records: number } | null
  readonly pendingRows: number
  readonly pendingBytes: number
  /** Why it could not be read, or what is damaged; null for one that is whole as far as a look tells. */
  readonly problem: string | null
}

const unreadable = (directory: string, problem: string): Listed => ({
  directory,
  jobId: null,
  uid: null,
  standing: null,
  checkpoint: null,
  pendingRows: 0,
  pendingBytes: 0,
  problem
})

/** Null for a directory that is no state of a job. */
const lookAt = Effect.fnUntraced(function*(directory: string) {
  const looked = yield* Effect.result(StateDirectory.look(directory))
  if (Result.isFailure(looked)) return unreadable(directory, looked.failure.message)
  const state = looked.success
  if (state === null) return null
  const found = yield* gather<never, never, never, never>(Effect.succeed(state), null)
  const failures = state.savepoint === null ? yield* FailureLog.read(directory) : []
  const pending = stillPending(pendingOf(found))
  const newest = StateDirectory.newest(state)
  const damage = found.damage[0]
  const listed: Listed = {
    directory,
    jobId: state.jobId,
    uid: state.uid,
    standing: standingOf(state, pending, failures),
    checkpoint: newest === null
      ? null
      : { checkpointId: newest.checkpointId, completedAt: newest.completedAt, records: newest.records },
    pendingRows: sum(pending, "rows"),
    pendingBytes: sum(pending, "bytes"),
    problem: damage === undefined ? null : `${damage.path}: ${damage.detail}`
  }
  return listed
})

/** In the order of the paths. What lies in a state directory is its own; links are not followed. */
const search = (
  directory: string,
  depth: number
): Effect.Effect<ReadonlyArray<Listed>, never, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const found = yield* Effect.catch(
      lookAt(directory),
      (error) => Effect.succeed(unreadable(directory, error.message))
    )
    if (found !== null) return [found]
    if (depth === 0) return []
    const fs = yield* FileSystem.FileSystem
    const names = yield* Effect.result(fs.readDirectory(directory))
    if (Result.isFailure(names)) return [unreadable(directory, names.failure.message)]
    const below: Array<Listed> = []
    for (const name of names.success.toSorted()) {
      const path = directory === "." ? name : `${directory.replace(/\/+$/, "")}/${name}`
      const isLink = yield* Effect.match(fs.readLink(path), { onFailure: () => false, onSuccess: () => true })
      const info = isLink ? null : yield* Effect.orElseSucceed(fs.stat(path), () => null)
      if (info?.type === "Directory") below.push(...yield* search(path, depth - 1))
    }
    return below
  })

const toTable = (listed: ReadonlyArray<Listed>, now: number): string =>
  table(
    ["JOB", "UID", "NOW", "CHECKPOINT", "AGE", "RECORDS", "PENDING ROWS", "BYTES", "STATE"],
    listed.map(({ checkpoint, directory, jobId, pendingBytes, pendingRows, problem, standing, uid }) => [
      jobId ?? "-",
      uid ?? "-",
      standing === null ? "NOT READABLE" : problem === null ? standing : `${standing}, DAMAGED`,
      checkpoint === null ? "-" : String(checkpoint.checkpointId),
      checkpoint === null ? "-" : formatTime((now - checkpoint.completedAt) / 1000),
      checkpoint === null ? "-" : formatCount(checkpoint.records),
      formatCount(pendingRows),
      formatCount(pendingBytes),
      directory
    ])
  )

const run = Effect.fnUntraced(function*({ json, state }: JobsOptions) {
  const line = yield* StatusLine
  const fs = yield* FileSystem.FileSystem
  const info = yield* Effect.orElseSucceed(fs.stat(state), () => null)
  if (info === null || info.type !== "Directory") {
    return yield* new CheckFailed({
      detail:
        `${state} is ${info === null ? "not there" : "no directory"}: give with --state the directory that the state ` +
        `directories are in (load makes them in .effect-cassandra, where it is started)`
    })
  }
  const listed = yield* search(state, depthMax)
  if (json) yield* Console.log(JSON.stringify(listed))
  else if (listed.length === 0) line.print(printable(`no jobs in ${state}`))
  else yield* Console.log(toTable(listed, yield* Clock.currentTimeMillis))
  const problems = listed.flatMap(({ problem }) => problem ?? [])
  if (problems.length === 0) return
  for (const problem of problems) line.print(printable(problem), "error")
  return yield* new Exit({ code: exitCodes.state })
})

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const jobs = Command.make(
  "jobs",
  Options.jobs,
  (options) => withLogLevel(report("jobs", untilSignal(run(options))))
).pipe(
  Command.withShortDescription("List the jobs whose state lies under a directory"),
  Command.withDescription(
    `List the jobs whose state lies under a directory, and the savepoints: whether each is running, finished, stopped, failed or
  killed, its last checkpoint and how old that is, and what is pending there. Nobody is asked: rows that the ledger has
  are still counted until the job removes them. Three levels of directories are searched; "status" tells more of one.

  Exit codes: 0; 3 there is no such directory; 7 a state is damaged or can't be read (the others are listed all the same).`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra jobs",
      description: "Those that were started here"
    },
    {
      command: "effect-cassandra jobs --state /var/lib/loads --json",
      description: "For a script"
    }
  ])
)
