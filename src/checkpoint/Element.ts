/**
 * What flows from a source to a sink: records, those that could not be read, and the barriers between them.
 *
 * A barrier travels in band. Whatever stands between a source and a sink passes every element on in order and finishes
 * what it holds before it lets a barrier pass, so that a barrier cuts the stream at the same place for everyone.
 *
 * @since 0.1.0
 */
import type { Position } from "./Position.ts"

/**
 * A record with its place in the source.
 *
 * `place` is what an error about this record shows to a person: the line number for a file (the first line is 1), the
 * index for an iterable (the first element is 0). It is stored with the row in the log.
 *
 * @category models
 * @since 0.1.0
 */
export class Record<out A> {
  readonly _tag = "Record"
  readonly value: A
  readonly place: number
  constructor(value: A, place: number) {
    this.value = value
    this.place = place
  }
}

/**
 * Where a record is, for a person. `unit` is what places count, where it is not simply records: in a file, lines. `via` is where
 * it is read now, where that is not the input that it is of: the line of its dead letter.
 *
 * @category models
 * @since 0.1.0
 */
export interface Located {
  readonly input: string
  readonly place: number
  readonly unit?: "line" | undefined
  readonly via?: Omit<Located, "via"> | undefined
}

/**
 * A place for a message: `flights.ndjson, line 151`, or `letters.ndjson, line 3 (of flights.ndjson, line 151)`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const placeText = ({ input, place, unit, via }: Located): string => {
  const text = unit === "line" ? `${input}, line ${place}` : `${input}, record at ${place}`
  return via === undefined ? text : `${placeText(via)} (of ${text})`
}

/**
 * Where a bad record can fail: when it is read from the source (and goes through the operators), made a row of, or written.
 *
 * @category constants
 * @since 0.1.0
 */
export const stages = ["read", "encode", "write"] as const

/**
 * One of the `stages`.
 *
 * @category models
 * @since 0.1.0
 */
export type Stage = (typeof stages)[number]

/**
 * What a source could not read, word for word: a text, or bytes that are none. A line of CSV comes with what tells its
 * fields apart.
 *
 * @category models
 * @since 0.1.0
 */
export interface RawRecord {
  readonly text: string | null
  readonly bytes: Uint8Array | null
  readonly csv: {
    readonly columns: ReadonlyArray<string>
    readonly delimiter: string
    readonly quote: string | null
  } | null
}

/**
 * A record that its source could not read and was told to hand on (`malformed: "reject"`), or for which an operator threw. It
 * travels with the records, so that it belongs to the same checkpoint, and goes to the dead letters instead of the table.
 *
 * @category models
 * @since 0.1.0
 */
export class BadRecord {
  readonly _tag = "BadRecord"
  readonly place: number
  /** The tag of the error that it would have been. */
  readonly error: string
  readonly problem: string
  readonly raw: RawRecord
  /** What an operator was given, if that is where it failed: it is kept as JSON, in place of `raw`. */
  readonly value: unknown
  constructor(place: number, error: string, problem: string, raw: RawRecord, value?: unknown) {
    this.place = place
    this.error = error
    this.problem = problem
    this.raw = raw
    this.value = value
  }
}

/**
 * Everything before this barrier belongs to checkpoint `checkpointId` or an earlier one, everything after it to a later
 * one.
 *
 * @category models
 * @since 0.1.0
 */
export class Barrier {
  readonly _tag = "Barrier"
  readonly checkpointId: number
  /** Where the source resumes when this checkpoint is the one restored; null before the first record. */
  readonly position: Position | null
  /** Records that the source gave before this barrier, over all runs of the job. */
  readonly records: number
  /** The source has ended: no record follows. */
  readonly finished: boolean
  constructor(checkpointId: number, position: Position | null, records: number, finished: boolean) {
    this.checkpointId = checkpointId
    this.position = position
    this.records = records
    this.finished = finished
  }
}

/**
 * What a stream between source and sink is made of.
 *
 * @category models
 * @since 0.1.0
 */
export type Element<A> = Record<A> | BadRecord | Barrier
