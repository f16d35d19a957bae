/**
 * A place in a file, and the check that the file is still the one it was taken from.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { crc32 } from "node:zlib"
import type { Position } from "../checkpoint/Position.ts"
import type { FileBytes } from "./FileBytes.ts"
import { packingOf, plain } from "./FileBytes.ts"
import type { Reading } from "./Reading.ts"
import { excerpt, fromPlatformError, InputChanged, SourceError } from "./SourceError.ts"

/**
 * How much of a file is compared first, in bytes.
 *
 * @category constants
 * @since 0.1.0
 */
export const headBytes = 64 * 1024

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * A place between two records of a file.
 *
 * - `name`: what the file was called when it was read, for messages: it may be another now. None in a position of several.
 * - `byte`, `line`: the bytes and the lines before it.
 * - `crc`: the CRC-32 of the bytes before it.
 * - `openEnd`: the last record had no line feed behind it, so it is only whole as long as the file does not grow.
 * - `packed`: for an archive, what it is packed with, how much of it was needed so far, and whether that was all; `byte`
 *   and `crc` are of what it holds.
 * - `range`: where only a part of the records is read, how many were to be skipped, and how many were given since.
 * - `reading`: how the file was read. None in a position that was taken before this was recorded.
 * - `size`, `mtimeMillis`, `inode`, `headCrc`: of the file when it was opened; `headCrc` is the CRC-32 of its first 64
 *   KiB. They only say when the checksum of the whole prefix need not be computed again.
 *
 * @category models
 * @since 0.1.0
 */
export const FilePosition = Schema.Struct({
  kind: Schema.Literal("file"),
  name: Schema.optionalKey(Schema.String),
  byte: Count,
  line: Count,
  crc: Count,
  openEnd: Schema.Boolean,
  packed: Schema.optionalKey(
    Schema.Struct({ packing: Schema.Literals(["gzip", "zstd"]), byte: Count, isAll: Schema.Boolean })
  ),
  range: Schema.optionalKey(Schema.Struct({ skipped: Count, given: Count })),
  reading: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  size: Count,
  mtimeMillis: Schema.NullOr(Schema.Number),
  inode: Schema.NullOr(Schema.String),
  headCrc: Count
})

/**
 * @category models
 * @since 0.1.0
 */
export type FilePosition = typeof FilePosition.Type

/**
 * What says cheaply that a file is the same: see `FilePosition`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Identity {
  readonly size: number
  readonly mtimeMillis: number | null
  readonly inode: string | null
  readonly headCrc: number
}

/**
 * The position behind what was read of a file.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  at: Pick<FilePosition, "byte" | "line" | "crc" | "openEnd">,
  name: string | null,
  packed: FilePosition["packed"] | null,
  range: FilePosition["range"] | null,
  reading: Reading,
  identity: Identity
): FilePosition => ({
  kind: "file",
  ...(name === null ? {} : { name }),
  byte: at.byte,
  line: at.line,
  crc: at.crc,
  openEnd: at.openEnd,
  ...(packed == null ? {} : { packed }),
  ...(range == null ? {} : { range }),
  reading,
  size: identity.size,
  mtimeMillis: identity.mtimeMillis,
  inode: identity.inode,
  headCrc: identity.headCrc
})

/**
 * An `InputChanged` for this file. `wayOut` is what helps, where it is not to put the input back.
 *
 * @category constructors
 * @since 0.1.0
 */
export const changed = (input: string, what: string, wayOut?: string): SourceError =>
  new SourceError({ reason: new InputChanged({ input, what, wayOut }) })

/** Reads until `into` is full or the file ends; gives the number of bytes. */
const readHead = Effect.fnUntraced(function*(file: FileSystem.File, path: string, into: Uint8Array) {
  const bytes = plain(file, path)
  let length = 0
  while (length < into.length) {
    const read = yield* bytes.readAt(into.subarray(length), length)
    if (read === 0) break
    length += read
  }
  return length
})

/**
 * The identity of an open file, and what it is packed with. `scratch` is overwritten and must hold `headBytes`.
 *
 * @category reading
 * @since 0.1.0
 */
export const identify = Effect.fnUntraced(function*(file: FileSystem.File, path: string, scratch: Uint8Array) {
  const info = yield* Effect.mapError(file.stat, fromPlatformError(path, null))
  const size = Number(info.size)
  const length = yield* readHead(file, path, scratch.subarray(0, Math.min(headBytes, size)))
  const identity: Identity = {
    size,
    mtimeMillis: Option.match(info.mtime, { onNone: () => null, onSome: (date) => date.getTime() }),
    inode: Option.match(info.ino, { onNone: () => null, onSome: String }),
    headCrc: crc32(scratch.subarray(0, length))
  }
  return { identity, packing: packingOf(scratch, length) }
})

const decodePosition = Schema.decodeUnknownResult(FilePosition)

/** Null if there are not so many bytes. */
const prefixCrc = Effect.fnUntraced(
  function*(bytes: FileBytes, scratch: Uint8Array, length: number) {
    let crc = 0
    let byte = 0
    while (byte < length) {
      const read = yield* bytes.readAt(scratch.subarray(0, Math.min(scratch.length, length - byte)), byte)
      if (read === 0) return null
      crc = crc32(scratch.subarray(0, read), crc)
      byte += read
    }
    return crc
  }
)

/**
 * Whether the file is the one of the position, as far as can be told without reading all of it.
 *
 * @category reading
 * @since 0.1.0
 */
export const isSame = (identity: Identity, position: FilePosition): boolean =>
  identity.size === position.size && identity.mtimeMillis === position.mtimeMillis &&
  identity.inode === position.inode && identity.headCrc === position.headCrc

/**
 * Why a position can't be gone on from with these numbers, or null. A larger or smaller limit may be given: how many records
 * were given so far is in the position. Others at the start than were skipped would be repeated or lost.
 *
 * @category reading
 * @since 0.1.0
 */
export const rangeProblem = (
  { range }: FilePosition,
  { limit, skip }: { readonly skip: number; readonly limit: number | null }
): string | null => {
  const skipped = range?.skipped ?? 0
  if (skipped !== skip) {
    return `${skipped} of its first records were skipped when it was begun, and now it is to be ${skip}`
  }
  return limit === null || range !== undefined
    ? null
    : "it was begun without a limit of records, so how many were read of it was not counted"
}

/**
 * The way out of a `rangeProblem`.
 *
 * @category constants
 * @since 0.1.0
 */
export const sameRange = "Give --skip-records and --max-records as they were when the job was begun (skip and limit)"

/** Why a file is too short for the position. */
const shorter = ({ headCrc, size }: Identity, position: FilePosition): string => {
  // Of a shorter file, what was the beginning of the longer one is not known.
  const isKnown = size >= headBytes
  return isKnown && headCrc !== position.headCrc
    ? `another file is in its place: it begins differently, and has ${size} bytes where that one had ${position.size}`
    : `it was cut${isKnown ? "" : ", or is another file"}: it has ${size} bytes, the position is ${position.byte}`
}

/** That what was read is not in the file, in the words for somebody who has given another one. */
const differs = (path: string, { size }: Identity, position: FilePosition, what: string): SourceError => {
  const { byte, name, packed, size: sizeThen } = position
  if (name === undefined || name === path) return changed(path, what)
  const read = packed === undefined ? `of which ${byte} were read` : `of whose content ${byte} were read`
  return changed(
    path,
    `it is not the file that the job was begun with. That was ${name}, of ${sizeThen} bytes, ${read}; this one has ` +
      `${size} bytes, and does not begin with what was read`,
    `Give ${name} again`
  )
}

/**
 * The position to resume at, or `InputChanged` if what was read before it is no longer there. `scratch` is overwritten.
 *
 * @category reading
 * @since 0.1.0
 */
export const verify = Effect.fnUntraced(
  function*(bytes: FileBytes, path: string, scratch: Uint8Array, identity: Identity, from: Position) {
    if (from["kind"] === "files") {
      const last = excerpt(String(from["path"]))
      const what =
        `the job was begun with several files or a pattern (${last} was read last), and now there is one file`
      return yield* changed(path, what, "Give them again")
    }
    const decoded = decodePosition(from)
    if (Result.isFailure(decoded)) {
      const found = excerpt(JSON.stringify(from))
      return yield* changed(path, `the position in the checkpoint is not one of a file: ${found}`)
    }
    const position = decoded.success
    const same = isSame(identity, position)
    if (bytes.packing !== null) {
      if (same && position.packed?.isAll === true) return position
      // All of it is unpacked on the way to the position, so it is always compared.
      const crc = yield* prefixCrc(bytes, scratch, position.byte)
      if (crc !== position.crc) {
        return yield* differs(
          path,
          identity,
          position,
          crc === null
            ? `it was cut, or is another file: it holds less than the ${position.byte} bytes that were read`
            : `the first ${position.byte} bytes that it holds are not what was read`
        )
      }
      if (position.openEnd && !same && (yield* bytes.readAt(scratch.subarray(0, 1), position.byte)) > 0) {
        return yield* changed(path, `its last line had no line feed, so it was read as it was; now it may go on`)
      }
      return position
    }
    if (identity.size < position.byte) {
      return yield* differs(path, identity, position, shorter(identity, position))
    }
    if (position.openEnd && identity.size > position.byte) {
      return yield* changed(
        path,
        `line ${position.line} was its last and had no line feed, so it was read as it was; the file has grown by ` +
          `${identity.size - position.byte} bytes since, and the line may go on`
      )
    }
    if (!same && (yield* prefixCrc(bytes, scratch, position.byte)) !== position.crc) {
      const what = `its first ${position.byte} bytes (${position.line} lines) are not what was read`
      return yield* differs(path, identity, position, what)
    }
    return position
  }
)
