/**
 * The library as a user runs it: a job with a durable log on files, exactly-once, from a source in memory. It tells when
 * it fails (if it is to fail), and of each claim the first commit, and the first of rows that no earlier claim had sent.
 */
import * as RestartStrategy from "effect-cassandra/checkpoint/RestartStrategy"
import * as Job from "effect-cassandra/job/Job"
import * as Effect from "effect/Effect"
import type { Workload } from "../rows.ts"
import { insertInto } from "../rows.ts"
import * as GeneratorSource from "./generatorSource.ts"
import { config, emit, finish, sampleProgress } from "./inside.ts"
import type { JobConfig } from "./services.ts"
import * as Services from "./services.ts"

export interface OwnConfig extends JobConfig {
  readonly table: string
  readonly workload: Workload
  readonly rows: number
  readonly parallelism: number
  readonly interval: string
  /** Rows a second; null for as fast as possible. */
  readonly rate: number | null
  /** The source fails once behind this row, when something has been committed; null for never. */
  readonly failAt: number | null
}

const options = config<OwnConfig>()

let hasCommitted = false
let hasFailed = false
const source = GeneratorSource.make(options.workload, {
  rows: options.rows,
  rate: options.rate ?? undefined,
  fails: (index) => {
    if (options.failAt === null || hasFailed || !hasCommitted || index < options.failAt) return false
    hasFailed = true
    emit({ event: "failed" })
    return true
  }
})

let sentBefore = 0
let awaited: Array<"commit" | "new-commit"> = []

const services = Services.layer(options, {
  committer: (committer) => ({
    ...committer,
    claimEpoch: (previous, above) =>
      Effect.tap(committer.claimEpoch(previous, above), (claim) =>
        Effect.sync(() => {
          sentBefore = claim.publishedCheckpointId
          awaited = ["commit", "new-commit"]
        })),
    commitCheckpoints: (commits) =>
      Effect.tap(committer.commitCheckpoints(commits), () =>
        Effect.sync(() => {
          hasCommitted = true
          const isNew = commits.some(({ checkpointId }) => checkpointId > sentBefore)
          const told = awaited.filter((event) => event === "commit" || isNew)
          awaited = awaited.filter((event) => !told.includes(event))
          for (const event of told) emit({ event })
        }))
  })
})

const program = Effect.gen(function*() {
  const startedAt = performance.now()
  const handle = yield* Job.start({
    source,
    sink: { query: insertInto(options.table, options.workload.shape) },
    parallelism: options.parallelism,
    checkpoint: { interval: options.interval as "1 second" },
    restart: RestartStrategy.fixedDelay({ attempts: 3, delay: 0 })
  })
  let latest = { read: 0, committed: 0 }
  yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    const { rowsCommitted, rowsRead } = yield* handle.progress
    latest = { read: rowsRead, committed: rowsCommitted }
    yield* Effect.sleep(50)
  })))
  const sampling = sampleProgress(() => latest)
  const summary = yield* handle.result
  const seconds = (performance.now() - startedAt) / 1000
  latest = { read: summary.rows, committed: summary.committed }
  finish({
    seconds,
    committed: summary.committed,
    checkpoints: summary.checkpoints,
    restarts: summary.restarts,
    samples: sampling.stop()
  })
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, services)))
