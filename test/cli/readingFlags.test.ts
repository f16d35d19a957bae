/** How `load`, its rehearsal and `verify` read files: which records of them, and in which encoding. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Zlib from "node:zlib"
import type { Ended, Fixture } from "./commandFixture.ts"
import { many, newestManifest, openFixture, run, startAndHold } from "./commandFixture.ts"

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture("cli_reading_flags_test")
})
afterAll(() => fixture?.close())

const load = (uid: string, files: ReadonlyArray<string>, ...more: ReadonlyArray<string>) => {
  const [verb, , ...rest] = fixture.load(uid, "", undefined, "--json", ...more)
  return [verb!, ...files, ...rest]
}

const verify = (files: ReadonlyArray<string>, ...more: ReadonlyArray<string>) =>
  run(["verify", ...files, `--query=${fixture.insert}`, "--json", ...more])

const summary = (ended: Ended, code = 0) => {
  assert.strictEqual(ended.code, code, ended.stderr)
  return JSON.parse(ended.stdout)
}

const ids = async (uid: string) => (await fixture.rows(uid)).map(({ id }) => id)

const from = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i)

describe.concurrent("--skip-records and --max-records", () => {
  it("are of each file, packed or not; bad lines count, and are not looked at", async () => {
    const lines = fixture.lines("part", 300)
    const [a, b, c] = [
      fixture.path("part-a.ndjson"),
      fixture.path("part-b.ndjson.gz"),
      fixture.path("part-c.ndjson.zst")
    ]
    const partOf = (first: number, bad: ReadonlyArray<number>) =>
      lines.slice(first, first + 100).map((line, i) => bad.includes(i) ? "what is this" : line).join("\n")
    Fs.writeFileSync(a, partOf(0, [3, 60]))
    Fs.writeFileSync(b, Zlib.gzipSync(partOf(100, [0, 99])))
    Fs.writeFileSync(c, Zlib.zstdCompressSync(partOf(200, [9, 40])))
    const part = ["--skip-records=10", "--max-records=50"]
    const expected = [...from(10, 50), ...from(110, 50), ...from(210, 50).filter((id) => id !== 240)]

    const aside = ["--on-bad-record=dead-letter", "--max-errors=1"]
    const rehearsed = summary(await run(load("part", [a, b, c], ...part, ...aside, "--dry-run")), 2)
    assert.strictEqual(rehearsed.records, 150)
    assert.strictEqual(rehearsed.refused, 1)
    const loaded = summary(await run(load("part", [a, b, c], ...part, ...aside)), 1)
    assert.strictEqual(loaded.rows, 150)
    assert.strictEqual(loaded.deadLetters, 1)
    assert.deepStrictEqual(await ids("part"), expected)
    const again = summary(await run(load("part", [a, b, c], ...part, ...aside)))
    assert.strictEqual(again.outcome, "nothing-to-do")

    const letters = `--dead-letters=${fixture.path("state-part.dead-letters.ndjson")}`
    const same = summary(await verify([a, b, c], ...part, letters))
    assert.strictEqual(same.records, 150)
    assert.isTrue(same.isSame)
    const more = summary(await verify([a, b, c], "--skip-records=10", "--max-records=51", letters), 1)
    assert.strictEqual(more.missing, 2)
    assert.strictEqual(more.leftOut, 1)
  })

  it("of CSV do not count the header; a larger --max-records goes on, another --skip-records is refused", async () => {
    const csv = fixture.write("more.csv", ["job,id,big,name", ...from(0, 40).map((id) => `more,${id},${id},row ${id}`)])
    const part = (skip: number, ...more: ReadonlyArray<string>) =>
      run(load("more", [csv], `--skip-records=${skip}`, ...more))
    assert.strictEqual(summary(await part(5, "--max-records=10")).rows, 10)
    assert.deepStrictEqual(await ids("more"), from(5, 10))
    assert.strictEqual(summary(await part(5, "--max-records=12")).rows, 2)
    assert.deepStrictEqual(await ids("more"), from(5, 12))
    const other = await part(6, "--max-records=12")
    assert.strictEqual(other.code, 3, other.stderr)
    assert.match(other.stderr, /more\.csv: cannot resume: 5 of its first records were skipped when it was begun, and/)
    assert.strictEqual(summary(await part(5)).rows, 23)
    assert.deepStrictEqual(await ids("more"), from(5, 35))
  })

  it("hold after SIGKILL", async () => {
    const file = fixture.write("killed.ndjson", fixture.wideLines("killed", many))
    const part = ["--skip-records=7", `--max-records=${many - 20}`]
    const { child, state } = await startAndHold(fixture, "killed", file, ...part)
    child.kill("SIGKILL")
    await child.ended
    const { records } = newestManifest(state)!
    assert.isAbove(records, 0)
    assert.strictEqual(summary(await run(load("killed", [file], ...part))).rows, many - 20 - records)
    assert.deepStrictEqual(await ids("killed"), from(7, many - 20))
  })
})

describe.concurrent("--encoding", () => {
  const names = ["Zürich", "é", "ß, größer", "€"]
  const csv = (uid: string) =>
    ["job,id,big,name", ...names.map((name, id) => `${uid},${id},${id},"${name}"`)].join("\r\n") + "\r\n"
  const nameOf = async (uid: string) => (await fixture.rows(uid)).map(({ name }) => name)

  it.each([
    ["cp1252", (text: string) => Buffer.from(text.replaceAll("€", "\x80"), "latin1")],
    ["utf-16le", (text: string) => Buffer.from(`\ufeff${text}`, "utf16le")],
    ["UTF-16BE", (text: string) => Buffer.from(text, "utf16le").swap16()]
  ])("%s is read by load, its rehearsal and verify, packed or not", async (encoding, toBytes) => {
    const uid = `e_${encoding.toLowerCase().replace("-", "")}`
    const files = [fixture.path(`${uid}-a.csv`), fixture.path(`${uid}-b.csv.gz`)]
    Fs.writeFileSync(files[0]!, toBytes(csv(uid)))
    Fs.writeFileSync(files[1]!, Zlib.gzipSync(toBytes(csv(uid).replace(`${uid},1,1`, `${uid},9,9`))))
    const flag = `--encoding=${encoding}`
    assert.strictEqual(summary(await run(load(uid, files, flag, "--dry-run"))).refused, 0)
    assert.strictEqual(summary(await run(load(uid, files, flag))).rows, 8)
    assert.deepStrictEqual(await nameOf(uid), [...names, "é"])
    assert.strictEqual(summary(await run(load(uid, files, flag))).outcome, "nothing-to-do")
    const same = summary(await verify(files, flag))
    assert.isTrue(same.isSame)
    assert.strictEqual(same.rows, 5)
  })

  it("bytes that are no text in it are a bad record, with file and line, and go to the dead letters", async () => {
    const file = fixture.path("greek.csv")
    Fs.writeFileSync(file, Buffer.from("job,id,big,name\ngreek,1,1,\xd9\ngreek,2,2,\xd2\ngreek,3,3,\xe1\n", "latin1"))
    const ended = await run(load("greek", [file], "--encoding=windows-1253"))
    assert.strictEqual(ended.code, 2, ended.stderr)
    assert.match(ended.stderr, /greek\.csv, line 3 \(byte 28\): the record is not valid windows-1253/)
    const aside = summary(await run(load("greek", [file], "--encoding=windows-1253", "--max-errors=1")), 1)
    assert.strictEqual(aside.deadLetters, 1)
    assert.deepStrictEqual(await nameOf("greek"), ["Ω", "α"])
    const letter = JSON.parse(Fs.readFileSync(fixture.path("state-greek.dead-letters.ndjson"), "utf8"))
    assert.strictEqual(Buffer.from(letter.bytes, "base64").toString("latin1"), "greek,2,2,\xd2")
  })

  it("a bad record that is text is set aside as text", async () => {
    const file = fixture.path("text.ndjson")
    Fs.writeFileSync(file, Buffer.from(`${fixture.line("text", 0, "ü")}\n{"name":"ä"\n`, "latin1"))
    summary(await run(load("text", [file], "--encoding=latin1", "--max-errors=1")), 1)
    assert.deepStrictEqual(await nameOf("text"), ["ü"])
    const letter = JSON.parse(Fs.readFileSync(fixture.path("state-text.dead-letters.ndjson"), "utf8"))
    assert.strictEqual(letter.line, `{"name":"ä"`)
  })

  it("one that is not known is refused with the names of some that are", async () => {
    const ended = await run(load("unknown", [fixture.write("unknown.csv", ["job,id"])], "--encoding=ebcdic"))
    assert.strictEqual(ended.code, 64, ended.stderr)
    assert.match(ended.stderr, /--encoding.*ebcdic[^]*as utf-8, iso-8859-1 \(latin1\), windows-1252/)
  })
})
