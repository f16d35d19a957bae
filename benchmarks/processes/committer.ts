/**
 * The ledger's three operations, one after another, on a server that does nothing else.
 */
import { CheckpointCommitter } from "effect-cassandra/checkpoint/CheckpointCommitter"
import * as Effect from "effect/Effect"
import { config, finish } from "./inside.ts"
import type { JobConfig } from "./services.ts"
import * as Services from "./services.ts"

export interface CommitterConfig extends JobConfig {
  readonly times: number
  readonly subtasks: number
}

const options = config<CommitterConfig>()

const timed = <E>(self: Effect.Effect<unknown, E>, into: Array<number>): Effect.Effect<void, E> =>
  Effect.suspend(() => {
    const startedAt = performance.now()
    return Effect.map(self, () => void into.push(performance.now() - startedAt))
  })

const median = (values: Array<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const program = Effect.gen(function*() {
  const committer = yield* CheckpointCommitter
  const claims: Array<number> = []
  const publications: Array<number> = []
  const commits: Array<number> = []
  let epoch = (yield* committer.claimEpoch(null)).epoch
  for (let id = 1; id <= options.times; id++) {
    yield* timed(committer.publishCheckpoint(id, id), publications)
    const ofAll = Array.from({ length: options.subtasks }, (_, subtask) => ({ subtask, checkpointId: id }))
    yield* timed(committer.commitCheckpoints(ofAll), commits)
    if (id % 5 === 0) {
      yield* timed(
        Effect.tap(committer.claimEpoch(epoch), (claim) => Effect.sync(() => epoch = claim.epoch)),
        claims
      )
    }
  }
  finish({ claimMs: median(claims), publishMs: median(publications), commitMs: median(commits) })
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, Services.layer(options))))
