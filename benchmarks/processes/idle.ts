/**
 * A job that has done its rows and waits for more: what it uses meanwhile.
 */
import * as Job from "effect-cassandra/job/Job"
import * as Effect from "effect/Effect"
import type { Workload } from "../rows.ts"
import { insertInto } from "../rows.ts"
import * as GeneratorSource from "./generatorSource.ts"
import { config, cpuSeconds, finish } from "./inside.ts"
import type { JobConfig } from "./services.ts"
import * as Services from "./services.ts"

export interface IdleConfig extends JobConfig {
  readonly table: string
  readonly workload: Workload
  readonly rows: number
  readonly interval: string
  readonly seconds: number
}

const options = config<IdleConfig>()

const program = Effect.gen(function*() {
  const handle = yield* Job.start({
    source: GeneratorSource.make(options.workload, { rows: options.rows, isEndless: true }),
    sink: { query: insertInto(options.table, options.workload.shape) },
    checkpoint: { interval: options.interval as "1 second" }
  })
  while ((yield* handle.progress).rowsCommitted < options.rows) yield* Effect.sleep(100)
  const before = cpuSeconds()
  const startedAt = performance.now()
  yield* Effect.sleep(options.seconds * 1000)
  const percent = (cpuSeconds() - before) / (performance.now() - startedAt) * 1000 * 100
  yield* handle.stop
  const { committed } = yield* handle.result
  finish({ percent, committed })
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, Services.layer(options))))
