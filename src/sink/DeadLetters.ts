/**
 * Where records go that can never be written, each with its error, its place and all that it held, so that the rest of
 * the input is loaded and nothing is lost.
 *
 * A letter is part of the checkpoint that covers its record: it goes through the log like a row, and is kept durably before
 * that checkpoint is committed. A crash between the two writes it once more under the same id, which is how a reader tells
 * (`DeadLetterSource` and the tables do); none is lost, and there is none of a checkpoint that did not complete.
 *
 * With a layer of this service, bad records go there: what the encoder refuses, what Cassandra refuses for ever, and what a
 * source hands on as unreadable (`malformed: "reject"`). Without one the first of them ends the job. Layers:
 * `DeadLetterFile.layer`, `DeadLetterTable.layer`, and `layerMemory` for tests.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { RawRecord, Stage } from "../checkpoint/Element.ts"
import { stages } from "../checkpoint/Element.ts"

/**
 * A record that can't be written, and why.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeadLetter {
  /** Of the row in its checkpoint, the same whenever it is written again: `job/uid/subtask/checkpoint/timestamp@place`. */
  readonly id: string
  readonly jobId: string
  readonly uid: string
  readonly checkpointId: number
  readonly subtask: number
  /** Where it failed. */
  readonly stage: Stage
  readonly error: { readonly tag: string; readonly message: string; readonly column: string | null }
  /** Where the record is in its input; in a file, the line, and then `unit` says so. */
  readonly position: { readonly input: string; readonly place: number; readonly unit?: "line" | undefined }
  readonly statement: string
  /** Requests that had it in them. */
  readonly attempts: number
  /** The write timestamp that its row has, microseconds since 1970. */
  readonly timestamp: number
  /** The record as JSON text without loss: as it came to the encoder, or the values of its row by their markers. */
  readonly record: string | null
  /** What could not be read, word for word. */
  readonly raw: RawRecord | null
}

/**
 * The letter as one line of JSON, without a line feed.
 *
 * @category formatting
 * @since 0.1.0
 */
export const toLine = (letter: DeadLetter): string => {
  const { attempts, checkpointId, error, id, jobId, position, raw, record, stage, statement, subtask, timestamp, uid } =
    letter
  const payload = record !== null ? { record: 0 } : raw?.text != null
    ? { line: raw.text }
    : { bytes: Buffer.from(raw?.bytes ?? []).toString("base64") }
  const csv = raw?.csv ?? undefined
  const text = JSON.stringify({ id, stage, error, position, ...payload, csv })
  const rest = JSON.stringify({
    statement,
    attempts,
    timestamp,
    at: new Date(timestamp / 1000).toISOString(),
    job: jobId,
    uid,
    checkpoint: checkpointId,
    subtask
  })
  // The record is text already: its integers would not survive being parsed.
  const head = record === null ? text.slice(0, -1) : `${text.slice(0, -"0}".length)}${record}`
  return `${head},${rest.slice(1)}`
}

/**
 * The letters of a job's sink that are there, by id, each with the stage where its record failed; null where none is told.
 *
 * @category models
 * @since 0.1.0
 */
export type KnownLetters = ReadonlyMap<string, Stage | null>

/**
 * What is told as the stage of a letter; null for what is none.
 *
 * @category parsing
 * @since 0.1.0
 */
export const toStage = (value: unknown): Stage | null => stages.find((stage) => stage === value) ?? null

/**
 * How many letters there are of each stage.
 *
 * @category models
 * @since 0.1.0
 */
export type StageCounts = { readonly [S in Stage]: number }

/**
 * Those of no known stage are counted in none.
 *
 * @category getters
 * @since 0.1.0
 */
export const countStages = (of: Iterable<Stage | null>): { -readonly [S in Stage]: number } => {
  const counts = { read: 0, encode: 0, write: 0 }
  for (const stage of of) if (stage !== null) counts[stage]++
  return counts
}

/**
 * How many bad records are borne: a number, or a part of the records read so far, which is looked at from the hundredth
 * on: of fewer than a hundred records it bears all. One more ends the job. The rules are those of `dsbulk` (its
 * `log.maxErrors`), but that all runs of a job count together.
 *
 * @category models
 * @since 0.1.0
 */
export type MaxErrors = number | `${number}%`

/**
 * The bound where bad records are set aside and none is given: 100, as of `dsbulk`.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxErrorsDefault: MaxErrors = 100

/** A part of fewer records than these says nothing. */
const sampleMin = 100

/**
 * Whether so many bad records of so many are too many.
 *
 * @category guards
 * @since 0.1.0
 */
export const isExceeded = (maxErrors: MaxErrors, errors: number, records: number): boolean =>
  typeof maxErrors === "number"
    ? errors > maxErrors
    : records >= sampleMin && errors * 100 > Number.parseFloat(maxErrors) * records

/**
 * The letters could not be kept or looked at.
 *
 * @category errors
 * @since 0.1.0
 */
export class DeadLetterError extends Schema.TaggedError<DeadLetterError>("effect-cassandra/DeadLetterError")(
  "DeadLetterError",
  { where: Schema.String, operation: Schema.String, detail: Schema.String, isRetryable: Schema.Boolean }
) {
  override get message(): string {
    return `The dead letters in ${this.where} could not be ${this.operation}: ${this.detail}. ` +
      "Their checkpoint is not committed, so nothing is lost."
  }
}

/**
 * More records are bad than the bound bears.
 *
 * @category errors
 * @since 0.1.0
 */
export class TooManyBadRecords extends Schema.TaggedError<TooManyBadRecords>("effect-cassandra/TooManyBadRecords")(
  "TooManyBadRecords",
  {
    errors: Schema.Int,
    records: Schema.Int,
    maxErrors: Schema.Union([Schema.Number, Schema.String]),
    where: Schema.String,
    /** The first that this run has met, with its place. */
    example: Schema.String
  }
) {
  override get message(): string {
    const { errors, example, maxErrors, records, where } = this
    return `${errors} of ${records} records are bad, and at most ${maxErrors} may be. The first: ${example} -- Those of ` +
      `checkpoints that are committed are in ${where}. Correct the input (or the table), or raise the bound (--max-errors)`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Where bad records go, and how many there may be. Where there is none, the first one ends the sink.
 *
 * @category services
 * @since 0.1.0
 */
export class DeadLetters extends Context.Service<DeadLetters, {
  /** The place, for messages. */
  readonly describe: string
  readonly maxErrors: MaxErrors
  /** All letters of a job's sink that are there, whichever run wrote them. */
  readonly known: (jobId: string, uid: string) => Effect.Effect<KnownLetters, DeadLetterError>
  /** They are on stable storage when this returns. One that is there already may come again. */
  readonly write: (letters: ReadonlyArray<DeadLetter>) => Effect.Effect<void, DeadLetterError>
}>()("effect-cassandra/DeadLetters") {}

/**
 * Letters in memory, by their ids, for tests. Give the same map to the next run to see it restart.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options: {
  readonly letters?: Map<string, DeadLetter> | undefined
  /** Default 100. */
  readonly maxErrors?: MaxErrors | undefined
} = {}): Layer.Layer<DeadLetters> =>
  Layer.sync(DeadLetters, () => {
    const letters = options.letters ?? new Map<string, DeadLetter>()
    return DeadLetters.of({
      describe: "memory",
      maxErrors: options.maxErrors ?? maxErrorsDefault,
      known: (jobId, uid) =>
        Effect.sync(() =>
          new Map(
            [...letters.values()].filter((one) => one.jobId === jobId && one.uid === uid)
              .map(({ id, stage }) => [id, stage])
          )
        ),
      write: (written) =>
        Effect.sync(() => {
          for (const letter of written) letters.set(letter.id, letter)
        })
    })
  })
