/**
 * A file as a replayable input: large blocks cut into whole records, with a position behind every chunk, and the check
 * that a file is still the one a position was taken from. A format (NDJSON, CSV) only says where records end.
 *
 * A position carries the checksum of everything before it, so the file may have been touched, moved or appended to, and
 * its unread part may have been corrected; a file whose read part differs, or that was cut, is refused; so is one that is now
 * to be read in another way, as in another encoding (`Reading`). Where size,
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
import { crc32 } from "node:zlib"
import { BadRecord } from "../checkpoint/Element.ts"
import type { Position } from "../checkpoint/Position.ts"
import * as FileBytes from "./FileBytes.ts"
import type { FileOptions, FileSettings, Format, Split, Taken, Window } from "./FileFormat.ts"
import { Malformed, settingsOf, tooLong } from "./FileFormat.ts"
import * as FilePosition from "./FilePosition.ts"
import * as Reading from "./Reading.ts"
import type { Source, SourceChunk } from "./Source.ts"
import { sizeOf } from "./Source.ts"
import { excerpt, fromPlatformError, InputUnreadable, InvalidOption, SourceError } from "./SourceError.ts"
import * as TextEncoding from "./TextEncoding.ts"
import * as Transcoded from "./Transcoded.ts"

const lineFeed = 0x0a
const carriageReturn = 0x0d

/** The one mutable thing: an open file, what of it is in memory, and how many of its records were given. */
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
  given: number
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
  input.openEnd = !TextEncoding.endsWith(input.settings.encoding, input.buffer, input.start, end, lineFeed)
  input.byte += end - input.start
  input.line += lines
  input.start = end
}

/** The record word for word, without the end of its line. */
const reject = (
  { buffer, line, settings, start }: Input,
  { csv, end: behind, error: { reason } }: Malformed
): BadRecord => {
  const { encoding } = settings
  let end = behind
  for (const character of [lineFeed, carriageReturn]) {
    if (TextEncoding.endsWith(encoding, buffer, start, end, character)) end -= encoding.unit
  }
  const bytes = Buffer.from(buffer.subarray(start, end))
  const text = encoding.decode(bytes)
  return new BadRecord(
    line + 1 + settings.placeOffset,
    reason._tag,
    "problem" in reason ? reason.problem : reason.message,
    { text, bytes: text === null ? bytes : null, csv }
  )
}

/** Enough for the beginning of a record in a message. */
const excerptBytes = 1024

/** What `split` takes next, `maxRecords` at most, reading on as needed; `null` at the end of the file. */
const take = Effect.fnUntraced(function*<A>(
  input: Input,
  split: Split<A>,
  tooLongHint: string,
  maxRecords: number,
  onMalformed: FileSettings["malformed"]
) {
  while (true) {
    const held = input.end - input.start
    if (held > 0) {
      const taken = split(input, maxRecords)
      if (taken instanceof SourceError) return yield* taken
      if (taken instanceof Malformed) {
        if (onMalformed === "fail") return yield* taken.error
        const rejected = [reject(input, taken)]
        advance(input, taken.end, taken.lines)
        return { records: [], rejected, end: taken.end, lines: taken.lines }
      }
      if (taken !== null) {
        advance(input, taken.end, taken.lines)
        return taken
      }
      if (held > input.settings.maxRecordBytes) {
        const { encoding, maxRecordBytes } = input.settings
        const window = Transcoded.asUtf8(encoding, input, Math.min(input.end, input.start + excerptBytes))
        return yield* tooLong(input.path, window, window.start, input.line, maxRecordBytes, tooLongHint)
      }
    } else if (input.final) {
      return null
    }
    yield* fill(input)
  }
})

/** The byte order mark belongs to the encoding, not to the first record. */
const skipByteOrderMark = Effect.fnUntraced(function*(input: Input) {
  const { encoding: { mark, name, unit } } = input.settings
  if (mark === null) return
  const begins = (bytes: Uint8Array) =>
    Buffer.compare(input.buffer.subarray(0, Math.min(input.end, bytes.length)), bytes) === 0
  while (input.end < mark.length && !input.final) yield* fill(input)
  if (begins(mark)) return advance(input, mark.length, 0)
  const other = unit === 1 ? undefined : Object.entries(TextEncoding.wideMarks).find(([, mark]) => begins(mark))
  if (other === undefined) return
  const problem = `is ${excerpt(name)}, and the file begins with the byte order mark of ${other[0]}: give that`
  return yield* new SourceError({ reason: new InvalidOption({ input: input.path, option: "encoding", problem }) })
})

/** Records that are skipped at once: as many as a chunk has by default, however many the reader wants. */
const skippedAtOnce = 4096

/** Passes over the first records, those that can't be read too. */
const skipRecords = Effect.fnUntraced(function*<A>(input: Input, { split, tooLongHint }: Format<A>) {
  let left = input.settings.skip
  while (left > 0) {
    const taken = yield* take(input, split, tooLongHint, Math.min(left, skippedAtOnce), "reject")
    if (taken === null) break
    left -= sizeOf(taken)
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

const readingOf = ({ encoding, reading }: FileSettings, format: Format<unknown>): Reading.Reading => ({
  ...format.reading,
  encoding: encoding.name,
  ...reading
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
  const rangeProblem = position === null ? null : FilePosition.rangeProblem(position, settings)
  if (rangeProblem !== null) return yield* FilePosition.changed(path, rangeProblem, FilePosition.sameRange)
  const difference = position === null ? null : Reading.difference(position.reading, readingOf(settings, format))
  if (difference !== null) return yield* FilePosition.changed(path, difference.what, difference.wayOut)
  const isSame = position !== null && FilePosition.isSame(identity, position)
  if (position !== null && !isSame) yield* testArchive({ bytes, identity, path, settings }, scratch, seen)
  const looksAtStart = format.header !== null || format.first !== undefined
  const input: Input = {
    path,
    settings,
    // An archive stands at the position by now, and what the format looks at is at its start.
    bytes: position === null || !looksAtStart ? bytes : yield* openBytes,
    identity,
    buffer: scratch,
    start: 0,
    end: 0,
    byte: 0,
    line: 0,
    given: 0,
    crc: 0,
    openEnd: false,
    final: false
  }
  if (position === null || looksAtStart) {
    yield* skipByteOrderMark(input)
    if (format.header !== null) yield* take(input, format.header, format.tooLongHint, 1, "fail")
  }
  if (position === null || format.first !== undefined) yield* skipRecords(input, format)
  if (format.first !== undefined) yield* take(input, format.first, format.tooLongHint, 1, "fail")
  if (position !== null) {
    const { byte, crc, line, openEnd, range } = position
    const final = isSame && position.packed?.isAll === true
    Object.assign(input, { bytes, start: 0, end: 0, byte, line, given: range?.given ?? 0, crc, openEnd, final })
  }
  return input
})

/**
 * A source over a file, in the given format. `format` is called for each read, so that a format may keep state.
 *
 * Fails at once with `InputNotFound` or `InputUnreadable` if the file cannot be opened, and with `InvalidOption`. The file
 * is opened anew by each `read` and closed when the stream ends, fails or is interrupted. `total` is the size in bytes
 * when the source was made; null with a `limit`, as nobody knows how many bytes these records have.
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
    const chosen = Transcoded.formatIn(settings.encoding, format(settings))
    const input = yield* open(path, settings, chosen, from, seen)
    const { packing, packedByte } = input.bytes
    // A reader of several files has their names in its own position.
    const name = options.placeOffset === undefined ? path : null
    const { limit, malformed, maxRecords, skip } = settings
    const isPart = skip > 0 || limit !== null
    const reading = readingOf(settings, chosen)
    /** As many as may still be given, so that the position is never behind a record that was not. */
    const most = () => limit === null ? maxRecords : Math.min(maxRecords, limit - input.given)
    const chunk = ({ records, rejected }: Pick<Taken<A>, "records" | "rejected">, isAll: boolean): SourceChunk<A> => {
      const packed = packing === null ? null : { packing, byte: isAll ? input.identity.size : packedByte(), isAll }
      const range = isPart ? { skipped: skip, given: input.given } : null
      return { records, rejected, position: FilePosition.make(input, name, packed, range, reading, input.identity) }
    }
    let isNew = false
    return Stream.fromPull(Effect.succeed(Effect.suspend(() => {
      const maxRecords = most()
      if (maxRecords <= 0) return Cause.done()
      return Effect.flatMap(take(input, chosen.split, chosen.tooLongHint, maxRecords, malformed), (taken) => {
        if (taken !== null) {
          isNew = true
          input.given += sizeOf(taken)
          return Effect.succeed([chunk(taken, false)] as const)
        }
        // Behind the end of an archive, it need not be unpacked again to find that nothing follows.
        if (!isNew || packing === null) return Cause.done()
        isNew = false
        return Effect.succeed([chunk({ records: [] }, true)] as const)
      })
    })))
  })
  return {
    describe: path,
    total: settings.limit === null ? Number(info.size) : null,
    progress: ({ byte, packed }) => {
      const known = typeof packed === "object" && packed !== null && "byte" in packed ? packed.byte : byte
      return typeof known === "number" ? known : 0
    },
    locate: (place) => ({ input: path, place: place - settings.placeOffset, unit: "line" }),
    read: (from) => Stream.unwrap(read(from))
  }
})
