/**
 * From the blocks of a segment to its rows, and from a segment to another one.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { SegmentHandle } from "../checkpoint/Manifest.ts"
import type { LoggedRow } from "./RowFrame.ts"
import * as RowFrame from "./RowFrame.ts"
import type { SegmentBlock, SegmentWriter } from "./StateBackend.ts"
import type { WalError } from "./WalError.ts"
import { StateCorrupt } from "./WalError.ts"

/**
 * The rows of a block whose checksum held. Fails if its frames do not add up all the same; `path` is for the message.
 *
 * @category getters
 * @since 0.1.0
 */
export const ofBlock =
  (path: string, { checkpointId }: SegmentHandle) =>
  ({ offset, payload }: SegmentBlock): Effect.Effect<ReadonlyArray<LoggedRow>, StateCorrupt> => {
    try {
      return Effect.succeed(RowFrame.read(payload))
    } catch (error) {
      return Effect.fail(new StateCorrupt({ path, offset, checkpointId, detail: String(error) }))
    }
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
