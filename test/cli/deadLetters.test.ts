import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import type { Fixture } from "./commandFixture.ts"
import { many, openFixture, run, startAndHold } from "./commandFixture.ts"
import { pendingState } from "./stateFixture.ts"

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture("cli_letters_test")
})
afterAll(() => fixture?.close())

interface Letter {
  readonly id: string
  readonly stage: string
  readonly error: { readonly tag: string; readonly message: string; readonly column: string | null }
  readonly position: { readonly input: string; readonly place: number; readonly unit?: string }
  readonly record?: { readonly [field: string]: unknown }
  readonly line?: string
  readonly bytes?: string
  readonly attempts: number
  readonly timestamp: number
  readonly job: string
  readonly uid: string
  readonly checkpoint: number
}

const lettersOf = (path: string): Array<Letter> =>
  Fs.readFileSync(path, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))

const places = (letters: ReadonlyArray<Letter>) =>
  letters.map(({ position }) => position.place).toSorted((a, b) => a - b)

/** A key of the partition that no server takes. */
const tooLongKey = "k".repeat(70_000)

const replayOf = (uid: string, file: string, ...more: ReadonlyArray<string>) => {
  const [, , ...rest] = fixture.load(`${uid}_replay`, file, undefined, ...more)
  return ["replay-dead-letters", file, ...rest]
}

describe.concurrent("effect-cassandra load with dead letters", () => {
  it("sets aside what can't be read, encoded or written, loads the rest, and replays what was mended", async () => {
    const uid = "mixed"
    const bad = fixture.lines(uid, 200)
    bad[10] = "{\"id\": 10,"
    bad[20] = "[1, 2]"
    bad[30] = fixture.line(uid, 30).replace("\"id\":30", "\"id\":\"thirty\"")
    bad[40] = fixture.line(uid, 40).replace("\"id\"", "\"ident\"")
    bad[50] = fixture.line(tooLongKey, 50)
    const file = fixture.path("mixed.ndjson")
    Fs.writeFileSync(file, [...bad.slice(0, 70), ""].join("\n"))
    Fs.appendFileSync(file, Buffer.from([0xff, 0xfe, 0x0a]))
    Fs.appendFileSync(file, [...bad.slice(71), ""].join("\n"))
    const letters = fixture.path("mixed.letters.ndjson")
    const args = fixture.load(uid, file, undefined, "--json", "--max-errors=10", `--dead-letters=${letters}`)
    const ended = await run(args)
    assert.strictEqual(ended.code, 1, ended.stderr)
    const summary = JSON.parse(ended.stdout)
    assert.strictEqual(summary.deadLetters, 6)
    const byStage = { read: 3, encode: 2, write: 1 }
    assert.deepStrictEqual(summary.deadLettersByStage, byStage)
    assert.match(ended.stderr, /^6 bad records were set aside.* By stage: read 3, encode 2, write 1\. Correct/m)
    assert.strictEqual(summary.rows, 200)
    assert.strictEqual(summary.committed, 194)
    assert.match(ended.stderr, /^finished: 200 rows read, 194 committed, 6 set aside, /m)
    assert.match(ended.stderr, /6 bad records were set aside, .*replay-dead-letters/)
    assert.strictEqual((await fixture.rows(uid)).length, 194)

    const found = lettersOf(letters)
    assert.deepStrictEqual(places(found), [11, 21, 31, 41, 51, 71])
    const at = (place: number) => found.find(({ position }) => position.place === place)!
    assert.strictEqual(at(11).line, bad[10])
    assert.strictEqual(at(11).stage, "read")
    assert.strictEqual(at(71).bytes, Buffer.from([0xff, 0xfe]).toString("base64"))
    assert.strictEqual(at(31).stage, "encode")
    assert.strictEqual(at(31).error.column, "id")
    assert.strictEqual(at(51).stage, "write")
    assert.strictEqual(at(51).error.tag, "InvalidQuery")
    assert.isAbove(at(51).attempts, 0)
    for (const { job, position, uid: of } of found) {
      assert.deepStrictEqual([job, of, position.input], ["cli", uid, file])
    }
    // Every digit, though no double has it.
    assert.include(Fs.readFileSync(letters, "utf8"), `"big":${9007199254740993n + 50n}`)

    const again = await run(args)
    assert.strictEqual(again.code, 0, again.stderr)
    assert.match(again.stderr, /nothing to do/)
    assert.match(again.stderr, /6 bad records were set aside/)
    assert.strictEqual(JSON.parse(again.stdout).deadLetters, 6)
    assert.deepStrictEqual(JSON.parse(again.stdout).deadLettersByStage, byStage)

    // One row is mended, but was written by somebody else meanwhile; another one is not mended.
    await fixture.client.execute(
      `INSERT INTO ${fixture.keyspace}.items (job, id, name) VALUES (?, 30, 'newer')`,
      [uid],
      { prepare: true }
    )
    const mended = Fs.readFileSync(letters, "utf8").split("\n").map((line) => {
      if (line.includes(`"place":11,`)) {
        return line.replace(/"line":"[^]*?","statement"/, `"record":${fixture.line(uid, 10)},"statement"`)
      }
      if (line.includes(`"place":21,`)) {
        return line.replace("\"line\":\"[1, 2]\"", `"line":${JSON.stringify(fixture.line(uid, 20))}`)
      }
      return line.replace("\"id\":\"thirty\"", "\"id\":30").replace("\"ident\":", "\"id\":")
        .replace(tooLongKey, uid)
    }).join("\n")
    const copy = fixture.path("mixed.mended.ndjson")
    // A letter that stands there twice, and one that a crash has cut off.
    Fs.writeFileSync(copy, `${mended.split("\n")[0]!.slice(0, 90)}\n${mended}${mended.split("\n")[2]}\n`)
    const still = fixture.path("mixed.still.ndjson")
    const replay = await run(replayOf(uid, copy, "--json", `--dead-letters=${still}`))
    assert.strictEqual(replay.code, 1, replay.stderr)
    assert.match(replay.stderr, /1 letter is still bad: see \S+still\S+\. By stage: read 1\. /)
    assert.strictEqual(JSON.parse(replay.stdout).committed, 5)
    assert.deepStrictEqual(places(lettersOf(still)), [71])
    assert.strictEqual(lettersOf(still)[0]!.position.input, file)
    const rows = await fixture.rows(uid)
    assert.strictEqual(rows.length, 199)
    for (const { big, id, name } of rows) {
      assert.strictEqual(name, id === 30 ? "newer" : `row ${id}`)
      assert.strictEqual(big, 9007199254740993n + BigInt(id))
    }
    const { rows: [written] } = await fixture.client.execute(
      `SELECT writetime(name) AS at FROM ${fixture.keyspace}.items WHERE job = ? AND id = 10`,
      [uid],
      { prepare: true }
    )
    assert.strictEqual(String(written!["at"]), String(at(11).timestamp))

    const now = await run([...replayOf(`${uid}_now`, copy, `--dead-letters=${still}.now`), "--timestamps=now"])
    assert.strictEqual(now.code, 1, now.stderr)
    assert.strictEqual((await fixture.rows(uid)).find(({ id }) => id === 30)!.name, "row 30")
  }, 240_000)

  it("replays the letters of one stage, and one that fails again is told by its line and its first place", async () => {
    const uid = "staged"
    const lines = fixture.lines(uid, 60)
    lines[10] = "{"
    lines[30] = lines[30]!.replace("\"id\":30", "\"id\":\"thirty\"")
    lines[40] = lines[40]!.replace("\"id\":40", "\"id\":\"forty\"")
    const file = fixture.write("staged.ndjson", lines)
    const letters = fixture.path("staged.letters.ndjson")
    const ended = await run(fixture.load(uid, file, undefined, "--max-errors=9", `--dead-letters=${letters}`))
    assert.strictEqual(ended.code, 1, ended.stderr)
    assert.deepStrictEqual(lettersOf(letters).map(({ position, stage }) => [position, stage]), [
      [{ input: file, place: 11, unit: "line" }, "read"],
      [{ input: file, place: 31, unit: "line" }, "encode"],
      [{ input: file, place: 41, unit: "line" }, "encode"]
    ])
    // As an earlier version has written it.
    const mended = Fs.readFileSync(letters, "utf8").replace("\"thirty\"", "30").replace(
      "\"place\":41,\"unit\":\"line\"",
      "\"place\":41"
    )
    const old = fixture.write("staged.mended.ndjson", mended.trimEnd().split("\n"))
    const replay = replayOf(uid, old, "--stage=encode", "--json", `--dead-letters=${letters}.still`)
    const failed = await run([...replay, "--on-bad-record=fail"].filter((arg) => !arg.startsWith("--dead-letters=")))
    assert.strictEqual(failed.code, 2, failed.stderr)
    assert.include(failed.stderr, `${old}, line 3 (of ${file}, record at 41), column id: `)
    const encoded = await run(replay)
    assert.strictEqual(encoded.code, 1, encoded.stderr)
    const { deadLetters, deadLettersByStage, rows } = JSON.parse(encoded.stdout)
    assert.deepStrictEqual([rows, deadLetters, deadLettersByStage], [2, 1, { read: 0, encode: 1, write: 0 }])
    assert.isTrue((await fixture.rows(uid)).some(({ id }) => id === 30))
    // The same job can't go on with others: what it has passed over would be left out.
    const others = await run(replay.filter((arg) => !arg.startsWith("--stage=")))
    assert.strictEqual(others.code, 3, others.stderr)
    assert.match(
      others.stderr,
      /begun with --stage encode, and now it is to be read with no --stage.* Give --stage encode again/
    )
    const unread = await run(replayOf(`${uid}_read`, old, "--stage=read", "--on-bad-record=fail"))
    assert.strictEqual(unread.code, 2, unread.stderr)
    assert.include(unread.stderr, `${old}, line 1 (of ${file}, line 11): `)
  }, 120_000)

  it("a CSV record of the wrong length is mended as a line", async () => {
    const uid = "comma"
    const file = fixture.path("comma.csv")
    Fs.writeFileSync(file, "job,id,name\ncomma,1,one\ncomma,2\n\"comma\",3,\"thr\"ee\ncomma,4,\"fo\nur\"\ncomma,x,5\n")
    const letters = fixture.path("comma.letters.ndjson")
    const query = `INSERT INTO ${fixture.keyspace}.items (job, id, name) VALUES (:job, :id, :name)`
    const ended = await run(
      fixture.load(uid, file, query, "--on-bad-record=dead-letter", `--dead-letters=${letters}`)
    )
    assert.strictEqual(ended.code, 1, ended.stderr)
    assert.deepStrictEqual(places(lettersOf(letters)), [3, 4, 7])
    Fs.writeFileSync(
      letters,
      Fs.readFileSync(letters, "utf8").replace("\"comma,2\"", "\"comma,2,two\"").replace("\\\"thr\\\"ee", "three")
        .replace("\"x\"", "\"5\"")
    )
    const replay = await run([
      "replay-dead-letters",
      letters,
      ...fixture.load("comma_replay", file, query).slice(2),
      `--dead-letters=${letters}.still`
    ])
    assert.strictEqual(replay.code, 0, replay.stderr)
    assert.isFalse(Fs.existsSync(`${letters}.still`))
    const { rows } = await fixture.client.execute(
      `SELECT id, name FROM ${fixture.keyspace}.items WHERE job = 'comma'`
    )
    assert.deepStrictEqual(rows.map((row) => `${row["id"]} ${row["name"]}`), [
      "1 one",
      "2 two",
      "3 three",
      "4 fo\nur",
      "5 5"
    ])
  })

  it("after SIGKILL there is one letter for each bad record, and no other", async () => {
    const uid = "killed"
    const lines = fixture.wideLines(uid, many).map((line, i) =>
      i % 400 === 7
        ? line.slice(0, 100)
        : i % 400 === 207
        ? line.replace(`"job":"${uid}"`, `"job":"${tooLongKey}"`)
        : line
    )
    const expected = lines.flatMap((_, i) => i % 400 === 7 || i % 400 === 207 ? [i + 1] : [])
    const file = fixture.write("killed.ndjson", lines)
    const letters = fixture.path("killed.letters.ndjson")
    const more = ["--max-errors=2%", `--dead-letters=${letters}`]
    for (let round = 0; round < 2; round++) {
      const { child } = await startAndHold(fixture, uid, file, ...more)
      child.kill("SIGKILL")
      await child.ended
    }
    const ended = await run(fixture.load(uid, file, undefined, "--json", ...more))
    assert.strictEqual(ended.code, 1, ended.stderr)
    assert.strictEqual(JSON.parse(ended.stdout).deadLetters, expected.length)
    const byId = new Map(lettersOf(letters).map((letter) => [letter.id, letter]))
    assert.deepStrictEqual(places([...byId.values()]), expected)
    assert.strictEqual((await fixture.rows(uid)).length, many - expected.length)
  }, 120_000)

  it("ends at the bound, over all runs, and goes on with a higher one", async () => {
    const uid = "bound"
    const lines = fixture.lines(uid, 1000).map((line, i) => i % 100 === 50 ? "oops" : line)
    const file = fixture.write("bound.ndjson", lines)
    const letters = fixture.path("bound.letters.ndjson")
    const args = (bound: string) =>
      fixture.load(uid, file, undefined, `--max-errors=${bound}`, `--dead-letters=${letters}`)
    for (let round = 0; round < 2; round++) {
      const ended = await run(args("4"))
      assert.strictEqual(ended.code, 2, ended.stderr)
      assert.match(
        ended.stderr,
        /5 of \d+ records are bad, and at most 4 may be\. The first: \S+bound\.ndjson, line 51: /
      )
      assert.include(ended.stderr, letters)
      assert.match(ended.stderr, /--max-errors/)
      assert.notMatch(ended.stderr, /^\s+at /m)
    }
    assert.strictEqual((await run(args("0.5%"))).code, 2)
    const ended = await run(args("2%"))
    assert.strictEqual(ended.code, 1, ended.stderr)
    assert.strictEqual((await fixture.rows(uid)).length, 990)
    assert.strictEqual(new Set(lettersOf(letters).map(({ id }) => id)).size, 10)
  })

  it.each(
    [
      [["--max-errors=0", "--on-bad-record=dead-letter"], /--max-errors 0 bears no bad record/],
      [["--max-errors=5", "--on-bad-record=fail"], /--on-bad-record fail ends at the first/],
      [["--dead-letters=x"], /add --on-bad-record dead-letter/],
      [["--max-errors=101%"], /from 0% to 100%/],
      [["--max-errors=5", "--dead-letters=usage.ndjson"], /usage\.ndjson, which is read/]
    ] as const
  )("%s is a mistake", async (more, words) => {
    fixture.write("usage.ndjson", [])
    const ended = await run(fixture.load("usage", "usage.ndjson", undefined, ...more), { cwd: fixture.directory })
    assert.strictEqual(ended.code, 64, ended.stderr)
    assert.match(ended.stderr, words)
  })

  it("a record that was set aside waits in the log as the rows do: it is shown, and written by the next load", async () => {
    const uid = "logged"
    const lines = fixture.lines(uid, 170)
    lines[5] = lines[5]!.replace("\"id\":5", "\"id\":\"five\"")
    const { directory, file } = await pendingState(fixture, uid, { lines })
    const exported = await run(["export", `--state=${directory}`, "--checkpoint=1"])
    assert.strictEqual(exported.code, 0, exported.stderr)
    const { deadLetter, place, record } = JSON.parse(exported.stdout.split("\n")[5]!)
    assert.strictEqual(place, 6)
    assert.strictEqual(deadLetter.column, "id")
    assert.strictEqual(record.id, "five")
    assert.include(exported.stdout, String(9007199254740993n + 5n))

    const failed = await run(fixture.load(uid, file))
    assert.strictEqual(failed.code, 3, failed.stderr)
    assert.match(failed.stderr, /dead letters of checkpoint 1, and there is nowhere to keep them/)
    const letters = fixture.path("logged.letters.ndjson")
    const ended = await run(fixture.load(uid, file, undefined, "--max-errors=1", `--dead-letters=${letters}`))
    assert.strictEqual(ended.code, 1, ended.stderr)
    assert.deepStrictEqual(places(lettersOf(letters)), [6])
    assert.strictEqual((await fixture.rows(uid)).length, 169)
  })

  it("a dry run shows all that would be set aside", async () => {
    const lines = fixture.lines("dry", 100)
    lines[10] = "{"
    lines[20] = lines[20]!.replace("\"id\":20", "\"id\":\"x\"")
    lines[30] = "[]"
    const ended = await run(
      fixture.load("dry", fixture.write("dry.ndjson", lines), undefined, "--dry-run", "--json", "--max-errors=5")
    )
    assert.strictEqual(ended.code, 2, ended.stderr)
    assert.deepInclude(JSON.parse(ended.stdout), { records: 100, refused: 3, isWhole: true })
    for (const place of [11, 21, 31]) assert.include(ended.stderr, `line ${place}`)
  })

  it("a row that is too large for the server is set aside whole", async () => {
    const { client, keyspace } = fixture
    await client.execute(`CREATE TABLE ${keyspace}.wide (id int PRIMARY KEY, many frozen<list<bigint>>)`)
    // Two characters in the file are twelve bytes in the row.
    const file = fixture.write(
      "wide.ndjson",
      [1, 2, 3].map((id) => `{"id":${id},"many":[${id === 2 ? "1,".repeat(2_000_000) : ""}9007199254740993]}`)
    )
    const letters = fixture.path("wide.letters.ndjson")
    const query = `INSERT INTO ${keyspace}.wide (id, many) VALUES (?, ?)`
    const ended = await run(
      fixture.load("wide", file, query, "--max-errors=1", `--dead-letters=${letters}`, "--send-retry=10 seconds")
    )
    assert.strictEqual(ended.code, 1, ended.stderr)
    const [letter] = lettersOf(letters)
    assert.strictEqual(letter!.position.place, 2)
    assert.strictEqual((letter!.record!["many"] as Array<unknown>).length, 2_000_001)
    const { rows } = await client.execute(`SELECT id FROM ${keyspace}.wide`)
    assert.strictEqual(rows.length, 2)
  }, 120_000)

  it("a table that is dropped is no fault of the rows", async () => {
    const uid = "dropped"
    const { client, keyspace } = fixture
    await client.execute(
      `CREATE TABLE ${keyspace}.gone (job text, id int, big bigint, name text, PRIMARY KEY (job, id))`
    )
    const query = `INSERT INTO ${keyspace}.gone (job, id, big, name) VALUES (?, ?, ?, ?)`
    const letters = fixture.path("dropped.letters.ndjson")
    const file = fixture.write("dropped.ndjson", fixture.lines(uid, 3000))
    const loading = run(fixture.load(
      uid,
      file,
      query,
      "--max-errors=none",
      `--dead-letters=${letters}`,
      "--max-rows-per-second=500",
      "--checkpoint-interval=500 millis"
    ))
    while (true) {
      const { rows } = await client.execute(`SELECT count(*) AS n FROM ${keyspace}.gone`)
      if (Number(rows[0]!["n"]) > 0) break
    }
    await client.execute(`DROP TABLE ${keyspace}.gone`)
    const ended = await loading
    assert.strictEqual(ended.code, 3, ended.stderr)
    assert.match(ended.stderr, /gone|unconfigured|does not know the prepared statement/)
    assert.isFalse(Fs.existsSync(letters))
  }, 120_000)
})
