/**
 * What a damaged segment still holds: its whole blocks, and where the others are. For people who look and repair;
 * recovery stops at the first damage.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Zlib from "node:zlib"
import type { SegmentHandle } from "../../checkpoint/Manifest.ts"
import type { LoggedRow } from "../RowFrame.ts"
import * as RowFrame from "../RowFrame.ts"
import type { Damage } from "../WalFormat.ts"
import * as WalFormat from "../WalFormat.ts"

export interface SegmentScan {
  readonly damage: ReadonlyArray<Damage>
  /** How far the file is as it was sealed, with the rows up to there and their running CRC; null without a header. */
  readonly whole: { readonly bytes: number; readonly rows: number; readonly crc: number } | null
  /** Null where it can't be read. */
  readonly header: WalFormat.SegmentHeader | null
  /** The blocks up to the first damage. */
  readonly blocks: ReadonlyArray<{ readonly payload: Buffer; readonly rows: number }>
  /** The last row before the first damage, and the last whole one in the file. */
  readonly lastBefore: LoggedRow | null
  readonly lastOfAll: LoggedRow | null
  /** Whether the file's last block is whole, so that `lastOfAll` is the last row there ever was. */
  readonly isEndWhole: boolean
}

const decodeHeader = Schema.decodeUnknownResult(WalFormat.SegmentHeader)

/** The rows of a block whose checksum held. */
const rowsOf = (payload: Buffer, offset: number): Result.Result<ReadonlyArray<LoggedRow>, Damage> => {
  try {
    return Result.succeed(RowFrame.read(payload))
  } catch (error) {
    return Result.fail({ offset, detail: String(error) })
  }
}

/**
 * `bytes` is the whole file. Behind a damaged block the next one is found by the length that it gives, and known to be
 * whole by the checksum that continues from its own; one of two damaged blocks in a row may stand for both.
 */
export const scanSegment = (bytes: Buffer, handle: SegmentHandle): SegmentScan => {
  const damage: Array<Damage> = []
  const nothing = { whole: null, header: null, blocks: [], lastBefore: null, lastOfAll: null, isEndWhole: false }
  const length = WalFormat.decodePreamble("segment", bytes)
  if (Result.isFailure(length)) return { ...nothing, damage: [length.failure] }
  const json = WalFormat.decodeJson("segment", bytes)
  const header = Result.isFailure(json) ? null : Result.getOrNull(decodeHeader(json.success))
  if (header === null) {
    damage.push(Result.isFailure(json) ? json.failure : { offset: WalFormat.preambleBytes, detail: "it is no header" })
  }
  const blocks: Array<{ readonly payload: Buffer; readonly rows: number }> = []
  let at = WalFormat.preambleBytes + length.success
  let crcs: ReadonlyArray<number> = [0]
  let rows = 0
  let whole: { bytes: number; rows: number; crc: number } = { bytes: Math.min(at, bytes.length), rows: 0, crc: 0 }
  let lastBefore: LoggedRow | null = null
  let lastOfAll: LoggedRow | null = null
  let isEndWhole = false
  while (at < bytes.length) {
    const block = crcs.map((crc) => WalFormat.decodeBlock(bytes, at, crc)).toSorted((a, b) =>
      Number(Result.isFailure(a)) - Number(Result.isFailure(b))
    )[0]!
    if (Result.isSuccess(block) && block.success === null) {
      damage.push({ offset: at, detail: "it ends inside a block" })
      isEndWhole = false
      break
    }
    const read = Result.isFailure(block) ? Result.fail(block.failure) : rowsOf(block.success!.payload, at)
    isEndWhole = Result.isSuccess(read)
    if (Result.isFailure(read)) {
      const end = at + (WalFormat.blockLengthAt(bytes, at) ?? bytes.length)
      damage.push(read.failure)
      // A length that points behind the end is damaged itself: nothing tells where the next block is.
      if (end > bytes.length || end <= at + WalFormat.blockHeaderBytes) break
      // Either what the block says of itself is right, or (its checksum being what is damaged) what it holds.
      const computed = Zlib.crc32(
        bytes.subarray(at + WalFormat.blockHeaderBytes, end),
        Zlib.crc32(bytes.subarray(at, at + 8), crcs[0])
      )
      crcs = [bytes.readUInt32BE(at + 8), computed]
      at = end
      continue
    }
    const { crc, end } = Result.isSuccess(block) ? block.success! : { crc: 0, end: bytes.length }
    const last: LoggedRow | null = read.success.at(-1) ?? lastOfAll
    rows += read.success.length
    lastOfAll = last
    crcs = [crc]
    at = end
    if (damage.length > 0) continue
    lastBefore = last
    whole = { bytes: end, rows, crc }
    if (Result.isSuccess(block)) blocks.push(block.success!)
  }
  if (damage.length === 0 && (bytes.length !== handle.bytes || whole.crc !== handle.crc || rows !== handle.rows)) {
    damage.push({
      offset: Math.min(bytes.length, handle.bytes),
      detail: `it has ${bytes.length} bytes and ${rows} rows with checksum ${whole.crc}, sealed were ${handle.bytes} ` +
        `bytes and ${handle.rows} rows with ${handle.crc}`
    })
  }
  return {
    damage,
    whole: header === null ? null : whole,
    header,
    blocks,
    lastBefore,
    lastOfAll,
    isEndWhole: isEndWhole && bytes.length === handle.bytes
  }
}
