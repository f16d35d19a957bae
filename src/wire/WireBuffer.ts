/**
 * A growing buffer that values are written into, one after another, with their lengths.
 *
 * @since 0.1.0
 */

/**
 * @category models
 * @since 0.1.0
 */
export class WireBuffer {
  bytes: Buffer
  /** Bytes written. */
  length: number

  /** Begins in `initial`, or in a new buffer of so many bytes. */
  constructor(initial: Buffer | number) {
    this.bytes = typeof initial === "number" ? Buffer.allocUnsafeSlow(initial) : initial
    this.length = 0
  }

  /** Makes room for so many more bytes. */
  reserve(size: number): void {
    if (this.length + size <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + size))
    this.bytes.copy(grown, 0, 0, this.length)
    this.bytes = grown
  }

  /** `undefined` is unset. */
  writeValue(value: Buffer | null | undefined): void {
    if (!value) {
      this.reserve(4)
      this.length = this.bytes.writeInt32BE(value === null ? -1 : -2, this.length)
      return
    }
    this.reserve(4 + value.length)
    const at = this.bytes.writeInt32BE(value.length, this.length)
    value.copy(this.bytes, at)
    this.length = at + value.length
  }
}
