/** What the driver's client knows of a cluster, which decides which nodes requests go to. */
import { assert, describe, it } from "@effect/vitest"
import type { Client } from "cassandra-driver"
import { makeClient } from "../../src/cassandra/internal/driverClient.ts"

const contactPoints = (process.env["CASSANDRA_CONTACT_POINTS"] ?? "127.0.0.1:9042").split(",")
const keyspace = "driver_client_test"

const strategyOf = (client: Client): unknown => {
  const { strategy, strategyOptions } = client.metadata.keyspaces[keyspace] as unknown as {
    readonly strategy: string
    readonly strategyOptions: unknown
  }
  return { strategy: strategy.replace(/.*\./, ""), strategyOptions }
}

describe("the driver's client", () => {
  it("knows how a keyspace is replicated, with maps as Map: at the start, and after a change", async () => {
    const first = makeClient({ contactPoints })
    await first.connect()
    try {
      await first.execute(
        `CREATE KEYSPACE IF NOT EXISTS ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}`
      )
      await first.metadata.refreshKeyspace(keyspace)
      const simple = { strategy: "SimpleStrategy", strategyOptions: { replication_factor: "3" } }
      assert.deepStrictEqual(strategyOf(first), simple)
      const second = makeClient({ contactPoints })
      await second.connect()
      assert.deepStrictEqual(strategyOf(second), simple)
      await second.shutdown()
      const { rows } = await first.execute(
        "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?",
        [keyspace],
        { prepare: true }
      )
      assert.instanceOf(rows[0]!["replication"], Map)
      await first.execute(`DROP KEYSPACE ${keyspace}`)
    } finally {
      await first.shutdown()
    }
  }, 60_000)

  it("looks for nodes that it finds by itself at the port that all contact points have", () => {
    const portOf = (...args: Parameters<typeof makeClient>) =>
      (makeClient(...args) as unknown as { readonly options: { readonly protocolOptions: { readonly port: number } } })
        .options.protocolOptions.port
    assert.strictEqual(portOf({ contactPoints: ["10.0.0.1:9999", "[::1]:9999"] }), 9999)
    assert.strictEqual(portOf({ contactPoints: ["10.0.0.1:9999", "10.0.0.2"] }), 9042)
    assert.strictEqual(portOf({ contactPoints: ["10.0.0.1", "10.0.0.2"] }), 9042)
    assert.strictEqual(portOf({ contactPoints: ["10.0.0.1:9999"], port: 9043 }), 9043)
    assert.strictEqual(portOf({}), 9042)
  })
})
