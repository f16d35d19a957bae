/**
 * `prepare`: a job whose rows Cassandra never answers, so that all of them stay in the log; it tells when they are, and
 * waits to be killed. `recover`: the job after it, which sends them.
 */
import * as Job from "effect-cassandra/job/Job"
import { StateBackend } from "effect-cassandra/state/StateBackend"
import * as Effect from "effect/Effect"
import type { Workload } from "../rows.ts"
import { insertInto } from "../rows.ts"
import * as GeneratorSource from "./generatorSource.ts"
import { config, emit, finish, sampleProgress } from "./inside.ts"
import type { JobConfig } from "./services.ts"
import * as Services from "./services.ts"

export interface RecoveryConfig extends JobConfig {
  readonly phase: "prepare" | "recover"
  readonly table: string
  readonly workload: Workload
  readonly rows: number
}

const options = config<RecoveryConfig>()
const isPreparing = options.phase === "prepare"

/** Milliseconds since the start of the process. */
const marks = { connected: 0, firstRow: 0, firstCommit: 0 }
const mark = (name: keyof typeof marks) =>
  Effect.sync(() => {
    if (marks[name] === 0) marks[name] = performance.now()
  })

const services = Services.layer(options, {
  session: (session) => {
    marks.connected = performance.now()
    return {
      ...session,
      batchesEncoded: (batches, batchOptions) =>
        isPreparing ? Effect.never : Effect.tap(session.batchesEncoded(batches, batchOptions), mark("firstRow"))
    }
  },
  committer: (committer) => ({
    ...committer,
    commitCheckpoints: (commits) => Effect.tap(committer.commitCheckpoints(commits), mark("firstCommit"))
  })
})

const program = Effect.gen(function*() {
  const startedAt = performance.now()
  const handle = yield* Job.start({
    source: GeneratorSource.make(options.workload, { rows: options.rows, isEndless: isPreparing }),
    sink: { query: insertInto(options.table, options.workload.shape), pendingBytesMax: Number.MAX_SAFE_INTEGER },
    checkpoint: { interval: "1 second", pendingCheckpointsMax: Number.MAX_SAFE_INTEGER }
  })
  if (!isPreparing) {
    let latest = { read: options.rows, committed: 0 }
    yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
      latest = { read: options.rows, committed: (yield* handle.progress).rowsCommitted }
      yield* Effect.sleep(50)
    })))
    const sampling = sampleProgress(() => latest)
    const { committed, replayedCheckpoints } = yield* handle.result
    latest = { read: options.rows, committed }
    const caughtUp = performance.now()
    return finish({ ...marks, caughtUp, committed, replayedCheckpoints, samples: sampling.stop() })
  }
  const backend = yield* StateBackend
  let loggedAt = 0
  while (true) {
    yield* Effect.sleep(20)
    if (loggedAt === 0 && (yield* handle.progress).rowsLogged === options.rows) loggedAt = performance.now()
    const pending = (yield* backend.latestCheckpoint)?.pending ?? []
    const rows = pending.reduce((sum, segment) => sum + segment.rows, 0)
    if (rows < options.rows) continue
    emit({
      event: "logged",
      bytes: pending.reduce((sum, segment) => sum + segment.bytes, 0),
      rowsPerSecond: options.rows / (loggedAt - startedAt) * 1000
    })
    yield* Effect.never
  }
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, services)))
