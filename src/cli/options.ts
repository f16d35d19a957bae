/**
 * The flags of the verbs: those of `load`, and what others take of them.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import type * as Command from "effect/cli/Command"
import { stages } from "../checkpoint/Element.ts"
import * as Flag from "./flag.ts"
import type { Replaying } from "./loadOptions.ts"
import { load } from "./loadOptions.ts"
import * as Kinds from "./optionKinds.ts"
import { tls } from "./tlsOptions.ts"

export type { LoadOptions } from "./loadOptions.ts"
export { groups, load } from "./loadOptions.ts"
export type { TlsOptions } from "./tlsOptions.ts"
export { tls } from "./tlsOptions.ts"

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
  encoding: load.encoding,
  skipRecords: load.skipRecords,
  maxRecords: load.maxRecords,
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
    Kinds.keyspaces,
    "Keyspace of the table dead_letters, where a program has set them aside in one; with --job (default: a file)"
  ),
  job: Flag.optional("job", Kinds.jobIds, "The job whose dead letters count (default: all that are in the file)"),
  uid: Flag.withDefault("uid", Flag.text("name"), "sink", "Its sink, with --job"),
  exact: Flag.toggle("exact", "Also look for rows that the files do not have; reads all partition keys of the table"),
  memoryBytes: Flag.withDefault(
    "memory-bytes",
    Flag.count(1),
    "536870912",
    "Memory for what the table has to hold, over which the files are read once more for each part"
  ),
  json: Flag.toggle("json", "Print the result as one line of JSON on stdout"),
  logFile: load.logFile
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
  table: Flag.required("table", Kinds.tables, "The table, as name or keyspace.name", { alias: "t" }),
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
export type InputOptions =
  & Pick<
    VerifyOptions,
    "files" | "format" | "delimiter" | "header" | "encoding" | "skipRecords" | "maxRecords" | "nullStrings"
  >
  & Replaying

const {
  delimiter: _delimiter,
  dryRun: _dryRun,
  encoding: _encoding,
  files: _files,
  format: _format,
  header: _header,
  maxRecords: _maxRecords,
  skipRecords: _skipRecords,
  ...withoutInput
} = load

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
  ),
  stage: Flag.optional(
    "stage",
    Flag.literal("read|encode|write", stages),
    "Only letters whose record failed there; the same for all runs of the job (default: all)"
  )
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type ReplayOptions = Command.Command.Config.Infer<typeof replay>
