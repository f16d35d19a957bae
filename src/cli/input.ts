/**
 * The source of a command: one file or several, and the fields of its records.
 *
 * @since 0.1.0
 */
import type * as CliError from "effect/cli/CliError"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Record } from "../checkpoint/Element.ts"
import * as CsvSource from "../source/CsvSource.ts"
import * as DeadLetterSource from "../source/DeadLetterSource.ts"
import type { FileOptions } from "../source/FileFormat.ts"
import * as FilesSource from "../source/FilesSource.ts"
import * as NdjsonSource from "../source/NdjsonSource.ts"
import type { Source } from "../source/Source.ts"
import type { SourceError } from "../source/SourceError.ts"
import * as Files from "./files.ts"
import type { Fields } from "./inferInsert.ts"
import { someOf } from "./nearest.ts"
import type { InputOptions } from "./options.ts"
import * as Settings from "./settings.ts"
import { FieldsRefused } from "./statement.ts"
import { withHint } from "./takenFor.ts"

type FileSource = Source<object, SourceError, FileSystem.FileSystem>

/**
 * `isNumbered`: the fields have numbers for names. `timestampOf`: the write timestamps that rows of dead letters have, and
 * `statementOf` the one statement that such a row is of.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  readonly source: FileSource
  readonly files: ReadonlyArray<string>
  readonly fields: Fields
  readonly isNumbered: boolean
  readonly timestampOf?: ((place: number) => number | null) | undefined
  readonly statementOf?: ((place: number) => string | null) | undefined
}

const openOne = (
  format: Settings.Format,
  path: string,
  options: FileOptions
): Effect.Effect<FileSource, SourceError, FileSystem.FileSystem> =>
  format.kind === "csv"
    ? CsvSource.make(path, { ...options, delimiter: format.delimiter, header: format.header })
    : NdjsonSource.make(path, options)

const firstRecords = (source: FileSource) =>
  source.read(null).pipe(
    Stream.filter((chunk) => chunk.records.length > 0),
    Stream.runHead,
    Effect.map(Option.match({ onNone: () => [], onSome: (chunk) => chunk.records }))
  )

/** Each field that holds one of these texts is null, as if it had been written so. */
const withNulls = (source: FileSource, texts: ReadonlyArray<string> | undefined): FileSource => {
  if (texts === undefined) return source
  const nulls = new Set<unknown>(texts)
  return {
    ...source,
    read: (from) =>
      Stream.map(source.read(from), (chunk) => {
        // The records are the source's own, and nobody has seen them yet.
        for (const { value } of chunk.records as ReadonlyArray<Record<{ [field: string]: unknown }>>) {
          for (const field of Object.keys(value)) if (nulls.has(value[field])) value[field] = null
        }
        return chunk
      })
  }
}

const firstNames = (source: FileSource) =>
  Effect.map(firstRecords(source), (records) => [...new Set(records.flatMap(({ value }) => Object.keys(value)))])

const openLetters = Effect.fnUntraced(function*(
  path: string,
  timestamps: "original" | "now",
  nullStrings: ReadonlyArray<string> | undefined,
  settings: DeadLetterSource.DeadLetterOptions
): Effect.fn.Return<Input, SourceError, FileSystem.FileSystem> {
  const { source, statementOf, timestampOf } = yield* DeadLetterSource.make(path, settings)
  const names = yield* firstNames(source)
  return {
    source: withNulls(source, nullStrings),
    files: [path],
    fields: { input: source.describe, names, isComplete: false },
    isNumbered: names.length > 0 && names.every((name) => /^\d+$/.test(name)),
    timestampOf: timestamps === "original" ? timestampOf : undefined,
    statementOf
  }
})

/** Files of CSV are one table only if they have the same columns: a missing one would be left unset without a word. */
const checkHeaders = Effect.fnUntraced(function*(
  format: Settings.Format,
  files: ReadonlyArray<string>,
  { encoding, malformed, skip }: FileOptions
) {
  const headers = yield* Effect.forEach(
    files,
    (path) =>
      Effect.flatMap(
        openOne(format, path, { encoding, malformed, skip, maxRecords: 1, blockBytes: 16 * 1024, testArchive: false }),
        firstRecords
      )
        .pipe(
          Effect.map(([record]) => ({ path, names: record === undefined ? null : Object.keys(record.value) }))
        ),
    { concurrency: 8 }
  )
  const first = headers.find(({ names }) => names !== null)
  const other = headers.find(({ names }) =>
    names !== null && names.toSorted().join("\0") !== first!.names!.toSorted().join("\0")
  )
  if (other === undefined) return
  return yield* new FieldsRefused({
    input: other.path,
    target: "one table together with the other files",
    problems: [
      `it has the fields ${someOf(other.names!)}, and ${first!.path} has ${
        someOf(first!.names!)
      }: load them one after ` +
      `the other, each by a --job of its own`
    ]
  })
})

/**
 * Opens the files and looks at their first records.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = Effect.fnUntraced(function*(
  options: InputOptions,
  reading: FileOptions = {}
): Effect.fn.Return<Input, CliError.CliError | FieldsRefused | SourceError, FileSystem.FileSystem> {
  if (options.replay !== undefined) {
    return yield* openLetters(options.files[0]!, options.replay, options.nullStrings, {
      ...reading,
      stage: options.stage
    })
  }
  const settings = { ...reading, skip: options.skipRecords, limit: options.maxRecords, encoding: options.encoding }
  const files = yield* Files.expand(options.files)
  const format = yield* Settings.format(options, files)
  // What a pattern stands for may grow, so its position is one in several files even if there is one only now.
  const isOne = files.length === 1 && options.files.length === 1 && options.files[0] === files[0]
  const source = isOne
    ? yield* openOne(format, files[0]!, settings)
    : yield* FilesSource.make(files, (path, placeOffset) => openOne(format, path, { ...settings, placeOffset }))
  if (format.kind === "csv" && files.length > 1) yield* withHint(checkHeaders(format, files, settings), format)
  const names = yield* withHint(firstNames(source), format)
  return {
    source: withNulls(source, options.nullStrings),
    files,
    fields: { input: source.describe, names, isComplete: format.kind === "csv" && names.length > 0 },
    isNumbered: format.kind === "csv" && !format.header
  }
})
