/**
 * Flink's Cassandra connector: its write-ahead sink with checkpoints in files and on heap, and its plain sink.
 */
import * as Path from "node:path"
import type { Finished, ProcessOptions } from "../measure.ts"
import { numberOf, run } from "../measure.ts"
import type { RunContext } from "../model.ts"
import { addOpens, classPathOf } from "../peers/peers.ts"
import type { Workload } from "../rows.ts"
import { payloadBytes } from "../rows.ts"
import type { Sample } from "../sample.ts"
import type { Contender } from "./contender.ts"

export interface FlinkOptions {
  readonly mode: "wal" | "plain"
  readonly storage: "files" | "heap"
  readonly intervalMillis: number
  /** Fail once, behind this row, and give rows at this rate. */
  readonly failure?: { readonly at: number; readonly rate: number } | undefined
}

/** Runs FlinkBench.java, and gives with its result what it told on the way. */
export const runFlink = async (
  context: RunContext,
  target: { readonly table: string; readonly workload: Workload; readonly rows: number },
  options: FlinkOptions
): Promise<{ readonly finished: Finished; readonly samples: ReadonlyArray<Sample> }> => {
  const server = context.server()
  const [host, port] = server.contactPoint.split(":")
  const progress: Array<{ readonly at: number; readonly read: number; readonly committed: number }> = []
  const args: ReadonlyArray<string> = [
    "-Xmx2g",
    "-XX:+PerfDisableSharedMem",
    ...addOpens,
    "-cp",
    classPathOf(context.peers.flink),
    "FlinkBench",
    `mode=${options.mode}`,
    `storage=${options.storage}`,
    `directory=${Path.join(context.directory, "checkpoints")}`,
    `host=${host}`,
    `port=${port}`,
    `table=${target.table}`,
    `ledger=${server.ledger}`,
    `shape=${target.workload.shape}`,
    `payload=${payloadBytes(target.workload)}`,
    `rows=${target.rows}`,
    `interval=${options.intervalMillis}`,
    ...(options.failure === undefined ? [] : [`failAt=${options.failure.at}`, `rate=${options.failure.rate}`])
  ]
  const onEvent: ProcessOptions["onEvent"] = (event, _child, at) => {
    progress.push({ at, read: Number(event["read"]), committed: Number(event["committed"]) })
  }
  const finished = await run({ command: "java", args, onEvent, timeoutSeconds: 3600 })
  const outside = finished.samples
  const samples = progress.map(({ at, committed, read }): Sample => {
    const t = (at - finished.startedAt) / 1000
    return { t, read, committed, rssMiB: outside.findLast((sample) => sample.t <= t)?.rssMiB }
  })
  return { finished, samples }
}

const contender = (
  name: string,
  title: string,
  mode: FlinkOptions["mode"],
  storage: FlinkOptions["storage"],
  isCore: boolean
): Contender => ({
  name,
  title,
  tags: ["flink"],
  needs: ["server", "flink"],
  isCore,
  isOrdered: false,
  write: async ({ context, ...target }) => {
    const { finished, samples } = await runFlink(context, target, { mode, storage, intervalMillis: 1000 })
    return {
      // From its first row in the table to its last commit: its start and its first checkpoint are not held against it.
      seconds: Math.min(numberOf(finished, "steadySeconds"), finished.wallSeconds),
      committed: numberOf(finished, "committed"),
      finished,
      samples
    }
  }
})

export const contenders: ReadonlyArray<Contender> = [
  contender("flink-wal-heap", "Flink, write-ahead sink, checkpoints on heap (not durable)", "wal", "heap", true),
  contender("flink-wal-files", "Flink, write-ahead sink, checkpoints in files", "wal", "files", false),
  contender("flink-plain", "Flink, plain sink (no log, at least once)", "plain", "heap", false)
]
