import { assert, describe, it } from "@effect/vitest"
import { types } from "cassandra-driver"
import * as CqlValue from "../../src/cassandra/CqlValue.ts"
import type { RowEncoderOptions } from "../../src/sink/RowEncoder.ts"
import { make, Misfit, partitionHash } from "../../src/sink/RowEncoder.ts"
import { WireBuffer } from "../../src/wire/WireBuffer.ts"
import * as WireValues from "../../src/wire/WireValues.ts"

const params = [
  { name: "id", type: { code: types.dataTypes.int }, isKey: true },
  { name: "body", type: { code: types.dataTypes.text }, isKey: false }
]

const problem = (record: any, options?: RowEncoderOptions<any>): Misfit => {
  try {
    make<any>(params, options)(record)
  } catch (error) {
    if (error instanceof Misfit) return error
    throw error
  }
  throw new Error("it fitted")
}

describe("values written straight into a buffer", () => {
  const values: ReadonlyArray<unknown> = [
    0,
    -0,
    1,
    -1,
    2 ** 31 - 1,
    -(2 ** 31),
    2 ** 31,
    1.5,
    -1.5,
    2 ** 53 - 1,
    -(2 ** 53 - 1),
    2 ** 53,
    1e300,
    5e-324,
    Number.NaN,
    Infinity,
    0n,
    -1n,
    2n ** 63n - 1n,
    -(2n ** 63n),
    2n ** 63n,
    "12",
    "-7",
    "1.5",
    "x",
    "",
    "NaN",
    true,
    "a".repeat(64),
    "a".repeat(65),
    "é",
    "漢字",
    "🚢",
    `${"a".repeat(70)}é`,
    "\ud800",
    `${"a".repeat(70)}\udc00`,
    null,
    {},
    [],
    new Date(0),
    Buffer.from([1])
  ]
  const outcome = (f: () => Buffer): string => {
    try {
      return f().toString("hex")
    } catch (error) {
      return String(error)
    }
  }
  for (const type of ["int", "bigint", "double", "text", "varchar", "boolean", "timestamp"] as const) {
    it(`are what the encoder of ${type} gives, or are refused in its words`, () => {
      const code = { code: types.dataTypes[type] }
      const encode = CqlValue.encoder(code)
      const write = CqlValue.writer(code)
      const out = new WireBuffer(1)
      for (const value of values) {
        const before = out.length
        const wanted = outcome(() => encode(value))
        const found = outcome(() => {
          write(value, out)
          assert.strictEqual(out.bytes.readInt32BE(before), out.length - before - 4)
          return out.bytes.subarray(before + 4, out.length)
        })
        assert.strictEqual(found, wanted, `${type} ${String(value)}`)
        if (wanted.includes("Error")) assert.strictEqual(out.length, before)
      }
    })
  }
})

describe("RowEncoder", () => {
  it("fills markers by name, or in order", () => {
    const expected = [Buffer.from([0, 0, 0, 7]), Buffer.from("x")]
    assert.deepStrictEqual(make<any>(params)({ body: "x", id: 7, more: 1 }), expected)
    assert.deepStrictEqual(make<any>(params, { bind: (r) => [r.a, r.b] })({ a: 7, b: "x" }), expected)
  })

  it("undefined is unset, null is a tombstone or unset", () => {
    assert.deepStrictEqual(make<any>(params)({ id: 1, body: undefined })[1], undefined)
    assert.deepStrictEqual(make<any>(params)({ id: 1, body: null })[1], null)
    assert.deepStrictEqual(make<any>(params, { nulls: "unset" })({ id: 1, body: null })[1], undefined)
    assert.deepStrictEqual(make<any>(params, { missing: "unset" })({ id: 1 })[1], undefined)
  })

  it("says which column, and what is there", () => {
    assert.deepStrictEqual(
      problem({ id: 1, text: "x" }),
      new Misfit("body", "the record has no field 'body' (it has id, text)")
    )
    assert.strictEqual(problem({ id: null, body: "x" }).column, "id")
    assert.include(problem({ id: undefined, body: "x" }).problem, "primary key")
    assert.include(problem({ id: "seven", body: "x" }).problem, "seven")
    assert.include(problem({ id: 2 ** 31, body: "x" }).problem, "int")
    assert.include(problem([1], { bind: (r) => r }).problem, "2 markers")
    assert.include(problem(5).problem, "number")
  })

  it("a bind that throws refuses the record, and a Misfit of its own stays what it is", () => {
    const thrown = problem({ id: 1 }, { bind: (r: any) => [r.id, r.body.trim()] })
    assert.instanceOf(thrown, Misfit)
    assert.match(thrown.problem, /^bind threw TypeError: .*trim/)
    const own = new Misfit("body", "not this one")
    const bind = () => {
      throw own
    }
    assert.strictEqual(problem({ id: 1 }, { bind }), own)
  })

  it("a field inherited from Object is no field", () => {
    const inherited = make<any>([{ name: "constructor", type: { code: types.dataTypes.text }, isKey: false }])
    assert.throws(() => inherited({}))
  })

  it("the partition's number depends on all of its key, and on nothing else", () => {
    const [a, b, c] = [Buffer.from("a"), Buffer.from("b"), Buffer.from("c")]
    assert.strictEqual(partitionHash([a, b, c], [0, 1]), partitionHash([a, b, a], [0, 1]))
    assert.notStrictEqual(partitionHash([a, b, c], [0, 1]), partitionHash([a, c, c], [0, 1]))
    const out = new WireBuffer(8)
    for (const value of [a, undefined, b, null, c]) out.writeValue(value)
    assert.strictEqual(WireValues.partitionHash(out.bytes, 0, [4, 0]), partitionHash([a, b, c], [2, 0]))
    assert.deepStrictEqual(WireValues.valuesOf(out.bytes, 0, out.length), [a, undefined, b, null, c])
  })
})
