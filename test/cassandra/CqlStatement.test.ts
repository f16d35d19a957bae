import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createRequire } from "node:module"
import * as CqlStatement from "../../src/cassandra/CqlStatement.ts"
import { makeClient, makeKeyspace } from "./cqlFixture.ts"

const ok = (cql: string): CqlStatement.CqlStatement => {
  const result = CqlStatement.parse(cql)
  if (Result.isFailure(result)) throw new Error(result.failure.message)
  return result.success
}

const failure = (cql: string): CqlStatement.StatementError => {
  const result = CqlStatement.parse(cql)
  if (Result.isSuccess(result)) throw new Error(`parsed: ${cql}`)
  return result.failure
}

const markers = (cql: string): Array<string> =>
  ok(cql).markers.map(({ column, name, usage }) => `${usage} ${column ?? "-"}${name === null ? "" : ` :${name}`}`)

const types: Record<string, string> = {
  k: "int",
  c: "int",
  d: "int",
  v: "int",
  n: "counter",
  l: "list<int>",
  fl: "frozen<list<int>>",
  s: "set<int>",
  m: "map<text, int>",
  u: "addr",
  tu: "frozen<tuple<int, text>>",
  ve: "vector<float, 3>",
  b: "blob",
  dt: "date",
  Mixed: "int",
  ttl: "int",
  f: "double",
  t: "text"
}
const violations = (cql: string): Array<string> =>
  CqlStatement.checkIdempotent(ok(cql), (column) => types[column] ?? null).map(({ what }) => what)

describe("parse", () => {
  it("reads verb, names and the column of each marker", () => {
    const statement = ok("  INSERT INTO Ks.\"My Table\" (K, \"Mixed\", v) VALUES (?, ?, ?) ; -- done")
    assert.strictEqual(statement.verb, "INSERT")
    assert.strictEqual(statement.keyspace, "ks")
    assert.strictEqual(statement.table, "My Table")
    assert.strictEqual(statement.cql, "  INSERT INTO Ks.\"My Table\" (K, \"Mixed\", v) VALUES (?, ?, ?)")
    assert.deepStrictEqual(statement.markers.map(({ column, index }) => [index, column]), [
      [0, "k"],
      [1, "Mixed"],
      [2, "v"]
    ])
    assert.isFalse(statement.hasTtl)
    assert.isTrue(ok("INSERT INTO t (k) VALUES (?) USING TTL 5").hasTtl)
    assert.strictEqual(ok("UPDATE t SET v = ? WHERE k = ?").keyspace, null)
  })

  it("says what each marker fills", () => {
    assert.deepStrictEqual(markers("insert into t (k, v, dt) values (:K, abs(:x), :\"Day\") using ttl :ttl"), [
      "value k :k",
      "argument - :x",
      "value dt :Day",
      "ttl - :ttl"
    ])
    assert.deepStrictEqual(markers("UPDATE t USING TTL ? SET m = m + ?, m[?] = ?, u.street = ?, s -= ? WHERE k = ?"), [
      "ttl -",
      "operand m",
      "element m",
      "element m",
      "element u",
      "operand s",
      "key k"
    ])
    assert.deepStrictEqual(markers("UPDATE t SET l = ? + l WHERE k IN ? AND c IN (?, ?) AND (d) = (?)"), [
      "operand l",
      "in k",
      "key c",
      "key c",
      "key d"
    ])
    assert.deepStrictEqual(markers("DELETE m[?], v FROM t WHERE k = ? AND (c, d) > (?, ?) AND (c, d) < ?"), [
      "element m",
      "key k",
      "key c",
      "key d",
      "key -"
    ])
    assert.deepStrictEqual(markers("INSERT INTO t (k, tu, u, v) VALUES ((int) ?, (?, ?), {street: ?}, ? + 1)"), [
      "value k",
      "element tu",
      "element tu",
      "element u",
      "argument -"
    ])
  })

  it("finds no marker in a text, a name or a comment", () => {
    const cql = "INSERT INTO t (k, /* ? :a */ \"v?\", b) -- ? it's\n// '\nVALUES (?, 'it''s ? :b', $$ ? ' $$)"
    assert.deepStrictEqual(markers(cql), ["value k"])
  })

  it("takes every kind of constant", () => {
    const constants =
      "1, -1.5e3, 0xCAFE, 123e4567-e89b-12d3-a456-426614174000, 1y2mo3d, P1Y2M, P3W, -1h, true, NULL, NaN, -Infinity, 'x', [1], {1}, {'a': 1}"
        .split(", ")
    const columns = constants.map((_, index) => `c${index}`)
    const statement = ok(`INSERT INTO t (k, ${columns.join()}) VALUES (?, ${constants.join()})`)
    assert.strictEqual(statement.markers.length, 1)
    assert.strictEqual(statement.functions.length, 0)
    assert.strictEqual(statement.assignments.length, constants.length + 1)
  })

  it("refuses what is no single write, and shows the place", () => {
    assert.strictEqual(
      failure("INSERT INTO t (k, v)\nVALUES (?, );").message,
      "Expected a value, found ) (character 33):\n  VALUES (?, );\n             ^\n" +
        "Correct the statement; it follows CQL's own grammar."
    )
    assert.match(failure("SELECT * FROM t").reason, /^SELECT writes no rows$/)
    assert.match(failure("create table t (k int primary key)").reason, /^CREATE writes no rows$/)
    assert.match(failure("BEGIN BATCH INSERT INTO t (k) VALUES (?) APPLY BATCH").reason, /BATCH/)
    assert.match(failure("INSERT INTO t JSON ?").reason, /INSERT JSON/)
    assert.match(failure("INSERT INTO t (k) VALUES (?); DELETE FROM t WHERE k = ?").reason, /second statement/)
    assert.match(failure("").reason, /no statement/)
    assert.match(failure("-- only\n/* comments */").reason, /no statement/)
    assert.match(failure("INSERT INTO t (k) VALUES ('a").reason, /never closed/)
    assert.match(failure("INSERT INTO t (k) VALUES (?) /* a").reason, /never closed/)
    assert.match(failure("INSERT INTO t (k, v) VALUES (?)").reason, /2 columns and gives 1 values/)
    assert.match(failure("INSERT INTO t (k) VALUES (?, ?)").reason, /names 1 columns/)
    assert.match(failure("UPDATE t SET v = w + ? WHERE k = ?").reason, /computed from itself/)
    assert.match(failure("DELETE FROM t").reason, /Expected WHERE, found the end/)
    assert.strictEqual(failure("UPDATE t SET v = # WHERE k = ?").offset, 17)
    assert.strictEqual(failure("x")._tag, "StatementError")
  })
})

describe("checkIdempotent", () => {
  it("accepts what a repetition does not change", () => {
    for (
      const cql of [
        "INSERT INTO t (k, v, fl, s, m, u, tu, ve) VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?",
        "INSERT INTO t (k, l) VALUES (?, null)",
        "UPDATE t SET l = [], s = s + ?, s -= {1}, m = m - ?, m[?] = ?, m += ?, u.street = ? WHERE k = ?",
        "UPDATE t SET v = ? + 1, fl = [1, 2], ve = [1, 2, 3] WHERE k = ?",
        "UPDATE t SET dt = toDate((timeuuid) ?), b = textAsBlob(?), v = CAST(? AS int) WHERE k = system.abs(?)",
        "DELETE v, m[?], s[?], l, u.street FROM t WHERE k = ? AND c > ?",
        "UPDATE t SET unknown = 5 WHERE k = ?"
      ]
    ) assert.deepStrictEqual(violations(cql), [], cql)
  })

  it("names everything else, in text order", () => {
    const cases: Record<string, Array<string>> = {
      "INSERT INTO t (k) VALUES (?) IF NOT EXISTS": ["IF NOT EXISTS"],
      "UPDATE t SET v = ? WHERE k = ? IF EXISTS": ["IF EXISTS"],
      "DELETE FROM t WHERE k = ? IF v = ? AND m['a'] IN (?, ?) AND s CONTAINS ?": ["IF"],
      "UPDATE t SET n = n + ? WHERE k = ?": ["the counter n"],
      "UPDATE t SET n += 1 WHERE k = ?": ["the counter n"],
      "UPDATE t SET n = n -1 WHERE k = ?": ["the counter n"],
      "UPDATE t SET l = l + ? WHERE k = ?": ["l + of a list"],
      "UPDATE t SET l = ? + l WHERE k = ?": ["l + of a list"],
      "UPDATE t SET l = l - ? WHERE k = ?": ["l - of a list"],
      "UPDATE t SET l += ? WHERE k = ?": ["l + of a list"],
      "UPDATE t SET l -= ? WHERE k = ?": ["l - of a list"],
      "UPDATE t SET l[?] = ? WHERE k = ?": ["l [] of a list"],
      "DELETE l[?] FROM t WHERE k = ?": ["l [] of a list"],
      "INSERT INTO t (k, l) VALUES (?, ?)": ["the list l"],
      "UPDATE t SET l = [1, 2] WHERE k = ?": ["the list l"],
      "UPDATE t SET v = v + ? WHERE k = ?": ["the arithmetic on v"],
      "UPDATE t SET fl = fl + ? WHERE k = ?": ["the arithmetic on fl"],
      "UPDATE t SET q = q + ? WHERE k = ?": ["the unknown column q"],
      "INSERT INTO t (k, q) VALUES (?, ?)": ["the unknown column q"],
      "INSERT INTO t (k, v) VALUES (NOW(), Uuid())": ["now()", "uuid()"],
      "INSERT INTO t (k, v) VALUES (currentTimestamp(), current_date())": ["currenttimestamp()", "current_date()"],
      "DELETE FROM t WHERE k = currentTimeUUID()": ["currenttimeuuid()"],
      "INSERT INTO t (k, v) VALUES (?, to_date(now()))": ["now()"],
      "INSERT INTO t (k, v) VALUES (?, mine(?))": ["the function mine()"],
      "INSERT INTO t (k, v) VALUES (?, ks.abs(?))": ["the function ks.abs()"],
      "INSERT INTO t (k, v) VALUES (?, \"Abs\"(?))": ["the function Abs()"],
      "INSERT INTO t (k) VALUES (?) USING TTL 1 AND TIMESTAMP 2": ["USING TIMESTAMP"],
      "INSERT INTO t (k) VALUES (?) USING TTL 1 AND TIMESTAMP ?": [],
      "UPDATE t USING TIMESTAMP 1 SET n = n + 1, v = now() WHERE k = ?": ["USING TIMESTAMP", "the counter n", "now()"]
    }
    for (const [cql, expected] of Object.entries(cases)) assert.deepStrictEqual(violations(cql), expected, cql)
  })

  it("says why and what instead", () => {
    const [violation] = CqlStatement.checkIdempotent(ok("UPDATE t SET l = ? WHERE k = ?"), () => "list<text>")
    assert.match(violation!.why, /\[1, 2, 1, 2\]/)
    assert.match(violation!.instead, /frozen<list<text>>/)
    assert.strictEqual(violation!.offset, 13)
  })
})

describe("withTimestamp", () => {
  it("puts the clause and counts the markers before it", () => {
    const stamped = (cql: string) => {
      const { cql: text, timestampIndex } = CqlStatement.withTimestamp(ok(cql))
      return [text, timestampIndex]
    }
    assert.deepStrictEqual(stamped("INSERT INTO t (k, v) VALUES (?, ?);"), [
      "INSERT INTO t (k, v) VALUES (?, ?) USING TIMESTAMP ?",
      2
    ])
    assert.deepStrictEqual(stamped("INSERT INTO t (k) VALUES (?) USING TTL ? -- a day"), [
      "INSERT INTO t (k) VALUES (?) USING TTL ? AND TIMESTAMP ?",
      2
    ])
    assert.deepStrictEqual(stamped("UPDATE ks.t\nSET v = ? WHERE k = ?"), [
      "UPDATE ks.t USING TIMESTAMP ?\nSET v = ? WHERE k = ?",
      0
    ])
    assert.deepStrictEqual(stamped("UPDATE t USING TTL :a SET v = :v WHERE k = :k"), [
      "UPDATE t USING TTL :a AND TIMESTAMP :\"effect_cassandra_timestamp\" SET v = :v WHERE k = :k",
      1
    ])
    assert.deepStrictEqual(stamped("DELETE m[?] FROM \"t\"WHERE k = ?"), [
      "DELETE m[?] FROM \"t\" USING TIMESTAMP ? WHERE k = ?",
      1
    ])
    assert.throws(() => CqlStatement.withTimestamp(ok("UPDATE t USING TIMESTAMP 1 SET v = ? WHERE k = ?")))
  })
})

describe("formatting", () => {
  const source = "INSERT INTO ks . t ( k , \"Mixed\" , v , m ) VALUES ( ? , :b , abs ( ? ) , { 'x?' : 1 } ) USING TTL ?"
    .split(" ")
  const Gap = Schema.Literals([" ", "\n", "\t", " -- ? '\n", "/* ? \" */", "//\r\n"])
  const meaning = ({ assignments, markers, ...rest }: CqlStatement.CqlStatement) => ({
    ...[rest.verb, rest.keyspace, rest.table, rest.hasTtl, rest.functions.map(({ name }) => name)],
    markers: markers.map(({ column, name, usage }) => [column, name, usage]),
    assignments: assignments.map(({ column, kind, term }) => [column, kind, term])
  })
  const expected = meaning(ok(source.join(" ")))
  it.prop(
    "comments, white space and the case of words change nothing",
    { gaps: Arbitrary.array(Arbitrary.schema(Gap), { minLength: 60, maxLength: 60 }), upper: Schema.Int },
    ({ gaps, upper }) => {
      const text = source
        .map((word, index) => (/^["']/.test(word) || (upper >> (index % 31)) % 2 === 0 ? word : word.toUpperCase()))
        .reduce((text, word, index) => text + gaps[index % gaps.length]! + word, "")
      const statement = ok(text)
      assert.deepStrictEqual(meaning(statement), expected)
      const { cql, timestampIndex } = CqlStatement.withTimestamp(statement)
      const stamped = ok(cql)
      assert.strictEqual(stamped.markers[timestampIndex]!.usage, "timestamp")
      assert.strictEqual(stamped.markers.length, statement.markers.length + 1)
    }
  )
})

describe("on a server", () => {
  const require = createRequire(import.meta.url)
  const PrepareHandler = require("cassandra-driver/lib/prepare-handler.js")
  const keyspace = "effect_cassandra_cql_statement"
  const client = makeClient()

  beforeAll(async () => {
    await makeKeyspace(client, keyspace)
    await client.execute(`CREATE TYPE IF NOT EXISTS ${keyspace}.addr (street text, n int)`)
    const columns = Object.entries(types).filter(([, type]) => type !== "counter")
      .map(([name, type]) => `"${name}" ${type}`)
    await client.execute(
      `CREATE TABLE IF NOT EXISTS ${keyspace}.t (${columns.join(", ")}, PRIMARY KEY (k, c, d))`
    )
  }, 60_000)
  afterAll(() => client.shutdown())

  const prepared = async (cql: string): Promise<Array<string>> => {
    const policy = (client as any).options.policies.loadBalancing
    const { meta } = await PrepareHandler.getPrepared(client, policy, cql, keyspace)
    return meta.columns.map(({ name }: { name: string }) => name)
  }

  /** How the server names a marker of that usage. */
  const named = ({ column, name, usage }: CqlStatement.Marker): RegExp => {
    if (name !== null) return new RegExp(`^${name}$`)
    switch (usage) {
      case "value":
      case "operand":
        return new RegExp(`^${column}$`)
      case "key":
        return column === null ? /^\(c,d\)$/ : new RegExp(`^${column}$`)
      case "in":
        return column === null ? /^in\(c,d\)$/ : new RegExp(`^in\\(${column}\\)$`)
      case "element":
        return new RegExp(`^((key|value|idx)\\(${column}\\)|${column}[.[].*)$`)
      case "argument":
        return /^arg\d+\(/
      case "ttl":
      case "timestamp":
        return new RegExp(`^\\[${usage}\\]$`)
      default:
        return /^condition has no name$/
    }
  }

  const accepted = [
    "INSERT INTO t (k, c, d, v, \"Mixed\", fl, s, m, u, tu, ve) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "INSERT INTO t (k, c, d, v) VALUES (?, ?, ?, ?) USING TTL ?",
    "INSERT INTO t (k, c, d, v) VALUES (?, 1, -1, ?) USING TTL 60; -- the end",
    "INSERT INTO t (k, c, d, v, b, t) VALUES (?, ?, ?, abs(?), textAsBlob(?), $$it's$$)",
    "INSERT INTO t (k, c, d, v, tu, u, f) VALUES ((int) ?, -?, (int) ? + 1, 2 * (int) ?, (?, ?), {street: ?}, -Infinity)",
    "INSERT INTO t (k, c, d, s, m, ve, f) VALUES (?, ?, ?, {1, 2}, {'a': 1}, [1, 2, 3], NaN)",
    "insert into t (k, c, d, v) values (:k, :C, :\"Day\", :v) using ttl :ttl",
    "insert into t (k, c, d, ttl) values (:k, :c, :d, :ttl)",
    "UPDATE t SET v = ?, \"Mixed\" = ? WHERE k = ? AND c = ? AND d = ?",
    "UPDATE t USING TTL ? SET s = s + ?, m = m + ?, m[?] = ?, m -= ?, u.street = ?, ttl = ? WHERE k=?AND c=? and d=?",
    "UPDATE t SET m = m -{'a'}, s+={1} WHERE k IN ? AND c IN (?, ?) AND d IN ?",
    "UPDATE t SET v = ? WHERE k = ? AND (c, d) = (?, ?)",
    "UPDATE t SET v = ? WHERE k = ? AND (c, d) = ?",
    "UPDATE t SET v = ? WHERE k = ? AND (c, d) IN ?",
    "UPDATE t SET v = ? WHERE k = ? AND (c, d) IN (?, ?)",
    "UPDATE t SET v = ? WHERE k = ? AND (c, d) IN ((?, ?), (?, 1))",
    "DELETE FROM t WHERE k = ?",
    "DELETE FROM t WHERE (k = ?) AND c > ? AND c <= ?",
    "DELETE FROM t WHERE k = ? AND (c, d) > (?, ?)",
    "DELETE v, m[?], s[?], u.street, l FROM t WHERE k = ? AND c = ? AND d = ?",
    "DELETE \"Mixed\" FROM t WHERE k = :k AND c = :c AND d = :d"
  ]
  for (const cql of accepted) {
    it(`agrees with the server: ${cql}`, async () => {
      const statement = ok(cql)
      assert.deepStrictEqual(CqlStatement.checkIdempotent(statement, (column) => types[column] ?? null), [])
      const { cql: stamped, timestampIndex } = CqlStatement.withTimestamp(statement)
      for (const parsed of [statement, ok(stamped)]) {
        const names = await prepared(parsed.cql)
        assert.strictEqual(names.length, parsed.markers.length, parsed.cql)
        for (const [index, name] of names.entries()) assert.match(name, named(parsed.markers[index]!), parsed.cql)
      }
      const { name } = ok(stamped).markers[timestampIndex]!
      assert.strictEqual(
        (await prepared(stamped))[timestampIndex],
        name === null ? "[timestamp]" : CqlStatement.timestampMarker
      )
    })
  }

  it("a repeated list is doubled, so the refusal is right", async () => {
    const insert = `INSERT INTO ${keyspace}.t (k, c, d, l, fl, s) VALUES (1, 1, 1, [1, 2], [1, 2], {1, 2})`
    await client.execute(`DELETE FROM ${keyspace}.t USING TIMESTAMP 999 WHERE k = 1`)
    for (let run = 0; run < 2; run++) await client.execute(`${insert} USING TIMESTAMP 1000`)
    const row = (await client.execute(`SELECT l, fl, s FROM ${keyspace}.t WHERE k = 1`)).first()
    await client.execute(`DELETE FROM ${keyspace}.t USING TIMESTAMP 2000 WHERE k = 1`)
    await client.execute(`TRUNCATE ${keyspace}.t`)
    assert.deepStrictEqual([row["l"], row["fl"], [...row["s"]]], [[1, 2, 1, 2], [1, 2], [1, 2]])
  })

  it("a refusal of ours is one of the server's too, where it is about the grammar", async () => {
    for (
      const cql of [
        "INSERT INTO t (k, c, d) VALUES (?, ?, )",
        "INSERT INTO t (k, c, d) VALUES (?, ?)",
        "UPDATE t SET v = c + ? WHERE k = ?",
        "UPDATE t SET v = 5 3 WHERE k = ? AND c = ? AND d = ?",
        "DELETE FROM t",
        "INSERT INTO t (k, c, d, t) VALUES (?, ?, ?, 'a)"
      ]
    ) {
      failure(cql)
      assert.isString(await prepared(cql).then(() => null, (error: Error) => error.message), cql)
    }
  })

  it.effect("parsing never throws, whatever the text", () =>
    Effect.gen(function*() {
      const Piece = Schema.Literals(
        "INSERT INTO UPDATE DELETE FROM SET WHERE IF USING TTL AND t k v ? :a ( ) [ ] { } , . ; ' \" $$ -- /* */ + - = += 1 -1 IN"
          .split(" ")
      )
      const result = yield* Arbitrary.checkEffect(
        Arbitrary.array(Arbitrary.schema(Piece), { maxLength: 30 }),
        (pieces) => {
          const parsed = CqlStatement.parse(pieces.join(" "))
          return Result.isSuccess(parsed) || parsed.failure.message.includes("^")
        },
        { runs: 2000, size: 30 }
      )
      assert.strictEqual(result._tag, "Passed")
    }))
})
