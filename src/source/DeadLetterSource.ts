/**
 * A file of dead letters as a source: the records in them, mended or not, to be loaded like any others.
 *
 * Of a letter counts what it holds as `record`, or else its `line` (or `bytes`), which is read again as it was the first
 * time. A letter that stands there twice is one; a line that a crash has cut off is passed over if its letter stands there
 * whole. A record is told by its line here and its place in the first input, and its row has the write timestamp that it would have had then.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import type { Located, Stage } from "../checkpoint/Element.ts"
import { BadRecord, Record } from "../checkpoint/Element.ts"
import * as CsvSource from "./CsvSource.ts"
import type { FileOptions } from "./FileFormat.ts"
import * as LosslessJson from "./LosslessJson.ts"
import * as NdjsonSource from "./NdjsonSource.ts"
import type { Source, SourceChunk } from "./Source.ts"
import type { SourceError } from "./SourceError.ts"

/**
 * The longest letter that is read: what Cassandra refuses for its size is in one.
 *
 * @category constants
 * @since 0.1.0
 */
export const letterBytesMax = 256 * 1024 ** 2

/**
 * How a file of dead letters is read: as any other, and `stage`, the only letters that are read; default all. The same has to be
 * given when a read is resumed.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeadLetterOptions extends FileOptions {
  readonly stage?: Stage | undefined
}

/**
 * A file of dead letters, as the source of a load.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeadLetterSource {
  readonly source: Source<object, SourceError, FileSystem.FileSystem>
  /** Of the row of the letter in this line: `WriteAheadSinkOptions.timestampOf`. */
  readonly timestampOf: (place: number) => number | null
  /** Of a row that Cassandra refused, the statement it is of: `WriteAheadSinkOptions.statementOf`. */
  readonly statementOf: (place: number) => string | null
  /** How many letters are read. */
  readonly letters: number
}

/** What is known of the letter in a line. */
interface Known {
  readonly id: string
  readonly at: Located
  readonly timestamp: number | null
  readonly statement: string | null
  readonly stage: unknown
}

type Fields = NdjsonSource.JsonObject

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const own = (fields: Fields, name: string): unknown => Object.hasOwn(fields, name) ? fields[name] : undefined

/**
 * Where the record of a letter stands in the input that it is from; null for what is no letter.
 *
 * @category getters
 * @since 0.1.0
 */
export const placeOf = (letter: Fields): Located | null => {
  const position = own(letter, "position")
  if (!isObject(position)) return null
  const at: Located = { input: String(position["input"]), place: Number(position["place"]) }
  return own(position, "unit") === "line" ? { ...at, unit: "line" } : at
}

const knownOf = (letter: Fields): Known | null => {
  const id = own(letter, "id")
  const at = placeOf(letter)
  if (typeof id !== "string" || at === null) return null
  const timestamp = Number(own(letter, "timestamp"))
  return {
    id,
    at,
    timestamp: Number.isSafeInteger(timestamp) && timestamp > 0 ? timestamp : null,
    statement: own(letter, "stage") === "write" ? String(own(letter, "statement")) : null,
    stage: own(letter, "stage")
  }
}

/** What tells one letter from another of the same id. Not the payload itself, which may be as long as a file. */
const payloadHash = (letter: Fields): string =>
  createHash("sha256").update(JSON.stringify([own(letter, "record"), own(letter, "line"), own(letter, "bytes")]))
    .digest("base64")

/** A line that a crash has cut off, whose letter was written again. */
const isTorn = (text: string, ids: ReadonlySet<string>): boolean => {
  if (text.includes("\0")) return true
  const [, id, closed] = /^\{"id":"([^"]*)("?)/.exec(text) ?? []
  if (id === undefined) return `{"id":"`.startsWith(text)
  return closed === "\"" ? ids.has(id) : [...ids].some((whole) => whole.startsWith(id))
}

const refuse = (place: number, problem: string, text: string, csv: BadRecord["raw"]["csv"] = null): BadRecord =>
  new BadRecord(place, "MalformedRecord", problem, { text, bytes: null, csv })

/** The line as it is parsed by its format; a text for what is wrong with it. */
const parseLine = (text: string, csv: BadRecord["raw"]["csv"]): object | string => {
  if (csv !== null) return CsvSource.parseRecord(text, csv)
  try {
    const value = LosslessJson.parse(text)
    return isObject(value) ? value : "a JSON object was expected"
  } catch (error) {
    return `this is not JSON: ${error instanceof Error ? error.message : String(error)}`
  }
}

const csvOf = (letter: Fields): BadRecord["raw"]["csv"] => {
  const csv = own(letter, "csv")
  if (!isObject(csv) || !Array.isArray(csv["columns"])) return null
  return {
    columns: csv["columns"].map(String),
    delimiter: String(csv["delimiter"] ?? ","),
    quote: csv["quote"] === null ? null : String(csv["quote"] ?? "\"")
  }
}

const recordOf = (letter: Fields, place: number): Record<object> | BadRecord => {
  const record = own(letter, "record")
  if (isObject(record)) return new Record(record, place)
  if (record !== undefined) return refuse(place, "its record is no JSON object", JSON.stringify(record))
  const csv = csvOf(letter)
  let line = own(letter, "line")
  if (line === undefined) {
    const bytes = Buffer.from(String(own(letter, "bytes") ?? ""), "base64")
    try {
      line = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    } catch {
      return new BadRecord(place, "MalformedRecord", "the line is not valid UTF-8", { text: null, bytes, csv })
    }
  }
  const parsed = parseLine(String(line), csv)
  return typeof parsed === "string" ? refuse(place, parsed, String(line), csv) : new Record(parsed, place)
}

/**
 * Reads the file once for what is in it: whether a line was cut off by a crash is told by what follows, and where rows are
 * from that an earlier run has logged by what was read then. A line that is no letter, and a letter that stands there twice and differs, is
 * a bad record in its turn.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  { stage, ...options }: DeadLetterOptions = {}
): Effect.fn.Return<DeadLetterSource, SourceError, FileSystem.FileSystem> {
  const lines = yield* NdjsonSource.make(path, {
    ...options,
    malformed: "reject",
    maxRecordBytes: letterBytesMax,
    reading: { ...options.reading, stage: stage ?? "" }
  })
  const known = new Map<number, Known>()
  const first = new Map<string, { readonly place: number; readonly hash: string }>()
  const problems = new Map<number, string>()
  yield* Stream.runForEach(lines.read(null), ({ records }) =>
    Effect.sync(() => {
      for (const { place, value } of records) {
        const letter = knownOf(value)
        if (letter === null) {
          problems.set(place, "it is no dead letter: it has no id, or no position")
          continue
        }
        const hash = payloadHash(value)
        const before = first.get(letter.id)
        if (before === undefined) {
          first.set(letter.id, { place, hash })
          if (stage === undefined || letter.stage === stage) known.set(place, letter)
        } else if (before.hash !== hash) {
          problems.set(place, `it is the letter of line ${before.place} and holds something else: keep one of them`)
        }
      }
    }))
  const ids = new Set(first.keys())

  const toChunk = ({ position, records, rejected = [] }: SourceChunk<Fields>): SourceChunk<object> => {
    const good: Array<Record<object>> = []
    const bad = rejected.filter(({ raw }) => !isTorn(raw.text ?? "\0", ids))
    for (const { place, value } of records) {
      const problem = problems.get(place)
      if (problem !== undefined) {
        bad.push(refuse(place, problem, JSON.stringify(value)))
        continue
      }
      if (!known.has(place)) continue
      const record = recordOf(value, place)
      if (record._tag === "Record") good.push(record)
      else bad.push(record)
    }
    return { records: good, rejected: bad, position }
  }

  return {
    source: {
      ...lines,
      read: (from) => Stream.map(lines.read(from), toChunk),
      locate: (place) => {
        const line = { input: path, place, unit: "line" } as const
        const at = known.get(place)?.at
        return at === undefined ? line : { ...at, via: line }
      }
    },
    timestampOf: (place) => known.get(place)?.timestamp ?? null,
    statementOf: (place) => known.get(place)?.statement ?? null,
    letters: known.size
  }
})
