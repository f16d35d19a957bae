/**
 * Whether a table holds the rows that were to be written: every key, none else, and of some rows every value. A number
 * of a run that left anything else behind is not printed.
 */
import type { Client } from "cassandra-driver"
import type { Workload } from "./rows.ts"
import { columns, indexOf, makeRowAt, valuesOf } from "./rows.ts"

export interface Expectation {
  /** The rows with the indexes 0 to `count - 1`, and no others. */
  readonly count: number
  /** Every row has a write timestamp of its own, and they rise in the order of the input: exactly-once at parallelism 1. */
  readonly isOrdered?: boolean | undefined
}

const pageSize = 5000
const compared = 200

const count = (n: number) => n.toLocaleString("en")

export const verify = async (
  client: Client,
  table: string,
  workload: Workload,
  expected: Expectation
): Promise<void> => {
  const { shape } = workload
  const refuse = (what: string) => {
    throw new Error(`${table} does not hold what was to be written: ${what}`)
  }
  const keys = shape === "unique" ? "id" : "id, pos"
  const times = new Float64Array(expected.count)
  let found = 0
  const result = await client.execute(`SELECT ${keys}, WRITETIME(payload) AS time FROM ${table}`, [], {
    fetchSize: pageSize,
    prepare: true,
    readTimeout: 120_000
  })
  for await (const row of result) {
    const index = indexOf(shape, Number(row["id"]), Number(row["pos"] ?? 0))
    if (!(index >= 0 && index < expected.count)) refuse(`a row with key ${row["id"]} that nobody wrote`)
    const time = Number(row["time"])
    // One without a write time has no payload.
    if (!(time > 0)) refuse(`row ${index} has no payload`)
    times[index] = time
    found++
  }
  if (found !== expected.count) refuse(`it has ${count(found)} rows instead of ${count(expected.count)}`)
  const missing = times.indexOf(0)
  if (missing >= 0) refuse(`row ${missing} is missing`)
  if (expected.isOrdered === true) {
    for (let i = 1; i < times.length; i++) {
      if (times[i]! <= times[i - 1]!) refuse(`row ${i} has write time ${times[i]}, the row before it ${times[i - 1]}`)
    }
  }
  const rowAt = makeRowAt(workload)
  const step = Math.max(1, Math.floor(expected.count / compared))
  const where = shape === "unique" ? "id = ?" : "id = ? AND pos = ?"
  for (let i = 0; i < expected.count; i += step) {
    const row = rowAt(i)
    const key = shape === "unique" ? [BigInt(row.id)] : [BigInt(row.id), row.pos]
    const { rows: [stored] } = await client.execute(`SELECT * FROM ${table} WHERE ${where}`, key, { prepare: true })
    const wanted = valuesOf(shape, row)
    columns(shape).forEach((column, j) => {
      const value = column === "id" ? Number(stored![column]) : stored![column]
      if (value !== wanted[j]) {
        refuse(`row ${i} has ${column} = ${String(value).slice(0, 60)}, not ${String(wanted[j]).slice(0, 60)}`)
      }
    })
  }
}
