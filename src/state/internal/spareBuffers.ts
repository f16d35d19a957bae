/**
 * Buffers that are used again. A new one for each use is cheap by itself, but V8 counts it as memory from outside: it soon
 * collects its whole heap for it, or lets tens of MiB of it wait to be collected.
 */

/** What is given back is kept, `sparesMax` of them, if it is from `bytes` to `bytesMax` long. */
export class SpareBuffers {
  private readonly spares: Array<Buffer> = []
  readonly bytes: number
  private readonly sparesMax: number
  private readonly bytesMax: number

  constructor(bytes: number, sparesMax: number, bytesMax = bytes) {
    this.bytes = bytes
    this.sparesMax = sparesMax
    this.bytesMax = bytesMax
  }

  /** One of at least `bytes` that nobody else uses; what is in it is left from before. */
  take(): Buffer {
    return this.spares.pop() ?? Buffer.allocUnsafeSlow(this.bytes)
  }

  /** Of a buffer that nobody looks at any more. Once for each `take`. */
  give(buffer: Buffer): void {
    const isKept = buffer.length >= this.bytes && buffer.length <= this.bytesMax
    if (isKept && this.spares.length < this.sparesMax) this.spares.push(buffer)
  }
}

/** Only the first call counts. */
export const once = (body: () => void): () => void => {
  let isOver = false
  return () => {
    if (isOver) return
    isOver = true
    body()
  }
}
