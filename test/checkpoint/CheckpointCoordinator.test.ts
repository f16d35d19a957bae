import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Queue, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { CheckpointCommitter, makeMemory, makeMemoryLedger } from "../../src/checkpoint/CheckpointCommitter.ts"
import type { CheckpointConfig } from "../../src/checkpoint/CheckpointConfig.ts"
import * as Coordinator from "../../src/checkpoint/CheckpointCoordinator.ts"
import { Barrier } from "../../src/checkpoint/Element.ts"
import type { Manifest, SegmentHandle } from "../../src/checkpoint/Manifest.ts"

const segment = (subtask: number, checkpointId: number, rows = 1): SegmentHandle => ({
  name: `s${subtask}-c${checkpointId}`,
  subtask,
  checkpointId,
  rows,
  bytes: 100,
  crc: 0,
  firstTimestamp: checkpointId * 10,
  lastTimestamp: checkpointId * 10 + 5
})

class Broken {
  readonly message = "disk full"
  readonly isRetryable = true
}

const start = Effect.fnUntraced(function*(options: {
  readonly config?: CheckpointConfig
  readonly parallelism?: number
  readonly restored?: Manifest
  readonly ledger?: ReturnType<typeof makeMemoryLedger>
  readonly completeCheckpoint?: (manifest: Manifest) => Effect.Effect<void, Broken>
}) {
  const ledger = options.ledger ?? makeMemoryLedger()
  const committer = makeMemory(ledger)
  const claim = yield* committer.claimEpoch(null)
  const manifests: Array<Manifest> = []
  const coordinator = yield* Coordinator.make({
    jobId: "job",
    uid: "sink",
    parallelism: options.parallelism ?? 1,
    attempt: 0,
    claim,
    restored: options.restored ?? null,
    config: options.config ?? {},
    completeCheckpoint: options.completeCheckpoint ?? ((manifest) => Effect.sync(() => void manifests.push(manifest)))
  }).pipe(Effect.provideService(CheckpointCommitter, committer))
  /** What the subtasks were told, as far as it is there. */
  const told = (subtask = 0) =>
    Effect.gen(function*() {
      const all: Array<string> = []
      while (true) {
        yield* Effect.yieldNow
        const next = yield* Queue.poll(coordinator.notifications(subtask))
        if (Option.isNone(next)) return all
        all.push(`${next.value._tag} ${next.value.checkpointId}`)
      }
    })
  const triggered = Effect.gen(function*() {
    const all: Array<number> = []
    while (true) {
      const next = yield* Queue.poll(coordinator.triggers)
      if (Option.isNone(next)) return all
      all.push(next.value)
    }
  })
  const acknowledge = (subtask: number, id: number, handle: SegmentHandle | null = segment(subtask, id)) =>
    coordinator.acknowledge({ subtask, barrier: new Barrier(id, { at: id }, id * 100, false), segment: handle })
  return { coordinator, manifests, told, triggered, acknowledge, ledger }
})

describe("CheckpointCoordinator", () => {
  describe("triggers", () => {
    it.effect("by the interval, one at a time, and not before the minimal pause is over", () =>
      Effect.gen(function*() {
        const { acknowledge, triggered } = yield* start({ config: { interval: "10 seconds", minPause: "5 seconds" } })
        yield* TestClock.adjust("9999 millis")
        assert.deepStrictEqual(yield* triggered, [])
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(yield* triggered, [1])
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(yield* triggered, [], "one is under way")
        yield* acknowledge(0, 1, null)
        yield* TestClock.adjust("4999 millis")
        assert.deepStrictEqual(yield* triggered, [], "the pause is not over, though the interval is")
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(yield* triggered, [2])
        yield* acknowledge(0, 2, null)
        yield* TestClock.adjust("9 seconds")
        assert.deepStrictEqual(yield* triggered, [])
        yield* TestClock.adjust("1 seconds")
        assert.deepStrictEqual(yield* triggered, [3])
      }))

    it.effect("as many at once as allowed", () =>
      Effect.gen(function*() {
        const { triggered } = yield* start({ config: { interval: "1 second", minPause: 0, maxConcurrent: 3 } })
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(yield* triggered, [1, 2, 3])
      }))

    it.effect("none while too many wait for Cassandra, unless one is asked for", () =>
      Effect.gen(function*() {
        const { acknowledge, coordinator, triggered } = yield* start({
          config: { interval: "1 second", minPause: 0, pendingCheckpointsMax: 2 }
        })
        for (const id of [1, 2]) {
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual(yield* triggered, [id])
          yield* acknowledge(0, id)
        }
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* triggered, [])
        yield* coordinator.requestCheckpoint
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(yield* triggered, [3])
        yield* acknowledge(0, 3)
        yield* coordinator.commit(0, 3)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* triggered, [4])
      }))

    it.effect("one that is asked for comes at once, whatever the interval", () =>
      Effect.gen(function*() {
        const { coordinator, triggered } = yield* start({ config: { interval: "1 hour" } })
        yield* coordinator.requestCheckpoint
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(yield* triggered, [1])
      }))

    it.effect("none after a stop", () =>
      Effect.gen(function*() {
        const { coordinator, triggered } = yield* start({ config: { interval: "1 second" } })
        yield* coordinator.stop
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* triggered, [])
      }))
  })

  describe("completion", () => {
    it.effect("when all have acknowledged: manifest, then publication, then the subtasks are told", () =>
      Effect.gen(function*() {
        const order: Array<string> = []
        const manifests: Array<Manifest> = []
        const ledger = makeMemoryLedger()
        const { acknowledge, coordinator, told } = yield* start({
          parallelism: 3,
          ledger,
          completeCheckpoint: (manifest) =>
            Effect.sync(() => {
              manifests.push(manifest)
              order.push(`manifest ${manifest.checkpointId}, published ${ledger.publishedCheckpointId}`)
            })
        })
        yield* told()
        const id = yield* coordinator.begin
        yield* acknowledge(0, id)
        yield* acknowledge(1, id, null)
        yield* acknowledge(0, id)
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(yield* told(1), ["Completed 0"], "a repeated acknowledgement counts once")
        yield* acknowledge(2, id, segment(2, id, 7))
        yield* TestClock.adjust(0)
        for (const subtask of [0, 1, 2]) assert.include(yield* told(subtask), "Completed 1")
        assert.deepStrictEqual(order, ["manifest 0, published 0", "manifest 1, published 0"])
        assert.deepStrictEqual([ledger.publishedCheckpointId, ledger.maxTimestamp], [1, 15])
        const manifest = manifests[1]!
        assert.deepStrictEqual(manifest.pending.map(({ name }) => name), ["s0-c1", "s2-c1"])
        assert.deepStrictEqual([manifest.position, manifest.records, manifest.maxTimestamp], [{ at: 1 }, 100, 15])
        assert.strictEqual((yield* coordinator.status).pendingRows, 8)
      }))

    it.effect("of one without rows needs no ledger", () =>
      Effect.gen(function*() {
        const { acknowledge, coordinator, ledger, told } = yield* start({})
        const id = yield* coordinator.begin
        yield* acknowledge(0, id, null)
        yield* TestClock.adjust(0)
        assert.include(yield* told(), "Completed 1")
        assert.strictEqual(ledger.publishedCheckpointId, 0)
      }))

    it.effect("subsumes those before it", () =>
      Effect.gen(function*() {
        const { acknowledge, coordinator, manifests, told } = yield* start({
          config: { interval: "1 hour", maxConcurrent: 2 }
        })
        const first = yield* coordinator.begin
        const second = yield* coordinator.begin
        const outcome = yield* Effect.forkChild(coordinator.awaitOutcome(first))
        yield* acknowledge(0, second)
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(yield* Fiber.join(outcome), { completed: true })
        assert.deepStrictEqual(yield* told(), ["Completed 0", "Completed 2"])
        assert.deepStrictEqual(manifests.map(({ checkpointId }) => checkpointId), [0, 2])
      }))

    it.effect("commits several subtasks in one request, and lists only what is still pending", () =>
      Effect.gen(function*() {
        const { acknowledge, coordinator, ledger, manifests } = yield* start({ parallelism: 2 })
        const first = yield* coordinator.begin
        yield* acknowledge(0, first)
        yield* acknowledge(1, first)
        yield* TestClock.adjust(0)
        yield* coordinator.commit(0, first)
        const second = yield* coordinator.begin
        yield* acknowledge(0, second)
        yield* acknowledge(1, second)
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(manifests.at(-1)!.pending.map(({ name }) => name), ["s1-c1", "s0-c2", "s1-c2"])
        yield* Effect.all([coordinator.commit(1, second), coordinator.commit(0, second)], { concurrency: 2 })
        assert.deepStrictEqual([...ledger.committed], [[0, second], [1, second]])
        yield* coordinator.settleManifest
        assert.deepStrictEqual(manifests.at(-1)!.pending, [])
        assert.strictEqual(manifests.at(-1)!.checkpointId, second)
      }))
  })

  describe("failure", () => {
    it.effect("an expired checkpoint is aborted; its segments go with the next one", () =>
      Effect.gen(function*() {
        const { acknowledge, coordinator, manifests, told } = yield* start({
          parallelism: 2,
          config: { interval: "1 hour", timeout: "60 seconds", tolerableFailures: 1 }
        })
        const first = yield* coordinator.begin
        const outcome = yield* Effect.forkChild(coordinator.awaitOutcome(first))
        yield* acknowledge(0, first)
        yield* TestClock.adjust("59 seconds")
        assert.deepStrictEqual(yield* told(), ["Completed 0"])
        yield* TestClock.adjust("1 seconds")
        assert.deepStrictEqual(yield* told(), ["Aborted 1"])
        assert.deepStrictEqual(yield* Fiber.join(outcome), { completed: false })
        // The late acknowledgement completes nothing, but its segment is not forgotten.
        yield* acknowledge(1, first)
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(yield* told(), [])
        const second = yield* coordinator.begin
        yield* acknowledge(0, second)
        yield* acknowledge(1, second, null)
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(manifests.at(-1)!.pending.map(({ name }) => name), ["s0-c1", "s1-c1", "s0-c2"])
      }))

    it.effect("more in a row than tolerated fail the run; a completed one starts the count again", () =>
      Effect.gen(function*() {
        const { acknowledge, coordinator } = yield* start({
          config: { interval: "1 hour", timeout: "1 second", tolerableFailures: 1 }
        })
        const failure = yield* Effect.forkChild(Effect.flip(coordinator.failure))
        yield* coordinator.begin
        yield* TestClock.adjust("1 second")
        const good = yield* coordinator.begin
        yield* acknowledge(0, good)
        yield* TestClock.adjust(0)
        yield* coordinator.begin
        yield* TestClock.adjust("1 second")
        assert.isUndefined(failure.pollUnsafe())
        yield* coordinator.begin
        yield* TestClock.adjust("1 second")
        const error = yield* Fiber.join(failure)
        assert.strictEqual(error._tag, "CheckpointsFailed")
        assert.include(error.message, "number 2 in a row")
        const told = yield* Effect.exit(Effect.forever(Queue.take(coordinator.notifications(0))))
        assert.isTrue(Exit.isFailure(told))
      }))

    it.effect("an expiry while a subtask waits for Cassandra counts as no failure", () =>
      Effect.gen(function*() {
        const { coordinator, told } = yield* start({ config: { interval: "1 hour", timeout: "1 second" } })
        const failure = yield* Effect.forkChild(Effect.flip(coordinator.failure))
        yield* coordinator.setBackPressured(0, true)
        yield* coordinator.begin
        yield* TestClock.adjust("1 second")
        assert.include(yield* told(), "Aborted 1")
        assert.isUndefined(failure.pollUnsafe())
        yield* coordinator.setBackPressured(0, false)
        yield* coordinator.begin
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Fiber.join(failure))._tag, "CheckpointsFailed")
      }))

    it.effect("a manifest that can't be written is a failed checkpoint, and says why", () =>
      Effect.gen(function*() {
        let broken = false
        const { acknowledge, coordinator } = yield* start({
          completeCheckpoint: () => Effect.suspend(() => broken ? Effect.fail(new Broken()) : Effect.void)
        })
        broken = true
        const id = yield* coordinator.begin
        yield* acknowledge(0, id)
        const error = yield* Effect.flip(coordinator.failure)
        assert.include(error.message, "disk full")
      }))

    it.effect("a defect ends the run instead of leaving it hanging", () =>
      Effect.gen(function*() {
        let broken = false
        const { acknowledge, coordinator } = yield* start({
          completeCheckpoint: () => Effect.suspend(() => broken ? Effect.die("a bug") : Effect.void)
        })
        broken = true
        yield* acknowledge(0, yield* coordinator.begin)
        const exit = yield* Effect.exit(coordinator.failure)
        assert.include(JSON.stringify(exit), "a bug")
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.forever(Queue.take(coordinator.notifications(0))))))
      }))

    it.effect("a ledger that refuses is not asked again by a schedule that would", () =>
      Effect.gen(function*() {
        const ledger = makeMemoryLedger()
        const { acknowledge, coordinator } = yield* start({
          ledger,
          config: { commitRetry: Schedule.spaced("1 second") }
        })
        yield* makeMemory(ledger).claimEpoch(null)
        yield* acknowledge(0, yield* coordinator.begin)
        assert.strictEqual((yield* Effect.flip(coordinator.failure))._tag, "Fenced")
      }))

    it.effect("a superseded coordinator publishes nothing and tells its subtasks so", () =>
      Effect.gen(function*() {
        const ledger = makeMemoryLedger()
        const { acknowledge, coordinator } = yield* start({ ledger })
        yield* makeMemory(ledger).claimEpoch(null)
        const id = yield* coordinator.begin
        yield* acknowledge(0, id)
        const error = yield* Effect.flip(coordinator.failure)
        assert.strictEqual(error._tag, "Fenced")
        assert.strictEqual(ledger.publishedCheckpointId, 0)
        assert.strictEqual((yield* Effect.flip(coordinator.commit(0, id)))._tag, "Fenced")
        const last = yield* Effect.flip(Effect.forever(Queue.take(coordinator.notifications(0))))
        assert.strictEqual(last._tag, "Fenced")
      }))
  })

  describe("recovery", () => {
    const restored: Manifest = {
      jobId: "job",
      uid: "sink",
      epoch: 1,
      checkpointId: 7,
      parallelism: 2,
      completedAt: 0,
      maxTimestamp: 75,
      position: { at: 7 },
      finished: false,
      records: 700,
      pending: [segment(0, 6), segment(0, 7), segment(1, 7)]
    }

    it.effect("adopts the checkpoint under its own epoch, without what is in, and publishes it before it is sent", () =>
      Effect.gen(function*() {
        const ledger = makeMemoryLedger()
        ledger.epoch = 1
        ledger.committed.set(0, 6)
        const { coordinator, manifests, told } = yield* start({ ledger, restored })
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(yield* told(), ["Completed 7"])
        assert.deepStrictEqual([manifests[0]!.epoch, manifests[0]!.checkpointId], [2, 7])
        assert.deepStrictEqual(manifests[0]!.pending.map(({ name }) => name), ["s0-c7", "s1-c7"])
        assert.deepStrictEqual([ledger.publishedCheckpointId, ledger.maxTimestamp], [7, 75])
        assert.strictEqual(coordinator.firstTimestamp, 76)
        assert.strictEqual(yield* coordinator.begin, 8)
      }))

    it.effect("ids and timestamps continue above the manifest and above the ledger", () =>
      Effect.gen(function*() {
        const ledger = makeMemoryLedger()
        Object.assign(ledger, { epoch: 4, publishedCheckpointId: 20, maxTimestamp: 9_000 })
        ledger.committed.set(3, 22)
        const behind = yield* start({ ledger, restored })
        assert.strictEqual(yield* behind.coordinator.begin, 23)
        assert.strictEqual(behind.coordinator.firstTimestamp, 9_001)
        const lost = yield* start({ ledger })
        assert.strictEqual(yield* lost.coordinator.begin, 23)
      }))
  })
})
