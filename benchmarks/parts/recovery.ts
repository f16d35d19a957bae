/**
 * A start with a log full of rows that are not in Cassandra: when its first row is there, its first checkpoint is
 * committed, and all of it is. The log is left by a process that was killed while Cassandra did not answer.
 */
import { newJob } from "../jobs.ts"
import { mebibyte, numberOf, runNode } from "../measure.ts"
import type { Benchmark } from "../model.ts"
import type { RecoveryConfig } from "../processes/recovery.ts"
import { program } from "../programs.ts"
import { workloads } from "../rows.ts"
import { verify } from "../verify.ts"

const workload = workloads.find(({ name }) => name === "unique-1k")!

const benchmark = (name: string, logMiB: number, options: Partial<Benchmark> = {}): Benchmark => ({
  name,
  group: "recovery",
  title: `start with ${logMiB} MiB of pending log`,
  tags: ["recovery", "parts"],
  needs: ["server"],
  quantities: [
    { key: "logMiB", label: "log, MiB", digits: 0 },
    { key: "loggedPerSecond", label: "rows/s logged while Cassandra did not answer", digits: 0 },
    { key: "connectedMs", label: "process start to session, ms", digits: 0 },
    { key: "firstRowMs", label: "session to first row in the table, ms", digits: 0 },
    { key: "firstCommitMs", label: "process start to first commit, ms", digits: 0 },
    { key: "caughtUpSeconds", label: "process start to all committed, s", digits: 2 },
    { key: "rowsPerSecond", label: "rows/s sent", digits: 0 },
    { key: "peakRssMiB", label: "peak RSS, MiB", digits: 0 }
  ],
  ...options,
  run: async (context) => {
    const server = context.server()
    const table = await server.emptyTable(workload)
    const rows = Math.max(100, Math.round(logMiB * mebibyte / workload.rowBytes * context.rows / 200_000))
    const common = { ...newJob(context), table, workload, rows }
    let bytes = 0
    let loggedPerSecond = 0
    await runNode(program("recovery"), { ...common, phase: "prepare" } satisfies RecoveryConfig, {
      mayBeKilled: true,
      onEvent: (event, child) => {
        bytes = Number(event["bytes"])
        loggedPerSecond = Number(event["rowsPerSecond"])
        child.kill("SIGKILL")
      }
    })
    if (bytes === 0) throw new Error("the process that was to fill the log ended before it had")
    const finished = await runNode(program("recovery"), { ...common, phase: "recover" } satisfies RecoveryConfig, {
      profiles: context.profiles,
      timeoutSeconds: 3600
    })
    await verify(server.client, table, workload, { count: rows, isOrdered: true })
    const connected = numberOf(finished, "connected")
    const firstRow = numberOf(finished, "firstRow")
    const caughtUp = numberOf(finished, "caughtUp")
    return {
      values: {
        rows,
        logMiB: bytes / mebibyte,
        loggedPerSecond,
        connectedMs: connected,
        firstRowMs: firstRow - connected,
        firstCommitMs: numberOf(finished, "firstCommit"),
        caughtUpSeconds: caughtUp / 1000,
        rowsPerSecond: rows / (caughtUp - firstRow) * 1000,
        ...(finished.peakRssMiB === null ? undefined : { peakRssMiB: finished.peakRssMiB })
      }
    }
  }
})

export const benchmarks: ReadonlyArray<Benchmark> = [
  benchmark("recovery-10m", 10),
  benchmark("recovery-100m", 100),
  benchmark("recovery-2g", 2048, { isLarge: true, roundsMax: 2 })
]
