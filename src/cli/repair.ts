/**
 * `effect-cassandra repair`: what can be done about a damaged state without guessing.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as CassandraCommitter from "../cassandra/CassandraCommitter.ts"
import { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import type { Position } from "../checkpoint/Position.ts"
import * as ManualRepair from "../sink/ManualRepair.ts"
import * as FilesSource from "../source/FilesSource.ts"
import { StateBackend } from "../state/StateBackend.ts"
import type * as StateDirectory from "../state/StateDirectory.ts"
import type { Cut, Feasible, Plan } from "../state/StateRepair.ts"
import * as StateRepair from "../state/StateRepair.ts"
import { exitCodes } from "./exitCode.ts"
import { withLogLevel } from "./flag.ts"
import { reportTo } from "./logFile.ts"
import { formatCount } from "./Progress.ts"
import { Exit, printable, untilSignal } from "./report.ts"
import * as State from "./state.ts"
import type { RepairOptions } from "./stateOptions.ts"
import * as Options from "./stateOptions.ts"
import { StatusLine } from "./StatusLine.ts"

/** A record of the input; `before` is one that was named before it. */
const recordAt = (position: Position | null, place: number, before: number | null): string => {
  const at = FilesSource.locateIn(position, place)
  if (at === null) return `the record at ${place}`
  const known = before === null ? null : FilesSource.locateIn(position, before)
  return `the record at line ${at.place}` + (known?.input === at.input ? "" : ` of ${at.input}`)
}

const describeCut = ({ after, handle, lostRows, offset, upTo }: Cut, position: Position | null): string =>
  `${handle.name} of checkpoint ${handle.checkpointId} is cut at byte ${offset}: ` +
  `${formatCount(handle.rows - lostRows)} of its rows stay in the log, ` + (lostRows === 0
    ? "none is lost."
    : `${formatCount(lostRows)} ARE LOST. They lie ` +
      (after === null ? `from the first record of the checkpoint` : `behind ${recordAt(position, after, null)}`) +
      (upTo === null ? `, up to the last record of the checkpoint.` : `, up to ${recordAt(position, upTo, after)}.`))

const describe = (
  plan: Feasible,
  state: StateDirectory.StateDirectory
): string => {
  const aside = plan.aside.map(({ name }) => name).concat(
    plan.kind === "cut" ? plan.cuts.map((c) => c.handle.name) : []
  )
  const moved = aside.map((name) => `${name} is moved to ${state.directory}/${name}.broken.`)
  if (plan.kind === "cut") {
    return [
      ...plan.cuts.map((cut) => describeCut(cut, plan.manifest.position)),
      "To have the lost rows, load the input from the first of these records to its end under another --job, once this " +
      "job is done: rows of the same keys that come later in the input must win again.",
      ...moved
    ].join("\n")
  }
  const { checkpointId, epoch, records } = plan.to
  return [
    `The job goes back to checkpoint ${checkpointId} of epoch ${epoch}, when ${
      formatCount(records)
    } records had been ` +
    `read: ${
      JSON.stringify(plan.to.position)
    }. Nothing is lost: records behind it are read again, and written again with ` +
    `newer timestamps.`,
    ...moved
  ].join("\n")
}

const repairIt = Effect.fnUntraced(function*(options: RepairOptions) {
  const line = yield* StatusLine
  const print = (text: string) => line.print(printable(text))
  const session = yield* State.ledgerSession(options)
  const { ledger, state } = yield* State.current(session, options)
  const { jobId, uid } = state
  const settle = Effect.fnUntraced(function*(plan: Plan) {
    if (plan.kind === "nothing") {
      print(`Nothing is to be repaired: all that ${ledger.describe} does not have is whole.`)
      return null
    }
    if (plan.kind === "refused") {
      print(
        `error: This can't be repaired: ${plan.why}. Restore it from a copy of the directory, or move the directory ` +
          `away and load the input again from its beginning: see docs/recovery.md. Nothing was changed.`
      )
      return yield* new Exit({ code: exitCodes.state })
    }
    return plan
  })
  const seen = yield* settle(yield* StateRepair.plan(state, ledger.committed))
  if (seen === null) return
  print(describe(seen, state))
  yield* State.confirm(options, state)
  const backend = yield* State.openBackend(state, options)
  const committer = yield* CassandraCommitter.make(session, { jobId, uid, keyspace: options.checkpointKeyspace })
  const claimed = yield* Effect.provideService(
    ManualRepair.claim(State.changeable(options), options.takeOverFrom),
    CheckpointCommitter,
    committer
  )
  const { claim, state: now } = claimed
  const plan = yield* settle(claimed.plan)
  if (plan === null) return
  const words = describe(plan, now)
  if (words !== describe(seen, state)) print(`Meanwhile it has changed:\n${words}`)
  yield* ManualRepair.carryOut(now, plan, claim).pipe(
    Effect.provideService(StateBackend, backend),
    Effect.provideService(CheckpointCommitter, committer)
  )
  print(`repaired, under epoch ${claim.epoch}. The same load as before goes on.`)
})

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const repair = Command.make(
  "repair",
  Options.repair,
  (options) => withLogLevel(reportTo(options, "repair", untilSignal(Effect.scoped(repairIt(options)))))
).pipe(
  Command.withShortDescription("Repair a damaged state, as far as that needs no guess"),
  Command.withDescription(
    `Repair a damaged state, as far as that needs no guess. All that the ledger does not have is read and checked. If an older
  checkpoint is kept that is whole, and led to the damaged one, the job goes back to it: nothing is lost, what was read
  since is read and written again. If there is none, a damaged segment is cut at its first damaged block, and it is told how
  many rows that loses, and between which records of the input they lie. Everything else is refused.

  What is damaged is kept as NAME.broken in the state directory. Without --yes it is only said what would be done. The
  directory is locked and the job's epoch claimed, so a process of it that still runs is fenced.

  Exit codes: 0 done, or nothing to do; 7 it can't be repaired, or the job was taken over by another one; 6 another process
  holds the directory; 64 without --yes.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra repair --job flights --contact-points 10.0.0.1",
      description: "What would be done; with --yes it is"
    }
  ])
)
