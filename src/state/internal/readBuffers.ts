/**
 * Buffers that sealed segments are read into, again and again.
 */
import { once, SpareBuffers } from "./spareBuffers.ts"

/** A buffer and who looks at it: the reader, and everybody who has a block of it. */
export interface Loan {
  readonly bytes: Buffer
  /** One more who looks at it, until the function that it gives is called; only the first call counts. */
  readonly share: () => () => void
}

/** For two windows of 4 MiB (`SendWindows`), what is read ahead of each, and the short reads at the ends of segments. */
const sparesMax = 8

/** Most blocks are not longer. */
const headroomMax = 288 * 1024

/** For reads of so many bytes, behind room for the block that begins in the middle of the read before. */
export class ReadBuffers {
  private readonly spares: SpareBuffers
  readonly readBytes: number
  readonly headroom: number

  constructor(readBytes: number) {
    this.readBytes = readBytes
    this.headroom = Math.min(readBytes, headroomMax)
    this.spares = new SpareBuffers(this.headroom + readBytes, sparesMax)
  }

  /** One of at least so many bytes that nobody else looks at. One that is longer than usual is not kept. */
  take(size: number): Loan {
    const bytes = size > this.spares.bytes ? Buffer.allocUnsafeSlow(size) : this.spares.take()
    let users = 0
    return {
      bytes,
      share: () => {
        users++
        return once(() => {
          if (--users === 0) this.spares.give(bytes)
        })
      }
    }
  }
}
