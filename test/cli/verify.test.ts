import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as DeadLetterTable from "../../src/sink/DeadLetterTable.ts"
import type { Ended, Fixture } from "./commandFixture.ts"
import { openFixture, run, server, start, until } from "./commandFixture.ts"
import { holdAfter } from "./heldServer.ts"

const keyspace = "cli_verify_test"
let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture(keyspace)
  const execute = (cql: string) => fixture.client.execute(cql)
  await execute(`CREATE TYPE ${keyspace}.point (x double, "Y" int)`)
  await execute(
    `CREATE TABLE ${keyspace}.wide (k text, c int, "S" text STATIC, a int, f float, d double, n decimal, v varint, t timestamp,
       u uuid, i inet, b blob, ts date, tm time, du duration, s set<text>, m map<int, text>, fl frozen<list<int>>,
       fs frozen<set<int>>, tu tuple<int, text>, p frozen<point>, up point, ve vector<float, 2>, PRIMARY KEY (k, c))`
  )
  for (const table of ["plain", "extra", "memory"]) {
    await execute(`CREATE TABLE ${keyspace}.${table} (id int PRIMARY KEY, a text, b text)`)
  }
})
afterAll(() => fixture?.close())

const input = (file: string, table: string, ...more: ReadonlyArray<string>) => [
  file,
  `--keyspace=${keyspace}`,
  `--table=${table}`,
  ...more
]

const load = async (uid: string, file: string, table: string, ...more: ReadonlyArray<string>) => {
  const [verb, , ...rest] = fixture.load(uid, file).filter((arg) => !arg.startsWith("--query="))
  const ended = await run([verb!, ...input(file, table, ...more), ...rest])
  assert.strictEqual(ended.code, 0, ended.stderr)
}

const verify = (file: string, table: string, ...more: ReadonlyArray<string>) =>
  run(["verify", ...input(file, table, "--json", ...more)])

interface Found {
  readonly [name: string]: number | boolean | null
}

const same = (ended: Ended): Found => {
  assert.strictEqual(ended.code, 0, ended.stderr + ended.stdout)
  const found = JSON.parse(ended.stdout)
  assert.isTrue(found.isSame)
  return found
}

const differs = (ended: Ended): Found => {
  assert.strictEqual(ended.code, 1, ended.stderr + ended.stdout)
  assert.notMatch(ended.stderr, /^\s+at /m)
  const found = JSON.parse(ended.stdout)
  assert.isFalse(found.isSame)
  return found
}

describe.concurrent("effect-cassandra verify", () => {
  it("is refused for records that bring timestamps of their own, which load takes", async () => {
    const file = fixture.write("stamped.ndjson", [
      `{"id":1,"a":"new","at":1700000000000002}`,
      `{"id":1,"a":"old","at":1700000000000001}`
    ])
    const query = `INSERT INTO ${keyspace}.stamped (id, a) VALUES (:id, :a) USING TIMESTAMP :at`
    await fixture.client.execute(`CREATE TABLE ${keyspace}.stamped (id int PRIMARY KEY, a text)`)
    const ended = await run(fixture.load("stamped", file, query))
    assert.strictEqual(ended.code, 0, ended.stderr)
    const { rows } = await fixture.client.execute(`SELECT a, WRITETIME(a) AS at FROM ${keyspace}.stamped`)
    assert.deepStrictEqual([rows[0]!["a"], rows[0]!["at"]], ["new", 1_700_000_000_000_002n])
    const refused = await run(["verify", file, `--query=${query}`])
    assert.strictEqual(refused.code, 3)
    assert.match(refused.stderr, /write timestamps of their own/)
    assert.notMatch(refused.stderr, /^\s+at /m)
    const bare = fixture.write("bare-stamp.ndjson", [`{"id":2,"a":"x","at":null}`])
    const missing = await run(fixture.load("bare-stamp", bare, query))
    assert.strictEqual(missing.code, 2, missing.stderr)
    assert.match(
      missing.stderr,
      /bare-stamp\.ndjson, line 1, column at: it is the row's write timestamp and has no value/
    )
  })

  it("every type, updates of parts of a row, static columns, nulls", async () => {
    const uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    const file = fixture.write("wide.ndjson", [
      `{"k":"x","c":1,"S":"first","a":1,"f":0.1,"d":-0.0,"n":"1.20","v":123456789012345678901234567890,"s":["b","a","b"]}`,
      `{"k":"x","c":2,"S":"second","t":"2020-01-02T03:04:05.678Z","u":"${uuid}","i":"::1","b":"0xff00","ts":"2020-01-02"}`,
      `{"k":"x","c":1,"a":2,"m":{"2":"b","1":"a"},"fl":[3,1,3],"fs":[3,1,3],"tu":[1,"x"],"p":{"x":1.5,"Y":2},"ve":[1,0.5]}`,
      `{"k":"y","c":1,"tm":"13:30:54.234","du":"1y2mo3d","up":{"x":1,"Y":null},"f":"NaN","d":"Infinity","s":[],"a":null}`,
      `{"k":"y","c":2}`
    ])
    await load("wide", file, "wide", "--parallelism=2")
    const found = same(await verify(file, "wide", "--exact"))
    assert.strictEqual(found["records"], 5)
    assert.strictEqual(found["rows"], 4)
    assert.strictEqual(found["unknown"], 0)
    assert.isAbove(found["timed"] as number, 15)
    // A null that was to delete did not.
    await fixture.client.execute(`UPDATE ${keyspace}.wide USING TIMESTAMP 1 SET a = 5 WHERE k = 'y' AND c = 1`)
    same(await verify(file, "wide"))
    const nulls = await verify(file, "wide", "--nulls=tombstone")
    assert.strictEqual(differs(nulls)["different"], 1)
    assert.match(nulls.stderr, /wide\.ndjson, line 4: column a of the row k y, c 1: it has nothing, the table 5$/m)
    await fixture.client.execute(`UPDATE ${keyspace}.wide SET s = s + {'z'}, m[1] = 'q' WHERE k = 'x' AND c = 1`)
    const changed = await verify(file, "wide")
    assert.strictEqual(differs(changed)["different"], 2)
    assert.match(
      changed.stderr,
      /line 1: column s of the row k x, c 1: it has \["b","a"\], the table \["a","b","z"\]/
    )
  })

  it("what is missing, other, more, or written by somebody else is told with its place", async () => {
    const lines = Array.from({ length: 40 }, (_, i) => `{"id":${i % 30},"a":"a${i}","b":"b"}`)
    const file = fixture.write("plain.ndjson", lines)
    await load("plain", file, "plain")
    const first = same(await verify(file, "plain", "--exact"))
    assert.deepStrictEqual([first["records"], first["rows"], first["cells"], first["timed"]], [40, 30, 60, 60])
    const execute = (cql: string) => fixture.client.execute(cql)
    await execute(`DELETE FROM ${keyspace}.plain WHERE id = 20`)
    await execute(`UPDATE ${keyspace}.plain SET a = 'x' WHERE id = 3`)
    // The same value, written by somebody else.
    await execute(`UPDATE ${keyspace}.plain SET b = 'b' WHERE id = 25`)
    await execute(`INSERT INTO ${keyspace}.plain (id, a) VALUES (99, 'more')`)
    const ended = await verify(file, "plain", "--exact")
    const found = differs(ended)
    assert.deepStrictEqual(
      [found["missing"], found["different"], found["unordered"], found["unknown"]],
      [1, 1, 1, 1],
      ended.stderr
    )
    assert.match(ended.stderr, /plain\.ndjson, line 21: its row is not in the table$/m)
    assert.match(ended.stderr, /plain\.ndjson, line 34: column a of the row id 3: it has a33, the table x$/m)
    assert.match(ended.stderr, /plain\.ndjson, line 26: its cells have different write times \(\d+ and \d+\)/m)
    assert.match(ended.stderr, /^the partition id 99 is in the table, and no record makes a row of it$/m)
    assert.isNull(differs(await verify(file, "plain"))["unknown"])
    const text = await run(["verify", ...input(file, "plain")])
    assert.match(text.stdout, /^missing rows +1$/m)
    assert.match(text.stdout, /^not in the files +not looked for \(--exact\)$/m)
  })

  it("values that JavaScript has no value for, in columns, keys and collections", async () => {
    await fixture.client.execute(
      `CREATE TABLE ${keyspace}.odd (k timestamp, c timestamp, t timestamp, l frozen<list<timestamp>>, m map<timestamp, int>,
         s set<double>, ld frozen<list<double>>, ve vector<float, 2>, PRIMARY KEY (k, c))`
    )
    const file = fixture.write("odd.ndjson", [
      `{"k":8640000000000001,"c":-9223372036854775808,"t":9223372036854775807,"l":[8640000000000001,0],` +
      `"m":{"-8640000000000001":1,"0":2},"s":[-0.0,"NaN"],"ld":["NaN","-Infinity",-0.0],"ve":["NaN",1]}`,
      `{"k":0,"c":8640000000000000,"t":"2020-01-02T03:04:05.678Z","s":[0,-0.0]}`
    ])
    await load("odd", file, "odd")
    same(await verify(file, "odd", "--exact"))
    await fixture.client.execute(
      `UPDATE ${keyspace}.odd SET t = 8640000000000002, l = [8640000000000002, 0] WHERE k = 8640000000000001 ` +
        `AND c = -9223372036854775808`
    )
    const ended = await verify(file, "odd")
    assert.strictEqual(differs(ended)["different"], 2)
    assert.match(
      ended.stderr,
      /column t of the row k 8640000000000001, c -9223372036854775808: it has 9223372036854775807, the table 8640000000000002/
    )
  })

  it("what was set aside is neither missing nor wrong, and a bad record that was not is told and left out", async () => {
    await fixture.client.execute(
      `CREATE TABLE ${keyspace}.aside (k text, id int, a text, b int, PRIMARY KEY (k, id))`
    )
    const lines = Array.from({ length: 60 }, (_, i) => `{"k":"x","id":${i % 50},"a":"a${i}","b":${i}}`)
    lines[10] = `{"k":"x",`
    lines[20] = `{"k":"x","id":20,"a":"a20","b":"twenty"}`
    // No server takes these two keys.
    lines[30] = `{"k":"${"k".repeat(70_000)}","id":30}`
    lines[32] = `{"k":"","id":32}`
    lines[53] = `{"k":"x","id":3,"a":"new","b":"none"}`
    const file = fixture.write("aside.ndjson", lines)
    const letters = fixture.path("aside.letters.ndjson")
    const loaded = await run([
      ...fixture.load("aside", file, undefined, "--max-errors=10").filter((arg) => !arg.startsWith("--query=")),
      `--dead-letters=${letters}`,
      `--table=${keyspace}.aside`
    ])
    assert.strictEqual(loaded.code, 1, loaded.stderr)

    const found = same(await verify(file, "aside", "--exact", `--dead-letters=${letters}`))
    assert.deepInclude(found, { records: 60, setAside: 5, leftOut: 0, rows: 46, missing: 0, unknown: 0 })
    const ofJob = [`--dead-letters=${letters}`, "--job=cli", "--uid=aside"]
    assert.deepStrictEqual(same(await verify(file, "aside", "--exact", ...ofJob, "--memory-bytes=4000")), found)
    const text = await run(["verify", ...input(file, "aside"), `--dead-letters=${letters}`])
    assert.match(text.stdout, /^set aside +5\nleft out +0$/m)

    const without = await verify(file, "aside")
    assert.deepInclude(differs(without), { records: 60, setAside: 0, leftOut: 3, missing: 2, different: 0 })
    assert.match(without.stderr, /aside\.ndjson, line 11: .*JSON.* \(left out\)$/m)
    assert.match(without.stderr, /aside\.ndjson, line 21, column b: .* \(left out\)$/m)
    for (const place of [31, 33]) {
      assert.match(without.stderr, new RegExp(`aside\\.ndjson, line ${place}: its row is not in the table$`, "m"))
    }
    // Those of another sink are none of this one's, and a file that is not there has none.
    const other = await verify(file, "aside", `--dead-letters=${letters}`, "--job=cli", "--uid=other")
    assert.deepInclude(differs(other), { setAside: 0, leftOut: 3 })
    const nowhere = await verify(file, "aside", `--dead-letters=${letters}.none`)
    assert.deepInclude(differs(nowhere), { setAside: 0, leftOut: 3 })
    assert.match(nowhere.stderr, /There is no file \S+none: no record is known to be set aside/)

    // A record with a letter that is in the table all the same, as after a replay, and one that is not.
    await fixture.client.execute(`DELETE FROM ${keyspace}.aside WHERE k = 'x' AND id = 40`)
    assert.deepInclude(differs(await verify(file, "aside", `--dead-letters=${letters}`)), { setAside: 5, missing: 1 })
    const first = Fs.readFileSync(letters, "utf8").split("\n")[0]!
    const more = [41, 60].map((place) => first.replace(/"place":\d+/, `"place":${place}`))
    const replayed = fixture.write("aside.more.ndjson", [Fs.readFileSync(letters, "utf8").trimEnd(), ...more])
    assert.deepInclude(same(await verify(file, "aside", "--exact", `--dead-letters=${replayed}`)), {
      setAside: 7,
      rows: 45
    })
    // Neither the earlier record nor the one that was set aside.
    await fixture.client.execute(`UPDATE ${keyspace}.aside SET a = 'z' WHERE k = 'x' AND id = 9`)
    assert.deepInclude(differs(await verify(file, "aside", `--dead-letters=${replayed}`)), { different: 1 })
    const elsewhere = fixture.write("elsewhere.ndjson", [lines[0]!])
    const warned = await verify(elsewhere, "aside", `--dead-letters=${letters}`)
    assert.match(warned.stderr, /5 of 5 dead letters are of no record of these files/)
  })

  it("dead letters in a table", async () => {
    const { client } = fixture
    await client.execute(`CREATE TABLE ${keyspace}.tabled (id int PRIMARY KEY, a text)`)
    await client.execute(DeadLetterTable.ddl({ keyspace })[1])
    const file = fixture.write("tabled.ndjson", [`{"id":1,"a":"x"}`, `{"id":"two"}`, `{"id":3}`])
    await client.execute(
      `INSERT INTO ${keyspace}.dead_letters (job_id, uid, id, input, place) VALUES ('cli', 'tabled', 'l', ?, 2)`,
      [file],
      { prepare: true }
    )
    for (const id of [1, 3]) {
      const at = `USING TIMESTAMP ${1_700_000_000_000_000 + id}`
      await client.execute(`INSERT INTO ${keyspace}.tabled (id, a) VALUES (${id}, 'x') ${at}`)
    }
    const where = `--dead-letters-keyspace=${keyspace}`
    const found = same(await verify(file, "tabled", where, "--job=cli", "--uid=tabled"))
    assert.deepInclude(found, { records: 3, setAside: 1, leftOut: 0, rows: 2 })
    const usage = await verify(file, "tabled", where)
    assert.strictEqual(usage.code, 64, usage.stderr)
    assert.match(usage.stderr, /add --job/)
    const nowhere = await verify(file, "tabled", "--dead-letters-keyspace=system_auth", "--job=cli")
    assert.strictEqual(nowhere.code, 3, nowhere.stderr)
    assert.match(nowhere.stderr, /there is no table system_auth\.dead_letters/)
  })

  it("a record that was loaded out of order", async () => {
    const [a, b] = [`{"job":"order","id":1,"name":"a"}`, `{"job":"order","id":2,"name":"b"}`]
    const file = fixture.write("order.ndjson", [a, b])
    const reversed = fixture.write("reversed.ndjson", [b, a])
    await load("order", file, "items", "-m", "*=-tags")
    same(await verify(file, "items", "-m", "*=-tags"))
    const ended = await verify(reversed, "items", "-m", "*=-tags")
    assert.strictEqual(differs(ended)["unordered"], 1)
    assert.match(
      ended.stderr,
      /reversed\.ndjson, line 2: its write time \d+ is not after that of an earlier record/
    )
  })

  it("in parts, with little memory", async () => {
    const lines = Array.from({ length: 3000 }, (_, i) => `{"id":${i % 2000},"a":"a${i}","b":"b"}`)
    const file = fixture.write("memory.ndjson", lines)
    await load("memory", file, "memory")
    const whole = same(await verify(file, "memory", "--exact"))
    const inParts = same(await verify(file, "memory", "--exact", "--memory-bytes=100000"))
    assert.deepStrictEqual(inParts, whole)
    await fixture.client.execute(`DELETE FROM ${keyspace}.memory WHERE id = 7`)
    await fixture.client.execute(`INSERT INTO ${keyspace}.memory (id) VALUES (-1)`)
    const found = differs(await verify(file, "memory", "--exact", "--memory-bytes=100000"))
    assert.deepStrictEqual([found["missing"], found["unknown"], found["different"]], [1, 1, 0])
  })

  it("ends at the first signal", async () => {
    const file = fixture.write("signal.ndjson", [`{"id":1}`])
    const door = await holdAfter(1, server.contactPoints)
    const args = ["verify", ...input(file, "plain")]
    const child = await start(args, { env: { ...door.env, CASSANDRA_CONNECT_TIMEOUT: "50 seconds" } })
    void child.ended.then(door.close)
    await until(child, "the server is held", door.isHeld)
    child.kill("SIGINT")
    const ended = await child.ended
    assert.strictEqual(ended.code, 4, ended.stderr)
    assert.match(ended.stderr, /stopped: SIGINT was received/)
  })

  it("a statement whose cells can't be told is refused, and one of one's own is compared", async () => {
    const file = fixture.write("own.ndjson", [`{"who":"own","id":1,"name":"x"}`])
    const update = `--query=UPDATE ${keyspace}.items SET name = :name WHERE job = :who AND id = :id`
    const own = (verb: string, ...more: ReadonlyArray<string>) => run([verb, file, ...more])
    const before = await own("verify", update, "--json")
    assert.strictEqual(differs(before)["missing"], 1)
    const loaded = await run([...fixture.load("own", file).filter((arg) => !arg.startsWith("--query=")), update])
    assert.strictEqual(loaded.code, 0, loaded.stderr)
    same(await own("verify", update, "--json"))
    const refused = await own("verify", `--query=DELETE FROM ${keyspace}.items WHERE job = :who AND id = :id`)
    assert.strictEqual(refused.code, 3, refused.stderr)
    assert.match(refused.stderr, /can't be verified: only INSERT, and UPDATE/)
  })
})
