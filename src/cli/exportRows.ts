/**
 * `effect-cassandra export`: the rows that wait in the log, as NDJSON.
 *
 * @since 0.1.0
 */
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import Process from "node:process"
import type { SegmentHandle } from "../checkpoint/Manifest.ts"
import * as StateDirectory from "../state/StateDirectory.ts"
import { CheckFailed } from "./CheckFailed.ts"
import { exitCodes } from "./exitCode.ts"
import { withLogLevel } from "./flag.ts"
import { ndjson } from "./loggedRows.ts"
import { someOf } from "./nearest.ts"
import { formatCount } from "./Progress.ts"
import { Exit, report, untilSignal } from "./report.ts"
import * as State from "./state.ts"
import type { ExportOptions } from "./stateOptions.ts"
import * as Options from "./stateOptions.ts"
import { StatusLine } from "./StatusLine.ts"

/** Waits until it is written, so that no more is read than is taken. A reader that went away has enough. */
const print = (text: string): Effect.Effect<void, Exit> =>
  Effect.callback((resume) => {
    Process.stdout.write(text, (error) => {
      resume(error == null ? Effect.void : Effect.fail(new Exit({ code: exitCodes.success })))
    })
  })

const choose = Effect.fnUntraced(function*(
  { checkpoint, segment }: ExportOptions,
  state: StateDirectory.StateDirectory
): Effect.fn.Return<ReadonlyArray<SegmentHandle>, CheckFailed | CliError.CliError> {
  if ((segment === undefined) === (checkpoint === undefined)) {
    const message = "Give --segment, the name of a segment, or --checkpoint, the id of a checkpoint: one of the two"
    return yield* new CliError.ValidationError({ message })
  }
  const all = StateDirectory.segments(state)
  const chosen = all.filter(({ checkpointId, name }) =>
    segment === undefined ? checkpointId === checkpoint : name === segment
  )
  const wanted = segment ?? `checkpoint ${checkpoint}`
  if (chosen.length === 0) {
    const ids = [...new Set(all.map(({ checkpointId }) => String(checkpointId)))]
    const detail = `${state.directory} has no rows of ${wanted}` + (segment !== undefined && state.files.has(segment)
      ? `: the file is there, but in no checkpoint, so it is still being written, or was left behind`
      : all.length === 0
      ? ": nothing waits there"
      : segment === undefined
      ? `: rows wait of the checkpoints ${someOf(ids)}`
      : `: the segments are ${someOf(all.map(({ name }) => name))}`)
    return yield* new CheckFailed({ detail })
  }
  const gone = chosen.filter(({ name }) => !state.files.has(name))
  if (gone.length > 0) {
    const detail = `${
      someOf(gone.map(({ name }) => name))
    } of ${wanted} is gone: its rows are in Cassandra, or lost. ` +
      `effect-cassandra inspect with --contact-points tells which`
    return yield* new CheckFailed({ detail })
  }
  return chosen
})

const run = Effect.fnUntraced(function*(options: ExportOptions) {
  const line = yield* StatusLine
  const state = yield* State.find(options)
  const chosen = yield* choose(options, state)
  let rows = 0
  yield* Effect.forEach(chosen, (handle) =>
    Effect.scoped(Stream.runForEach(ndjson(state, handle), (block) => {
      rows += block.rows
      return print(block.text)
    })), { discard: true }).pipe(
      Effect.ensuring(Effect.sync(() => {
        const all = chosen.reduce((sum, handle) => sum + handle.rows, 0)
        line.print(`exported: ${formatCount(rows)}${rows === all ? "" : ` of ${formatCount(all)}`} rows`)
      }))
    )
})

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const exportRows = Command.make(
  "export",
  Options.exportRows,
  (options) => withLogLevel(report("export", untilSignal(run(options))))
).pipe(
  Command.withShortDescription("Print the rows that wait in the log"),
  Command.withDescription(
    `Print the rows that wait in the log as NDJSON, in the order in which they are sent.

  A row is one line:

    {"place":7,"timestamp":1700000000000000,"values":{"id":7,"name":"x"}}

  The place is that of the record in the input, the timestamp the row's write timestamp in microseconds. Integers and
  decimals have all their digits, blobs are 0x and hex digits, null deletes a value, and a column that is left as it is
  does not stand there. A record that was set aside has "deadLetter", its error, and "record" in place of "values".
  Values of user-defined types are told as their bytes, since the log has only their names.

  Nothing is locked or changed, and nobody is asked. A damaged segment is printed up to the damage, and one that has lost its
  end up to its last whole block; then it is told how many rows are not there, and the exit code is 7.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra export --job flights --checkpoint 12 >checkpoint-12.ndjson",
      description: "All rows of a checkpoint that is pending"
    },
    {
      command: "effect-cassandra export --state ./state --segment e3-a0-s1-n7.wal | head",
      description: "The first rows of one segment"
    }
  ])
)
