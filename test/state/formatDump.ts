/**
 * Files of a state directory as lines of bytes and what they mean. It reads the format as docs/log-format.md tells it, and
 * takes nothing from `src/`: what it can't read, somebody who has only that page couldn't either.
 */
import { assert } from "@effect/vitest"
import * as Zlib from "node:zlib"

const bytesALine = 16

const hex = (bytes: Buffer): string => bytes.toString("hex").replace(/..(?=.)/g, "$& ")

/** Goes through a file from its beginning to its end; no byte may be left out. */
class Dump {
  readonly lines: Array<string> = []
  private readonly bytes: Buffer
  private at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  /** The next bytes; `what` says of them what it is. */
  take(length: number, what: (bytes: Buffer) => string): Buffer {
    assert.isAtMost(length, this.left, `${length} bytes at ${this.at} of ${this.bytes.length}`)
    const bytes = this.bytes.subarray(this.at, this.at + length)
    const text = what(bytes)
    for (let from = 0; from < Math.max(1, length); from += bytesALine) {
      this.line(this.at + from, hex(bytes.subarray(from, from + bytesALine)), from === 0 ? text : "")
    }
    this.at += length
    return bytes
  }

  /** JSON: its beginning and its end. */
  takeJson(length: number): string {
    const bytes = this.bytes.subarray(this.at, this.at + length)
    assert.lengthOf(bytes, length)
    this.line(this.at, `${hex(bytes.subarray(0, 7))} .. ${hex(bytes.subarray(-8))}`, `${length} bytes of JSON`)
    this.at += length
    return bytes.toString("utf8")
  }

  heading(text: string): void {
    this.lines.push(`                                                       ${text}`.trimEnd())
  }

  private line(at: number, bytes: string, what: string): void {
    this.lines.push(`${at.toString(16).padStart(4, "0")}  ${bytes.padEnd(bytesALine * 3 - 1)}  ${what}`.trimEnd())
  }
}

export interface Dumped {
  readonly lines: ReadonlyArray<string>
  readonly json: string
}

const begin = (bytes: Buffer, magic: string): { readonly dump: Dump; readonly json: string } => {
  const dump = new Dump(bytes)
  dump.take(8, (found) => {
    assert.strictEqual(found.toString("latin1"), magic)
    return `magic "${magic}"`
  })
  dump.take(4, (found) => `format version ${found.readUInt32BE()}`)
  const length = dump.take(4, (found) => `length of the JSON, ${found.readUInt32BE()}`).readUInt32BE()
  const crc = dump.take(4, () => "CRC of the JSON").readUInt32BE()
  const json = dump.takeJson(length)
  assert.strictEqual(Zlib.crc32(json), crc)
  return { dump, json }
}

export const dumpManifest = (bytes: Buffer): Dumped => {
  const { dump, json } = begin(bytes, "ECWALCHK")
  assert.strictEqual(dump.left, 0)
  return { lines: dump.lines, json }
}

export const dumpSegment = (bytes: Buffer): Dumped & { readonly crc: number; readonly rows: number } => {
  const { dump, json } = begin(bytes, "ECWALSEG")
  const { statements } = JSON.parse(json) as {
    readonly statements: ReadonlyArray<{
      readonly columns: ReadonlyArray<{ readonly name: string; readonly type: string }>
    }>
  }
  let crc = 0
  let rows = 0
  for (let block = 1; dump.left > 0; block++) {
    dump.heading(`block ${block}`)
    const length = dump.take(4, (found) => `length of its payload, ${found.readUInt32BE()}`)
    const count = dump.take(4, (found) => `rows in it, ${found.readUInt32BE()}`)
    const found = dump.take(4, () =>
      block === 1
        ? "CRC of these 8 bytes and the payload"
        : `the same, continued from block ${block - 1}`).readUInt32BE()
    const before = dump.left
    const rowsBefore = rows
    const payload: Array<Buffer> = []
    for (let row = 1; before - dump.left < length.readUInt32BE(); row++, rows++) {
      dump.heading(`row ${row} of block ${block}`)
      const start = dump.left
      const rest = dump.take(4, (found) => `length of the rest of the row, ${found.readUInt32BE()}`)
      payload.push(
        rest,
        dump.take(8, (found) => `write timestamp, ${found.readBigInt64BE()}`),
        dump.take(8, (found) => `place in the source, ${found.readBigInt64BE()}`)
      )
      const statement = dump.take(2, (found) => `statement ${found.readUInt16BE()}`)
      const values = dump.take(2, (found) => `values, ${found.readUInt16BE()}`)
      payload.push(statement, values)
      const { columns } = statements[statement.readUInt16BE()]!
      assert.lengthOf(columns, values.readUInt16BE())
      for (const { name, type } of columns) {
        const size = dump.take(4, (found) => {
          const length = found.readInt32BE()
          return `${name}: ${length === -1 ? "null" : length === -2 ? "unset" : `${length} bytes`}`
        })
        payload.push(size)
        if (size.readInt32BE() < 0) continue
        payload.push(dump.take(size.readInt32BE(), (found) => `  ${cql(type, found)}`))
      }
      assert.strictEqual(start - dump.left, 4 + rest.readUInt32BE())
    }
    assert.strictEqual(before - dump.left, length.readUInt32BE())
    assert.strictEqual(rows - rowsBefore, count.readUInt32BE())
    crc = Zlib.crc32(Buffer.concat([length, count, ...payload]), crc)
    assert.strictEqual(found, crc)
  }
  return { lines: dump.lines, json, crc, rows }
}

const cql = (type: string, bytes: Buffer): string =>
  type === "bigint" ? `${bytes.readBigInt64BE()}` : type === "int" ? `${bytes.readInt32BE()}` : `"${bytes}"`
