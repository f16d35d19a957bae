/**
 * The flags of the verbs that look at the state of a job, or change it by hand.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import type * as Command from "effect/cli/Command"
import * as Flag from "./flag.ts"
import * as Kinds from "./optionKinds.ts"
import * as Options from "./options.ts"

/** What says whose state. The directory itself tells the job, so its name is only needed to find the directory. */
const job = {
  state: Flag.optional(
    "state",
    Flag.text("directory"),
    "The state directory (default: .effect-cassandra/<job>-<uid>)"
  ),
  job: Flag.optional("job", Kinds.jobIds, "Name of the job (default: the directory tells it)"),
  uid: Flag.optional("uid", Flag.text("name"), "Name of the sink in the job (default: the directory tells it)")
} satisfies Command.Command.Config

/** What reaches the ledger, written as for load. */
const ledger = {
  contactPoints: Options.load.contactPoints,
  port: Options.load.port,
  localDc: Options.load.localDc,
  username: Options.load.username,
  ...Options.tls,
  checkpointKeyspace: Flag.withDefault(
    "checkpoint-keyspace",
    Kinds.keyspaces,
    "flink_auxiliary",
    "Keyspace of the ledger"
  ),
  checkpointContactPoints: Options.load.checkpointContactPoints,
  checkpointLocalDc: Options.load.checkpointLocalDc
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type JobOptions = Command.Command.Config.Infer<typeof job>

/**
 * @category models
 * @since 0.1.0
 */
export type LedgerOptions = Command.Command.Config.Infer<typeof ledger>

/**
 * @category constants
 * @since 0.1.0
 */
export const inspect = {
  ...job,
  verify: Flag.toggle("verify", "Read every segment, and check every byte of it as a restart would"),
  ...ledger,
  json: Flag.toggle("json", "Print all of it as one line of JSON on stdout")
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type InspectOptions = Command.Command.Config.Infer<typeof inspect>

/**
 * @category constants
 * @since 0.1.0
 */
export const status = {
  ...job,
  checkpointAgeMax: Flag.withDefault(
    "checkpoint-age-max",
    Flag.duration(),
    "5 minutes",
    "A job at work whose last checkpoint is older is not well"
  ),
  deadLetters: Flag.optional(
    "dead-letters",
    Flag.text("file"),
    "Where load sets records aside, to count them (default: <state>.dead-letters.ndjson)"
  ),
  watch: Flag.toggle("watch", "Look again and again, until Ctrl-C"),
  every: Flag.withDefault("every", Flag.duration(), "2 seconds", "From one look to the next, with --watch"),
  ...ledger,
  json: Flag.toggle("json", "Print all of it as one line of JSON on stdout, for each look")
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type StatusOptions = Command.Command.Config.Infer<typeof status>

/**
 * @category constants
 * @since 0.1.0
 */
export const jobs = {
  state: Flag.withDefault(
    "state",
    Flag.text("directory"),
    ".effect-cassandra",
    "Where the state directories of the jobs are, at any of three levels; or one of them"
  ),
  json: Flag.toggle("json", "Print all of it as one line of JSON on stdout")
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type JobsOptions = Command.Command.Config.Infer<typeof jobs>

/**
 * @category constants
 * @since 0.1.0
 */
export const exportRows = {
  ...job,
  segment: Flag.optional("segment", Flag.text("name"), "The segment, as inspect names it (or give --checkpoint)"),
  checkpoint: Flag.optional("checkpoint", Flag.count(0), "All segments of this checkpoint (or give --segment)")
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type ExportOptions = Command.Command.Config.Infer<typeof exportRows>

/** What a verb needs that changes something. */
const change = {
  takeOver: Flag.toggle("take-over", "Take the state directory from a process that still holds it"),
  takeOverFrom: Flag.optional(
    "take-over-from",
    Kinds.jobIds,
    "Job that has gone on from a savepoint of this one, and shall never go on again"
  ),
  yes: Flag.toggle("yes", "Do it; without this, only say what would be done"),
  logFile: Options.load.logFile
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type ChangeOptions = Command.Command.Config.Infer<typeof change>

/**
 * @category constants
 * @since 0.1.0
 */
export const commit = {
  ...job,
  checkpoint: Flag.required("checkpoint", Flag.count(0), "Id of the oldest pending checkpoint"),
  to: Flag.optional(
    "to",
    Flag.text("file"),
    "A new file, to which records are exported that were set aside (required if there are some)"
  ),
  ...change,
  ...ledger
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type CommitOptions = Command.Command.Config.Infer<typeof commit>

/**
 * @category constants
 * @since 0.1.0
 */
export const skip = {
  ...commit,
  to: Flag.required("to", Flag.text("file"), "A new file, to which the rows are exported")
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type SkipOptions = Command.Command.Config.Infer<typeof skip>

/**
 * @category constants
 * @since 0.1.0
 */
export const repair = { ...job, ...change, ...ledger } satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type RepairOptions = Command.Command.Config.Infer<typeof repair>

/**
 * @category constants
 * @since 0.1.0
 */
export const savepoint = {
  ...job,
  to: Flag.optional("to", Flag.text("directory"), "Where the savepoint's own directory is made (required)"),
  ...ledger,
  json: Flag.toggle("json", "Print what was taken as one line of JSON on stdout, not only its path")
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type SavepointOptions = Command.Command.Config.Infer<typeof savepoint>

/**
 * @category constants
 * @since 0.1.0
 */
export const list = {
  directory: Argument.String("directory").pipe(Argument.withDescription("What was given as --to; or one savepoint")),
  verify: Flag.toggle("verify", "Read every byte of each, and check it"),
  json: Flag.toggle("json", "Print all of it as one line of JSON on stdout")
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type ListOptions = Command.Command.Config.Infer<typeof list>

/**
 * @category constants
 * @since 0.1.0
 */
export const remove = {
  savepoint: Argument.String("savepoint").pipe(Argument.withDescription("Its directory, as savepoint list names it")),
  yes: Flag.toggle("yes", "Do it; without this, only say what would be deleted")
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type DeleteOptions = Command.Command.Config.Infer<typeof remove>
