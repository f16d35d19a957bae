import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import type { Fixture } from "./commandFixture.ts"
import { openFixture, run } from "./commandFixture.ts"

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture("cli_dry_test")
})
afterAll(() => fixture?.close())

const dry = (uid: string, lines: ReadonlyArray<string>, ...more: ReadonlyArray<string>) =>
  run(fixture.load(uid, fixture.write(`${uid}.ndjson`, lines), undefined, "--dry-run", "--json", ...more))

const assertNothing = async (uid: string) => {
  assert.deepStrictEqual(await fixture.rows(uid), [])
  assert.isFalse(Fs.existsSync(fixture.path(`state-${uid}`)))
}

describe.concurrent("load --dry-run", () => {
  it("reads all, says what it would be, and writes nothing", async () => {
    const ended = await dry("good", fixture.lines("good", 5000))
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.deepInclude(JSON.parse(ended.stdout), {
      records: 5000,
      refused: 0,
      risks: 0,
      isWhole: true,
      outcome: "dry-run"
    })
    assert.match(
      ended.stderr,
      /^dry run: 5,000 records read, 0 can't be loaded, .* about 1\d\d bytes\. Nothing was written\.$/m
    )
    await assertNothing("good")
  })

  it("shows the first records that can't be loaded with their places, and counts all", async () => {
    const lines = fixture.lines("bad", 100).map((line, i) =>
      i % 4 === 3 ? line.replace(/"id":\d+/, "\"id\":\"x\"") : line
    )
    const ended = await dry("bad", lines)
    assert.strictEqual(ended.code, 2, ended.stderr)
    assert.deepInclude(JSON.parse(ended.stdout), { records: 100, refused: 25, isWhole: true })
    const shown = ended.stderr.match(/bad\.ndjson, line \d+, column id: /g)!
    assert.strictEqual(shown.length, 10)
    assert.match(shown[0]!, /line 4,/)
    assert.match(ended.stderr, /^\.\.\. and 15 more records that can't be loaded$/m)
    assert.notMatch(ended.stderr, /^\s+at /m)
    await assertNothing("bad")
  })

  it("a row larger than the server takes is a risk", async () => {
    const large = `{"job":"large","id":1,"name":"${"x".repeat(16 * 1024 ** 2 - 40)}"}`
    const ended = await dry("large", [`{"job":"large","id":0}`, large])
    assert.strictEqual(ended.code, 2, ended.stderr)
    assert.deepInclude(JSON.parse(ended.stdout), { records: 2, refused: 0, risks: 1 })
    assert.match(
      ended.stderr,
      /large\.ndjson, line 2: Cassandra may refuse this row: it has about 16\.0 MiB, and max_mu/
    )
    await assertNothing("large")
  })

  it("a line that can't be read ends it, after what stands before it", async () => {
    const lines = fixture.lines("line", 3000).with(2000, "{")
    const ended = await dry("line", lines)
    assert.strictEqual(ended.code, 2, ended.stderr)
    assert.deepInclude(JSON.parse(ended.stdout), { records: 2000, isWhole: false })
    assert.match(ended.stderr, /line\.ndjson, line 2001 /)
    await assertNothing("line")
  })

  it("--max-rows-per-second is kept by a load", async () => {
    const file = fixture.write("paced.ndjson", fixture.lines("paced", 300))
    const ended = await run(fixture.load("paced", file, undefined, "--json", "--max-rows-per-second=100"))
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.isAbove(JSON.parse(ended.stdout).seconds, 2.8)
    assert.strictEqual((await fixture.rows("paced")).length, 300)
  })
})
