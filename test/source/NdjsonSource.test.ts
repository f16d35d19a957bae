import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Buffer } from "node:buffer"
import { crc32 } from "node:zlib"
import * as NdjsonSource from "../../src/source/NdjsonSource.ts"
import { chunksOf, cuts, lastPosition, readUntilFailure, recordsOf, temporaryFile } from "./fileFixture.ts"

const open = (path: string, options?: NdjsonSource.NdjsonOptions) =>
  Effect.provide(NdjsonSource.make(path, options), NodeFileSystem.layer)

const texts = [
  "",
  "a",
  "plain ascii text",
  "\u00e9\u00e8",
  "\u65e5\u672c\u8a9e",
  "\ud83d\ude00 \ud83d\ude80",
  "tab\tand \"quote\" \\",
  "x".repeat(90)
]

const Line = Schema.Union([
  Schema.Struct({ kind: Schema.Literal("object"), text: Schema.Literals(texts), number: Schema.Int }),
  Schema.Struct({ kind: Schema.Literal("blank"), text: Schema.Literals(["", "  ", "\t"]), number: Schema.Literal(0) })
])

const File = {
  lines: Arbitrary.array(
    Arbitrary.all({ line: Arbitrary.schema(Line), crlf: Arbitrary.schema(Schema.Boolean) }),
    { maxLength: 30 }
  ),
  byteOrderMark: Schema.Boolean,
  openEnd: Schema.Boolean,
  cut: Schema.Literals([0, 1, 2, 3, 4, 5, 6])
}

const escapeNonAscii = (json: string, yes: boolean) =>
  yes ? json.replace(/[^\0-\x7f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`) : json

describe("NdjsonSource", () => {
  it.effect.prop(
    "gives each object with its line, and from any position exactly the rest",
    File,
    ({ byteOrderMark, cut, lines, openEnd }) =>
      Effect.gen(function*() {
        let text = byteOrderMark ? "\ufeff" : ""
        const expected: Array<readonly [number, unknown]> = []
        lines.forEach(({ crlf, line }, index) => {
          const end = openEnd && index === lines.length - 1 ? "" : crlf ? "\r\n" : "\n"
          if (line.kind === "blank") {
            text += line.text + end
          } else {
            // + 0, because JSON has no -0
            const value = { text: line.text, n: line.number + 0 }
            text += escapeNonAscii(JSON.stringify(value), line.number % 2 === 0) + end
            expected.push([index + 1, value])
          }
        })
        const bytes = Buffer.from(text)
        const source = yield* open(yield* temporaryFile("file.ndjson", bytes), cuts[cut])
        const chunks = yield* chunksOf(source)
        assert.deepStrictEqual(recordsOf(chunks), expected)
        assert.strictEqual(source.total, bytes.length)
        const end = lastPosition(chunks)
        if (lines.length > 0 && bytes.length > (byteOrderMark ? 3 : 0)) {
          assert.strictEqual(source.progress(end!), bytes.length)
        }
        let before = 0
        for (const chunk of chunks) {
          before += chunk.records.length
          const position = chunk.position as { readonly byte: number; readonly crc: number }
          assert.strictEqual(position.crc, crc32(bytes.subarray(0, position.byte)))
          // A position goes through JSON, as it does in a manifest.
          const rest = yield* chunksOf(source, JSON.parse(JSON.stringify(chunk.position)))
          assert.deepStrictEqual(recordsOf(rest), expected.slice(before))
          assert.deepStrictEqual(lastPosition(rest) ?? chunk.position, end)
        }
      }),
    { arbitrary: { runs: 150 } }
  )

  it.effect("keeps to the bounds of a chunk", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile(
        "many.ndjson",
        "{}\n".repeat(10_000) + `{"a":"${"x".repeat(1000)}"}\n`.repeat(2000)
      )
      const chunks = yield* chunksOf(yield* open(path))
      assert.strictEqual(recordsOf(chunks).length, 12_000)
      assert.strictEqual(Math.max(...chunks.map((chunk) => chunk.records.length)), 4096)
      let previous = 0
      for (const { position } of chunks) {
        const byte = position["byte"] as number
        assert.isAtMost(byte - previous, 256 * 1024 + 1009)
        previous = byte
      }
      assert.isAbove(chunks.length, 9)
    }))

  it.effect("keeps the digits of long numbers, unless told not to", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile(
        "numbers.ndjson",
        "{\"id\":1234567890123456789,\"small\":42}\n{\"id\":7,\"__proto__\":{\"x\":1}}\n"
      )
      const lossless = recordsOf(yield* chunksOf(yield* open(path)))
      assert.deepStrictEqual(lossless[0], [1, { id: "1234567890123456789", small: 42 }])
      assert.isTrue(Object.hasOwn(lossless[1]![1], "__proto__"))
      assert.strictEqual(Object.getPrototypeOf(lossless[1]![1]), Object.prototype)
      const doubles = recordsOf(yield* chunksOf(yield* open(path, { losslessNumbers: false })))
      assert.deepStrictEqual(doubles[0], [1, { id: 1234567890123456800, small: 42 }])
    }))

  it.effect("reports a bad line with its place, after everything before it", () =>
    Effect.gen(function*() {
      const bad: ReadonlyArray<readonly [string, RegExp]> = [
        ["{\"a\": tru}", /not JSON/],
        ["{\"a\":1", /not JSON/],
        ["[1, 2]", /found an array/],
        ["null", /found null/],
        ["17", /found a number/],
        ["\u0000\u001b[31m", /not JSON/]
      ]
      for (const [line, problem] of bad) {
        const path = yield* temporaryFile("bad.ndjson", `{"a":"\u65e5"}\r\n\n{"b":2}\n${line}\n{"c":3}\n`)
        for (const cut of cuts) {
          const { reason, records } = yield* readUntilFailure(yield* open(path, cut))
          assert.deepStrictEqual(records, [[1, { a: "\u65e5" }], [3, { b: 2 }]])
          assert(reason._tag === "MalformedRecord")
          assert.strictEqual(reason.line, 4)
          assert.strictEqual(reason.byte, 22)
          assert.match(reason.problem, problem)
          assert.include(reason.message, `${path}, line 4 (byte 22): `)
          // eslint-disable-next-line no-control-regex
          assert.notMatch(reason.message, /[\0-\x1f]/)
        }
      }
    }))

  it.effect("cuts the excerpt of a long line", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("bad.ndjson", `{"a":"\t${"\u65e5".repeat(5000)}\n`)
      const { error, reason } = yield* readUntilFailure(yield* open(path))
      assert(reason._tag === "MalformedRecord")
      assert.match(reason.excerpt, /^\{"a":"\\t\u65e5{60,}\.\.\.$/)
      assert.isAtMost(reason.excerpt.length, 83)
      assert.isBelow(error.message.length, 600)
      assert.isFalse(error.isRetryable)
    }))

  it.effect("reports a line that is not UTF-8", () =>
    Effect.gen(function*() {
      const good = Buffer.from("{\"a\":\"\u65e5\"}\n")
      const path = yield* temporaryFile(
        "latin1.ndjson",
        Buffer.concat([good, good, Buffer.from("{\"a\":\"caf\xe9\"}\n", "latin1"), good])
      )
      for (const cut of cuts) {
        const { reason, records } = yield* readUntilFailure(yield* open(path, cut))
        assert.strictEqual(records.length, 2)
        assert(reason._tag === "MalformedRecord")
        assert.deepStrictEqual([reason.line, reason.byte], [3, 2 * good.length])
        assert.match(reason.problem, /UTF-8/)
      }
    }))

  it.effect("takes a line of the greatest length and refuses one byte more, however the file is cut", () =>
    Effect.gen(function*() {
      const line = (bytes: number) => `{"a":"${"x".repeat(bytes - 8)}"}\n`
      for (const end of ["\n", ""]) {
        const path = yield* temporaryFile("long.ndjson", `{}\n${line(64)}${line(65).trimEnd()}${end}`)
        for (const cut of cuts) {
          const { reason, records } = yield* readUntilFailure(yield* open(path, { ...cut, maxRecordBytes: 64 }))
          assert.strictEqual(records.length, 2)
          assert(reason._tag === "RecordTooLong")
          assert.deepStrictEqual([reason.line, reason.byte, reason.maxBytes], [3, 68, 64])
        }
      }
    }))

  it.effect("reads a line of many blocks", () =>
    Effect.gen(function*() {
      const value = "\u65e5".repeat(1_000_000)
      const path = yield* temporaryFile("long.ndjson", `{"a":"${value}"}\n{"a":2}\n`)
      const records = recordsOf(yield* chunksOf(yield* open(path, { blockBytes: 1000 })))
      assert.deepStrictEqual(records.map(([place, { a }]) => [place, a === value ? 1 : a]), [[1, 1], [2, 2]])
    }))

  it.effect("refuses bad options", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("file.ndjson", "")
      const error = yield* Effect.flip(open(path, { blockBytes: 0 }))
      assert.strictEqual(error.message, `${path}: the option blockBytes must be a whole number of at least 1, not 0.`)
    }))
})
