import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { types } from "cassandra-driver"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as CqlValue from "../../src/cassandra/CqlValue.ts"
import { Encoder } from "../../src/cassandra/internal/driverInternals.ts"
import { address, cases, driverBigInt, duration, of, vector } from "./cqlCases.ts"
import { makeClient, makeKeyspace } from "./cqlFixture.ts"

const { dataTypes } = types
const driver = new Encoder(4, { encoding: { map: Map, set: Set } })

const hex = (type: CqlValue.CqlType, value: unknown): string => CqlValue.encoder(type)(value).toString("hex")

const refusal = (type: CqlValue.CqlType, value: unknown): string => {
  try {
    return `encoded as ${hex(type, value)}`
  } catch (error) {
    assert.instanceOf(error, CqlValue.CqlValueError)
    assert.instanceOf(error, Error)
    return error.message
  }
}

describe("the forms of a value", () => {
  for (const { cql, driver: toDriver, forms, type, values } of cases) {
    it.prop(`${cql}: all give the same bytes, which are the driver's`, { value: values }, ({ value }) => {
      const encode = CqlValue.encoder(type)
      const [first, ...others] = forms(value).map((form) => encode(form).toString("hex"))
      for (const other of others) assert.strictEqual(other, first)
      if (toDriver !== undefined) assert.strictEqual(driver.encode(toDriver(value), type)!.toString("hex"), first)
    })
  }

  it("a varint is as short as it can be", () => {
    const borders = [
      "0:00",
      "-1:ff",
      "127:7f",
      "128:0080",
      "-128:80",
      "-129:ff7f",
      "32767:7fff",
      "32768:008000",
      "-32769:ff7fff"
    ]
    for (const border of borders) {
      const [value, expected] = border.split(":")
      assert.strictEqual(hex(of(dataTypes.varint), value), expected, value)
      assert.strictEqual(driverBigInt.encode(BigInt(value!), of(dataTypes.varint))!.toString("hex"), expected)
    }
  })

  it("integers beyond 2^53 stay exact, also inside JSON text", () => {
    const exact = "9007199254740993"
    assert.strictEqual(hex(of(dataTypes.bigint), exact), "0020000000000001")
    assert.strictEqual(hex(of(dataTypes.list, of(dataTypes.bigint)), `[${exact}]`).slice(-16), "0020000000000001")
    assert.strictEqual(
      hex(of(dataTypes.map, [of(dataTypes.text), of(dataTypes.varint)]), `{"a": -${exact}}`).slice(-14),
      "dfffffffffffff"
    )
    assert.strictEqual(
      hex(of(dataTypes.list, of(dataTypes.decimal)), "[0.12345678901234567890]"),
      hex(of(dataTypes.list, of(dataTypes.decimal)), ["0.12345678901234567890"])
    )
    assert.strictEqual(
      hex(of(dataTypes.list, of(dataTypes.double)), "[1.5]"),
      hex(of(dataTypes.list, of(dataTypes.double)), [1.5])
    )
  })

  it("NaN and Infinity can be said as text", () => {
    assert.strictEqual(hex(of(dataTypes.double), "NaN"), "7ff8000000000000")
    assert.strictEqual(hex(of(dataTypes.float), "-Infinity"), "ff800000")
  })

  it("numbers, booleans and bigints are text in their JSON form", () => {
    const text = (value: unknown) => CqlValue.encoder(of(dataTypes.varchar))(value).toString()
    assert.deepStrictEqual([1.5, true, 10n ** 20n, -0].map(text), ["1.5", "true", "100000000000000000000", "0"])
  })

  it("an empty collection has bytes of its own", () => {
    assert.strictEqual(hex(of(dataTypes.list, of(dataTypes.int)), []), "00000000")
    assert.strictEqual(hex(of(dataTypes.map, [of(dataTypes.int), of(dataTypes.int)]), {}), "00000000")
  })

  it("missing fields of a user-defined type are null", () => {
    assert.strictEqual(hex(address, { street: "a" }), "0000000161ffffffff")
  })

  it("a Date for a date column does not depend on the time zone", () => {
    assert.strictEqual(hex(of(dataTypes.date), new Date("1970-01-02T00:00:00Z")), "80000001")
  })
})

describe("typeName", () => {
  it("writes types as CQL does", () => {
    // The metadata does not know what is frozen.
    const thawed = (cql: string): string => {
      const start = cql.indexOf("frozen<")
      if (start < 0) return cql
      let end = start + 7
      for (let depth = 1; depth > 0; end++) depth += cql[end] === "<" ? 1 : cql[end] === ">" ? -1 : 0
      return thawed(cql.slice(0, start) + cql.slice(start + 7, end - 1) + cql.slice(end))
    }
    for (const { cql, type } of cases) assert.strictEqual(CqlValue.typeName(type), thawed(cql))
    assert.strictEqual(CqlValue.typeName(of(dataTypes.custom, "org.example.Mine")), "'org.example.Mine'")
  })
})

describe("refusals", () => {
  const list = (element: number) => of(dataTypes.list, of(element))
  const refused: ReadonlyArray<readonly [CqlValue.CqlType, unknown, RegExp]> = [
    [of(dataTypes.int), 1.5, /^expected int, got 1\.5: it is not whole$/],
    [of(dataTypes.int), 2147483648, /within -2147483648 to 2147483647$/],
    [of(dataTypes.int), "-2147483649", /within/],
    [of(dataTypes.int), "1e3", /got "1e3": it is not the digits of a whole number$/],
    [of(dataTypes.int), "", /it is empty$/],
    [of(dataTypes.int), " 1", /not the digits/],
    [of(dataTypes.int), "0x10", /not the digits/],
    [of(dataTypes.int), Number.NaN, /got NaN/],
    [of(dataTypes.int), true, /^expected int, got true: give a whole number/],
    [of(dataTypes.int), null, /got null/],
    [of(dataTypes.int), Buffer.from([0, 0, 0, 1]), /^expected int, got 4 bytes/],
    [of(dataTypes.smallint), 32768, /within/],
    [of(dataTypes.tinyint), -129n, /got -129n: it is not within -128 to 127/],
    [of(dataTypes.bigint), 2 ** 53, /exact beyond 2\^53; give a bigint/],
    [of(dataTypes.bigint), "9223372036854775808", /within -9223372036854775808/],
    [of(dataTypes.counter), -(2n ** 63n) - 1n, /^expected counter/],
    [of(dataTypes.varint), 1e21, /2\^53/],
    [of(dataTypes.varint), "1.0", /digits/],
    [of(dataTypes.decimal), "1.2.3", /no decimal/],
    [of(dataTypes.decimal), ".", /no decimal/],
    [of(dataTypes.decimal), Number.POSITIVE_INFINITY, /no decimal/],
    [of(dataTypes.decimal), "1e99999999999", /exponent/],
    [of(dataTypes.double), "1e400", /beyond what a double holds/],
    [of(dataTypes.double), "1e-400", /would hold 0/],
    [of(dataTypes.double), "abc", /it is no number/],
    [of(dataTypes.double), "0x10", /it is no number/],
    [of(dataTypes.double), Number.NaN, /give it as text/],
    [of(dataTypes.double), Number.NEGATIVE_INFINITY, /give it as text/],
    [of(dataTypes.double), 2n ** 53n + 1n, /it would be stored as 9007199254740992/],
    [of(dataTypes.float), 1e39, /beyond what a float holds/],
    [of(dataTypes.float), 1e-50, /would hold 0/],
    [list(dataTypes.double), "[1e400]", /^at \[0\]: expected double, got "1e400": it is beyond/],
    [list(dataTypes.double), "[1e-400]", /^at \[0\]: expected double, got "1e-400": it is so small/],
    [of(dataTypes.boolean), "maybe", /yes\/no/],
    [of(dataTypes.boolean), 1, /give true or false/],
    [of(dataTypes.boolean), "constructor", /give true or false/],
    [of(dataTypes.text), { a: 1 }, /^expected text, got \{"a":1\}: give text/],
    [of(dataTypes.text), Number.NaN, /JSON has no text/],
    [of(dataTypes.text), "a\ud800", /surrogate/],
    [of(dataTypes.text), Buffer.from("abc"), /got 3 bytes/],
    [of(dataTypes.ascii), "naïve", /"ï" at character 3 is not ASCII/],
    [of(dataTypes.uuid), "123e4567-e89b-12d3-a456-42661417400", /no uuid/],
    [of(dataTypes.uuid), Buffer.alloc(16), /got 16 bytes/],
    [of(dataTypes.timeuuid), "123e4567-e89b-42d3-a456-426614174000", /version 4 uuid, a timeuuid is version 1/],
    [of(dataTypes.inet), "256.0.0.1", /no IPv4/],
    [of(dataTypes.inet), "", /no IPv4/],
    [of(dataTypes.inet), "fe80::1%eth0", /no IPv4/],
    [of(dataTypes.inet), "1:2:3", /no IPv4/],
    [of(dataTypes.blob), "0x123", /pairs of hex digits/],
    [of(dataTypes.blob), "abc", /base64/],
    [of(dataTypes.blob), [1, 2], /give bytes/],
    [of(dataTypes.timestamp), "2011-02-29", /no calendar/],
    [of(dataTypes.timestamp), "2011-02-03 24:00:00", /no calendar/],
    [of(dataTypes.timestamp), "2011-02-03T04:05:06.1234Z", /holds milliseconds/],
    [of(dataTypes.timestamp), "yesterday", /no date such as/],
    [of(dataTypes.timestamp), "2011", /^encoded/],
    [of(dataTypes.timestamp), new Date(Number.NaN), /got an invalid Date/],
    [of(dataTypes.timestamp), 1.5, /not whole/],
    [of(dataTypes.date), "2001/01/01", /no date such as/],
    [of(dataTypes.date), "2001-02-30", /no such day/],
    [of(dataTypes.date), "2001-01-01T00:00:00Z", /no date such as/],
    [of(dataTypes.date), new Date(1), /depends on a time zone/],
    [of(dataTypes.date), 5, /give text/],
    [of(dataTypes.time), "24:00:00", /no clock/],
    [of(dataTypes.time), "13:30", /no time such as/],
    [of(dataTypes.time), "13:30:00.1234567891", /nine digits/],
    [of(dataTypes.time), 86_400_000_000_000, /after midnight/],
    [of(dataTypes.time), -1, /after midnight/],
    [of(dataTypes.custom, duration), "abc", /no duration/],
    [of(dataTypes.custom, duration), "1h junk", /no duration/],
    [of(dataTypes.custom, duration), "", /no duration/],
    [of(dataTypes.custom, duration), "P", /no duration/],
    [of(dataTypes.custom, duration), "1h2y", /should be after/],
    [of(dataTypes.custom, duration), 5, /give text/],
    [list(dataTypes.int), [1, null], /^at \[1\]: expected int, got null: a collection holds no null$/],
    [list(dataTypes.int), [1, undefined], /holds no null/],
    [list(dataTypes.int), "1, 2", /no JSON text with \[/],
    [list(dataTypes.int), "[1, ", /no valid JSON/],
    [list(dataTypes.int), { 0: 1 }, /^expected list<int>, got \{"0":1\}: give an array/],
    [list(dataTypes.int), new Set([1]), /got a Set of 1/],
    [list(dataTypes.int), Buffer.from([1]), /got 1 bytes/],
    [of(dataTypes.map, [of(dataTypes.int), of(dataTypes.int)]), { a: 1 }, /^at \{key a\}: expected int, got "a"/],
    [of(dataTypes.map, [of(dataTypes.text), of(dataTypes.int)]), { a: null }, /^at \{a\}: .*holds no null/],
    [of(dataTypes.map, [of(dataTypes.text), of(dataTypes.int)]), [["a", 1]], /give a Map/],
    [of(dataTypes.map, [of(dataTypes.text), of(dataTypes.int)]), new Date(0), /give a Map/],
    [of(dataTypes.tuple, [of(dataTypes.int), of(dataTypes.int)]), [1], /it has 1 parts, the type has 2/],
    [address, { street: "a", city: "b" }, /no field city; it has street, lines/],
    [address, { lines: [1, "x"] }, /^at \.lines\[1\]: expected int, got "x"/],
    [address, [1], /give an object/],
    [of(dataTypes.custom, vector("FloatType", 3)), [1, 2], /it has 2 elements, the type has 3/],
    [of(dataTypes.custom, vector("FloatType", 3)), [1, 2, null], /^at \[2\]: .*holds no null/],
    [of(dataTypes.custom, "org.example.Mine"), "abc", /give its bytes/]
  ]
  for (const [type, value, expected] of refused) {
    it(`${CqlValue.typeName(type)} and ${String(expected)}`, () => {
      assert.match(refusal(type, value), expected)
    })
  }

  it("a long value is shortened", () => {
    const error = refusal(of(dataTypes.int), "x".repeat(1000))
    assert.isBelow(error.length, 130)
    assert.match(error, /x\.\.\.: it is not the digits/)
  })

  it("costs no stack", () => {
    try {
      CqlValue.encoder(of(dataTypes.int))("x")
      assert.fail("encoded")
    } catch (error) {
      assert.isFalse(Object.hasOwn(error as object, "stack"))
      assert.match(String((error as Error).stack), /^CqlValueError: expected int/)
    }
  })
})

describe("on a server", () => {
  const keyspace = "effect_cassandra_cql_value"
  const client = makeClient()
  const column = (index: number): string => `c${index}`

  beforeAll(async () => {
    await makeKeyspace(client, keyspace)
    await client.execute(`CREATE TYPE IF NOT EXISTS ${keyspace}.address (street text, lines frozen<list<int>>)`)
    const columns = cases.map(({ cql }, index) => `${column(index)} ${cql}`).join(", ")
    await client.execute(
      `CREATE TABLE IF NOT EXISTS ${keyspace}.v (k text, i int, ${columns}, PRIMARY KEY (k, i))`
    )
  }, 60_000)
  afterAll(() => client.shutdown())

  for (const [index, { cql, decoded, forms, type, values }] of cases.entries()) {
    it.effect(`${cql}: comes back as it went`, () =>
      Effect.gen(function*() {
        const encode = CqlValue.encoder(type)
        const encodeInt = CqlValue.encoder(of(dataTypes.int))
        const encodeText = CqlValue.encoder(of(dataTypes.text))
        const name = column(index)
        const insert = `INSERT INTO ${keyspace}.v (k, i, ${name}) VALUES (?, ?, ?)`
        const result = yield* Arbitrary.checkEffect(
          Arbitrary.array(values, { minLength: 25, maxLength: 25 }),
          (batch) =>
            Effect.promise(async () => {
              await Promise.all(
                batch.map((value, row) =>
                  client.execute(insert, [encodeText(name), encodeInt(row), encode(forms(value)[0])], { prepare: true })
                )
              )
              const { rows } = await client.execute(
                `SELECT i, ${name} FROM ${keyspace}.v WHERE k = ?`,
                [name],
                { prepare: true }
              )
              assert.strictEqual(rows.length, batch.length)
              for (const row of rows) assert.deepStrictEqual(decoded(row[name]), batch[row["i"]])
              return true
            }),
          { runs: 4, size: 20 }
        )
        assert.strictEqual(result._tag, "Passed")
      }))
  }

  it("reads text as the server reads the same text", async () => {
    const literals: Record<string, ReadonlyArray<string>> = {
      timestamp: [
        "2011-02-03 04:05+0000",
        "2011-02-03 04:05:06+0000",
        "2011-02-03 04:05:06.123+0000",
        "2011-02-03T04:05:06Z",
        "2011-02-03T04:05:06.789+01:30",
        "2011-02-03T04:05-0800",
        "2011-02-03+0000",
        "0001-01-01T00:00:00Z",
        "1299038700000",
        "-1"
      ],
      date: ["2011-02-03", "0001-01-01", "9999-12-31", "1969-12-31"],
      time: ["08:12:54", "08:12:54.1", "08:12:54.123456789", "23:59:59.999999999"],
      duration: ["1y2mo3d4h5m6s7ms8us9ns", "-89h4m48s", "P1Y2M3DT4H5M6S", "P3W", "P0001-02-03T04:05:06", "2w"],
      inet: ["127.0.0.1", "::1", "2001:db8::8a2e:370:7334", "::", "1::", "::ffff:1:2", "::ffff:10.1.2.3"]
    }
    for (const [cql, texts] of Object.entries(literals)) {
      const index = cases.findIndex((entry) => entry.cql === cql)
      const encode = CqlValue.encoder(cases[index]!.type)
      for (const text of texts) {
        const literal = cql === "duration" ? text : `'${text}'`
        await client.execute(`INSERT INTO ${keyspace}.v (k, i, ${column(index)}) VALUES ('literal', 0, ${literal})`)
        const { rows } = await client.execute(
          `SELECT ${cql}_as_blob(${column(index)}) AS raw FROM ${keyspace}.v WHERE k = 'literal' AND i = 0`
        )
        assert.strictEqual(encode(text).toString("hex"), rows[0]!["raw"].toString("hex"), `${cql} ${text}`)
      }
    }
  })

  it("the prepared metadata names the types of the table", async () => {
    const columns = cases.map((_, index) => column(index))
    const { columns: read } = await client.execute(`SELECT ${columns.join(", ")} FROM ${keyspace}.v LIMIT 1`)
    for (const [index, { type }] of cases.entries()) {
      assert.strictEqual(CqlValue.typeName(read[index]!.type), CqlValue.typeName(type))
    }
  })
})
