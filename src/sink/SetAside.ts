/**
 * What one sink does with bad records: it counts them against the bound, logs them among the rows, and writes them as
 * letters before their checkpoint is committed.
 *
 * In the log a letter is a frame with three values: what is known of the error as JSON, and the record as JSON text or,
 * where it could not be read, its text or bytes.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import * as CqlText from "../cassandra/CqlText.ts"
import type { BadRecord, Located, RawRecord, Stage } from "../checkpoint/Element.ts"
import { placeText, stages } from "../checkpoint/Element.ts"
import type { SegmentHandle } from "../checkpoint/Manifest.ts"
import type { FrameWriter, LoggedRow } from "../state/RowFrame.ts"
import { letterStatement } from "../state/RowFrame.ts"
import type { WireBuffer } from "../wire/WireBuffer.ts"
import type { DeadLetter, DeadLetterError, DeadLetters, StageCounts } from "./DeadLetters.ts"
import { countStages, isExceeded, TooManyBadRecords } from "./DeadLetters.ts"
import type { Misfit } from "./RowEncoder.ts"
import { SinkMisuse } from "./SinkError.ts"
import * as Metrics from "./SinkMetrics.ts"
import type { SinkStatement } from "./SinkStatement.ts"

/** What a frame says of the error. */
interface Meta {
  readonly stage: Exclude<Stage, "write">
  readonly tag: string
  readonly message: string
  readonly column: string | null
  readonly isText: boolean
  readonly csv: RawRecord["csv"]
}

interface Frame {
  readonly meta: Meta
  readonly record: string | null
  readonly raw: Uint8Array | null
}

const writeFrame = ({ meta, raw, record }: Frame, out: WireBuffer): void => {
  out.writeValue(Buffer.from(JSON.stringify(meta)))
  out.writeValue(record === null ? null : Buffer.from(record))
  out.writeValue(raw === null ? null : Buffer.from(raw))
}

/**
 * Of which job, and how many records its earlier runs have read.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  readonly jobId: string
  readonly uid: string
  readonly recordsBefore: number
}

/**
 * What a sink does with its bad records, from the encoder to the dead letters.
 *
 * @category models
 * @since 0.1.0
 */
export interface SetAside {
  /** Looks at what earlier runs have set aside. Before the first record of a run. */
  readonly begin: (run: Run) => Effect.Effect<void, DeadLetterError | TooManyBadRecords>
  /** Bad records of the job so far, over all its runs. */
  readonly total: () => number
  /** The same by the stage where they failed; those that an earlier run has kept without one are in none. */
  readonly byStage: () => StageCounts
  /** Counts a record that came to the encoder, good or bad. */
  readonly seen: () => void
  /** Logs a record that does not fit; throws `TooManyBadRecords`. */
  readonly misfit: (record: unknown, place: number, misfit: Misfit, out: FrameWriter, timestamp: number) => void
  /** Logs what could not be read, or made a record of; throws `TooManyBadRecords`. */
  readonly unreadable: (record: BadRecord, out: FrameWriter, timestamp: number) => void
  /** What a segment has set aside, until it is written. */
  readonly ofSegment: (segment: SegmentHandle, isRestored: boolean) => SegmentLetters
}

/**
 * The dead letters among the rows of one segment, while it is sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface SegmentLetters<E = DeadLetterError | TooManyBadRecords> {
  /** Those of these rows that are for the table; the others are kept. */
  readonly rows: (logged: ReadonlyArray<LoggedRow>) => Effect.Effect<ReadonlyArray<LoggedRow>, E>
  /** Takes what Cassandra will never accept. */
  readonly refused: ((row: LoggedRow, error: CassandraError, attempts: number) => Effect.Effect<void, E>) | undefined
  /** All of them are kept durably when this returns. Gives how many they were. */
  readonly finish: Effect.Effect<number, DeadLetterError>
}

/** Letters held in memory before they are written: so many, or of so many characters. */
const heldMax = 256
const heldCharactersMax = 4 * 1024 ** 2

/**
 * Sets aside into `letters` what can't be written with the `statements`. `locate` tells what a place stands for.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  letters: DeadLetters["Service"],
  statements: ReadonlyArray<SinkStatement>,
  locate: (place: number) => Located
): SetAside => {
  /** Of the markers of each statement. */
  const names = statements.map(({ params }) =>
    params.map(({ name, type }): CqlText.NamedText => ({ key: JSON.stringify(name), toText: CqlText.toTextOf(type) }))
  )
  /** What a record would have been written with that came to no statement. */
  const queries = statements.map(({ query }) => query).join("; ")
  let run: Run = { jobId: "", uid: "", recordsBefore: 0 }
  let records = 0
  /** Letters that are written, or about to be, by their ids. */
  let known = new Map<string, Stage | null>()
  /** Logged by this run, and not written yet. */
  let logged = countStages([])
  let example: string | null = null

  const total = () => known.size + logged.read + logged.encode
  const tooMany = (): TooManyBadRecords | null => {
    const { describe: where, maxErrors } = letters
    const all = run.recordsBefore + records
    return isExceeded(maxErrors, total(), all)
      ? new TooManyBadRecords({ errors: total(), records: all, maxErrors, where, example: example ?? "see there" })
      : null
  }
  const describe = (place: number, column: string | null, message: string): string =>
    `${placeText(locate(place))}${column === null ? "" : `, column ${column}`}: ${message}`

  const log = (frame: Frame, place: number, out: FrameWriter, timestamp: number): void => {
    const { column, message } = frame.meta
    example ??= describe(place, column, message)
    logged[frame.meta.stage]++
    const error = tooMany()
    if (error !== null) throw error
    out.addWith(place, letterStatement, 3, frame, writeFrame, timestamp)
  }

  const ofSegment = ({ checkpointId, subtask }: SegmentHandle, isRestored: boolean): SegmentLetters => {
    let held: Array<DeadLetter> = []
    let heldCharacters = 0
    let written = 0

    const flush = Effect.suspend(() => {
      if (held.length === 0) return Effect.void
      const now = held
      held = []
      heldCharacters = 0
      written += now.length
      const counts = countStages(now.map((letter) => letter.stage))
      return letters.write(now).pipe(
        Effect.tapError(() => Metric.update(Metrics.deadLettersFailed, now.length)),
        Effect.andThen(
          Effect.forEach(
            stages,
            (stage) => Metric.update(Metrics.deadLetters[stage], counts[stage]),
            { discard: true }
          )
        )
      )
    })
    const hold = (letter: DeadLetter) => {
      held.push(letter)
      heldCharacters += (letter.record?.length ?? 0) + (letter.raw?.bytes?.length ?? letter.raw?.text?.length ?? 0)
    }
    const base = (row: LoggedRow) => {
      const { input, place, unit } = locate(row.place)
      const { jobId, uid } = run
      return {
        id: `${jobId}/${uid}/${subtask}/${checkpointId}/${row.timestamp}@${row.place}`,
        jobId,
        uid,
        checkpointId,
        subtask,
        position: { input, place, ...unit === undefined ? {} : { unit } },
        statement: statements[row.statement]?.query ?? queries,
        timestamp: row.timestamp
      }
    }

    const ofFrame = (row: LoggedRow): DeadLetter => {
      const [meta, record, raw] = row.values
      const { column, csv, isText, message, stage, tag }: Meta = JSON.parse(meta!.toString())
      return {
        ...base(row),
        stage,
        error: { tag, message, column },
        attempts: 0,
        record: record?.toString() ?? null,
        // Copied: the letter is held longer than the block that it came with.
        raw: raw == null ? null : { text: isText ? raw.toString() : null, bytes: isText ? null : Buffer.from(raw), csv }
      }
    }

    /** A letter that this run did not count when it was logged. */
    const count = (letter: DeadLetter, place: number): TooManyBadRecords | null => {
      example ??= describe(place, null, letter.error.message)
      known.set(letter.id, letter.stage)
      return tooMany()
    }

    return {
      rows: Effect.fnUntraced(function*(all) {
        if (!all.some((row) => row.statement === letterStatement)) return all
        for (const row of all) {
          if (row.statement !== letterStatement) continue
          const letter = ofFrame(row)
          if (!isRestored) logged[letter.stage]--
          const error = count(letter, row.place)
          if (error !== null) return yield* error
          hold(letter)
          if (held.length >= heldMax || heldCharacters >= heldCharactersMax) yield* flush
        }
        return all.filter((row) => row.statement !== letterStatement)
      }),
      refused: Effect.fnUntraced(function*(row, error, attempts) {
        const letter: DeadLetter = {
          ...base(row),
          stage: "write",
          error: { tag: error.reason._tag, message: error.message, column: null },
          attempts,
          record: CqlText.toObjectText(names[row.statement]!, row.values),
          raw: null
        }
        const tooManyNow = count(letter, row.place)
        if (tooManyNow !== null) return yield* tooManyNow
        hold(letter)
        if (held.length >= heldMax || heldCharacters >= heldCharactersMax) yield* flush
      }),
      finish: Effect.map(Effect.suspend(() => flush), () => written)
    }
  }

  return {
    begin: Effect.fnUntraced(function*(next) {
      run = next
      records = 0
      logged = countStages([])
      known = new Map(yield* letters.known(next.jobId, next.uid))
      const error = tooMany()
      if (error !== null) return yield* error
    }),
    total,
    byStage: () => {
      const { encode, read, write } = countStages(known.values())
      return { read: read + logged.read, encode: encode + logged.encode, write }
    },
    seen: () => {
      records++
    },
    misfit: (record, place, { column, problem: message }, out, timestamp) =>
      log(
        {
          meta: { stage: "encode", tag: "RecordRefused", message, column, isText: false, csv: null },
          record: CqlText.ofValue(record),
          raw: null
        },
        place,
        out,
        timestamp
      ),
    unreadable: ({ error: tag, place, problem: message, raw: { bytes, csv, text: given }, value }, out, timestamp) => {
      const text = value === undefined ? given : CqlText.ofValue(value)
      log(
        {
          meta: { stage: "read", tag, message, column: null, isText: text !== null, csv },
          record: null,
          raw: text === null ? bytes ?? new Uint8Array(0) : Buffer.from(text)
        },
        place,
        out,
        timestamp
      )
    },
    ofSegment
  }
}

/**
 * Without dead letters: a refused row ends the sink, and what an earlier run has set aside can't be dropped.
 *
 * @category constructors
 * @since 0.1.0
 */
export const noLetters = ({ checkpointId }: SegmentHandle): SegmentLetters<SinkMisuse> => ({
  rows: (logged) =>
    logged.some((row) => row.statement === letterStatement)
      ? Effect.fail(
        new SinkMisuse({
          reason: "no-dead-letters",
          detail:
            `The log holds dead letters of checkpoint ${checkpointId}, and there is nowhere to keep them now. Run ` +
            "once more with dead letters switched on until they are written."
        })
      )
      : Effect.succeed(logged),
  refused: undefined,
  finish: Effect.succeed(0)
})
