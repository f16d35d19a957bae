import { assert, describe, it } from "@effect/vitest"
import { types } from "cassandra-driver"
import * as CqlText from "../../src/cassandra/CqlText.ts"
import type { CqlType } from "../../src/cassandra/CqlValue.ts"
import { canonical, encoder, typeName } from "../../src/cassandra/CqlValue.ts"
import * as LosslessJson from "../../src/source/LosslessJson.ts"

const { dataTypes } = types
const of = (code: number, info?: unknown): CqlType => ({ code, info })
const vector = (element: string, dimension: number): CqlType =>
  of(
    dataTypes.custom,
    `org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.${element} , ${dimension})`
  )
const uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

const cases: ReadonlyArray<readonly [type: CqlType, value: unknown, text: string]> = [
  [of(dataTypes.int), -5, "-5"],
  [of(dataTypes.bigint), 9007199254740993n, "9007199254740993"],
  [of(dataTypes.varint), 123456789012345678901234567890n, "123456789012345678901234567890"],
  [of(dataTypes.decimal), "-123456789012345678.90", "-123456789012345678.90"],
  [of(dataTypes.tinyint), 127, "127"],
  [of(dataTypes.smallint), -32768, "-32768"],
  [of(dataTypes.double), -0, "-0.0"],
  [of(dataTypes.double), 1e300, "1e+300"],
  [of(dataTypes.float), "NaN", `"NaN"`],
  [of(dataTypes.float), 0.1, "0.10000000149011612"],
  [of(dataTypes.boolean), true, "true"],
  [of(dataTypes.varchar), "a\"\n\u0000é", `"a\\"\\n\\u0000é"`],
  [of(dataTypes.ascii), "", `""`],
  [of(dataTypes.blob), Buffer.from([0, 255]), `"0x00ff"`],
  [of(dataTypes.blob), Buffer.alloc(0), `"0x"`],
  [of(dataTypes.uuid), uuid, `"${uuid}"`],
  [of(dataTypes.timeuuid), uuid, `"${uuid}"`],
  [of(dataTypes.inet), "::1", `"::1"`],
  [of(dataTypes.timestamp), "2020-01-02T03:04:05.678Z", `"2020-01-02T03:04:05.678Z"`],
  [of(dataTypes.timestamp), "9000000000000000", "9000000000000000"],
  [
    of(dataTypes.list, of(dataTypes.timestamp)),
    ["9000000000000000", 0],
    `[9000000000000000,"1970-01-01T00:00:00.000Z"]`
  ],
  [
    of(dataTypes.map, [of(dataTypes.timestamp), of(dataTypes.int)]),
    { "-9000000000000000": 1 },
    `{"-9000000000000000":1}`
  ],
  [of(dataTypes.date), "1969-12-31", `"1969-12-31"`],
  [of(dataTypes.time), "13:30:54.234", `"13:30:54.234"`],
  [of(dataTypes.duration), "1y2mo3d4h5m6s", `"1y2mo3d4h5m6s"`],
  [of(dataTypes.list, of(dataTypes.bigint)), [1n, 9007199254740993n], "[1,9007199254740993]"],
  [of(dataTypes.set, of(dataTypes.varchar)), ["b", "a"], `["b","a"]`],
  [of(dataTypes.set, of(dataTypes.varchar)), [], "[]"],
  [of(dataTypes.map, [of(dataTypes.int), of(dataTypes.list, of(dataTypes.int))]), { 2: [3] }, `{"2":[3]}`],
  [of(dataTypes.tuple, [of(dataTypes.int), of(dataTypes.varchar)]), [1, null], "[1,null]"],
  [vector("FloatType", 2), [1, 0.5], "[1,0.5]"],
  [vector("UTF8Type", 2), ["x", ""], `["x",""]`]
]

describe("CqlText", () => {
  it.each(cases.map(([type, value, text]) => ({ name: `${typeName(type)} ${text}`, type, value, text })))(
    "$name",
    ({ text, type, value }) => {
      const bytes = encoder(type)(value)
      assert.strictEqual(CqlText.toText(typeName(type))(bytes), text)
      // What was told can be loaded again, and is the same.
      const again = encoder(type)(LosslessJson.parse(text))
      const same = canonical(type) ?? ((one: Buffer) => one)
      assert.strictEqual(same(again).toString("hex"), same(bytes).toString("hex"))
    }
  )

  it("what its name does not tell, and what is no value of the type, is told as bytes", () => {
    const point = of(dataTypes.udt, { keyspace: "ks", name: "point", fields: [{ name: "x", type: of(dataTypes.int) }] })
    const bytes = encoder(point)({ x: 1 })
    assert.strictEqual(CqlText.toText(typeName(point))(bytes), `"0x${bytes.toString("hex")}"`)
    const list = of(dataTypes.list, point)
    const text = CqlText.toText(typeName(list))(encoder(list)([{ x: 1 }]))
    assert.strictEqual(text, `["0x${bytes.toString("hex")}"]`)
    assert.strictEqual(CqlText.toText("'org.example.Odd'")(Buffer.from([1])), `"0x01"`)
    assert.strictEqual(CqlText.toText("int")(Buffer.from([1, 2])), `"0x0102"`)
    assert.strictEqual(CqlText.toText("int")(Buffer.alloc(0)), `"0x"`)
  })
})
