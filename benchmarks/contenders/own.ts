/**
 * This library: durable log on files, exactly-once, at several intervals and parallelisms, and the command on a file.
 */
import { newJob } from "../jobs.ts"
import { numberOf, run, runNode } from "../measure.ts"
import type { OwnConfig } from "../processes/own.ts"
import { command, program } from "../programs.ts"
import { insertInto } from "../rows.ts"
import type { Contender } from "./contender.ts"
import { samplesOf } from "./contender.ts"

/** A job in a program of ours: what a user of the library has, with these flags of Node. */
export const inProgram =
  (interval: string, parallelism: number, flags: ReadonlyArray<string> = []): Contender["write"] =>
  async ({ context, rows, table, workload }) => {
    const config: OwnConfig = {
      ...newJob(context),
      table,
      workload,
      rows,
      parallelism,
      interval,
      rate: null,
      failAt: null
    }
    const finished = await runNode(program("own"), config, {
      profiles: context.profiles,
      flags,
      timeoutSeconds: 4 * 3600
    })
    return {
      seconds: numberOf(finished, "seconds"),
      committed: numberOf(finished, "committed"),
      finished,
      samples: samplesOf(finished)
    }
  }

const inMemory = (name: string, interval: string, parallelism: number, isCore: boolean): Contender => ({
  name,
  title: `effect-cassandra, checkpoint ${interval}` + (parallelism === 1 ? "" : `, parallelism ${parallelism}`),
  tags: ["own"],
  needs: ["server"],
  isCore,
  isOrdered: parallelism === 1,
  write: inProgram(interval, parallelism)
})

/** The command, as a user runs it. */
export const onFile: Contender = {
  name: "own-command",
  title: "effect-cassandra load, NDJSON file, checkpoint 1 second",
  tags: ["own"],
  needs: ["server"],
  isCore: false,
  isOrdered: true,
  write: async ({ context, rows, table, workload }) => {
    const job = newJob(context)
    const finished = await run({
      command: process.execPath,
      args: [
        [command, "load", context.inputFile("ndjson", workload, rows)],
        ["--query", insertInto(table, workload.shape), "--job", job.jobId],
        ["--contact-points", job.contactPoint, "--local-dc", job.localDataCenter],
        ["--checkpoint-keyspace", job.ledger, "--state", job.state],
        ["--checkpoint-interval", "1 second", "--progress", "none", "--json"]
      ].flat(),
      timeoutSeconds: 4 * 3600
    })
    const summary = JSON.parse(finished.stdout) as { readonly committed: number; readonly seconds: number }
    return { seconds: summary.seconds, committed: summary.committed, finished, samples: samplesOf(finished) }
  }
}

export const contenders: ReadonlyArray<Contender> = [
  inMemory("own-1s", "1 second", 1, true),
  inMemory("own-10s", "10 seconds", 1, true),
  inMemory("own-1s-p2", "1 second", 2, false),
  inMemory("own-1s-p4", "1 second", 4, false),
  inMemory("own-10s-p2", "10 seconds", 2, false),
  inMemory("own-10s-p4", "10 seconds", 4, false),
  onFile
]
