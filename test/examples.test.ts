/**
 * Examples that no page runs.
 */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "cassandra-driver"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { promisify } from "node:util"

describe("examples", () => {
  it("dead-letters.ts sets bad records aside, and loads them when they were mended", async () => {
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-examples-"))
    const client = new Client({
      contactPoints: process.env["CASSANDRA_CONTACT_POINTS"]!.split(","),
      localDataCenter: process.env["CASSANDRA_LOCAL_DC"] ?? "datacenter1",
      encoding: { useBigIntAsLong: true, useBigIntAsVarint: true }
    })
    try {
      await client.execute(
        "CREATE KEYSPACE IF NOT EXISTS shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
      )
      await client.execute("DROP TABLE IF EXISTS shop.orders")
      for (const job of ["shop", "shop_replay"]) {
        await client.execute(`DROP TABLE IF EXISTS flink_auxiliary.checkpoints_${job}`).catch(() => {})
      }
      await client.execute("CREATE TABLE shop.orders (id int PRIMARY KEY, amount varint)")
      const lines = Array.from({ length: 200 }, (_, id) => `{"id":${id},"amount":${10n ** 20n + BigInt(id)}}`)
      lines[50] = "{\"id\":50,"
      lines[60] = lines[60]!.replace("\"amount\":1", "\"amount\":\"much\",\"was\":1")
      Fs.writeFileSync(Path.join(directory, "orders.ndjson"), lines.join("\n"))
      const run = async (...args: ReadonlyArray<string>) =>
        (await promisify(execFile)(process.execPath, [Path.resolve("examples/dead-letters.ts"), ...args], {
          cwd: directory
        })).stdout
      assert.include(await run(), "198 rows in the table, 2 set aside")
      const letters = Path.join(directory, "shop.letters.ndjson")
      Fs.writeFileSync(
        letters,
        Fs.readFileSync(letters, "utf8").replace(`"line":"{\\"id\\":50,"`, `"record":{"id":50,"amount":1}`)
          .replace("\"much\"", "2")
      )
      assert.include(await run("shop.letters.ndjson"), "2 rows in the table, 0 set aside")
      const { rows } = await client.execute("SELECT id, amount FROM shop.orders")
      assert.strictEqual(rows.length, 200)
      for (const { amount, id } of rows as unknown as ReadonlyArray<{ readonly id: number; readonly amount: bigint }>) {
        assert.strictEqual(amount, id === 50 ? 1n : id === 60 ? 2n : 10n ** 20n + BigInt(id))
      }
    } finally {
      await client.shutdown()
      Fs.rmSync(directory, { recursive: true })
    }
  })
})
