import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, FileSystem, Schema } from "effect"
import { Buffer } from "node:buffer"
import * as Fs from "node:fs"
import * as Zlib from "node:zlib"
import * as FileBytes from "../../src/source/FileBytes.ts"
import * as NdjsonSource from "../../src/source/NdjsonSource.ts"
import { chunksOf, cuts, lastPosition, readUntilFailure, recordsOf, temporaryFile } from "./fileFixture.ts"

const zstd = (data: string | Buffer) =>
  Zlib.zstdCompressSync(data, { params: { [Zlib.constants.ZSTD_c_checksumFlag]: 1 } })

const packers = { gzip: (data: string | Buffer) => Zlib.gzipSync(data), zstd }
const kinds = ["gzip", "zstd"] as const

const open = (path: string, options?: NdjsonSource.NdjsonOptions) =>
  Effect.provide(NdjsonSource.make(path, options), NodeFileSystem.layer)

const lines = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => `{"id":${from + i},"text":"${Math.sin(i)} ${"x".repeat(i % 50)}"}\n`).join("")

describe("archives", () => {
  it.effect.prop(
    "are read as what they hold, and from any position exactly the rest",
    {
      parts: Arbitrary.array(Arbitrary.schema(Schema.Literals([0, 1, 3, 40])), { minLength: 1, maxLength: 4 }),
      kind: Schema.Literals(kinds),
      cut: Schema.Literals([0, 2, 3, 5, 6]),
      openEnd: Schema.Boolean
    },
    ({ cut, kind, openEnd, parts }) =>
      Effect.gen(function*() {
        const texts = parts.map((count, i) => lines(count, i * 100))
        if (openEnd) texts.push("{\"id\":-1}")
        const text = texts.join("")
        // One frame or member a part, as `cat a.gz b.gz` makes them.
        const packed = Buffer.concat(texts.map(packers[kind]))
        const expected = text.split("\n").flatMap((line, i) => line === "" ? [] : [[i + 1, JSON.parse(line)] as const])
        const source = yield* open(yield* temporaryFile("file.gz", packed), cuts[cut])
        assert.strictEqual(source.total, packed.length)
        const chunks = yield* chunksOf(source)
        assert.deepStrictEqual(recordsOf(chunks), expected)
        if (expected.length > 0) assert.strictEqual(source.progress(lastPosition(chunks)!), packed.length)
        let before = 0
        for (const chunk of chunks) {
          before += chunk.records.length
          const rest = yield* chunksOf(source, JSON.parse(JSON.stringify(chunk.position)))
          assert.deepStrictEqual(recordsOf(rest), expected.slice(before))
        }
      }),
    { arbitrary: { runs: 60 } }
  )

  it.live("gzip: zeros behind the last member are padding, and what is not all zero is damage", () =>
    Effect.gen(function*() {
      // Without compression, so that a member ends where a block of the reader does, or next to it.
      const member = (bytes: number) => {
        const text = (length: number) => `{"text":"${"x".repeat(length)}"}\n`
        const over = Zlib.gzipSync(text(bytes), { level: 0 }).length - bytes
        return Zlib.gzipSync(text(bytes - over), { level: 0 })
      }
      for (const bytes of [1000, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1]) {
        for (const zeros of [1, 511, 64 * 1024, 200_000]) {
          const packed = Buffer.concat([Zlib.gzipSync(lines(3)), member(bytes), Buffer.alloc(zeros)])
          const source = yield* open(yield* temporaryFile("padded.gz", packed))
          const chunks = yield* chunksOf(source)
          assert.strictEqual(recordsOf(chunks).length, 4, `${bytes} and ${zeros}`)
          assert.deepStrictEqual(yield* chunksOf(source, lastPosition(chunks)!), [])
          const bad = yield* open(yield* temporaryFile("bad.gz", Buffer.concat([packed, Buffer.of(1)])))
          assert.strictEqual((yield* readUntilFailure(bad)).error.reason._tag, "InputDamaged")
        }
      }
    }))

  it.live.each(kinds)(
    "%s: far larger than what is held in memory, with a position in the middle",
    (kind) =>
      Effect.gen(function*() {
        const path = yield* temporaryFile("large", packers[kind](lines(60_000)))
        const source = yield* open(path)
        const chunks = yield* chunksOf(source)
        assert.isAbove(chunks.length, 8)
        const middle = chunks.length >> 1
        const before = recordsOf(chunks.slice(0, middle + 1)).length
        const rest = recordsOf(yield* chunksOf(source, chunks[middle]!.position))
        assert.strictEqual(before + rest.length, 60_000)
        assert.strictEqual(rest[0]![0], before + 1)
      })
  )

  it.live.each(kinds)("%s: damage is told with its place, before a record is given", (kind) =>
    Effect.gen(function*() {
      const whole = packers[kind](lines(20_000))
      const flipped = Buffer.from(whole)
      flipped[whole.length - 3]! ^= 0x10
      const damaged = [whole.subarray(0, whole.length >> 1), whole.subarray(0, -1), flipped]
      for (const bytes of [...damaged, Buffer.concat([whole, whole.subarray(0, 500)])]) {
        const path = yield* temporaryFile("damaged", bytes)
        const { error, reason, records } = yield* readUntilFailure(yield* open(path))
        assert.deepStrictEqual(records, [])
        if (reason._tag !== "InputDamaged") throw error
        assert.include(error.message, `${path}: the ${kind} archive is damaged at or before byte `)
        assert.isAtMost(reason.packedByte, bytes.length)
        assert.isAbove(reason.byte, 0)
        assert.isFalse(error.isRetryable)
      }
    }))

  it.live.each(kinds)(
    "%s: resumes on one with the same beginning, and refuses another",
    (kind) =>
      Effect.gen(function*() {
        const path = yield* temporaryFile("changed", packers[kind](lines(5000)))
        const source = yield* open(path, { maxRecords: 1000 })
        const chunks = yield* chunksOf(source)
        const middle = chunks[2]!.position
        const before = recordsOf(chunks.slice(0, 3)).length
        const last = lastPosition(chunks)
        // Packed anew, with more in it: what follows is read.
        Fs.writeFileSync(path, packers[kind](lines(5001)))
        assert.strictEqual((yield* chunksOf(source, last)).flatMap(({ records }) => records).length, 1)
        assert.strictEqual(recordsOf(yield* chunksOf(source, middle)).length, 5001 - before)
        // Not packed at all, with the same in it.
        Fs.writeFileSync(path, lines(5000))
        assert.strictEqual(recordsOf(yield* chunksOf(source, middle)).length, 5000 - before)
        Fs.writeFileSync(path, packers[kind](lines(5000, 1)))
        assert.strictEqual((yield* readUntilFailure(source, middle)).reason._tag, "InputChanged")
        Fs.writeFileSync(path, packers[kind](lines(before - 1)))
        assert.match((yield* readUntilFailure(source, middle)).error.message, /it was cut/)
        // Damage behind the position is found before anything more is given.
        const whole = packers[kind](lines(5002))
        Fs.writeFileSync(path, whole.subarray(0, -2))
        const { reason, records } = yield* readUntilFailure(source, middle)
        assert.strictEqual(reason._tag, "InputDamaged")
        assert.deepStrictEqual(records, [])
      })
  )

  it.live.each(kinds)("%s: one that was read to its end is not unpacked again", (kind) =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("done", packers[kind](lines(20_000)))
      Fs.utimesSync(path, 1e9, 1e9)
      const last = lastPosition(yield* chunksOf(yield* open(path)))
      // The identity holds the first 64 KiB, the size and the time: behind them, nobody looks.
      const bytes = Fs.readFileSync(path)
      assert.isAbove(bytes.length, 80_000)
      bytes.fill(0, 70_000)
      Fs.writeFileSync(path, bytes)
      Fs.utimesSync(path, 1e9, 1e9)
      assert.deepStrictEqual(yield* chunksOf(yield* open(path), last), [])
    }))

  it.effect("goes to any offset, also back", () =>
    Effect.scoped(Effect.gen(function*() {
      const text = lines(3000)
      const path = yield* temporaryFile("offsets", zstd(text))
      const file = yield* (yield* FileSystem.FileSystem).open(path)
      const bytes = yield* FileBytes.unpacked(file, path, "zstd")
      const into = Buffer.alloc(10)
      for (const byte of [0, 5, 100_000, 99_990, 3, text.length - 4, text.length, 0]) {
        const length = yield* bytes.readAt(into, byte)
        assert.strictEqual(into.toString("latin1", 0, length), text.slice(byte, byte + length))
        assert.strictEqual(length > 0, byte < text.length)
      }
    })).pipe(Effect.provide(NodeFileSystem.layer)))
})
