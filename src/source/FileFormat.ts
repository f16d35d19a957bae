/**
 * What a format is to a file that is read in blocks: where records begin and end in the bytes at hand.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { BadRecord, RawRecord, Record } from "../checkpoint/Element.ts"
import type { Reading } from "./Reading.ts"
import { excerpt, InvalidOption, RecordTooLong, SourceError } from "./SourceError.ts"
import * as TextEncoding from "./TextEncoding.ts"

/**
 * How a file is read, whatever its format.
 *
 * - `blockBytes`: bytes read at once, and about the most that a chunk holds; default 256 KiB. Barriers go between
 *   chunks, so a larger block makes them wait longer.
 * - `maxRecords`: records in a chunk at most; default 4096.
 * - `maxRecordBytes`: the longest record accepted, without its line feed; default 16 MiB. Memory held is at most about
 *   twice that.
 * - `skip`: records at the start of the file that are passed over, whatever is in them; default 0. A header is none. Of CSV
 *   without one, the first record behind them tells the number of fields.
 * - `limit`: records read behind these at most; default null, all. A record that can't be read counts as one, here and in
 *   `skip`; a blank line does not.
 * - `encoding`: of the text, by one of its names in the Encoding Standard; default UTF-8. Bytes that are no text in it make
 *   their record one that can't be read.
 * - `placeOffset`: added to the line in a record's place; default 0. Readers of several files tell them by it.
 * - `reading`: what else the records depend on, by its name: a position can't be gone on from with another value; default none.
 * - `testArchive`: whether an archive is unpacked to its end before its first record is given; default true.
 * - `malformed`: what a record that is not what the format says does: `fail` (the default) ends the source there, `reject`
 *   hands it on as it is, for the dead letters, and reads on behind it. One that is too long, and a bad header, always fail.
 *
 * All others are whole numbers, of at least 1 but for `skip` and `placeOffset`.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileOptions {
  readonly blockBytes?: number | undefined
  readonly maxRecords?: number | undefined
  readonly maxRecordBytes?: number | undefined
  readonly skip?: number | undefined
  readonly limit?: number | null | undefined
  readonly encoding?: string | undefined
  readonly placeOffset?: number | undefined
  readonly reading?: Reading | undefined
  readonly testArchive?: boolean | undefined
  readonly malformed?: "fail" | "reject" | undefined
}

/**
 * The options with their defaults filled in.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileSettings {
  readonly blockBytes: number
  readonly maxRecords: number
  readonly maxRecordBytes: number
  readonly skip: number
  readonly limit: number | null
  readonly encoding: TextEncoding.TextEncoding
  readonly placeOffset: number
  readonly reading: Reading
  readonly testArchive: boolean
  readonly malformed: "fail" | "reject"
}

/**
 * The bytes read and not yet taken: `buffer[start, end)`, never empty, in UTF-8 for a format. `byte` is the offset of `start` in the file and
 * `line` the number of lines before it. With `final`, nothing follows in the file.
 *
 * @category models
 * @since 0.1.0
 */
export interface Window {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
  readonly byte: number
  readonly line: number
  readonly final: boolean
}

/**
 * What a format took from a window: the records in `buffer[start, end)`, with `end` behind the last of them, and how many
 * lines that was.
 *
 * @category models
 * @since 0.1.0
 */
export interface Taken<A> {
  readonly records: ReadonlyArray<Record<A>>
  readonly rejected?: ReadonlyArray<BadRecord> | undefined
  readonly end: number
  readonly lines: number
}

/**
 * A record at the start of a window that is not what the format says: it ends before `end`, where the next one may begin.
 *
 * @category models
 * @since 0.1.0
 */
export class Malformed {
  readonly error: SourceError
  readonly end: number
  readonly lines: number
  readonly csv: RawRecord["csv"]
  constructor(error: SourceError, end: number, lines: number, csv: RawRecord["csv"]) {
    this.error = error
    this.end = end
    this.lines = lines
    this.csv = csv
  }
}

/**
 * Takes records from the start of a window, `maxRecords` at most. `null` means that the window does not hold a whole one, and is not allowed for
 * a final window. A bad record is returned as an error only if it is the first thing in the window; otherwise what
 * stands before it is taken, so that everything before a bad record is delivered.
 *
 * @category models
 * @since 0.1.0
 */
export type Split<A> = (window: Window, maxRecords: number) => Taken<A> | Malformed | SourceError | null

/**
 * `header`, if given, takes the header from the start of the file; it is called before the first `split`, when resuming
 * too. `first` looks at the first record behind those that are skipped, and takes nothing; when resuming too. `tooLongHint` ends
 * the message about a record that is too long. `reading` is what a position depends on besides the encoding: the format's name,
 * and its options.
 *
 * @category models
 * @since 0.1.0
 */
export interface Format<A> {
  readonly header: Split<never> | null
  readonly first?: Split<never> | undefined
  readonly split: Split<A>
  readonly tooLongHint: string
  readonly reading?: Reading | undefined
}

/**
 * A `RecordTooLong` for the record that starts at `index` of the window, on the line after `line`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tooLong = (
  path: string,
  window: Window,
  index: number,
  line: number,
  maxBytes: number,
  hint: string
): SourceError =>
  new SourceError({
    reason: new RecordTooLong({
      input: path,
      line: line + 1,
      byte: window.byte + index - window.start,
      maxBytes,
      excerpt: excerptAt(window, index, window.end),
      hint
    })
  })

/**
 * The excerpt of a record that starts at `index` of the window and ends at or before `end`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const excerptAt = (window: Window, index: number, end: number): string =>
  // 4 bytes a character and one character more, so that the excerpt notices what it leaves out
  excerpt(window.buffer.toString("utf8", index, Math.min(end, index + 324)))

/**
 * The options with their defaults, or `InvalidOption`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settingsOf = Effect.fnUntraced(function*(path: string, options: FileOptions) {
  const encoding = options.encoding === undefined ? TextEncoding.utf8 : TextEncoding.make(options.encoding)
  if (encoding === null) {
    const problem = `is ${excerpt(String(options.encoding))}, and must be ${TextEncoding.expectedNames}`
    return yield* new SourceError({ reason: new InvalidOption({ input: path, option: "encoding", problem }) })
  }
  const settings: FileSettings = {
    encoding,
    blockBytes: options.blockBytes ?? 256 * 1024,
    maxRecords: options.maxRecords ?? 4096,
    maxRecordBytes: options.maxRecordBytes ?? 16 * 1024 * 1024,
    skip: options.skip ?? 0,
    limit: options.limit ?? null,
    placeOffset: options.placeOffset ?? 0,
    reading: options.reading ?? {},
    testArchive: options.testArchive ?? true,
    malformed: options.malformed ?? "fail"
  }
  for (const option of ["blockBytes", "maxRecords", "maxRecordBytes", "limit", "skip"] as const) {
    const value = settings[option]
    const least = option === "skip" ? 0 : 1
    if (value !== null && (!Number.isSafeInteger(value) || value < least)) {
      const problem = `must be a whole number of at least ${least}, not ${value}`
      return yield* new SourceError({ reason: new InvalidOption({ input: path, option, problem }) })
    }
  }
  return settings
})
