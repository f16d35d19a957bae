/**
 * A copy of a sealed segment, byte for byte, through the checks that recovery makes.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Stream from "effect/Stream"
import type { SegmentHandle } from "../../checkpoint/Manifest.ts"
import * as RowFrame from "../RowFrame.ts"
import type { OpenSegment } from "../StateBackend.ts"
import type { WalError } from "../WalError.ts"
import * as WalFormat from "../WalFormat.ts"
import { ioError } from "./files.ts"

/** The file is new, and durable when this returns; its name is not, before its directory is synced. Gives its handle. */
export const copySegment = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  path: string,
  handle: SegmentHandle,
  { blocks, header }: OpenSegment
): Effect.fn.Return<SegmentHandle, WalError> {
  const name = path.slice(path.lastIndexOf("/") + 1)
  return yield* Effect.scoped(Effect.gen(function*() {
    const file = yield* ioError("create", path)(fs.open(path, { flag: "wx" }))
    const write = (bytes: Buffer) => ioError("write", path)(file.writeAll(bytes))
    const head = WalFormat.encodeJson("segment", header)
    yield* write(head)
    let bytes = head.length
    let crc = 0
    yield* Stream.runForEach(blocks, ({ payload, release, rows }) => {
      const encoded = WalFormat.encodeBlock(RowFrame.fromFrames(payload, rows).withHeadroom, payload.length, rows, crc)
      crc = encoded.crc
      release?.()
      bytes += encoded.block.length
      return write(encoded.block)
    })
    yield* ioError("sync", path)(file.sync)
    return { ...handle, name, bytes, crc }
  }))
})
