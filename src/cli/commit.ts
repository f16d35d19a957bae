/**
 * `effect-cassandra commit` and `skip`: what a person decides about the oldest checkpoint that is pending.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as CassandraCommitter from "../cassandra/CassandraCommitter.ts"
import { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import type { SegmentHandle } from "../checkpoint/Manifest.ts"
import * as ManualCommit from "../sink/ManualCommit.ts"
import { StateBackend } from "../state/StateBackend.ts"
import * as StateDirectory from "../state/StateDirectory.ts"
import * as ExportFile from "./exportFile.ts"
import { withLogLevel } from "./flag.ts"
import { reportTo } from "./logFile.ts"
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
const decide = Effect.fnUntraced(function*<E, R, E2, R2>(
  options: CommitOptions,
  plan: (
    state: StateDirectory.StateDirectory,
    segments: ReadonlyArray<SegmentHandle>
  ) => Effect.Effect<string, E2, R2>,
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
  const planned = yield* plan(state, segments)
  line.print(printable(
    `Checkpoint ${checkpoint} of job ${jobId} (uid ${uid}): ${rowsOf(segments)} in ` +
      `${segments.map(({ name }) => name).join(", ")}\n${planned}\nIn ${ledger.describe}, checkpoint ` +
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

const planOfCommit = Effect.fnUntraced(function*(
  to: string | undefined,
  state: StateDirectory.StateDirectory,
  segments: ReadonlyArray<SegmentHandle>
) {
  const { damage, records } = yield* ExportFile.countSetAside(to, state, segments)
  return [
    "These rows are taken to be in the table already: nobody will send them.",
    ...records === 0 ? [] : [
      `${
        ExportFile.describeSetAside(records)
      } among them, and exported to ${to} first: nobody will set aside what is ` +
      `committed.`
    ],
    ...damage.map((why) => `What was set aside behind this can't be told: ${why}`)
  ].join("\n")
})

const commitIt = Effect.fnUntraced(function*(options: CommitOptions) {
  const { checkpoint, to } = options
  if (to !== undefined) yield* ExportFile.mustBeNew(to)
  const done = yield* Effect.scoped(decide(
    options,
    (state, segments) => planOfCommit(to, state, segments),
    (state, segments) => ExportFile.writeSetAside(to, state, segments)
  ))
  yield* say(`committed: checkpoint ${checkpoint}`, done)
})

const skipIt = Effect.fnUntraced(function*(options: SkipOptions) {
  const { to } = options
  yield* ExportFile.mustBeNew(to)
  const done = yield* Effect.scoped(decide(
    options,
    () =>
      Effect.succeed(
        `These rows are exported to ${to}, and then dropped: they are NOT in the table, and nobody will send them.`
      ),
    (state, segments) => ExportFile.writeRows(to, state, segments)
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
  (options) =>
    withLogLevel(
      reportTo(options, "commit", untilSignal(commitIt(options)), options.to === undefined ? [] : [options.to])
    )
).pipe(
  Command.withShortDescription("Record by hand that a checkpoint's rows are in the table"),
  Command.withDescription(
    `Record by hand that the rows of the oldest pending checkpoint are in the table: for somebody who has brought them there
  by other means, with the timestamps that export tells. They are not sent any more, and their files are removed. Records
  among them that were set aside are in no table: they are exported to the file that --to names, as export prints them.

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
