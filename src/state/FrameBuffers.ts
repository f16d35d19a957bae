/**
 * Buffers that rows are encoded into, used again once their bytes are written.
 *
 * @since 0.1.0
 */
import { once, SpareBuffers } from "./internal/spareBuffers.ts"

/** Where a buffer begins; it doubles while a block does not fit. */
const initialBytes = 64 * 1024
/** A buffer that one very long row has made longer is not kept. */
const spareBytesMax = 512 * 1024
/** For each subtask, as many as wait to be written. */
const sparesMax = 8

/**
 * The spare buffers of one sink; at most 4 MiB of them for each of its subtasks (default 1).
 *
 * @category models
 * @since 0.1.0
 */
export class FrameBuffers {
  private readonly spares: SpareBuffers

  constructor(subtasks = 1) {
    this.spares = new SpareBuffers(initialBytes, subtasks * sparesMax, spareBytesMax)
  }

  /** One that nobody else uses; what is in it is left from before. */
  take(): Buffer {
    return this.spares.take()
  }

  /** How a buffer comes back. Only the first call counts, and there need not be one. */
  lend(buffer: Buffer): () => void {
    return once(() => this.spares.give(buffer))
  }
}
