/**
 * What can go wrong while a source is read: one error, `SourceError`, whose `reason` says which.
 *
 * Every message names the input, the place in it, and the way out. Text taken from the input is cut and its control
 * characters are escaped, so that a message never disturbs a terminal.
 *
 * @since 0.1.0
 */
import type * as PlatformError from "effect/PlatformError"
import * as Schema from "effect/Schema"

const excerptLength = 80

// C0 and C1 controls, DEL, the two Unicode line separators, the bidirectional overrides, and unpaired surrogates
// eslint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\p{Surrogate}/gu

const escapeCharacter = (character: string): string => {
  switch (character) {
    case "\t":
      return "\\t"
    case "\n":
      return "\\n"
    case "\r":
      return "\\r"
    default:
      return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  }
}

/**
 * The beginning of a text from an input, fit for a message: at most 80 characters (then `...`), with control characters
 * escaped.
 *
 * @category formatting
 * @since 0.1.0
 */
export const excerpt = (text: string): string => {
  const cut = text.length > excerptLength
  const escaped = (cut ? text.slice(0, excerptLength) : text).replace(unprintable, escapeCharacter)
  return cut || escaped.length > excerptLength ? `${escaped.slice(0, excerptLength)}...` : escaped
}

/**
 * There is no file of this name.
 *
 * @category errors
 * @since 0.1.0
 */
export class InputNotFound extends Schema.TaggedError<InputNotFound>("effect-cassandra/InputNotFound")(
  "InputNotFound",
  { input: Schema.String }
) {
  override get message(): string {
    return `${this.input}: there is no such file. Check the path (a relative one starts at the working directory).`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The file is there and cannot be read. `byte` is the offset of the read that failed, null if it was never opened.
 * `isRetryable` is true for failures that may pass (a network file system, too many open files), false where only a
 * person can help (no permission, a directory in place of a file).
 *
 * @category errors
 * @since 0.1.0
 */
export class InputUnreadable extends Schema.TaggedError<InputUnreadable>("effect-cassandra/InputUnreadable")(
  "InputUnreadable",
  {
    input: Schema.String,
    byte: Schema.NullOr(Schema.Number),
    problem: Schema.String,
    isRetryable: Schema.Boolean,
    cause: Schema.optional(Schema.Defect())
  }
) {
  override get message(): string {
    const place = this.byte === null ? "" : ` at byte ${this.byte}`
    return `${this.input}: cannot be read${place}: ${this.problem}. ` +
      (this.isRetryable ? "Starting again resumes from the last checkpoint." : "Give the path of a readable file.")
  }
}

/**
 * A record that is not what the format says. `line` is the line where the record starts (the first one is 1), `byte`
 * the offset of its first byte. `hint` is what probably helps, where the whole input seems to be of another kind.
 *
 * @category errors
 * @since 0.1.0
 */
export class MalformedRecord extends Schema.TaggedError<MalformedRecord>("effect-cassandra/MalformedRecord")(
  "MalformedRecord",
  {
    input: Schema.String,
    line: Schema.Number,
    byte: Schema.Number,
    excerpt: Schema.String,
    problem: Schema.String,
    hint: Schema.optional(Schema.String)
  }
) {
  override get message(): string {
    const hint = this.hint ?? (/^the \w+ is not valid [\w-]+$/.test(this.problem)
      ? "If the file has another encoding, name it, as with --encoding latin1 (and another --job, if some of it was loaded)"
      : undefined)
    return `${this.input}, line ${this.line} (byte ${this.byte}): ${this.problem}. The record begins: ` +
      `${this.excerpt === "" ? "(nothing)" : this.excerpt} -- ${
        hint === undefined ? "" : `${hint}. Otherwise: `
      }Correct or remove it and start again: what was read before it stays valid.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A record longer than the source was allowed to hold in memory (`maxBytes`).
 *
 * @category errors
 * @since 0.1.0
 */
export class RecordTooLong extends Schema.TaggedError<RecordTooLong>("effect-cassandra/RecordTooLong")(
  "RecordTooLong",
  {
    input: Schema.String,
    line: Schema.Number,
    byte: Schema.Number,
    maxBytes: Schema.Number,
    excerpt: Schema.String,
    hint: Schema.String
  }
) {
  override get message(): string {
    return `${this.input}, line ${this.line} (byte ${this.byte}): the record is longer than ${this.maxBytes} bytes. ` +
      `It begins: ${this.excerpt} -- ${this.hint}, or raise maxRecordBytes (of a source; the command has no flag for it).`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * An archive that can't be unpacked. `packedByte` is about where in the file, `byte` where in what it holds.
 *
 * @category errors
 * @since 0.1.0
 */
export class InputDamaged extends Schema.TaggedError<InputDamaged>("effect-cassandra/InputDamaged")(
  "InputDamaged",
  {
    input: Schema.String,
    packing: Schema.Literals(["gzip", "zstd"]),
    packedByte: Schema.Number,
    byte: Schema.Number,
    problem: Schema.String
  }
) {
  override get message(): string {
    return `${this.input}: the ${this.packing} archive is damaged at or before byte ${this.packedByte} ` +
      `(byte ${this.byte} of what it holds): ${this.problem}. Put a good copy in its place: what was read before stays valid.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The input is no longer the one that the position in the checkpoint was taken from: resuming would lose or repeat
 * records. `wayOut` is what helps, where it is not to put the input back.
 *
 * @category errors
 * @since 0.1.0
 */
export class InputChanged extends Schema.TaggedError<InputChanged>("effect-cassandra/InputChanged")(
  "InputChanged",
  { input: Schema.String, what: Schema.String, wayOut: Schema.optional(Schema.String) }
) {
  override get message(): string {
    return `${this.input}: cannot resume: ${this.what}. ${this.wayOut ?? "Put the input back as it was"}, ` +
      "or start a new job (with another job id) to read it from the beginning."
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * An option of the source that cannot be used.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidOption extends Schema.TaggedError<InvalidOption>("effect-cassandra/InvalidOption")(
  "InvalidOption",
  { input: Schema.String, option: Schema.String, problem: Schema.String }
) {
  override get message(): string {
    return `${this.input}: the option ${this.option} ${this.problem}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Every way in which a source can fail.
 *
 * @category errors
 * @since 0.1.0
 */
export const SourceErrorReason = Schema.Union([
  InputNotFound,
  InputUnreadable,
  InputDamaged,
  MalformedRecord,
  RecordTooLong,
  InputChanged,
  InvalidOption
])

/**
 * @category errors
 * @since 0.1.0
 */
export type SourceErrorReason = typeof SourceErrorReason.Type

/**
 * A source failed. `reason` says how (match it with `Effect.catchReason("SourceError", "InputChanged", ...)`);
 * `message` and `isRetryable` are the reason's.
 *
 * @category errors
 * @since 0.1.0
 */
export class SourceError extends Schema.TaggedError<SourceError>("effect-cassandra/SourceError")("SourceError", {
  reason: SourceErrorReason
}) {
  override readonly cause = this.reason

  override get message(): string {
    return this.reason.message
  }
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}

/**
 * The `SourceError` for a failure of the file system. `byte` is where the read stood, null while opening.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromPlatformError =
  (input: string, byte: number | null) => (error: PlatformError.PlatformError): SourceError => {
    const tag = error.reason._tag
    return new SourceError({
      reason: tag === "NotFound"
        ? new InputNotFound({ input })
        : new InputUnreadable({
          input,
          byte,
          problem: excerpt(error.reason.description ?? error.message),
          isRetryable: tag !== "PermissionDenied" && tag !== "BadArgument" && tag !== "BadResource",
          cause: error
        })
    })
  }
