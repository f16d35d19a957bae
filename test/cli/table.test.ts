import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import type { Ended, Fixture } from "./commandFixture.ts"
import { openFixture, run } from "./commandFixture.ts"

const keyspace = "cli_table_test"
let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture(keyspace)
  await fixture.client.execute(
    `CREATE TABLE ${keyspace}.people (job text, id int, "Name" text, age int, PRIMARY KEY (job, id))`
  )
})
afterAll(() => fixture?.close())

/** `fixture.load` with a table in place of the statement. */
const load = (uid: string, file: string, ...more: ReadonlyArray<string>) => [
  ...fixture.load(uid, file, "").filter((arg) => !arg.startsWith("--query=")),
  "-k",
  keyspace,
  ...(more.includes("-t") ? [] : ["-t", "people"]),
  ...more
]

const people = async (uid: string) =>
  (await fixture.client.execute(`SELECT id, "Name", age FROM ${keyspace}.people WHERE job = ?`, [uid], {
    prepare: true
  })).rows.map((row) => [row["id"], row["Name"], row["age"]])

const assertDone = (ended: Ended) => assert.strictEqual(ended.code, 0, ended.stderr)

const assertRefused = (ended: Ended, code: number, ...words: ReadonlyArray<RegExp>) => {
  assert.strictEqual(ended.code, code, ended.stderr)
  for (const word of words) assert.match(ended.stderr, word)
  assert.notMatch(ended.stderr, /^\s+at /m)
}

describe.concurrent("load --table", () => {
  it("makes the INSERT from the table, and prints it", async () => {
    const file = fixture.write("plain.ndjson", [
      `{"job":"plain","id":1,"Name":"a","age":30,"more":true}`,
      `{"job":"plain","id":2,"Name":null}`
    ])
    const ended = await run(load("plain", file))
    assertDone(ended)
    assert.match(
      ended.stderr,
      /^info +INSERT INTO cli_table_test\.people \(job, id, "Name", age\) VALUES \(\?, \?, \?, \?\)$/m
    )
    assert.match(ended.stderr, /^info +Fields that no column is filled from: more$/m)
    assert.deepStrictEqual(await people("plain"), [[1, "a", 30], [2, null, null]])
  })

  it("an absent field and a null leave the column as it is, unless asked", async () => {
    const before = fixture.write("before.ndjson", [1, 2, 3].map((id) => `{"job":"u","id":${id},"Name":"x","age":1}`))
    assertDone(await run(load("u1", before)))
    const after = fixture.write("after.ndjson", [`{"job":"u","id":1,"age":null}`, `{"job":"u","id":2,"Name":null}`])
    assertDone(await run(load("u2", after)))
    assert.deepStrictEqual(await people("u"), [[1, "x", 1], [2, "x", 1], [3, "x", 1]])
    assertDone(await run(load("u3", after, "--nulls=tombstone")))
    assert.deepStrictEqual(await people("u"), [[1, "x", null], [2, null, 1], [3, "x", 1]])
    assertRefused(await run(load("u4", after, "--missing=error")), 2, /line 1, column Name: .*no field 'Name'/)
  })

  it("texts that stand for a null are nulls, in CSV and NDJSON, and for verify", async () => {
    const before = fixture.write("texts0.ndjson", [1, 2, 3, 4].map((id) => `{"job":"n","id":${id},"Name":"x","age":1}`))
    assertDone(await run(load("n0", before)))
    const csv = fixture.write("texts.csv", ["job,id,Name,age", "n,1,NULL,5", "n,2,n/a,NULL", "n,3,null,7"])
    assertRefused(await run(load("n1", csv, "--nulls=tombstone")), 2, /line 3, column age: .*"NULL"/)
    const args = ["--nulls=tombstone", "--null-strings", "NULL,n/a"]
    assertDone(await run(load("n2", csv, ...args)))
    const lines = fixture.write("texts.ndjson", [`{"job":"n","id":4,"Name":"NULL"}`])
    assertDone(await run(load("n3", lines, ...args)))
    assert.deepStrictEqual(await people("n"), [[1, null, 5], [2, null, null], [3, "null", 7], [4, null, 1]])
    const verified = await run(["verify", csv, "-k", keyspace, "-t", "people", ...args, "--json"])
    assert.strictEqual(verified.code, 0, verified.stderr)
  })

  it("--timestamp-unit: numbers are seconds or microseconds, digit by digit, for verify and the dry run too", async () => {
    await fixture.client.execute(
      `CREATE TABLE ${keyspace}.moments (job text, id int, at timestamp, n bigint, PRIMARY KEY (job, id))`
    )
    const moments = async (job: string) =>
      (await fixture.client.execute(`SELECT at FROM ${keyspace}.moments WHERE job = ?`, [job], { prepare: true })).rows
        .map((row) => (row["at"] as Date | null)?.toISOString())
    const table = ["-t", "moments"]
    const seconds = fixture.write("seconds.csv", [
      "job,id,at,n",
      "s,1,1704103200,1704103200",
      "s,2,-0.5,7",
      "s,3,2024-01-01 10:00:00Z,",
      "s,4,,"
    ])
    assertDone(await run(load("seconds", seconds, ...table, "--timestamp-unit", "s")))
    assert.deepStrictEqual(await moments("s"), [
      "2024-01-01T10:00:00.000Z",
      "1969-12-31T23:59:59.500Z",
      "2024-01-01T10:00:00.000Z",
      undefined
    ])
    const verified = await run(["verify", seconds, "-k", keyspace, ...table, "--timestamp-unit=s"])
    assert.strictEqual(verified.code, 0, verified.stderr)
    assert.notStrictEqual((await run(["verify", seconds, "-k", keyspace, ...table])).code, 0)
    const micros = fixture.write("micros.ndjson", [
      `{"job":"us","id":1,"at":1704103200123000}`,
      `{"job":"us","id":2,"at":1704103200123456}`
    ])
    const words = /line 2, column at: 1704103200123456 us is no whole number of milliseconds/
    assertRefused(await run(load("micros", micros, ...table, "--timestamp-unit=us", "--dry-run")), 2, words)
    assertRefused(await run(load("micros", micros, ...table, "--timestamp-unit=us")), 2, words)
    fixture.write("micros.ndjson", [`{"job":"us","id":1,"at":1704103200123000}`])
    assertDone(await run(load("micros", micros, ...table, "--timestamp-unit=us")))
    assert.deepStrictEqual(await moments("us"), ["2024-01-01T10:00:00.123Z"])
    assertRefused(
      await run(load("both", seconds, ...table, "--timestamp-unit=s", "-m", "job=job, id=id, at=at, at=n")),
      64,
      /The field at fills a timestamp and something else/
    )
  })

  it("a first line that names no fields: what it may be", async () => {
    const semicolons = fixture.write("semicolons.csv", ["job;id;age", "semi;1;3"])
    assertRefused(await run(load("semi", semicolons)), 3, /one field: if ";" stands between.*--delimiter ";"$/m)
    assertDone(await run(load("semi", semicolons, "--delimiter", ";")))
    assert.deepStrictEqual(await people("semi"), [[1, null, 3]])
    const bare = fixture.write("bare.csv", ["bare,1,x,3", "bare,2,y,4"])
    assertRefused(await run(load("bare", bare)), 3, /does not look like names: .*--no-header$/m)
    assertDone(await run(load("bare", bare, "--no-header", "-m", "job, id, Name, age")))
    assert.deepStrictEqual(await people("bare"), [[1, "x", 3], [2, "y", 4]])
  })

  it("a mapping names fields, columns and the time to live", async () => {
    const file = fixture.write("mapped.csv", ["kind,Full name,n,days", "mapped,b,1,1000", "mapped,c,2,"])
    const mapping = "kind=job, \"Full name\"=Name, n=id, days=__ttl"
    const ended = await run(load("mapped", file, "-m", mapping))
    assertDone(ended)
    assert.deepStrictEqual(await people("mapped"), [[1, "b", null], [2, "c", null]])
    const { rows } = await fixture.client.execute(
      `SELECT TTL("Name") AS ttl FROM ${keyspace}.people WHERE job = 'mapped'`
    )
    assert.isAbove(rows[0]!["ttl"], 900)
    assert.isNull(rows[1]!["ttl"])
  })

  it("fields of CSV without a header are mapped by their numbers", async () => {
    const file = fixture.write("numbered.csv", ["x,7,numbered,\"q,r\"", "y,8,numbered,s"])
    assertRefused(await run(load("numbered", file, "--no-header")), 3, /fields are numbered.*"0=job, \.\.\."/)
    assertDone(await run(load("numbered", file, "--no-header", "-m", "2=job,1=id,3=Name")))
    assert.deepStrictEqual(await people("numbered"), [[7, "q,r", null], [8, "s", null]])
    // The file has grown: the same command goes on, and counts as before.
    fixture.write("numbered.csv", ["x,7,numbered,\"q,r\"", "y,8,numbered,s", "z,9,numbered,t"])
    assertDone(await run(load("numbered", file, "--no-header", "-m", "2=job,1=id,3=Name")))
    assert.strictEqual((await people("numbered")).length, 3)
  })

  it("what does not fit is refused before anything is written, with the nearest name", async () => {
    const file = fixture.write("bad.csv", ["job,ident,nam,age", "bad,1,x,3"])
    assertRefused(
      await run(load("bad", file)),
      3,
      /bad\.csv can't be loaded into cli_table_test\.people:\n- the key column id is filled from no field.*"ident=id|field=id/
    )
    assertRefused(
      await run(load("bad", file, "-m", "ident=id, nam=name, *=*")),
      3,
      /no column name \(did you mean Name\?\)/
    )
    assertRefused(await run(load("bad", file, "-m", "ident=id, mam=Name, *=*")), 3, /field mam.*did you mean nam\?/)
    assertRefused(
      await run(load("bad", file, "-t", `${keyspace}.poeple`)),
      3,
      /no table .*poeple \(did you mean people\?\)/
    )
    assertRefused(
      await run(load("bad", file, "-t", "cli_tabel_test.people")),
      3,
      /no keyspace cli_tabel_test \(did you/
    )
    // The session can't open in it.
    const elsewhere = load("bad", file).filter((arg) => arg !== "-k" && arg !== keyspace)
    assertRefused(
      await run([...elsewhere, "-k", "cli_tabel_test"]),
      3,
      /^error: At \S+ there is no keyspace cli_tabel_test \(did you mean cli_table_test\?\); there .*--keyspace/m
    )
    assert.deepStrictEqual(await people("bad"), [])
    // With what the messages say, it is loaded.
    assertDone(await run(load("bad", file, "-m", "ident=id, nam=Name, *=*")))
    assert.deepStrictEqual(await people("bad"), [[1, "x", 3]])
  })

  it("a field that was asked for and is in no record so far is a warning", async () => {
    const file = fixture.write("warned.ndjson", [`{"job":"warned","id":1,"name":"x"}`])
    const ended = await run(load("warned", file, "-m", "job=job, id=id, nmae=Name"))
    assertDone(ended)
    assert.match(ended.stderr, /^warn +the field nmae is in no record of .*\(did you mean name\?\)/m)
    const query = `INSERT INTO ${keyspace}.people (job, id, "Name") VALUES (?, ?, ?)`
    assert.match((await run(fixture.load("warned2", file, query))).stderr, /^warn +the field Name is in no record/m)
  })

  it("a non-frozen list is refused, and left out by the mapping", async () => {
    const file = fixture.write("lists.ndjson", [`{"job":"lists","id":1,"name":"x"}`])
    assertRefused(await run(load("lists", file, "-t", "items")), 3, /the list tags.*leave it out: --mapping "\*=-tags"/)
    assertDone(await run(load("lists", file, "-t", "items", "-m", "*=-tags")))
    assert.strictEqual((await fixture.rows("lists")).length, 1)
  })
})
