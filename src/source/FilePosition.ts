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
 * - `byte`, `line`: the bytes and the lines before it.
 * - `crc`: the CRC-32 of the bytes before it.
 * - `openEnd`: the last record had no line feed behind it, so it is only whole as long as the file does not grow.
 * - `size`, `mtimeMillis`, `inode`, `headCrc`: of the file when it was opened; `headCrc` is the CRC-32 of its first 64
 *   KiB. They only say when the checksum of the whole prefix need not be computed again.
 *
 * @category models
 * @since 0.1.0
 */
export const FilePosition = Schema.Struct({
  kind: Schema.Literal("file"),
  byte: Count,
  line: Count,
  crc: Count,
  openEnd: Schema.Boolean,
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
  identity: Identity
): FilePosition => ({
  kind: "file",
  byte: at.byte,
  line: at.line,
  crc: at.crc,
  openEnd: at.openEnd,
  size: identity.size,
  mtimeMillis: identity.mtimeMillis,
  inode: identity.inode,
  headCrc: identity.headCrc
})

/**
 * An `InputChanged` for this file.
 *
 * @category constructors
 * @since 0.1.0
 */
export const changed = (input: string, what: string): SourceError =>
  new SourceError({ reason: new InputChanged({ input, what }) })

/**
 * Reads what the file has at an offset, at most `into.length` bytes; 0 at its end.
 *
 * @category reading
 * @since 0.1.0
 */
export const readAt = (file: FileSystem.File, path: string, into: Uint8Array, byte: number) =>
  Effect.mapError(file.read(into, { position: BigInt(byte) }), fromPlatformError(path, byte))

/** Reads until `into` is full or the file ends; gives the number of bytes. */
const readFully = Effect.fnUntraced(function*(file: FileSystem.File, path: string, into: Uint8Array, byte: number) {
  let length = 0
  while (length < into.length) {
    const read = yield* readAt(file, path, into.subarray(length), byte + length)
    if (read === 0) break
    length += read
  }
  return length
})

/**
 * The identity of an open file. `scratch` is overwritten and must hold `headBytes`.
 *
 * @category reading
 * @since 0.1.0
 */
export const identify = Effect.fnUntraced(function*(file: FileSystem.File, path: string, scratch: Uint8Array) {
  const info = yield* Effect.mapError(file.stat, fromPlatformError(path, null))
  const size = Number(info.size)
  const length = yield* readFully(file, path, scratch.subarray(0, Math.min(headBytes, size)), 0)
  const identity: Identity = {
    size,
    mtimeMillis: Option.match(info.mtime, { onNone: () => null, onSome: (date) => date.getTime() }),
    inode: Option.match(info.ino, { onNone: () => null, onSome: String }),
    headCrc: crc32(scratch.subarray(0, length))
  }
  return identity
})

const decodePosition = Schema.decodeUnknownResult(FilePosition)

const prefixCrc = Effect.fnUntraced(
  function*(file: FileSystem.File, path: string, scratch: Uint8Array, length: number) {
    let crc = 0
    let byte = 0
    while (byte < length) {
      const read = yield* readAt(file, path, scratch.subarray(0, Math.min(scratch.length, length - byte)), byte)
      if (read === 0) return yield* changed(path, `it was cut: it ends at byte ${byte}, the position is ${length}`)
      crc = crc32(scratch.subarray(0, read), crc)
      byte += read
    }
    return crc
  }
)

/**
 * The position to resume at, or `InputChanged` if what was read before it is no longer there. `scratch` is overwritten.
 *
 * @category reading
 * @since 0.1.0
 */
export const verify = Effect.fnUntraced(
  function*(file: FileSystem.File, path: string, scratch: Uint8Array, identity: Identity, from: Position) {
    const decoded = decodePosition(from)
    if (Result.isFailure(decoded)) {
      const found = excerpt(JSON.stringify(from))
      return yield* changed(path, `the position in the checkpoint is not one of a file: ${found}`)
    }
    const position = decoded.success
    if (identity.size < position.byte) {
      return yield* changed(path, `it was cut: it has ${identity.size} bytes, the position is ${position.byte}`)
    }
    if (position.openEnd && identity.size > position.byte) {
      return yield* changed(
        path,
        `line ${position.line} was its last and had no line feed, so it was read as it was; the file has grown by ` +
          `${identity.size - position.byte} bytes since, and the line may go on`
      )
    }
    const same = identity.size === position.size && identity.mtimeMillis === position.mtimeMillis &&
      identity.inode === position.inode && identity.headCrc === position.headCrc
    if (!same && (yield* prefixCrc(file, path, scratch, position.byte)) !== position.crc) {
      return yield* changed(path, `its first ${position.byte} bytes (${position.line} lines) are not what was read`)
    }
    return position
  }
)
