/**
 * Reads a sealed segment with large sequential reads, checking every block before it is handed on.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
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

const readBytes = 1024 * 1024
const decodeHeader = Schema.decodeUnknownResult(WalFormat.SegmentHeader)

export const openSegment = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  path: string,
  handle: SegmentHandle,
  job: { readonly jobId: string; readonly uid: string }
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

  /** Reads up to `want` bytes behind `kept`; short only at the end of the file. */
  const fill = Effect.fnUntraced(function*(kept: Buffer, want: number): Effect.fn.Return<Buffer, WalError> {
    const buffer = Buffer.allocUnsafeSlow(kept.length + want)
    kept.copy(buffer, 0)
    let length = kept.length
    while (length < buffer.length) {
      const n = Number(yield* ioError("read", path)(file.read(buffer.subarray(length))))
      if (n === 0) break
      length += n
    }
    return buffer.subarray(0, length)
  })

  let bytes = yield* fill(Buffer.alloc(0), Math.min(size, readBytes))
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
    found.jobId !== job.jobId || found.uid !== job.uid || found.subtask !== handle.subtask
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
        if (head !== undefined) return [head, ...tail] as const
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
        const left = size - base - rest.length
        // A length that points behind the end of the file is damage; it must not become an allocation.
        if (block > rest.length + left) return yield* corrupt(base, `a block says it is ${block} bytes long`)
        bytes = yield* fill(rest, Math.min(left, Math.max(readBytes, block - rest.length)))
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
