/**
 * cassandra-driver in a plain loop, with rows from memory and from the file that the command reads.
 */
import { numberOf, runNode } from "../measure.ts"
import type { RawDriverConfig } from "../processes/rawDriver.ts"
import { program } from "../programs.ts"
import type { Contender } from "./contender.ts"
import { samplesOf } from "./contender.ts"

const titles: { readonly [K in RawDriverConfig["variant"]]: string } = {
  execute: "raw driver, single inserts, 512 in flight",
  tuned: "raw driver, the same tuned, values as bytes",
  batch: "raw driver, tuned, unlogged batches of 30 rows or 40 KiB"
}

const contender = (variant: RawDriverConfig["variant"], fromFile: boolean, isCore: boolean): Contender => ({
  name: `driver-${variant}${fromFile ? "-file" : ""}`,
  title: `${titles[variant]}${fromFile ? ", NDJSON file" : ""}`,
  tags: ["driver"],
  needs: ["server"],
  isCore,
  isOrdered: false,
  write: async ({ context, rows, table, workload }) => {
    const server = context.server()
    const config: RawDriverConfig = {
      contactPoint: server.contactPoint,
      localDataCenter: server.localDataCenter,
      table,
      workload,
      rows,
      variant,
      file: fromFile ? context.inputFile("ndjson", workload, rows) : null
    }
    const finished = await runNode(program("rawDriver"), config, { profiles: context.profiles, timeoutSeconds: 3600 })
    return {
      seconds: numberOf(finished, "seconds"),
      committed: numberOf(finished, "committed"),
      finished,
      samples: samplesOf(finished)
    }
  }
})

export const contenders: ReadonlyArray<Contender> = [
  contender("execute", false, false),
  contender("tuned", false, true),
  contender("batch", false, true),
  contender("execute", true, false),
  contender("tuned", true, false),
  contender("batch", true, false)
]
