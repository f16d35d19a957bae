/**
 * The memory of a load grows neither with its input nor with its log. What is measured is a process of its own; the bounds
 * are far from what it takes, and far from what it would take if it held what it must not.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import { afterAll, beforeAll } from "vitest"
import type { Child, Fixture } from "./commandFixture.ts"
import { newestManifest, openFixture, server, start, until } from "./commandFixture.ts"
import { holdAfter } from "./heldServer.ts"

const mebibyte = 1024 ** 2

/** The most memory that a process has had so far, in MiB. */
const peakOf = ({ pid }: Child): number =>
  Number(/^VmHWM:\s+(\d+)/m.exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024

/** How it ended, and the most memory it has had. */
const watch = async (child: Child) => {
  let peak = 0
  const timer = setInterval(() => {
    try {
      peak = peakOf(child)
    } catch {
      // It has ended, and is not yet told to have.
    }
  }, 10)
  const ended = await child.ended
  clearInterval(timer)
  assert.isAbove(peak, 0)
  return { ended, peak }
}

const writeLines = (path: string, count: number, line: (id: number) => string): void => {
  const file = Fs.openSync(path, "w")
  for (let from = 0; from < count; from += 1000) {
    const lines = Array.from({ length: Math.min(1000, count - from) }, (_, i) => line(from + i))
    Fs.writeSync(file, `${lines.join("\n")}\n`)
  }
  Fs.closeSync(file)
}

// The peak of a process that runs is told by Linux alone, in /proc.
describe.skipIf(process.platform !== "linux")("memory", () => {
  let fixture: Fixture
  beforeAll(async () => {
    fixture = await openFixture("effect_cassandra_memory")
    await fixture.client.execute(`CREATE TABLE ${fixture.keyspace}.wide (id int PRIMARY KEY, v text)`)
  })
  afterAll(() => fixture.close())

  it("384 MiB are logged while Cassandra does not answer, and replayed by the next process, in 230 MiB", async () => {
    const rows = 24 * 1024
    const file = fixture.path("wide.ndjson")
    writeLines(file, rows, (id) => `{"id":${id},"v":"${String(id).padEnd(16 * 1024, "x")}"}`)
    const query = `INSERT INTO ${fixture.keyspace}.wide (id, v) VALUES (?, ?)`
    // Segments double from 256 KiB on: the last one has half of it all.
    const load = fixture.load(
      "wide",
      file,
      query,
      "--segment-bytes=1000000000",
      "--pending-bytes=1000000000",
      "--checkpoint-interval=1 hour",
      "--checkpoint-timeout=10 minutes",
      "--json"
    )
    const door = await holdAfter(mebibyte, server.contactPoints)
    const logging = await start(load, { env: door.env })
    const pending = await until(logging, "all is logged", () => {
      const manifest = newestManifest(fixture.path("state-wide"))
      return manifest?.finished === true ? manifest.pending : undefined
    })
    await until(logging, "Cassandra does not answer", door.isHeld)
    const peakOfLogging = peakOf(logging)
    logging.kill("SIGKILL")
    await logging.ended
    door.close()
    const sizes = pending.map(({ name }) => Fs.statSync(`${fixture.path("state-wide")}/segments/${name}`).size)
    assert.isAbove(sizes.reduce((sum, size) => sum + size, 0), 370 * mebibyte)
    assert.isAbove(Math.max(...sizes), 100 * mebibyte)

    const { ended, peak } = await watch(await start(load))
    assert.strictEqual(ended.code, 0, ended.stderr)
    const { committed, replayedCheckpoints } = JSON.parse(ended.stdout)
    // A first MiB of it was sent before.
    assert.isAbove(committed, rows - 200)
    assert.strictEqual(replayedCheckpoints, pending.length)
    // 150 and 175 are usual.
    assert.isBelow(peakOfLogging, 230)
    assert.isBelow(peak, 230)
  })

  it("300,000 rows leave nothing behind in the heap", async () => {
    const rows = 300_000
    // Half of it is the program. A hundred bytes that stay of each row are more than the other half.
    const file = fixture.path("many.ndjson")
    writeLines(file, rows, (id) => fixture.line("many", id))
    const { ended, peak } = await watch(
      await start(fixture.load("many", file, undefined, "--checkpoint-interval=1 second", "--json"), {
        nodeFlags: ["--max-old-space-size=64"]
      })
    )
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.strictEqual(JSON.parse(ended.stdout).committed, rows)
    assert.isBelow(peak, 230)
  })
})
