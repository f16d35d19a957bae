/**
 * The one Cassandra that all contenders write to, and the tables they fill.
 *
 * Its commit log is synced every 10 seconds, as Cassandra's own default is: with the setting of the tests, a sync before
 * each answer, the disk would be measured and nothing else.
 */
import { Client, types } from "cassandra-driver"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as CassandraServer from "../src/testing/CassandraServer.ts"
import { readProc } from "./measure.ts"
import type { Workload } from "./rows.ts"
import { insertInto, makeRowAt, rowCount, tableColumns, valuesOf, workloads } from "./rows.ts"

export interface BenchServer {
  readonly contactPoint: string
  readonly localDataCenter: string
  /** How it was had, its version, heap and commit log, for the report. */
  readonly describe: string
  readonly client: Client
  readonly keyspace: string
  /** Keyspace of the ledgers of jobs, Flink's included. */
  readonly ledger: string
  /** An empty table for the workload. Returns when the server has come to rest. */
  readonly emptyTable: (workload: Workload) => Promise<string>
  /** CPU seconds that the server has used so far; null if it is not a process of ours. */
  readonly cpuSeconds: () => number | null
  readonly stop: () => Promise<void>
}

/** There is none to be had; the message says what was tried and what helps. */
export class NoServer extends Error {}

const heap = "2G"
const restSeconds = 20

/** The server's process, where it is one that we started. */
const findServerPid = (): number | null => {
  let entries: ReadonlyArray<string>
  try {
    entries = Fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))
  } catch {
    return null
  }
  for (const pid of entries) {
    try {
      const stat = Fs.readFileSync(`/proc/${pid}/stat`, "utf8")
      if (Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) !== process.pid) continue
      if (Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("CassandraDaemon")) return Number(pid)
    } catch {
      // It ended meanwhile.
    }
  }
  return null
}

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

const tableName = (keyspace: string, workload: Workload) => `${keyspace}.${workload.name.replace("-", "_")}`

/** Compactions and flushes of the run before must not be paid by the next: waits until the server does next to nothing. */
const awaitRest = async (pid: number | null): Promise<void> => {
  if (pid === null) return sleep(500)
  const until = performance.now() + restSeconds * 1000
  let before = readProc(pid)?.cpuSeconds ?? 0
  while (performance.now() < until) {
    await sleep(300)
    const now = readProc(pid)?.cpuSeconds ?? 0
    if (now - before <= 0.03) return
    before = now
  }
}

const passRows = 40_000
const passesMax = 12
/** A server refuses batches of more than 50 KiB. */
const warmUpBatchBytes = 16 * 1024

/** Until two passes in a row were not 5% faster than the fastest before them: the first run after a start goes at a third of the speed. */
const untilSteady = async (pass: () => Promise<unknown>): Promise<void> => {
  let best = Infinity
  for (let passes = 0, still = 0; passes < passesMax && still < 2; passes++) {
    const startedAt = performance.now()
    await pass()
    const took = performance.now() - startedAt
    still = took < best * 0.95 ? 0 : still + 1
    best = Math.min(best, took)
  }
}

/** Single inserts, and batches, until the server's code is compiled for them. */
const warmUp = async (client: Client, table: string, workload: Workload, rows: number): Promise<void> => {
  const query = insertInto(table, workload.shape)
  const rowAt = makeRowAt(workload)
  const params = (i: number) => {
    const row = rowAt(i)
    return [BigInt(row.id), ...valuesOf(workload.shape, row).slice(1)]
  }
  const pass = (
    concurrency: number,
    rowsEach: number,
    send: (rows: ReadonlyArray<Array<unknown>>) => Promise<unknown>
  ) =>
    Promise.all(Array.from({ length: concurrency }, async (_, lane) => {
      for (let from = lane * rowsEach; from < rows; from += concurrency * rowsEach) {
        await send(Array.from({ length: rowsEach }, (_, i) => params(from + i)))
      }
    }))
  // As the sink has it, a timestamp for each row, and no more bytes than a server takes in a batch.
  const stamped = `${query} USING TIMESTAMP ?`
  await untilSteady(() => pass(128, 1, ([row]) => client.execute(query, row!, { prepare: true })))
  await untilSteady(() =>
    pass(32, Math.max(1, Math.min(10, Math.floor(warmUpBatchBytes / workload.rowBytes))), (some) => {
      const queries = some.map((row, i) => ({ query: stamped, params: [...row, BigInt(Date.now() * 1000 + i)] }))
      return client.batch(queries, { prepare: true, logged: false })
    })
  )
}

export const start = async (options: {
  readonly warmUpRows: number
  readonly say: (text: string) => void
}): Promise<BenchServer> => {
  const scope = Scope.makeUnsafe()
  const made = await Effect.runPromise(Effect.result(Scope.provide(
    CassandraServer.make({ heap, yaml: { commitlog_sync: "periodic", commitlog_sync_period: "10000ms" } }),
    scope
  )))
  if (made._tag === "Failure") {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    throw new NoServer(made.failure.message)
  }
  const server = made.success
  const contactPoint = server.contactPoints[0]!
  const client = new Client({
    contactPoints: [contactPoint],
    localDataCenter: server.localDataCenter,
    queryOptions: { consistency: types.consistencies.localOne },
    socketOptions: { readTimeout: 60_000 },
    encoding: { useBigIntAsLong: true }
  })
  const stop = async (): Promise<void> => {
    if (server.kind === "external") {
      for (const name of [keyspace, ledger]) {
        await client.execute(`DROP KEYSPACE IF EXISTS ${name}`).catch(() => undefined)
      }
    }
    await client.shutdown()
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
  const keyspace = `effect_cassandra_bench_${Date.now().toString(36)}${process.pid.toString(36)}`
  const ledger = `${keyspace}_l`
  try {
    await client.connect()
    const { rows: [local] } = await client.execute("SELECT release_version FROM system.local")
    for (const name of [keyspace, ledger]) {
      await client.execute(
        `CREATE KEYSPACE ${name} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`
      )
    }
    const pid = server.kind === "java" ? findServerPid() : null
    const made = new Set<string>()
    let latest: string | null = null
    const cleared = async (workload: Workload): Promise<string> => {
      const table = tableName(keyspace, workload)
      if (made.has(table)) await client.execute(`TRUNCATE ${table}`)
      else await client.execute(`CREATE TABLE ${table} (${tableColumns(workload.shape)})`)
      made.add(table)
      return table
    }
    const emptyTable = async (workload: Workload): Promise<string> => {
      const table = await cleared(workload)
      if (latest !== table) {
        latest = table
        await warmUp(client, table, workload, Math.min(rowCount(workload, passRows), options.warmUpRows))
        await cleared(workload)
      }
      await awaitRest(pid)
      return table
    }
    options.say(`Cassandra ${local!["release_version"]} at ${contactPoint} (${server.kind}); warming it up`)
    for (const workload of workloads.slice(0, 2)) {
      await warmUp(client, await cleared(workload), workload, Math.min(passRows, options.warmUpRows))
      await cleared(workload)
    }
    return {
      contactPoint,
      localDataCenter: server.localDataCenter,
      describe: `Cassandra ${local!["release_version"]} (${server.kind}` + (server.kind === "external"
        ? ", its settings are its own)"
        : `, heap ${heap}, commit log synced every 10 s)`),
      client,
      keyspace,
      ledger,
      emptyTable,
      cpuSeconds: () => pid === null ? null : readProc(pid)?.cpuSeconds ?? null,
      stop
    }
  } catch (error) {
    await stop()
    throw error
  }
}
