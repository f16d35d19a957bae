/**
 * DataStax Bulk Loader, `load` from CSV with its defaults (but for the length of a field).
 */
import * as Path from "node:path"
import { run } from "../measure.ts"
import { classPathOf } from "../peers/peers.ts"
import { makeRowAt } from "../rows.ts"
import type { Contender } from "./contender.ts"
import { samplesOf } from "./contender.ts"

const pollMillis = 50

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

export const contenders: ReadonlyArray<Contender> = [{
  name: "dsbulk",
  title: "dsbulk load, CSV file (no log, at least once)",
  tags: [],
  needs: ["server", "dsbulk"],
  isCore: true,
  isOrdered: false,
  write: async ({ context, rows, table, workload }) => {
    const server = context.server()
    const [host, port] = server.contactPoint.split(":")
    const [keyspace, name] = table.split(".")
    const file = context.inputFile("csv", workload, rows)

    // It tells no times that could be used, so the table is asked when its first row is there, and when the file's last is.
    const last = makeRowAt(workload)(rows - 1)
    const where = workload.shape === "unique" ? "id = ?" : "id = ? AND pos = ?"
    const lastKey = workload.shape === "unique" ? [BigInt(last.id)] : [BigInt(last.id), last.pos]
    const isThere = async (query: string, params: ReadonlyArray<unknown>) =>
      (await server.client.execute(query, params.slice(), { prepare: true })).rowLength > 0
    const loading = { hasEnded: false }
    const watch = async () => {
      let firstAt: number | null = null
      while (!loading.hasEnded) {
        if (firstAt === null) {
          if (await isThere(`SELECT id FROM ${table} LIMIT 1`, [])) firstAt = performance.now()
        } else if (await isThere(`SELECT id FROM ${table} WHERE ${where}`, lastKey)) {
          return { firstAt, lastAt: performance.now() }
        }
        await sleep(pollMillis)
      }
      return null
    }
    const watching = watch()
    const finished = await run({
      command: "java",
      args: [
        ["-Xmx2g", "-XX:+PerfDisableSharedMem", "-cp", classPathOf(context.peers.dsbulk)],
        ["com.datastax.oss.dsbulk.runner.DataStaxBulkLoader", "load"],
        ["-url", file, "-header", "true", "-h", host!, "-port", port!, "-dc", server.localDataCenter],
        // By default it refuses what is longer than 4096 characters.
        ["--connector.csv.maxCharsPerColumn", "32768"],
        ["-k", keyspace!, "-t", name!, "-logDir", Path.join(context.directory, "logs")]
      ].flat(),
      timeoutSeconds: 3600
    }).finally(() => loading.hasEnded = true)
    const seen = await watching
    return {
      seconds: seen === null ? finished.wallSeconds : (seen.lastAt - seen.firstAt) / 1000,
      committed: rows,
      finished,
      samples: samplesOf(finished)
    }
  }
}]
