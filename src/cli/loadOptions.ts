/**
 * The flags of `load`.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import type * as Command from "effect/cli/Command"
import * as CassandraConfig from "../cassandra/CassandraConfig.ts"
import type { Stage } from "../checkpoint/Element.ts"
import * as Flag from "./flag.ts"
import * as Kinds from "./optionKinds.ts"
import { tls } from "./tlsOptions.ts"

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
  delimiter: Flag.optional(
    "delimiter",
    Kinds.delimiters,
    "Between the fields of CSV (default: tab for .tsv, else a comma)"
  ),
  header: Flag.toggle(
    "header",
    "Whether the first line of CSV names the fields; with --no-header they are 0, 1, ... (default: true)",
    true
  ),
  encoding: Flag.withDefault(
    "encoding",
    Kinds.encodings,
    "utf-8",
    "Encoding of the files, as latin1 (iso-8859-1), windows-1252, utf-16le or shift_jis"
  ),
  skipRecords: Flag.withDefault(
    "skip-records",
    Flag.count(0),
    "0",
    "Records at the start of each file that are not read, besides a header; the same for all runs of the job"
  ),
  maxRecords: Flag.optional(
    "max-records",
    Flag.count(1),
    "Records that are read of each file at most, behind those skipped; a later run may raise it and go on (default: all)"
  ),

  keyspace: Flag.optional(
    "keyspace",
    Flag.text("name"),
    "Keyspace of a table that is named without one (default: CASSANDRA_KEYSPACE, else none)",
    { alias: "k" }
  ),
  table: Flag.optional(
    "table",
    Kinds.tables,
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

  job: Flag.required("job", Kinds.jobIds, "Name of the job: the same name resumes it"),
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
  takeOverFrom: Flag.optional(
    "take-over-from",
    Kinds.jobIds,
    "A job that has gone on from the savepoint, or from one of this job, and shall never go on again: what is left of it " +
      "is fenced (default: the load is refused)"
  ),
  acceptNewLedger: Flag.toggle(
    "accept-new-ledger",
    "The ledger of the job was dropped, and the table has its rows: go on with a new one (default: the state is refused)"
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
  port: Flag.optional("port", Kinds.ports, "Port of nodes without one (default: CASSANDRA_PORT, else 9042)"),
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
  maxInFlight: Flag.withDefault("max-in-flight", Flag.count(1, 32_768), "256", "Requests under way at once"),
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
    Kinds.keyspaces,
    "flink_auxiliary",
    "Keyspace of the ledger; made if it is missing"
  ),
  checkpointReplication: Flag.withDefault(
    "checkpoint-replication",
    Kinds.replications,
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
    Kinds.errorBounds,
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
    Kinds.urls,
    "Send metrics, spans and logs to this OpenTelemetry collector, by HTTP " +
      "(default: OTEL_EXPORTER_OTLP_ENDPOINT, else nothing is sent)"
  ),

  progress: Flag.withDefault(
    "progress",
    Flag.literal("auto|plain|json|none", ["auto", "plain", "json", "none"]),
    "auto",
    "On stderr: one live line on a terminal and plain lines elsewhere, always plain lines, JSON (then all that is written " +
      "there is, an object a line), or nothing"
  ),
  json: Flag.toggle("json", "Print the summary as one line of JSON on stdout"),
  logFile: Flag.optional(
    "log-file",
    Flag.text("file"),
    "Append what is logged and said to this file as well, each line with its time, level and the id of the run " +
      "(default: none)"
  )
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
 * Set where the file holds dead letters: which write timestamps their rows have, and which of them are read (all, without a
 * stage).
 *
 * @category models
 * @since 0.1.0
 */
export interface Replaying {
  readonly replay?: "original" | "now" | undefined
  readonly stage?: Stage | undefined
}
