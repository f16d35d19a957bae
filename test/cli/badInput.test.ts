import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import type { Ended, Fixture, RunOptions } from "./commandFixture.ts"
import { areAll, many, newestManifest, openFixture, run, start, startAndHold, until } from "./commandFixture.ts"

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture("cli_bad_test")
})
afterAll(() => fixture?.close())

const count = 200

/** One way to get it wrong. What is not said is right. */
interface BadInput {
  readonly name: string
  readonly code: number
  readonly words: ReadonlyArray<RegExp>
  /** Whether the last line says that the same command resumes. */
  readonly resumes: boolean
  /** What the file holds; without it, all lines as they should be. */
  readonly lines?: (right: ReadonlyArray<string>, line: (id: number) => string) => ReadonlyArray<string>
  readonly query?: (keyspace: string) => string
  readonly more?: ReadonlyArray<string>
  readonly options?: RunOptions
  /** Runs to its end with the right file first. */
  readonly afterRun?: boolean
  /** How many rows there are in the end. */
  readonly rowsAtEnd?: number
}

const replaceLine = (id: number, text: string) => (right: ReadonlyArray<string>) => right.with(id, text)

const refusedStatements: ReadonlyArray<BadInput> = ([
  ["unknown column", (ks) => `INSERT INTO ${ks}.items (job, id, nope) VALUES (?, ?, ?)`, [/nope/]],
  ["unknown table", (ks) => `INSERT INTO ${ks}.itmes (job, id) VALUES (?, ?)`, [/there is no table \S+\.itmes/]],
  ["unknown keyspace", () => "INSERT INTO nowhere.items (job, id) VALUES (?, ?)", [/there is no table nowhere\.items/]],
  ["syntax error", (ks) => `INSERT INTO ${ks}.items (job, id VALUES (?, ?)`, [/INSERT INTO/]],
  ["SELECT", (ks) => `SELECT * FROM ${ks}.items WHERE job = ?`, [/SELECT/]],
  ["counter", (ks) => `UPDATE ${ks}.hits SET n = n + ? WHERE id = ?`, [/counter/i]],
  ["now()", (ks) => `INSERT INTO ${ks}.items (job, id, name) VALUES (?, ?, now())`, [/now\(\)/]],
  ["IF NOT EXISTS", (ks) => `INSERT INTO ${ks}.items (job, id) VALUES (?, ?) IF NOT EXISTS`, [/IF NOT EXISTS/]],
  ["list append", (ks) => `UPDATE ${ks}.items SET tags = tags + ? WHERE job = ? AND id = ?`, [/list/i]],
  ["no marker", (ks) => `INSERT INTO ${ks}.items (job, id) VALUES ('a', 1)`, [/marker/]]
] satisfies ReadonlyArray<[string, (keyspace: string) => string, ReadonlyArray<RegExp>]>).map(
  ([name, query, words]) => ({ name, query, words, code: 3, resumes: false })
)

const cases: ReadonlyArray<BadInput> = [
  {
    name: "malformed line",
    lines: replaceLine(150, "{\"id\": 150,"),
    code: 2,
    words: [/line 151 /, /byte \d+/, /not JSON/],
    resumes: true
  },
  {
    name: "not UTF-8",
    lines: (right) => right.with(7, "{\"id\": \"\u001b[31m\"}"),
    code: 2,
    words: [/line 8 .*not valid UTF-8.*another encoding.*--encoding latin1/],
    resumes: true
  },
  {
    name: "wrong type",
    lines: (right) => right.with(150, right[150]!.replace(/"id":150/, "\"id\":\"abc\"")),
    code: 2,
    words: [/line 151/, /column id/, /abc/],
    resumes: true
  },
  {
    name: "missing field",
    more: ["--missing=error"],
    lines: (right) => right.with(150, right[150]!.replace("\"name\"", "\"title\"")),
    code: 2,
    words: [/line 151/, /no field 'name'/, /title/],
    resumes: true
  },
  {
    name: "missing key field",
    lines: (right) => right.with(150, right[150]!.replace("\"id\"", "\"ident\"")),
    code: 2,
    words: [/line 151/, /no field 'id'/, /ident/],
    resumes: true
  },
  ...refusedStatements,
  {
    name: "dead host",
    options: { env: { CASSANDRA_CONTACT_POINTS: "127.0.0.1:1" } },
    code: 3,
    words: [/127\.0\.0\.1:1\b/, /--contact-points/],
    resumes: true
  },
  {
    name: "wrong data centre",
    more: ["--local-dc=atlantis"],
    code: 3,
    words: [/atlantis/, /--local-dc/],
    resumes: false
  },
  { name: "file not found", more: [], lines: () => [], code: 3, words: [/no such file/], resumes: false },
  {
    name: "input replaced",
    afterRun: true,
    lines: (right, line) => [...right.map((text) => text.replace("row", "ROW")), line(count)],
    code: 3,
    words: [/cannot resume/, /Put the input back/],
    resumes: true,
    rowsAtEnd: count + 1
  },
  {
    name: "input cut",
    afterRun: true,
    lines: (right) => right.slice(0, 100),
    code: 3,
    words: [/was cut/, /Put the input back/],
    resumes: true,
    rowsAtEnd: count + 1
  }
]

const assertEnd = (ended: Ended, bad: Pick<BadInput, "code" | "words" | "resumes">) => {
  assert.strictEqual(ended.code, bad.code, ended.stderr)
  for (const word of bad.words) assert.match(ended.stderr, word)
  assert.match(ended.stderr, /^error: /m)
  assert.strictEqual(/run the same command again to resume\.\n$/i.test(ended.stderr), bad.resumes, ended.stderr)
  assert.strictEqual(ended.stdout, "")
  assert.notMatch(ended.stderr, /^\s+at /m)
  // eslint-disable-next-line no-control-regex
  assert.notMatch(ended.stderr, /\u001b/)
}

const assertComplete = async (uid: string, args: ReadonlyArray<string>, rows: number) => {
  const ended = await run(args)
  assert.strictEqual(ended.code, 0, ended.stderr)
  const found = await fixture.rows(uid)
  assert.isTrue(areAll(found, rows), `${found.length} rows`)
}

describe.concurrent("bad input", () => {
  it.each(cases)("$name", async (bad) => {
    const uid = bad.name.replace(/\W+/g, "_")
    const name = `${uid}.ndjson`
    const right = fixture.lines(uid, count)
    const args = fixture.load(uid, fixture.path(name))
    let expected = right
    if (bad.afterRun === true) {
      fixture.write(name, right)
      assert.strictEqual((await run(args)).code, 0)
      expected = fixture.lines(uid, count + 1)
    }
    if (bad.name !== "file not found") {
      fixture.write(name, bad.lines === undefined ? right : bad.lines(right, (id) => fixture.line(uid, id)))
      if (bad.name === "not UTF-8") {
        const bytes = Fs.readFileSync(fixture.path(name))
        bytes[bytes.indexOf("\u001b") - 1] = 0xff
        Fs.writeFileSync(fixture.path(name), bytes)
      }
    }
    const badArgs = fixture.load(uid, fixture.path(name), bad.query?.(fixture.keyspace), ...bad.more ?? [])
    assertEnd(await run(badArgs, bad.options), bad)
    fixture.write(name, expected)
    await assertComplete(uid, args, bad.rowsAtEnd ?? count)
  })

  it("a full disk", async () => {
    const uid = "full"
    const args = fixture.load(uid, fixture.write("full.ndjson", fixture.lines(uid, 5000)))
    assertEnd(await run(args, { fileBlocksMax: 100 }), {
      code: 3,
      words: [/Could not write \S+\.wal/, /EFBIG|ENOSPC/],
      resumes: true
    })
    await assertComplete(uid, args, 5000)
  })

  it("a state directory of another job", async () => {
    const file = fixture.write("owner.ndjson", fixture.lines("owner", count))
    assert.strictEqual((await run(fixture.load("owner", file))).code, 0)
    const other = fixture.write("other.ndjson", fixture.lines("other", count))
    const words = [/belongs to job 'cli' \(uid 'owner'\)/, /--state/]
    const args = fixture.load("other", other)
    const wrong = args.map((arg) => arg.startsWith("--state=") ? `--state=${fixture.path("state-owner")}` : arg)
    assertEnd(await run(wrong), { code: 7, words, resumes: false })
    await assertComplete("other", args, count)
  })

  it("a state directory that can't be written", async () => {
    const file = fixture.write("unwritable.ndjson", fixture.lines("unwritable", count))
    const args = fixture.load("unwritable", file)
    // In /proc, names are refused even to root, and in a way that Node's recursive mkdir never returns from.
    for (const state of [`${file}/state`, "/dev/null/state", "/proc/effect-cassandra/state"]) {
      const wrong = args.map((arg) => arg.startsWith("--state=") ? `--state=${state}` : arg)
      assertEnd(await run(wrong), { code: 3, words: [/Could not (?:create|look at) \S+/], resumes: true })
    }
    await assertComplete("unwritable", args, count)
  })

  it("a full disk, with restarts, and a signal while the next one is waited for", async () => {
    const uid = "refilled"
    const args = fixture.load(uid, fixture.write("refilled.ndjson", fixture.lines(uid, 5000)))
    const patient = args.map((arg) => arg === "--restart=none" ? "--restart=fixed-delay" : arg)
    const child = await start([...patient, "--restart-delay=1 second"], { fileBlocksMax: 100 })
    await until(child, "a failure", () => child.stderr().includes("starts again in 1s: Could not write"))
    child.kill("SIGINT")
    const ended = await child.ended
    assert.strictEqual(ended.code, 4, ended.stderr)
    assert.match(ended.stderr, /^stopped: 0 rows read.*\nRun the same command again to resume\.\n$/m)
    await assertComplete(uid, args, 5000)
  })

  it("a second process on the same job", async () => {
    const file = fixture.write("busy.ndjson", fixture.wideLines("busy", many))
    const { child } = await startAndHold(fixture, "busy", file)
    const second = await run(fixture.load("busy", file))
    assertEnd(second, { code: 6, words: [/in use by process \d+/, /Only one process/], resumes: false })
    child.kill("SIGKILL")
    await child.ended
    await assertComplete("busy", fixture.load("busy", file), many)
  })

  it("a process that another one takes the job from", async () => {
    const file = fixture.write("fenced.ndjson", fixture.wideLines("fenced", many))
    const { child, release } = await startAndHold(fixture, "fenced", file)
    await assertComplete("fenced", fixture.load("fenced", file, undefined, "--take-over"), many)
    release()
    assertEnd(await child.ended, { code: 6, words: [/superseded/], resumes: false })
    assert.isTrue(areAll(await fixture.rows("fenced"), many))
  })

  it("a flipped bit in a sealed segment", async () => {
    const file = fixture.write("flipped.ndjson", fixture.wideLines("flipped", many))
    const args = fixture.load("flipped", file)
    const { child, state } = await startAndHold(fixture, "flipped", file)
    child.kill("SIGKILL")
    await child.ended
    const segment = `${state}/segments/${newestManifest(state)!.pending.at(-1)!.name}`
    const bytes = Fs.readFileSync(segment)
    const middle = bytes.length >> 1
    bytes[middle]! ^= 0x10
    Fs.writeFileSync(segment, bytes)
    for (let i = 0; i < 2; i++) {
      assertEnd(await run(args), { code: 7, words: [/\.wal of checkpoint \d+ is corrupt at byte \d+/], resumes: false })
    }
    bytes[middle]! ^= 0x10
    Fs.writeFileSync(segment, bytes)
    await assertComplete("flipped", args, many)
  })

  it("another statement while rows of the first one wait", async () => {
    const file = fixture.write("changed.ndjson", fixture.wideLines("changed", many))
    const { child } = await startAndHold(fixture, "changed", file)
    child.kill("SIGKILL")
    await child.ended
    const query = `INSERT INTO ${fixture.keyspace}.items (job, id, name) VALUES (?, ?, ?)`
    const ended = await run(fixture.load("changed", file, query))
    assertEnd(ended, { code: 7, words: [/another statement/, /logged: INSERT/], resumes: false })
    await assertComplete("changed", fixture.load("changed", file), many)
  })
})
