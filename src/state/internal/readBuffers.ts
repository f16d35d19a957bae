/**
 * Buffers that sealed segments are read into, again and again. A new one for each read is cheap by itself, but V8 counts
 * it as memory from outside and soon collects its whole heap for it: half of the time of a replay's reading went there.
 */

/** A buffer and who looks at it: the reader, and everybody who has a block of it. */
export interface Loan {
  readonly bytes: Buffer
  /** One more who looks at it, until the function that it gives is called; only the first call counts. */
  readonly share: () => () => void
}

/** Spare buffers that are kept, for two segments that are read at once. */
const sparesMax = 4

/** Most blocks are not longer. */
const headroomMax = 288 * 1024

/** For reads of so many bytes, behind room for the block that begins in the middle of the read before. */
export class ReadBuffers {
  private readonly spares: Array<Buffer> = []
  private readonly size: number
  readonly readBytes: number
  readonly headroom: number

  constructor(readBytes: number) {
    this.readBytes = readBytes
    this.headroom = Math.min(readBytes, headroomMax)
    this.size = this.headroom + readBytes
  }

  /** One of at least so many bytes that nobody else looks at; what is in it is left from before. */
  take(size: number): Loan {
    const bytes = size > this.size
      ? Buffer.allocUnsafeSlow(size)
      : this.spares.pop() ?? Buffer.allocUnsafeSlow(this.size)
    let users = 0
    return {
      bytes,
      share: () => {
        users++
        let isSharing = true
        return () => {
          if (!isSharing) return
          isSharing = false
          if (--users === 0 && bytes.length === this.size && this.spares.length < sparesMax) this.spares.push(bytes)
        }
      }
    }
  }
}
