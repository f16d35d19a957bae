/**
 * `effect-cassandra savepoint`: a checkpoint as a directory of its own; and `savepoint list`, `savepoint delete`.
 *
 * @since 0.1.0
 */
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { CommitterError } from "../checkpoint/CheckpointCommitter.ts"
import type { Manifest } from "../checkpoint/Manifest.ts"
import * as DirectorySnapshot from "../state/DirectorySnapshot.ts"
import * as Savepoint from "../state/Savepoint.ts"
import type * as StateDirectory from "../state/StateDirectory.ts"
import { exitCodes } from "./exitCode.ts"
import { withLogLevel } from "./flag.ts"
import { formatCount } from "./Progress.ts"
import { Exit, printable, report, untilSignal } from "./report.ts"
import * as State from "./state.ts"
import type { DeleteOptions, ListOptions, SavepointOptions } from "./stateOptions.ts"
import * as Options from "./stateOptions.ts"
import { StatusLine } from "./StatusLine.ts"
import { table } from "./table.ts"

const sum = ({ pending }: Manifest, of: "rows" | "bytes"): number =>
  pending.reduce((total, handle) => total + handle[of], 0)

/**
 * What it is, in a line.
 *
 * @category formatting
 * @since 0.1.0
 */
export const describe = ({ checkpoint }: Savepoint.SavepointFile): string => {
  const { checkpointId, epoch, jobId, records, uid } = checkpoint
  const rows = sum(checkpoint, "rows")
  return `checkpoint ${checkpointId} of epoch ${epoch} of job ${jobId} (uid ${uid}), ${formatCount(records)} records ` +
    `read, ${rows === 0 ? "nothing" : `${formatCount(rows)} row${rows === 1 ? "" : "s"}`} pending`
}

const ledgerOf = Effect.fnUntraced(function*(state: StateDirectory.StateDirectory, options: SavepointOptions) {
  const describe = `${options.checkpointKeyspace}.checkpoints_${state.jobId}`
  const committed = State.askLedger(state, options).pipe(
    Effect.map((ledger) => ledger.committed),
    Effect.mapError((cause) =>
      cause._tag === "CommitterError" ? cause : new CommitterError({
        ledger: describe,
        operation: "read the ledger",
        detail: cause.message,
        isRetryable: false,
        cause
      })
    )
  )
  const context = yield* Effect.context<Effect.Services<typeof committed>>()
  const ledger: DirectorySnapshot.KnownLedger = { describe, committed: Effect.provideContext(committed, context) }
  return ledger
})

const take = Effect.fnUntraced(function*(options: SavepointOptions) {
  const line = yield* StatusLine
  const { to } = options
  if (to === undefined) {
    return yield* new CliError.ValidationError({ message: "Give --to, the directory that savepoints are kept in" })
  }
  const state = yield* State.changeable(options)
  // Asked only where a file is gone: a savepoint can be taken while Cassandra is away.
  const ledger = (yield* State.hasContactPoint(options)) ? yield* ledgerOf(state, options) : null
  const taken = yield* DirectorySnapshot.take(state.directory, ledger, Savepoint.writeTo(to))
  line.print(printable(`savepoint: ${describe(taken)}, in ${taken.describe}`))
  yield* Console.log(options.json ? toJson(taken.describe, taken) : taken.describe)
})

const fields = (path: string, { checkpoint, id, ledger, statements, takenAt }: Savepoint.SavepointFile) => ({
  path,
  id,
  takenAt,
  ledger,
  statements,
  jobId: checkpoint.jobId,
  uid: checkpoint.uid,
  epoch: checkpoint.epoch,
  checkpointId: checkpoint.checkpointId,
  parallelism: checkpoint.parallelism,
  records: checkpoint.records,
  position: checkpoint.position,
  maxTimestamp: checkpoint.maxTimestamp,
  finished: checkpoint.finished,
  pendingRows: sum(checkpoint, "rows"),
  pendingBytes: sum(checkpoint, "bytes")
})

const toJson = (path: string, file: Savepoint.SavepointFile): string => JSON.stringify(fields(path, file))

const listThem = Effect.fnUntraced(function*({ directory, json, verify }: ListOptions) {
  const line = yield* StatusLine
  const listed: Array<{ readonly found: Savepoint.Found; readonly problem: string | null }> = []
  for (const found of yield* Savepoint.list(directory)) {
    let problem = Result.isFailure(found.file) ? found.file.failure.message : null
    if (problem === null && verify) {
      const read = yield* Effect.result(Savepoint.open(found.path))
      if (Result.isFailure(read)) problem = read.failure.message
    }
    listed.push({ found, problem })
  }
  if (json) {
    yield* Console.log(
      JSON.stringify(
        listed.map(({ found: { file, path }, problem }) =>
          Result.isSuccess(file) ? { ...fields(path, file.success), problem } : { path, problem }
        )
      )
    )
  } else if (listed.length === 0) {
    line.print(printable(`no savepoints in ${directory}`))
  } else {
    yield* Console.log(table(
      ["SAVEPOINT", "JOB", "UID", "TAKEN", "CHECKPOINT", "RECORDS", "SUBTASKS", "PENDING ROWS", "BYTES", "STATE"],
      listed.map(({ found: { file, path }, problem }) => {
        if (Result.isFailure(file)) {
          const state = file.failure._tag === "StateCorrupt" ? "DAMAGED" : "NOT USABLE"
          return [path, "-", "-", "-", "-", "-", "-", "-", "-", state]
        }
        const { checkpoint, takenAt } = file.success
        return [
          path,
          checkpoint.jobId,
          checkpoint.uid,
          new Date(takenAt).toISOString(),
          String(checkpoint.checkpointId),
          formatCount(checkpoint.records),
          String(checkpoint.parallelism),
          formatCount(sum(checkpoint, "rows")),
          formatCount(sum(checkpoint, "bytes")),
          problem !== null ? "DAMAGED" : verify ? "whole" : "complete"
        ]
      })
    ))
  }
  const problems = listed.flatMap(({ problem }) => problem ?? [])
  if (problems.length === 0) return
  for (const problem of problems) line.print(printable(problem))
  return yield* new Exit({ code: exitCodes.state })
})

const deleteIt = Effect.fnUntraced(function*({ savepoint, yes }: DeleteOptions) {
  const line = yield* StatusLine
  const found = yield* Effect.result(Savepoint.read(savepoint))
  line.print(printable(
    `${savepoint}: ${Result.isSuccess(found) ? describe(found.success) : `not whole (${found.failure.message})`}`
  ))
  if (!yes) {
    line.print("Nothing was deleted. Add --yes to delete it. A state that was restored from it does not need it.")
    return yield* new Exit({ code: exitCodes.usage })
  }
  yield* Savepoint.remove(savepoint)
  line.print(printable(`deleted: ${savepoint}`))
})

const list = Command.make(
  "list",
  Options.list,
  (options) => withLogLevel(report("savepoint list", untilSignal(listThem(options))))
).pipe(
  Command.withShortDescription("List the savepoints in a directory"),
  Command.withDescription(
    `List the savepoints in a directory, the oldest first, and what looks like one and is not whole. With --verify every byte of
  each is read and checked, as restoring it would.

  Exit codes: 0; 7 one is damaged, incomplete or of another version.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra savepoint list /backup/savepoints --verify",
      description: "Which there are, and whether each is whole"
    }
  ])
)

const remove = Command.make(
  "delete",
  Options.remove,
  (options) => withLogLevel(report("savepoint delete", untilSignal(deleteIt(options))))
).pipe(
  Command.withShortDescription("Delete a savepoint"),
  Command.withDescription(
    `Delete a savepoint, or what is left of one. Any other directory is refused, and without --yes it is only said what would
  be deleted. A job that was restored from it does not need it any more.

  Exit codes: 0; 7 it is no savepoint; 64 without --yes.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra savepoint delete /backup/savepoints/savepoint-flights-mbxste0q-03yd --yes",
      description: "Delete one; without --yes it is only said what it holds"
    }
  ])
)

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const savepoint = Command.make(
  "savepoint",
  Options.savepoint,
  (options) => withLogLevel(report("savepoint", untilSignal(take(options))))
).pipe(
  Command.withShortDescription("Take a savepoint of a job: a checkpoint as a directory of its own"),
  Command.withDescription(
    `Take a savepoint of a job: the newest completed checkpoint of its state directory, with the rows that are not known to be
  in Cassandra, copied into a new directory below --to, made durable and read again. Its path is printed. The job may be
  stopped, dead, or at work: nothing is locked, claimed or changed. "load --from-savepoint" goes on from it, under the
  same or another --job, with another --parallelism, on another machine.

  Where a file of the log is gone, the ledger is asked whether its rows are in, so give --contact-points as for load. A
  load that is to end with a savepoint is given --savepoint-on-stop.

  Exit codes: 0; 3 it could not be written; 7 the state is damaged, or there is none.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra savepoint --job flights --to /backup/savepoints",
      description: "Take one"
    },
    {
      command: "effect-cassandra savepoint list /backup/savepoints --verify",
      description: "Which there are, and whether they are whole"
    }
  ]),
  Command.withSubcommands([list, remove])
)
