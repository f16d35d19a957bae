import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import * as CassandraServer from "../../src/testing/CassandraServer.ts"
import * as TableContent from "../../src/testing/TableContent.ts"
import * as TestKeyspace from "../../src/testing/TestKeyspace.ts"

const schema = (keyspace: string) => [
  `CREATE TABLE ${keyspace}.cells (p int, "C" text, d double, tags set<text>, f frozen<map<text, int>>, ` +
  `PRIMARY KEY (p, "C"))`,
  `CREATE TABLE ${keyspace}.counts (p int PRIMARY KEY, n counter)`
]

layer(CassandraServer.layerSession(), { excludeTestServices: true })("the content of a table", (it) => {
  it.effect("is every row, its values in any of their forms, write times and times to live", () =>
    Effect.gen(function*() {
      const session = yield* CassandraSession.CassandraSession
      const keyspace = yield* TestKeyspace.make({ schema })
      const insert =
        `INSERT INTO ${keyspace}.cells (p, "C", d, tags, f) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?`
      yield* session.execute(insert, [1, "a", "NaN", ["x", "y"], { b: 2, a: 1 }, 17, 86_400])
      yield* session.execute(insert, [1, "b", -0, [], null, 18, 0])
      yield* TableContent.expectTable(keyspace, "cells", [
        { p: 1, C: "b", d: "-0", tags: null, f: null, "WRITETIME(d)": 18n, "TTL(d)": null },
        { p: 1, C: "a", d: NaN, tags: new Set(["y", "x"]), f: { a: 1, b: 2 }, "WRITETIME(d)": 17 }
      ])

      const differs = yield* Effect.flip(TableContent.expectTable(keyspace, "cells", [
        { p: 1, C: "a", d: 0, tags: ["x"], "WRITETIME(d)": 18, "TTL(d)": null },
        { p: 2, C: "c" },
        { p: "x", C: "c" }
      ]))
      assert.instanceOf(differs, TableContent.TableDiffers)
      const { message } = differs as TableContent.TableDiffers
      assert.match(message, /cells has 2 rows/)
      assert.match(message, /the row p 1, C "a" has d "NaN", not 0/)
      assert.match(message, /has tags \["x","y"\], not \["x"\]/)
      assert.match(message, /has WRITETIME\(d\) "17", not 18/)
      assert.match(message, /has TTL\(d\) 86\d{3}, not null/)
      assert.match(message, /the row p 2, C "c" is not there/)
      assert.match(message, /expected row 3 does not fit the table: .*int/)
      assert.match(message, /the row p 1, C "b" is there, and is not expected/)
      const minusZero = yield* Effect.flip(
        TableContent.expectTable(keyspace, "cells", [{ p: 1, C: "a" }, { p: 1, C: "b", d: 0 }])
      )
      assert.match(minusZero.message, /has d -0\.0, not 0/)
    }))

  it.effect("names a column or a table that is not there, and knows counters", () =>
    Effect.gen(function*() {
      const session = yield* CassandraSession.CassandraSession
      const keyspace = yield* TestKeyspace.make({ schema })
      yield* session.execute(`UPDATE ${keyspace}.counts SET n = n + 3 WHERE p = 1`)
      yield* TableContent.expectTable(keyspace, "counts", [{ p: 1, n: 3n }])
      const wrong = yield* Effect.flip(TableContent.expectTable(keyspace, "counts", [{ p: 1, m: 3n }]))
      assert.match(wrong.message, /it has no column m; it has p, n/)
      assert.match(
        (yield* Effect.flip(TableContent.expectTable(keyspace, "nothing", []))).message,
        /there is no such table/
      )
    }))

  it.effect("is what was inserted, with what is left out as it was", () =>
    Effect.gen(function*() {
      const keyspace = yield* TestKeyspace.make({ schema })
      yield* TableContent.insert(
        keyspace,
        "cells",
        Array.from({ length: 200 }, (_, p) => ({ p, C: "x", d: p / 2, tags: ["a"] }))
      )
      yield* TableContent.insert(keyspace, "cells", [{ p: 7, C: "x", d: null, tags: undefined }, {
        p: 8,
        C: "x",
        f: { a: 1 }
      }])
      yield* TableContent.expectTable(
        keyspace,
        "cells",
        Array.from({ length: 200 }, (_, p) => ({
          p,
          C: "x",
          d: p === 7 ? null : p / 2,
          tags: ["a"],
          f: p === 8 ? { a: 1 } : null
        }))
      )
      const error = yield* Effect.flip(TableContent.insert(keyspace, "cells", [{ p: "one", C: "x" }]))
      assert.match(error.message, /"one" does not fit column p \(int\)/)
    }))

  it.effect("is gone with the Scope of its keyspace", () =>
    Effect.gen(function*() {
      const session = yield* CassandraSession.CassandraSession
      const keyspace = yield* Effect.scoped(TestKeyspace.make({ schema }))
      assert.isNull(yield* session.table(keyspace, "cells"))
    }))
})
