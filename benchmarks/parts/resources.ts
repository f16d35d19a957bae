/**
 * What a job uses: CPU while it waits, memory for more rows and more subtasks.
 */
import type { Contender } from "../contenders/contender.ts"
import { samplesOf } from "../contenders/contender.ts"
import { inProgram, onFile } from "../contenders/own.ts"
import { newJob } from "../jobs.ts"
import { numberOf, runNode } from "../measure.ts"
import type { Benchmark } from "../model.ts"
import type { IdleConfig } from "../processes/idle.ts"
import { program } from "../programs.ts"
import type { Workload } from "../rows.ts"
import { workloads } from "../rows.ts"
import { verify } from "../verify.ts"

const [unique, shared] = [workloads[0]!, workloads[1]!]

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
      table: await context.server().emptyTable(unique),
      workload: unique,
      rows: 1000,
      interval,
      seconds: context.rows < 50_000 ? 3 : 20
    }
    const finished = await runNode(program("idle"), config, { profiles: context.profiles })
    await verify(context.server().client, config.table, unique, { count: config.rows, isOrdered: true })
    return { values: { percent: numberOf(finished, "percent") } }
  }
})

const library = (parallelism: number, flags?: ReadonlyArray<string>) => inProgram("1 second", parallelism, flags)

/** What docs/performance.md tells users of the library whose memory is dear. */
const smallHeap = ["--max-semi-space-size=8", "--heap-growing-percent=60"]

const memory = (
  name: string,
  title: string,
  times: number,
  write: Contender["write"],
  { isOrdered = true, workload = unique, ...options }:
    & Partial<Benchmark>
    & { readonly isOrdered?: boolean; readonly workload?: Workload } = {}
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
    const table = await server.emptyTable(workload)
    const { finished, seconds } = await write({ context, rows, table, workload })
    await verify(server.client, table, workload, { count: rows, isOrdered })
    if (finished.peakRssMiB === null) throw new Error("the peak of resident memory can't be read here: it needs /proc")
    return {
      values: { rows, peakRssMiB: finished.peakRssMiB, rowsPerSecond: rows / seconds },
      samples: samplesOf(finished)
    }
  }
})

export const benchmarks: ReadonlyArray<Benchmark> = [
  idle("idle-1s", "1 second"),
  idle("idle-10s", "10 seconds"),
  memory("memory-command-x1", "memory of load, the rows of the end to end runs", 1, onFile.write),
  memory("memory-command-x20", "memory of load, twenty times as many", 20, onFile.write, { roundsMax: 2 }),
  memory("memory-command-x100", "memory of load, a hundred times as many, 100 rows a partition", 100, onFile.write, {
    workload: shared,
    isLarge: true,
    roundsMax: 1
  }),
  memory("memory-x1", "memory of a program, the rows of the end to end runs", 1, library(1)),
  memory("memory-x20", "memory of a program, twenty times as many", 20, library(1), { roundsMax: 2 }),
  memory(
    "memory-x20-small",
    `memory of a program, twenty times as many, ${smallHeap.join(" ")}`,
    20,
    library(1, smallHeap),
    { roundsMax: 2 }
  ),
  memory("memory-p16", "memory of a program, parallelism 16", 1, library(16), { isOrdered: false }),
  memory("memory-p64", "memory of a program, parallelism 64", 1, library(64), { isOrdered: false })
]
