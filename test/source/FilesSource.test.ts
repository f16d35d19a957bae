import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Zlib from "node:zlib"
import * as CsvSource from "../../src/source/CsvSource.ts"
import * as FilesSource from "../../src/source/FilesSource.ts"
import * as NdjsonSource from "../../src/source/NdjsonSource.ts"
import { chunksOf, cuts, lastPosition, readUntilFailure, recordsOf, temporaryFile } from "./fileFixture.ts"

const open = (paths: ReadonlyArray<string>, options: NdjsonSource.NdjsonOptions = {}) =>
  Effect.provide(
    FilesSource.make(paths, (path, placeOffset) => NdjsonSource.make(path, { ...options, placeOffset })),
    NodeFileSystem.layer
  )

const line = (value: unknown) => `${JSON.stringify(value)}\n`

/** Files `0`, `1`, ... of these contents in a directory of their own. */
const files = Effect.fnUntraced(function*(contents: ReadonlyArray<string | Buffer>) {
  const directory = Path.dirname(yield* temporaryFile("x", ""))
  return contents.map((content, i) => {
    const path = Path.join(directory, String(i))
    Fs.writeFileSync(path, content)
    return path
  })
})

const three = files([line({ a: 1 }) + line({ a: 2 }), line({ b: 1 }) + line({ b: 2 }), line({ c: 1 })])

describe("FilesSource", () => {
  it.effect("tells from a position alone which line of which file a place was", () =>
    Effect.gen(function*() {
      const paths = yield* three
      const source = yield* open(paths, { maxRecords: 1 })
      const chunks = yield* chunksOf(source)
      const position = chunks[2]!.position
      const places = recordsOf(chunks).slice(0, 3).map(([place]) => place)
      // The files themselves are not asked.
      for (const path of paths) Fs.rmSync(path)
      assert.deepStrictEqual(places.map((place) => FilesSource.locateIn(position, place)), [
        { input: paths[0]!, place: 1, unit: "line" },
        { input: paths[0]!, place: 2, unit: "line" },
        { input: paths[1]!, place: 1, unit: "line" }
      ])
      assert.isNull(FilesSource.locateIn(position, 2 * 2 ** 32 + 1))
      const one = yield* Effect.provide(NdjsonSource.make(yield* temporaryFile("one", "{}\n")), NodeFileSystem.layer)
      const [first] = yield* chunksOf(one)
      assert.deepStrictEqual(FilesSource.locateIn(first!.position, 1), { input: one.describe, place: 1, unit: "line" })
      assert.deepStrictEqual([FilesSource.locateIn(null, 1), FilesSource.locateIn({ next: 3 }, 1)], [null, null])
    }))

  it.effect.prop(
    "gives the records of all files in order, and from any position exactly the rest",
    {
      counts: Arbitrary.array(
        Arbitrary.schema(Schema.Struct({ rows: Schema.Literals([0, 0, 1, 2, 9]), packed: Schema.Boolean })),
        { minLength: 1, maxLength: 5 }
      ),
      cut: Schema.Literals([0, 1, 2, 3, 5, 6]),
      format: Schema.Literals(["ndjson", "csv"])
    },
    ({ counts, cut, format }) =>
      Effect.gen(function*() {
        const expected: Array<readonly [string, number, unknown]> = []
        const contents = counts.map(({ packed, rows }, file) => {
          const values = Array.from({ length: rows }, (_, i) => ({ file: `${file}`, i: `${i}` }))
          const text = format === "csv"
            ? `file,i\n${values.map(({ file, i }) => `${file},${i}\n`).join("")}`
            : values.map(line).join("")
          for (const value of values) expected.push([`${file}`, Number(value.i) + (format === "csv" ? 2 : 1), value])
          return packed ? Zlib.gzipSync(text) : text
        })
        const paths = yield* files(contents)
        const source = yield* FilesSource.make(
          paths,
          (path, placeOffset): ReturnType<typeof NdjsonSource.make> =>
            format === "csv"
              ? CsvSource.make(path, { ...cuts[cut], placeOffset })
              : NdjsonSource.make(path, { ...cuts[cut], placeOffset })
        ).pipe(Effect.provide(NodeFileSystem.layer))
        const placed = (chunks: Parameters<typeof recordsOf>[0]) =>
          recordsOf(chunks).map(([place, value]) => {
            const located = source.locate!(place)
            return [Path.basename(located.input), located.place, value] as const
          })
        const chunks = yield* chunksOf(source)
        assert.deepStrictEqual(placed(chunks), expected)
        assert.strictEqual(source.total, contents.reduce((sum, content) => sum + content.length, 0))
        let before = 0
        let progress = 0
        for (const chunk of chunks) {
          before += chunk.records.length
          assert.isAtLeast(source.progress(chunk.position), progress)
          progress = source.progress(chunk.position)
          const rest = yield* chunksOf(source, JSON.parse(JSON.stringify(chunk.position)))
          assert.deepStrictEqual(placed(rest), expected.slice(before))
        }
        assert.isAtMost(progress, source.total!)
      }),
    { arbitrary: { runs: 100 } }
  )

  it.live("a file added behind is read, one added before is refused", () =>
    Effect.gen(function*() {
      const paths = yield* three
      const last = lastPosition(yield* chunksOf(yield* open(paths.slice(0, 2))))
      const more = yield* open(paths)
      assert.deepStrictEqual(recordsOf(yield* chunksOf(more, last)).map(([, value]) => value), [{ c: 1 }])
      const position = lastPosition(yield* chunksOf(yield* open([paths[0]!, paths[2]!])))
      const { error } = yield* readUntilFailure(more, position)
      assert.include(
        error.message,
        `${paths[1]}: cannot resume: it comes before ${paths[2]}, which was read without it`
      )
    }))

  it.live("a file that was read and is gone, changed, cut or grown is refused with its name", () =>
    Effect.gen(function*() {
      const paths = yield* three
      const chunks = yield* chunksOf(yield* open(paths, { maxRecords: 1 }))
      // Behind the first record of the second file.
      const middle = chunks[2]!.position
      const source = yield* open(paths)
      const refused = Effect.fnUntraced(function*(path: string, content: string, words: string) {
        const before = Fs.readFileSync(path)
        Fs.writeFileSync(path, content)
        const { error, records } = yield* readUntilFailure(source, middle)
        assert.strictEqual(error.reason._tag, "InputChanged")
        assert.include(error.message, `${path}: cannot resume: `)
        assert.include(error.message, words)
        assert.deepStrictEqual(records, [])
        Fs.writeFileSync(path, before)
      })
      yield* refused(paths[0]!, line({ a: 1 }) + line({ a: 3 }), "not what was read")
      yield* refused(paths[0]!, line({ a: 1 }), "was cut")
      yield* refused(paths[0]!, line({ a: 1 }) + line({ a: 2 }) + line({ a: 3 }), "it has grown since it was read")
      yield* refused(paths[1]!, line({ b: 7 }) + line({ b: 2 }), "not what was read")
      const { error } = yield* readUntilFailure(yield* open(paths.slice(1)), middle)
      assert.include(error.message, `${paths[0]}: cannot resume: it was read, and now it is not among the files`)
      // What was not read yet may change.
      Fs.writeFileSync(paths[2]!, line({ c: 5 }))
      assert.deepStrictEqual(recordsOf(yield* chunksOf(source, middle)).map(([, value]) => value), [{ b: 2 }, { c: 5 }])
    }))

  it.live("refuses a position of another kind, no files, and one given twice", () =>
    Effect.gen(function*() {
      const paths = yield* three
      const one = yield* Effect.provide(NdjsonSource.make(paths[0]!), NodeFileSystem.layer)
      const position = lastPosition(yield* chunksOf(one))
      const { error } = yield* readUntilFailure(yield* open(paths), position)
      assert.include(error.message, `the job was begun with one file, ${paths[0]}, and now there are several`)
      assert.include(error.message, `Give ${paths[0]} alone, or start a new job`)
      const other = yield* readUntilFailure(yield* open(paths), { kind: "iterable", index: 3 })
      assert.include(other.error.message, "not one in several files")
      const several = lastPosition(yield* chunksOf(yield* open(paths)))
      const { error: alone } = yield* readUntilFailure(one, several)
      assert.include(alone.message, `${paths[0]}: cannot resume: the job was begun with several files or a pattern (`)
      assert.strictEqual((yield* Effect.flip(open([]))).reason._tag, "InvalidOption")
      assert.include((yield* Effect.flip(open([paths[0]!, paths[0]!]))).message, "names one twice")
    }))

  it.live("a bad record is told with the file's own line", () =>
    Effect.gen(function*() {
      const [first, second] = yield* files([line({ a: 1 }), line({ a: 2 }) + "x\n"])
      const { error, records } = yield* readUntilFailure(yield* open([first!, second!]))
      assert.strictEqual(records.length, 2)
      assert.include(error.message, `${second}, line 2 (byte 8)`)
    }))
})
