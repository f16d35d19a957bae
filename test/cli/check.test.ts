import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import * as Checks from "../../src/cli/checks.ts"
import type { Ended, Fixture } from "./commandFixture.ts"
import { openFixture, run, server } from "./commandFixture.ts"

const keyspace = "cli_check_test"
let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture(keyspace)
  await fixture.client.execute(
    `CREATE KEYSPACE IF NOT EXISTS ${keyspace}_3 WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}`
  )
  await fixture.client.execute(`CREATE TABLE IF NOT EXISTS ${keyspace}_3.items (job text PRIMARY KEY, id int)`)
})
afterAll(async () => {
  await fixture?.client.execute(`DROP KEYSPACE IF EXISTS ${keyspace}_3`)
  await fixture?.close()
})

const check = (uid: string, ...more: ReadonlyArray<string>) => {
  const file = fixture.path(`${uid}.ndjson`)
  if (!Fs.existsSync(file)) fixture.write(`${uid}.ndjson`, fixture.lines(uid, 20))
  return ["check", ...fixture.load(uid, file, undefined, ...more).slice(1)]
}

/** The outcome of each check, by its name. */
const outcomes = ({ stdout }: Ended) =>
  Object.fromEntries(
    stdout.split("\n").flatMap((line) => {
      const found = /^(ok|warn|fail|skip) +(.*?)  +/.exec(line)
      return found === null ? [] : [[found[2]!, found[1]!]]
    })
  )

const allGood = {
  configuration: "ok",
  input: "ok",
  disk: "ok",
  state: "ok",
  cluster: "ok",
  clock: "ok",
  statement: "ok",
  permissions: "ok",
  replication: "ok",
  ledger: "ok"
}

describe.concurrent("effect-cassandra check", () => {
  it("says what it found good, and leaves nothing behind", async () => {
    const ended = await run(check("good"))
    assert.strictEqual(ended.code, 0, ended.stdout + ended.stderr)
    assert.deepStrictEqual(outcomes(ended), allGood)
    assert.match(
      ended.stdout,
      new RegExp(`^ok    cluster +${server.contactPoints}: .*data centre ${server.localDc}$`, "m")
    )
    assert.match(ended.stdout, /^ok    statement +INSERT INTO/m)
    assert.match(ended.stdout, /^ok    replication +cli_check_test has 1 copy of each row, LOCAL_QUORUM needs 1/m)
    assert.match(ended.stdout, /^ok    input +\S+good\.ndjson, \d\.\d KiB; fields job, id, big, name$/m)
    assert.isFalse(Fs.existsSync(fixture.path("state-good")))
    assert.deepStrictEqual(await fixture.rows("good"), [])
    const json = JSON.parse((await run(check("good", "--json"))).stdout)
    assert.isTrue(json.ok)
    assert.deepStrictEqual(json.checks.map((line: { check: string }) => line.check), Object.keys(allGood))
  })

  it("a dead host: what needs no cluster is checked all the same", async () => {
    const state = `--state=${fixture.path("dead.ndjson")}/state`
    const args = check("dead").map((arg) => arg.startsWith("--state=") ? state : arg)
    const ended = await run(args, { env: { CASSANDRA_CONTACT_POINTS: "127.0.0.1:1" } })
    assert.strictEqual(ended.code, 3, ended.stdout)
    const skip = { clock: "skip", statement: "skip", permissions: "skip", replication: "skip", ledger: "skip" }
    assert.deepStrictEqual(outcomes(ended), { ...allGood, ...skip, state: "fail", cluster: "fail" })
    assert.match(ended.stdout, /^fail  state +.*dead\.ndjson is no directory/m)
  })

  it("a wrong data centre: the real ones are listed", async () => {
    const ended = await run(check("dc", "--local-dc=atlantis"))
    assert.strictEqual(ended.code, 3, ended.stdout)
    assert.match(ended.stdout, new RegExp(`^fail  cluster +.*atlantis.* it has: ${server.localDc}`, "m"))
  })

  it("a statement that can't be repeated, and a file that is not there", async () => {
    const query = `--query=INSERT INTO ${keyspace}.items (job, id, name) VALUES (?, ?, now())`
    const args = check("stated").filter((arg) => !arg.startsWith("--query="))
    const stated = await run([...args, query])
    assert.strictEqual(stated.code, 3, stated.stdout)
    assert.deepStrictEqual(outcomes(stated), {
      ...allGood,
      statement: "fail",
      permissions: "skip",
      replication: "skip"
    })
    assert.match(stated.stdout, /now\(\)/)
    const gone = await run([...args, query].map((arg) => arg.endsWith(".ndjson") ? "/nowhere.ndjson" : arg))
    assert.deepStrictEqual(outcomes(gone), {
      ...allGood,
      input: "fail",
      statement: "skip",
      permissions: "skip",
      replication: "skip"
    })
  })

  it("copies that can't satisfy the consistency level; load says the same", async () => {
    const args = check("copies").filter((arg) => !arg.startsWith("--query="))
    const table = [...args, "-t", `${keyspace}_3.items`]
    const words = /LOCAL_QUORUM can never be reached: it needs 2, and \w+_3 has 3 copies of each row on 1 node/
    const ended = await run(table)
    assert.strictEqual(ended.code, 3, ended.stdout)
    assert.deepStrictEqual(outcomes(ended), { ...allGood, replication: "fail" })
    assert.match(ended.stdout, words)
    const load = await run(["load", ...table.slice(1)])
    assert.strictEqual(load.code, 3, load.stderr)
    assert.match(load.stderr, words)
    assert.strictEqual((await run([...table, "--consistency=ONE"])).code, 0)
  })

  it("no room for the log is a warning, in load too", async () => {
    const args = check("room", "--pending-bytes=1000000000000000")
    const ended = await run(args)
    assert.strictEqual(ended.code, 0, ended.stdout)
    assert.deepStrictEqual(outcomes(ended), { ...allGood, disk: "warn" })
    assert.match(ended.stdout, /may need 909\.5 TiB while Cassandra is away: make room, or lower --pending-bytes/)
    assert.match((await run(["load", ...args.slice(1)])).stderr, /^warn +\S+ has .* of free space/m)
  })

  it("a mistake in the command line", async () => {
    const ended = await run(check("usage", "--restart-interval=1 minute"))
    assert.strictEqual(ended.code, 64, ended.stdout)
    assert.strictEqual(outcomes(ended)["configuration"], "fail")
    assert.strictEqual(outcomes(ended)["input"], "ok")
    assert.match((await run(["check", "x", "--nope"])).stderr, /See effect-cassandra check --help/)
  })
})

describe("checks", () => {
  const [host, port] = server.contactPoints.split(",")[0]!.split(":")

  // The test's clock stands at 1970.
  it.effect("a clock far from the server's is told, and which way", () =>
    Effect.scoped(Effect.gen(function*() {
      const session = yield* CassandraSession.make({ contactPoints: [`${host}:${port ?? 9042}`] })
      const cluster = { session, nodes: [], consistency: "ONE" } as const
      const { detail, warnings } = yield* Checks.clock(cluster)
      assert.match(detail, /^\d{10}\.\d s behind the server's$/)
      assert.match(warnings.join(), /what other clients wrote in that time wins .* NTP/)
    })))

  const nodes = (...centres: ReadonlyArray<string>) =>
    centres.map((dataCenter, i) => ({ address: `${i}`, dataCenter, rack: "r" }))
  const simple = (factor: number) =>
    new Map([["class", "org.apache.cassandra.locator.SimpleStrategy"], ["replication_factor", `${factor}`]])
  const network = (factors: { readonly [centre: string]: string }) =>
    new Map([["class", "NetworkTopologyStrategy"], ...Object.entries(factors)])

  it.each(
    [
      [simple(1), nodes("a"), "LOCAL_QUORUM", "good"],
      [simple(1), nodes("a", "a"), "LOCAL_ONE", "warn"],
      [simple(3), nodes("a", "a", "a"), "QUORUM", "good"],
      [simple(3), nodes("a", "a", "a"), "ALL", "warn"],
      [simple(3), nodes("a", "a"), "QUORUM", "warn"],
      [simple(3), nodes("a"), "QUORUM", "fail"],
      [network({ a: "3", b: "3" }), nodes("a", "a", "a", "b"), "LOCAL_QUORUM", "good"],
      [network({ a: "3", b: "3" }), nodes("b", "a", "a", "a"), "LOCAL_QUORUM", "fail"],
      [network({ b: "3" }), nodes("a", "b", "b", "b"), "LOCAL_ONE", "fail"],
      [network({ a: "3/1" }), nodes("a", "a", "a"), "LOCAL_QUORUM", "good"]
    ] as const
  )("%o on %o at %s: %s", (replication, there, consistency, expected) => {
    const { detail, problem, warnings } = Checks.replicationOf("ks", replication, there, consistency)
    const found = problem !== null ? "fail" : warnings.length > 0 ? "warn" : "good"
    assert.strictEqual(found, expected, detail)
  })
})
