import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import type { Ended, Fixture } from "./commandFixture.ts"
import { many, openFixture, run, startAndHold } from "./commandFixture.ts"
import { blocksOf, contentsOf, flip, pendingState, segmentPath } from "./stateFixture.ts"

const keyspace = "cli_inspect_test"
let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture(keyspace)
})
afterAll(() => fixture?.close())

const offline = { env: { CASSANDRA_CONTACT_POINTS: "" } }
const inspect = (state: string, ...more: ReadonlyArray<string>) => [
  "inspect",
  `--state=${state}`,
  `--checkpoint-keyspace=${keyspace}`,
  ...more
]

const jsonOf = (ended: Ended, code = 0) => {
  assert.strictEqual(ended.code, code, ended.stderr + ended.stdout)
  assert.notMatch(ended.stderr, /^\s+at /m)
  return JSON.parse(ended.stdout)
}

describe.concurrent("effect-cassandra inspect", () => {
  it("is read by somebody who stops reading, as export and every help", async () => {
    const { directory } = await pendingState(fixture, "unread", { blocks: 100 })
    for (
      const args of [
        inspect(directory),
        inspect(directory, "--json"),
        ["export", `--state=${directory}`, "--checkpoint=1"],
        ["load", "--help"]
      ]
    ) {
      const { code, stderr } = await run(args, { ...offline, isUnread: true })
      assert.strictEqual(code, 0, args.join(" "))
      assert.match(stderr, /^(?:exported: [\d,]+ of 1,000 rows\n)?$/)
    }
  })

  it("tells checkpoints, segments and position offline, and with the ledger what is committed", async () => {
    const { directory, pending, records } = await pendingState(fixture, "told", { parallelism: 2 })
    await fixture.client.execute(
      `INSERT INTO ${keyspace}.checkpoints_cli (sink_id, sub_id, checkpoint_id) VALUES ('told', 1, 2) IF NOT EXISTS`
    )
    const before = contentsOf(directory)
    const alone = jsonOf(await run(inspect(directory, "--json", "--verify"), offline))
    assert.deepStrictEqual([alone.jobId, alone.uid, alone.ledger, alone.owner], ["cli", "told", null, null])
    assert.deepStrictEqual(alone.statements, [fixture.insert])
    const [newest] = alone.checkpoints
    assert.deepStrictEqual([newest.checkpointId, newest.epoch, newest.records], [3, 1, records])
    assert.strictEqual(newest.position.line, records)
    assert.deepStrictEqual(alone.segments.map((segment: { name: string }) => segment.name), pending.map((h) => h.name))
    for (const { bytes, isCommitted, isThere, isWhole, name } of alone.segments) {
      assert.deepStrictEqual([isThere, isWhole, isCommitted], [true, true, null])
      assert.strictEqual(Fs.statSync(segmentPath(directory, { name })).size, bytes)
    }
    assert.strictEqual(alone.pendingRows, records)

    const asked = jsonOf(await run(inspect(directory, "--json")))
    assert.deepStrictEqual(asked.ledger.committed, { 1: 2 })
    assert.deepStrictEqual([asked.ledger.epoch, asked.ledger.publishedCheckpointId], [1, 3])
    assert.deepStrictEqual(
      asked.segments.map((segment: { isCommitted: boolean }) => segment.isCommitted),
      [false, true, false, true, false, false]
    )
    assert.strictEqual(asked.pendingRows, records / 6 * 4)

    const { code, stdout } = await run(inspect(directory, "--verify"))
    assert.strictEqual(code, 0)
    assert.match(stdout, /^state +\S+state-told, held by no process$/m)
    assert.match(stdout, /^pending +160 rows, .* in 4 segments, the oldest logged \d+ s ago$/m)
    assert.match(stdout, /^e1-a0-s0-n0\.wal +1 +0 +40 +[\d,]+ +\S+Z +pending, whole$/m)
    assert.match(stdout, /^e1-a0-s1-n0\.wal +1 +1 +40 +[\d,]+ +\S+Z +committed, whole$/m)
    assert.match(stdout, /^ledger .*checkpoints_cli at .*: epoch 1, published up to checkpoint 3$/m)
    assert.match(stdout, /^All checksums hold\.$/m)
    assert.deepStrictEqual(contentsOf(directory), before)
  })

  it("all damage is told, with file, byte and checkpoint", async () => {
    const { directory, pending } = await pendingState(fixture, "damaged", { retained: 2 })
    const [first, second, third] = pending.map((handle) => segmentPath(directory, handle))
    const blocks = blocksOf(first!)
    const lastOfSecond = blocksOf(second!)[3]!
    // A payload, and a checksum; the blocks between and behind them are whole.
    flip(first!, blocks[0]! + 100)
    flip(first!, blocks[2]! + 8)
    Fs.truncateSync(second!, lastOfSecond + 5)
    const manifest = `${directory}/checkpoints/e1-c2.manifest`
    flip(manifest, 40)
    const found = (all: ReadonlyArray<{ path: string; offset: number; checkpointId: number }>) =>
      all.map(({ checkpointId, offset, path }) => [path, offset, checkpointId])
    const { damage } = jsonOf(await run(inspect(directory, "--json", "--verify")), 7)
    assert.deepStrictEqual(found(damage), [
      [manifest, 20, 2],
      [first, blocks[0], 1],
      [first, blocks[2], 1],
      [second, lastOfSecond, 2]
    ])
    // Without reading them, only what their sizes tell.
    const sizes = jsonOf(await run(inspect(directory, "--json")), 7).damage
    assert.deepStrictEqual(found(sizes), [[manifest, 20, 2], [second, lastOfSecond + 5, 2]])
    Fs.rmSync(third!)
    const text = await run(inspect(directory))
    assert.strictEqual(text.code, 7)
    assert.match(text.stdout, /^e1-a0-s0-n2\.wal +3 .* pending, LOST$/m)
    assert.match(text.stdout, /n2\.wal +0 +3 +the file is gone, and its rows are not yet in Cassandra$/m)
    assert.match(text.stderr, /docs\/recovery\.md/)
    assert.match((await run(inspect(directory), offline)).stdout, /^e1-a0-s0-n2\.wal .* gone: in Cassandra, or lost$/m)
  })

  it("a state that was left behind is told, with who is newer, and none of its segments is called committed", async () => {
    const { directory, pending, records } = await pendingState(fixture, "outdated")
    const taken = await run(["savepoint", `--state=${directory}`, `--to=${fixture.path("to-outdated")}`], offline)
    assert.strictEqual(taken.code, 0, taken.stderr)
    const elsewhere = `${directory}-elsewhere`
    Fs.renameSync(directory, elsewhere)
    const anew = await run(fixture.load("outdated", fixture.write("anew.ndjson", fixture.lines("outdated", 30))))
    assert.strictEqual(anew.code, 0, anew.stderr)
    const words =
      /is not the newest of job 'cli' \(uid 'outdated'\): it ends with checkpoint 3 of epoch 1.* says that epoch 2 has gone on/
    const left = jsonOf(await run(inspect(elsewhere, "--json", "--verify")), 7)
    assert.match(left.outdated, words)
    assert.isAtLeast(left.ledger.committed[0], 3)
    assert.deepStrictEqual(left.segments.map((one: { isCommitted: unknown }) => one.isCommitted), [null, null, null])
    assert.deepStrictEqual([left.pendingRows, left.damage], [records, []])
    Fs.rmSync(segmentPath(elsewhere, pending[2]!))
    const text = await run(inspect(elsewhere))
    assert.strictEqual(text.code, 7, text.stderr)
    assert.match(text.stdout, new RegExp(`^OUTDATED +The state in .*${words.source}`, "m"))
    assert.match(text.stdout, /^pending +120 rows, .*, when it was left behind$/m)
    assert.match(text.stdout, /^e1-a0-s0-n0\.wal .* logged$/m)
    assert.match(text.stdout, /^e1-a0-s0-n2\.wal .* gone: in Cassandra, or lost$/m)
    assert.notMatch(text.stdout, / committed/)
    // A savepoint is no worse for being old, but the ledger tells nothing of its rows either.
    const savepoint = jsonOf(await run(inspect(taken.stdout.trim(), "--json")))
    assert.match(
      savepoint.outdated,
      /^Since this savepoint was taken, epoch 2 of job 'cli' \(uid 'outdated'\) has gone on/
    )
    assert.deepStrictEqual([savepoint.segments[0].isCommitted, savepoint.pendingRows], [null, records])
    assert.isNull(jsonOf(await run(inspect(directory, "--json"))).outdated)
  })

  it("while the job runs, again and again, and disturbs nothing", async () => {
    const file = fixture.write("running.ndjson", fixture.wideLines("running", many))
    const { child, release, state } = await startAndHold(fixture, "running", file, "--json")
    const held = jsonOf(await run(inspect(state, "--json", "--verify"), offline))
    assert.deepStrictEqual([held.owner.isAlive, held.damage], [true, []])
    release()
    const loading = { isOver: false }
    void child.ended.then(() => {
      loading.isOver = true
    })
    while (!loading.isOver) assert.deepStrictEqual(jsonOf(await run(inspect(state, "--json", "--verify"))).damage, [])
    const { code, stderr, stdout } = await child.ended
    assert.strictEqual(code, 0, stderr)
    assert.strictEqual(JSON.parse(stdout).committed, many)
    const after = jsonOf(await run(inspect(state, "--json")))
    assert.isNull(after.owner)
    assert.deepStrictEqual([after.segments, after.checkpoints[0].finished], [[], true])
  })

  it("what is not there, and a ledger that does not answer", async () => {
    const none = await run(inspect(fixture.path("nowhere"), "--json"))
    assert.strictEqual(none.code, 3)
    assert.match(none.stderr, /^error: There is no state of a job in \S+nowhere/m)
    const unnamed = await run(["inspect"])
    assert.strictEqual(unnamed.code, 64)
    assert.match(unnamed.stderr, /--state/)
    const { directory } = await pendingState(fixture, "away", { checkpoints: 1 })
    const away = await run(inspect(directory), { env: { CASSANDRA_CONTACT_POINTS: "127.0.0.1:1" } })
    assert.strictEqual(away.code, 3, away.stderr)
    assert.match(away.stdout, /^checkpoint +1 of epoch 1, 40 records read$/m)
    assert.match(away.stderr, /^error: the ledger could not be read: /m)
    const other = await run(inspect(directory, "--job=somebody"))
    assert.strictEqual(other.code, 7)
    assert.match(other.stderr, /belongs to job 'cli'/)
  })
})
