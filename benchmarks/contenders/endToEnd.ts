/**
 * Every contender on every workload, as benchmarks.
 */
import type { Benchmark, Quantity } from "../model.ts"
import type { Workload } from "../rows.ts"
import { rowCount, workloads } from "../rows.ts"
import { verify } from "../verify.ts"
import type { Contender } from "./contender.ts"
import * as Dsbulk from "./dsbulk.ts"
import * as Flink from "./flink.ts"
import * as Own from "./own.ts"
import * as RawDriver from "./rawDriver.ts"

export const contenders: ReadonlyArray<Contender> = [
  ...Own.contenders,
  ...RawDriver.contenders,
  ...Flink.contenders,
  ...Dsbulk.contenders
]

export const quantities: ReadonlyArray<Quantity> = [
  { key: "rowsPerSecond", label: "rows/s", digits: 0 },
  { key: "wallSeconds", label: "whole process, s", digits: 1 },
  { key: "clientCpu", label: "CPU s per 100,000 rows", digits: 2 },
  { key: "serverCpu", label: "CPU s of Cassandra per 100,000 rows", digits: 2 },
  { key: "gcSeconds", label: "GC, s", digits: 2 },
  { key: "peakRssMiB", label: "peak RSS, MiB", digits: 0 }
]

const benchmark = (contender: Contender, workload: Workload): Benchmark => ({
  name: `${contender.name}@${workload.name}`,
  group: "end-to-end",
  title: contender.title,
  tags: [contender.name, workload.name, ...contender.tags],
  needs: contender.needs,
  quantities,
  run: async (context) => {
    const server = context.server()
    const rows = rowCount(workload, context.rows)
    const table = await server.emptyTable(workload)
    const serverBefore = server.cpuSeconds()
    const { committed, finished, samples, seconds } = await contender.write({
      context,
      workload,
      rows,
      table
    })
    const serverAfter = server.cpuSeconds()
    if (committed !== rows) throw new Error(`${committed} of ${rows} rows were written`)
    await verify(server.client, table, workload, { count: rows, isOrdered: contender.isOrdered })
    const per100k = (cpuSeconds: number) => cpuSeconds / rows * 100_000
    const gcSeconds = finished.result["gcSeconds"]
    return {
      values: {
        rows,
        seconds,
        rowsPerSecond: rows / seconds,
        wallSeconds: finished.wallSeconds,
        ...(finished.cpuSeconds === null ? undefined : { clientCpu: per100k(finished.cpuSeconds) }),
        ...(serverBefore === null || serverAfter === null
          ? undefined
          : { serverCpu: per100k(serverAfter - serverBefore) }),
        ...(typeof gcSeconds === "number" ? { gcSeconds } : undefined),
        ...(finished.peakRssMiB === null ? undefined : { peakRssMiB: finished.peakRssMiB })
      },
      samples
    }
  }
})

export const benchmarks: ReadonlyArray<Benchmark> = workloads.flatMap((workload) =>
  contenders
    .filter((contender) => contender.isCore || workload.rowBytes === 100)
    .map((contender) => benchmark(contender, workload))
)
