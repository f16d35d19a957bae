/**
 * The log's appends and reads against those of the disk itself.
 */
import { numberOf, runNode } from "../measure.ts"
import type { Benchmark, Quantity } from "../model.ts"
import type { LogConfig } from "../processes/log.ts"
import { program } from "../programs.ts"
import { rowCount, workloads } from "../rows.ts"

const quantities: ReadonlyArray<Quantity> = [
  { key: "mibPerSecond", label: "MiB/s", digits: 0 },
  { key: "cpuPerGib", label: "CPU s per GiB", digits: 2 }
]

/** 1 GiB at the default of 200,000 rows: more than a start takes to become warm, and than a disk's cache hides. */
const bytes = (rows: number): number => rowCount(workloads[0]!, rows) * 5369

const benchmark = (name: string, title: string, mode: LogConfig["mode"], isCold = false): Benchmark => ({
  name,
  group: "log",
  title,
  tags: ["log", "parts"],
  needs: [],
  quantities,
  run: async (context) => {
    const config: LogConfig = { mode, bytes: bytes(context.rows), directory: context.directory, isCold }
    const finished = await runNode(program("log"), config, { profiles: context.profiles })
    return {
      values: { mibPerSecond: numberOf(finished, "mibPerSecond"), cpuPerGib: numberOf(finished, "cpuPerGib") }
    }
  }
})

export const benchmarks: ReadonlyArray<Benchmark> = [
  benchmark("wal-append", "append and seal, segments of 8 MiB", "append"),
  benchmark("raw-write", "write + fsync of files of 8 MiB, 256 KiB a call", "raw-write"),
  benchmark("wal-read", "read back, every block checked", "read"),
  benchmark("wal-read-rows", "read back, every block checked and split into rows", "read-rows"),
  benchmark("raw-read", "read, 1 MiB a call, from the page cache", "raw-read"),
  benchmark("raw-read-crc", "the same, with the CRC-32 of all of it", "raw-read-crc"),
  benchmark("wal-read-cold", "read back from the disk, every block checked", "read", true),
  benchmark("raw-read-cold", "read from the disk, 1 MiB a call", "raw-read", true)
]
