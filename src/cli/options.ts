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
import * as CassandraConfig from "../cassandra/CassandraConfig.ts"
import * as RestartStrategy from "../checkpoint/RestartStrategy.ts"
import * as Flag from "./flag.ts"

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

const urls: Flag.Kind<string> = {
  metavar: "URL",
  expected: "a URL as http://127.0.0.1:4318",
  parse: (text) => /^https?:\/\//.test(text) && URL.canParse(text) ? text : undefined
}

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
  file: Argument.String("file").pipe(
    Argument.withDescription("The file to load: NDJSON (one JSON object a line) or CSV")
  ),
  query: Flag.required(
    "query",
    Flag.text("CQL"),
    "INSERT, UPDATE or DELETE; its markers (? or :name) are filled from the fields of their names"
  ),
  job: Flag.required("job", jobIds, "Name of the job: the same name resumes it"),
  uid: Flag.withDefault("uid", Flag.text("name"), "sink", "Name of the sink in the job"),
  state: Flag.optional(
    "state",
    Flag.text("directory"),
    "Where the log and the checkpoints are kept (default: .effect-cassandra/<job>-<uid>)"
  ),
  takeOver: Flag.toggle("take-over", "Take the state directory from a process that still holds it"),

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
  keyspace: Flag.optional(
    "keyspace",
    Flag.text("name"),
    "Keyspace of a table that is named without one (default: CASSANDRA_KEYSPACE, else none)",
    { alias: "k" }
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

  format: Flag.optional(
    "format",
    Flag.literal("ndjson|csv", ["ndjson", "csv"]),
    "Format of the file (default: csv for .csv and .tsv, else ndjson)"
  ),
  delimiter: Flag.optional("delimiter", delimiters, "Between the fields of CSV (default: tab for .tsv, else a comma)"),
  nulls: Flag.withDefault(
    "null",
    Flag.literal("unset|tombstone", ["unset", "tombstone"]),
    "unset",
    "What a null, or an empty CSV field, does: leave the column as it is, or delete its value"
  ),

  parallelism: Flag.withDefault("parallelism", Flag.count(1, 1024), "1", "Subtasks that log and send side by side"),
  requestsInFlight: Flag.withDefault("requests-in-flight", Flag.count(1, 32_768), "64", "Requests under way at once"),
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

  metricsPort: Flag.optional(
    "metrics-port",
    Flag.count(0, 65_535),
    "Serve /metrics for Prometheus, /live and /ready at this port; 0 takes a free one (default: nothing is served)"
  ),
  metricsHost: Flag.withDefault(
    "metrics-host",
    Flag.text("address"),
    "127.0.0.1",
    "Address to serve them at; 0.0.0.0 for all of the machine's"
  ),
  otlpEndpoint: Flag.optional(
    "otlp-endpoint",
    urls,
    "Send metrics, spans and logs to this OpenTelemetry collector, by HTTP " +
      "(default: OTEL_EXPORTER_OTLP_ENDPOINT, else nothing is sent)"
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
 * @category models
 * @since 0.1.0
 */
export type LoadOptions = Command.Command.Config.Infer<typeof load>

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
 * How the file is read; a delimiter for a file that has none is a mistake.
 *
 * @category combinators
 * @since 0.1.0
 */
export const format = (
  { delimiter, file, format: chosen }: LoadOptions
): Effect.Effect<
  { readonly kind: "ndjson" } | { readonly kind: "csv"; readonly delimiter: string },
  CliError.CliError
> => {
  const extension = /\.(csv|tsv)$/i.exec(file)?.[1]?.toLowerCase()
  if ((chosen ?? (extension === undefined ? "ndjson" : "csv")) === "csv") {
    return Effect.succeed({ kind: "csv", delimiter: delimiter ?? (extension === "tsv" ? "\t" : ",") })
  }
  return delimiter === undefined
    ? Effect.succeed({ kind: "ndjson" })
    : Effect.fail(usage("--delimiter is for CSV, and this file is read as NDJSON: add --format csv, or leave it out"))
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
  options: LoadOptions
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
