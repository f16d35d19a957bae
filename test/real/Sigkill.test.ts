/**
 * The real command, on a real Cassandra, killed with SIGKILL at random moments until it has died 20 times, at
 * parallelism 1 and 4. Each key is updated many times, with values that fall: at equal timestamps, or out of order, an
 * earlier one would win.
 */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, FileSystem, Stream } from "effect"
import * as ChildProcess from "node:child_process"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import {
  contactPoints,
  fresh,
  ledgerKeyspace,
  live,
  localDataCenter,
  makeTable,
  readLedger,
  tempDirectory
} from "./fixture.ts"

const kills = 20
const lines = 240_000
const keys = 4_000

const load = (args: ReadonlyArray<string>) => {
  const child = ChildProcess.spawn(process.execPath, ["src/bin.ts", "load", ...args], {
    stdio: ["ignore", "pipe", "pipe"]
  })
  let stdout = ""
  let stderr = ""
  let working = () => {}
  const started = new Promise<void>((resolve) => working = resolve)
  child.stdout.on("data", (data) => stdout += data)
  child.stderr.on("data", (data) => {
    stderr += data
    working()
  })
  const ended = new Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>(
    (resolve) => child.on("close", (code) => (working(), resolve({ code, stdout, stderr })))
  )
  return { child, started, ended }
}

layer(live, { timeout: 60_000, excludeTestServices: true })("SIGKILL of the command", (it) => {
  describe.concurrent("at 20 random moments: nothing missing, nothing different, nothing written anew", () => {
    for (const parallelism of [1, 4]) {
      it.effect(`parallelism ${parallelism}`, () =>
        Effect.scoped(Effect.gen(function*() {
          const fs = yield* FileSystem.FileSystem
          const session = yield* CassandraSession
          const table = yield* makeTable("id int PRIMARY KEY, seq int, a int, b text")
          const directory = yield* tempDirectory
          const jobId = fresh("k")
          const file = `${directory}/updates.ndjson`
          const key = (seq: number) => Math.imul(seq, 2_654_435_761) >>> 0
          let text = ""
          const expected = new Map<number, number>()
          for (let seq = 1; seq <= lines; seq++) {
            const id = key(seq) % keys
            expected.set(id, seq)
            text += `{"id":${id},"seq":${seq},"a":${-seq},"b":"${"z".repeat(lines % 7)}${lines - seq}"}\n`
          }
          yield* fs.writeFileString(file, text)
          const args = [
            [file, "--query", `INSERT INTO ${table} (id, seq, a, b) VALUES (?, ?, ?, ?)`],
            ["--contact-points", contactPoints.join(","), "--local-dc", localDataCenter, "--job", jobId],
            ["--checkpoint-keyspace", ledgerKeyspace, "--state", `${directory}/state`],
            ["--parallelism", String(parallelism), "--checkpoint-interval", "100 millis"],
            ["--segment-bytes", "262144", "--pending-bytes", "2097152", "--max-in-flight", "8", "--json"]
          ].flat()

          /** Write times by key and sequence number, as first seen. */
          const seen = new Map<string, number>()
          let rewritten = 0
          let disordered = 0
          const observe = Effect.gen(function*() {
            const rows = yield* Stream.runCollect(session.stream(
              `SELECT id, seq, a, b, WRITETIME(seq) AS t, WRITETIME(a) AS ta, WRITETIME(b) AS tb FROM ${table}`
            ))
            for (const row of rows) {
              const name = `${row["id"]}/${row["seq"]}`
              const time = Number(row["t"])
              if (seen.has(name) && seen.get(name) !== time) rewritten++
              seen.set(name, time)
              if (row["a"] !== -Number(row["seq"]) || row["ta"] !== row["t"] || row["tb"] !== row["t"]) disordered++
            }
            return rows
          })

          let died = 0
          let last = yield* Effect.promise(async () => {
            const first = load(args)
            await first.started
            return first
          })
          while (died < kills) {
            yield* Effect.sleep(Math.random() * 600)
            last.child.kill("SIGKILL")
            const { code } = yield* Effect.promise(() => last.ended)
            assert.isNull(code, "the command ended before it had died 20 times: give it more lines")
            died++
            if (died % 4 === 0) yield* observe
            last = load(args)
            yield* Effect.promise(() => last.started)
          }
          const end = yield* Effect.promise(() => last.ended)
          assert.strictEqual(end.code, 0, end.stderr)
          const rows = yield* observe
          assert.strictEqual(rewritten, 0, "write times changed by a replay")
          assert.strictEqual(disordered, 0, "rows mixed from two updates")
          const found = new Map(rows.map((row) => [Number(row["id"]), Number(row["seq"])]))
          assert.deepStrictEqual(
            [...expected].filter(([id, seq]) => found.get(id) !== seq),
            [],
            "keys whose last update did not win, or that are missing"
          )
          assert.strictEqual(found.size, expected.size)
          const summary = JSON.parse(end.stdout)
          // An epoch a run that got as far as claiming one; the ledger knows the last.
          assert.strictEqual((yield* readLedger(jobId)).get(-1), summary.epoch)
          assert.deepStrictEqual(yield* fs.readDirectory(`${directory}/state/segments`), [])
        })), 240_000)
    }
  })
})
