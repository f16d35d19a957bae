/**
 * What a job uses: CPU while it waits, memory for more rows and more subtasks.
 */
import { samplesOf } from "../contenders/contender.ts"
import { newJob } from "../jobs.ts"
import { numberOf, runNode } from "../measure.ts"
import type { Benchmark } from "../model.ts"
import type { IdleConfig } from "../processes/idle.ts"
import type { OwnConfig } from "../processes/own.ts"
import { program } from "../programs.ts"
import { workloads } from "../rows.ts"
import { verify } from "../verify.ts"

const workload = workloads[0]!

const idle = (name: string, interval: string): Benchmark => ({
  name,
  group: "resources",
  title: `a job that waits, checkpoint ${interval}`,
  tags: ["idle", "parts"],
  needs: ["server"],
  quantities: [{ key: "percent", label: "CPU of one core, %", digits: 2 }],
  run: async (context) => {
    const config: IdleConfig = {
      ...newJob(context),
      table: await context.server().emptyTable(workload),
      workload,
      rows: 1000,
      interval,
      seconds: context.rows < 50_000 ? 3 : 20
    }
    const finished = await runNode(program("idle"), config, { profiles: context.profiles })
    await verify(context.server().client, config.table, workload, { count: config.rows, isOrdered: true })
    return { values: { percent: numberOf(finished, "percent") } }
  }
})

const memory = (
  name: string,
  title: string,
  times: number,
  parallelism: number,
  { flags = [], ...options }: Partial<Benchmark> & { readonly flags?: ReadonlyArray<string> } = {}
): Benchmark => ({
  name,
  group: "resources",
  title,
  tags: ["memory", "parts"],
  needs: ["server"],
  quantities: [
    { key: "rows", label: "rows", digits: 0 },
    { key: "peakRssMiB", label: "peak RSS, MiB", digits: 0 },
    { key: "rowsPerSecond", label: "rows/s", digits: 0 }
  ],
  ...options,
  run: async (context) => {
    const server = context.server()
    const rows = context.rows * times
    const config: OwnConfig = {
      ...newJob(context),
      table: await server.emptyTable(workload),
      workload,
      rows,
      parallelism,
      interval: "1 second",
      rate: null,
      failAt: null
    }
    const finished = await runNode(program("own"), config, {
      profiles: context.profiles,
      flags,
      timeoutSeconds: 4 * 3600
    })
    await verify(server.client, config.table, workload, { count: rows, isOrdered: parallelism === 1 })
    if (finished.peakRssMiB === null) throw new Error("the peak of resident memory can't be read here: it needs /proc")
    return {
      values: { rows, peakRssMiB: finished.peakRssMiB, rowsPerSecond: rows / numberOf(finished, "seconds") },
      samples: samplesOf(finished)
    }
  }
})

export const benchmarks: ReadonlyArray<Benchmark> = [
  idle("idle-1s", "1 second"),
  idle("idle-10s", "10 seconds"),
  memory("memory-x1", "memory, the rows of the end to end runs", 1, 1),
  memory("memory-x10", "memory, ten times as many", 10, 1, { roundsMax: 2 }),
  // What V8 keeps for young objects grows to 128 MiB, however few of them live: most of the memory of a long run is that.
  memory("memory-x10-small", "memory, ten times as many, --max-semi-space-size=16", 10, 1, {
    flags: ["--max-semi-space-size=16"],
    roundsMax: 2
  }),
  memory("memory-x100", "memory, a hundred times as many", 100, 1, { isLarge: true, roundsMax: 1 }),
  memory("memory-p16", "memory, parallelism 16", 1, 16),
  memory("memory-p64", "memory, parallelism 64", 1, 64)
]
