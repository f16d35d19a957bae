import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import type { Fixture } from "./commandFixture.ts"
import { openFixture, run } from "./commandFixture.ts"
import { blocksOf, flip, pendingState, segmentPath } from "./stateFixture.ts"

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture("cli_export_test")
})
afterAll(() => fixture?.close())

/** Nobody is asked. */
const offline = { env: { CASSANDRA_CONTACT_POINTS: "127.0.0.1:1" } }
const exported = (state: string, ...more: ReadonlyArray<string>) =>
  run(["export", `--state=${state}`, ...more], offline)
const linesOf = (stdout: string) => stdout.trimEnd().split("\n")

describe.concurrent("effect-cassandra export", () => {
  it("prints each row with place, timestamp and values, in the order of the log", async () => {
    const { directory, pending } = await pendingState(fixture, "all", {
      lines: [
        `{"job":"all","id":0,"name":null}`,
        ...fixture.lines("all", 80).slice(1)
      ],
      checkpoints: 2
    })
    const { code, stderr, stdout } = await exported(directory, "--checkpoint=1")
    assert.strictEqual(code, 0, stderr)
    assert.match(stderr, /^exported: 40 rows$/m)
    const lines = linesOf(stdout)
    const { firstTimestamp: first } = pending[0]!
    // Null deletes; what is unset does not stand there.
    const values = `"job":"all","id":0,"name":null`
    assert.strictEqual(lines[0], `{"place":1,"timestamp":${first},"values":{${values}}}`)
    const next = `"job":"all","id":1,"big":9007199254740994,"name":"row 1"`
    assert.strictEqual(lines[1], `{"place":2,"timestamp":${first + 1},"values":{${next}}}`)
    assert.deepStrictEqual(lines.map((line) => JSON.parse(line).place), Array.from({ length: 40 }, (_, i) => i + 1))
    const one = await exported(directory, `--segment=${pending[1]!.name}`)
    assert.deepStrictEqual([linesOf(one.stdout).length, JSON.parse(linesOf(one.stdout)[0]!).place], [40, 41])
  })

  it("a damaged segment up to the damage, and then it says where it is", async () => {
    const { directory, pending } = await pendingState(fixture, "hurt", { checkpoints: 1 })
    const path = segmentPath(directory, pending[0]!)
    const block = blocksOf(path)[2]!
    flip(path, block + 50)
    const ended = await exported(directory, "--checkpoint=1")
    assert.strictEqual(ended.code, 7, ended.stderr)
    assert.strictEqual(linesOf(ended.stdout).length, 20)
    assert.match(ended.stderr, /^exported: 20 of 40 rows$/m)
    assert.include(ended.stderr, `${path} of checkpoint 1 is corrupt at byte ${block}`)
  })

  it("a segment that has lost its end up to its last whole block, and then what is missing", async () => {
    const { directory, pending } = await pendingState(fixture, "cut", { checkpoints: 1 })
    const { bytes } = pending[0]!
    const path = segmentPath(directory, pending[0]!)
    const [, second, third] = blocksOf(path)
    const words = async (size: number, rows: number, told = `its end is missing, with ${40 - rows} of its 40 rows`) => {
      Fs.truncateSync(path, size)
      const ended = await exported(directory, "--checkpoint=1")
      assert.strictEqual(ended.code, 7, ended.stderr)
      const places = ended.stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line).place)
      assert.deepStrictEqual(places, Array.from({ length: rows }, (_, i) => i + 1))
      assert.match(ended.stderr, new RegExp(`^exported: ${rows} of 40 rows$`, "m"))
      assert.include(
        ended.stderr,
        `${path} of checkpoint 1 is corrupt at byte ${size}: it has ${size} bytes, but was sealed with ${bytes}: ${told}`
      )
    }
    // In the middle of a block, in its first bytes, between two of them, and in the header.
    await words(bytes - 1, 30)
    await words(third! + 5, 20)
    await words(third!, 20)
    await words(second! - 1, 0)
    await words(40, 0, "its header ends behind that")
  })

  it("what does not wait there", async () => {
    const { directory } = await pendingState(fixture, "none", { checkpoints: 2 })
    const words = async (code: number, expected: RegExp, ...more: ReadonlyArray<string>) => {
      const ended = await exported(directory, ...more)
      assert.strictEqual(ended.code, code, ended.stderr)
      assert.match(ended.stderr, expected)
      assert.strictEqual(ended.stdout, "")
    }
    await words(3, /no rows of checkpoint 9: rows wait of the checkpoints 1, 2/, "--checkpoint=9")
    await words(3, /no rows of x\.wal: the segments are e1-a0-s0-n0\.wal, /, "--segment=x.wal")
    await words(64, /--segment.*--checkpoint/)
  })
})
