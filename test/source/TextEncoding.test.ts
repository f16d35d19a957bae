/** Files in other encodings than UTF-8: what is read, where it stands, and what is no text. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Fs from "node:fs"
import * as Zlib from "node:zlib"
import * as CsvSource from "../../src/source/CsvSource.ts"
import * as NdjsonSource from "../../src/source/NdjsonSource.ts"
import type { SourceChunk } from "../../src/source/Source.ts"
import * as TextEncoding from "../../src/source/TextEncoding.ts"
import { cuts, lastPosition, readUntilFailure, temporaryFile } from "./fileFixture.ts"

const told = (chunks: ReadonlyArray<SourceChunk<unknown>>) =>
  chunks.flatMap(({ records, rejected = [] }) => [
    ...records.map(({ place, value }) => `${place} ${JSON.stringify(value)}`),
    ...rejected.map(({ place, problem, raw }) =>
      `${place} BAD ${raw.text ?? Buffer.from(raw.bytes!).toString("hex")}: ${problem.replace(/JSON:.*/, "JSON")}`
    )
  ])

/** Text in ASCII with some bytes of the encoding in it, written as <..>; in two bytes a character where it is UTF-16. */
const bytesOf = (name: string, text: string): Buffer =>
  Buffer.concat(
    text.split(/(<[\da-f]+>)/).map((part) => {
      if (part.startsWith("<")) return Buffer.from(part.slice(1, -1), "hex")
      if (!name.startsWith("utf-16")) return Buffer.from(part)
      const little = Buffer.from(part, "utf16le")
      return name.endsWith("be") ? little.swap16() : little
    })
  )

/** Of each encoding a word, its bytes, and bytes that are no text, if there are any. */
const words: ReadonlyArray<readonly [name: string, word: string, bytes: string, invalid: string | null]> = [
  ["latin1", "Zürich", "Z<fc>rich", null],
  ["iso-8859-1", "a€", "a<80>", null],
  ["windows-1252", "€ß", "<80df>", null],
  ["iso-8859-15", "€", "<a4>", null],
  ["windows-1253", "Ω", "<d9>", "<d2>"],
  ["koi8-r", "Да", "<e4c1>", null],
  // The second byte of these is a backslash, a bar, a digit.
  ["shift_jis", "ソ表", "<835c955c>", "<83ff>"],
  ["big5", "功|", "<a55c>|", "<a5ff>"],
  ["gb18030", "€𝄞", "<a2e3><9432be34>", "<ff>"],
  ["euc-kr", "한", "<c7d1>", "<c7ff>"],
  // The first and the last have the byte of a line feed in them.
  ["utf-16le", "ਊ💩Ċ", "<0a0a><3dd8a9dc><0a01>", "<3dd8>"],
  ["utf-16be", "ਊ💩Ċ", "<0a0a><d83ddca9><010a>", "<dca9>"]
]

const check = Effect.fnUntraced(function*(
  make: (
    options: NdjsonSource.NdjsonOptions
  ) => ReturnType<typeof NdjsonSource.make> | ReturnType<typeof CsvSource.make>,
  expected: ReadonlyArray<string>
) {
  for (const cut of cuts) {
    const source = yield* make({ ...cut, malformed: "reject" })
    const chunks: ReadonlyArray<SourceChunk<unknown>> = yield* Stream.runCollect(source.read(null))
    assert.deepStrictEqual(told(chunks), expected, JSON.stringify(cut))
    for (let i = 0; i < chunks.length; i++) {
      const rest: ReadonlyArray<SourceChunk<unknown>> = yield* Stream.runCollect(source.read(chunks[i]!.position))
      assert.deepStrictEqual([...told(chunks.slice(0, i + 1)), ...told(rest)], expected, `${JSON.stringify(cut)}, ${i}`)
    }
  }
})

layer(NodeServices.layer)("encodings", (it) => {
  for (const [encoding, word, asBytes, invalid] of words) {
    const name = TextEncoding.make(encoding)!.name
    const hex = (text: string) => bytesOf(name, text).toString("hex")

    it.effect(`${encoding}: NDJSON, from every position`, () =>
      Effect.gen(function*() {
        const bad = `{"a":"${invalid}"}`
        const text = `{"a":"${asBytes}"}\n{"b":"${asBytes}"\r\n\n${
          invalid === null ? "" : `${bad}\r\n`
        }{"a":"x${asBytes}"}`
        const at = invalid === null ? 4 : 5
        const expected = [
          `1 {"a":"${word}"}`,
          `2 BAD {"b":"${word}": this is not JSON`,
          ...invalid === null ? [] : [`4 BAD ${hex(bad)}: the line is not valid ${name}`],
          `${at} {"a":"x${word}"}`
        ]
        for (const pack of [(bytes: Buffer) => bytes, Zlib.gzipSync]) {
          const path = yield* temporaryFile("input", pack(bytesOf(name, text)))
          yield* check((options) => NdjsonSource.make(path, { ...options, encoding }), expected)
        }
      }))

    // The word of Big5 has the delimiter in it.
    if (encoding === "big5") continue
    it.effect(`${encoding}: CSV, from every position, with a line break in a field`, () =>
      Effect.gen(function*() {
        const bad = `"1\n2"|${invalid}`
        const text = `a|x${asBytes}\n${asBytes}|1\n"${asBytes}\n\n"|"2"\n\n1\n${
          invalid === null ? "" : `${bad}\n`
        }3|"${asBytes}"\r\n`
        const at = invalid === null ? 7 : 9
        const path = yield* temporaryFile("input", bytesOf(name, text))
        yield* check(
          (options) => CsvSource.make(path, { ...options, encoding, delimiter: "|" }),
          [
            `2 {"a":"${word}","x${word}":"1"}`,
            `3 {"a":"${word}\\n\\n","x${word}":"2"}`,
            "7 BAD 1: the record has 1 fields where 2 were expected",
            ...invalid === null ? [] : [`8 BAD ${hex(bad)}: the record is not valid ${name}`],
            `${at + 1} {"a":"3","x${word}":"${word}"}`
          ]
        )
      }))
  }

  it.effect("positions are bytes of the file, and a file that grows is gone on with", () =>
    Effect.gen(function*() {
      for (const [encoding, mark] of [["utf-16le", "fffe"], ["utf-16be", "feff"], ["latin1", ""]] as const) {
        const name = TextEncoding.make(encoding)!.name
        const line = bytesOf(name, `{"a":1}\n`)
        const path = yield* temporaryFile("input", Buffer.concat([Buffer.from(mark, "hex"), line, line]))
        const source = yield* NdjsonSource.make(path, { encoding, maxRecords: 1 })
        const chunks = yield* Stream.runCollect(source.read(null))
        assert.deepStrictEqual(
          chunks.map(({ position }) => position["byte"]),
          [1, 2].map((n) => mark.length / 2 + n * line.length)
        )
        assert.isFalse(lastPosition(chunks)!["openEnd"])
        Fs.appendFileSync(path, line)
        assert.deepStrictEqual(told(yield* Stream.runCollect(source.read(lastPosition(chunks)))), [`3 {"a":1}`])
      }
    }))

  it.effect("half a character at the end is a bad record", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("input", Buffer.concat([bytesOf("utf-16le", "{}\n{}\n"), Buffer.of(0x0a)]))
      const { error, records } = yield* readUntilFailure(yield* NdjsonSource.make(path, { encoding: "utf-16le" }))
      assert.strictEqual(records.length, 2)
      assert.match(
        error.message,
        /line 3 \(byte 12\): the line is not valid utf-16le\..*name it, as with --encoding latin1/
      )
    }))

  it.effect("a record that is too long is shown as the text that it is", () =>
    Effect.gen(function*() {
      const text = `{"a":1}\n{"a":"${"ü".repeat(500)}`
      const path = yield* temporaryFile("input", Buffer.from(text, "latin1"))
      const options = { encoding: "latin1", maxRecordBytes: 100, blockBytes: 64 }
      const { error } = yield* readUntilFailure(yield* NdjsonSource.make(path, options))
      assert.match(error.message, /line 2 \(byte 8\): the record is longer than 100 bytes\. It begins: \{"a":"üüü/)
    }))

  it.effect("one that is not known, or can't be read from the middle, is refused with names that are", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("input", "{}\n")
      for (const encoding of ["ebcdic", "iso-2022-jp", "", "utf-7"]) {
        const error = yield* Effect.flip(NdjsonSource.make(path, { encoding }))
        assert.strictEqual(error.reason._tag, "InvalidOption")
        assert.match(
          error.message,
          /the option encoding is .* must be a name of the Encoding Standard, as utf-8, iso-8859-1/
        )
      }
      for (const encoding of ["UTF8", "Cp1252", " ISO_8859-1 ", "Shift-JIS", "ascii"]) {
        assert.isNotNull(TextEncoding.make(encoding), encoding)
      }
    }))

  it.effect("UTF-16 in the other order than was given is told by its mark", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("input", Buffer.from("feff007b007d000a", "hex"))
      const { error } = yield* readUntilFailure(yield* NdjsonSource.make(path, { encoding: "utf-16le" }))
      assert.match(
        error.message,
        /encoding is utf-16le, and the file begins with the byte order mark of utf-16be: give/
      )
    }))
})
