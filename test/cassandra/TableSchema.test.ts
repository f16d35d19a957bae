import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Fs from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import * as TableSchema from "../../src/cassandra/TableSchema.ts"
import { mismatches } from "../../src/sink/RowSchema.ts"
import * as SinkStatement from "../../src/sink/SinkStatement.ts"
import * as TestKeyspace from "../../src/testing/TestKeyspace.ts"
import { run } from "../cli/commandFixture.ts"
import { live } from "../real/fixture.ts"
import { cases } from "./cqlCases.ts"

type Rows = Schema.Codec<any, any> & { readonly fields: Readonly<Record<string, Schema.Codec<any, any>>> }

/** What the printed module exports. */
const evaluate = (source: string, name: string): Rows => {
  const code = stripTypeScriptTypes(source.replace(/^import .*$/m, ""), { mode: "strip" }).replaceAll(
    "export const",
    "const"
  )
  return new Function("Schema", `${code}\nreturn ${name}`)(Schema)
}

layer(live, { timeout: 60_000, excludeTestServices: true })("the Schema of a table", (it) => {
  const schema = (keyspace: string) => [
    `CREATE TYPE ${keyspace}.address (street text, lines frozen<list<int>>)`,
    `CREATE TYPE ${keyspace}.person (name text, home frozen<address>)`,
    `CREATE TABLE ${keyspace}.every_type (k int, "The Key" text, who frozen<person>, whole person, n int static, ${
      cases.map(({ cql }, i) => `c${i} ${cql.startsWith("list<") ? `frozen<${cql}>` : cql}`).join(", ")
    }, PRIMARY KEY (k, "The Key"))`
  ]

  it.effect("fits its own INSERT, as a value and as the text of a module", () =>
    Effect.gen(function*() {
      const session = yield* CassandraSession.CassandraSession
      const keyspace = yield* TestKeyspace.make({ schema })
      const made = (yield* TableSchema.make(session, keyspace, "every_type"))!
      assert.strictEqual(made.name, "EveryType")
      const names = (yield* session.table(keyspace, "every_type"))!.columns.map(({ name }) => `"${name}"`)
      const { params } = yield* SinkStatement.make(
        `INSERT INTO ${keyspace}.every_type (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`
      )
      const printed = evaluate(made.source, made.name)
      for (const one of [made.schema as Rows, printed]) {
        assert.deepStrictEqual(mismatches(one, params, false), [])
        const decoded = Schema.decodeUnknownSync(Schema.Struct({ who: one.fields["who"]! }))({
          who: { name: "x", home: { street: null, lines: [1] } }
        })
        assert.deepStrictEqual(decoded, { who: { name: "x", home: { street: null, lines: [1] } } })
        assert.throws(() => Schema.decodeUnknownSync(Schema.Struct({ k: one.fields["k"]! }))({ k: null }))
      }
      // The same, field by field.
      assert.deepStrictEqual(Object.keys(printed.fields), Object.keys((made.schema as Rows).fields))
      for (const [name, field] of Object.entries(printed.fields)) {
        const other = (made.schema as Rows).fields[name]!
        assert.strictEqual(JSON.stringify(field.ast), JSON.stringify(other.ast), name)
      }
      assert.isNull(yield* TableSchema.make(session, keyspace, "nothing"))
    }))

  it.effect("is printed by the command; the example has it as it is printed", () =>
    Effect.gen(function*() {
      const session = yield* CassandraSession.CassandraSession
      yield* session.execute(
        "CREATE KEYSPACE IF NOT EXISTS fleet WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
      )
      yield* session.execute("CREATE TYPE IF NOT EXISTS fleet.position (lat double, lon double)")
      yield* session.execute(
        "CREATE TABLE IF NOT EXISTS fleet.ships (imo bigint PRIMARY KEY, position frozen<position>, seen timestamp)"
      )
      const printed = yield* Effect.promise(() => run(["schema", "-k", "fleet", "-t", "ships"]))
      assert.strictEqual(printed.code, 0, printed.stderr)
      const [first, ...rest] = printed.stdout.split("\n\n")
      assert.strictEqual(first, "import * as Schema from \"effect/Schema\"")
      assert.include(Fs.readFileSync("examples/typed.ts", "utf8"), `${first}\n\n${rest.join("\n\n")}`)

      const wrong = yield* Effect.promise(() => run(["schema", "-t", "fleet.ship"]))
      assert.strictEqual(wrong.code, 3)
      assert.match(wrong.stderr, /There is no table fleet\.ship.*ships/)
      const none = yield* Effect.promise(() => run(["schema", "-t", "ships"]))
      assert.match(none.stderr, /has no keyspace: give --keyspace/)
    }))
})
