/**
 * The programs of examples/ that no page shows: they run, are killed, and go on.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Client } from "cassandra-driver"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { setTimeout } from "node:timers/promises"
import * as CassandraServer from "../src/testing/CassandraServer.ts"
import { inDirectory, keyspace, run, start, withClient } from "./exampleFixture.ts"

/** A fresh table, and no ledger of an earlier run of the tests on the same server. */
const prepare = async (client: Client, table: string, columns: string, jobId: string) => {
  await client.execute(keyspace(table.split(".")[0]!))
  await client.execute(`DROP TABLE IF EXISTS ${table}`)
  await client.execute(`CREATE TABLE ${table} (${columns})`)
  await client.execute(`DROP TABLE IF EXISTS flink_auxiliary.checkpoints_${jobId}`).catch(() => {})
}

const count = async (client: Client, table: string): Promise<number> =>
  Number((await client.execute(`SELECT count(*) AS n FROM ${table}`)).rows[0]!["n"])

/** Starts an example and kills it when some of its rows are in the table, and not all of them. */
const killHalfway = async (client: Client, example: string, directory: string, table: string, total: number) => {
  const { ended, kill } = start(example, directory)
  const running = { is: true }
  void ended.then(() => running.is = false)
  while (running.is && await count(client, table) === 0) await setTimeout(20)
  kill()
  const { output, signal } = await ended
  assert.strictEqual(signal, "SIGKILL", output)
  const rows = await count(client, table)
  assert.isAbove(rows, 0)
  assert.isBelow(rows, total)
}

describe("examples/", () => {
  it("two-clusters.ts: rows in one, the ledger in the other", () =>
    inDirectory((directory) =>
      withClient((client) =>
        Effect.runPromise(Effect.scoped(Effect.gen(function*() {
          const other = yield* CassandraServer.make({ kinds: ["docker", "java"] })
          assert.notInclude(process.env["CASSANDRA_CONTACT_POINTS"]!, other.contactPoints[0]!)
          yield* Effect.promise(async () => {
            await prepare(client, "numbers.primes", "i int PRIMARY KEY, prime int", "primes")
            const env = {
              LEDGER_CASSANDRA_CONTACT_POINTS: other.contactPoints.join(","),
              LEDGER_CASSANDRA_LOCAL_DC: other.localDataCenter
            }
            const first = await run("two-clusters.ts", directory, { env })
            assert.include(first.output, "finished: 1229 rows")
            assert.strictEqual(await count(client, "numbers.primes"), 1229)
            assert.include((await run("two-clusters.ts", directory, { env })).output, "nothing-to-do: 0 rows")
            const ledgers = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'ledgers'"
            assert.lengthOf((await client.execute(ledgers)).rows, 0)
            await withClient(async (client) => {
              assert.strictEqual((await client.execute(ledgers)).rows[0]!["table_name"], "checkpoints_primes")
            }, other.contactPoints.join(","))
          })
        })))
      )
    ))

  it("custom-source.ts: killed between two pages, it goes on behind its last checkpoint", () =>
    inDirectory((directory) =>
      withClient(async (client) => {
        const total = 3000
        await prepare(client, "weather.readings", "id int PRIMARY KEY, sensor text, celsius double", "readings_api")
        const asked: Array<number> = []
        let refusals = 3
        let onPage = () => {}
        const server = Http.createServer((request, response) => {
          const after = Number(new URL(request.url!, "http://api").searchParams.get("after"))
          if (refusals-- > 0) return void response.writeHead(503).end()
          asked.push(after)
          onPage()
          const page = Array.from({ length: Math.min(50, total - after) }, (_, i) => after + i + 1)
            .map((id) => ({ id, sensor: `s${id % 7}`, celsius: id / 10 }))
          void setTimeout(20).then(() => response.end(JSON.stringify(page)))
        }).listen(0, "127.0.0.1")
        try {
          await new Promise((resolve) => server.once("listening", resolve))
          const args = [`http://127.0.0.1:${(server.address() as AddressInfo).port}/readings`]
          const first = start("custom-source.ts", directory, { args })
          onPage = () => {
            if (asked.length === 40) first.kill()
          }
          assert.strictEqual((await first.ended).signal, "SIGKILL")
          const killedAt = asked.splice(0).at(-1)!
          const second = await run("custom-source.ts", directory, { args })
          assert.include(second.output, "finished", second.output)
          assert.isAbove(asked[0]!, 0)
          assert.isAtMost(asked[0]!, killedAt)
          assert.strictEqual(await count(client, "weather.readings"), total)
        } finally {
          server.close()
        }
      })
    ))

  it("custom-committer.ts: killed, it goes on in the next epoch of its own ledger", () =>
    inDirectory((directory) =>
      withClient(async (client) => {
        const table = "numbers.cubes_sqlite"
        await prepare(client, table, "n int PRIMARY KEY, cube bigint", "cubes_sqlite")
        await killHalfway(client, "custom-committer.ts", directory, table, 40_000)
        const second = await run("custom-committer.ts", directory)
        assert.match(second.output, /finished: \d+ rows in epoch 2, \d+ commits/)
        assert.strictEqual(await count(client, table), 40_000)
        const ledger = new DatabaseSync(Path.join(directory, "ledger.sqlite"))
        const marks = new Map(
          ledger.prepare("SELECT sub_id, value FROM ledger").all().map((row) => [row["sub_id"], row["value"]] as const)
        )
        ledger.close()
        assert.strictEqual(marks.get(-1), 2)
        // The last checkpoint may have had no rows, and then nothing to commit.
        assert.isAtLeast(Number(marks.get(0)), Number(marks.get(-2)) - 1)
        assert.isAtMost(Number(marks.get(0)), Number(marks.get(-2)))
        const inCassandra = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'flink_auxiliary'"
        const tables = (await client.execute(inCassandra)).rows.map((row) => row["table_name"])
        assert.notInclude(tables, "checkpoints_cubes_sqlite")
      })
    ))

  it("custom-state-backend.ts: killed, it goes on from its own log", () =>
    inDirectory((directory) =>
      withClient(async (client) => {
        const table = "numbers.fourth_powers"
        await prepare(client, table, "n int PRIMARY KEY, power varint", "fourth_powers")
        await killHalfway(client, "custom-state-backend.ts", directory, table, 40_000)
        const second = await run("custom-state-backend.ts", directory)
        assert.match(second.output, /Resuming from checkpoint \d+/)
        assert.include(second.output, "finished", second.output)
        assert.strictEqual(await count(client, table), 40_000)
        const last = await client.execute(`SELECT power FROM ${table} WHERE n = 39999`)
        assert.strictEqual(String(last.rows[0]!["power"]), String(39_999n ** 4n))
        const state = new DatabaseSync(Path.join(directory, "state.sqlite"))
        const left = state.prepare("SELECT count(*) AS n FROM manifest").get()
        state.close()
        assert.strictEqual(left?.["n"], 1)
      })
    ))

  it("dead-letters.ts sets bad records aside, and loads them when they were mended", () =>
    inDirectory((directory) =>
      withClient(async (client) => {
        await prepare(client, "shop.orders", "id int PRIMARY KEY, amount varint", "shop")
        await client.execute("DROP TABLE IF EXISTS flink_auxiliary.checkpoints_shop_replay").catch(() => {})
        const lines = Array.from({ length: 200 }, (_, id) => `{"id":${id},"amount":${10n ** 20n + BigInt(id)}}`)
        lines[50] = "{\"id\":50,"
        lines[60] = lines[60]!.replace("\"amount\":1", "\"amount\":\"much\",\"was\":1")
        Fs.writeFileSync(Path.join(directory, "orders.ndjson"), lines.join("\n"))
        const first = await run("dead-letters.ts", directory)
        assert.include(first.output, "198 rows in the table, 2 set aside", first.output)
        const letters = Path.join(directory, "shop.letters.ndjson")
        Fs.writeFileSync(
          letters,
          Fs.readFileSync(letters, "utf8").replace(`"line":"{\\"id\\":50,"`, `"record":{"id":50,"amount":1}`)
            .replace("\"much\"", "2")
        )
        const second = await run("dead-letters.ts", directory, { args: ["shop.letters.ndjson"] })
        assert.include(second.output, "2 rows in the table, 0 set aside", second.output)
        const { rows } = await client.execute("SELECT id, amount FROM shop.orders")
        assert.strictEqual(rows.length, 200)
        for (const row of rows) {
          const id = Number(row["id"])
          const amount = id === 50 ? 1n : id === 60 ? 2n : 10n ** 20n + BigInt(id)
          assert.strictEqual(String(row["amount"]), String(amount))
        }
      })
    ))

  it("real-server.ts: the test of a pipeline passes", () =>
    inDirectory(async (directory) => {
      const { code, output } = await run("real-server.ts", directory)
      assert.strictEqual(code, 0, output)
      assert.match(output, /pass 1$/m)
    }))

  it("savepoint.ts: taken of a running job, and restored under another name with another parallelism", () =>
    inDirectory((directory) =>
      withClient(async (client) => {
        const [table, total] = ["numbers.squares", 40_000]
        await prepare(client, table, "n int PRIMARY KEY, square bigint", "squares")
        await client.execute("DROP TABLE IF EXISTS flink_auxiliary.checkpoints_squares_moved").catch(() => {})
        const first = await run("savepoint.ts", directory)
        const [, records, path] = /savepoint of (\d+) records: (\S+)/.exec(first.output) ?? []
        assert.isDefined(path, first.output)
        assert.isBelow(Number(records), total)
        assert.isBelow(await count(client, table), total)
        const second = await run("savepoint.ts", directory, { args: [path!] })
        assert.include(second.output, `finished: ${total - Number(records)} records read behind the savepoint`)
        assert.strictEqual(await count(client, table), total)
        const ledger = await client.execute("SELECT sub_id FROM flink_auxiliary.checkpoints_squares_moved")
        const subtasks = ledger.rows.map((row) => Number(row["sub_id"])).filter((id) => id >= 0)
        assert.sameMembers(subtasks, [0, 1, 2, 3])
        const again = await run("savepoint.ts", directory, { args: [path!] })
        assert.include(again.output, "nothing-to-do: 0 records", again.output)
      })
    ))

  it("README.md has each of them, and each is run by a test", () => {
    const index = Fs.readFileSync("examples/README.md", "utf8")
    const tests = Fs.readdirSync("test", { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".test.ts")).map((file) => Fs.readFileSync(Path.join("test", file), "utf8"))
    for (const name of Fs.readdirSync("examples").filter((file) => file.endsWith(".ts"))) {
      assert.include(index, `[${name}](${name})`)
      assert.isTrue(tests.some((text) => text.includes(name)), `${name} is run by no test`)
    }
  })
})
