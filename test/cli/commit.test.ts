import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import type { Ended, Fixture } from "./commandFixture.ts"
import { many, newestManifest, openFixture, run, startAndHold, until } from "./commandFixture.ts"
import { blocksOf, flip, pendingState, segmentPath } from "./stateFixture.ts"

const keyspace = "cli_commit_test"
let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture(keyspace)
})
afterAll(() => fixture?.close())

const decide = (verb: "commit" | "skip", state: string, checkpoint: number, ...more: ReadonlyArray<string>) =>
  run([verb, `--state=${state}`, `--checkpoint-keyspace=${keyspace}`, `--checkpoint=${checkpoint}`, ...more])

const ledger = async (uid: string) => {
  const query = `SELECT sub_id, checkpoint_id FROM ${keyspace}.checkpoints_cli WHERE sink_id = ?`
  const { rows } = await fixture.client.execute(query, [uid], { prepare: true })
  return new Map(rows.map((row) => [row["sub_id"] as number, Number(row["checkpoint_id"])]))
}

const ids = async (uid: string) => (await fixture.rows(uid)).map(({ id }) => id)
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

const ends = (ended: Ended, code: number, words: RegExp) => {
  assert.strictEqual(ended.code, code, ended.stderr)
  assert.match(ended.stderr, words)
  assert.notMatch(ended.stderr, /^\s+at /m)
  assert.strictEqual(ended.stdout, "")
}

// Each of these runs the command several times, one after the other.
describe.concurrent("effect-cassandra commit and skip", { timeout: 240_000 }, () => {
  it("commit: only the oldest, only with --yes; the following load sends the others and goes on", async () => {
    const { directory, file, pending, total } = await pendingState(fixture, "commit", { parallelism: 2 })
    ends(await decide("commit", directory, 2, "--yes"), 3, /the oldest that is pending is 1, and .* in order/)
    ends(
      await decide("commit", directory, 1),
      64,
      /: 80 rows in e1-a0-s0-n0\.wal, e1-a0-s1-n0\.wal\n[^]*fenced[^]*Nothing was done\. Add --yes/
    )
    // Refused and planned: nobody was disturbed.
    assert.strictEqual((await ledger("commit")).get(-1), 1)
    ends(
      await decide("commit", directory, 1, "--yes"),
      0,
      /^committed: checkpoint 1, under epoch 2\. 2 checkpoints are/m
    )
    const after = await ledger("commit")
    assert.deepStrictEqual([after.get(-1), after.get(-2), after.get(0), after.get(1)], [2, 3, 1, 1])
    assert.isFalse(Fs.existsSync(segmentPath(directory, pending[0]!)))
    assert.deepStrictEqual(newestManifest(directory)!.pending.map(({ checkpointId }) => checkpointId), [2, 2, 3, 3])
    ends(await decide("commit", directory, 1, "--yes"), 3, /it is committed already; the oldest that is pending is 2/)

    const loaded = await run(fixture.load("commit", file, undefined, "--json"))
    assert.strictEqual(loaded.code, 0, loaded.stderr)
    assert.strictEqual(JSON.parse(loaded.stdout).epoch, 3)
    // What was said to be in was not sent; all else is there.
    assert.deepStrictEqual(await ids("commit"), range(80, total))
    ends(await decide("commit", directory, 3, "--yes"), 3, /nothing is pending/)
  })

  it("skip: the rows are in the file before they are dropped, and the following load goes on without them", async () => {
    const { directory, file, total } = await pendingState(fixture, "skip")
    const to = fixture.path("skipped.ndjson")
    Fs.writeFileSync(to, "mine")
    ends(await decide("skip", directory, 1, `--to=${to}`, "--yes"), 3, /skipped\.ndjson is there already/)
    assert.strictEqual(Fs.readFileSync(to, "utf8"), "mine")
    Fs.rmSync(to)
    ends(await decide("skip", directory, 1, `--to=${to}`), 64, /NOT in the table[^]*Nothing was done/)
    assert.isFalse(Fs.existsSync(to))
    ends(
      await decide("skip", directory, 1, `--to=${to}`, "--yes"),
      0,
      /^skipped: checkpoint 1, its rows are in \S+, under/m
    )
    const lines = Fs.readFileSync(to, "utf8").trimEnd().split("\n")
    assert.deepStrictEqual(lines.map((line) => JSON.parse(line).values.id), range(0, 40))
    assert.strictEqual((await run(fixture.load("skip", file))).code, 0)
    assert.deepStrictEqual(await ids("skip"), range(40, total))

    // As docs/recovery.md says: the skipped rows, loaded by another job.
    const values = fixture.path("values.ndjson")
    Fs.writeFileSync(values, lines.map((line) => `${/"values":(.*)\}$/.exec(line)![1]}\n`).join(""))
    const again = await run([...fixture.load("skip2", values)])
    assert.strictEqual(again.code, 0, again.stderr)
    assert.deepStrictEqual(await ids("skip"), range(0, total))
  })

  it("records that were set aside are in a file before a checkpoint is committed or skipped", async () => {
    const lines = fixture.lines("aside", 90)
    for (const id of [5, 44]) lines[id] = lines[id]!.replace(`"id":${id}`, `"id":"number ${id}"`)
    const { directory } = await pendingState(fixture, "aside", { checkpoints: 2, lines })
    const to = fixture.path("aside-kept.ndjson")
    ends(
      await decide("commit", directory, 1, "--yes"),
      3,
      /1 record was set aside in checkpoint 1: no table has it[^]*Give --to with a new file/
    )
    assert.strictEqual((await ledger("aside")).get(-1), 1)
    ends(
      await decide("commit", directory, 1, `--to=${to}`),
      64,
      /1 record was set aside among them, and exported to \S+aside-kept\.ndjson first[^]*Nothing was done/
    )
    assert.isFalse(Fs.existsSync(to))
    ends(await decide("commit", directory, 1, `--to=${to}`, "--yes"), 0, /^committed: checkpoint 1, under epoch 2/m)
    const read = (path: string) => Fs.readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line))
    assert.deepStrictEqual(read(to).map(({ place, record }) => [place, record.id]), [[6, "number 5"]])

    const skipped = fixture.path("aside-skipped.ndjson")
    ends(await decide("skip", directory, 2, `--to=${skipped}`, "--yes"), 0, /^skipped: checkpoint 2/m)
    assert.deepStrictEqual(read(skipped).map(({ place }) => place), range(41, 81))
    assert.strictEqual(read(skipped).find(({ place }) => place === 45).record.id, "number 44")
  })

  it("commit of a segment that has lost its end: what was set aside before it is in the file, the rest is told to be missing", async () => {
    const lines = fixture.lines("cut", 60)
    for (const id of [5, 35]) lines[id] = lines[id]!.replace(`"id":${id}`, `"id":"number ${id}"`)
    const { directory, pending } = await pendingState(fixture, "cut", { checkpoints: 1, lines })
    const path = segmentPath(directory, pending[0]!)
    Fs.truncateSync(path, blocksOf(path)[3]! + 20)
    const to = fixture.path("cut-kept.ndjson")
    const words = (more: string) =>
      new RegExp(`${more}[^]*set aside behind this can't be told: .*its end is missing, with 10 of its 40 rows`)
    ends(await decide("commit", directory, 1, "--yes"), 3, /1 record was set aside in checkpoint 1/)
    ends(
      await decide("commit", directory, 1, `--to=${to}`, "--yes"),
      0,
      words("1 record was set aside among them, and exported to")
    )
    const kept = Fs.readFileSync(to, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line))
    assert.deepStrictEqual(kept.map(({ place, record }) => [place, record.id]), [[6, "number 5"]])
    assert.strictEqual((await ledger("cut")).get(0), 1)
  })

  it("commit with a file for what was set aside, where nothing was: there is no file", async () => {
    const { directory } = await pendingState(fixture, "none_aside", { checkpoints: 1 })
    const to = fixture.path("none-aside.ndjson")
    ends(await decide("commit", directory, 1, `--to=${to}`, "--yes"), 0, /^committed: checkpoint 1/m)
    assert.isFalse(Fs.existsSync(to))
  })

  it("skip of a damaged checkpoint: nothing is dropped, and no half file is left", async () => {
    const { directory, pending } = await pendingState(fixture, "hurt", { checkpoints: 1 })
    flip(segmentPath(directory, pending[0]!), blocksOf(segmentPath(directory, pending[0]!))[2]! + 50)
    const to = fixture.path("hurt-rows.ndjson")
    ends(await decide("skip", directory, 1, `--to=${to}`, "--yes"), 7, /is corrupt at byte/)
    assert.isFalse(Fs.existsSync(to))
    assert.isUndefined((await ledger("hurt")).get(0))
    assert.strictEqual(newestManifest(directory)!.pending.length, 1)
  })

  it("a running job keeps its directory, or is fenced with --take-over, and nothing of the rest is lost", async () => {
    const file = fixture.write("held.ndjson", fixture.wideLines("held", many))
    const { child, release, state } = await startAndHold(fixture, "held", file)
    const committed = (await ledger("held")).get(0) ?? 0
    const oldest = newestManifest(state)!.pending.map(({ checkpointId }) => checkpointId)
      .filter((id) => id > committed).toSorted((a, b) => a - b)[0]!
    ends(await decide("commit", state, oldest, "--yes"), 6, /is in use by process \d+/)
    const decided = await decide("commit", state, oldest, "--yes", "--take-over")
    ends(
      decided,
      0,
      /^The directory is held by process \d+ .*: it is fenced[^]*committed: checkpoint \d+, under epoch 2/m
    )
    release()
    await until(child, "it is fenced", () => /was superseded/.test(child.stderr())).catch(() => null)
    const fenced = await child.ended
    assert.strictEqual(fenced.code, 6, fenced.stderr)
    const loaded = await run(fixture.load("held", file))
    assert.strictEqual(loaded.code, 0, loaded.stderr)
    assert.isAtLeast((await ledger("held")).get(0)!, oldest)
    // Whether its rows were in was said, not looked at; all others are.
    assert.deepInclude(await ids("held"), many - 1)
  })
})
