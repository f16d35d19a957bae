/**
 * Savepoints as a user takes, keeps and restores them: the procedures of docs/recovery.md, done.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import type { Ended, Fixture } from "./commandFixture.ts"
import { areAll, many, newestManifest, openFixture, run, startAndHold, until } from "./commandFixture.ts"
import { blocksOf, flip, pendingState, segmentPath } from "./stateFixture.ts"

const keyspace = "cli_savepoint_test"
let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture(keyspace)
})
afterAll(() => fixture?.close())

const ledgerFlag = `--checkpoint-keyspace=${keyspace}`

/** The path that it prints. */
const take = async (state: string, to: string, ...more: ReadonlyArray<string>) => {
  const ended = await run(["savepoint", `--state=${state}`, `--to=${to}`, ledgerFlag, ...more])
  assert.strictEqual(ended.code, 0, ended.stderr)
  return ended.stdout.trim()
}

/** A load under another name, in a directory of its own. */
const restore = (savepoint: string, job: string, uid: string, file: string, ...more: ReadonlyArray<string>) =>
  run([
    "load",
    file,
    `--job=${job}`,
    `--uid=${uid}`,
    `--query=${fixture.insert}`,
    `--state=${fixture.path(`state-${job}-${uid}`)}`,
    ledgerFlag,
    "--restart=none",
    "--progress=none",
    "--json",
    `--from-savepoint=${savepoint}`,
    ...more
  ])

const ends = (ended: Ended, code: number, words: RegExp) => {
  assert.strictEqual(ended.code, code, ended.stderr)
  assert.match(ended.stderr, words)
  assert.notMatch(ended.stderr, /^\s+at /m)
}

const summaryOf = (ended: Ended) => {
  assert.strictEqual(ended.code, 0, ended.stderr)
  return JSON.parse(ended.stdout) as { [key: string]: number | string }
}

const cells = async (uid: string) => {
  const query = `SELECT id, name, WRITETIME(name) AS at FROM ${keyspace}.items WHERE job = ?`
  const { rows } = await fixture.client.execute(query, [uid], { prepare: true, fetchSize: 100_000 })
  return new Map(rows.map((row) => [row["id"] as number, { name: row["name"] as string, at: String(row["at"]) }]))
}

const epochOf = async (job: string, uid: string) => {
  const query = `SELECT checkpoint_id FROM ${keyspace}.checkpoints_${job} WHERE sink_id = ? AND sub_id = -1`
  const { rows } = await fixture.client.execute(query, [uid], { prepare: true })
  return Number(rows[0]?.["checkpoint_id"] ?? 0)
}

const savepointsIn = (directory: string): Array<string> => Fs.existsSync(directory) ? Fs.readdirSync(directory) : []

// Each of these runs the command several times, one after the other.
describe.concurrent("effect-cassandra savepoint", { timeout: 240_000 }, () => {
  it("a load that was killed goes on elsewhere, under another name and parallelism; what was in stays as it was", async () => {
    const uid = "moved"
    const file = fixture.write("moved.ndjson", fixture.wideLines(uid, many))
    const { child, state } = await startAndHold(fixture, uid, file, "--parallelism=2")
    child.kill("SIGKILL")
    await child.ended
    const before = await cells(uid)
    assert.isAbove(before.size, 0)
    const { pending, records } = newestManifest(state)!
    assert.isAbove(pending.length, 0)

    const savepoint = await take(state, fixture.path("to-moved"))
    // The other machine has the savepoint and the input, and nothing else.
    const copied = fixture.path("copied-moved")
    Fs.cpSync(savepoint, copied, { recursive: true })
    Fs.rmSync(savepoint, { recursive: true })
    Fs.renameSync(state, `${state}-elsewhere`)

    const ended = await restore(copied, "cli_moved", uid, file, "--parallelism=3")
    const summary = summaryOf(ended)
    assert.strictEqual(summary["rows"], many - records)
    assert.isAbove(summary["replayedCheckpoints"] as number, 0)
    assert.match(ended.stderr, /Restored from \S+: checkpoint \d+ of job 'cli' \(uid 'moved'\)/)
    assert.isTrue(areAll(await fixture.rows(uid), many))
    const after = await cells(uid)
    for (const [id, cell] of before) assert.deepStrictEqual(after.get(id), cell, `row ${id}`)
    // The old name is fenced: its process could not commit any more.
    assert.strictEqual(await epochOf("cli", uid), 2)

    // Run again it is the same restore; also when the savepoint is still asked for.
    const again = await restore(copied, "cli_moved", uid, file, "--parallelism=1")
    assert.strictEqual(summaryOf(again)["outcome"], "nothing-to-do")
    assert.match(again.stderr, /was restored from savepoint \S+ before, and goes on/)
    assert.strictEqual(await epochOf("cli", uid), 2)
  })

  it("what the old job wrote after the savepoint is not overwritten by the savepoint's rows", async () => {
    const uid = "newer"
    const old = Array.from({ length: 120 }, (_, id) => fixture.line(uid, id, "old"))
    const lines = [...old, ...Array.from({ length: 120 }, (_, id) => fixture.line(uid, id, "new"))]
    const { directory, file } = await pendingState(fixture, uid, { lines, blocks: 4, checkpoints: 3 })
    const savepoint = await take(directory, fixture.path("to-newer"))
    // The old job goes on to its end.
    const finished = await run(fixture.load(uid, file))
    assert.strictEqual(finished.code, 0, finished.stderr)
    const before = await cells(uid)
    assert.isTrue([...before.values()].every(({ name }) => name === "new"))

    // Input that ends where the savepoint is: only its 120 old rows are sent, with the timestamps that they always had.
    const start = fixture.write("newer-start.ndjson", old)
    const restored = await restore(savepoint, "cli_newer", uid, start)
    assert.strictEqual(summaryOf(restored)["committed"], 120)
    assert.deepStrictEqual(await cells(uid), before)

    // And all of it, from there on: written again, and newer than what the old job has written.
    const all = await restore(savepoint, "cli_newer_all", uid, file, "--take-over-from=cli_newer")
    assert.strictEqual(summaryOf(all)["committed"], 240)
    const after = await cells(uid)
    assert.strictEqual(after.size, 120)
    for (const [id, { at, name }] of after) {
      assert.strictEqual(name, "new")
      assert.isTrue(BigInt(at) > BigInt(before.get(id)!.at))
    }
  })

  it("a state that the job has not gone on with is refused, and its rows are sent by a savepoint of it", async () => {
    const uid = "left"
    const lines = Array.from({ length: 240 }, (_, id) => fixture.line(uid, id))
    const { directory, file } = await pendingState(fixture, uid, { lines, blocks: 4, checkpoints: 3 })
    // On another machine, which has nothing of it, the job begins anew; it has come to the tenth line.
    const start = fixture.write("left-start.ndjson", lines.slice(0, 10))
    const elsewhere = await run(
      fixture.load(uid, start).map((arg) =>
        arg.startsWith("--state=") ? `--state=${fixture.path("left-elsewhere")}` : arg
      )
    )
    assert.strictEqual(elsewhere.code, 0, elsewhere.stderr)
    const before = await cells(uid)
    assert.strictEqual(before.size, 10)

    const back = await run(fixture.load(uid, file))
    ends(
      back,
      7,
      /is not the newest of job 'cli' \(uid 'left'\): it ends with checkpoint 3 .* has gone on with another one/
    )
    const savepoint = await take(directory, fixture.path("to-left"))
    const restored = await restore(savepoint, "cli", uid, file)
    assert.strictEqual(summaryOf(restored)["outcome"], "finished")
    const after = await cells(uid)
    assert.strictEqual(after.size, 240)
    for (const [id, cell] of before) assert.deepStrictEqual(after.get(id), cell, `row ${id}`)
  })

  it("a process of the old job that still runs is fenced, and nothing that it does counts any more", async () => {
    const uid = "zombie"
    const file = fixture.write("zombie.ndjson", fixture.wideLines(uid, many))
    const { child, release, state } = await startAndHold(fixture, uid, file)
    // Beside the running process.
    const savepoint = await take(state, fixture.path("to-zombie"))
    summaryOf(await restore(savepoint, "cli_zombie", uid, file, "--parallelism=2"))
    const before = await cells(uid)
    release()
    const fenced = await child.ended
    ends(fenced, 6, /was superseded/)
    assert.isTrue(areAll(await fixture.rows(uid), many))
    assert.deepStrictEqual(await cells(uid), before)
  })

  it("a second other name is refused from the same savepoint, unless it takes over from the first", async () => {
    const uid = "owned"
    const lines = Array.from({ length: 240 }, (_, id) => fixture.line(uid, id))
    const { directory, file } = await pendingState(fixture, uid, { lines, blocks: 4, checkpoints: 3 })
    const savepoint = await take(directory, fixture.path("to-owned"))
    summaryOf(await restore(savepoint, "cli_owned", uid, file))
    const before = await cells(uid)
    const epochs = async () => [await epochOf("cli", uid), await epochOf("cli_owned", uid)]
    const claimed = await epochs()

    const refusal = new RegExp(
      `Job 'cli' \\(uid 'owned'\\) was taken over by job 'cli_owned' \\(uid 'owned'\\).*${keyspace}\\.checkpoints_cli .*` +
        `--take-over-from cli_owned`
    )
    ends(await restore(savepoint, "cli_owned_too", uid, file), 7, refusal)
    // Nor the first name, on a machine that has nothing of it.
    ends(await restore(savepoint, "cli", uid, file), 7, refusal)
    ends(await restore(savepoint, "cli_owned_too", uid, file, "--take-over-from=cli"), 7, refusal)
    // Nor the job that it was taken of, in its own directory, where all of its rows are pending.
    ends(await run(fixture.load(uid, file)), 7, refusal)
    ends(await run(["commit", `--state=${directory}`, "--checkpoint=1", "--yes", ledgerFlag]), 7, refusal)
    assert.deepStrictEqual(await epochs(), claimed)
    assert.deepStrictEqual(await cells(uid), before)
    const inspected = await run(["inspect", `--state=${directory}`, ledgerFlag])
    assert.match(inspected.stdout, /taken over by job cli_owned \(uid owned\)/)

    // The first one goes on, also where its state is lost.
    Fs.renameSync(fixture.path(`state-cli_owned-${uid}`), fixture.path(`state-cli_owned-${uid}.away`))
    assert.strictEqual(summaryOf(await restore(savepoint, "cli_owned", uid, file))["outcome"], "finished")
    // From a savepoint of that one, anybody.
    const next = await take(fixture.path(`state-cli_owned-${uid}`), fixture.path("to-owned-next"))
    summaryOf(await restore(next, "cli_owned_next", uid, file))
    ends(
      await restore(savepoint, "cli_owned_too", uid, file),
      7,
      /taken over by job 'cli_owned_next'.*checkpoints_cli_owned /
    )
    const taken = await restore(savepoint, "cli_owned_too", uid, file, "--take-over-from=cli_owned_next")
    assert.strictEqual(summaryOf(taken)["outcome"], "finished")
    assert.strictEqual(await epochOf("cli_owned_next", uid), 2)
    assert.strictEqual((await cells(uid)).size, 240)
  })

  it("--savepoint-on-stop: a signal ends the load with a savepoint, from which the same job goes on elsewhere", async () => {
    const uid = "stopped"
    const file = fixture.write("stopped.ndjson", fixture.wideLines(uid, many))
    const to = fixture.path("to-stopped")
    const { child, release, state } = await startAndHold(fixture, uid, file, "--json", `--savepoint-on-stop=${to}`)
    child.kill("SIGTERM")
    await until(child, "the signal", () => child.stderr().includes("stopping: SIGTERM was received"))
    release()
    const stopped = await child.ended
    ends(stopped, 4, /^savepoint: checkpoint \d+ of epoch 1 of job cli .*nothing pending, in /m)
    const { savepoint } = JSON.parse(stopped.stdout)
    assert.strictEqual(savepoint, `${to}/${savepointsIn(to)[0]}`)
    const { records } = newestManifest(state)!
    // Under its own name, in a new directory: the ledger knows what is in, and the epoch goes on.
    const summary = summaryOf(await restore(savepoint, "cli", uid, file, "--parallelism=2"))
    assert.strictEqual(summary["rows"], many - records)
    assert.isAbove(summary["epoch"] as number, 1)
    assert.isTrue(areAll(await fixture.rows(uid), many))

    // Back to it, under the same name: its state directory is moved away.
    const first = await cells(uid)
    Fs.renameSync(fixture.path(`state-cli-${uid}`), fixture.path(`state-cli-${uid}.away`))
    assert.strictEqual(summaryOf(await restore(savepoint, "cli", uid, file))["rows"], many - records)
    const second = await cells(uid)
    for (const [id, { at, name }] of second) {
      assert.strictEqual(name, first.get(id)!.name)
      assert.isTrue(id < records ? at === first.get(id)!.at : BigInt(at) > BigInt(first.get(id)!.at), `row ${id}`)
    }
  })

  it("--savepoint-on-stop while Cassandra does not answer: it says how to take one of what was checkpointed", async () => {
    const uid = "away"
    const file = fixture.write("away.ndjson", fixture.wideLines(uid, many))
    const to = fixture.path("to-away")
    const { child, state } = await startAndHold(
      fixture,
      uid,
      file,
      `--savepoint-on-stop=${to}`,
      "--stop-timeout=300 millis"
    )
    child.kill("SIGINT")
    const stopped = await child.ended
    ends(stopped, 4, /No savepoint was taken; this takes one of it: effect-cassandra savepoint --state \S+ --to \S+/)
    const args = /effect-cassandra savepoint (--state \S+ --to \S+)/.exec(stopped.stderr)![1]!.split(" ")
    assert.deepStrictEqual(savepointsIn(to), [])
    const taken = await run(["savepoint", ...args, ledgerFlag])
    assert.strictEqual(taken.code, 0, taken.stderr)
    assert.isAbove(newestManifest(state)!.pending.length, 0)
    summaryOf(await restore(taken.stdout.trim(), "cli_away", uid, file))
    assert.isTrue(areAll(await fixture.rows(uid), many))
  })

  it("a file that is gone is only left out where the ledger has its rows", async () => {
    const { directory, file, pending } = await pendingState(fixture, "gone", { parallelism: 2 })
    // A load that commits all, of a copy: what it leaves in the ledger is true for this directory as well.
    Fs.rmSync(segmentPath(directory, pending[0]!))
    const without = await run(["savepoint", `--state=${directory}`, `--to=${fixture.path("to-gone")}`, ledgerFlag])
    ends(without, 7, /e1-a0-s0-n0\.wal of checkpoint 1 is corrupt at byte 0: the file is gone/)
    assert.deepStrictEqual(savepointsIn(fixture.path("to-gone")), [])
    const blind = await run(["savepoint", `--state=${directory}`, `--to=${fixture.path("to-gone")}`], {
      env: { CASSANDRA_CONTACT_POINTS: "" }
    })
    ends(blind, 7, /the ledger tells \(--contact-points\)/)
    const decided = await run([
      "commit",
      `--state=${directory}`,
      "--checkpoint=1",
      "--yes",
      ledgerFlag
    ])
    assert.strictEqual(decided.code, 0, decided.stderr)
    const savepoint = await take(directory, fixture.path("to-gone"))
    const restored = summaryOf(await restore(savepoint, "cli_gone", "gone", file))
    assert.strictEqual(restored["replayedCheckpoints"], 2)
  })

  it("is listed, looked at, exported from, and deleted; and no job works in it", async () => {
    const { directory, file } = await pendingState(fixture, "looked", { parallelism: 2 })
    const to = fixture.path("to-looked")
    const first = await take(directory, to)
    const second = JSON.parse(await take(directory, to, "--json"))
    assert.deepInclude(second, { jobId: "cli", uid: "looked", checkpointId: 3, records: 240, pendingRows: 240 })
    assert.deepStrictEqual(second.statements.map(({ query }: { query: string }) => query), [fixture.insert])
    const listed = await run(["savepoint", "list", to, "--verify"])
    assert.strictEqual(listed.code, 0, listed.stderr)
    assert.match(listed.stdout, /^SAVEPOINT +JOB .*\n\S+\/savepoint-cli-\S+ +cli +looked .* whole\n\S+ .* whole\n$/)

    const inspected = await run(["inspect", `--state=${first}`, "--verify", "--json", ledgerFlag])
    assert.strictEqual(inspected.code, 0, inspected.stderr)
    const found = JSON.parse(inspected.stdout)
    assert.deepStrictEqual([found.pendingRows, found.damage, found.jobId], [240, [], "cli"])
    assert.isString(found.savepoint.id)
    assert.match((await run(["inspect", `--state=${first}`])).stdout, /^savepoint +\S+, taken \d{4}-/m)
    const exported = await run(["export", `--state=${first}`, "--checkpoint=2"])
    assert.strictEqual(exported.stdout.trimEnd().split("\n").length, 80)

    ends(
      await run(["commit", `--state=${first}`, "--checkpoint=1", "--yes", ledgerFlag]),
      7,
      /is a savepoint, and stays/
    )
    ends(await run(["savepoint", `--state=${first}`, `--to=${to}`]), 7, /is a savepoint, and stays/)
    const worked = await run([
      ...fixture.load("looked", file).filter((flag) => !flag.startsWith("--state")),
      `--state=${first}`
    ])
    ends(worked, 7, /is a savepoint, and no job works in one: restore it .*--from-savepoint/)
    assert.deepStrictEqual(Fs.readdirSync(first).toSorted(), ["_metadata", "segments"])

    ends(await run(["savepoint", "delete", first]), 64, /Nothing was deleted\. Add --yes/)
    ends(await run(["savepoint", "delete", first, "--yes"]), 0, /^deleted: /m)
    assert.isFalse(Fs.existsSync(first))
    ends(await run(["savepoint", "delete", directory, "--yes"]), 7, /is no savepoint, or has more in it/)
    assert.isTrue(Fs.existsSync(`${directory}/job.json`))
  })

  it("a damaged, incomplete or foreign savepoint is refused before anything is claimed, and says what to do", async () => {
    const { directory, file, pending } = await pendingState(fixture, "hurt")
    const whole = await take(directory, fixture.path("to-hurt"))
    const broken = (name: string, damage: (path: string) => void): string => {
      const path = fixture.path(`hurt-${name}`)
      Fs.cpSync(whole, path, { recursive: true })
      damage(path)
      return path
    }
    const refused = async (path: string, words: RegExp) => {
      const ended = await restore(path, "cli_hurt", "hurt", file)
      ends(ended, 7, words)
      assert.isFalse(Fs.existsSync(fixture.path("state-cli_hurt-hurt")))
    }
    const segment = pending[1]!
    await refused(
      broken("flipped", (path) => flip(segmentPath(path, segment), blocksOf(segmentPath(path, segment))[2]! + 40)),
      /e1-a0-s0-n1\.wal of checkpoint 2 is corrupt at byte \d+: the checksum of a block .* Copy the savepoint again/
    )
    await refused(
      broken("cut", (path) => Fs.truncateSync(segmentPath(path, segment), 100)),
      /e1-a0-s0-n1\.wal of checkpoint 2 is corrupt at byte 100: it has 100 bytes, but was sealed with \d+/
    )
    await refused(
      broken("lacking", (path) => Fs.rmSync(segmentPath(path, segment))),
      /the file is gone.*Copy the savepoint/
    )
    await refused(broken("half", (path) => Fs.rmSync(`${path}/_metadata`)), /has no _metadata, which is written last/)
    await refused(
      broken("metadata", (path) => flip(`${path}/_metadata`, 60)),
      /_metadata is corrupt at byte 20: .*checksum/
    )
    await refused(
      broken("version", (path) => {
        const bytes = Fs.readFileSync(`${path}/_metadata`)
        bytes.writeUInt32BE(9, 8)
        Fs.writeFileSync(`${path}/_metadata`, bytes)
      }),
      /_metadata has format version 9, this program reads 1\. Restore it with the version that took it/
    )
    await refused(fixture.path("hurt-nowhere"), /There is no savepoint \S+hurt-nowhere/)
    await refused(fixture.path("to-hurt"), /effect-cassandra savepoint list/)
    assert.strictEqual(await epochOf("cli", "hurt"), 1)
    const listed = await run(["savepoint", "list", fixture.path("hurt-flipped"), "--verify"])
    ends(listed, 7, /is corrupt at byte/)
    assert.match(listed.stdout, /DAMAGED/)

    // A state of its own: refused as well, with the ways out; nobody is disturbed.
    const own = await run([...fixture.load("hurt", file), `--from-savepoint=${whole}`])
    ends(own, 7, /can't be restored into \S+: it holds checkpoint 3 of job 'cli' already.*Run without the savepoint/)
    assert.strictEqual(await epochOf("cli", "hurt"), 1)
  })

  it("a disk that is full leaves nothing that looks like a savepoint", async () => {
    const { directory } = await pendingState(fixture, "full", { blocks: 40 })
    const to = fixture.path("to-full")
    const ended = await run(["savepoint", `--state=${directory}`, `--to=${to}`, ledgerFlag], { fileBlocksMax: 8 })
    ends(ended, 3, /Could not write \S+\.wal/)
    assert.deepStrictEqual(savepointsIn(to), [])
  })
})
