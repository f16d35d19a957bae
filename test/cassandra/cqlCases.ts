/** Every CQL type: arbitrary values, all that each may be written as, and the value again from what the driver gives. */
import { types } from "cassandra-driver"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import type * as CqlValue from "../../src/cassandra/CqlValue.ts"
import { Encoder } from "../../src/cassandra/internal/driverInternals.ts"

const { dataTypes } = types
export const driverBigInt = new Encoder(4, {
  encoding: { map: Map, set: Set, useBigIntAsLong: true, useBigIntAsVarint: true }
})

export const of = (code: number, info?: unknown): CqlValue.CqlType => ({ code, info })

export const duration = "org.apache.cassandra.db.marshal.DurationType"
export const vector = (element: string, dimension: number): string =>
  `org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.${element} , ${dimension})`
export const address = of(dataTypes.udt, {
  keyspace: "ks",
  name: "address",
  fields: [{ name: "street", type: of(dataTypes.text) }, { name: "lines", type: of(dataTypes.list, of(dataTypes.int)) }]
})

const bytes = (count: number) =>
  Arbitrary.array(Arbitrary.schema(Schema.Literals(byteRange)), { minLength: count, maxLength: count })
const byteRange = Array.from({ length: 256 }, (_, index) => index)

/** Whole numbers of every size up to `count` bytes, so that the borders between sizes come up often. */
const integers = (count: number): Arbitrary.Arbitrary<bigint> =>
  Arbitrary.all([bytes(count), Arbitrary.schema(Schema.Literals(byteRange.slice(0, count * 8)))]).pipe(
    Arbitrary.map(([digits, shift]) =>
      BigInt.asIntN(count * 8, BigInt(`0x${Buffer.from(digits).toString("hex")}`)) >> BigInt(shift)
    )
  )

const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))
const two = (value: number): string => String(value).padStart(2, "0")

export interface Case<A> {
  readonly cql: string
  readonly type: CqlValue.CqlType
  readonly values: Arbitrary.Arbitrary<A>
  /** Everything the value may be written as; all forms give the same bytes. */
  readonly forms: (value: A) => ReadonlyArray<unknown>
  /** What the driver encodes, to compare bytes with. */
  readonly driver?: (value: A) => unknown
  /** The value again, from what the driver decodes. */
  readonly decoded: (value: any) => unknown
}

const define = <A>(self: Case<A>): Case<any> => self

const numberIfExact = (value: bigint): ReadonlyArray<number> =>
  Number.isSafeInteger(Number(value)) ? [Number(value)] : []
const integerForms = (value: bigint): ReadonlyArray<unknown> => [
  value,
  String(value),
  types.Integer.fromString(String(value)),
  ...numberIfExact(value)
]
const longForms = (value: bigint) => [...integerForms(value), types.Long.fromString(String(value))]

const uuids = (version: number) =>
  bytes(16).pipe(Arbitrary.map((raw) => {
    raw[6] = (raw[6]! & 0x0f) | (version << 4)
    raw[8] = (raw[8]! & 0x3f) | 0x80
    return new types.Uuid(Buffer.from(raw)).toString()
  }))

const scalars: ReadonlyArray<Case<any>> = [
  define<bigint>({
    cql: "tinyint",
    type: of(dataTypes.tinyint),
    values: integers(1),
    forms: longForms,
    driver: Number,
    decoded: BigInt
  }),
  define<bigint>({
    cql: "smallint",
    type: of(dataTypes.smallint),
    values: integers(2),
    forms: longForms,
    driver: Number,
    decoded: BigInt
  }),
  define<bigint>({
    cql: "int",
    type: of(dataTypes.int),
    values: integers(4),
    forms: longForms,
    driver: Number,
    decoded: BigInt
  }),
  define<bigint>({
    cql: "bigint",
    type: of(dataTypes.bigint),
    values: integers(8),
    forms: longForms,
    driver: (value) => types.Long.fromString(String(value)),
    decoded: (value) => value
  }),
  define<bigint>({
    cql: "varint",
    type: of(dataTypes.varint),
    values: integers(24),
    forms: integerForms,
    decoded: (value) => value
  }),
  define<{ readonly unscaled: bigint; readonly scale: number }>({
    cql: "decimal",
    type: of(dataTypes.decimal),
    values: Arbitrary.all({ unscaled: integers(12), scale: between(0, 30) }),
    forms: ({ scale, unscaled }) => {
      const digits = String(unscaled).replace("-", "").padStart(scale + 1, "0")
      const sign = unscaled < 0 ? "-" : ""
      const plain = digits.slice(0, digits.length - scale) + (scale === 0 ? "" : `.${digits.slice(-scale)}`)
      return [sign + plain, `${unscaled}e-${scale}`, types.BigDecimal.fromString(sign + plain)]
    },
    decoded: (value) => {
      const buffer = types.BigDecimal.toBuffer(value)
      return { unscaled: driverBigInt.decode(buffer.subarray(4), of(dataTypes.varint)), scale: buffer.readInt32BE(0) }
    }
  }),
  define<number>({
    cql: "double",
    type: of(dataTypes.double),
    values: Arbitrary.schema(Schema.Finite),
    forms: (value) => Object.is(value, -0) ? [value, "-0"] : [value, String(value), value.toExponential()],
    driver: (value) => value,
    decoded: (value) => value
  }),
  define<number>({
    cql: "float",
    type: of(dataTypes.float),
    values: Arbitrary.schema(Schema.Finite.check(Schema.isBetween({ minimum: -3e38, maximum: 3e38 }))).pipe(
      Arbitrary.map(Math.fround)
    ),
    forms: (value) => Object.is(value, -0) ? [value, "-0"] : [value, String(value)],
    driver: (value) => value,
    decoded: (value) => value
  }),
  define<string>({
    cql: "text",
    type: of(dataTypes.text),
    values: Arbitrary.schema(Schema.String).pipe(Arbitrary.filter((text) => (text as any).isWellFormed())),
    forms: (value) => [value],
    driver: (value) => value,
    decoded: (value) => value
  }),
  define<string>({
    cql: "ascii",
    type: of(dataTypes.ascii),
    values: Arbitrary.array(between(0, 127)).pipe(Arbitrary.map((codes) => String.fromCharCode(...codes))),
    forms: (value) => [value],
    driver: (value) => value,
    decoded: (value) => value
  }),
  define<boolean>({
    cql: "boolean",
    type: of(dataTypes.boolean),
    values: Arbitrary.schema(Schema.Boolean),
    forms: (value) => value ? [true, "true", "TRUE", "Yes", "y", "T", "1"] : [false, "false", "No", "N", "f", "0"],
    driver: (value) => value,
    decoded: (value) => value
  }),
  define<string>({
    cql: "uuid",
    type: of(dataTypes.uuid),
    values: uuids(4),
    forms: (value) => [value, value.toUpperCase(), types.Uuid.fromString(value)],
    driver: (value) => value,
    decoded: String
  }),
  define<string>({
    cql: "timeuuid",
    type: of(dataTypes.timeuuid),
    values: uuids(1),
    forms: (value) => [value, types.TimeUuid.fromString(value)],
    driver: (value) => value,
    decoded: String
  }),
  define<Buffer>({
    cql: "inet",
    type: of(dataTypes.inet),
    values: Arbitrary.flatMap(Arbitrary.schema(Schema.Literals([4, 16])), bytes).pipe(Arbitrary.map((raw) => {
      // Groups of zeros, so that :: comes up.
      const buffer = Buffer.from(raw)
      return buffer[0]! % 2 === 0 && buffer.length === 16 ? buffer.fill(0, 2, 2 + (buffer[1]! % 7) * 2) : buffer
    })),
    forms: (value) => {
      const address = new types.InetAddress(value)
      const groups = value.toString("hex").match(/..../g)!.join(":")
      return [address, ...(value.length === 4 ? [value.join(".")] : [groups, groups.toUpperCase(), String(address)])]
    },
    driver: (value) => new types.InetAddress(value),
    decoded: (value) => value.getBuffer()
  }),
  define<Buffer>({
    cql: "blob",
    type: of(dataTypes.blob),
    values: Arbitrary.array(between(0, 255)).pipe(Arbitrary.map((raw) => Buffer.from(raw))),
    forms: (value) => {
      const base64 = value.toString("base64")
      return [
        value,
        new Uint8Array(value),
        `0x${value.toString("hex")}`,
        ...(base64.startsWith("0x") || base64.startsWith("0X") ? [] : [base64])
      ]
    },
    decoded: (value) => value
  }),
  define<number>({
    cql: "timestamp",
    type: of(dataTypes.timestamp),
    values: between(-62_167_219_200_000, 253_402_300_799_999),
    forms: (value) => {
      const iso = new Date(value).toISOString()
      return [
        value,
        BigInt(value),
        String(value),
        new Date(value),
        types.Long.fromNumber(value),
        iso,
        iso.slice(0, -1),
        iso.replace("T", " ").replace("Z", "+0000"),
        new Date(value + 5_400_000).toISOString().replace("Z", "+01:30")
      ]
    },
    driver: (value) => new Date(value),
    decoded: (value) => value.getTime()
  }),
  define<string>({
    cql: "date",
    type: of(dataTypes.date),
    values: between(-719_528, 2_932_896).pipe(
      Arbitrary.map((days) => new Date(days * 86_400_000).toISOString().slice(0, 10))
    ),
    forms: (value) => [value, new Date(`${value}T00:00:00Z`), types.LocalDate.fromString(value)],
    driver: (value) => value,
    decoded: String
  }),
  define<{ readonly seconds: number; readonly nanos: number }>({
    cql: "time",
    type: of(dataTypes.time),
    values: Arbitrary.all({ seconds: between(0, 86_399), nanos: between(0, 999_999_999) }),
    forms: ({ nanos, seconds }) => {
      const total = BigInt(seconds) * 1_000_000_000n + BigInt(nanos)
      const clock = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
      const precise = `${clock}.${String(nanos).padStart(9, "0")}`
      return [
        precise,
        nanos === 0 ? clock : precise.replace(/0+$/, ""),
        ...integerForms(total),
        types.LocalTime.fromString(precise)
      ]
    },
    decoded: (value) => {
      const total = BigInt(value.getTotalNanoseconds().toString())
      return { seconds: Number(total / 1_000_000_000n), nanos: Number(total % 1_000_000_000n) }
    }
  }),
  define<ReadonlyArray<number>>({
    cql: "duration",
    type: of(dataTypes.custom, duration),
    values: Arbitrary.all([
      between(0, 99),
      between(0, 11),
      between(0, 9999),
      between(0, 99),
      between(0, 59),
      between(0, 59)
    ]),
    forms: ([years, months, days, hours, minutes, seconds]) => {
      const text = `${years}y${months}mo${days}d${hours}h${minutes}m${seconds}s`
      const iso = `P${years}Y${months}M${days}DT${hours}H${minutes}M${seconds}S`
      return [text, text.toUpperCase(), iso, types.Duration.fromString(text)]
    },
    driver: ([years, months, days, hours, minutes, seconds]) =>
      types.Duration.fromString(`${years}y${months}mo${days}d${hours}h${minutes}m${seconds}s`),
    decoded: ({ days, months, nanoseconds }) => {
      const seconds = Number(nanoseconds.toString()) / 1e9
      return [
        Math.floor(months / 12),
        months % 12,
        days,
        Math.floor(seconds / 3600),
        Math.floor(seconds / 60) % 60,
        seconds % 60
      ]
    }
  })
]

const words = Arbitrary.schema(Schema.Literals(["", "a", "b", "ä", "it's", "long".repeat(50)]))
const small = between(-1000, 1000)
const plain = (value: unknown): unknown =>
  value instanceof Map
    ? [...value].map(([key, entry]) => [plain(key), plain(entry)])
    : value instanceof Set || Array.isArray(value)
    ? [...value].map(plain)
    : value instanceof types.Tuple
    ? value.elements.map(plain)
    : value instanceof types.Vector
    ? Array.from(value.elements, plain)
    : value instanceof types.Uuid
    ? String(value)
    : value

const nested: ReadonlyArray<Case<any>> = [
  define<ReadonlyArray<string>>({
    cql: "list<text>",
    type: of(dataTypes.list, of(dataTypes.text)),
    values: Arbitrary.array(words, { minLength: 1 }),
    forms: (value) => [value, JSON.stringify(value)],
    driver: (value) => value,
    decoded: plain
  }),
  define<ReadonlyArray<bigint>>({
    cql: "set<bigint>",
    type: of(dataTypes.set, of(dataTypes.bigint)),
    values: Arbitrary.array(integers(8), { minLength: 1 }).pipe(
      Arbitrary.map((values) => [...new Set(values)].toSorted((a, b) => a < b ? -1 : 1))
    ),
    forms: (value) => [value, new Set(value), value.map(String), `[${value.join(", ")}]`],
    driver: (value) => value.map((element) => types.Long.fromString(String(element))),
    decoded: plain
  }),
  define<ReadonlyArray<readonly [string, number]>>({
    cql: "map<text, int>",
    type: of(dataTypes.map, [of(dataTypes.text), of(dataTypes.int)]),
    values: Arbitrary.array(Arbitrary.all([words, small]), { minLength: 1 }).pipe(
      Arbitrary.map((entries) =>
        [...new Map(entries)].toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      )
    ),
    forms: (value) => [new Map(value), Object.fromEntries(value), JSON.stringify(Object.fromEntries(value))],
    driver: (value) => new Map(value),
    decoded: plain
  }),
  define<Record<string, unknown>>({
    cql: "frozen<address>",
    type: address,
    values: Arbitrary.all({ street: words, lines: Arbitrary.array(small) }),
    forms: (value) => [value, JSON.stringify(value)],
    decoded: (value) => ({ ...value })
  }),
  define<ReadonlyArray<unknown>>({
    cql: "frozen<tuple<int, text, uuid>>",
    type: of(dataTypes.tuple, [of(dataTypes.int), of(dataTypes.text), of(dataTypes.uuid)]),
    values: Arbitrary.all([small, Arbitrary.map(words, (word) => word === "" ? null : word), uuids(4)]),
    forms: (value) => [value, JSON.stringify(value), types.Tuple.fromArray([...value])],
    driver: (value) => types.Tuple.fromArray([...value]),
    decoded: plain
  }),
  define<ReadonlyArray<number>>({
    cql: "vector<float, 3>",
    type: of(dataTypes.custom, vector("FloatType", 3)),
    values: Arbitrary.array(small, { minLength: 3, maxLength: 3 }),
    forms: (value) => [value, new Float32Array(value), JSON.stringify(value), new types.Vector([...value], "float")],
    driver: (value) => new types.Vector([...value], "float"),
    decoded: plain
  }),
  define<ReadonlyArray<string>>({
    cql: "vector<text, 2>",
    type: of(dataTypes.custom, vector("UTF8Type", 2)),
    values: Arbitrary.array(words, { minLength: 2, maxLength: 2 }),
    forms: (value) => [value],
    driver: (value) => new types.Vector([...value], "text"),
    decoded: plain
  }),
  define<ReadonlyArray<readonly [number, ReadonlyArray<ReadonlyArray<string>>]>>({
    cql: "map<int, frozen<list<frozen<set<text>>>>>",
    type: of(dataTypes.map, [
      of(dataTypes.int),
      of(dataTypes.list, of(dataTypes.set, of(dataTypes.text)))
    ]),
    values: Arbitrary.array(
      Arbitrary.all([small, Arbitrary.array(Arbitrary.map(words, (word) => [word]), { minLength: 1 })]),
      {
        minLength: 1
      }
    ).pipe(Arbitrary.map((entries) => [...new Map(entries)].toSorted(([a], [b]) => a - b))),
    forms: (value) => [new Map(value)],
    driver: (value) => new Map(value),
    decoded: plain
  })
]

export const cases = [...scalars, ...nested]
