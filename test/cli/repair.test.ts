import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import type { Ended, Fixture } from "./commandFixture.ts"
import { areAll, newestManifest, openFixture, run } from "./commandFixture.ts"
import { blocksOf, flip, pendingState, segmentPath } from "./stateFixture.ts"

const keyspace = "cli_repair_test"
let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture(keyspace)
})
afterAll(() => fixture?.close())

const repair = (state: string, ...more: ReadonlyArray<string>) =>
  run(["repair", `--state=${state}`, `--checkpoint-keyspace=${keyspace}`, ...more])

const ends = (ended: Ended, code: number, words: RegExp) => {
  assert.strictEqual(ended.code, code, ended.stderr)
  assert.match(ended.stderr, words)
  assert.notMatch(ended.stderr, /^\s+at /m)
  assert.strictEqual(ended.stdout, "")
}

const loads = async (uid: string, file: string, code = 0) => {
  const ended = await run(fixture.load(uid, file))
  assert.strictEqual(ended.code, code, ended.stderr)
}

const ids = async (uid: string) => (await fixture.rows(uid)).map(({ id }) => id)

// Each of these runs the command several times, one after the other.
describe.concurrent("effect-cassandra repair", { timeout: 240_000 }, () => {
  it("a damaged manifest: back to the older checkpoint that is kept, and nothing is lost", async () => {
    const { directory, file, pending, total } = await pendingState(fixture, "manifest", { retained: 2 })
    const path = `${directory}/checkpoints/e1-c3.manifest`
    flip(path, 60)
    const damaged = Fs.readFileSync(path)
    await loads("manifest", file, 7)
    ends(
      await repair(directory),
      64,
      /back to checkpoint 2 of epoch 1, when 80 records .*\n.*moved[^]*Nothing was done/
    )
    assert.isTrue(Fs.existsSync(path))
    ends(await repair(directory, "--yes"), 0, /^repaired, under epoch \d+\./m)
    assert.isTrue(damaged.equals(Fs.readFileSync(`${directory}/e1-c3.manifest.broken`)))
    assert.strictEqual(newestManifest(directory)!.checkpointId, 2)
    await loads("manifest", file)
    assert.isTrue(areAll(await fixture.rows("manifest"), total))
    // What was logged before has its timestamps; what was read since is written later than it was logged then.
    const times = await fixture.client.execute(
      `SELECT id, WRITETIME(name) AS t FROM ${keyspace}.items WHERE job = 'manifest'`
    )
    for (const { id, t } of times.rows as unknown as ReadonlyArray<{ id: number; t: bigint }>) {
      const { firstTimestamp } = pending[Math.min(1, Math.floor(id / 40))]!
      if (id < 80) assert.strictEqual(Number(t), firstTimestamp + id % 40)
      else assert.isAbove(Number(t), pending[2]!.lastTimestamp)
    }
    assert.isTrue(Fs.existsSync(`${directory}/e1-c3.manifest.broken`))
    ends(await repair(directory), 0, /^Nothing is to be repaired/m)
  })

  it("a damaged segment, and an older checkpoint without it: back to that one", async () => {
    const { directory, file, pending, total } = await pendingState(fixture, "back", { retained: 2 })
    flip(segmentPath(directory, pending[2]!), blocksOf(segmentPath(directory, pending[2]!))[1]! + 50)
    ends(await repair(directory, "--yes"), 0, /back to checkpoint 2 of epoch 1[^]*Nothing is lost[^]*repaired/)
    await loads("back", file)
    assert.isTrue(areAll(await fixture.rows("back"), total))
  })

  it("a damaged segment, and no older checkpoint: cut, with what is lost, which can be loaded again", async () => {
    const { directory, file, pending, total } = await pendingState(fixture, "cut")
    const path = segmentPath(directory, pending[1]!)
    flip(path, blocksOf(path)[2]! + 50)
    const damaged = Fs.readFileSync(path)
    await loads("cut", file, 7)
    const lost =
      /n1\.wal of checkpoint 2 .*: 20 of its rows stay in the log, 20 ARE LOST\. They lie behind the record at line 60 of \S+cut\.ndjson, up to the record at line 80\./
    ends(await repair(directory), 64, lost)
    ends(await repair(directory, "--yes"), 0, lost)
    assert.isTrue(damaged.equals(Fs.readFileSync(`${directory}/${pending[1]!.name}.broken`)))
    await loads("cut", file)
    assert.deepStrictEqual(
      await ids("cut"),
      Array.from({ length: total }, (_, i) => i).filter((id) => id < 60 || id >= 80)
    )
    // As it was told, and as docs/recovery.md has it: from the first lost record to the end of the input.
    const rest = fixture.path("rest.ndjson")
    Fs.writeFileSync(rest, Fs.readFileSync(file, "utf8").split("\n").slice(60).join("\n"))
    await loads("cut_rest", rest)
    assert.isTrue(areAll(await fixture.rows("cut"), total))
  })

  it("a state that the job has not gone on with is refused, before anybody is fenced: commit and skip refuse it too", async () => {
    const { directory, pending } = await pendingState(fixture, "outdated")
    const elsewhere = `${directory}-elsewhere`
    Fs.renameSync(directory, elsewhere)
    await loads("outdated", fixture.write("short.ndjson", fixture.lines("outdated", 30)))
    flip(segmentPath(elsewhere, pending[1]!), blocksOf(segmentPath(elsewhere, pending[1]!))[2]! + 50)
    const epoch = async () => {
      const query = `SELECT checkpoint_id FROM ${keyspace}.checkpoints_cli WHERE sink_id = 'outdated' AND sub_id = -1`
      return Number((await fixture.client.execute(query)).rows[0]!["checkpoint_id"])
    }
    const before = await epoch()
    const words =
      /is not the newest of job 'cli' \(uid 'outdated'\): it ends with checkpoint 3 of epoch 1, after 120 records/
    for (const yes of [[], ["--yes"]]) ends(await repair(elsewhere, ...yes), 7, words)
    const decision = [`--state=${elsewhere}`, `--checkpoint-keyspace=${keyspace}`, "--checkpoint=1", "--yes"]
    ends(await run(["commit", ...decision]), 7, words)
    const to = fixture.path("outdated-skipped.ndjson")
    ends(await run(["skip", ...decision, `--to=${to}`]), 7, words)
    assert.isFalse(Fs.existsSync(to))
    assert.strictEqual(await epoch(), before)
    assert.isTrue(Fs.existsSync(segmentPath(elsewhere, pending[1]!)))
  })

  it("a job that another one has taken over is refused, before anybody is fenced; --take-over-from repairs it", async () => {
    const uid = "owned"
    const { directory, file, pending } = await pendingState(fixture, uid)
    const ledger = `--checkpoint-keyspace=${keyspace}`
    const taken = await run(["savepoint", `--state=${directory}`, `--to=${fixture.path("to-owned")}`, ledger])
    assert.strictEqual(taken.code, 0, taken.stderr)
    const heir = fixture.load(uid, file, undefined, `--from-savepoint=${taken.stdout.trim()}`).map((arg) =>
      arg === "--job=cli" ? "--job=cli_heir" : arg.startsWith("--state=") ? `${arg}-heir` : arg
    )
    assert.strictEqual((await run(heir)).code, 0)
    flip(segmentPath(directory, pending[1]!), blocksOf(segmentPath(directory, pending[1]!))[2]! + 50)
    const rowsOf = async (job: string) => {
      const query = `SELECT sub_id, checkpoint_id FROM ${keyspace}.checkpoints_${job} WHERE sink_id = '${uid}'`
      return (await fixture.client.execute(query)).rows.map((row) => `${row["sub_id"]} ${row["checkpoint_id"]}`)
    }
    const before = await rowsOf("cli")
    const words =
      /^error: Job 'cli' \(uid 'owned'\) was taken over by job 'cli_heir' \(uid 'owned'\): .*--take-over-from cli_heir/m
    const decision = [`--state=${directory}`, ledger, "--checkpoint=1"]
    const to = fixture.path("owned-skipped.ndjson")
    for (const more of [[], ["--yes"], ["--take-over-from=somebody", "--yes"]]) {
      ends(await repair(directory, ...more), 7, words)
      ends(await run(["commit", ...decision, ...more]), 7, words)
      ends(await run(["skip", ...decision, `--to=${to}`, ...more]), 7, words)
    }
    assert.isFalse(Fs.existsSync(to))
    assert.isTrue(Fs.existsSync(segmentPath(directory, pending[1]!)))
    assert.deepStrictEqual(await rowsOf("cli"), before)
    const own = await repair(directory, "--take-over-from=cli_heir", "--yes")
    ends(own, 0, /So is job cli_heir, if it has taken this one over[^]*^repaired, under epoch/m)
    // It is its own again, and the other one is refused.
    ends(await run(["commit", ...decision, "--yes"]), 0, /^committed: checkpoint 1/m)
    fixture.write(`${uid}.ndjson`, fixture.lines(uid, 300))
    const back = await run(heir)
    assert.strictEqual(back.code, 7, back.stderr)
    assert.match(back.stderr, /'cli_heir' \(uid 'owned'\) was taken over by job 'cli' \(uid 'owned'\)/)
  })

  it("what would be a guess is refused, and nothing is changed", async () => {
    const alone = await pendingState(fixture, "alone")
    flip(`${alone.directory}/checkpoints/e1-c3.manifest`, 60)
    ends(await repair(alone.directory, "--yes"), 7, /no older checkpoint that is whole is kept[^]*Nothing was changed/)
    const gone = await pendingState(fixture, "gone")
    Fs.rmSync(segmentPath(gone.directory, gone.pending[0]!))
    ends(await repair(gone.directory, "--yes"), 7, /n0\.wal is gone, and with it all of its 40 rows/)
    // A checkpoint that a superseded process completed beside its successor.
    const beside = await pendingState(fixture, "beside")
    const checkpoints = `${beside.directory}/checkpoints`
    Fs.writeFileSync(`${checkpoints}/e2-c2.manifest`, "damaged")
    ends(await repair(beside.directory, "--yes"), 7, /e1-c3\.manifest is not known to be a checkpoint that led to it/)
    assert.deepStrictEqual(Fs.readdirSync(checkpoints).toSorted(), ["e1-c3.manifest", "e2-c2.manifest"])
    const whole = await pendingState(fixture, "whole", { checkpoints: 1 })
    ends(await repair(whole.directory, "--yes"), 0, /^Nothing is to be repaired/m)
  })
})
