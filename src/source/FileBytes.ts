/**
 * The bytes of a file at any offset: as they are, or unpacked where it is a gzip or zstd archive.
 *
 * Offsets in an archive are those of what it holds. It can only be unpacked from its start, so going to an offset reads
 * everything before it; going back begins again.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import * as Zlib from "node:zlib"
import { fromPlatformError, InputDamaged, SourceError } from "./SourceError.ts"

/**
 * What a file is packed with, told by its first bytes and not by its name.
 *
 * @category models
 * @since 0.1.0
 */
export type Packing = "gzip" | "zstd"

/**
 * What a file holds, unpacked on the way. Offsets are in what it holds.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileBytes {
  /** Null for a file that is no archive. */
  readonly packing: Packing | null
  /** How much of the file was needed so far; only of use for an archive. */
  readonly packedByte: () => number
  /** Reads what stands at an offset, at most `into.length` bytes; 0 at the end. */
  readonly readAt: (into: Uint8Array, byte: number) => Effect.Effect<number, SourceError>
}

/**
 * What a file is packed with, by its first bytes; neither can begin a text.
 *
 * @category parsing
 * @since 0.1.0
 */
export const packingOf = (head: Uint8Array, length: number): Packing | null => {
  if (length >= 2 && head[0] === 0x1f && head[1] === 0x8b) return "gzip"
  if (length < 4) return null
  const magic = (head[0]! | (head[1]! << 8) | (head[2]! << 16) | (head[3]! << 24)) >>> 0
  // The second is that of a frame to be skipped.
  return magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50 ? "zstd" : null
}

const read = (file: FileSystem.File, path: string, into: Uint8Array, byte: number) =>
  Effect.mapError(file.read(into, { position: BigInt(byte) }), fromPlatformError(path, byte))

/**
 * The bytes as they are.
 *
 * @category constructors
 * @since 0.1.0
 */
export const plain = (file: FileSystem.File, path: string): FileBytes => ({
  packing: null,
  packedByte: () => 0,
  readAt: (into, byte) => read(file, path, into, byte)
})

const blockBytes = 64 * 1024

/** One run of the unpacker, from `start` in the file on. */
class Unpacker {
  readonly stream: Zlib.Gunzip | Zlib.ZstdDecompress
  readonly start: number
  /** Where the next block of the file begins. */
  fed: number
  isFileAtEnd = false
  isWriting = false
  hasEnded = false
  error: Error | null = null
  /** Counts what happened to the stream. */
  events = 0
  private wake: (() => void) | null = null

  constructor(packing: Packing, start: number) {
    this.start = start
    this.fed = start
    this.stream = packing === "gzip"
      ? Zlib.createGunzip({ chunkSize: blockBytes })
      : Zlib.createZstdDecompress({ chunkSize: blockBytes })
    this.stream.on("readable", () => this.happened())
    this.stream.on("end", () => {
      this.hasEnded = true
      this.happened()
    })
    this.stream.on("error", (error) => {
      this.error = error
      this.happened()
    })
  }

  private happened(): void {
    this.events++
    const wake = this.wake
    this.wake = null
    wake?.()
  }

  /** How far in the file everything has been unpacked. */
  get behind(): number {
    return this.start + this.stream.bytesWritten
  }

  write(block: Buffer): void {
    this.fed += block.length
    this.isWriting = true
    this.stream.write(block, () => {
      this.isWriting = false
      this.happened()
    })
  }

  /** Waits for the next event, unless one has come since there were `events`. */
  change(events: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.events !== events) resume(Effect.void)
      else this.wake = () => resume(Effect.void)
    })
  }
}

/**
 * The bytes that an archive holds. Damage is an `InputDamaged`; gzip only tells of most of it at its end.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unpacked = Effect.fnUntraced(function*(
  file: FileSystem.File,
  path: string,
  packing: Packing
): Effect.fn.Return<FileBytes, never, Scope.Scope> {
  let unpacker = new Unpacker(packing, 0)
  let chunk: Buffer | null = null
  /** Where the next byte of `chunk`, or behind it, stands in what the archive holds. */
  let at = 0
  const begin = (start: number) => {
    unpacker.stream.destroy()
    unpacker = new Unpacker(packing, start)
  }
  yield* Effect.addFinalizer(() => Effect.sync(() => unpacker.stream.destroy()))

  const damaged = (error: Error) =>
    new SourceError({
      reason: new InputDamaged({ input: path, packing, packedByte: unpacker.behind, byte: at, problem: error.message })
    })

  /** Zeros up to the end, which fill the last block of a tape or an image: `gzip -d` passes over them too. */
  const isPadding = Effect.fnUntraced(function*(from: number) {
    const block = Buffer.allocUnsafe(blockBytes)
    for (let at = from;;) {
      const length = yield* read(file, path, block, at)
      if (length === 0) return true
      for (let i = 0; i < length; i++) if (block[i] !== 0) return false
      at += length
    }
  })

  /** The next bytes; null at the end. */
  const next = Effect.fnUntraced(function*() {
    while (true) {
      const { events } = unpacker
      const found = unpacker.stream.read() as Buffer | null
      if (found !== null) return found
      if (unpacker.error !== null) return yield* damaged(unpacker.error)
      if (unpacker.hasEnded) {
        // The unpacker for zstd ends with a frame, and an archive may have several.
        if (unpacker.isFileAtEnd && unpacker.behind >= unpacker.fed) return null
        const first = Buffer.allocUnsafe(1)
        if ((yield* read(file, path, first, unpacker.behind)) === 0) return null
        if (packing === "gzip" && first[0] === 0 && (yield* isPadding(unpacker.behind))) return null
        begin(unpacker.behind)
      } else if (unpacker.isWriting || unpacker.isFileAtEnd) {
        yield* unpacker.change(events)
      } else {
        const block = Buffer.allocUnsafe(blockBytes)
        const length = yield* read(file, path, block, unpacker.fed)
        if (length > 0) {
          unpacker.write(block.subarray(0, length))
        } else {
          unpacker.isFileAtEnd = true
          unpacker.stream.end()
        }
      }
    }
  })

  const readAt = Effect.fnUntraced(function*(into: Uint8Array, byte: number) {
    if (byte < at) {
      begin(0)
      chunk = null
      at = 0
    }
    while (true) {
      chunk ??= yield* next()
      if (chunk === null) return 0
      const skip = byte - at
      if (skip < chunk.length) {
        const length = chunk.copy(into, 0, skip, Math.min(chunk.length, skip + into.length))
        at = byte + length
        chunk = skip + length === chunk.length ? null : chunk.subarray(skip + length)
        return length
      }
      at += chunk.length
      chunk = null
    }
  })

  return { packing, packedByte: () => unpacker.behind, readAt }
})
