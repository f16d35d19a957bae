/**
 * What the command says of itself: for a script, and into a file.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFileSync, spawn } from "node:child_process"
import * as Fs from "node:fs"
import type { Fixture } from "./commandFixture.ts"
import { many, openFixture, run, start, startAndHold, until } from "./commandFixture.ts"

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture("cli_output_test")
})
afterAll(() => fixture?.close())

/** `fixture.load`, with another progress than none. */
const load = (uid: string, file: string, progress: string, ...more: ReadonlyArray<string>) =>
  fixture.load(uid, file, undefined, `--progress=${progress}`, ...more)

const objects = (text: string): ReadonlyArray<any> => text.trimEnd().split("\n").map((line) => JSON.parse(line))

const linesOf = (path: string): ReadonlyArray<string> => Fs.readFileSync(path, "utf8").trimEnd().split("\n")

describe.concurrent("--progress json", () => {
  it("every line on stderr is an object, a report every five seconds and one at the end", async () => {
    const file = fixture.write("json.ndjson", fixture.wideLines("json", many))
    const { child, release } = await startAndHold(fixture, "json", file, "--progress=json", "--json")
    const reports = (text: string) =>
      text.split("\n").slice(0, -1).map((line) => JSON.parse(line)).filter(({ type }) => type === "progress")
    await until(child, "two reports", () => reports(child.stderr()).length >= 2)
    release()
    const { code, stderr, stdout } = await child.ended
    assert.strictEqual(code, 0, stderr)
    const all = objects(stderr)
    for (const { time, type } of all) {
      assert.include(["progress", "log", "message"], type)
      assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    }
    const held = reports(stderr)[0]
    assert.deepStrictEqual([held.jobId, held.uid, held.last], ["cli", "json", false])
    assert.isAbove(held.rows, held.committed)
    assert.isAbove(held.pendingRows, 0)
    assert.isAbove(held.pendingBytes, held.pendingRows * 4000)
    assert.isAtLeast(held.pendingCheckpoints, 1)
    assert.isAbove(held.oldestPendingSeconds, 1)
    assert.isAbove(held.total, held.position)
    assert.isAtLeast(reports(stderr)[1].seconds - held.seconds, 4)
    const last = all.findLast(({ type }) => type === "progress")
    const summary = JSON.parse(stdout)
    assert.deepStrictEqual(
      [last.last, last.rows, last.committed, last.pendingRows, last.pendingBytes, last.oldestPendingSeconds, last.lag],
      [true, summary.rows, summary.committed, 0, 0, null, 0]
    )
    assert.strictEqual(reports(stderr).filter((one) => one.last).length, 1)
    assert.isTrue(
      all.some(({ level, message, type }) => type === "log" && level === "info" && message.startsWith("Job cli"))
    )
    const { level, message, type } = all.at(-1)
    assert.deepStrictEqual([type, level], ["message", "info"])
    assert.match(message, /^finished: 4,000 rows read, 4,000 committed/)
  })

  it("errors, warnings and a load that has nothing to do are objects too; bad usage is text", async () => {
    const missing = await run(load("nothing", fixture.path("nowhere.ndjson"), "json"))
    assert.strictEqual(missing.code, 3)
    const [error] = objects(missing.stderr)
    assert.deepStrictEqual([error.type, error.level], ["message", "error"])
    assert.match(error.message, /^error: .*nowhere\.ndjson/)

    const args = load("nothing", fixture.write("nothing.ndjson", fixture.lines("nothing", 5)), "json")
    assert.strictEqual((await run(args)).code, 0)
    const again = await run(args)
    assert.strictEqual(again.code, 0)
    const told = objects(again.stderr)
    assert.deepStrictEqual(told.filter(({ type }) => type === "progress").map(({ last, rows }) => [last, rows]), [[
      true,
      0
    ]])
    assert.match(told.at(-1).message, /^nothing to do: /)

    const checked = await run(["check", ...args.slice(1), "--restart-attempts=7", "--json"])
    assert.strictEqual(checked.code, 64)
    assert.isFalse(JSON.parse(checked.stdout).ok)
    const usage = await run(["load", "x", "--progress=json"])
    assert.strictEqual(usage.code, 64)
    assert.match(usage.stderr, /^error: .*\nSee effect-cassandra load --help\.\n$/s)
  })
})

describe.concurrent("--log-file", () => {
  it("gets what is logged and what is said, with time, level and a run id, run after run", async () => {
    const log = fixture.path("runs.log")
    const args = load("runs", fixture.write("runs.ndjson", fixture.lines("runs", 20)), "plain", `--log-file=${log}`)
    const first = await run(args)
    assert.strictEqual(first.code, 0, first.stderr)
    assert.match(first.stderr, /^info {2}Job cli \(uid runs\): /m)
    assert.match(first.stderr, /^finished: 20 rows read/m)
    const lines = linesOf(log)
    for (const line of lines) {
      assert.match(line, /^timestamp=\d{4}-\S+Z level=(?:INFO|WARN) fiber=#\d+ message=.* run=[0-9a-f]{8}$/)
    }
    assert.match(lines[0]!, /message="load began: effect-cassandra 0\.1\.0, Node \S+, process \d+ on /)
    assert.isTrue(lines.some((line) => line.includes("message=\"Job cli (uid runs): ")))
    assert.isTrue(lines.some((line) => line.includes("message=\"finished: 20 rows read, 20 committed")))
    assert.match(lines.at(-1)!, /message="load ended with exit code 0"/)
    // What is shown while it goes on is not.
    assert.isFalse(lines.some((line) => line.includes("rows 20")))
    assert.strictEqual((await run(args)).code, 0)
    const both = linesOf(log)
    assert.deepStrictEqual(both.slice(0, lines.length), lines)
    assert.strictEqual(new Set(both.map((line) => line.slice(-8))).size, 2)

    const failed = await run(load("runs", fixture.path("nowhere"), "none", `--log-file=${log}`))
    assert.strictEqual(failed.code, 3)
    const tail = linesOf(log).slice(both.length)
    assert.match(tail.at(-2)!, /level=ERROR .*message="error: .*nowhere/)
    assert.match(tail.at(-1)!, /message="load ended with exit code 3"/)
    // Another verb, and a variable instead of a flag.
    const verified = ["verify", fixture.path("runs.ndjson"), `--query=${fixture.insert}`]
    const ended = await run(verified, { env: { EFFECT_CASSANDRA_LOG_FILE: log } })
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.match(linesOf(log).at(-1)!, /message="verify ended with exit code 0"/)
  })

  it("restarts are in it when they happen, and a killed run has no last line", async () => {
    const log = fixture.path("killed.log")
    const file = fixture.write("killed.ndjson", fixture.lines("killed", 5000))
    const patient = ["--restart=fixed-delay", "--restart-delay=1 hour", `--log-file=${log}`]
    const child = await start(load("killed", file, "none", ...patient), { fileBlocksMax: 100 })
    await until(child, "a failure", () => child.stderr().includes("starts again in 1h: Could not write"))
    // The terminal has it first: a kill must not come between the two.
    await until(child, "the same in the file", () => Fs.readFileSync(log, "utf8").includes("starts again in 1h"))
    child.kill("SIGKILL")
    await child.ended
    const lines = linesOf(log)
    assert.isTrue(
      lines.some((line) => /level=WARN .*message="The job failed and starts again in 1h: Could not write/.test(line)),
      lines.join("\n")
    )
    assert.isFalse(lines.some((line) => line.includes("load ended")))
  })

  it("a path that can't be written is refused before anything is started, with the way out", async () => {
    const file = fixture.write("refused.ndjson", fixture.lines("refused", 3))
    Fs.mkdirSync(fixture.path("logs"))
    for (
      const [path, words] of [
        [fixture.path("none/x.log"), /\(ENOENT\), its directory does not exist: make it, or give another --log-file/],
        [fixture.path("logs"), /\(EISDIR\), it is a directory: add the name of a file/],
        [`${file}/x.log`, /\(ENOTDIR\), what should be its directory is a file/]
      ] as const
    ) {
      const ended = await run(load("refused", file, "none", `--log-file=${path}`))
      assert.strictEqual(ended.code, 3, ended.stderr)
      assert.match(ended.stderr, /^error: The log file \S+ can't be written /)
      assert.match(ended.stderr, words)
    }
    for (const path of [file, `${fixture.path("state-refused")}.dead-letters.ndjson`]) {
      const used = await run(load("refused", file, "none", `--log-file=${path}`))
      assert.strictEqual(used.code, 64, used.stderr)
      assert.match(used.stderr, /^error: The log can't be written to \S+, which is used: give another --log-file/)
    }
    assert.isFalse(Fs.existsSync(fixture.path("state-refused")), "something was started")
    assert.strictEqual(Fs.readFileSync(file, "utf8"), `${fixture.lines("refused", 3).join("\n")}\n`)
  })

  it("a file that is read is none, under another name or as one of a pattern", async () => {
    const text = `${fixture.lines("own", 3).join("\n")}\n`
    const file = fixture.write("own-1.ndjson", fixture.lines("own", 3))
    const [link, second, pattern] = [
      fixture.path("own.log"),
      fixture.path("own-2.ndjson"),
      fixture.path("own-?.ndjson")
    ]
    Fs.symlinkSync(file, link)
    for (
      const [input, path, which] of [
        [file, link, `(that is ${file})`],
        [pattern, second, `(that is one of ${pattern})`],
        [pattern, link, `(that is one of ${pattern})`]
      ] as const
    ) {
      const used = await run(load("own", input, "none", `--log-file=${path}`))
      assert.strictEqual(used.code, 64, used.stderr)
      assert.include(used.stderr, `error: The log can't be written to ${path} ${which}, which is used: give another`)
    }
    assert.strictEqual(Fs.readFileSync(file, "utf8"), text)
    assert.isFalse(Fs.existsSync(second))
  })

  it("a pipe is written to while somebody reads it, and nobody waits for a reader", async () => {
    const pipe = fixture.path("pipe.log")
    execFileSync("mkfifo", [pipe])
    const args = load("piped", fixture.write("piped.ndjson", fixture.lines("piped", 30)), "none", `--log-file=${pipe}`)
    const alone = await run(args)
    assert.strictEqual(alone.code, 3, alone.stderr)
    assert.match(alone.stderr, /can't be written \(ENXIO\), it is a pipe that nobody reads: begin to read it first, or/)
    const reader = spawn("cat", [pipe])
    let read = ""
    reader.stdout.on("data", (chunk) => read += chunk)
    const closed = new Promise((resolve) => reader.on("close", resolve))
    // So that there is a reader when the command begins.
    const opened = await Fs.promises.open(pipe, "w")
    const ended = await run(args)
    await opened.close()
    await closed
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.match(read, /message="load ended with exit code 0"/)
  })

  it("a disk that is full is said once, and the load goes on", async () => {
    const args = load("full", fixture.write("full.ndjson", fixture.lines("full", 30)), "json", "--log-file=/dev/full")
    const { code, stderr } = await run(args)
    assert.strictEqual(code, 0, stderr)
    const warnings = objects(stderr).filter(({ message = "" }) => /\/dev\/full can't be written any more/.test(message))
    assert.deepStrictEqual(warnings.map(({ level }) => level), ["warn"])
    assert.match(warnings[0].message, /\(ENOSPC\): lines are missing there$/)
    assert.lengthOf(await fixture.rows("full"), 30)
  })
})
