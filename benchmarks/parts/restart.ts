/**
 * From a crash to the next commit, at restart delay 0 and a checkpoint each 200 milliseconds, at 5,000 rows/s: the
 * process killed, and a task that fails in a process that lives on, which is what Flink restarts.
 */
import { runFlink } from "../contenders/flink.ts"
import { newJob } from "../jobs.ts"
import { numberOf, runNode } from "../measure.ts"
import type { Benchmark, Quantity, RunContext } from "../model.ts"
import type { OwnConfig } from "../processes/own.ts"
import { program } from "../programs.ts"
import { workloads } from "../rows.ts"
import { verify } from "../verify.ts"

const workload = workloads[0]!
const rate = 5000
const failAt = rate
const runsMillis = 1000

const commit: Quantity = { key: "commitMs", label: "crash to first commit, ms", digits: 0 }
const newCommit: Quantity = {
  key: "newCommitMs",
  label: "crash to first commit of rows never sent before, ms",
  digits: 0
}

const config = async (context: RunContext, seconds: number): Promise<OwnConfig> => ({
  ...newJob(context),
  table: await context.server().emptyTable(workload),
  workload,
  rows: rate * seconds,
  parallelism: 1,
  interval: "200 millis",
  rate,
  failAt: null
})

/** Milliseconds from `crashedAt` to the two commits of the run that follows it. */
const values = (crashedAt: number, seen: ReadonlyMap<string, number>) => {
  const commitAt = seen.get("commit")
  const newCommitAt = seen.get("new-commit")
  if (commitAt === undefined || newCommitAt === undefined) throw new Error("nothing was committed after the crash")
  return { commitMs: commitAt - crashedAt, newCommitMs: newCommitAt - crashedAt }
}

const killed: Benchmark = {
  name: "restart-kill",
  group: "recovery",
  title: "effect-cassandra, SIGKILL and the same job again",
  tags: ["restart", "parts"],
  needs: ["server"],
  quantities: [commit, newCommit],
  run: async (context) => {
    const options = await config(context, 6)
    let crashedAt = 0
    await runNode(program("own"), options, {
      mayBeKilled: true,
      onEvent: (event, child) => {
        if (event["event"] !== "new-commit") return
        setTimeout(() => {
          crashedAt = performance.now()
          child.kill("SIGKILL")
        }, runsMillis)
      }
    })
    const seen = new Map<string, number>()
    await runNode(program("own"), options, {
      onEvent: (event, _child, at) => void seen.set(String(event["event"]), at)
    })
    await verify(context.server().client, options.table, workload, { count: options.rows, isOrdered: true })
    return { values: values(crashedAt, seen) }
  }
}

const failed: Benchmark = {
  name: "restart-task",
  group: "recovery",
  title: "effect-cassandra, the source fails and the job restarts",
  tags: ["restart", "parts"],
  needs: ["server"],
  quantities: [commit, newCommit],
  run: async (context) => {
    const options = { ...await config(context, 3), failAt }
    const seen = new Map<string, number>()
    let crashedAt = 0
    await runNode(program("own"), options, {
      onEvent: (event, _child, at) => {
        if (event["event"] === "failed") {
          crashedAt = at
          seen.clear()
        } else if (!seen.has(String(event["event"]))) {
          seen.set(String(event["event"]), at)
        }
      }
    })
    if (crashedAt === 0) throw new Error("the job did not fail as it was to")
    await verify(context.server().client, options.table, workload, { count: options.rows, isOrdered: true })
    return { values: values(crashedAt, seen) }
  }
}

const flink: Benchmark = {
  name: "restart-flink",
  group: "recovery",
  title: "Flink, the source fails and the job restarts",
  tags: ["restart", "parts"],
  needs: ["server", "flink"],
  quantities: [commit],
  run: async (context) => {
    const table = await context.server().emptyTable(workload)
    const rows = rate * 3
    const { finished } = await runFlink(context, { table, workload, rows }, {
      mode: "wal",
      storage: "heap",
      intervalMillis: 200,
      failure: { at: failAt, rate }
    })
    await verify(context.server().client, table, workload, { count: rows })
    return { values: { commitMs: numberOf(finished, "restartSeconds") * 1000 } }
  }
}

export const benchmarks: ReadonlyArray<Benchmark> = [killed, failed, flink]
