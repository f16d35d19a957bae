import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as FileSystem from "effect/FileSystem"
import { placeText } from "../../src/checkpoint/Element.ts"
import type { DeadLetter } from "../../src/sink/DeadLetters.ts"
import { toLine } from "../../src/sink/DeadLetters.ts"
import * as DeadLetterSource from "../../src/source/DeadLetterSource.ts"
import { letterOf } from "../sink/letterFixture.ts"

const letter = (place: number, more?: Partial<DeadLetter>): string => toLine(letterOf(place, more))

const csv = { columns: ["a", "b"], delimiter: ";", quote: "'" }

const raw = (place: number, text: string, of: typeof csv | null = null) =>
  letter(place, { record: null, raw: { text, bytes: null, csv: of } })

/** What comes of the lines: records as JSON, and what is wrong with the others, by their lines. */
const read = Effect.fnUntraced(function*(lines: ReadonlyArray<string>, blockBytes?: number) {
  const fs = yield* FileSystem.FileSystem
  const path = `${yield* fs.makeTempDirectoryScoped()}/letters.ndjson`
  yield* fs.writeFileString(path, lines.join("\n"))
  const made = yield* DeadLetterSource.make(path, { blockBytes })
  const chunks = yield* Stream.runCollect(made.source.read(null))
  const show = (from: typeof chunks) => ({
    records: from.flatMap(({ records }) => records.map(({ place, value }) => [place, JSON.stringify(value)] as const)),
    bad: from.flatMap(({ rejected = [] }) => rejected.map(({ place, problem }) => [place, problem] as const))
  })
  return { ...made, ...show(chunks), chunks, show, path }
})

layer(NodeServices.layer)("DeadLetterSource", (it) => {
  it.effect("gives the records of letters, with every digit, the first place and the first timestamp", () =>
    Effect.gen(function*() {
      const { bad, letters, path, records, source, statementOf, timestampOf } = yield* read([
        letter(7),
        raw(8, `{"v": 1234567890123456789}`),
        raw(9, "1;'x;''y'", csv),
        raw(10, "1;", csv)
      ])
      assert.deepStrictEqual(records, [
        [1, `{"v":"9007199254741000"}`],
        [2, `{"v":"1234567890123456789"}`],
        [3, `{"a":"1","b":"x;'y"}`],
        [4, `{"a":"1","b":null}`]
      ])
      assert.deepStrictEqual(bad, [])
      assert.strictEqual(letters, 4)
      const line = (place: number) => ({ input: path, place, unit: "line" } as const)
      assert.deepStrictEqual(source.locate!(2), { input: "rows.ndjson", place: 8, via: line(2) })
      assert.strictEqual(placeText(source.locate!(2)), `${path}, line 2 (of rows.ndjson, record at 8)`)
      assert.deepStrictEqual(source.locate!(9), line(9))
      assert.strictEqual(timestampOf(2), 1_700_000_000_000_008)
      assert.isNull(timestampOf(5))
      assert.isNull(statementOf(2))
    }))

  it.effect("of one stage, and none where it is not told; a position is not gone on from with another", () =>
    Effect.gen(function*() {
      const untold = letter(10).replace("\"stage\":\"encode\",", "")
      const { path, records } = yield* read([letter(7), letter(8, { stage: "write" }), letter(9), untold])
      assert.deepStrictEqual(records.map(([place]) => place), [1, 2, 3, 4])
      const { letters, source } = yield* DeadLetterSource.make(path, { stage: "encode" })
      assert.strictEqual(letters, 2)
      const chunks = yield* Stream.runCollect(source.read(null))
      assert.deepStrictEqual(chunks.flatMap((chunk) => chunk.records.map(({ place }) => place)), [1, 3])
      const all = yield* DeadLetterSource.make(path)
      const { message } = yield* Effect.flip(Stream.runDrain(all.source.read(chunks.at(-1)!.position)))
      assert.match(message, /begun with --stage encode, and now it is to be read with no --stage/)
    }))

  it.effect("a row that was refused is of its statement", () =>
    Effect.gen(function*() {
      const { statementOf } = yield* read([letter(7, { stage: "write" }), letter(8)])
      assert.strictEqual(statementOf(1), "INSERT INTO t (v) VALUES (?)")
      assert.isNull(statementOf(2))
    }))

  it.effect("a letter that stands there twice is one, also behind a crash's half of it, and when resumed between", () =>
    Effect.gen(function*() {
      const lines = [
        letter(7),
        letter(8).slice(0, 60),
        letter(8),
        letter(7),
        `{"id":"job/sink/0/3/17`,
        letter(9),
        `${letter(9).slice(0, 80)}\0\0\0`
      ]
      const { bad, chunks, records, show, source } = yield* read(lines, 1)
      assert.deepStrictEqual(records.map(([place]) => place), [1, 3, 6])
      assert.deepStrictEqual(bad, [])
      for (let i = 0; i < chunks.length; i++) {
        const rest = yield* Stream.runCollect(source.read(chunks[i]!.position))
        assert.deepStrictEqual([...show(chunks.slice(0, i + 1)).records, ...show(rest).records], records)
      }
    }))

  it.effect("what is no letter, or still bad, is a bad record of its own", () =>
    Effect.gen(function*() {
      const { bad, records } = yield* read([
        `{"v":1}`,
        raw(2, `{"v":`),
        raw(3, "1;2;3", csv),
        letter(4, { record: null, raw: { text: null, bytes: Buffer.from([0xff]), csv: null } }),
        letter(5, { record: "[1]" }),
        letter(6),
        letter(6, { record: `{"v":"other"}` }),
        "not JSON at all",
        letter(9).slice(0, 60)
      ])
      assert.deepStrictEqual(records.map(([place]) => place), [6])
      const problems = [
        /it is no dead letter/,
        /this is not JSON/,
        /3 fields where 2 were expected/,
        /not valid UTF-8/,
        /its record is no JSON object/,
        /it is the letter of line 6 and holds something else/,
        /this is not JSON/,
        /this is not JSON/
      ]
      assert.deepStrictEqual(bad.map(([place]) => place).toSorted(), [1, 2, 3, 4, 5, 7, 8, 9])
      const sorted = bad.toSorted(([a], [b]) => a - b)
      for (const [i, expected] of problems.entries()) assert.match(sorted[i]![1], expected)
    }))
})
