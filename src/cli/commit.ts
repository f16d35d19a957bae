/**
 * `effect-cassandra commit` and `skip`: what a person decides about the oldest checkpoint that is pending.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Path from "node:path"
import * as CassandraCommitter from "../cassandra/CassandraCommitter.ts"
import { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import type { SegmentHandle } from "../checkpoint/Manifest.ts"
import * as ManualCommit from "../sink/ManualCommit.ts"
import { StateBackend } from "../state/StateBackend.ts"
import * as StateDirectory from "../state/StateDirectory.ts"
import { CheckFailed } from "./checks.ts"
import { withLogLevel } from "./flag.ts"
import { reportTo } from "./logFile.ts"
import { ndjson } from "./loggedRows.ts"
import { formatCount } from "./Progress.ts"
import { printable, untilSignal } from "./report.ts"
import * as State from "./state.ts"
import type { CommitOptions, SkipOptions } from "./stateOptions.ts"
import * as Options from "./stateOptions.ts"
import { StatusLine } from "./StatusLine.ts"

const rowsOf = (segments: ReadonlyArray<SegmentHandle>): string => {
  const rows = segments.reduce((sum, handle) => sum + handle.rows, 0)
  return `${formatCount(rows)} row${rows === 1 ? "" : "s"}`
}

/** Decides on the oldest pending checkpoint: `before` comes when the claim stands, `plan` says what will be done. */
const decide = Effect.fnUntraced(function*<E, R>(
  options: CommitOptions,
  plan: (segments: ReadonlyArray<SegmentHandle>) => string,
  before: (
    state: StateDirectory.StateDirectory,
    segments: ReadonlyArray<SegmentHandle>
  ) => Effect.Effect<void, E, R>
) {
  const line = yield* StatusLine
  const { checkpoint } = options
  const session = yield* State.ledgerSession(options)
  const { ledger, state } = yield* State.current(session, options)
  const { jobId, uid } = state
  const newest = state.checkpoints[0]
  if (newest !== undefined && Result.isFailure(newest.manifest)) return yield* newest.manifest.failure
  // What can't be is refused before anybody is fenced.
  const segments = yield* ManualCommit.oldestPending(StateDirectory.newest(state), ledger.committed, checkpoint)
  line.print(printable(
    `Checkpoint ${checkpoint} of job ${jobId} (uid ${uid}): ${rowsOf(segments)} in ` +
      `${segments.map(({ name }) => name).join(", ")}\n${plan(segments)}\nIn ${ledger.describe}, checkpoint ` +
      `${checkpoint} is recorded as done, and its files are removed from the log.`
  ))
  yield* State.confirm(options, state)
  const committer = yield* CassandraCommitter.make(session, { jobId, uid, keyspace: options.checkpointKeyspace })
  const backend = yield* State.openBackend(state, options)
  return yield* ManualCommit.commit(checkpoint, (found) => before(state, found), options.takeOverFrom).pipe(
    Effect.provideService(StateBackend, backend),
    Effect.provideService(CheckpointCommitter, committer)
  )
})

const say = Effect.fnUntraced(
  function*(what: string, { epoch, left }: { readonly epoch: number; readonly left: number }) {
    const line = yield* StatusLine
    line.print(
      `${what}, under epoch ${epoch}. ` + (left === 0
        ? "Nothing else is pending."
        : `${left} checkpoint${left === 1 ? " is" : "s are"} still pending: the same load as before sends them.`)
    )
  }
)

const commitIt = (options: CommitOptions) =>
  Effect.scoped(decide(
    options,
    () => "These rows are taken to be in the table already: nobody will send them.",
    () => Effect.void
  )).pipe(Effect.flatMap((done) => say(`committed: checkpoint ${options.checkpoint}`, done)))

/** All rows, or no file. It is on stable storage when this returns. */
const exportTo = Effect.fnUntraced(function*(
  to: string,
  state: StateDirectory.StateDirectory,
  segments: ReadonlyArray<SegmentHandle>
) {
  const fs = yield* FileSystem.FileSystem
  const unwritable = ({ message }: { readonly message: string }) =>
    new CheckFailed({ detail: `The rows could not be exported to ${to}, so they were not skipped: ${message}` })
  const file = yield* Effect.mapError(fs.open(to, { flag: "wx" }), unwritable)
  yield* Effect.forEach(
    segments,
    (handle) =>
      Effect.scoped(Stream.runForEach(
        ndjson(state, handle),
        ({ text }) => Effect.mapError(file.writeAll(Buffer.from(text)), unwritable)
      )),
    { discard: true }
  ).pipe(
    Effect.andThen(Effect.mapError(file.sync, unwritable)),
    Effect.andThen(
      Effect.scoped(
        Effect.flatMap(fs.open(Path.dirname(to), { flag: "r" }), (directory) => directory.sync)
      ).pipe(Effect.mapError(unwritable))
    ),
    Effect.onError(() => Effect.ignore(fs.remove(to)))
  )
})

const skipIt = Effect.fnUntraced(function*(options: SkipOptions) {
  const fs = yield* FileSystem.FileSystem
  const { to } = options
  if (yield* Effect.orElseSucceed(fs.exists(to), () => false)) {
    return yield* new CheckFailed({ detail: `${to} is there already; give another file with --to` })
  }
  const done = yield* Effect.scoped(decide(
    options,
    () => `These rows are exported to ${to}, and then dropped: they are NOT in the table, and nobody will send them.`,
    (state, segments) => Effect.scoped(exportTo(to, state, segments))
  ))
  yield* say(`skipped: checkpoint ${options.checkpoint}, its rows are in ${to}`, done)
})

const shared =
  `The job's directory is locked and its epoch claimed, as by a start of the job. A process of it that still
  runs is fenced by that: it can commit nothing more, and ends with exit code 6. So without --yes, it is only said what
  would be done. Only the oldest pending checkpoint can be decided on, since the ledger says "this one and all before".

  Exit codes: 0 done; 3 it can't be done; 6 another process holds the directory; 7 the state is damaged, or the job was
  taken over by another one; 64 without --yes.`

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const commit = Command.make(
  "commit",
  Options.commit,
  (options) => withLogLevel(reportTo(options, "commit", untilSignal(commitIt(options))))
).pipe(
  Command.withShortDescription("Record by hand that a checkpoint's rows are in the table"),
  Command.withDescription(
    `Record by hand that the rows of the oldest pending checkpoint are in the table: for somebody who has brought them there
  by other means, with the timestamps that export tells. They are not sent any more, and their files are removed.

  ${shared}`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra commit --job flights --checkpoint 12 --contact-points 10.0.0.1",
      description: "What would be recorded; with --yes it is"
    }
  ])
)

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const skip = Command.make(
  "skip",
  Options.skip,
  (options) => withLogLevel(reportTo(options, "skip", untilSignal(skipIt(options)), [options.to]))
).pipe(
  Command.withShortDescription("Drop the rows of a pending checkpoint on purpose, after exporting them"),
  Command.withDescription(
    `Drop the rows of the oldest pending checkpoint on purpose: they are exported to a file first, as export prints them,
  and then not sent any more. They are missing in the table until somebody loads that file.

  ${shared}`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra skip --job flights --checkpoint 12 --to skipped-12.ndjson --yes",
      description: "Go on without the rows of checkpoint 12"
    }
  ])
)
