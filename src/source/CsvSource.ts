/**
 * Files of comma-separated values, with any one-character delimiter.
 *
 * @since 0.1.0
 */
import { parse } from "csv-parse/sync"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import { isUtf8 } from "node:buffer"
import { Record } from "../checkpoint/Element.ts"
import * as CsvScan from "./CsvScan.ts"
import * as FileFormat from "./FileFormat.ts"
import * as FileInput from "./FileInput.ts"
import type { Source } from "./Source.ts"
import { excerpt, InvalidOption, MalformedRecord, SourceError } from "./SourceError.ts"

const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * The fields of a record by column. A field written as nothing is `null`; `""` in the file is the empty string.
 *
 * @category models
 * @since 0.1.0
 */
export interface CsvRecord {
  readonly [column: string]: string | null
}

/**
 * - `columns`: the names of the columns. Without it the first record names them.
 * - `header`: whether the first record is a header. Default: true without `columns`, false with. True with `columns`
 *   skips a header in favour of the names given; false without `columns` names them by their number: `0`, `1`, ...
 * - `delimiter`: one ASCII character between fields; default `,`.
 * - `quote`: one ASCII character around fields, or null if nothing is quoted; default `"`. Inside a quoted field it is
 *   written twice.
 *
 * @category models
 * @since 0.1.0
 */
export interface CsvOptions extends FileFormat.FileOptions {
  readonly columns?: ReadonlyArray<string> | undefined
  readonly header?: boolean | undefined
  readonly delimiter?: string | undefined
  readonly quote?: string | null | undefined
}

interface Dialect {
  readonly delimiter: string
  readonly quote: string | null
  readonly columns: ReadonlyArray<string> | null
  readonly header: boolean
}

/** Every setting that csv-parse would otherwise guess from the data is given, so that each block is read alike. */
const parseFields = (data: Buffer, dialect: Pick<Dialect, "delimiter" | "quote">): Array<Array<string>> =>
  parse(data, {
    delimiter: dialect.delimiter,
    quote: dialect.quote,
    escape: dialect.quote,
    record_delimiter: ["\r\n", "\n"],
    columns: false,
    bom: false,
    skip_empty_lines: true,
    relax_column_count: true
  })

/** What is wrong with column names, or null. */
const columnsProblem = (columns: ReadonlyArray<string>): string | null => {
  const seen = new Set<string>()
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i]!
    if (column.trim() === "") return `column ${i + 1} has no name`
    if (seen.has(column)) return `two columns are named ${excerpt(column)}`
    seen.add(column)
  }
  return null
}

const malformed = (
  path: string,
  window: FileFormat.Window,
  index: number,
  line: number,
  problem: string
): SourceError =>
  new SourceError({
    reason: new MalformedRecord({
      input: path,
      line: line + 1,
      byte: window.byte + index - window.start,
      excerpt: FileFormat.excerptAt(window, index, endOfLine(window, index)),
      problem
    })
  })

const endOfLine = (window: FileFormat.Window, index: number): number => {
  const found = window.buffer.indexOf(lineFeed, index)
  const end = found < 0 || found > window.end ? window.end : found
  return end > index && window.buffer[end - 1] === carriageReturn ? end - 1 : end
}

/** Records that are looked at behind one that is no text: where there are many, not all of a block is scanned for each. */
const reachMin = 16

const format =
  (path: string, dialect: Dialect) => (settings: FileFormat.FileSettings): FileFormat.Format<CsvRecord> => {
    const tooLongHint = "Check that no quote is left open"
    const rules: CsvScan.ScanRules = {
      delimiter: dialect.delimiter.charCodeAt(0),
      quote: dialect.quote === null ? -1 : dialect.quote.charCodeAt(0),
      fields: 0,
      maxRecords: 1,
      maxRecordBytes: settings.maxRecordBytes
    }
    let columns = dialect.columns
    let recordRules = rules
    /** Doubled by each look that finds nothing of the kind. */
    let reach = Number.POSITIVE_INFINITY

    const failure = (window: FileFormat.Window, index: number, line: number, problem: string): SourceError =>
      problem === "long"
        ? FileFormat.tooLong(path, window, index, line, settings.maxRecordBytes, tooLongHint)
        : malformed(path, window, index, line, problem)

    /**
     * A record of the wrong length ends where it ends. Where quotes make no sense, nobody knows: then what is set aside is the
     * line it starts on, and the next one is read as a record.
     */
    const malformedAt = (
      window: FileFormat.Window,
      error: SourceError,
      end: number | null,
      lines: number
    ): FileFormat.Malformed | null => {
      const csv = { columns: columns ?? [], delimiter: dialect.delimiter, quote: dialect.quote }
      if (end !== null) return new FileFormat.Malformed(error, end, lines, csv)
      const lineEnd = window.buffer.indexOf(lineFeed, window.start)
      if (lineEnd >= 0 && lineEnd < window.end) return new FileFormat.Malformed(error, lineEnd + 1, lines, csv)
      // The rest of the line is still to be read.
      return window.final ? new FileFormat.Malformed(error, window.end, lines, csv) : null
    }

    const fieldsOf = (window: FileFormat.Window, start: number, end: number): Array<Array<string>> =>
      // The file may end between a carriage return and its line feed.
      parseFields(
        window.buffer.subarray(start, end === window.end && window.buffer[end - 1] === carriageReturn ? end - 1 : end),
        dialect
      )

    /** The fields of the first record that is one are as many as all the others have to have. */
    const first: FileFormat.Split<never> = (window) => {
      const { buffer, end, final, line, start } = window
      const seen = { records: [], end: start, lines: 0 }
      let at = start
      while (true) {
        const scanned = CsvScan.scan(buffer, at, end, line, final, rules)
        if (scanned.starts.length > 0) {
          columns = fieldsOf(window, scanned.starts[0]!, scanned.end)[0]!.map((_, i) => String(i))
          return seen
        }
        const isRejected = scanned.problem !== null && scanned.problem !== "long" && settings.malformed === "reject"
        if (scanned.problem !== null && !isRejected) {
          return failure(window, scanned.end, scanned.line, scanned.problem)
        }
        const lineEnd = scanned.problem === null ? -1 : buffer.indexOf(lineFeed, scanned.end)
        if (lineEnd < 0 || lineEnd >= end) return final ? seen : null
        at = lineEnd + 1
      }
    }

    const header: FileFormat.Split<never> = (window) => {
      const { buffer, end, final, line, start } = window
      const scanned = CsvScan.scan(buffer, start, end, line, final, rules)
      if (scanned.problem !== null) return failure(window, scanned.end, scanned.line, scanned.problem)
      if (scanned.starts.length === 0) return final ? { records: [], end, lines: scanned.line - line } : null
      if (columns === null) {
        const at = scanned.starts[0]!
        const before = scanned.lines[0]!
        if (!isUtf8(buffer.subarray(at, scanned.end))) {
          return malformed(path, window, at, before, `the header is not valid ${settings.encoding.name}`)
        }
        const names = fieldsOf(window, at, scanned.end)[0]!
        const problem = columnsProblem(names) ?? (names.some((name) => /[\r\n]/.test(name))
          ? "a column name holds a line break (lines must end with LF or CRLF)"
          : null)
        if (problem !== null) return malformed(path, window, at, before, `in the header, ${problem}`)
        columns = names
      }
      return { records: [], end: scanned.end, lines: scanned.line - line }
    }

    const split: FileFormat.Split<CsvRecord> = (window, recordsMax) => {
      const maxRecords = Math.min(recordsMax, reach)
      reach *= 2
      // Not known before the first record behind those that are skipped, which may have any number of fields.
      const names = columns ?? []
      if (recordRules.fields !== names.length || recordRules.maxRecords !== maxRecords) {
        recordRules = { ...rules, fields: names.length, maxRecords }
      }
      const { buffer, end, final, line, start } = window
      const scanned = CsvScan.scan(buffer, start, end, line, final, recordRules)
      if (scanned.problem !== null && scanned.end === start) {
        const error = failure(window, start, line, scanned.problem)
        if (scanned.problem === "long") return error
        return malformedAt(window, error, scanned.problemEnd, scanned.problemLines)
      }
      if (scanned.end === start) return null
      const { lines, starts } = scanned
      let count = starts.length
      let taken = scanned.end
      let lineAfter = scanned.line
      if (!isUtf8(buffer.subarray(start, taken))) {
        reach = reachMin
        count = 0
        while (isUtf8(buffer.subarray(starts[count]!, starts[count + 1] ?? taken))) count++
        taken = starts[count]!
        lineAfter = lines[count]!
        if (taken === start) {
          const error = malformed(path, window, start, line, `the record is not valid ${settings.encoding.name}`)
          // Without the blank lines behind it.
          const own = CsvScan.scan(buffer, start, end, line, final, { ...recordRules, maxRecords: 1 })
          return malformedAt(window, error, own.end, own.line - line)
        }
      }
      const rows = count === 0 ? [] : fieldsOf(window, start, taken)
      if (rows.length !== count) {
        throw new Error(`${path}: ${count} records were found from line ${line + 1} on, but ${rows.length} were parsed`)
      }
      return {
        records: toRecords(rows, names, lines, scanned.emptyQuoted, settings.placeOffset),
        end: taken,
        lines: lineAfter - line
      }
    }

    const { delimiter, header: hasHeader, quote } = dialect
    return {
      header: hasHeader ? header : null,
      ...columns === null && !hasHeader ? { first } : {},
      split,
      tooLongHint,
      reading: { format: "csv", delimiter, header: String(hasHeader), quote: quote ?? "" }
    }
  }

const toRecords = (
  rows: ReadonlyArray<ReadonlyArray<string>>,
  names: ReadonlyArray<string>,
  lines: ReadonlyArray<number>,
  emptyQuoted: ReadonlyArray<number>,
  placeOffset: number
): Array<Record<CsvRecord>> => {
  const records: Array<Record<CsvRecord>> = []
  // `record["__proto__"] = text` would set the prototype and lose the field.
  const unsafe = names.includes("__proto__")
  let nextEmpty = 0
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    const record: { [column: string]: string | null } = {}
    for (let j = 0; j < names.length; j++) {
      let value: string | null = row[j]!
      if (value === "") {
        if (emptyQuoted[nextEmpty] === i && emptyQuoted[nextEmpty + 1] === j) nextEmpty += 2
        else value = null
      }
      if (unsafe) {
        Object.defineProperty(record, names[j]!, { value, enumerable: true, writable: true, configurable: true })
      } else {
        record[names[j]!] = value
      }
    }
    records.push(new Record(record as CsvRecord, lines[i]! + 1 + placeOffset))
  }
  return records
}

/**
 * One record that is not in a file, by the names of its columns; a text for what is wrong with it.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseRecord = (
  text: string,
  dialect: { readonly columns: ReadonlyArray<string>; readonly delimiter: string; readonly quote: string | null }
): CsvRecord | string => {
  const { columns, delimiter, quote } = dialect
  const buffer = Buffer.from(text)
  const { emptyQuoted, end, lines, problem, starts } = CsvScan.scan(buffer, 0, buffer.length, 0, true, {
    delimiter: delimiter.charCodeAt(0),
    quote: quote === null ? -1 : quote.charCodeAt(0),
    fields: columns.length,
    maxRecords: 2,
    maxRecordBytes: Number.POSITIVE_INFINITY
  })
  if (problem !== null) return problem
  if (starts.length !== 1) return `it has ${starts.length === 0 ? "no record" : "more than one record"}`
  const rows = parseFields(buffer.subarray(0, end), { delimiter, quote })
  return toRecords(rows, columns, lines, emptyQuoted, 0)[0]!.value
}

const isPlainCharacter = (text: string): boolean => /^[\t\u0020-\u007e]$/.test(text)

const dialectOf = (path: string, options: CsvOptions): Dialect | SourceError => {
  const invalid = (option: string, problem: string) =>
    new SourceError({ reason: new InvalidOption({ input: path, option, problem }) })
  const delimiter = options.delimiter ?? ","
  const quote = options.quote === undefined ? "\"" : options.quote
  const columns = options.columns ?? null
  const header = options.header ?? columns === null
  if (!isPlainCharacter(delimiter)) return invalid("delimiter", "must be one ASCII character")
  if (quote !== null && !isPlainCharacter(quote)) return invalid("quote", "must be one ASCII character, or null")
  if (quote === delimiter) return invalid("quote", "must not be the delimiter")
  if (columns === null) return { delimiter, quote, columns, header }
  if (columns.length === 0) return invalid("columns", "names no column")
  const problem = columnsProblem(columns)
  return problem === null ? { delimiter, quote, columns, header } : invalid("columns", `cannot be used: ${problem}`)
}

/**
 * A source of the records of a CSV file. The place of a record is the line it starts on, the first line being 1.
 *
 * Lines end with LF or CRLF; blank lines are skipped, and counted; a byte order mark is skipped. Values are strings or
 * null and are not trimmed. Fails with `MalformedRecord` at a record with another number of fields than the header, a
 * misplaced or unclosed quote, or what is no text in the file's encoding, after everything before it was delivered (or hands it on, with
 * `malformed: "reject"`), and at a header with an
 * empty or repeated name; with `RecordTooLong`; with `InvalidOption`; with `InputChanged` when resumed on a file whose
 * read part differs.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  options: CsvOptions = {}
): Effect.fn.Return<
  Source<CsvRecord, SourceError, FileSystem.FileSystem>,
  SourceError,
  FileSystem.FileSystem
> {
  const dialect = dialectOf(path, options)
  if (dialect instanceof SourceError) return yield* dialect
  return yield* FileInput.make(path, options, format(path, dialect))
})
