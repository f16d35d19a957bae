import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Zlib from "node:zlib"
import type { Position } from "../../src/checkpoint/Position.ts"
import * as NdjsonSource from "../../src/source/NdjsonSource.ts"
import { chunksOf, lastPosition, readUntilFailure, recordsOf, temporaryFile } from "./fileFixture.ts"

const open = (file: string, options?: NdjsonSource.NdjsonOptions) =>
  Effect.provide(NdjsonSource.make(file, options), NodeFileSystem.layer)

const line = (n: number) => `{"n":${n},"pad":"${"x".repeat(80)}"}\n`
const lines = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => line(from + i)).join("")
const lineBytes = 100

/** 2000 lines of 100 bytes (more than the 64 KiB of the head), read up to `line`. */
const fixture = Effect.fnUntraced(function*(upTo: number) {
  const content = lines(1000, 3000)
  const file = yield* temporaryFile("file.ndjson", content)
  const source = yield* open(file, { maxRecords: upTo })
  const chunks = yield* Effect.provide(Stream.runCollect(Stream.take(source.read(null), 1)), NodeFileSystem.layer)
  const position = lastPosition(chunks)!
  assert.strictEqual(position["byte"], upTo * lineBytes)
  return { file, content, source, position }
})

const touch = (file: string) => fs.utimesSync(file, 1_000_000_000, 1_000_000_000)

const places = (chunks: Parameters<typeof recordsOf>[0]) => recordsOf(chunks).map(([place]) => place)

const changedAfter = (upTo: number, change: (file: string, content: string) => void) =>
  Effect.gen(function*() {
    const { content, file, position, source } = yield* fixture(upTo)
    change(file, content)
    const { chunks, error, reason } = yield* readUntilFailure(source, position)
    assert.strictEqual(chunks.length, 0)
    assert.isFalse(error.isRetryable)
    assert(reason._tag === "InputChanged")
    assert.include(error.message, file)
    assert.include(error.message, "another job id")
    return reason.what
  })

describe("FileInput: resuming", () => {
  it.effect("goes on in a file that was appended to", () =>
    Effect.gen(function*() {
      const { file, position, source } = yield* fixture(1500)
      fs.appendFileSync(file, lines(3000, 3001))
      assert.deepStrictEqual(
        places(yield* chunksOf(source, position)),
        Array.from({ length: 501 }, (_, i) => 1501 + i)
      )
    }))

  it.effect("goes on in a file whose end was reached, once it has grown", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile("file.ndjson", lines(1000, 1010))
      const source = yield* open(file)
      const end = lastPosition(yield* chunksOf(source))
      assert.deepStrictEqual(yield* chunksOf(source, end), [])
      fs.appendFileSync(file, lines(2000, 2002))
      assert.deepStrictEqual(places(yield* chunksOf(source, end)), [11, 12])
    }))

  it.effect("goes on in a file that was touched, or moved, or copied", () =>
    Effect.gen(function*() {
      const { file, position, source } = yield* fixture(1500)
      touch(file)
      assert.strictEqual(places(yield* chunksOf(source, position)).length, 500)
      const moved = path.join(path.dirname(file), "moved.ndjson")
      fs.copyFileSync(file, moved)
      fs.rmSync(file)
      assert.strictEqual(places(yield* chunksOf(yield* open(moved), position)).length, 500)
    }))

  it.effect("goes on in a file whose unread part was corrected", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile("file.ndjson", `${lines(1000, 1003)}{"n": oops}\n${lines(1004, 1006)}`)
      const source = yield* open(file)
      const { chunks } = yield* readUntilFailure(source)
      fs.writeFileSync(file, `${lines(1000, 1003)}{"n": 1003}\n${lines(1004, 1006)}`)
      assert.deepStrictEqual(places(yield* chunksOf(source, lastPosition(chunks))), [4, 5, 6])
    }))

  it.effect("refuses a file that was cut", () =>
    Effect.gen(function*() {
      const what = yield* changedAfter(1500, (file) => fs.truncateSync(file, 149_999))
      assert.strictEqual(what, "it was cut: it has 149999 bytes, the position is 150000")
    }))

  it.effect("says that another file is given, or in its place, and what the first one was", () =>
    Effect.gen(function*() {
      for (const pack of [(text: string) => text, (text: string) => Zlib.gzipSync(text)]) {
        const first = yield* temporaryFile("first.ndjson", pack(lines(1000, 1010)))
        const position = lastPosition(yield* chunksOf(yield* open(first, { maxRecords: 5 })))!
        const { size } = fs.statSync(first)
        for (const content of [lines(2000, 2100), lines(2000, 2003), lines(1000, 1003)]) {
          const other = yield* temporaryFile("other.ndjson", pack(content))
          const { error } = yield* readUntilFailure(yield* open(other), position)
          const [begin, end] = error.message.split(first)
          assert.strictEqual(
            begin,
            `${other}: cannot resume: it is not the file that the job was begun with. That was `
          )
          assert.include(end!, `, of ${size} bytes, of `)
          assert.include(
            end!,
            ` 1000 were read; this one has ${fs.statSync(other).size} bytes, and does not begin with`
          )
          assert.include(error.message, `Give ${first} again, or start a new job`)
        }
      }
      const { file, position, source } = yield* fixture(1500)
      fs.writeFileSync(file, lines(2000, 3000))
      assert.include(
        (yield* readUntilFailure(source, position)).error.message,
        "another file is in its place: it begins differently, and has 100000 bytes where that one had 200000"
      )
      fs.writeFileSync(file, lines(1000, 1010))
      assert.include(
        (yield* readUntilFailure(source, position)).error.message,
        "it was cut, or is another file: it has 1000 bytes, the position is 150000"
      )
    }))

  it.effect("takes a file cut exactly at the position", () =>
    Effect.gen(function*() {
      const { file, position, source } = yield* fixture(1500)
      fs.truncateSync(file, 1500 * lineBytes)
      assert.deepStrictEqual(yield* chunksOf(source, position), [])
    }))

  it.effect("refuses a file with one byte changed in the part that was read, anywhere in it", () =>
    Effect.gen(function*() {
      for (const at of [5, 65_536 + 10, 1500 * lineBytes - 10]) {
        const what = yield* changedAfter(1500, (file, content) => {
          fs.writeFileSync(file, `${content.slice(0, at)}y${content.slice(at + 1)}`)
          touch(file)
        })
        assert.strictEqual(what, "its first 150000 bytes (1500 lines) are not what was read")
      }
    }))

  it.effect("refuses a changed head even if size and time were put back", () =>
    Effect.gen(function*() {
      yield* changedAfter(1500, (file, content) => {
        const { atime, mtime } = fs.statSync(file)
        const handle = fs.openSync(file, "r+")
        fs.writeSync(handle, "9", content.indexOf("1003"))
        fs.closeSync(handle)
        fs.utimesSync(file, atime, mtime)
      })
    }))

  it.effect("refuses a file replaced by another of the same size and time", () =>
    Effect.gen(function*() {
      yield* changedAfter(1500, (file, content) => {
        const { atime, mtime } = fs.statSync(file)
        const other = path.join(path.dirname(file), "other")
        fs.writeFileSync(other, `${content.slice(0, 100_000)}y${content.slice(100_001)}`)
        fs.utimesSync(other, atime, mtime)
        fs.renameSync(other, file)
      })
    }))

  it.effect("refuses a last line without a line feed that may have gone on", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile("file.ndjson", "{\"n\":1}\n{\"n\":2}")
      const source = yield* open(file)
      const chunks = yield* chunksOf(source)
      assert.deepStrictEqual(places(chunks), [1, 2])
      const end = lastPosition(chunks)
      assert.deepStrictEqual(yield* chunksOf(source, end), [])
      fs.appendFileSync(file, "\n{\"n\":3}\n")
      const { reason } = yield* readUntilFailure(source, end)
      assert(reason._tag === "InputChanged")
      assert.strictEqual(
        reason.what,
        "line 2 was its last and had no line feed, so it was read as it was; the file has grown by 9 bytes since, and " +
          "the line may go on"
      )
    }))

  it.effect("refuses a position that is not one of a file", () =>
    Effect.gen(function*() {
      const source = yield* open(yield* temporaryFile("file.ndjson", lines(1000, 1002)))
      const good = lastPosition(yield* chunksOf(source))!
      const bad: ReadonlyArray<Position> = [
        { kind: "iterable", index: 3 },
        { ...good, byte: -1 },
        { ...good, crc: "x" },
        {}
      ]
      for (const position of bad) {
        const { reason } = yield* readUntilFailure(source, position)
        assert(reason._tag === "InputChanged")
        assert.include(reason.what, "is not one of a file")
      }
    }))

  it.effect("notices that the file is cut while it is read", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile("file.ndjson", lines(1000, 1020))
      const source = yield* open(file, { blockBytes: 200 })
      let count = 0
      const error = yield* source.read(null).pipe(
        Stream.runForEach((chunk) =>
          Effect.sync(() => {
            count += chunk.records.length
            if (count === 10) fs.truncateSync(file, 500)
          })
        ),
        Effect.flip,
        Effect.provide(NodeFileSystem.layer)
      )
      assert(error.reason._tag === "InputChanged")
      assert.include(error.reason.what, "cut while it was read")
    }))
})

describe("FileInput: opening", () => {
  it.effect("names a file that is not there, when the source is made and when it is read", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile("file.ndjson", "{}\n")
      const source = yield* open(file)
      fs.rmSync(file)
      const { error, reason } = yield* readUntilFailure(source)
      assert.strictEqual(reason._tag, "InputNotFound")
      assert.include(error.message, file)
      assert.strictEqual((yield* Effect.flip(open(file))).reason._tag, "InputNotFound")
    }))

  it.effect("refuses what is not a regular file", () =>
    Effect.gen(function*() {
      const directory = path.dirname(yield* temporaryFile("file.ndjson", ""))
      const error = yield* Effect.flip(open(directory))
      assert(error.reason._tag === "InputUnreadable")
      assert.isFalse(error.isRetryable)
      assert.include(error.message, "it is a Directory")
    }))

  const openHandles = (file: string) =>
    fs.readdirSync("/proc/self/fd").filter((handle) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${handle}`) === file
      } catch {
        return false
      }
    }).length

  // Only Linux tells, in /proc, which files a process has open.
  it.effect.skipIf(process.platform !== "linux")(
    "closes the file at the end, on failure and when left early",
    () =>
      Effect.gen(function*() {
        const { file, source } = yield* fixture(10)
        assert.strictEqual(openHandles(file), 0)
        let during = 0
        yield* source.read(null).pipe(
          Stream.take(3),
          Stream.runForEach(() => Effect.sync(() => during = openHandles(file))),
          Effect.provide(NodeFileSystem.layer)
        )
        assert.strictEqual(during, 1)
        assert.strictEqual(openHandles(file), 0)
        yield* chunksOf(source)
        assert.strictEqual(openHandles(file), 0)
        fs.writeFileSync(file, "oops")
        yield* readUntilFailure(source)
        assert.strictEqual(openHandles(file), 0)
      })
  )
})
