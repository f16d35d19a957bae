/**
 * What the table has to hold in the end, computed from the input file, and what was seen of it on the way.
 */
import { Effect, Stream } from "effect"
import type { Session } from "../../src/cassandra/CassandraSession.ts"
import type { Flight } from "./flights.ts"

export interface Verdict {
  readonly rows: number
  /** In the file, not in the table. */
  readonly missing: number
  /** In both, but not alike in every column. */
  readonly different: number
  /** In the table, not in the file. */
  readonly unknown: number
  /** Rows that were visible after one of the kills. */
  readonly observed: number
  /** Of these, those that have another write time now: something wrote them again, not repeated the same write. */
  readonly rewritten: number
  /** Columns of one row with different write times, or rows of one origin whose write times are not in file order. */
  readonly unordered: number
}

export const makeTable = Effect.fnUntraced(function*(session: Session) {
  yield* session.query(
    "CREATE KEYSPACE IF NOT EXISTS demo WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
  )
  yield* session.query("DROP TABLE IF EXISTS demo.flights")
  yield* session.query("DROP TABLE IF EXISTS flink_auxiliary.checkpoints_flights").pipe(Effect.ignore)
  yield* session.query(
    "CREATE TABLE demo.flights (id int PRIMARY KEY, date timestamp, delay int, distance int, origin text, destination text)"
  )
})

const columns = ["date", "delay", "distance", "origin", "destination"] as const

export const make = (flights: ReadonlyMap<number, Flight>) => {
  /** The write time of each row when it was first seen. */
  const observed = new Map<number, number>()
  return {
    /** Remembers the write times of what is in the table now. */
    observe: (session: Session) =>
      Stream.runForEachArray(
        session.stream("SELECT id, WRITETIME(delay) AS wt FROM demo.flights"),
        (rows) =>
          Effect.sync(() => {
            for (const row of rows) {
              if (!observed.has(Number(row["id"]))) observed.set(Number(row["id"]), Number(row["wt"]))
            }
          })
      ).pipe(Effect.map(() => observed.size)),

    compare: Effect.fnUntraced(function*(session: Session): Effect.fn.Return<Verdict, any> {
      const times = new Map<number, number>()
      let different = 0
      let unknown = 0
      let unordered = 0
      const select = `SELECT id, ${columns.join(", ")}, ${
        columns.map((column) => `WRITETIME(${column}) AS wt_${column}`).join(", ")
      } FROM demo.flights`
      yield* Stream.runForEachArray(session.stream(select), (rows) =>
        Effect.sync(() => {
          for (const row of rows) {
            const id = Number(row["id"])
            const flight = flights.get(id)
            if (flight === undefined) {
              unknown++
              continue
            }
            const same = columns.every((column) =>
              column === "date"
                ? (row["date"] as Date).toISOString() === flight.date
                : row[column] === flight[column]
            )
            if (!same) different++
            const time = Number(row["wt_delay"])
            if (columns.some((column) => Number(row[`wt_${column}`]) !== time)) unordered++
            times.set(id, time)
          }
        }))
      let missing = 0
      for (const id of flights.keys()) if (!times.has(id)) missing++
      let rewritten = 0
      for (const [id, time] of observed) if (times.get(id) !== time) rewritten++
      return { rows: times.size, missing, different, unknown, observed: observed.size, rewritten, unordered }
    })
  }
}
