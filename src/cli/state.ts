/**
 * How the verbs that look at a job's state find it, and its ledger.
 *
 * @since 0.1.0
 */
import * as CliError from "effect/cli/CliError"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as CassandraCommitter from "../cassandra/CassandraCommitter.ts"
import * as CassandraSession from "../cassandra/CassandraSession.ts"
import { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import * as CurrentState from "../sink/CurrentState.ts"
import * as Recovery from "../sink/Recovery.ts"
import * as FileStateBackend from "../state/FileStateBackend.ts"
import * as StateDirectory from "../state/StateDirectory.ts"
import { StateUnusable } from "../state/WalError.ts"
import { CheckFailed } from "./CheckFailed.ts"
import { exitCodes } from "./exitCode.ts"
import { Exit, printable } from "./report.ts"
import * as Settings from "./settings.ts"
import type { ChangeOptions, JobOptions, LedgerOptions } from "./stateOptions.ts"
import { StatusLine } from "./StatusLine.ts"

/**
 * The state directory, or savepoint, as it lies there. That there is none is a failure.
 *
 * @category constructors
 * @since 0.1.0
 */
export const find = Effect.fnUntraced(function*({ job, state, uid }: JobOptions) {
  if (state === undefined && job === undefined) {
    return yield* new CliError.ValidationError({
      message: "Give --state, the state directory, or --job, the job's name"
    })
  }
  const directory = Settings.stateDirectory({ job: job ?? "", uid: uid ?? "sink", state })
  const found = yield* StateDirectory.look(directory, {
    ...(job === undefined ? {} : { jobId: job }),
    ...(uid === undefined ? {} : { uid })
  })
  if (found !== null) return found
  return yield* new CheckFailed({ detail: StateDirectory.describeNone(directory) })
})

/**
 * The state directory of a job. A savepoint is refused: it stays what it is.
 *
 * @category constructors
 * @since 0.1.0
 */
export const changeable = Effect.fnUntraced(function*(options: JobOptions) {
  const state = yield* find(options)
  if (state.savepoint === null) return state
  return yield* new StateUnusable({
    path: state.directory,
    reason: "is-savepoint",
    detail:
      `${state.directory} is a savepoint, and stays what it is. Copy it with any tool, look at it with inspect and ` +
      `export, and restore it with load --from-savepoint ${state.directory}; give --state a job's own directory`
  })
})

/**
 * The backend of a directory that is changed by hand. It keeps what there is: the next load removes what it does not retain.
 *
 * @category constructors
 * @since 0.1.0
 */
export const openBackend = (
  { directory, jobId, uid }: StateDirectory.StateDirectory,
  { takeOver }: Pick<ChangeOptions, "takeOver">
) => FileStateBackend.make({ directory, jobId, uid, retainedCheckpoints: Number.MAX_SAFE_INTEGER, takeOver })

/**
 * Whether it was said where the ledger is: by a flag, or by the variable of the library.
 *
 * @category getters
 * @since 0.1.0
 */
export const hasContactPoint = ({ checkpointContactPoints, contactPoints }: LedgerOptions) =>
  Effect.orElseSucceed(Config.option(Config.String("CASSANDRA_CONTACT_POINTS")), Option.none).pipe(
    Effect.map((variable) =>
      checkpointContactPoints !== undefined || contactPoints !== undefined ||
      Option.exists(variable, (text) => text.trim() !== "")
    )
  )

/**
 * A session with the cluster of the ledger.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ledgerSession = Effect.fnUntraced(function*(options: LedgerOptions) {
  const data = yield* Settings.session({ ...options, keyspace: undefined, consistency: undefined })
  return yield* CassandraSession.make(
    options.checkpointContactPoints === undefined
      ? { ...data, keyspace: undefined }
      : Settings.checkpointSession(options, data)
  )
})

/**
 * @category getters
 * @since 0.1.0
 */
export const readLedger = (
  session: CassandraSession.Session,
  { jobId, uid }: StateDirectory.StateDirectory,
  { checkpointKeyspace }: LedgerOptions
) => CassandraCommitter.readLedger(session, { jobId, uid, keyspace: checkpointKeyspace })

/** The committer of a job that has a ledger. Nothing is made, and nothing claimed. */
const committerOf = (
  session: CassandraSession.Session,
  { jobId, uid }: StateDirectory.StateDirectory,
  { checkpointKeyspace: keyspace }: LedgerOptions
) => CassandraCommitter.make(session, { jobId, uid, keyspace, create: false })

/**
 * `readLedger`, by a session of its own.
 *
 * @category getters
 * @since 0.1.0
 */
export const askLedger = (state: StateDirectory.StateDirectory, options: LedgerOptions) =>
  Effect.scoped(Effect.flatMap(ledgerSession(options), (session) => readLedger(session, state, options)))

/**
 * The state directory of a job that is to be changed, and its ledger. One that the job has not gone on with is refused as a
 * load refuses it: nothing that the ledger says is about its rows. So is a job that another one has taken over.
 *
 * @category constructors
 * @since 0.1.0
 */
export const current = Effect.fnUntraced(function*(
  session: CassandraSession.Session,
  options: JobOptions & LedgerOptions & Pick<ChangeOptions, "takeOverFrom">
) {
  const look = changeable(options)
  const found = yield* CurrentState.find(
    Effect.flatMap(look, (state) => readLedger(session, state, options)),
    look
  )
  const { ledger, state } = found
  if (ledger.takenOverBy !== null) {
    yield* Effect.scoped(Effect.flatMap(
      committerOf(session, state, options),
      (committer) =>
        Effect.provideService(
          Recovery.mustBeOwner({ jobId: state.jobId, uid: state.uid }, options.takeOverFrom),
          CheckpointCommitter,
          committer
        )
    ))
  }
  return found
})

/**
 * @category formatting
 * @since 0.1.0
 */
export const describeOwner = ({ owner }: StateDirectory.StateDirectory): string =>
  owner === null
    ? "no process"
    : `process ${owner.pid} on ${owner.host} since ${new Date(owner.since).toISOString()}` +
      (owner.isAlive === true ? "" : owner.isAlive === false ? ", which is gone" : ", which can't be seen from here")

/**
 * Says what becomes of a process that works on the job, and goes on only with `--yes`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const confirm = Effect.fnUntraced(function*(
  { takeOver, takeOverFrom, yes }: ChangeOptions,
  state: StateDirectory.StateDirectory
) {
  const line = yield* StatusLine
  const { owner } = state
  const running = owner === null || owner.isAlive === false
    ? "Nobody is seen to work on the job here; a process elsewhere"
    : `The directory is held by ${describeOwner(state)}: ` +
      (owner.isAlive === true && !takeOver ? "stop it, or add --take-over. It" : "it")
  line.print(printable(`${running} is fenced: it can commit nothing more, and ends with exit code 6.`))
  if (takeOverFrom !== undefined) {
    line.print(printable(`So is job ${takeOverFrom}, if it has taken this one over: it must never go on again.`))
  }
  if (yes) return
  line.print("Nothing was done. Add --yes to do it.")
  return yield* new Exit({ code: exitCodes.usage })
})
