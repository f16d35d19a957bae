/**
 * Reads a sealed segment with large sequential reads, checking every block before it is handed on. While what was read is
 * checked and sent, the next is read.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { SegmentHandle } from "../../checkpoint/Manifest.ts"
import type { OpenSegment, SegmentBlock } from "../StateBackend.ts"
import type { WalError } from "../WalError.ts"
import { StateCorrupt, StateUnusable } from "../WalError.ts"
import * as WalFormat from "../WalFormat.ts"
import { ioError } from "./files.ts"

const decodeHeader = Schema.decodeUnknownResult(WalFormat.SegmentHeader)

export const openSegment = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  path: string,
  handle: SegmentHandle,
  options: { readonly jobId: string; readonly uid: string; readonly readBufferBytes?: number | undefined }
): Effect.fn.Return<OpenSegment, WalError, Scope.Scope> {
  const corrupt = (offset: number, detail: string) =>
    new StateCorrupt({ path, offset, checkpointId: handle.checkpointId, detail })
  const file = yield* fs.open(path, { flag: "r" }).pipe(
    Effect.catch((error): Effect.Effect<never, WalError> =>
      error.reason._tag === "NotFound"
        ? Effect.fail(corrupt(0, `the file is gone, and with it ${handle.rows} rows that are not yet in Cassandra`))
        : ioError("open", path)(Effect.fail(error))
    )
  )
  const size = Number((yield* ioError("look at", path)(file.stat)).size)
  if (size !== handle.bytes) {
    return yield* corrupt(Math.min(size, handle.bytes), `it has ${size} bytes, but was sealed with ${handle.bytes}`)
  }

  const readBufferBytes = options.readBufferBytes ?? 1024 * 1024
  /** Bytes that were read and that are being read. */
  let asked = 0

  /**
   * The next `want` bytes of the file, behind `headroom` free ones. Short only at the end of the file. It can't be
   * interrupted, so that the file is not closed under it.
   */
  const read = (headroom: number, want: number): Effect.Effect<Buffer, WalError> =>
    Effect.uninterruptible(Effect.gen(function*() {
      const buffer = Buffer.allocUnsafeSlow(headroom + want)
      let length = headroom
      while (length < buffer.length) {
        const n = Number(yield* ioError("read", path)(file.read(buffer.subarray(length))))
        if (n === 0) break
        length += n
      }
      return buffer.subarray(0, length)
    }))

  /** `kept` and the `want` bytes behind it. */
  const fill = (kept: Buffer, want: number): Effect.Effect<Buffer, WalError> =>
    Effect.suspend(() => {
      asked += want
      return Effect.map(read(kept.length, want), (buffer) => {
        kept.copy(buffer, 0)
        return buffer
      })
    })

  const scope = yield* Effect.scope
  /** Room for the block that what is read ahead begins in the middle of; most are not longer. */
  const headroom = Math.min(readBufferBytes, 288 * 1024)
  let ahead: Fiber.Fiber<Buffer, WalError> | null = null

  const readAhead = Effect.suspend(() => {
    const want = Math.min(size - asked, readBufferBytes)
    if (ahead !== null || want <= 0) return Effect.void
    asked += want
    return Effect.map(Effect.forkIn(read(headroom, want), scope), (fiber) => {
      ahead = fiber
    })
  })

  /** `kept` and what was read ahead; more, if that is not yet a block of so many bytes. */
  const next = Effect.fnUntraced(function*(kept: Buffer, block: number): Effect.fn.Return<Buffer, WalError> {
    let bytes = kept
    if (ahead !== null) {
      const fiber = ahead
      const buffer = yield* Fiber.join(fiber)
      ahead = null
      if (kept.length <= headroom) {
        kept.copy(buffer, headroom - kept.length)
        bytes = buffer.subarray(headroom - kept.length)
      } else {
        bytes = Buffer.concat([kept, buffer.subarray(headroom)])
      }
      if (bytes.length >= block) return bytes
    }
    const left = size - asked
    return left <= 0 ? bytes : yield* fill(bytes, Math.min(left, Math.max(readBufferBytes, block - bytes.length)))
  })

  let bytes = yield* fill(Buffer.alloc(0), Math.min(size, Math.max(readBufferBytes, WalFormat.preambleBytes)))
  const headerLength = WalFormat.decodePreamble("segment", bytes)
  if (Result.isFailure(headerLength)) {
    const { detail, offset, version } = headerLength.failure
    return yield* version === undefined
      ? corrupt(offset, detail)
      : new StateUnusable({ path, reason: "other-version", detail: `${path} has ${detail}` })
  }
  const headerEnd = WalFormat.preambleBytes + headerLength.success
  if (headerEnd > size) return yield* corrupt(12, `its header says it is ${headerLength.success} bytes long`)
  if (bytes.length < headerEnd) bytes = yield* fill(bytes, headerEnd - bytes.length)
  const json = WalFormat.decodeJson("segment", bytes)
  if (Result.isFailure(json)) return yield* corrupt(json.failure.offset, json.failure.detail)
  const header = decodeHeader(json.success)
  if (Result.isFailure(header)) return yield* corrupt(WalFormat.preambleBytes, header.failure.message)
  const found = header.success
  if (
    found.jobId !== options.jobId || found.uid !== options.uid || found.subtask !== handle.subtask
  ) {
    return yield* corrupt(
      WalFormat.preambleBytes,
      `it holds rows of subtask ${found.subtask} of job '${found.jobId}', not of subtask ${handle.subtask}`
    )
  }

  let at = headerEnd
  /** Offset in the file of the first byte of `bytes`. */
  let base = 0
  let crc = 0
  let rows = 0
  const pull = Effect.gen(
    function*(): Effect.fn.Return<readonly [SegmentBlock, ...Array<SegmentBlock>], WalError | Cause.Done> {
      while (true) {
        const blocks: Array<SegmentBlock> = []
        while (true) {
          const block = WalFormat.decodeBlock(bytes, at, crc)
          if (Result.isFailure(block)) {
            // What is whole before the damage is handed on first; the next pull comes to it again.
            if (blocks.length > 0) break
            return yield* corrupt(base + block.failure.offset, block.failure.detail)
          }
          if (block.success === null) break
          blocks.push({ payload: block.success.payload, rows: block.success.rows, offset: base + at })
          crc = block.success.crc
          rows += block.success.rows
          at = block.success.end
        }
        const [head, ...tail] = blocks
        if (head !== undefined) {
          yield* readAhead
          return [head, ...tail] as const
        }
        const rest = bytes.subarray(at)
        base += at
        at = 0
        if (base + rest.length === size) {
          if (rest.length > 0) return yield* corrupt(base, `it ends inside a block`)
          if (crc !== handle.crc || rows !== handle.rows) {
            return yield* corrupt(
              base,
              `it has ${rows} rows with checksum ${crc}, sealed were ${handle.rows} with ${handle.crc}`
            )
          }
          return yield* Cause.done()
        }
        const block = WalFormat.blockLengthAt(rest, 0) ?? 0
        // A length that points behind the end of the file is damage; it must not become an allocation.
        if (block > size - base) return yield* corrupt(base, `a block says it is ${block} bytes long`)
        bytes = yield* next(rest, block)
        if (bytes.length === rest.length) {
          return yield* corrupt(base + rest.length, "it became shorter while it was read")
        }
      }
    }
  )

  return {
    header: found,
    blocks: Stream.fromPull(Effect.succeed(pull))
  }
})
