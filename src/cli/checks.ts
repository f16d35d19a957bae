/**
 * What can be known before a row is loaded: each thing is one check, that `load` makes at its start and `check` makes
 * alone.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { CassandraSessionOptions, Consistency } from "../cassandra/CassandraConfig.ts"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import type { Session } from "../cassandra/CassandraSession.ts"
import * as CassandraSession from "../cassandra/CassandraSession.ts"
import { StatementRefused } from "../sink/SinkError.ts"
import * as SinkStatement from "../sink/SinkStatement.ts"
import type { FileOptions } from "../source/FileFormat.ts"
import * as Savepoint from "../state/Savepoint.ts"
import { CheckFailed } from "./CheckFailed.ts"
import * as Input from "./input.ts"
import { someOf } from "./nearest.ts"
import type { InputOptions, LoadOptions } from "./options.ts"
import * as Permissions from "./permissions.ts"
import { formatBytes } from "./Progress.ts"
import * as Settings from "./settings.ts"
import * as Statement from "./statement.ts"
import { makeBind } from "./timestampUnit.ts"

/**
 * What a check found to be good, and what of it deserves a look.
 *
 * @category models
 * @since 0.1.0
 */
export interface Checked<A> {
  readonly value: A
  readonly detail: string
  readonly warnings: ReadonlyArray<string>
}

const good = <A>(value: A, detail: string, warnings: ReadonlyArray<string> = []): Checked<A> => ({
  value,
  detail,
  warnings
})

/**
 * The command line and the environment, as far as they can be understood alone.
 *
 * @category checks
 * @since 0.1.0
 */
export const configuration = Effect.fnUntraced(function*(options: LoadOptions) {
  const restart = yield* Settings.restartStrategy(options)
  const target = yield* Settings.target(options)
  const session = yield* Settings.session(options)
  yield* Settings.setAside(options)
  const detail = `job ${options.job}, uid ${options.uid}, state in ${Settings.stateDirectory(options)}, restart ` +
    `${options.restart}, parallelism ${options.parallelism}`
  return good({ restart, target, session }, detail)
})

/**
 * The files: there, readable, and with records that can be read at their beginning.
 *
 * @category checks
 * @since 0.1.0
 */
export const input = Effect.fnUntraced(function*(options: InputOptions, settings?: FileOptions) {
  const found = yield* Input.open(options, settings)
  const { fields, files, source } = found
  const what = files.length === 1 ? files[0]! : `${files.length} files, in this order: ${someOf(files)}`
  const size = source.total === null ? "" : `, ${formatBytes(source.total)}`
  return good(
    found,
    `${what}${size}; ` + (fields.names.length === 0 ? "no records" : `fields ${someOf(fields.names)}`),
    fields.names.length === 0 ? [`${what} has no records`] : []
  )
})

/** The directory, or the nearest one above it that is there. */
const existing = (directory: string): string => {
  const path = Path.resolve(directory)
  return Fs.existsSync(path) || Path.dirname(path) === path ? path : existing(Path.dirname(path))
}

/**
 * The room for the log. `load` finds out whether it may write there by doing it.
 *
 * @category checks
 * @since 0.1.0
 */
export const disk = Effect.fnUntraced(function*(options: LoadOptions) {
  const directory = Settings.stateDirectory(options)
  const at = existing(directory)
  const stats = yield* Effect.promise(() => Fs.promises.statfs(at).catch(() => null))
  if (stats === null) return good(undefined, `${directory}: the free space can't be told`)
  const free = stats.bavail * stats.bsize
  // What waits for Cassandra, and a segment of each subtask that is being written.
  const wanted = options.pendingBytes + options.parallelism * options.segmentBytes
  return good(
    undefined,
    `${formatBytes(free)} free for ${directory}`,
    free < wanted
      ? [
        `${directory} has ${formatBytes(free)} of free space, and the log may need ${formatBytes(wanted)} while ` +
        `Cassandra is away: make room, or lower --pending-bytes`
      ]
      : []
  )
})

/**
 * A savepoint to begin from: all of it is read. Null if none is asked for.
 *
 * @category checks
 * @since 0.1.0
 */
export const savepoint = Effect.fnUntraced(function*({ fromSavepoint }: Pick<LoadOptions, "fromSavepoint">) {
  if (fromSavepoint === undefined) return good(null, "no savepoint to begin from")
  const found = yield* Savepoint.open(fromSavepoint)
  const { checkpointId, jobId, records, uid } = found.checkpoint
  return good(
    found,
    `savepoint ${fromSavepoint}: checkpoint ${checkpointId} of job ${jobId} (uid ${uid}), ` +
      `${counted(records, "record")} read, whole`
  )
})

/**
 * Whether the state directory can be written, without writing there.
 *
 * @category checks
 * @since 0.1.0
 */
export const writable = Effect.fnUntraced(function*(options: LoadOptions) {
  const directory = Settings.stateDirectory(options)
  const at = existing(directory)
  const isDirectory = Fs.statSync(at).isDirectory()
  const allowed = yield* Effect.promise(() =>
    Fs.promises.access(at, Fs.constants.W_OK | Fs.constants.X_OK).then(() => true, () => false)
  )
  if (isDirectory && allowed) return good(undefined, `${directory} can be written`)
  const detail = `The state directory ${directory} can't be written: ${at} is ` +
    (isDirectory ? "not writable for this user" : "no directory") + ". Give another one with --state"
  return yield* new CheckFailed({ detail })
})

/**
 * `CassandraSession.make`, with a keyspace that does not exist told by the names of those that do.
 *
 * @category constructors
 * @since 0.1.0
 */
export const connect = Effect.fnUntraced(function*(
  options: CassandraSessionOptions
): Effect.fn.Return<Session, CassandraError | CheckFailed, Scope.Scope> {
  return yield* Effect.catchIf(
    CassandraSession.make(options),
    ({ message }) => options.keyspace !== undefined && /Keyspace '.*' does not exist/.test(message),
    Effect.fnUntraced(function*() {
      const session = yield* CassandraSession.make({ ...options, keyspace: undefined })
      const why = yield* Statement.noKeyspace(session, options.keyspace!)
      return yield* new CheckFailed({
        detail:
          `At ${session.describe} ${why}. Correct --keyspace (CASSANDRA_KEYSPACE), or make it with CREATE KEYSPACE`
      })
    })
  )
})

/**
 * A session, which is open when a node of the right data centre has answered.
 *
 * @category checks
 * @since 0.1.0
 */
export const cluster = Effect.fnUntraced(function*(options: CassandraSessionOptions) {
  const session = yield* connect(options)
  const { clusterName, nodes, releaseVersion } = yield* session.clusterInfo
  const centres = [...new Set(nodes.map(({ dataCenter }) => dataCenter))].toSorted()
  return good(
    { session, nodes, consistency: options.consistency ?? "LOCAL_QUORUM" },
    `${session.describe}: ${clusterName}, Cassandra ${releaseVersion}, ${counted(nodes.length, "node")}, ` +
      `data centre${centres.length === 1 ? "" : "s"} ${centres.join(", ")}`
  )
})

/**
 * @category models
 * @since 0.1.0
 */
export type Cluster = Effect.Success<ReturnType<typeof cluster>>["value"]

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

/** Beyond what the way to the server and back explains. */
const clockMillisMax = 1000

/**
 * This machine's clock against that of the node that answers: write timestamps come from here, and those of other
 * writers from there.
 *
 * @category checks
 * @since 0.1.0
 */
export const clock = Effect.fnUntraced(function*({ session }: Cluster) {
  const before = yield* Clock.currentTimeMillis
  // A server that does not have this function can be loaded into all the same.
  const [row] = yield* Effect.orElseSucceed(
    session.query("SELECT toTimestamp(now()) AS at FROM system.local"),
    () => []
  )
  const after = yield* Clock.currentTimeMillis
  if (!(row?.["at"] instanceof Date)) return good(undefined, "the server does not tell its time")
  const there = row["at"].getTime()
  const behind = there < before ? there - before : there > after ? there - after : 0
  const seconds = `${(Math.abs(behind) / 1000).toFixed(1)} s`
  return good(
    undefined,
    behind === 0 ? "the same as the server's" : `${seconds} ${behind > 0 ? "behind" : "before"} the server's`,
    Math.abs(behind) <= clockMillisMax
      ? []
      : [
        behind > 0
          ? `The clock of this machine is ${seconds} behind the server's: what other clients wrote in that time wins over ` +
            `what is loaded. Set the clocks by NTP`
          : `The clock of this machine is ${seconds} before the server's: what is loaded wins over what other clients ` +
            `write for that long. Set the clocks by NTP`
      ]
  )
})

const quorum = (copies: number): number => Math.floor(copies / 2) + 1

/** How many copies of a row must acknowledge a write. */
const needed = (consistency: Consistency, copies: number): number => {
  switch (consistency) {
    case "TWO":
      return 2
    case "THREE":
      return 3
    case "ALL":
      return copies
    case "QUORUM":
    case "LOCAL_QUORUM":
    case "EACH_QUORUM":
    case "SERIAL":
    case "LOCAL_SERIAL":
      return quorum(copies)
    default:
      return 1
  }
}

/**
 * Whether the keyspace's copies and the nodes that there are can satisfy the consistency level. For a level of the local
 * data centre, `nodes[0]` is taken to be in it.
 *
 * @category checks
 * @since 0.1.0
 */
export const replicationOf = (
  keyspace: string,
  replication: ReadonlyMap<string, string>,
  nodes: Cluster["nodes"],
  consistency: Consistency
): { readonly detail: string; readonly warnings: ReadonlyArray<string>; readonly problem: string | null } => {
  const factors = [...replication].filter(([option]) => option !== "class")
    .map(([centre, factor]) => [centre, Number(String(factor).split("/")[0])] as const)
  const strategy = String(replication.get("class") ?? "").split(".").at(-1)!
  const local = nodes[0]!.dataCenter
  const perCentre = strategy === "NetworkTopologyStrategy"
  const isLocal = perCentre && (consistency.startsWith("LOCAL_") || consistency === "EACH_QUORUM")
  const copies = factors.reduce((sum, [centre, factor]) => !isLocal || centre === local ? sum + factor : sum, 0)
  const there = nodes.filter(({ dataCenter }) => !isLocal || dataCenter === local).length
  const needs = Math.max(1, needed(consistency, copies))
  const where = isLocal ? ` in ${local}` : ""
  const said = `${keyspace} has ${counted(copies, "copy").replace("copys", "copies")} of each row${where}`
  const reachable = Math.min(copies, there)
  return {
    detail: `${said}, ${consistency} needs ${needs} (${strategy} ` +
      `${factors.map(([centre, factor]) => perCentre ? `${centre}: ${factor}` : factor).join(", ")})`,
    problem: reachable < needs
      ? `${consistency} can never be reached: it needs ${needs}, and ${said} on ${counted(there, "node")}. Alter the ` +
        `keyspace's replication, add nodes, or take another --consistency`
      : null,
    warnings: reachable === needs && there > 1
      ? [`${said}, and ${consistency} needs ${needs}: while one node is down, some rows can't be written`]
      : []
  }
}

const replicationIn = (session: Session, keyspace: string) =>
  Effect.map(
    session.query("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?", [keyspace]),
    ([row]) => row === undefined ? null : (row["replication"] ?? new Map()) as ReadonlyMap<string, string>
  )

/**
 * The keyspaces of the data. One that does not exist is told of by `statement`.
 *
 * @category checks
 * @since 0.1.0
 */
export const replication = Effect.fnUntraced(function*(
  { consistency, nodes, session }: Cluster,
  prepared: ReadonlyArray<SinkStatement.SinkStatement>
) {
  const found = yield* Effect.forEach(
    new Set(prepared.map(({ table }) => table.keyspace)),
    (keyspace) =>
      Effect.map(replicationIn(session, keyspace), (replication) =>
        replication === null
          ? { detail: `there is no keyspace ${keyspace}`, problem: null, warnings: [] }
          : replicationOf(keyspace, replication, nodes, consistency))
  )
  const problems = found.flatMap(({ problem }) => problem ?? [])
  if (problems.length > 0) return yield* new CheckFailed({ detail: problems.join("\n") })
  return good(undefined, found.map(({ detail }) => detail).join("; "), found.flatMap(({ warnings }) => warnings))
})

const permitted = (refusals: ReadonlyArray<string>): Effect.Effect<void, CheckFailed> =>
  refusals.length === 0 ? Effect.void : Effect.fail(new CheckFailed({ detail: refusals.join("\n") }))

/** Without a user or a certificate there is nobody to be permitted anything. */
const isSomebody = ({ tls, username }: CassandraSessionOptions): boolean =>
  username !== undefined || tls?.cert !== undefined || tls?.pfx !== undefined

/**
 * Whether the user may write with the statements.
 *
 * @category checks
 * @since 0.1.0
 */
export const permissions = Effect.fnUntraced(function*(
  { session }: Cluster,
  options: CassandraSessionOptions,
  prepared: ReadonlyArray<SinkStatement.SinkStatement>
) {
  if (!isSomebody(options)) return good(undefined, "none are needed: no user is given")
  yield* permitted((yield* Effect.forEach(prepared, (one) => Permissions.ofStatement(session, one))).flat())
  const tables = new Set(prepared.map(({ table: { keyspace, name } }) => `${keyspace}.${name}`))
  return good(undefined, `${options.username ?? "the certificate"} may write ${[...tables].join(", ")}`)
})

/**
 * The keyspace of the ledger, which is made when it is missing.
 *
 * @category checks
 * @since 0.1.0
 */
export const ledger = Effect.fnUntraced(function*(
  options: LoadOptions,
  { nodes, session }: Cluster,
  sessionOptions: CassandraSessionOptions
) {
  const keyspace = options.checkpointKeyspace
  const existing = yield* replicationIn(session, keyspace)
  const found = existing ??
    new Map(Object.entries(options.checkpointReplication).map(([option, value]) => [option, String(value)] as const))
  const { detail, problem, warnings } = replicationOf(keyspace, found, nodes, "SERIAL")
  if (problem !== null) return yield* new CheckFailed({ detail: problem.replace(/take another .*/, "move the ledger") })
  if (isSomebody(sessionOptions)) {
    const table = `checkpoints_${options.job}`
    yield* permitted(yield* Permissions.ofLedger(session, keyspace, table, existing !== null))
  }
  return good(
    undefined,
    `${
      existing === null ? "to be made: " : ""
    }${keyspace}.checkpoints_${options.job} at ${session.describe}; ${detail}`,
    warnings
  )
})

/**
 * The statements: made from the table if they are not the user's own, prepared, and fit to be repeated.
 *
 * @category checks
 * @since 0.1.0
 */
export const statement = Effect.fnUntraced(function*(
  { session }: Cluster,
  target: Statement.Target,
  { fields, isNumbered }: Input.Input,
  { timestampUnit }: Pick<LoadOptions, "timestampUnit">
) {
  const { notes, queries, warnings } = yield* Statement.choose(session, target, fields, isNumbered)
  const prepared = yield* Effect.provideService(
    Effect.forEach(queries, (query) => SinkStatement.make(query)),
    CassandraSession.CassandraSession,
    session
  )
  const problems = SinkStatement.conflicts(prepared)
  if (problems.length > 0) return yield* new StatementRefused({ query: queries[0]!, problems })
  const binds = yield* Effect.forEach(prepared, ({ params }) => makeBind(params, timestampUnit))
  return good({ queries, notes, prepared, binds }, [...queries, ...notes].join("; "), warnings)
})
