import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Zlib from "node:zlib"
import type { Fixture } from "./commandFixture.ts"
import { areAll, many, newestManifest, openFixture, run, startAndHold } from "./commandFixture.ts"

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture("cli_files_test")
})
afterAll(() => fixture?.close())

/** The lines in `parts` files `<uid>/0.ndjson`, ..., every second one packed. */
const split = (uid: string, lines: ReadonlyArray<string>, parts: number): string => {
  const directory = fixture.path(uid)
  Fs.mkdirSync(directory)
  const size = Math.ceil(lines.length / parts)
  for (let i = 0; i < parts; i++) {
    const text = lines.slice(i * size, (i + 1) * size).join("\n") + "\n"
    const pack = [(data: string) => data, Zlib.gzipSync, Zlib.zstdCompressSync][i % 3]!
    Fs.writeFileSync(Path.join(directory, `${i}.ndjson${["", ".gz", ".zst"][i % 3]}`), pack(text))
  }
  return Path.join(directory, "*")
}

const load = (uid: string, files: ReadonlyArray<string>, ...more: ReadonlyArray<string>) => {
  const [verb, , ...rest] = fixture.load(uid, "", undefined, ...more)
  return [verb!, ...files, ...rest]
}

const assertAllRows = async (uid: string, count: number) => {
  const rows = await fixture.rows(uid)
  assert.isTrue(areAll(rows, count), `${rows.length} rows`)
}

describe.concurrent("several files", () => {
  it("are loaded in the order of their names, packed or not, and those that come later with the same command", async () => {
    const pattern = split("glob", fixture.lines("glob", 3000), 7)
    const first = await run(load("glob", [pattern], "--json"))
    assert.strictEqual(first.code, 0, first.stderr)
    assert.strictEqual(JSON.parse(first.stdout).rows, 3000)
    assert.match(
      first.stderr,
      /^info +Files, in this order: \S+\/0\.ndjson, \S+\/1\.ndjson\.gz, \S+\/2\.ndjson\.zst, /m
    )
    await assertAllRows("glob", 3000)
    const again = await run(load("glob", [pattern], "--json"))
    assert.strictEqual(JSON.parse(again.stdout).outcome, "nothing-to-do", again.stderr)
    fixture.write("glob/7.ndjson", [fixture.line("glob", 3000)])
    const more = await run(load("glob", [pattern], "--json"))
    assert.strictEqual(JSON.parse(more.stdout).rows, 1, more.stderr)
    await assertAllRows("glob", 3001)
    fixture.write("glob/5.5.ndjson", [fixture.line("glob", 9)])
    const between = await run(load("glob", [pattern]))
    assert.strictEqual(between.code, 3, between.stderr)
    assert.match(between.stderr, /5\.5\.ndjson: cannot resume: it comes before \S+5\.ndjson/)
  })

  it("resume after SIGKILL in the middle of one", async () => {
    const pattern = split("killed", fixture.wideLines("killed", many), 5)
    const { child, state } = await startAndHold(fixture, "killed", pattern)
    child.kill("SIGKILL")
    await child.ended
    const { records } = newestManifest(state)!
    assert.isAbove(records, 0)
    const ended = await run(load("killed", [pattern], "--json"))
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.strictEqual(JSON.parse(ended.stdout).rows, many - records)
    await assertAllRows("killed", many)
  })

  it("a bad record is named with its file and line, before and in the table", async () => {
    const lines = fixture.lines("bad", 300)
    const [a, b] = [fixture.write("bad-a.ndjson", lines.slice(0, 200)), fixture.path("bad-b.ndjson")]
    fixture.write("bad-b.ndjson", lines.slice(200).with(5, lines[205]!.replace(/"id":205/, "\"id\":\"abc\"")))
    const ended = await run(load("bad", [a, b]))
    assert.strictEqual(ended.code, 2, ended.stderr)
    assert.match(ended.stderr, /bad-b\.ndjson, line 6, column id: /)
    fixture.write("bad-b.ndjson", lines.slice(200))
    assert.strictEqual((await run(load("bad", [a, b]))).code, 0)
    await assertAllRows("bad", 300)
  })

  it("a damaged archive is named before anything of it is loaded, and a good copy resumes", async () => {
    const lines = fixture.lines("damaged", 400)
    const a = fixture.write("damaged-a.ndjson", lines.slice(0, 200))
    const b = fixture.path("damaged-b.ndjson.gz")
    const good = Zlib.gzipSync(lines.slice(200).join("\n"))
    Fs.writeFileSync(b, good.subarray(0, -10))
    const ended = await run(load("damaged", [a, b]))
    assert.strictEqual(ended.code, 3, ended.stderr)
    assert.match(ended.stderr, /damaged-b\.ndjson\.gz: the gzip archive is damaged at or before byte \d+ \(byte \d+ of/)
    assert.match(ended.stderr, /Then run the same command again to resume\.\n$/)
    assert.isTrue((await fixture.rows("damaged")).every(({ id }) => id < 200))
    Fs.writeFileSync(b, good)
    assert.strictEqual((await run(load("damaged", [a, b]))).code, 0)
    await assertAllRows("damaged", 400)
  })

  it("another file under the same job is told by both their names and sizes", async () => {
    const first = fixture.write("first.ndjson", fixture.lines("first", 100))
    const other = fixture.write("other.ndjson", fixture.lines("first", 3).map((line) => line.replace("row", "ROW")))
    assert.strictEqual((await run(fixture.load("first", first))).code, 0)
    const ended = await run(fixture.load("first", other))
    assert.strictEqual(ended.code, 3, ended.stderr)
    assert.match(
      ended.stderr,
      /other\.ndjson: cannot resume: it is not the file that the job was begun with\. That was \S+first\.ndjson, of \d+ bytes, of which \d+ were read; this one has \d+ bytes, .* Give \S+first\.ndjson again, or start a new job/
    )
  })

  it("another encoding or format under the same job is refused with both, before a row is read", async () => {
    const file = fixture.write("encoded.ndjson", fixture.lines("encoded", 30))
    const args = (...more: ReadonlyArray<string>) => fixture.load("encoded", file, undefined, ...more)
    assert.strictEqual((await run(args("--encoding=latin1"))).code, 0)
    fixture.write("encoded.ndjson", fixture.lines("encoded", 60))
    const ended = await run(args())
    assert.strictEqual(ended.code, 3, ended.stderr)
    assert.match(
      ended.stderr,
      /encoded\.ndjson: cannot resume: the job was begun with --encoding windows-1252, and now it is to be read with --encoding UTF-8.* Give --encoding windows-1252 again, or start a new job/
    )
    assert.strictEqual((await fixture.rows("encoded")).length, 30)
    assert.strictEqual((await run(args("--encoding=windows-1252"))).code, 0)
    assert.strictEqual((await fixture.rows("encoded")).length, 60)
  })

  it("CSV files with different headers are refused", async () => {
    const a = fixture.write("h-a.csv", ["job,id", "h,1"])
    const b = fixture.write("h-b.csv", ["job,id,name", "h,2,x"])
    const query = `INSERT INTO ${fixture.keyspace}.items (job, id) VALUES (?, ?)`
    const args = load("h", [a, b]).map((arg) => arg.startsWith("--query=") ? `--query=${query}` : arg)
    const ended = await run(args)
    assert.strictEqual(ended.code, 3, ended.stderr)
    assert.match(
      ended.stderr,
      /h-b\.csv can't be loaded .*\n- it has the fields job, id, name, and \S+h-a\.csv has job, id/
    )
    fixture.write("h-b.csv", ["id,job", "2,h"])
    assert.strictEqual((await run(args)).code, 0)
    assert.strictEqual((await fixture.rows("h")).length, 2)
  })

  it.each([
    ["standard input", ["-"], /Standard input can't be read again/],
    ["a directory", ["."], /\. is a directory: name its files, as in "\*\.ndjson"/],
    ["a pattern that matches nothing", ["nothing/*.ndjson"], /No file matches nothing\/\*\.ndjson/],
    ["files of different formats", ["a.csv", "b.ndjson"], /a\.csv and b\.ndjson are of different formats/]
  ])("%s is refused", async (_, files, words) => {
    const ended = await run(load("usage", files), { cwd: fixture.directory })
    assert.strictEqual(ended.code, 64, ended.stderr)
    assert.match(ended.stderr, words)
  })
})
