/**
 * What somebody would write without this library: a loop over the driver, with no log and no memory of what was sent.
 *
 * `execute`: prepared single inserts, 512 in flight. `tuned`: the same with the driver's options turned to speed at the
 * price of safety (no request timeout, no heartbeat, no client timestamps, no token awareness) and values as bytes.
 * `batch`: tuned as well, unlogged batches of 30 rows (or 40 KiB) in the order of the input.
 */
import type { Host, HostMap } from "cassandra-driver"
import { Client, policies, types } from "cassandra-driver"
import * as Fs from "node:fs"
import * as Readline from "node:readline"
import type { BenchRow, Workload } from "../rows.ts"
import { insertInto, makeRowAt, valuesOf } from "../rows.ts"
import { config, finish, sampleProgress } from "./inside.ts"

export interface RawDriverConfig {
  readonly contactPoint: string
  readonly localDataCenter: string
  readonly table: string
  readonly workload: Workload
  readonly rows: number
  readonly variant: "execute" | "tuned" | "batch"
  /** NDJSON to read instead of making the rows. */
  readonly file: string | null
}

const options = config<RawDriverConfig>()
const { shape } = options.workload
const inFlightMax = options.variant === "batch" ? 64 : 512
/** The server refuses batches of more than 50 KiB. */
const batchBytesMax = 40 * 1024
const batchRows = options.variant === "batch"
  ? Math.max(1, Math.min(30, Math.floor(batchBytesMax / options.workload.rowBytes)))
  : 1
const asBytes = options.variant !== "execute"

class OneHost extends policies.loadBalancing.LoadBalancingPolicy {
  private only: Array<Host> = []
  override init(_client: Client, hosts: HostMap, callback: (error: Error) => void): void {
    this.only = hosts.values().slice(0, 1)
    callback(null as unknown as Error)
  }
  override getDistance() {
    return types.distance.local
  }
  override newQueryPlan(
    _keyspace: string,
    _options: unknown,
    callback: (error: Error, iterator: Iterator<Host>) => void
  ): void {
    callback(null as unknown as Error, this.only[Symbol.iterator]())
  }
}

const client = new Client({
  contactPoints: [options.contactPoint],
  localDataCenter: options.localDataCenter,
  encoding: { useBigIntAsLong: true },
  ...(options.variant === "execute" ? undefined : {
    socketOptions: { readTimeout: 0 },
    pooling: { heartBeatInterval: 0 },
    policies: {
      loadBalancing: new OneHost(),
      timestampGeneration: null as unknown as policies.timestampGeneration.TimestampGenerator
    }
  })
})

const bigint = (value: number): Buffer => {
  const buffer = Buffer.allocUnsafe(8)
  buffer.writeInt32BE(Math.floor(value / 0x1_0000_0000), 0)
  buffer.writeUInt32BE(value % 0x1_0000_0000, 4)
  return buffer
}
const int = (value: number): Buffer => {
  const buffer = Buffer.allocUnsafe(4)
  buffer.writeInt32BE(value, 0)
  return buffer
}
const double = (value: number): Buffer => {
  const buffer = Buffer.allocUnsafe(8)
  buffer.writeDoubleBE(value, 0)
  return buffer
}

const params = (row: BenchRow): Array<unknown> => {
  if (!asBytes) return [BigInt(row.id), ...valuesOf(shape, row).slice(1)]
  const rest = [int(row.kind), double(row.value), Buffer.from(row.payload)]
  return shape === "unique" ? [bigint(row.id), ...rest] : [bigint(row.id), int(row.pos), ...rest]
}

const query = insertInto(options.table, shape)
let read = 0
let acknowledged = 0

/** Calls `send` for each group of rows with at most `inFlightMax` under way. */
const pump = (next: () => Array<BenchRow> | null): Promise<void> =>
  new Promise((resolve, reject) => {
    let inFlight = 0
    let isAtEnd = false
    const send = (rows: Array<BenchRow>): Promise<unknown> =>
      batchRows === 1
        ? client.execute(query, params(rows[0]!), { prepare: true })
        : client.batch(rows.map((row) => ({ query, params: params(row) })), { prepare: true, logged: false })
    const more = () => {
      while (!isAtEnd && inFlight < inFlightMax) {
        const rows = next()
        if (rows === null) {
          isAtEnd = true
          break
        }
        inFlight++
        read += rows.length
        send(rows).then(() => {
          acknowledged += rows.length
          inFlight--
          more()
        }, reject)
      }
      if (isAtEnd && inFlight === 0) resolve()
    }
    more()
  })

const generated = (): () => Array<BenchRow> | null => {
  const rowAt = makeRowAt(options.workload)
  let i = 0
  return () => {
    if (i >= options.rows) return null
    const rows: Array<BenchRow> = []
    while (rows.length < batchRows && i < options.rows) rows.push(rowAt(i++))
    return rows
  }
}

/** Line after line, as `for await` over readline gives them, with a bound on what is in flight. */
const fromFile = async (path: string): Promise<void> => {
  const state = { inFlight: 0, failed: null as unknown, wake: () => {} }
  const send = (rows: Array<BenchRow>): void => {
    read += rows.length
    state.inFlight++
    const done = batchRows === 1
      ? client.execute(query, params(rows[0]!), { prepare: true })
      : client.batch(rows.map((row) => ({ query, params: params(row) })), { prepare: true, logged: false })
    done.then(() => {
      acknowledged += rows.length
    }, (error: unknown) => {
      state.failed = error
    }).finally(() => {
      state.inFlight--
      state.wake()
    })
  }
  const awaitBelow = async (bound: number) => {
    while (state.inFlight >= bound) await new Promise<void>((resolve) => state.wake = resolve)
    if (state.failed !== null) throw state.failed
  }
  let gathered: Array<BenchRow> = []
  const lines = Readline.createInterface({ input: Fs.createReadStream(path, { highWaterMark: 1024 * 1024 }) })
  for await (const line of lines) {
    gathered.push(JSON.parse(line) as BenchRow)
    if (gathered.length < batchRows) continue
    if (state.inFlight >= inFlightMax) await awaitBelow(inFlightMax)
    send(gathered)
    gathered = []
  }
  if (gathered.length > 0) send(gathered)
  await awaitBelow(1)
}

await client.connect()
const sampling = sampleProgress(() => ({ read, committed: acknowledged }))
const startedAt = performance.now()
await (options.file === null ? pump(generated()) : fromFile(options.file))
const seconds = (performance.now() - startedAt) / 1000
if (acknowledged !== options.rows) throw new Error(`${acknowledged} rows were acknowledged, not ${options.rows}`)
finish({ seconds, committed: acknowledged, samples: sampling.stop() })
await client.shutdown()
