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
import type { Loan } from "./readBuffers.ts"
import { ReadBuffers } from "./readBuffers.ts"

/** Bytes of the file in a buffer that is held until `end`. */
interface Read {
  readonly loan: Loan
  readonly end: () => void
  readonly bytes: Buffer
}

const decodeHeader = Schema.decodeUnknownResult(WalFormat.SegmentHeader)

export const openSegment = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  path: string,
  handle: SegmentHandle,
  options: {
    readonly jobId: string
    readonly uid: string
    readonly buffers?: ReadBuffers | undefined
    /** For people: a file that has lost its end is read up to there, and fails then. Default false: before anything is read. */
    readonly isCutAllowed?: boolean | undefined
  }
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
  const otherSize = `it has ${size} bytes, but was sealed with ${handle.bytes}`
  const isCut = size < handle.bytes && options.isCutAllowed === true
  if (size !== handle.bytes && !isCut) return yield* corrupt(Math.min(size, handle.bytes), otherSize)

  const buffers = options.buffers ?? new ReadBuffers(1024 * 1024)
  const { headroom, readBytes } = buffers
  /** Bytes that were read and that are being read. */
  let asked = 0

  /**
   * The next `want` bytes of the file, behind the headroom. Short only at the end of the file. It can't be interrupted, so
   * that the file is not closed under it.
   */
  const read = (want: number): Effect.Effect<Read, WalError> =>
    Effect.uninterruptible(Effect.gen(function*() {
      const loan = buffers.take(headroom + want)
      const end = loan.share()
      let length = headroom
      while (length < headroom + want) {
        const n = Number(yield* ioError("read", path)(file.read(loan.bytes.subarray(length, headroom + want))))
        if (n === 0) break
        length += n
      }
      return { loan, end, bytes: loan.bytes.subarray(headroom, length) }
    }))

  const scope = yield* Effect.scope
  let ahead: Fiber.Fiber<Read, WalError> | null = null

  const readAhead = Effect.suspend(() => {
    const want = Math.min(size - asked, readBytes)
    if (ahead !== null || want <= 0) return Effect.void
    asked += want
    return Effect.map(Effect.forkIn(read(want), scope, { startImmediately: true }), (fiber) => {
      ahead = fiber
    })
  })

  /** `kept`, which is of `last`, and behind it what was read. */
  const join = (last: Read, kept: Buffer, { bytes, end, loan }: Read): Read => {
    if (kept.length <= headroom) {
      kept.copy(loan.bytes, headroom - kept.length)
      last.end()
      return { loan, end, bytes: loan.bytes.subarray(headroom - kept.length, headroom + bytes.length) }
    }
    const joined = buffers.take(kept.length + bytes.length)
    kept.copy(joined.bytes)
    bytes.copy(joined.bytes, kept.length)
    last.end()
    end()
    return { loan: joined, end: joined.share(), bytes: joined.bytes.subarray(0, kept.length + bytes.length) }
  }

  /** The bytes of `last` from `from` on and what was read ahead; more, if that is not yet a block of so many bytes. */
  const next = Effect.fnUntraced(function*(last: Read, from: number, block: number): Effect.fn.Return<Read, WalError> {
    let now = last
    let kept = last.bytes.subarray(from)
    if (ahead !== null) {
      const fiber = ahead
      now = join(now, kept, yield* Fiber.join(fiber))
      ahead = null
      if (now.bytes.length >= block) return now
      kept = now.bytes
    }
    const want = Math.min(size - asked, Math.max(readBytes, block - kept.length))
    if (want <= 0) return kept === now.bytes ? now : { ...now, bytes: kept }
    asked += want
    return join(now, kept, yield* read(want))
  })

  asked = Math.min(size, Math.max(readBytes, WalFormat.preambleBytes))
  let current = yield* read(asked)
  const headerLength = WalFormat.decodePreamble("segment", current.bytes)
  if (Result.isFailure(headerLength)) {
    const { detail, offset, version } = headerLength.failure
    return yield* version === undefined
      ? corrupt(offset, detail)
      : new StateUnusable({ path, reason: "other-version", detail: `${path} has ${detail}` })
  }
  const headerEnd = WalFormat.preambleBytes + headerLength.success
  if (headerEnd > size) {
    return yield* isCut && headerEnd <= handle.bytes
      ? corrupt(size, `${otherSize}: its header ends behind that`)
      : corrupt(12, `its header says it is ${headerLength.success} bytes long`)
  }
  if (current.bytes.length < headerEnd) current = yield* next(current, 0, headerEnd)
  const json = WalFormat.decodeJson("segment", current.bytes)
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
  /** Offset in the file of the first byte of `current`. */
  let base = 0
  let crc = 0
  let rows = 0
  const cut = () =>
    corrupt(size, `${otherSize}: its end is missing, with ${handle.rows - rows} of its ${handle.rows} rows`)
  const pull = Effect.gen(
    function*(): Effect.fn.Return<readonly [SegmentBlock, ...Array<SegmentBlock>], WalError | Cause.Done> {
      while (true) {
        // Before what is there is looked at: the disk works while checksums are computed.
        yield* readAhead
        const { bytes, loan } = current
        const blocks: Array<SegmentBlock> = []
        while (true) {
          const block = WalFormat.decodeBlock(bytes, at, crc)
          if (Result.isFailure(block)) {
            // What is whole before the damage is handed on first; the next pull comes to it again.
            if (blocks.length > 0) break
            return yield* corrupt(base + block.failure.offset, block.failure.detail)
          }
          if (block.success === null) break
          const { crc: crcBehind, end, payload, rows: rowsIn } = block.success
          blocks.push({ payload, rows: rowsIn, offset: base + at, release: loan.share() })
          crc = crcBehind
          rows += rowsIn
          at = end
        }
        const [head, ...tail] = blocks
        if (head !== undefined) return [head, ...tail] as const
        const left = bytes.length - at
        base += at
        if (base + left === size) {
          if (isCut) return yield* cut()
          if (left > 0) return yield* corrupt(base, `it ends inside a block`)
          if (crc !== handle.crc || rows !== handle.rows) {
            return yield* corrupt(
              base,
              `it has ${rows} rows with checksum ${crc}, sealed were ${handle.rows} with ${handle.crc}`
            )
          }
          current.end()
          return yield* Cause.done()
        }
        const block = WalFormat.blockLengthAt(bytes, at) ?? 0
        // A length that points behind the end of the file is damage; it must not become an allocation.
        if (block > size - base) {
          return yield* isCut && block <= handle.bytes - base
            ? cut()
            : corrupt(base, `a block says it is ${block} bytes long`)
        }
        current = yield* next(current, at, block)
        at = 0
        if (current.bytes.length === left) {
          return yield* corrupt(base + left, "it became shorter while it was read")
        }
      }
    }
  )

  return {
    header: found,
    blocks: Stream.fromPull(Effect.succeed(pull))
  }
})
