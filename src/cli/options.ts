/**
 * The flags of the verbs.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import type * as Command from "effect/cli/Command"
import * as CassandraConfig from "../cassandra/CassandraConfig.ts"
import type { MaxErrors } from "../sink/DeadLetters.ts"
import * as Flag from "./flag.ts"

/**
 * @category kinds
 * @since 0.1.0
 */
export const jobIds = Flag.text(
  "name",
  /^[a-z0-9_]{1,36}$/,
  "1 to 36 lower case letters, digits and underscores (it becomes part of a table's name)"
)

/**
 * @category kinds
 * @since 0.1.0
 */
export const keyspaces = Flag.text(
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

/** A number, or a part of the records; `none` for no bound. */
const errorBounds: Flag.Kind<MaxErrors> = {
  metavar: "N|N%|none",
  expected: "a whole number, a percentage from 0% to 100%, or the word none",
  parse: (text) => {
    if (/^(?:none|-1)$/i.test(text)) return Number.POSITIVE_INFINITY
    if (/^\d{1,15}$/.test(text)) return Number(text)
    return /^\d+(?:\.\d+)?%$/.test(text) && Number.parseFloat(text) <= 100 ? text as `${number}%` : undefined
  }
}

/** A factor, or one for each data centre. */
const replications: Flag.Kind<{ readonly [option: string]: string | number }> = {
  metavar: "number|dc:number,...",
  expected: "a whole number of at least 1, or one for each data centre, as dc1:3,dc2:3",
  parse: (text) => {
    if (/^[1-9]\d{0,3}$/.test(text)) return { class: "SimpleStrategy", replication_factor: Number(text) }
    const centres = text.split(",").map((part) => /^\s*([\w.-]+)\s*:\s*(\d{1,4})\s*$/.exec(part))
    const factors = centres.flatMap((match) => match === null ? [] : [[match[1]!, Number(match[2])] as const])
    const isWhole = factors.length === centres.length && new Set(factors.map(([name]) => name)).size === factors.length
    // A data centre of this name can't be told from the option.
    return isWhole && factors.some(([, factor]) => factor > 0) && factors.every(([name]) => name !== "class")
      ? { class: "NetworkTopologyStrategy", ...Object.fromEntries(factors) }
      : undefined
  }
}

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
 * How a cluster is reached by TLS.
 *
 * @category constants
 * @since 0.1.0
 */
export const tls = {
  tls: Flag.toggle("tls", "Speak TLS with the cluster; the flags below do so too (default: CASSANDRA_TLS, else false)"),
  tlsCa: Flag.optional(
    "tls-ca",
    Flag.text("file"),
    "Certificate of the authority that signed the server's, PEM (default: CASSANDRA_TLS_CA, which is the text itself, " +
      "else those that Node knows)"
  ),
  tlsCert: Flag.optional(
    "tls-cert",
    Flag.text("file"),
    "Certificate of this client, where the server wants one: PEM, or .p12 or .pfx with the key in it, whose passphrase " +
      "is CASSANDRA_TLS_PASSPHRASE (default: none)"
  ),
  tlsKey: Flag.optional("tls-key", Flag.text("file"), "Its private key, PEM (default: none)"),
  tlsServername: Flag.optional(
    "tls-servername",
    Flag.text("name"),
    "The name that the server's certificate must have (default: the address that is connected to)"
  )
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type TlsOptions = Command.Command.Config.Infer<typeof tls>

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
  query: Flag.repeated(
    "query",
    "CQL",
    "Instead of --table, an INSERT, UPDATE or DELETE of your own; its markers (? or :name) are filled from the fields " +
      "of their names. Given several times, each record is written with all of them (default: made from --table)",
    { alias: "q" }
  ),
  nulls: Flag.withDefault(
    "nulls",
    Flag.literal("unset|tombstone", ["unset", "tombstone"]),
    "unset",
    "What a null, or an empty CSV field, does: leave the column as it is, or delete its value"
  ),
  nullStrings: Flag.list(
    "null-strings",
    "text,...",
    "Texts that stand for a null, besides an empty field of CSV, as in --null-strings NULL,N/A (default: none)"
  ),
  timestampUnit: Flag.withDefault(
    "timestamp-unit",
    Flag.literal("s|ms|us", ["s", "ms", "us"]),
    "ms",
    "What numbers in columns of type timestamp are since 1970: seconds, milliseconds or microseconds"
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
  fromSavepoint: Flag.optional(
    "from-savepoint",
    Flag.text("directory"),
    "A savepoint, also of another job, to begin from where there is no state yet; run again, the same command goes on " +
      "(default: the job's own state, else the beginning of the input)"
  ),

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
  ...tls,
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
    "Bytes of the open log, over which a checkpoint is taken early; a run begins with 256 KiB and doubles it"
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
    replications,
    "1",
    "Its copies when it is made: a number (SimpleStrategy), or one for each data centre, as dc1:3,dc2:3"
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
  onBadRecord: Flag.optional(
    "on-bad-record",
    Flag.literal("fail|dead-letter", ["fail", "dead-letter"]),
    "What a record that can't be read, encoded or written does: end the load there, or be set aside and loaded past " +
      "(default: fail, with --max-errors dead-letter)"
  ),
  maxErrors: Flag.optional(
    "max-errors",
    errorBounds,
    "How many records may be set aside, over all runs of the job: a number, or a part of those read, looked at from the " +
      "hundredth on (default: 0, with --on-bad-record dead-letter 100)"
  ),
  deadLetters: Flag.optional(
    "dead-letters",
    Flag.text("file"),
    "Where they are set aside, one JSON object a line, for replay-dead-letters (default: <state>.dead-letters.ndjson)"
  ),
  stopTimeout: Flag.withDefault(
    "stop-timeout",
    Flag.duration(),
    "60 seconds",
    "How long Ctrl-C waits for the last checkpoint"
  ),
  savepointOnStop: Flag.optional(
    "savepoint-on-stop",
    Flag.text("directory"),
    "When Ctrl-C or SIGTERM has ended the load, take a savepoint into this directory (default: none is taken)"
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
  ["watching", "metrics-port"],
  ["output", "progress"]
]

/**
 * @category models
 * @since 0.1.0
 */
export type LoadOptions = Command.Command.Config.Infer<typeof load> & Replaying

/**
 * Set where the file holds dead letters: which write timestamps their rows have.
 *
 * @category models
 * @since 0.1.0
 */
export interface Replaying {
  readonly replay?: "original" | "now" | undefined
}

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
  nullStrings: load.nullStrings,
  timestampUnit: load.timestampUnit,
  missing: load.missing,
  contactPoints: load.contactPoints,
  port: load.port,
  localDc: load.localDc,
  username: load.username,
  ...tls,
  consistency: load.consistency,
  maxInFlight: load.maxInFlight,
  deadLetters: Flag.optional(
    "dead-letters",
    Flag.text("file"),
    "Where load has set records aside: they are told as that, not as missing (default: with --job, where load does it)"
  ),
  deadLettersKeyspace: Flag.optional(
    "dead-letters-keyspace",
    keyspaces,
    "Keyspace of the table dead_letters, where a program has set them aside in one; with --job (default: a file)"
  ),
  job: Flag.optional("job", jobIds, "The job whose dead letters count (default: all that are in the file)"),
  uid: Flag.withDefault("uid", Flag.text("name"), "sink", "Its sink, with --job"),
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
 * The flags of `schema`.
 *
 * @category constants
 * @since 0.1.0
 */
export const schema = {
  keyspace: load.keyspace,
  table: Flag.required("table", tables, "The table, as name or keyspace.name", { alias: "t" }),
  contactPoints: load.contactPoints,
  port: load.port,
  localDc: load.localDc,
  username: load.username,
  ...tls
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type SchemaOptions = Command.Command.Config.Infer<typeof schema>

/**
 * The flags of `ddl`.
 *
 * @category constants
 * @since 0.1.0
 */
export const ddl = {
  job: load.job,
  checkpointKeyspace: load.checkpointKeyspace,
  checkpointReplication: load.checkpointReplication
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type DdlOptions = Command.Command.Config.Infer<typeof ddl>

/**
 * What says which files, and how they are read.
 *
 * @category models
 * @since 0.1.0
 */
export type InputOptions = Pick<VerifyOptions, "files" | "format" | "delimiter" | "header" | "nullStrings"> & Replaying

const { delimiter: _delimiter, dryRun: _dryRun, files: _files, format: _format, header: _header, ...withoutInput } =
  load

/**
 * The flags of `replay-dead-letters`: those of `load`, but for how files are read.
 *
 * @category constants
 * @since 0.1.0
 */
export const replay = {
  file: Argument.String("file").pipe(
    Argument.withDescription(
      "Dead letters as load has written them, mended or not; they are read, and stay as they are"
    )
  ),
  ...withoutInput,
  timestamps: Flag.withDefault(
    "timestamps",
    Flag.literal("original|now", ["original", "now"]),
    "original",
    "Which write timestamps the rows have: those that they would have had, so that nothing that was written since is " +
      "overwritten; or new ones, which win over it"
  )
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type ReplayOptions = Command.Command.Config.Infer<typeof replay>
