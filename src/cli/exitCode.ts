/**
 * What each way to end means to the caller: an exit code, and whether the same command resumes.
 *
 * 0 to 5 are those of DataStax's bulk loader (`dsbulk`); 64 is `EX_USAGE` of sysexits.h.
 *
 * @since 0.1.0
 */
import * as CliError from "effect/cli/CliError"
import * as Schema from "effect/Schema"
import type { CommitterOptionError } from "../cassandra/CassandraCommitter.ts"
import type { JobError } from "../job/Job.ts"
import type { MetricsServerError } from "../observability/MetricsServer.ts"
import type { OtlpExportError } from "../observability/OtlpExport.ts"
import type { NotOldest } from "../sink/ManualCommit.ts"
import type { SourceError } from "../source/SourceError.ts"
import type { CheckFailed } from "./CheckFailed.ts"
import type { FieldsRefused } from "./statement.ts"

/**
 * - `success` 0: finished, or nothing to do.
 * - `completedWithErrors` 1: finished, some rows are in the dead letters; of `verify`, the table is not as the files say.
 * - `badRecords` 2: ended at a record that can't be loaded, or because more are bad than `--max-errors` bears.
 * - `fatal` 3: ended by anything else that is no bug (no connection, statement refused, disk full, ...).
 * - `interrupted` 4: ended by a signal.
 * - `crashed` 5: a bug.
 * - `fenced` 6: another process works on the job.
 * - `state` 7: the state is corrupt, or of another job or statement, or another job has gone on from the savepoint.
 * - `usage` 64: the command line can't be understood.
 *
 * @category constants
 * @since 0.1.0
 */
export const exitCodes = {
  success: 0,
  completedWithErrors: 1,
  badRecords: 2,
  fatal: 3,
  interrupted: 4,
  crashed: 5,
  fenced: 6,
  state: 7,
  usage: 64
} as const

/**
 * A signal ended the command before its work was done.
 *
 * @category errors
 * @since 0.1.0
 */
export class Interrupted extends Schema.TaggedError<Interrupted>("effect-cassandra/cli/Interrupted")("Interrupted", {
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

/**
 * Everything the verbs fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type LoadError =
  | JobError
  | SourceError
  | CommitterOptionError
  | CheckFailed
  | FieldsRefused
  | NotOldest
  | MetricsServerError
  | OtlpExportError
  | Interrupted
  | CliError.CliError

/**
 * `resumes`: whether running the same command again goes on; `after-fix` once what the message names is corrected;
 * `no` where it would fail the same way, or the message itself says what to do.
 *
 * @category models
 * @since 0.1.0
 */
export interface Verdict {
  readonly code: number
  readonly resumes: "yes" | "after-fix" | "no"
}

const { badRecords, crashed, fatal, fenced, interrupted, state, usage } = exitCodes

/**
 * @category combinators
 * @since 0.1.0
 */
export const verdict = (error: LoadError): Verdict => {
  if (CliError.isCliError(error)) return { code: usage, resumes: "no" }
  switch (error._tag) {
    case "SourceError":
      switch (error.reason._tag) {
        case "MalformedRecord":
        case "RecordTooLong":
          return { code: badRecords, resumes: "after-fix" }
        case "InputChanged":
        case "InputDamaged":
          return { code: fatal, resumes: "after-fix" }
        case "InvalidOption":
          return { code: usage, resumes: "no" }
        case "InputNotFound":
        case "InputUnreadable":
          return { code: fatal, resumes: error.isRetryable ? "yes" : "no" }
      }
      break
    case "RecordRefused":
    case "RowRefused":
    case "TooManyBadRecords":
      return { code: badRecords, resumes: "after-fix" }
    case "CheckFailed":
    case "FieldsRefused":
    case "NotOldest":
    case "SchemaRefused":
    case "StatementRefused":
      return { code: fatal, resumes: "no" }
    case "CassandraError":
      return { code: fatal, resumes: error.isRetryable ? "yes" : "no" }
    case "CommitterError":
    case "CheckpointsFailed":
    case "SendFailed":
      return { code: fatal, resumes: error.isRetryable ? "yes" : "after-fix" }
    case "DeadLetterError":
      return { code: fatal, resumes: error.isRetryable ? "yes" : "after-fix" }
    case "StateIoError":
      return { code: fatal, resumes: "after-fix" }
    case "MetricsServerError":
      return { code: fatal, resumes: "no" }
    case "CommitterOptionError":
    case "OtlpExportError":
      return { code: usage, resumes: "no" }
    case "Fenced":
      return { code: fenced, resumes: "no" }
    case "StateUnusable":
      return { code: error.reason === "locked" ? fenced : state, resumes: "no" }
    case "StateCorrupt":
    case "TakenOver":
      return { code: state, resumes: "no" }
    case "SinkMisuse":
      if (error.reason === "other-statement") return { code: state, resumes: "no" }
      return { code: fatal, resumes: error.reason === "no-dead-letters" ? "no" : "yes" }
    case "Interrupted":
      return { code: interrupted, resumes: "yes" }
  }
  // Only a failure that the types above do not know of comes here.
  return { code: crashed, resumes: "yes" }
}

/**
 * The last line on stderr.
 *
 * @category constants
 * @since 0.1.0
 */
export const resumeAdvice = {
  yes: "Run the same command again to resume.",
  "after-fix": "Then run the same command again to resume.",
  no: null
} as const
