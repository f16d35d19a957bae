/** Each record with several statements: `--query` given several times. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import type { Fixture } from "./commandFixture.ts"
import { openFixture, run } from "./commandFixture.ts"

const keyspace = "cli_queries_test"
let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture(keyspace)
  await fixture.client.execute(`CREATE TABLE ${keyspace}.by_name (name text PRIMARY KEY, id int)`)
})
afterAll(() => fixture?.close())

const byName = `INSERT INTO ${keyspace}.by_name (name, id) VALUES (:name, :id)`

const commands = (uid: string, file: string, second = byName) => {
  const flags = fixture.load(uid, file, undefined, `--query=${second}`)
  const of = (...verb: ReadonlyArray<string>) => run([...verb, ...flags.slice(1)])
  return {
    of,
    flags,
    verify: (...more: ReadonlyArray<string>) =>
      run(["verify", file, `--query=${fixture.insert}`, `--query=${second}`, "--json", ...more])
  }
}

describe("effect-cassandra with several statements", () => {
  it(
    "load, check, dry run and verify have all of them; a row that one refuses is replayed to that one alone",
    async () => {
      const uid = "both"
      const lines = fixture.lines(uid, 100)
      // The first table takes it, and the second has it for a key.
      lines[40] = fixture.line(uid, 40, "")
      const file = fixture.write("both.ndjson", lines)
      const { of, verify } = commands(uid, file)
      const checked = await of("check")
      assert.strictEqual(checked.code, 0, checked.stdout)
      assert.include(checked.stdout, fixture.insert)
      assert.include(checked.stdout, byName)
      const dry = await of("load", "--dry-run")
      assert.strictEqual(dry.code, 0, dry.stderr)
      assert.match(dry.stderr, /dry run: 100 records read, 0 can't be loaded/)

      const letters = fixture.path("both.letters.ndjson")
      const ended = await of("load", "--max-errors=1", `--dead-letters=${letters}`, "--json", "--parallelism=2")
      assert.strictEqual(ended.code, 1, ended.stderr)
      assert.deepInclude(JSON.parse(ended.stdout), { rows: 100, committed: 199, deadLetters: 1 })
      for (const query of [fixture.insert, byName]) assert.include(ended.stderr, query)
      assert.strictEqual((await fixture.rows(uid)).length, 100)

      const found = await verify(`--dead-letters=${letters}`)
      assert.strictEqual(found.code, 0, found.stderr + found.stdout)
      assert.deepInclude(JSON.parse(found.stdout), { records: 100, setAside: 1, rows: 198, isSame: true })
      await fixture.client.execute(`DELETE FROM ${keyspace}.by_name WHERE name = 'row 7'`)
      const missing = await verify(`--dead-letters=${letters}`)
      assert.strictEqual(missing.code, 1)
      assert.deepInclude(JSON.parse(missing.stdout), { missing: 1, different: 0 })

      const [letter] = Fs.readFileSync(letters, "utf8").trimEnd().split("\n")
      assert.deepStrictEqual(JSON.parse(letter!).statement, byName)
      Fs.writeFileSync(letters, letter!.replace(`"name":""`, `"name":"mended"`))
      const replayed = await run([
        "replay-dead-letters",
        letters,
        ...commands("both_replay", file).flags.slice(2),
        `--dead-letters=${letters}.still`,
        "--json"
      ])
      assert.strictEqual(replayed.code, 0, replayed.stderr)
      assert.strictEqual(JSON.parse(replayed.stdout).committed, 1)
      const { rows } = await fixture.client.execute(`SELECT id FROM ${keyspace}.by_name WHERE name = 'mended'`)
      assert.strictEqual(rows[0]!["id"], 40)
      assert.strictEqual((await fixture.rows(uid))[40]!.name, "")
    },
    400_000
  )

  it("what can't be told, written, or is not there is refused", async () => {
    const file = fixture.write("refused.ndjson", fixture.lines("refused", 3))
    const twice = await commands(
      "refused",
      file,
      `UPDATE ${keyspace}.items SET big = :big WHERE job = :job AND id = :id`
    )
      .verify()
    assert.strictEqual(twice.code, 3, twice.stderr)
    assert.match(twice.stderr, /several of them write cli_queries_test\.items/)
    const nowhere = await commands("refused", file, `INSERT INTO ${keyspace}.nowhere (id) VALUES (:id)`).of("load")
    assert.strictEqual(nowhere.code, 3, nowhere.stderr)
    assert.match(nowhere.stderr, /there is no table cli_queries_test\.nowhere/)
    const mixed = await commands("refused", file, `${byName} USING TIMESTAMP :big`).of("check")
    assert.strictEqual(mixed.code, 0, mixed.stdout)
    const stamped = `UPDATE ${keyspace}.items USING TIMESTAMP :big SET name = :name WHERE job = :job AND id = :id`
    const both = await commands("refused", file, stamped).of("check")
    assert.strictEqual(both.code, 3, both.stdout)
    assert.match(both.stdout, /only one of them brings timestamps of its own/)
    const empty = await commands("refused", file, "").of("load")
    assert.strictEqual(empty.code, 64, empty.stderr)
    assert.match(empty.stderr, /--query is empty/)
  }, 400_000)
})
