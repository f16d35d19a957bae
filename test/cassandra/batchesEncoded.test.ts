/**
 * Batches whose rows are encoded already, on a real server: what is written is what a batch of statements would write.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { Session } from "../../src/cassandra/CassandraSession.ts"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import { encoder } from "../../src/cassandra/CqlValue.ts"
import type { EncodedRow, EncodedRows } from "../../src/cassandra/EncodedRows.ts"
import { WireBuffer } from "../../src/wire/WireBuffer.ts"
import { live, makeTable } from "../real/fixture.ts"

const int = encoder({ code: 9 })
const text = encoder({ code: 13 })

/** Rows somewhere in a larger buffer, as they are in a block of the log. */
const encoded = (
  rows: ReadonlyArray<{ readonly timestamp: number; readonly values: ReadonlyArray<Buffer | null | undefined> }>
): Array<EncodedRow> => {
  const out = new WireBuffer(16)
  const places = rows.map(({ timestamp, values }) => {
    out.writeValue(Buffer.from("something else"))
    const from = out.length
    for (const value of values) out.writeValue(value)
    return { from, to: out.length, timestamp }
  })
  // Only now, since the buffer has grown.
  return places.map(({ from, timestamp, to }) => ({ bytes: out.bytes, from, to, timestamp }))
}

const now = 1_750_000_000_000_000

const sendOne = (session: Session, batch: EncodedRows) =>
  Effect.flatMap(session.batchesEncoded([batch]), ([failure]) => failure ? Effect.fail(failure) : Effect.void)

layer(live, { timeout: 60_000, excludeTestServices: true })("batchesEncoded", (it) => {
  for (
    const [where, cqlOf, timestampIndex, order] of [
      ["last", (t: string) => `INSERT INTO ${t} (id, a, b) VALUES (?, ?, ?) USING TIMESTAMP ?`, 3, ["id", "a", "b"]],
      ["first", (t: string) => `UPDATE ${t} USING TIMESTAMP ? SET a = ?, b = ? WHERE id = ?`, 0, ["a", "b", "id"]],
      ["in between", (t: string) => `INSERT INTO ${t} (id, a, b) VALUES (?, ?, ?) USING TTL ? AND TIMESTAMP ?`, 4, [
        "id",
        "a",
        "b",
        "ttl"
      ]]
    ] as const
  ) {
    it.effect(`the timestamp ${where}: values, tombstones, unset ones, and write times of each row`, () =>
      Effect.gen(function*() {
        const session = yield* CassandraSession
        const table = yield* makeTable("id int PRIMARY KEY, a int, b text")
        const cql = cqlOf(table)
        const rowOf = (id: number, a: Buffer | null | undefined, b: Buffer | null | undefined, timestamp: number) => {
          const values: Record<string, Buffer | null | undefined> = { id: int(id), a, b, ttl: int(1000) }
          return { timestamp, values: order.map((name) => values[name]) }
        }
        const send = (rows: ReadonlyArray<ReturnType<typeof rowOf>>) =>
          sendOne(session, { cql, timestampIndex, valueCount: order.length, rows: encoded(rows) })
        yield* send([
          rowOf(1, int(10), text("one"), now + 1),
          rowOf(2, int(20), text("two"), now + 2),
          rowOf(3, int(30), undefined, now + 3)
        ])
        yield* send([rowOf(1, null, undefined, now + 10), rowOf(2, undefined, text("zwei"), now - 10)])
        yield* send([])
        const rows = yield* session.query(`SELECT id, a, b, WRITETIME(a) AS ta, WRITETIME(b) AS tb FROM ${table}`)
        assert.deepStrictEqual(
          rows.toSorted((x, y) => Number(x["id"]) - Number(y["id"])).map((row) =>
            Object.fromEntries(["id", "a", "b", "ta", "tb"].map((name) => [name, row[name]]))
          ),
          [
            { id: 1, a: null, b: "one", ta: null, tb: BigInt(now + 1) },
            { id: 2, a: 20, b: "two", ta: BigInt(now + 2), tb: BigInt(now + 2) },
            { id: 3, a: 30, b: null, ta: BigInt(now + 3), tb: null }
          ]
        )
      }))
  }

  it.effect("a statement that a change of the table has made the server forget is prepared again", () =>
    Effect.gen(function*() {
      const session = yield* CassandraSession
      const table = yield* makeTable("id int PRIMARY KEY, a int")
      const cql = `INSERT INTO ${table} (id, a) VALUES (?, ?) USING TIMESTAMP ?`
      const send = (id: number) =>
        sendOne(session, {
          cql,
          timestampIndex: 2,
          valueCount: 2,
          rows: encoded([{ timestamp: now, values: [int(id), int(id)] }])
        })
      yield* send(1)
      yield* session.query(`ALTER TABLE ${table} ADD b text`)
      yield* send(2)
      yield* session.query(`ALTER TABLE ${table} DROP b`)
      yield* send(3)
      assert.strictEqual((yield* session.query(`SELECT id FROM ${table}`)).length, 3)
    }))

  it.effect("bytes that are not of the column's type are refused by the server, and the error says so", () =>
    Effect.gen(function*() {
      const session = yield* CassandraSession
      const table = yield* makeTable("id int PRIMARY KEY, a int")
      const error = yield* Effect.flip(sendOne(session, {
        cql: `INSERT INTO ${table} (id, a) VALUES (?, ?) USING TIMESTAMP ?`,
        timestampIndex: 2,
        valueCount: 2,
        rows: encoded([{ timestamp: now, values: [int(1), Buffer.from([1, 2, 3])] }])
      }))
      assert.strictEqual(error.reason._tag, "InvalidQuery")
      assert.isFalse(error.isRetryable)
    }))

  it.effect("a hundred rows of one partition, two hundred batches at once", () =>
    Effect.gen(function*() {
      const session = yield* CassandraSession
      const table = yield* makeTable("id int, n int, a text, PRIMARY KEY (id, n)")
      const cql = `INSERT INTO ${table} (id, n, a) VALUES (?, ?, ?) USING TIMESTAMP ?`
      const batch = (id: number) =>
        sendOne(session, {
          cql,
          timestampIndex: 3,
          valueCount: 3,
          rows: encoded(Array.from({ length: 100 }, (_, n) => ({
            timestamp: now + n,
            values: [int(id), int(n), text(`${id}/${n}`)]
          })))
        })
      yield* Effect.forEach(Array.from({ length: 200 }, (_, id) => id), batch, { concurrency: 200, discard: true })
      const rows = yield* session.query(`SELECT id, n, a, WRITETIME(a) AS t FROM ${table}`)
      assert.strictEqual(rows.length, 20_000)
      for (const row of rows) {
        assert.strictEqual(row["a"], `${String(row["id"])}/${String(row["n"])}`)
        assert.strictEqual(row["t"], BigInt(now + Number(row["n"])))
      }
    }))
})
