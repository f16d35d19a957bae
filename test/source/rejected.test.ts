/**
 * Records that a file source hands on instead of failing: every byte of the file is in a record or in what was rejected,
 * and a read from any position goes on exactly there.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as FileSystem from "effect/FileSystem"
import * as CsvSource from "../../src/source/CsvSource.ts"
import * as NdjsonSource from "../../src/source/NdjsonSource.ts"
import type { SourceChunk } from "../../src/source/Source.ts"
import type { MakeSource } from "./fileFixture.ts"
import { told } from "./fileFixture.ts"

const allOf = (chunks: ReadonlyArray<SourceChunk<unknown>>) =>
  told(
    chunks,
    ({ place, value }) => `${place} ${JSON.stringify(value)}`,
    ({ place, raw }) => `${place} BAD ${raw.text ?? Buffer.from(raw.bytes!).toString("hex")}`
  )

/** The same with blocks of any size, and from every position. */
const check = Effect.fnUntraced(function*(make: MakeSource, content: Uint8Array, expected: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const path = `${yield* fs.makeTempDirectoryScoped()}/input`
  yield* fs.writeFile(path, content)
  for (const blockBytes of [1, 7, 64, 4096]) {
    const source = yield* make(path, { blockBytes, malformed: "reject" })
    const chunks: ReadonlyArray<SourceChunk<unknown>> = yield* Stream.runCollect(source.read(null))
    assert.deepStrictEqual(allOf(chunks), expected, `blocks of ${blockBytes}`)
    for (let i = 0; i < chunks.length; i++) {
      const rest = yield* Stream.runCollect(source.read(chunks[i]!.position))
      assert.deepStrictEqual([...allOf(chunks.slice(0, i + 1)), ...allOf(rest)], expected, `from position ${i}`)
    }
  }
  const failing = yield* make(path, {})
  assert.strictEqual((yield* Effect.flip(Stream.runDrain(failing.read(null)))).reason._tag, "MalformedRecord")
})

layer(NodeServices.layer)("rejected records", (it) => {
  it.effect("of NDJSON are lines", () =>
    check(
      NdjsonSource.make,
      Buffer.concat([
        Buffer.from(`{"a":1}\n{"a":\r\n\n[2]\n`),
        Buffer.from([0xff, 0x22, 0x0a]),
        Buffer.from(`{"a":3}\n  \n"x`)
      ]),
      [`1 {"a":1}`, `2 BAD {"a":`, "4 BAD [2]", "5 BAD ff22", `6 {"a":3}`, `8 BAD "x`]
    ))

  it.effect("of CSV are records of the wrong length, and lines where the quotes make no sense", () =>
    check(
      CsvSource.make,
      Buffer.concat([
        Buffer.from(`a,b\n1,2\n1,2,3\n"x\ny"\n\n1,"2"3\n4,5"\n`),
        Buffer.from([0x36, 0x2c, 0xfe, 0x0a]),
        Buffer.from(`\n\n7,8\r\n"9,9\n1,1\n`)
      ]),
      [
        `2 {"a":"1","b":"2"}`,
        "3 BAD 1,2,3",
        `4 BAD "x\ny"`,
        `7 BAD 1,"2"3`,
        `8 BAD 4,5"`,
        "9 BAD 362cfe",
        `12 {"a":"7","b":"8"}`,
        `13 BAD "9,9`,
        `14 {"a":"1","b":"1"}`
      ]
    ))

  const filler = "-".repeat(80)
  const many = Array.from({ length: 6000 }, (_, i) => i)
  const ndjson = Buffer.from(many.map((i) => i % 3 === 0 ? `{"a":${i}}\n` : `{"a":${i},"${filler}\n`).join(""))
  const csv = Buffer.concat([
    Buffer.from("a,b\n"),
    ...many.map((i) => Buffer.from(i % 3 === 0 ? `${i},\n` : `${i},\xff${filler}\n`, "latin1"))
  ])

  for (
    const [what, make, content] of [
      ["NDJSON", NdjsonSource.make, ndjson],
      ["NDJSON in latin1", (path, options) => NdjsonSource.make(path, { ...options, encoding: "latin1" }), ndjson],
      ["CSV that is no text", CsvSource.make, csv]
    ] satisfies ReadonlyArray<readonly [string, MakeSource, Buffer]>
  ) {
    it.effect(`many of ${what} cost no more in a large block than in small ones`, () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const path = `${yield* fs.makeTempDirectoryScoped()}/input`
        yield* fs.writeFile(path, content)
        const read = Effect.fnUntraced(function*(blockBytes: number) {
          const source = yield* make(path, { blockBytes, malformed: "reject" })
          const start = performance.now()
          const chunks: ReadonlyArray<SourceChunk<unknown>> = yield* Stream.runCollect(source.read(null))
          return { all: allOf(chunks), millis: performance.now() - start }
        })
        yield* read(4096)
        const small = yield* read(4096)
        const large = yield* read(1024 ** 2)
        assert.strictEqual(small.all.length, many.length)
        assert.deepStrictEqual(large.all, small.all)
        assert.isBelow(large.millis, 3 * small.millis + 200)
      }))
  }
})
