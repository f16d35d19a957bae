/**
 * A file that is gone on with in another way than it was begun: what is behind the position would be other records.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { Position } from "../../src/checkpoint/Position.ts"
import * as CsvSource from "../../src/source/CsvSource.ts"
import * as FilesSource from "../../src/source/FilesSource.ts"
import * as NdjsonSource from "../../src/source/NdjsonSource.ts"
import type { FileSource, MakeSource } from "./fileFixture.ts"
import { lastPosition, readUntilFailure, temporaryFile } from "./fileFixture.ts"

/** Three records, of whatever format. */
const lines = "{}\n{}\n{}\n"

/** Behind the first record. */
const begun = Effect.fnUntraced(function*(source: FileSource<unknown>) {
  const chunks = yield* Stream.runCollect(Stream.take(source.read(null), 1))
  return lastPosition(chunks)!
})

const one = { maxRecords: 1 }

layer(NodeServices.layer)("a position that was read in another way", (it) => {
  it.effect("is refused before a record is read, with both ways and the way out", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("rows.txt", lines)
      const ndjson = yield* begun(yield* NdjsonSource.make(path, { ...one, encoding: "latin1" }))
      const csv = yield* begun(yield* CsvSource.make(path, { ...one, header: false, delimiter: ":" }))
      const refused = Effect.fnUntraced(function*(
        source: ReturnType<MakeSource>,
        position: Position,
        then: string,
        now: string
      ) {
        const { chunks, error, reason } = yield* readUntilFailure<unknown>(yield* source, position)
        assert.deepStrictEqual([chunks.length, reason._tag, error.isRetryable], [0, "InputChanged", false])
        assert.strictEqual(
          error.message,
          `${path}: cannot resume: the job was begun with ${then}, and now it is to be read with ${now}: what was read of ` +
            `it would not fit what is read from here on. Give ${then} again, or start a new job (with another job id) to ` +
            "read it from the beginning."
        )
      })
      yield* refused(NdjsonSource.make(path), ndjson, "--encoding windows-1252", "--encoding UTF-8")
      yield* refused(CsvSource.make(path), ndjson, "--format ndjson", "--format csv")
      yield* refused(NdjsonSource.make(path), csv, "--format csv", "--format ndjson")
      const without = { header: false, delimiter: ":" }
      yield* refused(CsvSource.make(path, { delimiter: ":" }), csv, "--no-header", "--header")
      yield* refused(CsvSource.make(path, { ...without, quote: null }), csv, "quote \"", "no quote")
      yield* refused(
        CsvSource.make(path, { header: false, delimiter: "\t", encoding: "utf-16le" }),
        csv,
        `--delimiter ":" and --encoding UTF-8`,
        `--delimiter "\\t" and --encoding utf-16le`
      )
    }))

  it.effect("is gone on with in the same way, by whatever name; and where none was recorded, in any", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("rows.txt", lines)
      const position = yield* begun(yield* NdjsonSource.make(path, { ...one, encoding: "latin1" }))
      const same = yield* NdjsonSource.make(path, { encoding: "iso-8859-1" })
      const rest = yield* Stream.runCollect(same.read(position))
      assert.deepStrictEqual(rest.flatMap(({ records }) => records.map(({ place }) => place)), [2, 3])
      const { reading, ...before } = position
      assert.deepStrictEqual(reading, { format: "ndjson", encoding: "windows-1252" })
      const other = yield* NdjsonSource.make(path)
      assert.strictEqual((yield* Stream.runCollect(other.read(before)))[0]!.records.length, 2)
    }))

  it.effect("among several files is refused also for those that were read to their ends", () =>
    Effect.gen(function*() {
      const paths = [yield* temporaryFile("a", lines), yield* temporaryFile("b", lines)]
      const opened = (encoding: string) =>
        FilesSource.make(paths, (path, placeOffset) => NdjsonSource.make(path, { encoding, placeOffset }))
      const position = lastPosition(yield* Stream.runCollect((yield* opened("latin1")).read(null)))
      const { chunks, error } = yield* readUntilFailure(yield* opened("utf-8"), position)
      assert.strictEqual(chunks.length, 0)
      assert.match(error.message, /begun with --encoding windows-1252, and now it is to be read with --encoding UTF-8/)
    }))
})
