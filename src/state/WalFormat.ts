/**
 * The files of a state directory, byte by byte. All integers are big endian and unsigned unless said otherwise;
 * CRC is the CRC-32 of zlib (polynomial 0xEDB88320).
 *
 * Segment (`segments/e<epoch>-a<attempt>-s<subtask>-n<number>.wal`), written once, sealed by fsync:
 *
 *     offset  size  field
 *     0       8     magic "ECWALSEG"
 *     8       4     format version, 1
 *     12      4     length h of the header's JSON
 *     16      4     CRC of that JSON
 *     20      h     JSON, UTF-8: SegmentHeader
 *     then blocks until the end of the file:
 *     +0      4     length n of the payload; its highest bit is never set
 *     +4      4     rows in the payload
 *     +8      4     CRC of the eight bytes before and of the payload, continued from the block before it
 *                   (the first block continues from 0), so a missing or moved block is noticed as well
 *     +12     n     payload: row frames (RowFrame)
 *
 * The CRC of the last block, the number of rows and the length of the file are repeated in the manifest: a sealed
 * segment that is shorter, longer or different is corrupt. A segment in no manifest was never sealed for anyone; its
 * tail may be torn, it is not read, and the next start deletes it.
 *
 * Manifest (`checkpoints/e<epoch>-c<checkpoint>.manifest`), written as `.tmp`, fsynced, renamed, directory fsynced:
 *
 *     0       8     magic "ECWALCHK"
 *     8       4     format version, 1
 *     12      4     length m of the JSON
 *     16      4     CRC of the JSON
 *     20      m     JSON, UTF-8: Manifest. The file ends here.
 *
 * Savepoint (`_metadata` beside a `segments/` of its own, see Savepoint), written like a manifest, after its segments: the
 * same with magic "ECWALSAV" and the JSON of a SavepointFile.
 *
 * `job.json` names the job: {"format":1,"jobId":"...","uid":"..."}. `lock.<n>` is told in DirectoryLock.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Zlib from "node:zlib"

/**
 * Of segments, manifests and `job.json`. Files of any other are refused.
 *
 * @category constants
 * @since 0.1.0
 */
export const formatVersion = 1

/**
 * Bytes before the JSON of a segment's header or a manifest.
 *
 * @category constants
 * @since 0.1.0
 */
export const preambleBytes = 20

/**
 * Bytes before the payload of a block.
 *
 * @category constants
 * @since 0.1.0
 */
export const blockHeaderBytes = 12

/**
 * A block is at most this long; a length beyond it is corruption, not a reason to allocate.
 *
 * @category constants
 * @since 0.1.0
 */
export const blockBytesMax = 0x7fff_ffff

/**
 * The statement that a segment's rows are for. It is compared with the sink's own at recovery: rows logged for one
 * query are never sent with another.
 *
 * @category models
 * @since 0.1.0
 */
export const LoggedStatement = Schema.Struct({
  /** As the user gave it, without the timestamp marker that the sink adds. */
  query: Schema.String,
  /** Names and CQL types of the markers, in order. */
  columns: Schema.Array(Schema.Struct({ name: Schema.String, type: Schema.String }))
})

/**
 * @category models
 * @since 0.1.0
 */
export type LoggedStatement = typeof LoggedStatement.Type

/**
 * What a segment says of itself: whose it is, its place in the job, and what its rows are for.
 *
 * @category models
 * @since 0.1.0
 */
export const SegmentHeader = Schema.Struct({
  jobId: Schema.String,
  uid: Schema.String,
  epoch: Schema.Int,
  attempt: Schema.Int,
  subtask: Schema.Int,
  /** Counts the segments of one subtask in one attempt, from 0. */
  number: Schema.Int,
  statements: Schema.Array(LoggedStatement)
})

/**
 * @category models
 * @since 0.1.0
 */
export type SegmentHeader = typeof SegmentHeader.Type

/**
 * What a file with a preamble is.
 *
 * @category models
 * @since 0.1.0
 */
export type Kind = "segment" | "manifest" | "savepoint"

const magic: { readonly [kind in Kind]: string } = {
  segment: "ECWALSEG",
  manifest: "ECWALCHK",
  savepoint: "ECWALSAV"
}

/**
 * The preamble and its JSON as the bytes of a file's beginning (all of it, for a manifest or a savepoint).
 *
 * @category combinators
 * @since 0.1.0
 */
export const encodeJson = (kind: Kind, value: unknown): Buffer => {
  const json = Buffer.from(JSON.stringify(value), "utf8")
  const buffer = Buffer.allocUnsafe(preambleBytes + json.length)
  buffer.write(magic[kind], 0, "latin1")
  buffer.writeUInt32BE(formatVersion, 8)
  buffer.writeUInt32BE(json.length, 12)
  buffer.writeUInt32BE(Zlib.crc32(json), 16)
  json.copy(buffer, preambleBytes)
  return buffer
}

/**
 * What is wrong with some bytes, and where, counted from the beginning of the bytes given.
 *
 * @category models
 * @since 0.1.0
 */
export interface Damage {
  readonly offset: number
  readonly detail: string
  /** Written by a version of this library that this one does not know. */
  readonly version?: number
}

/**
 * Length of the JSON behind a preamble.
 *
 * @category combinators
 * @since 0.1.0
 */
export const decodePreamble = (kind: Kind, bytes: Buffer): Result.Result<number, Damage> => {
  if (bytes.length < preambleBytes) {
    return Result.fail({ offset: 0, detail: `it has ${bytes.length} bytes, fewer than a ${kind}'s preamble` })
  }
  if (bytes.toString("latin1", 0, 8) !== magic[kind]) {
    return Result.fail({ offset: 0, detail: `it does not begin like a ${kind}` })
  }
  const version = bytes.readUInt32BE(8)
  if (version !== formatVersion) {
    return Result.fail({ offset: 8, detail: `format version ${version}, this program reads ${formatVersion}`, version })
  }
  return Result.succeed(bytes.readUInt32BE(12))
}

/**
 * The JSON of a file's beginning, checked. `bytes` must hold the preamble and the whole JSON.
 *
 * @category combinators
 * @since 0.1.0
 */
export const decodeJson = (kind: Kind, bytes: Buffer): Result.Result<unknown, Damage> => {
  const length = decodePreamble(kind, bytes)
  if (Result.isFailure(length)) return Result.fail(length.failure)
  const end = preambleBytes + length.success
  if (bytes.length < end) return Result.fail({ offset: bytes.length, detail: `it ends inside its JSON` })
  const json = bytes.subarray(preambleBytes, end)
  if (Zlib.crc32(json) !== bytes.readUInt32BE(16)) {
    return Result.fail({ offset: preambleBytes, detail: "the checksum of its JSON does not hold" })
  }
  return Result.succeed(JSON.parse(json.toString("utf8")))
}

/**
 * Writes the 12 bytes before a payload into the bytes before it. `withHeadroom` ends with the payload, which is
 * `payloadBytes` long. Gives the block, and the running CRC that its segment has behind it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const encodeBlock = (
  withHeadroom: Buffer,
  payloadBytes: number,
  rows: number,
  crcBefore: number
): { readonly block: Buffer; readonly crc: number } => {
  const start = withHeadroom.length - payloadBytes - blockHeaderBytes
  const block = withHeadroom.subarray(start)
  block.writeUInt32BE(payloadBytes, 0)
  block.writeUInt32BE(rows, 4)
  const crc = Zlib.crc32(block.subarray(blockHeaderBytes), Zlib.crc32(block.subarray(0, 8), crcBefore))
  block.writeUInt32BE(crc, 8)
  return { block, crc }
}

/**
 * One block at `offset` of `bytes`: null when more bytes are needed, else its payload, its rows, the running CRC and
 * where the next block begins.
 *
 * @category combinators
 * @since 0.1.0
 */
export const decodeBlock = (bytes: Buffer, offset: number, crcBefore: number): Result.Result<
  { readonly payload: Buffer; readonly rows: number; readonly crc: number; readonly end: number } | null,
  Damage
> => {
  if (bytes.length - offset < blockHeaderBytes) return Result.succeed(null)
  const length = bytes.readUInt32BE(offset)
  if (length === 0 || length > blockBytesMax) {
    return Result.fail({ offset, detail: `a block says it is ${length} bytes long` })
  }
  const end = offset + blockHeaderBytes + length
  if (bytes.length < end) return Result.succeed(null)
  const payload = bytes.subarray(offset + blockHeaderBytes, end)
  const crc = Zlib.crc32(payload, Zlib.crc32(bytes.subarray(offset, offset + 8), crcBefore))
  if (crc !== bytes.readUInt32BE(offset + 8)) {
    return Result.fail({ offset, detail: "the checksum of a block does not hold" })
  }
  return Result.succeed({ payload, rows: bytes.readUInt32BE(offset + 4), crc, end })
}

/**
 * Length of the block at `offset`, header included, as far as its first four bytes tell; null when they are not there.
 *
 * @category combinators
 * @since 0.1.0
 */
export const blockLengthAt = (bytes: Buffer, offset: number): number | null =>
  bytes.length - offset < 4 ? null : blockHeaderBytes + bytes.readUInt32BE(offset)
