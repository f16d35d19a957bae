/**
 * What the library itself costs, in CPU time: whole jobs without driver and server, encoding, barriers, checkpoints.
 */
import * as Path from "node:path"
import { numberOf, runNode } from "../measure.ts"
import type { Benchmark, Quantity } from "../model.ts"
import type { StubConfig } from "../processes/stub.ts"
import { program } from "../programs.ts"
import type { Workload } from "../rows.ts"
import { rowCount, workloads } from "../rows.ts"

interface Part {
  readonly name: string
  readonly title: string
  readonly group: Benchmark["group"]
  readonly mode: StubConfig["mode"]
  readonly workload: Workload
  readonly parallelism: number
  readonly quantities: ReadonlyArray<Quantity>
}

const benchmark = ({ group, mode, name, parallelism, quantities, title, workload }: Part): Benchmark => ({
  name,
  group,
  title,
  tags: [mode, "parts"],
  needs: [],
  quantities,
  run: async (context) => {
    const config: StubConfig = {
      mode,
      workload,
      rows: rowCount(workload, context.rows),
      parallelism,
      seconds: context.rows < 50_000 ? 1 : 5,
      state: Path.join(context.directory, "state")
    }
    const finished = await runNode(program("stub"), config, { profiles: context.profiles })
    if (mode === "job" && finished.result["committed"] !== config.rows) {
      throw new Error(`the job committed ${String(finished.result["committed"])} of ${config.rows} rows`)
    }
    return { values: Object.fromEntries(quantities.map(({ key }) => [key, numberOf(finished, key)])) }
  }
})

const jobQuantities: ReadonlyArray<Quantity> = [
  { key: "microsPerRow", label: "CPU µs per row", digits: 2 },
  { key: "loopMicrosPerRow", label: "subtracted for making the row, µs", digits: 2 }
]
const encodeQuantities: ReadonlyArray<Quantity> = [
  { key: "nanosPerRow", label: "CPU ns per row", digits: 0 },
  { key: "rowsPerCpuSecond", label: "rows per CPU s", digits: 0 }
]
const barrierQuantities: ReadonlyArray<Quantity> = [
  { key: "cpuMicrosPerBarrier", label: "CPU µs per barrier", digits: 0 },
  { key: "checkpointMs", label: "checkpoint, mean ms", digits: 2 }
]
const checkpointQuantities: ReadonlyArray<Quantity> = [
  { key: "checkpointMs", label: "trigger to complete, mean ms", digits: 2 },
  { key: "slowestMs", label: "slowest ms", digits: 1 },
  { key: "sealMs", label: "seal, median ms", digits: 2 },
  { key: "manifestMs", label: "manifest, median ms", digits: 2 }
]

export const benchmarks: ReadonlyArray<Benchmark> = [
  ...workloads.map((workload): Part => ({
    name: `own-work-${workload.name}`,
    title: `whole job, ${workload.name}`,
    group: "own-work",
    mode: "job",
    workload,
    parallelism: 1,
    quantities: jobQuantities
  })),
  ...workloads.map((workload): Part => ({
    name: `encode-${workload.name}`,
    title: `encode, ${workload.name}`,
    group: "own-work",
    mode: "encode",
    workload,
    parallelism: 1,
    quantities: encodeQuantities
  })),
  ...[1, 4, 16].map((parallelism): Part => ({
    name: `barrier-p${parallelism}`,
    title: `barrier without rows, in memory, parallelism ${parallelism}`,
    group: "checkpoints",
    mode: "barrier",
    workload: workloads[0]!,
    parallelism,
    quantities: barrierQuantities
  })),
  ...[1, 4].map((parallelism): Part => ({
    name: `checkpoint-p${parallelism}`,
    title: `checkpoint on files, 20,000 rows/s, parallelism ${parallelism}`,
    group: "checkpoints",
    mode: "checkpoint",
    workload: workloads[0]!,
    parallelism,
    quantities: checkpointQuantities
  }))
].map(benchmark)
