/**
 * One owner of what a savepoint begins: which job may go on from it, on a simulated Cassandra. What restoring does with
 * rows, positions and timestamps: test/job/savepoint.test.ts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Logger, Result } from "effect"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import type { Session } from "../../src/cassandra/CassandraSession.ts"
import type { JobName } from "../../src/checkpoint/CheckpointCommitter.ts"
import { CheckpointCommitter, makeMemory } from "../../src/checkpoint/CheckpointCommitter.ts"
import { restore } from "../../src/sink/RestoreSavepoint.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import type { Savepoint } from "../../src/state/Snapshot.ts"
import { StateBackend } from "../../src/state/StateBackend.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"

const uid = "sink"

const savepointOf = (jobId: string, id = `of-${jobId}`): Savepoint => ({
  describe: `/savepoints/${id}`,
  id,
  takenAt: 0,
  ledger: null,
  statements: [],
  checkpoint: {
    jobId,
    uid,
    epoch: 1,
    checkpointId: 3,
    parallelism: 1,
    completedAt: 0,
    maxTimestamp: 10,
    position: { next: 3 },
    finished: false,
    records: 3,
    pending: []
  },
  openSegment: () => Effect.die("nothing is pending in it")
})

interface Restoring {
  readonly savepoint: Savepoint
  readonly takeOverFrom?: string
  readonly store?: MemoryStateBackend.MemoryStore
  readonly through?: (session: Session) => Session
}

const makeWorld = () => {
  const cluster = SimulatedCassandra.makeCluster()
  const open = (jobId: string, session = cluster.session()) => CassandraCommitter.make(session, { jobId, uid })
  /** As a process would, on a machine of its own unless a store is given. */
  const go = (jobId: string, { savepoint, store, takeOverFrom, through = (session) => session }: Restoring) =>
    Effect.scoped(Effect.gen(function*() {
      const committer = yield* open(jobId, through(cluster.session()))
      const backend = MemoryStateBackend.make({ jobId, uid, store: store ?? MemoryStateBackend.makeStore() })
      return yield* restore(savepoint, takeOverFrom).pipe(
        Effect.provideService(CheckpointCommitter, committer),
        Effect.provideService(StateBackend, backend)
      )
    }))
  /** A job at work, which has published so much. */
  const works = Effect.fnUntraced(function*(jobId: string, maxTimestamp: number) {
    const committer = yield* open(jobId)
    yield* committer.claimEpoch(null)
    yield* committer.publishCheckpoint(5, maxTimestamp)
    return committer
  })
  const ledger = (jobId: string) => CassandraCommitter.readLedger(cluster.session(), { jobId, uid })
  const heir = (jobId: string) => Effect.map(ledger(jobId), ({ takenOverBy }) => takenOverBy?.jobId ?? null)
  const refused = Effect.fnUntraced(function*(jobId: string, restoring: Restoring, by: string, recordedIn: string) {
    const before = yield* ledger(jobId)
    const error = yield* Effect.flip(go(jobId, restoring))
    if (error._tag !== "TakenOver") return assert.fail(String(error))
    assert.deepStrictEqual([error.by, error.isRetryable], [{ jobId: by, uid }, false])
    assert.match(error.message, new RegExp(`was taken over by job '${by}' \\(uid 'sink'\\)`))
    assert.include(error.message, `flink_auxiliary.checkpoints_${recordedIn}`)
    assert.include(error.message, `--take-over-from ${by}`)
    const after = yield* ledger(jobId)
    assert.deepStrictEqual([after.epoch, after.takenOverBy], [before.epoch, before.takenOverBy], "nothing is claimed")
  })
  return { cluster, open, go, works, ledger, heir, refused }
}

/** Job `a` was at work, and `b` has gone on from the savepoint of it. */
const moved = Effect.gen(function*() {
  const world = makeWorld()
  const savepoint = savepointOf("a")
  yield* world.works("a", 20)
  yield* world.go("b", { savepoint })
  return { ...world, savepoint }
})

/** Dies at its `at`-th request of the ledger, before or after that has taken effect. */
const dyingAt =
  (at: number, when: "before" | "after", dead: Deferred.Deferred<void>) => (session: Session): Session => {
    let requests = 0
    const watched = <A, E, R>(request: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.suspend(() => {
        if (++requests !== at) return request
        const die = Effect.andThen(Deferred.succeed(dead, undefined), Effect.never)
        return when === "before" ? die : Effect.andThen(request, die)
      })
    return {
      ...session,
      query: (...args: Parameters<Session["query"]>) => watched(session.query(...args)),
      batch: (...args: Parameters<Session["batch"]>) => watched(session.batch(...args))
    }
  }

describe("restoring a savepoint", () => {
  it.effect("under a second other name is refused, and claims nothing; the first one may do it again", () =>
    Effect.scoped(Effect.gen(function*() {
      const { go, heir, ledger, refused, savepoint } = yield* moved
      assert.strictEqual(yield* heir("a"), "b")
      const { epoch } = yield* ledger("a")
      yield* refused("c", { savepoint }, "b", "a")
      yield* refused("a", { savepoint }, "b", "a")
      yield* refused("c", { savepoint, takeOverFrom: "somebody" }, "b", "a")
      assert.strictEqual((yield* ledger("a")).epoch, epoch)
      // On a machine that has nothing of it.
      assert.isNumber(yield* go("b", { savepoint }))
    })))

  it.effect("--take-over-from: what is left of the other is fenced and stays below, and it can't come back", () =>
    Effect.scoped(Effect.gen(function*() {
      const { go, heir, ledger, refused, works, savepoint } = yield* moved
      const b = yield* works("b", 5000)
      yield* go("c", { savepoint, takeOverFrom: "b" })
      assert.strictEqual((yield* Effect.flip(b.publishCheckpoint(6, 6000)))._tag, "Fenced")
      assert.isAtLeast((yield* ledger("c")).maxTimestamp, 5000)
      assert.deepStrictEqual([yield* heir("a"), yield* heir("b"), yield* heir("c")], ["b", "c", null])
      yield* refused("b", { savepoint }, "c", "b")
      // The command of yesterday.
      yield* refused("d", { savepoint, takeOverFrom: "b" }, "c", "b")
      yield* go("c", { savepoint, takeOverFrom: "b" })
    })))

  it.effect("--take-over-from: where the other's ledger is lost, it is the new one that is named; and no third one goes on", () =>
    Effect.scoped(Effect.gen(function*() {
      const { cluster, go, heir, refused, savepoint } = yield* moved
      yield* cluster.session().query("DROP TABLE flink_auxiliary.checkpoints_b")
      yield* go("c", { savepoint, takeOverFrom: "b" })
      assert.strictEqual(yield* heir("a"), "c")
      yield* refused("d", { savepoint, takeOverFrom: "b" }, "c", "a")
    })))

  it.effect("from name to name, each from a savepoint of the last one; all of them lead to that", () =>
    Effect.scoped(Effect.gen(function*() {
      const { go, refused, works } = makeWorld()
      yield* works("a", 20)
      yield* go("b", { savepoint: savepointOf("a") })
      yield* works("b", 30)
      yield* go("c", { savepoint: savepointOf("b") })
      yield* refused("b", { savepoint: savepointOf("a") }, "c", "b")
      yield* refused("d", { savepoint: savepointOf("a") }, "c", "b")
      yield* refused("d", { savepoint: savepointOf("b") }, "c", "b")
      // It is its own, at an earlier point.
      yield* go("c", { savepoint: savepointOf("a") })
      yield* go("d", { savepoint: savepointOf("c") })
      yield* refused("c", { savepoint: savepointOf("a") }, "d", "c")
    })))

  it.effect("there and back by savepoints: the first name has it again", () =>
    Effect.scoped(Effect.gen(function*() {
      const { go, heir, refused, works } = makeWorld()
      yield* works("a", 20)
      yield* go("b", { savepoint: savepointOf("a") })
      yield* works("b", 30)
      yield* go("a", { savepoint: savepointOf("b") })
      assert.deepStrictEqual([yield* heir("a"), yield* heir("b")], [null, "a"])
      yield* go("a", { savepoint: savepointOf("a") })
      yield* refused("b", { savepoint: savepointOf("b") }, "a", "b")
      yield* go("b", { savepoint: savepointOf("a") })
    })))

  it.effect("back to the first name from its own savepoint is refused, unless it is taken over from the other", () =>
    Effect.scoped(Effect.gen(function*() {
      const { go, heir, ledger, refused, works, savepoint } = yield* moved
      const b = yield* works("b", 5000)
      yield* refused("a", { savepoint }, "b", "a")
      yield* go("a", { savepoint, takeOverFrom: "b" })
      assert.strictEqual((yield* Effect.flip(b.checkEpoch))._tag, "Fenced")
      assert.deepStrictEqual([yield* heir("a"), yield* heir("b")], [null, "a"])
      assert.isAtLeast((yield* ledger("a")).maxTimestamp, 5000)
    })))

  it.effect("two at once: one of them", () =>
    Effect.scoped(Effect.gen(function*() {
      const { go, heir, works } = makeWorld()
      yield* works("a", 20)
      const savepoint = savepointOf("a")
      const ends = yield* Effect.forEach(
        ["b", "c", "d"],
        (jobId) => Effect.map(Effect.result(go(jobId, { savepoint })), (end) => ({ jobId, end })),
        { concurrency: "unbounded" }
      )
      const won = ends.filter(({ end }) => Result.isSuccess(end))
      assert.deepStrictEqual(won.map(({ jobId }) => jobId), [yield* heir("a")])
      for (const { end } of ends) if (Result.isFailure(end)) assert.strictEqual(end.failure._tag, "TakenOver")
    })))

  /** What is there before, what is restored, and a further name that wants it as well. */
  const moves: ReadonlyArray<{
    readonly name: string
    readonly before: ReadonlyArray<readonly [jobId: string, of: string]>
    readonly jobId: string
    readonly of: string
    readonly takeOverFrom?: string
    /** The savepoint that the further name wants, where it is not the same: the job that moves may go on from its own. */
    readonly rivalOf?: string
  }> = [
    { name: "under another name", before: [], jobId: "b", of: "a" },
    { name: "a third name by the second's savepoint", before: [["b", "a"]], jobId: "c", of: "b" },
    { name: "back to the first name", before: [["b", "a"]], jobId: "a", of: "b" },
    {
      name: "back to the first name's own savepoint",
      before: [["b", "a"]],
      jobId: "a",
      of: "a",
      takeOverFrom: "b",
      rivalOf: "b"
    },
    { name: "a third name instead of the second", before: [["b", "a"]], jobId: "c", of: "a", takeOverFrom: "b" },
    {
      name: "the second name instead of the third",
      before: [["b", "a"], ["c", "b"]],
      jobId: "b",
      of: "a",
      takeOverFrom: "c"
    }
  ]
  for (const { before, jobId, name, of, rivalOf = of, takeOverFrom } of moves) {
    it.effect(`broken off anywhere and begun again, it goes on, and nobody else does: ${name}`, () =>
      Effect.gen(function*() {
        let points = 0
        for (const when of ["before", "after"] as const) {
          for (const rival of ["later", "first"] as const) {
            for (let at = 1;; at++) {
              const { go, ledger, works } = makeWorld()
              yield* Effect.scoped(works("a", 20))
              for (const [to, from] of before) {
                yield* go(to, { savepoint: savepointOf(from) })
                yield* Effect.scoped(works(to, 5000))
              }
              const restoring = {
                savepoint: savepointOf(of),
                store: MemoryStateBackend.makeStore(),
                ...(takeOverFrom === undefined ? {} : { takeOverFrom })
              }
              const dead = yield* Deferred.make<void>()
              const first = yield* Effect.forkChild(go(jobId, { ...restoring, through: dyingAt(at, when, dead) }))
              const died = yield* Effect.raceFirst(
                Effect.as(Deferred.await(dead), true),
                Effect.as(Fiber.await(first), false)
              )
              yield* Fiber.interrupt(first)
              if (!died) break
              points++
              const other = go("rival", { savepoint: savepointOf(rivalOf) })
              const told = `${when} ${at}, the rival ${rival}`
              const isBegun = restoring.store.manifests.length > 0
              const stolen = rival === "first" && Exit.isSuccess(yield* Effect.exit(other))
              assert.isFalse(stolen && isBegun, told)
              const again = yield* Effect.exit(go(jobId, restoring))
              assert.strictEqual(Exit.isSuccess(again), !stolen, `${told}: ${String(again)}`)
              const late = yield* Effect.exit(other)
              assert.strictEqual(Exit.isSuccess(late), stolen, told)
              if (!stolen && before.length > 0) assert.isAtLeast((yield* ledger(jobId)).maxTimestamp, 5000, told)
            }
          }
        }
        assert.isAbove(points, 20)
      }))
  }

  it.effect("a job whose ledger is elsewhere is warned of, with that ledger and what is to be done; no other is", () =>
    Effect.scoped(Effect.gen(function*() {
      const told: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => {
        if (logLevel === "Warn") told.push(String(message))
      })
      const words = (of: string, ledger: string, own: string) =>
        new RegExp(
          `^The savepoint is of job '${of}' \\(uid 'sink'\\), whose ledger was ${ledger} ` +
            `flink_auxiliary\\.checkpoints_${own} at .*nobody stops that job.*do not start it again`
        )
      const there = (jobId: string, ledger: string, ledgerId: string): Savepoint => {
        const savepoint = savepointOf(jobId)
        return { ...savepoint, ledger, checkpoint: { ...savepoint.checkpoint, ledgerId } }
      }
      const atAnother = "other\\.checkpoints_a at 10\\.0\\.0\\.9:9042, and this job's is"
      const warned = Effect.fnUntraced(
        function*(world: ReturnType<typeof makeWorld>, jobId: string, savepoint: Savepoint) {
          told.length = 0
          yield* Effect.provide(world.go(jobId, { savepoint }), Logger.layer([logger]))
          assert.isAtMost(told.length, 1)
          return told[0] ?? null
        }
      )
      // Nothing of that job is here: under another name, and under its own.
      assert.match((yield* warned(makeWorld(), "b", savepointOf("a")))!, words("a", "another one than this job's", "b"))
      const elsewhere = there("a", "other.checkpoints_a at 10.0.0.9:9042", "gone")
      assert.match((yield* warned(makeWorld(), "b", elsewhere))!, words("a", atAnother, "b"))
      assert.match((yield* warned(makeWorld(), "a", elsewhere))!, words("a", atAnother, "a"))
      // A job of that name is here, which has come further, but it is another one: maybe even at the same place.
      const world = makeWorld()
      for (let i = 0; i < 3; i++) yield* Effect.scoped(world.works("a", 20))
      assert.match((yield* warned(world, "b", elsewhere))!, words("a", atAnother, "b"))
      const anew = makeWorld()
      yield* Effect.scoped(anew.works("a", 20))
      const lost = there("a", (yield* anew.ledger("a")).describe, "gone")
      assert.match((yield* warned(anew, "a", lost))!, words("a", "another one than this job's", "a"))
      // Where it is known to be here, whatever it is called by now, or is not known to be elsewhere.
      const { ledgerId } = yield* world.ledger("a")
      assert.isNull(yield* warned(world, "b", there("a", "other.checkpoints_a at 10.0.0.9:9042", ledgerId!)))
      assert.isNull(yield* warned(world, "b", savepointOf("a")))
      const moved = makeWorld()
      yield* Effect.scoped(moved.works("a", 20))
      assert.isNull(yield* warned(moved, "a", savepointOf("a")))
    })))

  it.effect("a committer that keeps no record of it restores as it always did", () =>
    Effect.gen(function*() {
      const committer = makeMemory()
      const { takenOverBy: _, ...without } = committer
      const backend = MemoryStateBackend.make({ jobId: "b", uid })
      const epoch = yield* restore(savepointOf("a")).pipe(
        Effect.provideService(CheckpointCommitter, without),
        Effect.provideService(StateBackend, backend)
      )
      assert.strictEqual(epoch, 1)
    }))

  it.effect("names of any length and script are kept, and a claim tells them", () =>
    Effect.scoped(Effect.gen(function*() {
      const cluster = SimulatedCassandra.makeCluster()
      const names: ReadonlyArray<JobName> = ["sink", "a sink, with spaces", "Γλώσσα 🚀 ".repeat(9), "x"]
        .map((uid, i) => ({ jobId: "j".repeat(1 + 9 * i), uid }))
      const a = { jobId: "a", uid: "sink" }
      yield* (yield* CassandraCommitter.make(cluster.session(), a)).claimEpoch(null)
      let before: JobName | null = null
      for (const name of names) {
        const committer = yield* CassandraCommitter.make(cluster.session(), name)
        yield* committer.claimEpoch(null)
        yield* committer.supersede(before ?? a)
        const { takenOverBy } = yield* CassandraCommitter.readLedger(cluster.session(), before ?? a)
        assert.deepStrictEqual(takenOverBy, { ...name, records: 0 })
        before = name
      }
      const claim = yield* (yield* CassandraCommitter.make(cluster.session(), a)).claimEpoch(null)
      assert.deepStrictEqual(claim.takenOverBy, { ...names[0], records: 0 })
    })))
})
