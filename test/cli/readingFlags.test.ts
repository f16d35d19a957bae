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
