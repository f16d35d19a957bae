import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import type { Stage } from "../../src/checkpoint/Element.ts"
import type { DeadLetter } from "../../src/sink/DeadLetters.ts"
import * as DeadLetterTable from "../../src/sink/DeadLetterTable.ts"
import { live } from "../real/fixture.ts"
import { letterOf } from "./letterFixture.ts"

const letter = (place: number, more: Partial<DeadLetter> = {}) =>
  letterOf(place, { timestamp: 1_700_000_000_000_000, ...more })

layer(live, { timeout: 60_000, excludeTestServices: true })("DeadLetterTable", (it) => {
  it.effect("keyspace and table are made, and a letter that is written again is the same row", () =>
    Effect.gen(function*() {
      const session = yield* CassandraSession.CassandraSession
      const keyspace = "dead_letter_table_test"
      yield* session.query(`DROP KEYSPACE IF EXISTS ${keyspace}`)
      const made = yield* DeadLetterTable.make(session, { keyspace, maxErrors: "1%" })
      assert.strictEqual(made.maxErrors, "1%")
      const csv = { columns: ["a", "b"], delimiter: ",", quote: "\"" }
      const letters = [
        letter(1),
        letter(2, { stage: "read", record: null, raw: { text: "1,2,3", bytes: null, csv } }),
        letter(3, { record: null, raw: { text: null, bytes: Buffer.from([0xff]), csv: null } })
      ]
      yield* made.write(letters)
      // Another process, that finds the table, and writes what the first one has written.
      const again = yield* DeadLetterTable.make(session, { keyspace })
      yield* again.write(letters.slice(1))
      yield* again.write([letter(1, { jobId: "other", id: "other/sink/0/1/1@1" })])
      assert.deepStrictEqual(
        [...yield* again.known("job", "sink")].toSorted(([a], [b]) => a < b ? -1 : 1),
        letters.map(({ id, stage }): [string, Stage | null] => [id, stage]).toSorted(([a], [b]) => a < b ? -1 : 1)
      )
      assert.strictEqual((yield* again.known("job", "other")).size, 0)
      // One that somebody has brought there by other means, or who knows what.
      yield* session.query(
        `INSERT INTO ${keyspace}.dead_letters (job_id, uid, id, stage) VALUES ('old', 'sink', 'a', null)`
      )
      assert.deepStrictEqual([...yield* again.known("old", "sink")], [["a", null]])
      const rows = yield* session.query(
        `SELECT place, record, line, bytes, csv, column_name, at, writetime(stage) AS written
         FROM ${keyspace}.dead_letters WHERE job_id = ? AND uid = ?`,
        ["job", "sink"]
      )
      assert.deepStrictEqual(
        rows.map((row) => [row["place"], row["record"], row["line"], row["bytes"]?.toString(), row["written"]]),
        [
          [1n, letters[0]!.record, null, undefined, 1_700_000_000_000_000n],
          [2n, null, "1,2,3", undefined, 1_700_000_000_000_000n],
          [3n, null, null, Buffer.from([0xff]).toString(), 1_700_000_000_000_000n]
        ] as ReadonlyArray<unknown>
      )
      assert.deepStrictEqual(JSON.parse(String(rows[1]!["csv"])), csv)
      assert.deepStrictEqual(rows[0]!["at"], new Date(1_700_000_000_000))
      yield* session.query(`DROP KEYSPACE ${keyspace}`)
    }))

  it.effect("a name that can't be one is refused", () =>
    Effect.gen(function*() {
      const session = yield* CassandraSession.CassandraSession
      const error = yield* Effect.flip(DeadLetterTable.make(session, { keyspace: "a; DROP" }))
      assert.strictEqual(error._tag, "CommitterOptionError")
    }))
})
