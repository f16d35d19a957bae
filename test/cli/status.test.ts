import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import type { Ended, Fixture } from "./commandFixture.ts"
import { areAll, bin, many, newestManifest, openFixture, run, start, startAndHold, until } from "./commandFixture.ts"
import { contentsOf, flip, pendingState } from "./stateFixture.ts"

const keyspace = "cli_status_test"
let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture(keyspace)
})
afterAll(() => fixture?.close())

const offline = { env: { CASSANDRA_CONTACT_POINTS: "" } }
const status = (state: string, ...more: ReadonlyArray<string>) => [
  "status",
  `--state=${state}`,
  `--checkpoint-keyspace=${keyspace}`,
  ...more
]

const jsonOf = (ended: Ended, code: number) => {
  assert.strictEqual(ended.code, code, ended.stderr + ended.stdout)
  assert.strictEqual(ended.stderr, "")
  return JSON.parse(ended.stdout)
}

/** The lock that counts, as `change` makes it. */
const changeLock = (state: string, change: (lock: any) => void): void => {
  const newest = Fs.readdirSync(state).filter((name) => name.startsWith("lock.")).toSorted((a, b) =>
    Number(a.slice(5)) - Number(b.slice(5))
  ).at(-1)!
  const lock = JSON.parse(Fs.readFileSync(`${state}/${newest}`, "utf8"))
  change(lock)
  Fs.writeFileSync(`${state}/${newest}`, JSON.stringify(lock))
}

// One after another: several hold a command while they run others, and only three may run at once.
describe("effect-cassandra status", () => {
  it("of a job that is running, that was killed, that is on another machine, and that is done", async () => {
    const file = fixture.write("life.ndjson", fixture.wideLines("life", many))
    const { child, state } = await startAndHold(fixture, "life", file)
    const running = jsonOf(await run(status(state, "--json")), 0)
    assert.deepStrictEqual(
      [running.standing, running.isWell, running.troubles, running.failures, running.deadLetters],
      ["running", true, [], [], null]
    )
    assert.deepStrictEqual([running.owner.pid, running.owner.host], [child.pid, Os.hostname()])
    const newest = newestManifest(state)!
    assert.strictEqual(running.checkpoint.checkpointId, newest.checkpointId)
    assert.strictEqual(running.checkpoint.records, newest.records)
    assert.isAbove(running.pendingRows, 0)
    assert.isAbove(running.pendingBytes, 4000 * running.pendingRows)
    assert.isAtLeast(running.pendingCheckpoints, 1)
    assert.isBelow(running.oldestPendingAt, Date.now())
    assert.deepStrictEqual([running.ledger.epoch, running.ledger.takenOverBy], [1, null])
    const text = await run(status(state))
    assert.strictEqual(text.code, 0, text.stdout)
    assert.match(text.stdout, new RegExp(`^now +running: process ${child.pid} on ${Os.hostname()} since \\S+Z$`, "m"))
    assert.match(text.stdout, /^checkpoint +\d+, completed \d+ s ago, [\d,]+ records read$/m)
    assert.match(text.stdout, /^pending +\d+ checkpoints?, [\d,]+ rows, .* the oldest logged \d+ s ago$/m)
    assert.match(text.stdout, /^ledger +\S+checkpoints_cli at .*: epoch 1, published up to checkpoint \d+$/m)
    assert.notMatch(text.stdout, /ATTENTION/)
    // It runs, and is not well: nothing has come to an end for longer than is said to be right.
    const stale = jsonOf(await run(status(state, "--json", "--checkpoint-age-max=1 millis")), 1)
    assert.match(stale.troubles[0], /^no checkpoint has completed for \d+ s \(--checkpoint-age-max is 1ms\)$/)

    child.kill("SIGKILL")
    await child.ended
    const before = contentsOf(state)
    const killed = await run(status(state), offline)
    assert.strictEqual(killed.code, 1)
    assert.match(killed.stdout, /^now +killed: process \d+ on \S+ since \S+, which is gone$/m)
    assert.match(killed.stdout, /^ATTENTION +killed: .*The same load goes on$/m)
    assert.strictEqual(jsonOf(await run(status(state, "--json")), 1).standing, "killed")
    assert.deepStrictEqual(contentsOf(state), before, "looking changes nothing")

    changeLock(state, (lock) => {
      lock.host = "loader-7"
    })
    const elsewhere = jsonOf(await run(status(state, "--json", "--checkpoint-age-max=1 hour")), 0)
    assert.deepStrictEqual([elsewhere.standing, elsewhere.owner.host, elsewhere.owner.isAlive], [
      "elsewhere",
      "loader-7",
      null
    ])
    const silent = await run(status(state, "--checkpoint-age-max=1 millis"))
    assert.strictEqual(silent.code, 1)
    assert.match(silent.stdout, /^now +elsewhere: process \d+ on loader-7 since \S+, which can't be seen from here$/m)
    assert.match(silent.stdout, /^ATTENTION .* whether its process lives can't be seen from here$/m)

    assert.strictEqual((await run(fixture.load("life", file))).code, 0)
    const done = jsonOf(await run(status(state, "--json", "--checkpoint-age-max=1 millis")), 0)
    assert.deepStrictEqual([done.standing, done.pendingRows, done.pendingCheckpoints, done.oldestPendingAt], [
      "finished",
      0,
      0,
      null
    ])
    assert.isTrue(areAll(await fixture.rows("life"), many))
  })

  it("of one that was stopped, and what it set aside", async () => {
    const lines = ["{\"job\":\"stopped\",\"id\":\"none\"}", ...fixture.lines("stopped", 3000)]
    const args = fixture.load("stopped", fixture.write("stopped.ndjson", lines), undefined, "--max-errors=5")
    const child = await start([...args, "--max-rows-per-second=500", "--checkpoint-interval=300 millis"])
    const state = fixture.path("state-stopped")
    await until(child, "a checkpoint", () => (newestManifest(state)?.records ?? 0) > 0)
    child.kill("SIGTERM")
    assert.strictEqual((await child.ended).code, 4)
    const stopped = jsonOf(await run(status(state, "--json")), 1)
    assert.strictEqual(stopped.standing, "stopped")
    const letters = `${state}.dead-letters.ndjson`
    assert.deepStrictEqual(stopped.deadLetters, { path: letters, count: 1 })
    // What can't be counted is told, and hides nothing else.
    Fs.renameSync(letters, `${letters}.away`)
    Fs.mkdirSync(letters)
    const uncounted = jsonOf(await run(status(state, "--json")), 1)
    assert.deepStrictEqual(uncounted.deadLetters, { path: letters, count: null })
    assert.include(uncounted.troubles[0], `could not be counted: ${letters}: cannot be read: it is a Directory`)
    assert.strictEqual(uncounted.standing, stopped.standing)
    Fs.rmdirSync(letters)
    Fs.renameSync(`${letters}.away`, letters)
    const text = await run(status(state, `--dead-letters=${state}.dead-letters.ndjson`))
    assert.match(text.stdout, /^set aside +1 record, in \S+state-stopped\.dead-letters\.ndjson$/m)
    assert.match(text.stdout, /^ATTENTION +stopped before it was done\. The same load goes on$/m)
  })

  it("of a job that fails and starts again: the failures are kept, with cause and attempt", async () => {
    const uid = "restarting"
    const file = fixture.write("restarting.ndjson", fixture.lines(uid, 5000))
    const state = fixture.path(`state-${uid}`)
    const load = (delay: string) =>
      fixture.load(uid, file, undefined, "--restart=fixed-delay", "--restart-attempts=1", `--restart-delay=${delay}`)
    const first = await start(load("1 hour"), { fileBlocksMax: 100 })
    await until(first, "a failure", () => first.stderr().includes("starts again in 1h: Could not write"))
    await until(first, "it is kept", () => Fs.existsSync(`${state}/failures.ndjson`))
    const waiting = jsonOf(await run(status(state, "--json")), 1)
    assert.strictEqual(waiting.standing, "restarting")
    assert.match(waiting.troubles[0], /^its last run failed: StateIoError: Could not write /)
    first.kill("SIGKILL")
    await first.ended
    assert.strictEqual(jsonOf(await run(status(state, "--json")), 1).standing, "killed")

    const second = await start(load("100 millis"), { fileBlocksMax: 100 })
    assert.strictEqual((await second.ended).code, 3)
    const failed = jsonOf(await run(status(state, "--json")), 1)
    assert.strictEqual(failed.standing, "failed")
    const told = failed.failures.map(({ attempt, epoch, error, pid, restartsInMillis }: any) => ({
      attempt,
      epoch,
      error,
      pid,
      restartsInMillis
    }))
    assert.deepStrictEqual(told, [
      { attempt: 2, epoch: 3, error: "StateIoError", pid: second.pid, restartsInMillis: null },
      { attempt: 1, epoch: 2, error: "StateIoError", pid: second.pid, restartsInMillis: 100 },
      { attempt: 1, epoch: 1, error: "StateIoError", pid: first.pid, restartsInMillis: 3_600_000 }
    ])
    const text = await run(status(state))
    assert.match(text.stdout, /^ATTENTION +failed: StateIoError: Could not write .*once that is corrected$/m)
    assert.match(text.stdout, /^FAILED +EPOCH +ATTEMPT +THEN +WHY$/m)
    assert.match(text.stdout, /^\d+ s ago +3 +2 +the end +StateIoError: Could not write \S+/m)
    assert.match(text.stdout, / ago +1 +1 +again in 1h +StateIoError: Could not write \S+/m)
    // They stay, and are no trouble once the job has gone on.
    assert.strictEqual((await run(load("1 second"))).code, 0)
    const done = jsonOf(await run(status(state, "--json")), 0)
    assert.deepStrictEqual([done.standing, done.failures.length], ["finished", 3])
  })

  it("of a process that another one took the job from: its failure says nothing of the other", async () => {
    const file = fixture.write("fenced.ndjson", fixture.wideLines("fenced", many))
    const { child, release } = await startAndHold(fixture, "fenced", file)
    assert.strictEqual((await run(fixture.load("fenced", file, undefined, "--take-over"))).code, 0)
    release()
    assert.strictEqual((await child.ended).code, 6)
    const after = jsonOf(await run(status(fixture.path("state-fenced"), "--json")), 0)
    assert.deepStrictEqual([after.standing, after.failures[0].error], ["finished", "Fenced"])
  })

  it("of a damaged manifest, of no state, and of a ledger that does not answer", async () => {
    const { directory } = await pendingState(fixture, "damaged", { retained: 2 })
    flip(`${directory}/checkpoints/e1-c3.manifest`, 40)
    const damaged = await run(status(directory))
    assert.strictEqual(damaged.code, 7)
    assert.match(damaged.stdout, /^ATTENTION +damaged: 1 place, first \S+e1-c3\.manifest: .*inspect --verify/m)
    assert.match(damaged.stdout, /^checkpoint +2, /m)
    const json = jsonOf(await run(status(directory, "--json")), 7)
    assert.strictEqual(json.damage[0].checkpointId, 3)

    const empty = fixture.path("empty")
    Fs.mkdirSync(empty)
    for (const nowhere of [empty, fixture.path("nowhere")]) {
      const none = await run(status(nowhere, "--json"))
      assert.strictEqual(none.code, 3)
      assert.match(none.stderr, /^error: There is no state of a job in \S+: it has no job\.json\. Give the directory/)
      assert.strictEqual(none.stdout, "")
    }
    assert.deepStrictEqual(Fs.readdirSync(empty), [])
    const unnamed = await run(["status"])
    assert.strictEqual(unnamed.code, 64)

    const { directory: other } = await pendingState(fixture, "away", { checkpoints: 1 })
    const away = await run(status(other), { env: { CASSANDRA_CONTACT_POINTS: "127.0.0.1:1" } })
    assert.strictEqual(away.code, 3)
    assert.match(away.stdout, /^checkpoint +1, /m)
    assert.match(away.stdout, /^ATTENTION +the ledger could not be read: /m)
  })

  it("of a state that the job has not gone on with", async () => {
    const { directory } = await pendingState(fixture, "left", { checkpoints: 1 })
    const elsewhere = "UPDATE " +
      `${keyspace}.checkpoints_cli SET checkpoint_id = 4 WHERE sink_id = 'left' AND sub_id = -5`
    await fixture.client.execute(`${elsewhere} IF checkpoint_id = 1`)
    assert.strictEqual(jsonOf(await run(status(directory, "--json"), offline), 1).standing, "stopped")
    const left = await run(status(directory))
    assert.strictEqual(left.code, 7)
    assert.match(left.stdout, /^ATTENTION +left behind: The state in \S+ is not the newest of job 'cli'/m)
  })

  it("of one that another job has taken over, done or not: who has it, and no advice to go on", async () => {
    const lines = fixture.lines("taken", 120)
    const { directory, file } = await pendingState(fixture, "taken", { checkpoints: 2, lines })
    const restore = async (state: string, job: string) => {
      const to = fixture.path(`savepoints-${job}`)
      const savepoint = await run(["savepoint", `--state=${state}`, `--to=${to}`], offline)
      assert.strictEqual(savepoint.code, 0, savepoint.stderr)
      const args = fixture.load("taken", file, undefined, `--from-savepoint=${savepoint.stdout.trim()}`)
        .map((arg) => arg.startsWith("--job=") ? `--job=${job}` : arg)
        .map((arg) => arg.startsWith("--state=") ? `--state=${fixture.path(`state-${job}`)}` : arg)
      const ended = await run(args)
      assert.strictEqual(ended.code, 0, ended.stderr)
      return args
    }
    assert.strictEqual(jsonOf(await run(status(directory, "--json")), 1).ledger.takenOverBy, null)
    const args = await restore(directory, "cli_taken")
    const text = await run(status(directory))
    assert.strictEqual(text.code, 7, text.stderr)
    assert.match(text.stdout, /^ledger .*, taken over by job cli_taken \(uid taken\)$/m)
    assert.match(
      text.stdout,
      /^ATTENTION +taken over: job cli_taken \(uid taken\) has gone on from a savepoint of this one$/m
    )
    assert.match(text.stdout, /^ATTENTION +stopped before it was done$/m)
    assert.notInclude(text.stdout, "The same load goes on")
    const json = jsonOf(await run(status(directory, "--json")), 7)
    assert.deepStrictEqual(json.ledger.takenOverBy, {
      jobId: "cli_taken",
      uid: "taken",
      records: json.checkpoint.records
    })
    assert.deepStrictEqual([json.standing, json.isWell], ["stopped", false])
    // From the directory alone nobody knows.
    assert.match((await run(status(directory), offline)).stdout, /stopped before it was done\. The same load goes on$/m)

    const second = fixture.path("state-cli_taken")
    assert.deepStrictEqual(jsonOf(await run(status(second, "--json")), 0).troubles, [])
    await restore(second, "cli_taken_again")
    const done = jsonOf(await run(status(second, "--json")), 7)
    assert.strictEqual(done.standing, "finished")
    assert.match(done.troubles[0], /^taken over: job cli_taken_again /)
    // So says its load, which else would have nothing to do.
    const again = await run(args)
    assert.strictEqual(again.code, 7, again.stderr)
    assert.match(again.stderr, /Job 'cli_taken' \(uid 'taken'\) was taken over by job 'cli_taken_again'/)
    assert.notInclude(again.stderr, "nothing to do")
  })

  it("of a load that ended before it had begun: why is kept, unless it says nothing of the job", async () => {
    const file = fixture.write("early.ndjson", fixture.lines("early", 50))
    const state = fixture.path("state-early")
    const kept = async () =>
      (Fs.existsSync(state) ? jsonOf(await run(status(state, "--json"), offline), 1).failures : [])
        .map(({ attempt, epoch, error, restartsInMillis }: any) => [error, attempt, epoch, restartsInMillis])
    // A name that is wrong leaves nothing behind.
    assert.strictEqual((await run(fixture.load("early", `${file}.none`))).code, 3)
    assert.isFalse(Fs.existsSync(state))
    const away = await run(fixture.load("early", file), { env: { CASSANDRA_CONTACT_POINTS: "127.0.0.1:1" } })
    assert.strictEqual(away.code, 3, away.stderr)
    const noHost = ["CassandraError", 0, null, null]
    assert.deepStrictEqual(await kept(), [noHost])
    const failed = await run(status(state), offline)
    assert.match(failed.stdout, /^now +failed$/m)
    assert.match(failed.stdout, /^ATTENTION +failed: CassandraError: .*127\.0\.0\.1:1.*once that is corrected$/m)
    assert.match(failed.stdout, /^\d+ s ago +- +0 +the end +CassandraError: /m)
    const refused = await run(fixture.load("early", file, `INSERT INTO ${keyspace}.nowhere (id) VALUES (?)`))
    assert.strictEqual(refused.code, 3, refused.stderr)
    const statement = ["StatementRefused", 0, null, null]
    assert.deepStrictEqual(await kept(), [statement, noHost])
    assert.strictEqual((await run(fixture.load("early", `${file}.none`))).code, 3)
    const all = [["SourceError", 0, null, null], statement, noHost]
    assert.deepStrictEqual(await kept(), all)
    assert.strictEqual((await run(fixture.load("early", file, undefined, "--interval=no"))).code, 64)
    assert.deepStrictEqual(await kept(), all)

    // A second process is refused: that is no failure of the one that works.
    const wide = fixture.write("early-held.ndjson", fixture.wideLines("early_held", many))
    const held = await startAndHold(fixture, "early_held", wide)
    assert.strictEqual((await run(fixture.load("early_held", wide))).code, 6)
    assert.strictEqual((await run(fixture.load("early_held", `${wide}.none`))).code, 3)
    assert.isFalse(Fs.existsSync(`${held.state}/failures.ndjson`))
    held.child.kill("SIGKILL")
    await held.child.ended

    assert.strictEqual((await run(fixture.load("early", file))).code, 0)
    const done = jsonOf(await run(status(state, "--json")), 0)
    assert.deepStrictEqual([done.standing, done.failures.length], ["finished", 3])
  })

  it("--watch on a terminal: each look in place of the last one, until Ctrl-C", async (context) => {
    if (!Fs.existsSync("/usr/bin/script")) return context.skip("needs `script` of util-linux to have a terminal")
    const { directory } = await pendingState(fixture, "screen", { checkpoints: 1 })
    const watchIn = async (term: string) => {
      const words = [process.execPath, bin, ...status(directory, "--watch", "--every=50 millis")]
      // In place of the shell, which would die of the key with a code of its own.
      const command = `exec ${words.map((word) => `'${word}'`).join(" ")}`
      const child = spawn("/usr/bin/script", ["-qec", command, "/dev/null"], {
        env: { PATH: process.env["PATH"], TERM: term },
        stdio: ["pipe", "pipe", "inherit"]
      })
      context.onTestFinished(() => void child.kill())
      let shown = ""
      // The key, as a terminal sends it.
      let isPressed = false
      const ended = new Promise<number | null>((resolve) => child.on("close", resolve))
      child.stdout.on("data", (chunk) => {
        shown += chunk
        if (isPressed || (shown.match(/job +cli /g) ?? []).length < 3) return
        isPressed = true
        child.stdin.end("\u0003")
      })
      return { code: await ended, shown: shown.replaceAll("\r\n", "\n") }
    }
    const screen = await watchIn("xterm")
    assert.strictEqual(screen.code, 1, screen.shown)
    const looks = screen.shown.split("\u001b[H\u001b[J")
    assert.isAbove(looks.length, 3)
    assert.strictEqual(looks[0], "", "nothing stands there before the first one")
    for (const look of looks.slice(1)) assert.match(look, /^job +cli \(uid screen\)\n[^]*\nATTENTION +stopped before/)
    const dumb = await watchIn("dumb")
    assert.strictEqual(dumb.code, 1)
    assert.notInclude(dumb.shown, "\u001b")
    assert.match(dumb.shown, /^\d{4}-\S+Z\njob /m)
  })

  it("--watch looks again until a signal, or until nobody reads", async () => {
    const { directory } = await pendingState(fixture, "watched", { checkpoints: 1 })
    const before = contentsOf(directory)
    const child = await start(status(directory, "--watch", "--every=50 millis", "--json"))
    await until(child, "three looks", () => child.stdout().split("\n").length > 3)
    child.kill("SIGINT")
    const ended = await child.ended
    assert.strictEqual(ended.code, 1, "that of the last look")
    assert.strictEqual(ended.stderr, "")
    const times = ended.stdout.trimEnd().split("\n").map((line) => JSON.parse(line).at)
    assert.deepStrictEqual(times, times.toSorted((a, b) => a - b))
    assert.isAbove(new Set(times).size, 2)

    const blocks = await start(status(directory, "--watch", "--every=50 millis"), offline)
    await until(blocks, "two looks", () => (blocks.stdout().match(/^job /gm) ?? []).length > 1)
    blocks.kill("SIGTERM")
    const { stdout } = await blocks.ended
    assert.match(stdout, /^\d{4}-\S+Z\njob +cli \(uid watched\)\n/)
    assert.notInclude(stdout, "\u001b")

    const unread = await run(status(directory, "--watch", "--every=50 millis"), { ...offline, isUnread: true })
    assert.strictEqual(unread.code, 1)
    assert.deepStrictEqual(contentsOf(directory), before)
  })
})

describe("effect-cassandra jobs", () => {
  it("jobs: lists all under a directory, and what can't be read", async () => {
    const root = fixture.path("jobs")
    const { directory, records } = await pendingState(fixture, "listed", { checkpoints: 2 })
    Fs.cpSync(directory, `${root}/here/listed`, { recursive: true })
    const done = fixture.load("listed_done", fixture.write("done.ndjson", fixture.lines("listed_done", 30)))
      .map((arg) => arg.startsWith("--state=") ? `--state=${root}/done` : arg)
    assert.strictEqual((await run(done)).code, 0)
    const savepoints = `${root}/savepoints`
    Fs.mkdirSync(savepoints)
    assert.strictEqual((await run(["savepoint", `--state=${directory}`, `--to=${savepoints}`], offline)).code, 0)
    Fs.mkdirSync(`${root}/nothing/here`, { recursive: true })
    Fs.writeFileSync(`${root}/a file`, "")
    Fs.symlinkSync(root, `${root}/loop`)

    const jobs = ["jobs", `--state=${root}/`]
    const before = contentsOf(root)
    const listed = jsonOf(await run([...jobs, "--json"], offline), 0)
    const told = (all: ReadonlyArray<any>) =>
      all.map(({ directory, pendingRows, standing, uid }) => [
        directory.slice(root.length).replace(/savepoint-.*/, "*"),
        uid,
        standing,
        pendingRows
      ])
    assert.deepStrictEqual(told(listed), [
      ["/done", "listed_done", "finished", 0],
      ["/here/listed", "listed", "stopped", records],
      ["/savepoints/*", "listed", "savepoint", records]
    ])
    const text = await run(jobs, offline)
    assert.strictEqual(text.code, 0)
    assert.match(text.stdout, /^JOB +UID +NOW +CHECKPOINT +AGE +RECORDS +PENDING ROWS +BYTES +STATE\n/)
    assert.match(text.stdout, /^cli +listed_done +finished +\d+ +\d+ s +30 +0 +0 +\S+\/done$/m)
    assert.match(text.stdout, /^cli +listed +stopped +2 +\d+ s +80 +80 +[\d,]+ +\S+here\/listed$/m)
    assert.deepStrictEqual(contentsOf(root), before)
    // One of them is as good as where they are.
    assert.deepStrictEqual(
      told(jsonOf(await run(["jobs", `--state=${root}/done`, "--json"], offline), 0)),
      [["/done", "listed_done", "finished", 0]]
    )

    Fs.writeFileSync(`${root}/done/job.json`, "{}")
    flip(`${root}/here/listed/checkpoints/e1-c2.manifest`, 40)
    const damaged = await run(jobs, offline)
    assert.strictEqual(damaged.code, 7)
    assert.match(damaged.stdout, /^- +- +NOT READABLE +.*\/done$/m)
    assert.match(damaged.stdout, /^cli +listed +stopped, DAMAGED +.*here\/listed$/m)
    assert.match(damaged.stdout, /^cli +listed +savepoint +/m)
    assert.match(damaged.stderr, /done\/job\.json/)
    assert.match(damaged.stderr, /e1-c2\.manifest/)
  })

  it("jobs: of an empty directory, of none, and of the one that load makes", async () => {
    const empty = fixture.path("no jobs")
    Fs.mkdirSync(empty)
    const none = await run(["jobs", `--state=${empty}`])
    assert.deepStrictEqual([none.code, none.stdout, none.stderr], [0, "", `no jobs in ${empty}\n`])
    assert.deepStrictEqual(jsonOf(await run(["jobs", `--state=${empty}`, "--json"]), 0), [])
    const nowhere = await run(["jobs"], { cwd: empty })
    assert.strictEqual(nowhere.code, 3)
    assert.match(nowhere.stderr, /^error: \.effect-cassandra is not there: give with --state the directory/)
    const args = fixture.load("default", fixture.write("default.ndjson", fixture.lines("default", 3)))
      .filter((arg) => !arg.startsWith("--state="))
    assert.strictEqual((await run(args, { cwd: empty })).code, 0)
    const [job] = jsonOf(await run(["jobs", "--json"], { cwd: empty }), 0)
    assert.deepStrictEqual([job.directory, job.standing], [".effect-cassandra/cli-default", "finished"])
  })
})
