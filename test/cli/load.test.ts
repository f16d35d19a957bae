import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import type { Ended, Fixture } from "./commandFixture.ts"
import { areAll, many, newestManifest, openFixture, run, server, startAndHold, until } from "./commandFixture.ts"

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture("cli_load_test")
})
afterAll(() => fixture?.close())

const keys = ["rows", "committed", "checkpoints", "replayedCheckpoints", "deadLetters", "seconds", "restarts", "jobId"]

const summaryOf = (ended: Ended) => {
  assert.strictEqual(ended.code, 0, ended.stderr)
  assert.match(ended.stdout, /^\{[^\n]*\}\n$/)
  return JSON.parse(ended.stdout) as { [key: string]: number | string }
}

const assertAllRows = async (uid: string, count: number) => {
  const rows = await fixture.rows(uid)
  assert.isTrue(areAll(rows, count), `${rows.length} rows`)
}

const assertNoStack = ({ stderr, stdout }: Ended) => assert.notMatch(stderr + stdout, /^\s+at /m)

describe.concurrent("effect-cassandra load", () => {
  it("loads a file, says what it did, and then that there is nothing to do", async () => {
    const args = fixture.load("happy", fixture.write("happy.ndjson", fixture.lines("happy", 3000)), undefined, "--json")
    const first = await run(args)
    const summary = summaryOf(first)
    assert.deepStrictEqual(Object.keys(summary).slice(0, 9), [...keys, "epoch"])
    assert.strictEqual(summary["rows"], 3000)
    assert.strictEqual(summary["committed"], 3000)
    assert.strictEqual(summary["jobId"], "cli")
    assert.strictEqual(summary["outcome"], "finished")
    assert.match(first.stderr, /finished: 3,000 rows read, 3,000 committed/)
    assertNoStack(first)
    // `big` is beyond 2^53: every digit must have come through.
    await assertAllRows("happy", 3000)

    const again = await run(args)
    assert.strictEqual(summaryOf(again)["outcome"], "nothing-to-do")
    assert.strictEqual(summaryOf(again)["rows"], 0)
    assert.match(again.stderr, /nothing to do/)
    assertNoStack(again)

    Fs.appendFileSync(fixture.path("happy.ndjson"), `${fixture.line("happy", 3000)}\n`)
    assert.strictEqual(summaryOf(await run(args))["rows"], 1)
    await assertAllRows("happy", 3001)
  })

  it("with another ledger than its state was made with it is refused, done or not; a new one can be accepted", async () => {
    const file = fixture.write("ledger.ndjson", fixture.lines("ledger", 300))
    const args = fixture.load("ledger", file)
    assert.strictEqual((await run(args)).code, 0)
    // Another cluster has none of it; neither has this one, when somebody has dropped it.
    await fixture.client.execute(`DELETE FROM ${fixture.keyspace}.checkpoints_cli WHERE sink_id = 'ledger'`)
    const refused = await run(args)
    assert.strictEqual(refused.code, 7, refused.stderr)
    assert.match(refused.stderr, /made with another ledger than cli_load_test\.checkpoints_cli at .* is now/)
    assert.match(refused.stderr, /after 300 records.*--contact-points.*--accept-new-ledger/)
    assertNoStack(refused)
    Fs.appendFileSync(file, `${fixture.line("ledger", 300)}\n`)
    assert.strictEqual((await run(args)).code, 7)
    const accepted = await run([...args, "--accept-new-ledger", "--json"])
    assert.strictEqual(summaryOf(accepted)["rows"], 1)
    assert.match(accepted.stderr, /is a new one.*goes on in it from checkpoint \d+, after 300 records/)
    assert.match((await run(args)).stderr, /nothing to do/)
    await assertAllRows("ledger", 301)
  })

  it("the same command resumes after SIGKILL", async () => {
    const file = fixture.write("killed.ndjson", fixture.wideLines("killed", many))
    for (let round = 1; round <= 2; round++) {
      const { child } = await startAndHold(fixture, "killed", file)
      child.kill("SIGKILL")
      assert.strictEqual((await child.ended).signal, "SIGKILL")
    }
    assert.isBelow((await fixture.rows("killed")).length, many)
    const { pending, records } = newestManifest(fixture.path("state-killed"))!
    assert.isAbove(records, 0)
    assert.isAbove(pending.length, 0)
    const ended = await run(fixture.load("killed", file, undefined, "--json"))
    const summary = summaryOf(ended)
    assert.match(ended.stderr, /Resuming from checkpoint \d+/)
    assert.strictEqual(summary["rows"], many - records)
    assert.isAbove(summary["replayedCheckpoints"] as number, 0)
    assert.strictEqual(summary["epoch"], 3)
    assertNoStack(ended)
    await assertAllRows("killed", many)
  })

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s ends with a last checkpoint, and resumes", async (signal) => {
    const uid = signal.toLowerCase()
    const file = fixture.write(`${uid}.ndjson`, fixture.wideLines(uid, many))
    const { child, release, state } = await startAndHold(fixture, uid, file, "--json")
    child.kill(signal)
    await until(child, "the signal", () => child.stderr().includes(`stopping: ${signal} was received`))
    release()
    const stopped = await child.ended
    assert.strictEqual(stopped.code, 4, stopped.stderr)
    assert.match(stopped.stderr, /Run the same command again to resume\.\n$/)
    assert.strictEqual(JSON.parse(stopped.stdout).outcome, "stopped")
    assertNoStack(stopped)
    // Everything that was checkpointed is committed, and nothing else is.
    const { finished, pending, records } = newestManifest(state)!
    assert.deepStrictEqual(pending, [])
    assert.isFalse(finished)
    assert.isBelow(records, many)
    await assertAllRows(uid, records)

    const ended = await run(fixture.load(uid, file, undefined, "--json"))
    assert.strictEqual(summaryOf(ended)["rows"], many - records)
    assert.strictEqual(summaryOf(ended)["replayedCheckpoints"], 0)
    await assertAllRows(uid, many)
  })

  it.each([
    { uid: "twice", more: [], second: true, why: /SIGINT was received again/ },
    { uid: "late", more: ["--stop-timeout=200 millis"], second: false, why: /not committed within 200ms/ }
  ])("a last checkpoint that does not come is not waited for: $uid", async ({ more, second, uid, why }) => {
    const file = fixture.write(`${uid}.ndjson`, fixture.wideLines(uid, many))
    const { child } = await startAndHold(fixture, uid, file, ...more)
    child.kill("SIGINT")
    await until(child, "the first signal", () => child.stderr().includes("stopping:"))
    const began = performance.now()
    if (second) child.kill("SIGINT")
    const ended = await child.ended
    assert.isBelow(performance.now() - began, 6000)
    assert.strictEqual(ended.code, 4, ended.stderr)
    assert.match(ended.stderr, why)
    assert.match(ended.stderr, /Run the same command again to resume\.\n$/)
    assertNoStack(ended)
    summaryOf(await run(fixture.load(uid, file, undefined, "--json")))
    await assertAllRows(uid, many)
  })

  it("loads CSV and TSV by extension; an empty field leaves the column as it is, or deletes it", async () => {
    const header = ["job", "id", "big", "name"]
    const records = [["csv", "0", "9007199254740993", "a,b"], ["csv", "1", "", "\"\""]]
    const csv = fixture.write("c.csv", [header.join(","), "csv,0,9007199254740993,\"a,b\"", "csv,1,,\"\""])
    summaryOf(await run(fixture.load("csv", csv, undefined, "--json")))
    assert.deepStrictEqual((await fixture.rows("csv")).map(({ big, id, name }) => [id, big, name]), [
      [0, 9007199254740993n, "a,b"],
      [1, null, ""]
    ])
    const tsv = fixture.write("t.tsv", [header, ...records].map((record) => record.join("\t").replace("csv", "tsv")))
    summaryOf(await run(fixture.load("tsv", tsv, undefined, "--json")))
    assert.deepStrictEqual((await fixture.rows("tsv")).map(({ name }) => name), ["a,b", ""])

    const next = fixture.write("next.txt", ["job;id;big;name", "csv;0;;", "csv;1;7;x"])
    const more = ["--json", "--format", "csv", "--delimiter", ";"]
    summaryOf(await run(fixture.load("csv2", next, undefined, ...more)))
    assert.strictEqual((await fixture.rows("csv"))[0]!.big, 9007199254740993n)
    summaryOf(await run(fixture.load("csv3", next, undefined, ...more, "--nulls", "tombstone")))
    assert.isNull((await fixture.rows("csv"))[0]!.big)
  })

  it("fills markers by name", async () => {
    const file = fixture.write("named.ndjson", [
      `{"n":"named","k":1,"label":"one"}`,
      `{"n":"named","k":2,"label":"two"}`
    ])
    const query = `UPDATE ${fixture.keyspace}.items SET name = :label WHERE job = :n AND id = :k`
    summaryOf(await run(fixture.load("named", file, query, "--json", "--parallelism", "2")))
    assert.deepStrictEqual((await fixture.rows("named")).map(({ id, name }) => [id, name]), [[1, "one"], [2, "two"]])
  })

  it("takes every class of flag from the environment", async () => {
    const file = fixture.write("env.ndjson", fixture.lines("env", 100))
    const ended = await run(["load", file], {
      cwd: fixture.directory,
      env: {
        CASSANDRA_CONTACT_POINTS: "127.0.0.1:1",
        CASSANDRA_LOCAL_DC: "elsewhere",
        EFFECT_CASSANDRA_CONTACT_POINTS: `${server.contactPoints}, ${server.contactPoints}`,
        EFFECT_CASSANDRA_LOCAL_DC: server.localDc,
        EFFECT_CASSANDRA_CHECKPOINT_CONTACT_POINTS: server.contactPoints,
        EFFECT_CASSANDRA_QUERY: "INSERT INTO items (job, id, big, name) VALUES (?, ?, ?, ?)",
        EFFECT_CASSANDRA_KEYSPACE: fixture.keyspace,
        EFFECT_CASSANDRA_CHECKPOINT_KEYSPACE: fixture.keyspace,
        EFFECT_CASSANDRA_JOB: "cli",
        EFFECT_CASSANDRA_UID: "env",
        EFFECT_CASSANDRA_PARALLELISM: "2",
        EFFECT_CASSANDRA_CHECKPOINT_INTERVAL: "1 second",
        EFFECT_CASSANDRA_RESTART: "fixed-delay",
        EFFECT_CASSANDRA_RESTART_ATTEMPTS: "1",
        EFFECT_CASSANDRA_CONSISTENCY: "local_one",
        EFFECT_CASSANDRA_LOG_LEVEL: "debug",
        EFFECT_CASSANDRA_JSON: "true"
      }
    })
    assert.strictEqual(summaryOf(ended)["uid"], "env")
    assert.match(ended.stderr, /^\d{4}-\d\d-\d\dT.* info /m)
    assert.isTrue(Fs.existsSync(fixture.path(".effect-cassandra/cli-env/job.json")))
    await assertAllRows("env", 100)
  })

  it("prints plain progress lines where there is no terminal", async () => {
    const file = fixture.write("plain.ndjson", fixture.lines("plain", 2000))
    const args = fixture.load("plain", file).map((arg) => arg.startsWith("--progress=") ? "--progress=auto" : arg)
    const ended = await run(args)
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.strictEqual(ended.stdout, "")
    assert.match(
      ended.stderr,
      /^rows 2,000 \(100%\) · logged 2,000 · committed 2,000 · [\d.]+k?\/s · checkpoint [1-9]\d* · lag 0/m
    )
    // eslint-disable-next-line no-control-regex
    assert.notMatch(ended.stderr, /[\r\u001b]/)
  })
})
