/**
 * A file as a replayable input: large blocks cut into whole records, with a position behind every chunk, and the check
 * that a file is still the one a position was taken from. A format (NDJSON, CSV) only says where records end.
 *
 * A position carries the checksum of everything before it, so the file may have been touched, moved or appended to, and
 * its unread part may have been corrected; a file whose read part differs, or that was cut, is refused. Where size,
 * modification time, inode and the first 64 KiB are all as they were, the read part is taken as unchanged; otherwise it is
 * read again and its checksum compared.
 *
 * A gzip or zstd archive (told by its first bytes) is read as what it holds. It is unpacked once to its end before the
 * first record is given, because damage shows only there; and to resume, it is unpacked from its start up to the
 * position.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { isUtf8 } from "node:buffer"
import { crc32 } from "node:zlib"
import type { RawRecord, Record } from "../checkpoint/Element.ts"
import { BadRecord } from "../checkpoint/Element.ts"
import type { Position } from "../checkpoint/Position.ts"
import * as FileBytes from "./FileBytes.ts"
import * as FilePosition from "./FilePosition.ts"
import type { Source, SourceChunk } from "./Source.ts"
import {
  excerpt,
  fromPlatformError,
  InputUnreadable,
  InvalidOption,
  RecordTooLong,
  SourceError
} from "./SourceError.ts"

const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * How a file is read, whatever its format.
 *
 * - `blockBytes`: bytes read at once, and about the most that a chunk holds; default 256 KiB. Barriers go between
 *   chunks, so a larger block makes them wait longer.
 * - `maxRecords`: records in a chunk at most; default 4096.
 * - `maxRecordBytes`: the longest record accepted, without its line feed; default 16 MiB. Memory held is at most about
 *   twice that.
 * - `placeOffset`: added to the line in a record's place; default 0. Readers of several files tell them by it.
 *
 * - `testArchive`: whether an archive is unpacked to its end before its first record is given; default true.
 * - `malformed`: what a record that is not what the format says does: `fail` (the default) ends the source there, `reject`
 *   hands it on as it is, for the dead letters, and reads on behind it. One that is too long, and a bad header, always fail.
 *
 * All others are whole numbers of at least 1.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileOptions {
  readonly blockBytes?: number | undefined
  readonly maxRecords?: number | undefined
  readonly maxRecordBytes?: number | undefined
  readonly placeOffset?: number | undefined
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
  readonly placeOffset: number
  readonly testArchive: boolean
  readonly malformed: "fail" | "reject"
}

/**
 * The bytes read and not yet taken: `buffer[start, end)`, never empty. `byte` is the offset of `start` in the file and
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
 * Takes records from the start of a window. `null` means that the window does not hold a whole one, and is not allowed for
 * a final window. A bad record is returned as an error only if it is the first thing in the window; otherwise what
 * stands before it is taken, so that everything before a bad record is delivered.
 *
 * @category models
 * @since 0.1.0
 */
export type Split<A> = (window: Window) => Taken<A> | Malformed | SourceError | null

/**
 * `header`, if given, takes the header from the start of the file; it is called before the first `split`, when resuming
 * too. `tooLongHint` ends the message about a record that is too long.
 *
 * @category models
 * @since 0.1.0
 */
export interface Format<A> {
  readonly header: Split<never> | null
  readonly split: Split<A>
  readonly tooLongHint: string
}

/** The one mutable thing: an open file, and what of it is in memory. */
interface Input extends Window {
  readonly path: string
  readonly settings: FileSettings
  readonly bytes: FileBytes.FileBytes
  readonly identity: FilePosition.Identity
  buffer: Buffer
  start: number
  end: number
  byte: number
  line: number
  crc: number
  openEnd: boolean
  final: boolean
}

const openFile = Effect.fnUntraced(function*(path: string) {
  const fileSystem = yield* FileSystem.FileSystem
  // The type is looked at before opening: opening a named pipe would wait for a writer.
  const type = (yield* Effect.mapError(fileSystem.stat(path), fromPlatformError(path, null))).type
  if (type !== "File") {
    const problem = `it is a ${type}, and only a regular file can be read again from a position`
    return yield* new SourceError({
      reason: new InputUnreadable({ input: path, byte: null, problem, isRetryable: false })
    })
  }
  return yield* Effect.mapError(fileSystem.open(path, { flag: "r" }), fromPlatformError(path, null))
})

/** Reads on. A window without a whole record is doubled, so that a long record costs linear time. */
const fill = Effect.fnUntraced(function*(input: Input) {
  const held = input.end - input.start
  const want = Math.max(input.settings.blockBytes, held)
  if (input.buffer.length < held + want) {
    const larger = Buffer.allocUnsafeSlow(held + want)
    input.buffer.copy(larger, 0, input.start, input.end)
    input.buffer = larger
  } else if (input.start > 0) {
    input.buffer.copyWithin(0, input.start, input.end)
  }
  input.start = 0
  input.end = held
  const at = input.byte + held
  const read = yield* input.bytes.readAt(input.buffer.subarray(held, held + want), at)
  if (read > 0) {
    input.end += read
  } else if (input.bytes.packing === null && at < input.identity.size) {
    return yield* FilePosition.changed(
      input.path,
      `it was cut while it was read: it had ${input.identity.size} bytes and now ends at ${at}`
    )
  } else {
    input.final = true
  }
})

const advance = (input: Input, end: number, lines: number): void => {
  input.crc = crc32(input.buffer.subarray(input.start, end), input.crc)
  input.openEnd = input.buffer[end - 1] !== lineFeed
  input.byte += end - input.start
  input.line += lines
  input.start = end
}

/** The record word for word, without the end of its line. */
const reject = (
  { buffer, line, settings, start }: Input,
  { csv, end: behind, error: { reason } }: Malformed
): BadRecord => {
  let end = behind
  if (end > start && buffer[end - 1] === lineFeed) end--
  if (end > start && buffer[end - 1] === carriageReturn) end--
  const bytes = Buffer.from(buffer.subarray(start, end))
  const isText = isUtf8(bytes)
  return new BadRecord(
    line + 1 + settings.placeOffset,
    reason._tag,
    "problem" in reason ? reason.problem : reason.message,
    { text: isText ? bytes.toString() : null, bytes: isText ? null : bytes, csv }
  )
}

/** What `split` takes next, reading on as needed; `null` at the end of the file. */
const take = Effect.fnUntraced(function*<A>(input: Input, split: Split<A>, tooLongHint: string) {
  while (true) {
    const held = input.end - input.start
    if (held > 0) {
      const taken = split(input)
      if (taken instanceof SourceError) return yield* taken
      if (taken instanceof Malformed) {
        if (input.settings.malformed === "fail") return yield* taken.error
        const rejected = [reject(input, taken)]
        advance(input, taken.end, taken.lines)
        return { records: [], rejected, end: taken.end, lines: taken.lines }
      }
      if (taken !== null) {
        advance(input, taken.end, taken.lines)
        return taken
      }
      if (held > input.settings.maxRecordBytes) {
        return yield* tooLong(input.path, input, input.start, input.line, input.settings.maxRecordBytes, tooLongHint)
      }
    } else if (input.final) {
      return null
    }
    yield* fill(input)
  }
})

/** The byte order mark belongs to the encoding, not to the first record. */
const skipByteOrderMark = Effect.fnUntraced(function*(input: Input) {
  while (input.end < 3 && !input.final) yield* fill(input)
  if (input.end >= 3 && input.buffer[0] === 0xef && input.buffer[1] === 0xbb && input.buffer[2] === 0xbf) {
    advance(input, 3, 0)
  }
})

/** Bytes from which on testing an archive takes so long that it is said. */
const largeArchive = 256 * 1024 ** 2

/** Unpacks all of it, once for each archive that `seen` has not seen. */
const testArchive = Effect.fnUntraced(function*(
  { bytes, identity, path, settings }: Pick<Input, "bytes" | "identity" | "path" | "settings">,
  scratch: Uint8Array,
  seen: Set<string>
) {
  const key = JSON.stringify(identity)
  if (bytes.packing === null || !settings.testArchive || seen.has(key)) return
  if (identity.size >= largeArchive) {
    yield* Effect.logInfo(`${path}: the archive is unpacked once to its end, to see that it is whole`)
  }
  let byte = 0
  while (true) {
    const read = yield* bytes.readAt(scratch, byte)
    if (read === 0) break
    byte += read
  }
  seen.add(key)
})

const open = Effect.fnUntraced(function*<A>(
  path: string,
  settings: FileSettings,
  format: Format<A>,
  from: Position | null,
  seen: Set<string>
): Effect.fn.Return<Input, SourceError, FileSystem.FileSystem | Scope.Scope> {
  const file = yield* openFile(path)
  const scratch = Buffer.allocUnsafeSlow(Math.max(FilePosition.headBytes, settings.blockBytes))
  const { identity, packing } = yield* FilePosition.identify(file, path, scratch)
  const openBytes = packing === null
    ? Effect.succeed(FileBytes.plain(file, path))
    : FileBytes.unpacked(file, path, packing)
  const bytes = yield* openBytes
  if (from === null) yield* testArchive({ bytes, identity, path, settings }, scratch, seen)
  const position = from === null ? null : yield* FilePosition.verify(bytes, path, scratch, identity, from)
  const isSame = position !== null && FilePosition.isSame(identity, position)
  if (position !== null && !isSame) yield* testArchive({ bytes, identity, path, settings }, scratch, seen)
  const input: Input = {
    path,
    settings,
    // An archive stands at the position by now, and the header is at its start.
    bytes: position === null || format.header === null ? bytes : yield* openBytes,
    identity,
    buffer: scratch,
    start: 0,
    end: 0,
    byte: 0,
    line: 0,
    crc: 0,
    openEnd: false,
    final: false
  }
  if (position === null || format.header !== null) {
    yield* skipByteOrderMark(input)
    if (format.header !== null) yield* take(input, format.header, format.tooLongHint)
  }
  if (position !== null) {
    const { byte, crc, line, openEnd } = position
    const final = isSame && position.packed?.isAll === true
    Object.assign(input, { bytes, start: 0, end: 0, byte, line, crc, openEnd, final })
  }
  return input
})

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

const settingsOf = Effect.fnUntraced(function*(path: string, options: FileOptions) {
  const settings: FileSettings = {
    blockBytes: options.blockBytes ?? 256 * 1024,
    maxRecords: options.maxRecords ?? 4096,
    maxRecordBytes: options.maxRecordBytes ?? 16 * 1024 * 1024,
    placeOffset: options.placeOffset ?? 0,
    testArchive: options.testArchive ?? true,
    malformed: options.malformed ?? "fail"
  }
  for (const option of ["blockBytes", "maxRecords", "maxRecordBytes"] as const) {
    const value = settings[option]
    if (!Number.isSafeInteger(value) || value < 1) {
      const problem = `must be a whole number of at least 1, not ${value}`
      return yield* new SourceError({ reason: new InvalidOption({ input: path, option, problem }) })
    }
  }
  return settings
})

/**
 * A source over a file, in the given format. `format` is called for each read, so that a format may keep state.
 *
 * Fails at once with `InputNotFound` or `InputUnreadable` if the file cannot be opened, and with `InvalidOption`. The file
 * is opened anew by each `read` and closed when the stream ends, fails or is interrupted. `total` is the size in bytes
 * when the source was made.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*<A>(
  path: string,
  options: FileOptions,
  format: (settings: FileSettings) => Format<A>
): Effect.fn.Return<Source<A, SourceError, FileSystem.FileSystem>, SourceError, FileSystem.FileSystem> {
  const settings = yield* settingsOf(path, options)
  const info = yield* Effect.scoped(
    Effect.flatMap(openFile(path), (file) => Effect.mapError(file.stat, fromPlatformError(path, null)))
  )
  /** Archives that are known to be whole. */
  const seen = new Set<string>()
  const read = Effect.fnUntraced(function*(from: Position | null) {
    const chosen = format(settings)
    const input = yield* open(path, settings, chosen, from, seen)
    const { packing, packedByte } = input.bytes
    const next = Effect.suspend(() => take(input, chosen.split, chosen.tooLongHint))
    const chunk = ({ records, rejected }: Pick<Taken<A>, "records" | "rejected">, isAll: boolean): SourceChunk<A> => {
      const packed = packing === null ? null : { packing, byte: isAll ? input.identity.size : packedByte(), isAll }
      return { records, rejected, position: FilePosition.make(input, packed, input.identity) }
    }
    let isNew = false
    return Stream.fromPull(Effect.succeed(Effect.flatMap(next, (taken) => {
      if (taken !== null) {
        isNew = true
        return Effect.succeed([chunk(taken, false)] as const)
      }
      // Behind the end of an archive, it need not be unpacked again to find that nothing follows.
      if (!isNew || packing === null) return Cause.done()
      isNew = false
      return Effect.succeed([chunk({ records: [] }, true)] as const)
    })))
  })
  return {
    describe: path,
    total: Number(info.size),
    progress: ({ byte, packed }) => {
      const known = typeof packed === "object" && packed !== null && "byte" in packed ? packed.byte : byte
      return typeof known === "number" ? known : 0
    },
    read: (from) => Stream.unwrap(read(from))
  }
})
