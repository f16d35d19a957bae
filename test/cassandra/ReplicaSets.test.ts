import { assert, describe, it } from "@effect/vitest"
// @ts-expect-error: the driver ships no types for this file
import Tokenizer from "cassandra-driver/lib/tokenizer.js"
import { Arbitrary, Effect, Schema } from "effect"
import type { RangeEnd } from "../../src/cassandra/ReplicaSets.ts"
import * as ReplicaSets from "../../src/cassandra/ReplicaSets.ts"
import type { LoggedRow } from "../../src/state/RowFrame.ts"
import * as MurmurToken from "../../src/wire/MurmurToken.ts"
import * as PartitionToken from "../../src/wire/PartitionToken.ts"
import { loggedRows } from "../sink/loggedRows.ts"

interface DriverTokenizer {
  readonly hash: (key: Buffer) => { readonly getValue: () => { readonly toString: () => string } }
}
const driver: DriverTokenizer = new Tokenizer.Murmur3Tokenizer()
const tokenOfDriver = (key: Buffer): bigint => BigInt(driver.hash(key).getValue().toString())

const tokenOf = (key: Buffer): bigint => {
  const around = Buffer.concat([Buffer.from("before"), key, Buffer.from("behind")])
  const high = MurmurToken.highHalf(around, 6, 6 + key.length)
  return (BigInt(high) << 32n) | BigInt(MurmurToken.lowHalf())
}

const Byte = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))
const Key = Arbitrary.array(Arbitrary.schema(Byte), { maxLength: 70 })

const endAt = (token: bigint, set: number): RangeEnd => ({
  high: Number(token >> 32n),
  low: Number(token & 0xffff_ffffn),
  set
})

const rowOf = (...values: ReadonlyArray<Buffer>) => loggedRows([{ timestamp: 0, place: 0, values }])[0]!

const setOf = (sets: ReplicaSets.ReplicaSets, { bytes, from }: LoggedRow, keys: ReadonlyArray<number>): number =>
  sets.setOf(PartitionToken.highHalf(bytes, from, keys), PartitionToken.lowHalf())

describe("the token of a key", () => {
  it.effect.prop(
    "is that of the driver, whatever its length and its bytes",
    { key: Key },
    ({ key }) =>
      Effect.sync(() => {
        const bytes = Buffer.from(key)
        assert.strictEqual(tokenOf(bytes), tokenOfDriver(bytes))
      }),
    { arbitrary: { runs: 2000 } }
  )

  it("is what Cassandra's token() says", () => {
    // Of an int 1 and a text 'a'; test/testing/threeNodes asks a server for thousands.
    const known: ReadonlyArray<readonly [string, bigint]> = [
      ["00000001", -4069959284402364209n],
      ["61", -8839064797231613815n]
    ]
    for (const [hex, token] of known) assert.strictEqual(tokenOf(Buffer.from(hex, "hex")), token, hex)
  })
})

describe("ReplicaSets", () => {
  it.effect.prop(
    "a row is in the first range that does not end before its token",
    { key: Key, ends: Arbitrary.array(Key, { minLength: 2, maxLength: 40 }) },
    ({ ends, key }) =>
      Effect.sync(() => {
        const tokens = [...new Set(ends.map((end) => tokenOfDriver(Buffer.from(end))))].toSorted((a, b) =>
          a < b ? -1 : 1
        )
        const sets = ReplicaSets.make(tokens.map((token, i) => endAt(token, i % 3)))
        if (tokens.length < 2) return assert.isNull(sets)
        const token = tokenOfDriver(Buffer.from(key))
        const found = tokens.findIndex((end) => token <= end)
        assert.strictEqual(setOf(sets!, rowOf(Buffer.from("other"), Buffer.from(key)), [1]), Math.max(0, found) % 3)
      }),
    { arbitrary: { runs: 500 } }
  )

  it("the token of a key of several columns is that of its parts, in the order of the key", () => {
    const [a, b] = [Buffer.from("Zürich"), Buffer.alloc(700, 7)]
    const part = (value: Buffer) => {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(value.length)
      return Buffer.concat([length, value, Buffer.from([0])])
    }
    const token = tokenOfDriver(Buffer.concat([part(b), part(a)]))
    const sets = ReplicaSets.make([endAt(token - 1n, 0), endAt(token, 1), endAt(token + 1n, 2)])!
    assert.strictEqual(setOf(sets, rowOf(a, Buffer.from("not of the key"), b), [2, 0]), 1)
    assert.strictEqual(sets.count, 3)
  })

  it("there are none where all nodes have everything", () => {
    assert.isNull(ReplicaSets.make([endAt(-5n, 0), endAt(5n, 0)]))
    assert.isNull(ReplicaSets.make([]))
  })
})
