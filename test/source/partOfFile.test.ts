/**
 * `skip` and `limit`: which records of a file are read, whatever its format and packing, and however often the read is begun
 * again from a position.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Fs from "node:fs"
import * as Zlib from "node:zlib"
import * as CsvSource from "../../src/source/CsvSource.ts"
import * as FilesSource from "../../src/source/FilesSource.ts"
import * as NdjsonSource from "../../src/source/NdjsonSource.ts"
import type { SourceChunk } from "../../src/source/Source.ts"
import type { MakeSource } from "./fileFixture.ts"
import { cuts, lastPosition, readUntilFailure, temporaryFile, told } from "./fileFixture.ts"

const placesOf = (chunks: ReadonlyArray<SourceChunk<unknown>>) =>
  told(chunks, ({ place }) => `${place}`, ({ place }) => `${place} BAD`)

/** Seven records, of which the second and the fifth are bad, and a blank line. */
const ndjson = `{"a":1}\n{"a":\n{"a":3}\n\n{"a":4}\n[5]\n{"a":6}\n{"a":7}`
const csv = `a,b\n1,1\n2\n"3\n",3\n\n4,4\n5,5,5\n6,6\n7,7\n`
/** A bad one may be the first that is read, so it must not be one by the number of its fields. */
const headless = csv.slice(4).replace("2\n", "2,t\"wo\n").replace("5,5,5", "5,\"5\"5")

const csvWithout: MakeSource = (path, options) => CsvSource.make(path, { ...options, header: false })

const inputs: ReadonlyArray<readonly [name: string, make: MakeSource, content: string, all: ReadonlyArray<string>]> = [
  ["NDJSON", NdjsonSource.make, ndjson, ["1", "2 BAD", "3", "5", "6 BAD", "7", "8"]],
  ["CSV", CsvSource.make, csv, ["2", "3 BAD", "4", "7", "8 BAD", "9", "10"]],
  ["CSV without a header", csvWithout, headless, ["1", "2 BAD", "3", "6", "7 BAD", "8", "9"]]
]

const packings = [
  ["as it is", (text: string) => Buffer.from(text)],
  ["gzip", (text: string) => Zlib.gzipSync(text)],
  ["zstd", (text: string) => Zlib.zstdCompressSync(text)]
] as const

const collect = (source: Effect.Success<ReturnType<MakeSource>>, from: Parameters<typeof source.read>[0]) =>
  Effect.map(Stream.runCollect(source.read(from)), (chunks): ReadonlyArray<SourceChunk<unknown>> => chunks)

layer(NodeServices.layer)("a part of a file", (it) => {
  for (const [name, make, content, all] of inputs) {
    for (const [packing, pack] of packings) {
      it.effect(`${name}, ${packing}: each is read once, from every position`, () =>
        Effect.gen(function*() {
          const path = yield* temporaryFile("input", pack(content))
          for (const skip of [0, 1, 2, 7, 9]) {
            for (const limit of [null, 1, 4, 7]) {
              const expected = all.slice(skip, limit === null ? undefined : skip + limit)
              for (const cut of cuts) {
                const what = JSON.stringify({ skip, limit, cut })
                const source = yield* make(path, { ...cut, skip, limit, malformed: "reject" })
                const chunks = yield* collect(source, null)
                assert.deepStrictEqual(placesOf(chunks), expected, what)
                for (let i = 0; i < chunks.length; i++) {
                  const rest = yield* collect(source, chunks[i]!.position)
                  assert.deepStrictEqual(
                    [...placesOf(chunks.slice(0, i + 1)), ...placesOf(rest)],
                    expected,
                    `${what}, ${i}`
                  )
                }
              }
            }
          }
        }))
    }

    it.effect(`${name}: a bad record that is skipped, or behind the last, does not end the source`, () =>
      Effect.gen(function*() {
        const path = yield* temporaryFile("input", content)
        const source = yield* make(path, { skip: 2, limit: 2 })
        assert.deepStrictEqual(placesOf(yield* collect(source, null)), all.slice(2, 4))
        const { records } = yield* readUntilFailure(yield* make(path, { skip: 2, limit: 3 }))
        assert.strictEqual(records.length, 2)
      }))

    it.effect(`${name}: another limit goes on from where the read is, another skip is refused`, () =>
      Effect.gen(function*() {
        const path = yield* temporaryFile("input", content)
        const opened = (skip: number, limit: number | null) => make(path, { skip, limit, malformed: "reject" })
        const position = lastPosition(yield* collect(yield* opened(1, 2), null))
        assert.deepStrictEqual(placesOf(yield* collect(yield* opened(1, 5), position)), all.slice(3, 6))
        assert.deepStrictEqual(placesOf(yield* collect(yield* opened(1, null), position)), all.slice(3))
        assert.deepStrictEqual(placesOf(yield* collect(yield* opened(1, 1), position)), [])
        const { error } = yield* readUntilFailure(yield* opened(2, 2), position)
        assert.match(
          error.message,
          /1 of its first records were skipped when it was begun, and now it is to be 2\. Give --skip-records and/
        )
        const whole = lastPosition(yield* collect(yield* opened(0, null), null))
        assert.match((yield* readUntilFailure(yield* opened(0, 9), whole)).error.message, /begun without a limit/)
        assert.match((yield* readUntilFailure(yield* opened(1, null), whole)).error.message, /0 of its first records/)
      }))
  }

  for (const [packing, pack] of packings) {
    it.effect(`of CSV without a header, ${packing}: the first record that is read tells the number of fields, none that is skipped`, () =>
      Effect.gen(function*() {
        const titled = yield* temporaryFile("titled", pack("A title, with, commas\n1;one\n2;two\n3\n4;four"))
        for (const encoding of ["utf-8", "latin1"]) {
          for (const cut of cuts) {
            const options = { ...cut, skip: 1, delimiter: ";", header: false, encoding, malformed: "reject" } as const
            const source = yield* CsvSource.make(titled, options)
            const chunks = yield* collect(source, null)
            assert.deepStrictEqual(placesOf(chunks), ["2", "3", "4 BAD", "5"])
            assert.deepStrictEqual(chunks.flatMap(({ records }) => records.map(({ value }) => value))[1], {
              0: "2",
              1: "two"
            })
            const bad = chunks.flatMap(({ rejected = [] }) => rejected)
            assert.deepStrictEqual(bad[0]!.raw.csv!.columns, ["0", "1"])
            for (let i = 0; i < chunks.length; i++) {
              const rest = yield* collect(source, chunks[i]!.position)
              assert.deepStrictEqual(placesOf([...chunks.slice(0, i + 1), ...rest]), ["2", "3", "4 BAD", "5"])
            }
          }
        }
        // All of it is skipped, and then it grows.
        const all = yield* CsvSource.make(titled, { skip: 9, delimiter: ";", header: false })
        assert.deepStrictEqual(yield* collect(all, null), [])
      }))
  }

  it.effect("of several files is a part of each", () =>
    Effect.gen(function*() {
      const a = yield* temporaryFile("a", ndjson)
      const b = yield* temporaryFile("b", Zlib.gzipSync(ndjson))
      const empty = yield* temporaryFile("c", "{}\n")
      const paths = [a, empty, b]
      const opened = (limit: number, maxRecords = 4096) =>
        FilesSource.make(
          paths,
          (path, placeOffset) =>
            NdjsonSource.make(path, { skip: 1, limit, malformed: "reject", placeOffset, maxRecords })
        )
      const places = (chunks: ReadonlyArray<SourceChunk<unknown>>) =>
        placesOf(chunks).map((place) =>
          `${Math.floor(Number.parseInt(place) / 2 ** 32)}:${Number.parseInt(place) % 2 ** 32}`
        )
      const expected = ["0:2", "0:3", "0:5", "2:2", "2:3", "2:5"]
      const source = yield* opened(3, 1)
      assert.isNull(source.total)
      const chunks = yield* Stream.runCollect(source.read(null))
      assert.deepStrictEqual(places(chunks).toSorted(), expected)
      for (let i = 0; i < chunks.length; i++) {
        const rest = yield* Stream.runCollect(source.read(chunks[i]!.position))
        assert.deepStrictEqual(places([...chunks.slice(0, i + 1), ...rest]).toSorted(), expected)
      }
      // The first file was read to its limit, and the last one is begun.
      const { error } = yield* readUntilFailure(yield* opened(4), lastPosition(chunks))
      assert.match(error.message, /it has grown since it was read to its end \(or --max-records was raised\)/)
    }))

  it.effect("leaves a position in a whole file as it was", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("input", "{}\n")
      const chunks = yield* collect(yield* NdjsonSource.make(path), null)
      assert.notProperty(lastPosition(chunks), "range")
      const appended = yield* NdjsonSource.make(path, { skip: 1 })
      assert.deepStrictEqual(yield* collect(appended, null), [])
      Fs.appendFileSync(path, "{}\n")
      assert.deepStrictEqual(placesOf(yield* collect(appended, null)), ["2"])
    }))

  it.effect("is counted in whole numbers", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("input", "{}\n")
      for (const options of [{ skip: -1 }, { skip: 0.5 }, { limit: 0 }, { limit: Number.NaN }]) {
        assert.strictEqual((yield* Effect.flip(NdjsonSource.make(path, options))).reason._tag, "InvalidOption")
      }
    }))
})
