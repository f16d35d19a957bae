/**
 * `effect-cassandra status`: whether a job is well, on one screen.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { Session } from "../cassandra/CassandraSession.ts"
import * as DeadLetterFile from "../sink/DeadLetterFile.ts"
import type { KeptFailure } from "../state/FailureLog.ts"
import * as FailureLog from "../state/FailureLog.ts"
import * as StateDirectory from "../state/StateDirectory.ts"
import type { LoadError } from "./exitCode.ts"
import { exitCodes, verdict } from "./exitCode.ts"
import { withLogLevel } from "./flag.ts"
import { formatBytes, formatCount, formatTime } from "./Progress.ts"
import { Exit, printable, report, untilSignal } from "./report.ts"
import type { Standing } from "./standing.ts"
import { isAtWork, standingOf, stillPending } from "./standing.ts"
import * as State from "./state.ts"
import type { Found, Segment } from "./stateFound.ts"
import { describeLedger, gather, pendingOf, sum } from "./stateFound.ts"
import type { StatusOptions } from "./stateOptions.ts"
import * as Options from "./stateOptions.ts"
import { table } from "./table.ts"
import { watch } from "./watch.ts"

/** Something that a person should look at, and the exit code that it makes. */
interface Trouble {
  readonly code: number
  readonly what: string
}

interface Letters {
  readonly path: string
  /** Null where they can't be read. */
  readonly count: number | null
  readonly problem: string | null
}

interface Status {
  readonly at: number
  readonly found: Found
  readonly standing: Standing
  readonly pending: ReadonlyArray<Segment>
  readonly failures: ReadonlyArray<KeptFailure>
  /** Null where there is no such file. */
  readonly deadLetters: Letters | null
  readonly troubles: ReadonlyArray<Trouble>
}

/** The last ones fill no more than their part of a screen. */
const failuresShown = 5

/** The most severe first: damage, then what is not known, then what may mend itself. */
const severity: ReadonlyArray<number> = [exitCodes.state, exitCodes.fatal, exitCodes.completedWithErrors]

const codeOf = (troubles: ReadonlyArray<Trouble>): number =>
  severity.find((code) => troubles.some((trouble) => trouble.code === code)) ??
    troubles[0]?.code ?? exitCodes.success

/** The last checkpoint, or the beginning of this process if that was later: time without one before it is not its fault. */
const ageOf = ({ state }: Found, now: number): number =>
  now - Math.max(StateDirectory.newest(state)?.completedAt ?? 0, state.owner?.since ?? 0)

const troublesOf = (
  { deadLetters, failures, found, standing }: Pick<Status, "deadLetters" | "failures" | "found" | "standing">,
  outdated: string | null,
  { checkpointAgeMax }: StatusOptions,
  now: number
): ReadonlyArray<Trouble> => {
  const { damage, ledger, ledgerError, state } = found
  const troubles: Array<Trouble> = []
  const add = (code: number, what: string) => void troubles.push({ code, what })
  const look = (what: string) => add(exitCodes.completedWithErrors, what)
  if (damage.length > 0) {
    const { detail, path } = damage[0]!
    add(
      exitCodes.state,
      `damaged: ${damage.length} place${damage.length === 1 ? "" : "s"}, first ${path}: ${detail}. ` +
        "See inspect --verify, and docs/recovery.md"
    )
  }
  if (ledger !== null && ledger.takenOverBy !== null) {
    const { jobId, uid } = ledger.takenOverBy
    add(exitCodes.state, `taken over: job ${jobId} (uid ${uid}) has gone on from a savepoint of this one`)
  }
  if (outdated !== null) add(exitCodes.state, `left behind: ${outdated}`)
  if (ledgerError !== null) {
    add(verdict(ledgerError).code, `the ledger could not be read: ${ledgerError.message}`)
  }
  if (deadLetters !== null && deadLetters.problem !== null) {
    look(`the records that were set aside could not be counted: ${deadLetters.problem}`)
  }
  const last = failures[0]
  // Where another one has the job, the same load is refused.
  const isElsewhere = outdated !== null || (ledger !== null && ledger.takenOverBy !== null)
  const goesOn = (when = "") => isElsewhere ? "" : `. The same load goes on${when}`
  switch (standing) {
    case "killed":
      look(`killed: ${State.describeOwner(state)}${goesOn()}`)
      break
    case "failed":
      look(`failed: ${last!.error}: ${last!.message}${goesOn(", once that is corrected")}`)
      break
    case "restarting":
      look(`its last run failed: ${last!.error}: ${last!.message}`)
      break
    case "stopped":
      look(`stopped before it was done${goesOn()}`)
      break
    case "running":
    case "elsewhere": {
      const age = ageOf(found, now)
      if (age > Duration.toMillis(checkpointAgeMax)) {
        look(
          `no checkpoint has completed for ${formatTime(age / 1000)} (--checkpoint-age-max is ` +
            `${Duration.format(checkpointAgeMax)})` +
            (standing === "elsewhere" ? ", and whether its process lives can't be seen from here" : "")
        )
      }
      break
    }
    default:
  }
  return troubles
}

/** Of the file that there is, all letters of the job. One that can't be read does not hide the rest. */
const countLetters = Effect.fnUntraced(function*(path: string, { jobId, uid }: StateDirectory.StateDirectory) {
  const letters = yield* DeadLetterFile.make({ path })
  const known = yield* Effect.result(letters.known(jobId, uid))
  if (Result.isFailure(known)) return { path, count: null, problem: known.failure.detail } satisfies Letters
  const { size } = known.success
  return size === 0 ? null : { path, count: size, problem: null } satisfies Letters
})

/** One look. `session` is asked for only where the ledger is to be read, and kept for the next look. */
const lookAt = Effect.fnUntraced(
  function*<E extends LoadError, R>(options: StatusOptions, session: Effect.Effect<Session, E, R> | null) {
    const found = yield* gather(
      State.find(options),
      session === null
        ? null
        : (state) => Effect.flatMap(session, (opened) => State.readLedger(opened, state, options))
    )
    const { state } = found
    const failures = state.savepoint === null ? yield* FailureLog.read(state.directory) : []
    const pending = stillPending(pendingOf(found))
    const standing = standingOf(state, pending, failures)
    const deadLetters = state.savepoint === null
      ? yield* countLetters(options.deadLetters ?? `${state.directory}.dead-letters.ndjson`, state)
      : null
    // A savepoint may be as old as it likes.
    const outdated = state.savepoint === null ? found.outdated : null
    const at = yield* Clock.currentTimeMillis
    const troubles = troublesOf({ deadLetters, failures, found, standing }, outdated, options, at)
    return { at, found, standing, pending, failures, deadLetters, troubles } satisfies Status
  }
)

const ago = (millis: number, now: number): string => `${formatTime((now - millis) / 1000)} ago`

const oldestOf = (pending: ReadonlyArray<Segment>): number | null =>
  pending.length === 0 ? null : Math.floor(Math.min(...pending.map(({ firstTimestamp }) => firstTimestamp)) / 1000)

const checkpointsOf = (pending: ReadonlyArray<Segment>): number =>
  new Set(pending.map(({ checkpointId }) => checkpointId)).size

const short = (text: string, most: number): string => text.length <= most ? text : `${text.slice(0, most)}...`

const counted = (count: number, noun: string): string => `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`

const describePending = (pending: ReadonlyArray<Segment>, isKnown: boolean, now: number): string =>
  pending.length === 0
    ? "nothing"
    : `${counted(checkpointsOf(pending), "checkpoint")}, ${counted(sum(pending, "rows"), "row")}, ` +
      `${formatBytes(sum(pending, "bytes"))}, the oldest logged ${ago(oldestOf(pending)!, now)}` +
      (isKnown ? "" : ", unless the ledger has them")

const describeLetters = (letters: Letters | null): string =>
  letters === null
    ? "nothing"
    : letters.count === null
    ? `not known, in ${letters.path}`
    : `${counted(letters.count, "record")}, in ${letters.path}`

const toText = ({ deadLetters, failures, found, pending, standing, troubles }: Status, now: number): string => {
  const { ledger, state } = found
  const newest = StateDirectory.newest(state)
  const lines: ReadonlyArray<readonly [string, string]> = [
    ["job", `${state.jobId} (uid ${state.uid})`],
    ["state", state.directory],
    [
      "now",
      standing + (isAtWork(standing) || standing === "killed" ? `: ${State.describeOwner(state)}` : "")
    ],
    [
      "checkpoint",
      newest === null
        ? "none has completed yet"
        : `${newest.checkpointId}, completed ${ago(newest.completedAt, now)}, ${
          counted(newest.records, "record")
        } read` +
          (newest.finished ? ", to the end of the input" : "")
    ],
    ["pending", describePending(pending, ledger !== null, now)],
    ["position", short(newest?.position == null ? "the beginning" : JSON.stringify(newest.position), 300)],
    ["epoch", newest === null ? "none yet" : String(newest.epoch)],
    ["ledger", describeLedger(found)],
    ["set aside", describeLetters(deadLetters)],
    ...troubles.map(({ what }) => ["ATTENTION", short(what.replaceAll("\n", " "), 600)] as const)
  ]
  const sections = [lines.map(([name, value]) => `${name.padEnd(11)} ${printable(value)}`).join("\n")]
  if (failures.length > 0) {
    sections.push(table(
      ["FAILED", "EPOCH", "ATTEMPT", "THEN", "WHY"],
      failures.slice(0, failuresShown).map(({ at, attempt, epoch, error, message, restartsInMillis }) => [
        ago(at, now),
        String(epoch ?? "-"),
        String(attempt),
        restartsInMillis === null
          ? "the end"
          : `again in ${Duration.format(Duration.millis(Math.round(restartsInMillis)))}`,
        short(`${error}: ${message}`, 200)
      ])
    ))
  }
  return sections.join("\n\n")
}

const toJson = ({ at, deadLetters, failures, found, pending, standing, troubles }: Status): string => {
  const { damage, ledger, state } = found
  const newest = StateDirectory.newest(state)
  return JSON.stringify({
    jobId: state.jobId,
    uid: state.uid,
    directory: state.directory,
    at,
    isWell: troubles.length === 0,
    standing,
    troubles: troubles.map(({ what }) => what),
    owner: state.owner,
    savepoint: state.savepoint,
    checkpoint: newest === null ? null : {
      checkpointId: newest.checkpointId,
      epoch: newest.epoch,
      completedAt: newest.completedAt,
      ageSeconds: Math.max(0, at - newest.completedAt) / 1000,
      records: newest.records,
      finished: newest.finished,
      position: newest.position
    },
    pendingCheckpoints: checkpointsOf(pending),
    pendingRows: sum(pending, "rows"),
    pendingBytes: sum(pending, "bytes"),
    oldestPendingAt: oldestOf(pending),
    ledger: ledger === null ? null : { ...ledger, committed: Object.fromEntries(ledger.committed) },
    deadLetters: deadLetters === null ? null : { path: deadLetters.path, count: deadLetters.count },
    failures,
    damage
  })
}

const run = Effect.fnUntraced(function*(options: StatusOptions) {
  const show = (status: Status, now: number) => options.json ? toJson(status) : toText(status, now)
  const last = yield* Effect.scoped(Effect.gen(function*() {
    const scope = yield* Scope.Scope
    let opened: Session | null = null
    // Kept from look to look; one that could not be opened is tried again.
    const session = Effect.suspend(() =>
      opened !== null
        ? Effect.succeed(opened)
        : Effect.tap(Scope.provide(State.ledgerSession(options), scope), (made) =>
          Effect.sync(() => {
            opened = made
          }))
    )
    const look = lookAt(options, (yield* State.hasContactPoint(options)) ? session : null)
    if (options.watch) return yield* watch(look, { every: options.every, isJson: options.json, show })
    const once = yield* untilSignal(look)
    yield* Console.log(show(once, once.at))
    return once
  }))
  const code = codeOf(last.troubles)
  if (code !== exitCodes.success) return yield* new Exit({ code })
})

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const status = Command.make(
  "status",
  Options.status,
  (options) => withLogLevel(report("status", run(options)))
).pipe(
  Command.withShortDescription("Show on one screen whether a job is well"),
  Command.withDescription(
    `Show on one screen whether a job is well: whether its process lives and where, its last checkpoint and how old that is,
  what is pending, where the input goes on, what was set aside, and why it failed the last times. With a contact point also
  the ledger: its epoch, what it has published, and who has taken the job over. What needs a look is told in words.

  Nothing is locked, claimed or changed, and the job is not asked, so it may be used while it runs, after it was killed, and
  on a copy. --watch looks again and again, in place on a terminal, and one below the other elsewhere.

  Exit codes: 0 it is at work, or done; 1 it needs a look: stopped, failed or killed before it was done, restarting, or without
  a checkpoint for --checkpoint-age-max; 3 there is no state, or the ledger could not be read; 7 the state is damaged, left
  behind, or taken over. With --watch that of the last look.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra status --job flights --contact-points 10.0.0.1",
      description: "How a job is"
    },
    {
      command: "effect-cassandra status --job flights --watch",
      description: "How it goes on, from its directory alone, until Ctrl-C"
    },
    {
      command: "effect-cassandra status --state /var/lib/flights --json || notify",
      description: "For a script"
    }
  ])
)
