/**
 * The benchmark suite runs, checks what it measures, and reports it. What the numbers are is not looked at.
 */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "cassandra-driver"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { afterAll, beforeAll } from "vitest"
import * as Curves from "../../benchmarks/curves.ts"
import type { RawData } from "../../benchmarks/report.ts"
import type { Workload } from "../../benchmarks/rows.ts"
import {
  indexOf,
  insertInto,
  makeRowAt,
  payloadBytes,
  tableColumns,
  valuesOf,
  workloads
} from "../../benchmarks/rows.ts"
import { ratio, spread } from "../../benchmarks/stats.ts"
import { verify } from "../../benchmarks/verify.ts"

const bench = (...args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>((resolve) => {
    const child = ChildProcess.spawn(process.execPath, ["benchmarks/bench.ts", ...args])
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (data) => stdout += data)
    child.stderr.on("data", (data) => stderr += data)
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })

describe("the report in the repository", () => {
  it.each(["benchmarks/report", "benchmarks/report/2000000"])("%s is of a whole run, not of a trial", (directory) => {
    const data = JSON.parse(Fs.readFileSync(Path.join(directory, "raw.json"), "utf8")) as RawData
    assert.isAtLeast(data.rows, 200_000)
    assert.isAtLeast(data.rounds, data.rows > 200_000 ? 2 : 5)
    assert.match(data.server!, /^Cassandra \S+ \(java, heap 2G, commit log synced every 10 s\)$/)
    assert.notInclude(data.machine.commit, "with changes")
    assert.include(data.measurements.map(({ benchmark }) => benchmark), "own-1s@unique-100")
    assert.deepStrictEqual(data.failures, [])
  })
})

describe("npm run bench", () => {
  it("runs what it is asked for, in rounds, and writes the report", async () => {
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-bench-test-"))
    try {
      const names = ["own-1s@unique-100", "driver-tuned@unique-100", "wal-append", "raw-write"]
      const { code, stderr, stdout } = await bench(
        "--only",
        names.join(","),
        "--rows",
        "2000",
        "--rounds",
        "2",
        "--json",
        "--report",
        directory
      )
      assert.strictEqual(code, 0, stderr)
      const data = JSON.parse(stdout) as RawData
      assert.deepStrictEqual(data.failures, [])
      // Interleaved: all of round 1, then all of round 2, where each block begins with another.
      const [own1s, tuned, append, raw] = names
      assert.deepStrictEqual(
        data.measurements.map(({ benchmark, round }) => `${round} ${benchmark}`),
        [
          ...[own1s, tuned, append, raw].map((name) => `1 ${name}`),
          ...[tuned, own1s, raw, append].map((name) => `2 ${name}`)
        ]
      )
      for (const { benchmark, values } of data.measurements) {
        for (const [key, value] of Object.entries(values)) {
          assert.isTrue(Number.isFinite(value) && value >= 0, `${benchmark}: ${key} is ${value}`)
        }
      }
      const own = data.measurements[0]!
      assert.strictEqual(own.values["rows"], 2000)
      assert.isAbove(own.values["rowsPerSecond"]!, 0)
      assert.strictEqual(own.samples!.at(-1)!.committed, 2000)
      const report = Fs.readFileSync(Path.join(directory, "report.md"), "utf8")
      for (const text of ["own-1s ÷ this", "| log append: raw write + fsync | at least 0.7 × |", "![Throughput]"]) {
        assert.include(report, text)
      }
      for (const file of ["throughput.svg", "latency.svg", "rss.svg", "scaling.svg"]) {
        assert.match(Fs.readFileSync(Path.join(directory, file), "utf8"), /^<svg [^]*<\/svg>$/, file)
      }
      const again = await bench("--from", Path.join(directory, "raw.json"))
      assert.strictEqual(again.code, 0, again.stderr)
      assert.include(again.stdout, "own-1s ÷ this")
      // It says where it writes a report: nowhere, and least of all over that of a whole run.
      assert.strictEqual(again.stderr, "")
    } finally {
      Fs.rmSync(directory, { recursive: true })
    }
  }, 180_000)

  it("lists its names, and says which it does not know", async () => {
    const [list, unknown] = await Promise.all([bench("--list"), bench("--only", "own-1s,fastest")])
    assert.strictEqual(list.code, 0)
    for (const name of ["flink-wal-files@unique-100", "dsbulk@shared-10k", "recovery-2g", "restart-flink"]) {
      assert.include(list.stdout, name)
    }
    assert.strictEqual(unknown.code, 2)
    assert.match(unknown.stderr, /^error: there is no benchmark 'fastest': --list shows their names\n/)
  })

  it("is read by somebody who stops reading", async () => {
    const child = ChildProcess.spawn(process.execPath, ["benchmarks/bench.ts", "--list"])
    child.stdout.destroy()
    let stderr = ""
    child.stderr.on("data", (data) => stderr += data)
    const code = await new Promise((resolve) => child.on("close", resolve))
    assert.deepStrictEqual([code, stderr], [0, ""])
  })
})

const keyspace = `effect_cassandra_bench_test_${Date.now().toString(36)}`
const client = new Client({
  contactPoints: process.env["CASSANDRA_CONTACT_POINTS"]!.split(","),
  localDataCenter: process.env["CASSANDRA_LOCAL_DC"]!,
  encoding: { useBigIntAsLong: true }
})

describe("verify", () => {
  const rows = 250
  const workload: Workload = { name: "shared-100", shape: "shared", rowBytes: 100 }
  const table = `${keyspace}.rows`
  const rowAt = makeRowAt(workload)
  const insert = (i: number, id = rowAt(i).id) =>
    client.execute(insertInto(table, "shared"), [BigInt(id), ...valuesOf("shared", rowAt(i)).slice(1)], {
      prepare: true
    })
  const refusal = (isOrdered = false) =>
    verify(client, table, workload, { count: rows, isOrdered }).then(() => null, (error: Error) => error.message)

  beforeAll(async () => {
    await client.execute(
      `CREATE KEYSPACE ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`
    )
    await client.execute(`CREATE TABLE ${table} (${tableColumns("shared")})`)
    for (let i = 0; i < rows; i++) await insert(i)
  })
  afterAll(async () => {
    await client.execute(`DROP KEYSPACE ${keyspace}`)
    await client.shutdown()
  })

  it("accepts the rows, and refuses a missing, a foreign, a different and a reordered one", async () => {
    assert.isNull(await refusal(true))
    const { id, pos } = rowAt(77)
    const key = `id = ${id} AND pos = ${pos}`
    await client.execute(`DELETE FROM ${table} WHERE ${key}`)
    assert.match((await refusal())!, /it has 249 rows instead of 250/)
    await insert(77, 1_000_000)
    assert.match((await refusal())!, /a row with key 1000000 that nobody wrote/)
    await client.execute(`DELETE FROM ${table} WHERE id = 1000000`)
    await insert(77)
    assert.isNull(await refusal(), "all are there again")
    assert.match((await refusal(true))!, /row 78 has write time/)
    await client.execute(`UPDATE ${table} SET kind = 5 WHERE ${key}`)
    assert.match((await refusal())!, /row 77 has kind = 5, not 77/)
    await client.execute(`DELETE payload FROM ${table} WHERE ${key}`)
    assert.match((await refusal())!, /row 77 has no payload/)
  })
})

describe("rows", () => {
  for (const workload of workloads) {
    it(`${workload.name}: every index has a key of its own that leads back to it`, () => {
      const rowAt = makeRowAt(workload)
      const perPartition = new Map<number, number>()
      for (let i = 0; i < 10_000; i++) {
        const { id, payload, pos } = rowAt(i)
        assert.strictEqual(indexOf(workload.shape, id, pos), i)
        assert.strictEqual(payload.length, payloadBytes(workload))
        perPartition.set(id, (perPartition.get(id) ?? 0) + 1)
      }
      assert.deepStrictEqual([...new Set(perPartition.values())], [workload.shape === "unique" ? 1 : 100])
    })
  }
})

describe("numbers", () => {
  const run = (benchmark: string, round: number, value: number) => ({ benchmark, round, values: { value } })

  it("medians have their spread, and ratios are of runs of one round", () => {
    assert.isNull(spread([]))
    assert.deepStrictEqual(spread([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4, count: 4 })
    // The machine was ten times slower in round 2, and B has no third round.
    const runs = [run("A", 1, 20), run("B", 1, 10), run("A", 2, 2), run("B", 2, 1), run("A", 3, 7)]
    assert.deepStrictEqual(ratio(runs, ["A", "value"], ["B", "value"]), { median: 2, min: 2, max: 2, count: 2 })
    assert.isNull(ratio(runs, ["A", "value"], ["C", "value"]))
  })

  it("latency is that of the oldest row of what was committed", () => {
    const samples = [
      { t: 0, read: 0, committed: 0 },
      { t: 1, read: 100, committed: 0 },
      { t: 2, read: 200, committed: 100 },
      { t: 3, read: 200, committed: 200 }
    ]
    const [first, second] = Curves.latencies(samples)
    assert.closeTo(first!.seconds, 2, 0.02)
    assert.closeTo(second!.seconds, 2, 0.02)
  })
})
