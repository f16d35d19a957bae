/**
 * From the blocks of a segment to its rows, and from a segment to another one.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { SegmentHandle } from "../checkpoint/Manifest.ts"
import type { LoggedRow } from "./RowFrame.ts"
import * as RowFrame from "./RowFrame.ts"
import type { SegmentBlock, SegmentWriter } from "./StateBackend.ts"
import type { WalError } from "./WalError.ts"
import { StateCorrupt } from "./WalError.ts"

/**
 * The rows of blocks whose checksums held. Fails if the frames of one do not add up all the same; `path` is for the message.
 *
 * @category getters
 * @since 0.1.0
 */
export const ofBlocks =
  (path: string, { checkpointId }: SegmentHandle) =>
  (blocks: ReadonlyArray<SegmentBlock>): Effect.Effect<ReadonlyArray<LoggedRow>, StateCorrupt> => {
    const rows: Array<LoggedRow> = []
    for (const { offset, payload } of blocks) {
      try {
        RowFrame.readInto(rows, payload)
      } catch (error) {
        return Effect.fail(new StateCorrupt({ path, offset, checkpointId, detail: String(error) }))
      }
    }
    return Effect.succeed(rows)
  }

/**
 * Gives the blocks' bytes back. None of their rows may be looked at any more.
 *
 * @category combinators
 * @since 0.1.0
 */
export const release = (blocks: ReadonlyArray<SegmentBlock>): void => {
  for (const block of blocks) block.release?.()
}

/**
 * Reads all rows, and keeps none: for its failure.
 *
 * @category combinators
 * @since 0.1.0
 */
export const check = (
  path: string,
  handle: SegmentHandle,
  blocks: Stream.Stream<SegmentBlock, WalError>
): Effect.Effect<void, WalError> => {
  const rowsOf = ofBlocks(path, handle)
  return Stream.runForEachArray(blocks, (some) => Effect.map(rowsOf(some), () => release(some)))
}

/**
 * Adds a block of another segment as it is, timestamps included.
 *
 * @category combinators
 * @since 0.1.0
 */
export const append = (
  writer: SegmentWriter,
  { payload, rows }: Pick<SegmentBlock, "payload" | "rows">
): Effect.Effect<void, WalError> =>
  Effect.suspend(() => {
    const [first, last] = RowFrame.timestampRange(RowFrame.read(payload))
    return writer.append(RowFrame.fromFrames(payload, rows), first, last)
  })
