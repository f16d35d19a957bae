/**
 * Files of one JSON object a line (NDJSON, JSON Lines).
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import { isUtf8 } from "node:buffer"
import { Record } from "../checkpoint/Element.ts"
import * as FileFormat from "./FileFormat.ts"
import * as FileInput from "./FileInput.ts"
import * as LosslessJson from "./LosslessJson.ts"
import type { Source } from "./Source.ts"
import { excerpt, MalformedRecord, SourceError } from "./SourceError.ts"

const lineFeed = 0x0a

/**
 * A JSON object as it was parsed. Fields are own properties only, a field named `__proto__` too: look them up with
 * `Object.hasOwn`, and do not copy them with `Object.assign`.
 *
 * @category models
 * @since 0.1.0
 */
export interface JsonObject {
  readonly [field: string]: unknown
}

/**
 * `losslessNumbers` (default true): numbers written with sixteen or more digits, and those beyond a double, arrive as strings of these digits, see
 * `LosslessJson.parse`. With false they are doubles, rounded where they do not fit.
 *
 * @category models
 * @since 0.1.0
 */
export interface NdjsonOptions extends FileFormat.FileOptions {
  readonly losslessNumbers?: boolean | undefined
}

const malformed = (path: string, window: FileFormat.Window, end: number, problem: string): FileFormat.Malformed =>
  new FileFormat.Malformed(
    new SourceError({
      reason: new MalformedRecord({
        input: path,
        line: window.line + 1,
        byte: window.byte,
        excerpt: FileFormat.excerptAt(window, window.start, end),
        problem
      })
    }),
    Math.min(end + 1, window.end),
    1,
    null
  )

const kindOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`

const endOfLine = (buffer: Buffer, from: number, end: number): number => {
  const index = buffer.indexOf(lineFeed, from)
  return index < 0 || index >= end ? end : index
}

/** The start of the first line that is not UTF-8. */
const firstInvalidLine = (buffer: Buffer, start: number, end: number): number => {
  let from = start
  while (from < end) {
    const to = endOfLine(buffer, from, end)
    if (!isUtf8(buffer.subarray(from, to))) return from
    from = to + 1
  }
  return end
}

/** What is wrong with a line, or null for a JSON object. */
const complaint = (line: string, parse: (text: string) => unknown): string | null => {
  try {
    const value = parse(line)
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? null
      : `a JSON object was expected, found ${kindOf(value)}`
  } catch (error) {
    return `this is not JSON: ${excerpt(error instanceof Error ? error.message : String(error))}`
  }
}

/** Bytes that are looked at behind a bad line: where there are many, not all of a block is made a string for each. */
const reachMin = 4096

const format =
  (path: string, lossless: boolean) => (settings: FileFormat.FileSettings): FileFormat.Format<JsonObject> => {
    const tooLongHint = "Check that the lines end with line feeds"
    const { maxRecordBytes, placeOffset } = settings
    /** Doubled by each look that finds nothing bad. */
    let reach = Number.POSITIVE_INFINITY
    const endWithin = ({ buffer, end, final, start }: FileFormat.Window): number => {
      if (start + reach < end) {
        const near = buffer.lastIndexOf(lineFeed, start + reach - 1) + 1
        const behind = near > start ? near : buffer.indexOf(lineFeed, start + reach) + 1
        if (behind > start && behind <= end) return behind
      }
      return final ? end : buffer.lastIndexOf(lineFeed, end - 1) + 1
    }
    const split: FileFormat.Split<JsonObject> = (window, maxRecords) => {
      const { buffer, start } = window
      let end = endWithin(window)
      if (end <= start) return null
      reach *= 2
      if (!isUtf8(buffer.subarray(start, end))) {
        end = firstInvalidLine(buffer, start, end)
        reach = reachMin
        if (end === start) {
          return malformed(
            path,
            window,
            endOfLine(buffer, start, window.end),
            `the line is not valid ${settings.encoding.name}`
          )
        }
      }
      // One string for all lines: slices of it cost nothing, and JSON.parse copies what it keeps.
      const text = buffer.toString("utf8", start, end)
      const ascii = text.length === end - start
      const parse = LosslessJson.parserFor(text, lossless)
      const records: Array<Record<JsonObject>> = []
      let line = window.line
      let from = 0
      let bad = false
      try {
        while (from < text.length && records.length < maxRecords) {
          let to = text.indexOf("\n", from)
          if (to < 0) to = text.length
          if ((to - from) * 3 > maxRecordBytes && Buffer.byteLength(text.slice(from, to)) > maxRecordBytes) {
            bad = true
            break
          }
          // A carriage return is white space to JSON.
          if (to > from) {
            const source = text.slice(from, to)
            if (source.charCodeAt(0) > 0x20 || source.trim() !== "") {
              const value = parse(source)
              if (typeof value !== "object" || value === null || Array.isArray(value)) {
                bad = true
                break
              }
              records.push(new Record(value as JsonObject, line + 1 + placeOffset))
            }
          }
          line++
          from = to + 1
        }
      } catch {
        bad = true
      }
      if (bad) reach = reachMin
      if (bad && from === 0) {
        const to = endOfLine(buffer, start, end)
        if (to - start > maxRecordBytes) {
          return FileFormat.tooLong(path, window, start, window.line, maxRecordBytes, tooLongHint)
        }
        return malformed(path, window, to, complaint(buffer.toString("utf8", start, to), parse) ?? "it cannot be read")
      }
      const taken = from >= text.length ? end : start + (ascii ? from : Buffer.byteLength(text.slice(0, from)))
      return { records, end: taken, lines: line - window.line }
    }
    return { header: null, split, tooLongHint, reading: { format: "ndjson" } }
  }

/**
 * A source of the JSON objects in a file, one a line. The place of a record is its line number, the first line being 1.
 *
 * Lines end with LF or CRLF; the last one may end with the file. Blank lines are skipped, and counted. A byte order mark
 * is skipped. Fails with `MalformedRecord` at a line that is not a JSON object or no text in its encoding, after everything
 * before it was delivered (or hands the line on, with `malformed: "reject"`); with `RecordTooLong`; with `InputChanged` when resumed on a file whose read part differs.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  path: string,
  options: NdjsonOptions = {}
): Effect.Effect<Source<JsonObject, SourceError, FileSystem.FileSystem>, SourceError, FileSystem.FileSystem> =>
  FileInput.make(path, options, format(path, options.losslessNumbers ?? true))
