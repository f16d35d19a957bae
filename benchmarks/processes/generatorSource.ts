/**
 * The rows of a workload as a replayable source: made when they are asked for, and resumed at any index at once.
 */
import { Record } from "effect-cassandra/checkpoint/Element"
import type { Source } from "effect-cassandra/source/Source"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { BenchRow, Workload } from "../rows.ts"
import { makeRowAt } from "../rows.ts"

const chunkSize = 1024

export class WantedFailure extends Error {}

export interface GeneratorOptions {
  readonly rows: number
  /** Rows a second; as fast as they are taken if left out. */
  readonly rate?: number | undefined
  /** After its rows the source waits for more, for ever. */
  readonly isEndless?: boolean | undefined
  /** Called before each chunk: true makes the source fail there. */
  readonly fails?: ((index: number) => boolean) | undefined
}

export const make = (workload: Workload, options: GeneratorOptions): Source<BenchRow, WantedFailure> => {
  const rowAt = makeRowAt(workload)
  const size = options.rate === undefined ? chunkSize : Math.max(1, Math.floor(options.rate / 100))
  return {
    describe: workload.name,
    total: options.rows,
    progress: (position) => Number(position["next"]),
    read: (from) =>
      Stream.unwrap(Effect.map(Clock.currentTimeMillis, (startedAt) => {
        const first = Number(from?.["next"] ?? 0)
        let next = first
        const pull = Effect.gen(function*() {
          if (next >= options.rows) return yield* options.isEndless === true ? Effect.never : Cause.done()
          if (options.fails?.(next) === true) {
            return yield* Effect.fail(new WantedFailure("the failure that the benchmark wants"))
          }
          if (options.rate !== undefined) {
            const due = startedAt + (next - first) / options.rate * 1000
            const now = yield* Clock.currentTimeMillis
            if (due > now) yield* Effect.sleep(due - now)
          }
          const records: Array<Record<BenchRow>> = []
          const end = Math.min(options.rows, next + size)
          for (; next < end; next++) records.push(new Record(rowAt(next), next))
          return [{ records, position: { next } }] as const
        })
        return Stream.fromPull(Effect.succeed(pull))
      }))
  }
}
