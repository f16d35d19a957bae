/**
 * `effect-cassandra inspect`: the state of a job, as it lies in its directory and as its ledger tells it.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as StateDirectory from "../state/StateDirectory.ts"
import { exitCodes, verdict } from "./exitCode.ts"
import { withLogLevel } from "./flag.ts"
import { formatBytes, formatCount, formatTime } from "./Progress.ts"
import { Exit, printable, report, untilSignal } from "./report.ts"
import * as State from "./state.ts"
import type { Found, Segment } from "./stateFound.ts"
import { describeLedger, gather, pendingOf, sum } from "./stateFound.ts"
import type { InspectOptions } from "./stateOptions.ts"
import * as Options from "./stateOptions.ts"
import { StatusLine } from "./StatusLine.ts"
import { table } from "./table.ts"

const time = (millis: number): string => new Date(millis).toISOString()

/** Files that no checkpoint names. */
const otherFiles = ({ segments, state }: Found) => {
  const named = new Set(segments.map(({ name }) => name))
  return [...state.files].filter(([name]) => !named.has(name)).toSorted(([a], [b]) => a < b ? -1 : 1)
}

const summaryLines = (found: Found, now: number): ReadonlyArray<readonly [string, string]> => {
  const { ledger, outdated, state, statements } = found
  const newest = StateDirectory.newest(state)
  const pending = pendingOf(found)
  const oldest = Math.min(...pending.map(({ firstTimestamp }) => firstTimestamp))
  return [
    ["job", `${state.jobId} (uid ${state.uid})`],
    state.savepoint === null
      ? ["state", `${state.directory}, held by ${State.describeOwner(state)}`]
      : [
        "savepoint",
        `${state.directory}, taken ${time(state.savepoint.takenAt)}` +
        (state.savepoint.ledger === null ? "" : `, when the ledger was ${state.savepoint.ledger}`)
      ],
    [
      "checkpoint",
      newest === null ? "none" : `${newest.checkpointId} of epoch ${newest.epoch}, ` +
        `${formatCount(newest.records)} records read` + (newest.finished ? ", to the end of the input" : "")
    ],
    ["position", newest?.position == null ? "the beginning" : JSON.stringify(newest.position)],
    [
      "pending",
      pending.length === 0 ? "nothing" : `${formatCount(sum(pending, "rows"))} rows, ` +
        `${formatBytes(sum(pending, "bytes"))} in ${pending.length} segment${
          pending.length === 1 ? "" : "s"
        }, the oldest ` +
        `logged ${formatTime((now - oldest / 1000) / 1000)} ago` +
        (ledger === null ? ", unless the ledger has them" : outdated === null ? "" : ", when it was left behind")
    ],
    ...statements.map((query) => ["statement", query] as const),
    ["ledger", describeLedger(found)],
    ...(outdated === null ? [] : [["OUTDATED", outdated] as const])
  ]
}

const segmentState = ({ isCommitted, isThere, isWhole }: Segment): string =>
  [
    isCommitted === null ? (isThere ? "logged" : "gone: in Cassandra, or lost") : isCommitted ? "committed" : "pending",
    !isThere && isCommitted === false ? "LOST" : isWhole === null ? "" : isWhole ? "whole" : "DAMAGED"
  ].filter((word) => word !== "").join(", ")

const toText = (found: Found, now: number): string => {
  const { damage, ledger, outdated, segments, state, verified } = found
  const sections = [
    summaryLines(found, now).map(([name, value]) => `${name.padEnd(11)} ${printable(value)}`).join("\n")
  ]
  if (state.checkpoints.length > 0) {
    sections.push(table(
      ["CHECKPOINT", "EPOCH", "COMPLETED", "AGE", "RECORDS", "SUBTASKS", "SEGMENTS", "ROWS", "BYTES", "STATE"],
      state.checkpoints.map(({ checkpointId, epoch, manifest }) => {
        const ids = [String(checkpointId), String(epoch)]
        if (Result.isFailure(manifest)) return ids.concat(["-", "-", "-", "-", "-", "-", "-", "DAMAGED"])
        const { completedAt, finished, parallelism, pending, records } = manifest.success
        return ids.concat([
          time(completedAt),
          formatTime((now - completedAt) / 1000),
          formatCount(records),
          String(parallelism),
          String(pending.length),
          formatCount(pending.reduce((rows, handle) => rows + handle.rows, 0)),
          formatCount(pending.reduce((bytes, handle) => bytes + handle.bytes, 0)),
          finished ? "whole, the last" : "whole"
        ])
      })
    ))
  }
  if (segments.length > 0) {
    sections.push(table(
      ["SEGMENT", "CHECKPOINT", "SUBTASK", "ROWS", "BYTES", "LOGGED", "STATE"],
      segments.map((segment) => [
        segment.name,
        String(segment.checkpointId),
        String(segment.subtask),
        formatCount(segment.rows),
        formatCount(segment.bytes),
        time(Math.floor(segment.firstTimestamp / 1000)),
        segmentState(segment)
      ])
    ))
  }
  const others = otherFiles(found)
  if (others.length > 0) {
    sections.push(table(
      ["OTHER FILE", "BYTES", "STATE"],
      others.map(([name, bytes]) => [name, formatCount(bytes), "of no checkpoint: being written, or left behind"])
    ))
  }
  if (ledger !== null && ledger.committed.size > 0) {
    sections.push(table(
      ["LEDGER: SUBTASK", outdated === null ? "COMMITTED UP TO" : "COMMITTED UP TO, OF ANOTHER STATE"],
      [...ledger.committed].toSorted(([a], [b]) => a - b).map(([subtask, id]) => [String(subtask), String(id)])
    ))
  }
  sections.push(
    damage.length > 0
      ? table(
        ["DAMAGE", "BYTE", "CHECKPOINT", "WHAT"],
        damage.map((one) => [one.path, String(one.offset), String(one.checkpointId ?? "-"), one.detail])
      )
      : verified
      ? "All checksums hold."
      : "Checksums of segments were not looked at (--verify)."
  )
  return sections.join("\n\n")
}

const toJson = (found: Found): string => {
  const { damage, ledger, outdated, segments, state, statements, verified } = found
  return JSON.stringify({
    jobId: state.jobId,
    uid: state.uid,
    directory: state.directory,
    savepoint: state.savepoint,
    owner: state.owner,
    checkpoints: state.checkpoints.map(({ checkpointId, epoch, manifest, name }) =>
      Result.isFailure(manifest)
        ? { name, epoch, checkpointId, isWhole: false }
        : Object.assign({ name, isWhole: true }, manifest.success, {
          pending: manifest.success.pending.map((handle) => handle.name)
        })
    ),
    statements,
    segments,
    otherFiles: otherFiles(found).map(([name, bytes]) => ({ name, bytes })),
    pendingRows: sum(pendingOf(found), "rows"),
    pendingBytes: sum(pendingOf(found), "bytes"),
    ledger: ledger === null ? null : { ...ledger, committed: Object.fromEntries(ledger.committed) },
    outdated,
    verified,
    damage
  })
}

const run = Effect.fnUntraced(function*(options: InspectOptions) {
  const line = yield* StatusLine
  const isAsked = yield* State.hasContactPoint(options)
  const found = yield* gather(
    State.find(options),
    isAsked ? (state) => State.askLedger(state, options) : null,
    options.verify
  )
  yield* Console.log(options.json ? toJson(found) : toText(found, yield* Clock.currentTimeMillis))
  const { damage, ledgerError, outdated, state } = found
  if (ledgerError !== null) line.print(printable(`error: the ledger could not be read: ${ledgerError.message}`))
  if (damage.length > 0) {
    line.print(
      `damaged: ${damage.length} place${damage.length === 1 ? "" : "s"}; docs/recovery.md tells what can be done`
    )
    return yield* new Exit({ code: exitCodes.state })
  }
  if (ledgerError !== null) return yield* new Exit({ code: verdict(ledgerError).code })
  // As every verb that would change it says. A savepoint may be as old as it likes.
  if (outdated !== null && state.savepoint === null) return yield* new Exit({ code: exitCodes.state })
})

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const inspect = Command.make(
  "inspect",
  Options.inspect,
  (options) => withLogLevel(report("inspect", untilSignal(run(options))))
).pipe(
  Command.withShortDescription("Show the state of a job: checkpoints, segments, ledger"),
  Command.withDescription(
    `Show the state of a job: its checkpoints, where the input goes on, the segments of the log with their rows and bytes,
  and who holds the directory. With a contact point also the ledger: epoch, published checkpoint, what each subtask has
  committed, and so which segments are in Cassandra; unless the job has gone on with another state than this one, which is
  said, and then the ledger tells of none of them. With --verify every segment is read and checked as a restart would
  do, and all damage is told, with file, byte and checkpoint.

  Nothing is locked, claimed or changed, so it may be used while the job runs. Without a contact point nobody is asked.

  Exit codes: 0; 7 something is damaged or lost, or the job has gone on with another state; 3 the ledger could not be read
  (the rest is printed all the same).`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra inspect --job flights --contact-points 10.0.0.1",
      description: "What a job has done, and what is pending"
    },
    {
      command: "effect-cassandra inspect --state /backup/flights-sink --verify --json",
      description: "Whether a copy of a state directory, or a savepoint, is whole, offline"
    }
  ])
)
