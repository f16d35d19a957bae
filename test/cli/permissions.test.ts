/**
 * A server that knows its users: what a load needs and is refused is told with the GRANT that helps, nothing is lost by it,
 * and the same command goes on once it is given.
 */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import * as CassandraServer from "../../src/testing/CassandraServer.ts"
import { tempDirectory } from "../testing/tempDirectory.ts"
import type { Ended } from "./commandFixture.ts"
import { run, start } from "./commandFixture.ts"

const Guarded = CassandraServer.layer({ kinds: ["java"], authentication: true, heap: "300M" })

/** Nodes remember for two seconds what a role may do. */
const untilHeard = Effect.sleep("3 seconds")

const rowCount = 2000

layer(Guarded, { timeout: Duration.minutes(3), excludeTestServices: true })("permissions", (it) => {
  it.effect("of a load, one after the other, and taken away while it runs", () =>
    Effect.gen(function*() {
      const { contactPoints, session } = yield* CassandraServer.CassandraServer
      const root = yield* CassandraSession.make(session)
      const grant = (...statements: ReadonlyArray<string>) =>
        Effect.andThen(Effect.forEach(statements, (cql) => root.query(cql)), untilHeard)
      yield* root.query("CREATE ROLE loader WITH PASSWORD = 'loads' AND LOGIN = true")
      for (const keyspace of ["demo", "aux"]) {
        yield* root.query(
          `CREATE KEYSPACE ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`
        )
      }
      yield* root.query("CREATE TABLE demo.rows (id int PRIMARY KEY, name text)")
      const rows = Effect.map(root.query("SELECT id FROM demo.rows"), (found) => found.length)
      const directory = yield* tempDirectory
      const file = join(directory, "rows.ndjson")
      writeFileSync(file, Array.from({ length: rowCount }, (_, id) => `{"id":${id},"name":"row ${id}"}\n`).join(""))
      const args = (verb: string, ...more: ReadonlyArray<string>) => [
        verb,
        file,
        "--job=loader",
        "-t",
        "demo.rows",
        "--username=loader",
        "--checkpoint-keyspace=aux",
        ...more
      ]
      const options = {
        cwd: directory,
        env: { CASSANDRA_CONTACT_POINTS: contactPoints[0]!, CASSANDRA_PASSWORD: "loads" }
      }
      const command = (verb: string, ...more: ReadonlyArray<string>) =>
        Effect.promise(() => run(args(verb, ...more), options))
      const isRefused = (ended: Ended, words: string) => {
        assert.strictEqual(ended.code, 3, ended.stderr)
        assert.include(ended.stdout + ended.stderr, words)
        assert.notMatch(ended.stderr, /^\s+at /m)
      }

      const modify = "GRANT MODIFY ON TABLE demo.rows TO loader"
      const create = "GRANT CREATE ON KEYSPACE aux TO loader"
      const nothing = yield* command("check")
      isRefused(
        nothing,
        `has no MODIFY permission on <table demo.rows> or any of its parents. Have a superuser do ${modify}`
      )
      assert.match(nothing.stdout, /^fail {2}permissions /m)
      assert.match(nothing.stdout, /^fail {2}ledger /m)
      assert.include(nothing.stdout, create)
      isRefused(yield* command("load"), modify)
      isRefused(yield* command("load", "--dry-run"), modify)

      yield* grant(modify)
      const half = yield* command("check")
      isRefused(half, create)
      assert.match(half.stdout, /^ok {4}permissions +loader may write demo\.rows$/m)
      isRefused(yield* command("load"), create)
      const nowhere = yield* Effect.promise(() =>
        run(args("check").map((arg) => arg.replace("=aux", "=nowhere")), options)
      )
      isRefused(nowhere, "GRANT CREATE ON ALL KEYSPACES TO loader")
      assert.strictEqual(yield* rows, 0)

      yield* grant(create)
      assert.strictEqual((yield* command("check")).code, 0)
      const slowly = args(
        "load",
        "--max-rows-per-second=300",
        "--checkpoint-interval=300 millis",
        "--min-pause=0 seconds"
      )
      const child = yield* Effect.promise(() => start(slowly, options))
      while ((yield* rows) === 0) yield* Effect.sleep("50 millis")
      yield* root.query("REVOKE MODIFY ON TABLE demo.rows FROM loader")
      isRefused(yield* Effect.promise(() => child.ended), modify)
      const before = yield* rows
      assert.isBelow(before, rowCount)

      // Who makes a table may do all with it, until that is taken away.
      yield* grant(modify, "REVOKE ALL ON TABLE aux.checkpoints_loader FROM loader")
      const ledger = yield* command("check")
      isRefused(ledger, "GRANT MODIFY ON TABLE aux.checkpoints_loader TO loader")
      isRefused(ledger, "GRANT SELECT ON TABLE aux.checkpoints_loader TO loader")
      isRefused(yield* command("load"), "ON TABLE aux.checkpoints_loader TO loader")
      assert.strictEqual(yield* rows, before)

      yield* grant(
        "GRANT SELECT ON TABLE aux.checkpoints_loader TO loader",
        "GRANT MODIFY ON TABLE aux.checkpoints_loader TO loader"
      )
      const ended = yield* command("load")
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.strictEqual(yield* rows, rowCount)
      const verify = ["verify", file, "-t", "demo.rows", "--username=loader"]
      isRefused(yield* Effect.promise(() => run(verify, options)), "GRANT SELECT ON TABLE demo.rows TO loader")
    }).pipe(Effect.scoped), 400_000)
})
