import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Buffer } from "node:buffer"
import { crc32 } from "node:zlib"
import * as CsvSource from "../../src/source/CsvSource.ts"
import { chunksOf, cuts, lastPosition, readUntilFailure, recordsOf, temporaryFile } from "./fileFixture.ts"

const open = (path: string, options?: CsvSource.CsvOptions) =>
  Effect.provide(CsvSource.make(path, options), NodeFileSystem.layer)

const read = Effect.fnUntraced(function*(content: string, options?: CsvSource.CsvOptions) {
  const path = yield* temporaryFile("file.csv", content)
  const seen: Array<ReadonlyArray<readonly [number, CsvSource.CsvRecord]>> = []
  for (const cut of cuts) seen.push(recordsOf(yield* chunksOf(yield* open(path, { ...cut, ...options }))))
  for (const other of seen) assert.deepStrictEqual(other, seen[0])
  return seen[0]!
})

/** Reads until the file fails, which it must do alike however it is cut. */
const fail = Effect.fnUntraced(function*(content: string | Buffer, options?: CsvSource.CsvOptions) {
  const path = yield* temporaryFile("file.csv", content)
  const seen: Array<readonly [ReturnType<typeof recordsOf>, string]> = []
  for (const cut of cuts) {
    const { error, reason, records } = yield* readUntilFailure(yield* open(path, { ...cut, ...options }))
    const place = "line" in reason ? `${reason._tag} ${reason.line} ${reason.byte}: ` : ""
    seen.push([records, place + ("problem" in reason ? reason.problem : error.message)])
  }
  const [records, problem] = seen[0]!
  for (const other of seen.slice(1)) {
    assert.deepStrictEqual(other[0], records)
    if (!problem.startsWith("RecordTooLong")) assert.strictEqual(other[1], problem)
    else assert.strictEqual(other[1].slice(0, 18), problem.slice(0, 18))
  }
  return { records, problem }
})

const fields = [
  "",
  "a",
  " b ",
  "x,y",
  "line\nbreak",
  "crlf\r\nbreak",
  "say \"hi\"",
  "\"",
  "\u00e9\u65e5",
  "\ud83d\ude00",
  "\n",
  "\r",
  "'",
  "\t;|"
]

const Field = Schema.Struct({ text: Schema.NullOr(Schema.Literals(fields)), quoted: Schema.Boolean })

const File = {
  records: Arbitrary.array(
    Arbitrary.all({
      fields: Arbitrary.array(Arbitrary.schema(Field), { minLength: 3, maxLength: 3 }),
      crlf: Arbitrary.schema(Schema.Boolean),
      blankAfter: Arbitrary.schema(Schema.Literals(["", "", "\n", "\r\n", "\n\n"]))
    }),
    { maxLength: 20 }
  ),
  header: Schema.Literals(["first", "columns", "both", "none"]),
  byteOrderMark: Schema.Boolean,
  openEnd: Schema.Boolean,
  delimiter: Schema.Literals([",", ";", "\t", "|"]),
  quote: Schema.Literals(["\"", "'"]),
  cut: Schema.Literals([0, 1, 2, 3, 4, 5, 6])
}

const lineFeeds = (text: string) => text.split("\n").length - 1

describe("CsvSource", () => {
  it.effect.prop(
    "gives each record with its line, and from any position exactly the rest",
    File,
    ({ byteOrderMark, cut, delimiter, header, openEnd, quote, records }) =>
      Effect.gen(function*() {
        const columns = header === "none" ? ["0", "1", "2"] : ["id", "na\u00efve", "a b"]
        let text = header === "columns" || header === "none"
          ? ""
          : `id${delimiter}${quote}na\u00efve${quote}${delimiter}a b\r\n\n`
        const expected: Array<readonly [number, unknown]> = []
        records.forEach((record, index) => {
          const place = lineFeeds(text) + 1
          text += record.fields.map(({ quoted, text }) => {
            if (text === null) return ""
            const must = text === "" || text.startsWith(quote) || /["'\r\n,;|\t]/.test(text)
            return quoted || must ? quote + text.replaceAll(quote, quote + quote) + quote : text
          }).join(delimiter)
          if (!openEnd || index < records.length - 1) text += (record.crlf ? "\r\n" : "\n") + record.blankAfter
          expected.push([place, Object.fromEntries(record.fields.map((field, i) => [columns[i]!, field.text]))])
        })
        const bytes = Buffer.from((byteOrderMark ? "\ufeff" : "") + text)
        const source = yield* open(yield* temporaryFile("file.csv", bytes), {
          ...cuts[cut],
          ...(header === "first" ? {} : header === "none" ? { header: false } : { columns, header: header === "both" }),
          delimiter,
          quote
        })
        const chunks = yield* chunksOf(source)
        assert.deepStrictEqual(recordsOf(chunks), expected)
        const end = lastPosition(chunks)
        if (records.length > 0) assert.strictEqual(source.progress(end!), bytes.length)
        let before = 0
        for (const chunk of chunks) {
          before += chunk.records.length
          const position = chunk.position as { readonly byte: number; readonly crc: number }
          assert.strictEqual(position.crc, crc32(bytes.subarray(0, position.byte)))
          const rest = yield* chunksOf(source, JSON.parse(JSON.stringify(chunk.position)))
          assert.deepStrictEqual(recordsOf(rest), expected.slice(before))
          assert.deepStrictEqual(lastPosition(rest) ?? chunk.position, end)
        }
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect("tells a field written as nothing from an empty text", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read("a,b,c\n,\"\",x\n\"\",,\n,,\"\"\n"), [
        [2, { a: null, b: "", c: "x" }],
        [3, { a: "", b: null, c: null }],
        [4, { a: null, b: null, c: "" }]
      ])
      assert.deepStrictEqual(yield* read("a\n\"\"\n\nx"), [[2, { a: "" }], [4, { a: "x" }]])
    }))

  it.effect("reads empty files, files of blank lines and files of a header alone", () =>
    Effect.gen(function*() {
      for (const content of ["", "\n\r\n\n", "\ufeff", "a,b", "a,b\r\n", "\n\na,b\n\n"]) {
        assert.deepStrictEqual(yield* read(content), [])
      }
    }))

  it.effect("reads without quotes, and a file that ends within a line end", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read("a\tb\n\"x\ty\"\"\n", { delimiter: "\t", quote: null }), [
        [2, { a: "\"x", b: "y\"\"" }]
      ])
      assert.deepStrictEqual(yield* read("a,b\r\n1,2\r"), [[2, { a: "1", b: "2" }]])
      assert.deepStrictEqual(yield* read("a,b\r\n1,\"2\"\r"), [[2, { a: "1", b: "2" }]])
    }))

  it.effect("keeps a column named __proto__", () =>
    Effect.gen(function*() {
      const records = yield* read("__proto__,b\n,2\nx,3\n")
      assert.deepStrictEqual(records.map(([, record]) => Object.entries(record)), [
        [["__proto__", null], ["b", "2"]],
        [["__proto__", "x"], ["b", "3"]]
      ])
    }))

  it.effect("reads a record of many blocks", () =>
    Effect.gen(function*() {
      const long = "\"\"\u65e5\n".repeat(200_000)
      const path = yield* temporaryFile("file.csv", `a,b\n1,"${long}"\n2,x\n`)
      const records = recordsOf(yield* chunksOf(yield* open(path, { blockBytes: 1000 })))
      assert.deepStrictEqual(records.map(([place, { a, b }]) => [place, a, b?.length]), [
        [2, "1", 600_000],
        [200_003, "2", 1]
      ])
    }))

  it.effect("reports what is malformed with the line and byte where the record starts", () =>
    Effect.gen(function*() {
      const good: ReadonlyArray<readonly [number, unknown]> = [[2, { a: "1", b: "x\ny" }]]
      const start = "a,b\n1,\"x\ny\"\n\n"
      const bad: ReadonlyArray<readonly [string, string]> = [
        ["1,2,3\n5,6\n", "the record has 3 fields where 2 were expected"],
        ["1\n5,6\n", "the record has 1 fields where 2 were expected"],
        ["5,\"6\n7,8\n", "a quoted field is opened and never closed"],
        [
          "5,6\" pipe\n7,8\n",
          "field 2 has a quote and does not begin with one (a field with quotes is quoted as a whole, and its quotes " +
          "are written twice)"
        ],
        [
          "\"5\"5,6\n7,8\n",
          "field 1 has text behind its closing quote (a quote inside a quoted field is written twice)"
        ],
        [
          "\"5\"\r5,6\n7,8\n",
          "field 1 has text behind its closing quote (a quote inside a quoted field is written twice)"
        ]
      ]
      for (const [rest, problem] of bad) {
        const failed = yield* fail(start + rest)
        assert.deepStrictEqual<ReadonlyArray<readonly [number, unknown]>>(failed.records, good)
        assert.strictEqual(failed.problem, `MalformedRecord 5 ${start.length}: ${problem}`)
      }
    }))

  it.effect("reports a record that is not UTF-8", () =>
    Effect.gen(function*() {
      const failed = yield* fail(
        Buffer.concat([Buffer.from("a,b\n1,\u65e5\n"), Buffer.from("2,caf\xe9\n3,x\n", "latin1")])
      )
      assert.strictEqual(failed.problem, "MalformedRecord 3 10: the record is not valid UTF-8")
      assert.strictEqual(failed.records.length, 1)
    }))

  it.effect("refuses a header with an empty or a repeated name", () =>
    Effect.gen(function*() {
      const bad: ReadonlyArray<readonly [string, string]> = [
        ["a,,b\n1,2,3\n", "in the header, column 2 has no name"],
        ["a,b,a\n1,2,3\n", "in the header, two columns are named a"],
        ["a,b\r1,2\r3,4\r", "in the header, a column name holds a line break (lines must end with LF or CRLF)"],
        ["a,\"b\n1,2\n", "a quoted field is opened and never closed"]
      ]
      for (const [content, problem] of bad) {
        const failed = yield* fail(content)
        assert.deepStrictEqual(failed, { records: [], problem: `MalformedRecord 1 0: ${problem}` })
      }
    }))

  it.effect("takes a record of the greatest length and refuses one byte more, also where a quote was left open", () =>
    Effect.gen(function*() {
      const record = (bytes: number) => `1,"${"\n".repeat(bytes - 4)}"\n`
      const failed = yield* fail(`a,b\n${record(50)}${record(51)}1,2\n`, { maxRecordBytes: 50 })
      assert.strictEqual(failed.records.length, 1)
      assert.isTrue(failed.problem.startsWith("RecordTooLong 49 55: "), failed.problem)
      const open = yield* fail(`a,b\n1,"2\n${"3,4\n".repeat(1000)}`, { maxRecordBytes: 50 })
      assert.isTrue(open.problem.startsWith("RecordTooLong 2 4: "), open.problem)
      assert.include(open.problem, "Check that no quote is left open, or raise maxRecordBytes")
    }))

  it.effect("reads the header again when it resumes, and refuses a changed one", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("file.csv", "a,b\n1,2\n3,4\n")
      const [first] = yield* chunksOf(yield* open(path, { maxRecords: 1 }))
      const rest = yield* chunksOf(yield* open(path), first!.position)
      assert.deepStrictEqual(recordsOf(rest), [[3, { a: "3", b: "4" }]])
      const other = yield* temporaryFile("file.csv", "b,a\n1,2\n3,4\n")
      assert.strictEqual((yield* readUntilFailure(yield* open(other), first!.position)).reason._tag, "InputChanged")
    }))

  it.effect("refuses options that cannot be used", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("file.csv", "")
      const bad: ReadonlyArray<readonly [CsvSource.CsvOptions, string]> = [
        [{ delimiter: ", " }, "the option delimiter must be one ASCII character"],
        [{ delimiter: "\u65e5" }, "the option delimiter must be one ASCII character"],
        [{ delimiter: "\n" }, "the option delimiter must be one ASCII character"],
        [{ delimiter: "\"" }, "the option quote must not be the delimiter"],
        [{ quote: "" }, "the option quote must be one ASCII character, or null"],
        [{ columns: [] }, "the option columns names no column"],
        [{ columns: ["a", "a"] }, "the option columns cannot be used: two columns are named a"]
      ]
      for (const [options, message] of bad) {
        const error = yield* Effect.flip(open(path, options))
        assert.strictEqual(error.message, `${path}: ${message}.`)
      }
    }))
})
