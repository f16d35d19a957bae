/**
 * The flags of `effect-cassandra load`, and what they amount to.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import type * as Command from "effect/cli/Command"
import * as Prompt from "effect/cli/Prompt"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as CassandraConfig from "../cassandra/CassandraConfig.ts"
import * as RestartStrategy from "../checkpoint/RestartStrategy.ts"
import * as Flag from "./flag.ts"
import * as Mapping from "./Mapping.ts"
import type { Target } from "./statement.ts"

const jobIds = Flag.text(
  "name",
  /^[a-z0-9_]{1,36}$/,
  "1 to 36 lower case letters, digits and underscores (it becomes part of a table's name)"
)
const keyspaces = Flag.text(
  "keyspace",
  /^[a-z][a-z0-9_]{0,47}$/,
  "1 to 48 lower case letters, digits and underscores, beginning with a letter"
)
const ports = Flag.count(1, 65_535)
const tables = Flag.text(
  "name",
  /^(?:(?:"(?:[^"]|"")+"|[^".]+)\.)?(?:"(?:[^"]|"")+"|[^".]+)$/,
  "the name of a table, or keyspace.table"
)

const delimiters: Flag.Kind<string> = {
  metavar: "character",
  expected: "one ASCII character that is not a double quote, or the word tab",
  parse: (text) =>
    /^(?:tab|\\t)$/i.test(text) ? "\t" : /^[\t\u0020-\u007e]$/.test(text) && text !== "\"" ? text : undefined
}

/**
 * In the order of the help.
 *
 * @category constants
 * @since 0.1.0
 */
export const load = {
  files: Argument.String("file").pipe(
    Argument.withDescription(
      "NDJSON (one JSON object a line) or CSV, also packed with gzip or zstd; several files or patterns are read in the " +
        "order of their names"
    ),
    Argument.atLeast(1)
  ),
  format: Flag.optional(
    "format",
    Flag.literal("ndjson|csv", ["ndjson", "csv"]),
    "Format of the files (default: csv for .csv and .tsv, also before .gz or .zst, else ndjson)"
  ),
  delimiter: Flag.optional("delimiter", delimiters, "Between the fields of CSV (default: tab for .tsv, else a comma)"),
  header: Flag.toggle(
    "header",
    "Whether the first line of CSV names the fields; with --no-header they are 0, 1, ... (default: true)",
    true
  ),

  keyspace: Flag.optional(
    "keyspace",
    Flag.text("name"),
    "Keyspace of a table that is named without one (default: CASSANDRA_KEYSPACE, else none)",
    { alias: "k" }
  ),
  table: Flag.optional(
    "table",
    tables,
    "Table to load into, as name or keyspace.name; the INSERT is made from its columns (default: that of --query)",
    { alias: "t" }
  ),
  mapping: Flag.optional(
    "mapping",
    Flag.text("text"),
    "Which field fills which column, as dsbulk's: field=column, *=*, *=-column, 0=column, field=__ttl " +
      "(default: *=*, each column from the field of its name)",
    { alias: "m" }
  ),
  query: Flag.optional(
    "query",
    Flag.text("CQL"),
    "Instead of --table, an INSERT, UPDATE or DELETE of your own; its markers (? or :name) are filled from the fields " +
      "of their names (default: made from --table)",
    { alias: "q" }
  ),
  nulls: Flag.withDefault(
    "nulls",
    Flag.literal("unset|tombstone", ["unset", "tombstone"]),
    "unset",
    "What a null, or an empty CSV field, does: leave the column as it is, or delete its value"
  ),
  missing: Flag.withDefault(
    "missing",
    Flag.literal("unset|error", ["unset", "error"]),
    "unset",
    "What a field that a record does not have does: leave the column as it is, or stop there"
  ),

  job: Flag.required("job", jobIds, "Name of the job: the same name resumes it"),
  uid: Flag.withDefault("uid", Flag.text("name"), "sink", "Name of the sink in the job"),
  state: Flag.optional(
    "state",
    Flag.text("directory"),
    "Where the log and the checkpoints are kept (default: .effect-cassandra/<job>-<uid>)"
  ),
  takeOver: Flag.toggle("take-over", "Take the state directory from a process that still holds it"),

  dryRun: Flag.toggle(
    "dry-run",
    "Read and encode all records, check everything, say what can't be loaded, and write nothing"
  ),

  contactPoints: Flag.list(
    "contact-points",
    "host:port,...",
    "Nodes to ask first (default: CASSANDRA_CONTACT_POINTS, else 127.0.0.1:9042)"
  ),
  port: Flag.optional("port", ports, "Port of nodes without one (default: CASSANDRA_PORT, else 9042)"),
  localDc: Flag.optional(
    "local-dc",
    Flag.text("name"),
    "Data centre to use (default: CASSANDRA_LOCAL_DC, else that of the first node that answers)"
  ),
  username: Flag.optional(
    "username",
    Flag.text("name"),
    "User; the password comes from EFFECT_CASSANDRA_PASSWORD or CASSANDRA_PASSWORD, or is asked for " +
      "(default: CASSANDRA_USERNAME, else none)"
  ),
  consistency: Flag.optional(
    "consistency",
    Flag.literal("level", CassandraConfig.Consistency.literals),
    "Consistency level of writes (default: CASSANDRA_CONSISTENCY, else LOCAL_QUORUM)"
  ),

  parallelism: Flag.withDefault("parallelism", Flag.count(1, 1024), "1", "Subtasks that log and send side by side"),
  maxInFlight: Flag.withDefault("max-in-flight", Flag.count(1, 32_768), "64", "Requests under way at once"),
  maxRowsPerSecond: Flag.optional(
    "max-rows-per-second",
    Flag.count(1),
    "Records read in a second at most; what a checkpoint holds is then sent at once (default: no limit)"
  ),
  sendRetry: Flag.withDefault(
    "send-retry",
    Flag.duration({ orZero: true }),
    "5 minutes",
    "How long a request is repeated while Cassandra does not answer, before the job restarts"
  ),
  segmentBytes: Flag.withDefault(
    "segment-bytes",
    Flag.count(1),
    "8388608",
    "Bytes of the open log, over which a checkpoint is taken early"
  ),
  pendingBytes: Flag.withDefault(
    "pending-bytes",
    Flag.count(1),
    "268435456",
    "Bytes logged and not yet committed, over which a subtask waits for Cassandra"
  ),

  checkpointInterval: Flag.withDefault("checkpoint-interval", Flag.duration(), "10 seconds", "From one to the next"),
  minPause: Flag.optional(
    "min-pause",
    Flag.duration({ orZero: true }),
    "From the end of a checkpoint to the next (default: 5 seconds, or half a shorter interval)"
  ),
  checkpointTimeout: Flag.withDefault(
    "checkpoint-timeout",
    Flag.duration(),
    "60 seconds",
    "A checkpoint that takes longer is given up; its rows go with the next"
  ),
  maxConcurrent: Flag.withDefault("max-concurrent", Flag.count(1), "1", "Checkpoints under way at once"),
  tolerableFailures: Flag.withDefault(
    "tolerable-failures",
    Flag.count(0),
    "0",
    "Checkpoints in a row that may fail before the job restarts"
  ),
  retainedCheckpoints: Flag.withDefault("retained-checkpoints", Flag.count(1), "1", "Completed checkpoints to keep"),
  checkpointKeyspace: Flag.withDefault(
    "checkpoint-keyspace",
    keyspaces,
    "flink_auxiliary",
    "Keyspace of the ledger; made if it is missing"
  ),
  checkpointReplication: Flag.withDefault(
    "checkpoint-replication",
    Flag.count(1),
    "1",
    "Its replication factor (SimpleStrategy) when it is made"
  ),
  checkpointContactPoints: Flag.list(
    "checkpoint-contact-points",
    "host:port,...",
    "Nodes of the cluster that holds the ledger (default: the cluster of the data)"
  ),
  checkpointLocalDc: Flag.optional(
    "checkpoint-local-dc",
    Flag.text("name"),
    "Its data centre to use (default: that of the first node that answers)"
  ),

  restart: Flag.withDefault(
    "restart",
    Flag.literal("strategy", ["none", "fixed-delay", "exponential", "failure-rate"]),
    "exponential",
    "When a failed run is started again: none, fixed-delay, exponential or failure-rate"
  ),
  restartAttempts: Flag.optional(
    "restart-attempts",
    Flag.count(0),
    "Restarts at most (default: 3 for fixed-delay, no limit for exponential)"
  ),
  restartDelay: Flag.optional(
    "restart-delay",
    Flag.duration({ orZero: true }),
    "From a failure to the restart (default: 10 seconds for fixed-delay, 30 seconds for failure-rate)"
  ),
  restartInitialBackoff: Flag.optional(
    "restart-initial-backoff",
    Flag.duration(),
    "First delay of exponential (default: 1 second)"
  ),
  restartMaxBackoff: Flag.optional(
    "restart-max-backoff",
    Flag.duration(),
    "Longest delay of exponential (default: 1 minute)"
  ),
  restartMultiplier: Flag.optional(
    "restart-multiplier",
    Flag.decimal,
    "From one delay of exponential to the next (default: 1.5)"
  ),
  restartResetAfter: Flag.optional(
    "restart-reset-after",
    Flag.duration(),
    "Time without a failure, after which exponential begins anew (default: 1 hour)"
  ),
  restartJitter: Flag.optional(
    "restart-jitter",
    Flag.decimal,
    "Random part of a delay of exponential, 0 to 1 (default: 0.1)"
  ),
  restartMaxFailures: Flag.optional(
    "restart-max-failures",
    Flag.count(1),
    "Failures within the interval that failure-rate restarts after (default: 5)"
  ),
  restartInterval: Flag.optional(
    "restart-interval",
    Flag.duration(),
    "The time in which failure-rate counts (default: 5 minutes)"
  ),
  stopTimeout: Flag.withDefault(
    "stop-timeout",
    Flag.duration(),
    "60 seconds",
    "How long Ctrl-C waits for the last checkpoint"
  ),

  progress: Flag.withDefault(
    "progress",
    Flag.literal("auto|plain|none", ["auto", "plain", "none"]),
    "auto",
    "On stderr: one live line on a terminal and plain lines elsewhere, always plain lines, or nothing"
  ),
  json: Flag.toggle("json", "Print the summary as one line of JSON on stdout")
} satisfies Command.Command.Config

/**
 * The groups of the help: what they are about, and the first flag of each.
 *
 * @category constants
 * @since 0.1.0
 */
export const groups: ReadonlyArray<readonly [about: string, first: string]> = [
  ["how the files are read", "format"],
  ["what is written", "keyspace"],
  ["the job", "job"],
  ["the cluster", "contact-points"],
  ["speed", "parallelism"],
  ["checkpoints", "checkpoint-interval"],
  ["failures and the end", "restart"],
  ["output", "progress"]
]

/**
 * @category models
 * @since 0.1.0
 */
export type LoadOptions = Command.Command.Config.Infer<typeof load>

/**
 * The flags of `verify`: what says where the rows come from and where they are.
 *
 * @category constants
 * @since 0.1.0
 */
export const verify = {
  files: load.files,
  format: load.format,
  delimiter: load.delimiter,
  header: load.header,
  keyspace: load.keyspace,
  table: load.table,
  mapping: load.mapping,
  query: load.query,
  nulls: load.nulls,
  missing: load.missing,
  contactPoints: load.contactPoints,
  port: load.port,
  localDc: load.localDc,
  username: load.username,
  consistency: load.consistency,
  maxInFlight: load.maxInFlight,
  exact: Flag.toggle("exact", "Also look for rows that the files do not have; reads all partition keys of the table"),
  memoryBytes: Flag.withDefault(
    "memory-bytes",
    Flag.count(1),
    "536870912",
    "Memory for what the table has to hold, over which the files are read once more for each part"
  ),
  json: Flag.toggle("json", "Print the result as one line of JSON on stdout")
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type VerifyOptions = Command.Command.Config.Infer<typeof verify>

/**
 * What says which files, and how they are read.
 *
 * @category models
 * @since 0.1.0
 */
export type InputOptions = Pick<VerifyOptions, "files" | "format" | "delimiter" | "header">

const usage = (message: string) => new CliError.ValidationError({ message })

/**
 * The state directory: one for each job and uid, unless it is given.
 *
 * @category combinators
 * @since 0.1.0
 */
export const stateDirectory = ({ job, state, uid }: LoadOptions): string =>
  state ?? `.effect-cassandra/${job}-${uid.replace(/[^\w.-]+/g, "_")}`

/**
 * @category models
 * @since 0.1.0
 */
export type Format =
  | { readonly kind: "ndjson" }
  | { readonly kind: "csv"; readonly delimiter: string; readonly header: boolean }

/**
 * What is written with: a statement or a table, and only one of them.
 *
 * @category combinators
 * @since 0.1.0
 */
export const target = (
  { keyspace, mapping, query, table }: Pick<VerifyOptions, "keyspace" | "mapping" | "query" | "table">
): Effect.Effect<Target, CliError.CliError> => {
  if (query !== undefined) {
    return table !== undefined
      ? Effect.fail(usage("--table makes the INSERT and --query brings one: leave one of them out"))
      : mapping !== undefined
      ? Effect.fail(usage("--mapping is for --table: in --query, name each marker by its field, as in VALUES (:field)"))
      : Effect.succeed({ kind: "query", query })
  }
  if (table === undefined) {
    return Effect.fail(usage("Give --table (and --keyspace) to load into a table, or --query for a statement"))
  }
  const parsed = mapping === undefined ? Result.succeed(Mapping.everything) : Mapping.parse(mapping)
  if (Result.isFailure(parsed)) return Effect.fail(usage(parsed.failure.message))
  const [, ofTable, name] = /^(?:("(?:[^"]|"")+"|[^".]+)\.)?("(?:[^"]|"")+"|[^".]+)$/.exec(table)!
  const plain = (text: string) => text.startsWith("\"") ? text.slice(1, -1).replaceAll("\"\"", "\"") : text
  return Effect.succeed({
    kind: "table",
    keyspace: ofTable === undefined ? keyspace ?? null : plain(ofTable),
    table: plain(name!),
    mapping: parsed.success
  })
}

/**
 * How the files are read; a delimiter for files that have none is a mistake.
 *
 * @category combinators
 * @since 0.1.0
 */
export const format = (
  { delimiter, format: chosen, header }: InputOptions,
  files: ReadonlyArray<string>
): Effect.Effect<Format, CliError.CliError> => {
  const extensions = files.map((file) => /\.(csv|tsv)(?:\.\w+)?$/i.exec(file)?.[1]?.toLowerCase())
  const extension = extensions[0]
  const other = extensions.findIndex((one) => one !== extension)
  if (other >= 0 && chosen === undefined) {
    return Effect.fail(usage(`${files[0]} and ${files[other]} are of different formats by their names: give --format`))
  }
  if ((chosen ?? (extension === undefined ? "ndjson" : "csv")) === "csv") {
    return Effect.succeed({ kind: "csv", delimiter: delimiter ?? (extension === "tsv" ? "\t" : ","), header })
  }
  if (!header) {
    return Effect.fail(usage("--no-header is for CSV, and NDJSON has none: add --format csv, or leave it out"))
  }
  return delimiter === undefined
    ? Effect.succeed({ kind: "ndjson" })
    : Effect.fail(usage("--delimiter is for CSV, and NDJSON has none: add --format csv, or leave it out"))
}

/**
 * The restart strategy. A number that the strategy does not have is a mistake, not ignored.
 *
 * @category combinators
 * @since 0.1.0
 */
export const restartStrategy = (
  options: LoadOptions
): Effect.Effect<RestartStrategy.RestartStrategy, CliError.CliError> => {
  const numbers = {
    "restart-attempts": options.restartAttempts,
    "restart-delay": options.restartDelay,
    "restart-initial-backoff": options.restartInitialBackoff,
    "restart-max-backoff": options.restartMaxBackoff,
    "restart-multiplier": options.restartMultiplier,
    "restart-reset-after": options.restartResetAfter,
    "restart-jitter": options.restartJitter,
    "restart-max-failures": options.restartMaxFailures,
    "restart-interval": options.restartInterval
  }
  const known: { readonly [kind: string]: ReadonlyArray<string> } = {
    none: [],
    "fixed-delay": ["restart-attempts", "restart-delay"],
    exponential: Object.keys(numbers).filter((name) => !/delay|max-failures|interval/.test(name)),
    "failure-rate": ["restart-max-failures", "restart-interval", "restart-delay"]
  }
  const strange = Object.entries(numbers)
    .filter(([name, value]) => value !== undefined && !known[options.restart]!.includes(name))
    .map(([name]) => `--${name}`)
  if (strange.length > 0) {
    return Effect.fail(usage(`--restart ${options.restart} does not have ${strange.join(", ")}`))
  }
  const config: RestartStrategy.RestartStrategyConfig = options.restart === "exponential"
    ? {
      kind: "exponential",
      attemptsBeforeReset: options.restartAttempts,
      initialBackoff: options.restartInitialBackoff,
      maxBackoff: options.restartMaxBackoff,
      backoffMultiplier: options.restartMultiplier,
      resetBackoffThreshold: options.restartResetAfter,
      jitterFactor: options.restartJitter
    }
    : options.restart === "fixed-delay"
    ? { kind: "fixed-delay", attempts: options.restartAttempts, delay: options.restartDelay }
    : options.restart === "failure-rate"
    ? {
      kind: "failure-rate",
      maxFailures: options.restartMaxFailures,
      interval: options.restartInterval,
      delay: options.restartDelay
    }
    : { kind: "none" }
  return Effect.try({
    try: () => RestartStrategy.fromConfig(config),
    catch: (error) => usage(error instanceof Error ? error.message : String(error))
  })
}

/**
 * The flags over what `CassandraConfig` finds in the environment. A password is asked for where somebody can answer.
 *
 * @category combinators
 * @since 0.1.0
 */
export const session = Effect.fnUntraced(function*(
  options: Pick<VerifyOptions, "contactPoints" | "port" | "localDc" | "keyspace" | "consistency" | "username">
): Effect.fn.Return<CassandraConfig.CassandraSessionOptions, CliError.CliError, Prompt.Environment> {
  const base = yield* Effect.mapError(CassandraConfig.config, (error) => usage(describeConfigError(error)))
  const username = options.username ?? base.username
  return {
    ...base,
    contactPoints: options.contactPoints ?? base.contactPoints,
    port: options.port ?? base.port,
    localDataCenter: options.localDc ?? base.localDataCenter,
    keyspace: options.keyspace ?? base.keyspace,
    consistency: options.consistency ?? base.consistency,
    username,
    password: username === undefined ? undefined : yield* password(username, base.password)
  }
})

/**
 * What reaches the cluster of the ledger, where it has one of its own.
 *
 * @category combinators
 * @since 0.1.0
 */
export const checkpointSession = (
  options: LoadOptions,
  data: CassandraConfig.CassandraSessionOptions
): CassandraConfig.CassandraSessionOptions => ({
  ...data,
  contactPoints: options.checkpointContactPoints,
  localDataCenter: options.checkpointLocalDc,
  keyspace: undefined
})

/** `SchemaError(Expected ..., got "x"\n  at ["CASSANDRA_TLS"])` in one line that names the variable first. */
const describeConfigError = ({ message }: Config.ConfigError): string => {
  const [, what, name] = /^(?:SchemaError\()?([^]*?)\s+at \["(\w+)"\]\)?$/.exec(message) ?? []
  return name === undefined ? message : `The variable ${name} can't be used: ${what!.replace(/\s+/g, " ")}`
}

const password = Effect.fnUntraced(function*(
  username: string,
  fromBase: Redacted.Redacted | undefined
): Effect.fn.Return<Redacted.Redacted, CliError.CliError, Prompt.Environment> {
  const own = yield* Effect.orElseSucceed(Config.option(Config.Redacted("EFFECT_CASSANDRA_PASSWORD")), Option.none)
  if (Option.isSome(own)) return own.value
  if (fromBase !== undefined) return fromBase
  const missing = usage(`The user ${username} needs a password: set EFFECT_CASSANDRA_PASSWORD or CASSANDRA_PASSWORD`)
  const { canPrompt } = yield* TerminalCapabilities.TerminalCapabilities
  if (!canPrompt) return yield* missing
  return yield* Effect.mapError(Prompt.run(Prompt.Password({ message: `Password of ${username}` })), () => missing)
})
