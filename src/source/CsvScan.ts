/**
 * Where the records of a CSV text begin and end, found without building any value.
 *
 * The rules are RFC 4180's: a field is quoted if its first character is the quote; inside, a doubled quote stands for
 * one, and line breaks and delimiters are text. Everything else that holds a quote is refused, because guessing would
 * move the borders of all records that follow.
 *
 * @since 0.1.0
 */

const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * `quote` is -1 for a format without quotes. `fields` is the number of fields that each record must have, 0 for any.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScanRules {
  readonly delimiter: number
  readonly quote: number
  readonly fields: number
  readonly maxRecords: number
  readonly maxRecordBytes: number
}

/**
 * Whole records from the start of a window.
 *
 * - `starts[i]`, `lines[i]`: the index of record `i` in the buffer, and the number of lines before it.
 * - `end`, `line`: behind the last whole record and the blank lines after it.
 * - `emptyQuoted`: pairs of record and field number, for fields written as two quotes; all other empty fields were
 *   written as nothing.
 * - `problem`: why the record at `end` cannot be taken, or null if there is no such record. `"long"` for one over the
 *   limit.
 * - `problemEnd`, `problemLines`: the index behind that record and the lines it has, if that can be told; null and 1.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scanned {
  readonly starts: Array<number>
  readonly lines: Array<number>
  end: number
  line: number
  readonly emptyQuoted: Array<number>
  problem: string | null
  problemEnd: number | null
  problemLines: number
}

/**
 * Scans `buffer[start, end)`, which begins at the start of a record and has `line` lines before it. A record that
 * reaches `end` counts as whole only if the window is `final`.
 *
 * @category parsing
 * @since 0.1.0
 */
export const scan = (
  buffer: Buffer,
  start: number,
  end: number,
  line: number,
  final: boolean,
  rules: ScanRules
): Scanned => {
  const { delimiter, fields, maxRecordBytes, maxRecords, quote } = rules
  const found: Scanned = {
    starts: [],
    lines: [],
    end: start,
    line,
    emptyQuoted: [],
    problem: null,
    problemEnd: null,
    problemLines: 1
  }
  let at = start
  while (at < end && found.starts.length < maxRecords) {
    const first = buffer[at]
    if (first === lineFeed || (first === carriageReturn && (at + 1 < end ? buffer[at + 1] === lineFeed : final))) {
      at += first === lineFeed || at + 1 === end ? 1 : 2
      found.end = at
      found.line++
      continue
    }
    const begin = at
    let field = 0
    let breaks = 0
    let terminator = 0
    while (true) {
      if (at < end && buffer[at] === quote) {
        at++
        const opened = at
        while (at < end) {
          const byte = buffer[at]
          if (byte === quote) {
            if (at + 1 < end && buffer[at + 1] === quote) at++
            else break
          } else if (byte === lineFeed) {
            breaks++
          }
          at++
        }
        if (at >= end) {
          if (final) found.problem = "a quoted field is opened and never closed"
          return found
        }
        if (at === opened) found.emptyQuoted.push(found.starts.length, field)
        at++
        if (at >= end) {
          // The quote may be the first half of a doubled one.
          if (!final) return found
          break
        }
        if (buffer[at] === carriageReturn) {
          if (at + 1 >= end && !final) return found
          if (at + 1 >= end || buffer[at + 1] === lineFeed) at++
        }
        if (at >= end) break
        if (buffer[at] === lineFeed) {
          terminator = 1
          break
        }
        if (buffer[at] !== delimiter) {
          found.problem = `field ${field + 1} has text behind its closing quote ` +
            "(a quote inside a quoted field is written twice)"
          return found
        }
      } else {
        let byte = -1
        while (at < end) {
          byte = buffer[at]!
          if (byte === delimiter || byte === lineFeed || byte === quote) break
          at++
        }
        if (at >= end) {
          if (!final) return found
          break
        }
        if (byte === lineFeed) {
          terminator = 1
          break
        }
        if (byte === quote) {
          found.problem = `field ${field + 1} has a quote and does not begin with one ` +
            "(a field with quotes is quoted as a whole, and its quotes are written twice)"
          return found
        }
      }
      at++
      field++
    }
    if (at - begin > maxRecordBytes) {
      found.problem = "long"
      return found
    }
    if (fields > 0 && field + 1 !== fields) {
      found.problem = `the record has ${field + 1} fields where ${fields} were expected`
      found.problemEnd = at + terminator
      found.problemLines = breaks + 1
      return found
    }
    at += terminator
    found.starts.push(begin)
    found.lines.push(found.line)
    found.end = at
    found.line += breaks + 1
  }
  return found
}
