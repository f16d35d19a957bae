import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Logger } from "effect"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import { CassandraError, InvalidQuery } from "../../src/cassandra/CassandraError.ts"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import type { Faults } from "../real/fixture.ts"
import { fresh, ledgerKeyspace, lostAnswer, readLedger, sessionLayer, withFaults } from "../real/fixture.ts"

const open = Effect.fnUntraced(function*(jobId: string, faults: Faults = {}, uid = "sink") {
  const session = yield* CassandraSession
  return yield* CassandraCommitter.make(withFaults(session, faults), { jobId, uid, keyspace: ledgerKeyspace })
})

layer(sessionLayer, { timeout: 60_000, excludeTestServices: true })("CassandraCommitter", (it) => {
  describe("the ledger", () => {
    it.effect("records commits, answers from one read, and never moves back", () =>
      Effect.scoped(Effect.gen(function*() {
        const jobId = fresh("j")
        let reads = 0
        const committer = yield* open(jobId, { onQuery: (cql) => cql.includes("checkpoint_id FROM") && reads++ })
        assert.isFalse(yield* committer.isCheckpointCommitted(0, 1))
        assert.isFalse(yield* committer.isCheckpointCommitted(7, 1))
        assert.strictEqual(reads, 1, "one read fills the cache")
        yield* committer.claimEpoch(null)
        reads = 0
        yield* committer.commitCheckpoint(0, 3)
        yield* committer.commitCheckpoints([{ subtask: 0, checkpointId: 5 }, { subtask: 1, checkpointId: 4 }])
        assert.isTrue(yield* committer.isCheckpointCommitted(0, 5))
        assert.isTrue(yield* committer.isCheckpointCommitted(0, 2))
        assert.isFalse(yield* committer.isCheckpointCommitted(1, 5))
        assert.strictEqual(reads, 0, "own commits advance the cache")
        yield* committer.commitCheckpoint(0, 2)
        assert.strictEqual((yield* readLedger(jobId)).get(0), 5)
      })))

    it.effect("one table a job, one partition a sink", () =>
      Effect.scoped(Effect.gen(function*() {
        const jobId = fresh("j")
        const a = yield* open(jobId, {}, "a")
        const b = yield* open(jobId, {}, "b")
        yield* a.claimEpoch(null)
        yield* b.claimEpoch(null)
        yield* a.commitCheckpoint(0, 9)
        assert.isFalse(yield* b.isCheckpointCommitted(0, 9))
        assert.strictEqual((yield* readLedger(jobId, "a")).get(0), 9)
      })))

    it.effect("a commit whose answer was lost is repeated without harm", () =>
      Effect.scoped(Effect.gen(function*() {
        const jobId = fresh("j")
        let lost = 0
        const committer = yield* open(jobId, {
          afterLedger: () => Effect.suspend(() => lost > 0 && lost-- > 0 ? Effect.fail(lostAnswer) : Effect.void)
        })
        yield* committer.claimEpoch(null)
        lost = 1
        const error = yield* Effect.flip(committer.commitCheckpoint(0, 1))
        assert.isTrue(error.isRetryable)
        yield* committer.commitCheckpoint(0, 1)
        lost = 1
        yield* Effect.flip(committer.publishCheckpoint(2, 100))
        yield* committer.publishCheckpoint(2, 100)
        const ledger = yield* readLedger(jobId)
        assert.deepStrictEqual([ledger.get(0), ledger.get(-2), ledger.get(-3)], [1, 2, 100])
      })))
  })

  describe("nodes that have not heard of the table yet", () => {
    const unheardOf = (table: string) =>
      new CassandraError({
        reason: new InvalidQuery({ cause: "test", operation: "query", message: `table ${table} does not exist` })
      })

    it.effect("are asked again, and the job does not end for it", () =>
      Effect.scoped(Effect.gen(function*() {
        const jobId = fresh("j")
        const table = `checkpoints_${jobId}`
        let late = 0
        const refuse = Effect.suspend(() => late > 0 && late-- > 0 ? Effect.fail(unheardOf(table)) : Effect.void)
        const committer = yield* open(jobId, {
          beforeQuery: (cql) => cql.startsWith("SELECT") && cql.includes(table) ? refuse : Effect.void,
          beforeLedger: () => refuse
        })
        late = 3
        yield* committer.claimEpoch(null)
        assert.strictEqual(late, 0)
        late = 2
        yield* committer.commitCheckpoint(0, 1)
        assert.strictEqual(late, 0)
        assert.strictEqual((yield* readLedger(jobId)).get(0), 1)
      })))

    it.effect("a table that was to be made by hand is missed at once", () =>
      Effect.scoped(Effect.gen(function*() {
        const session = yield* CassandraSession
        const jobId = fresh("j")
        const committer = yield* CassandraCommitter.make(session, {
          jobId,
          uid: "sink",
          keyspace: ledgerKeyspace,
          create: false
        })
        const error = yield* Effect.flip(committer.claimEpoch(null)).pipe(Effect.timeout("5 seconds"))
        assert.include(error.message, "does not exist")
      })))
  })

  describe("another job's epoch", () => {
    it.effect("is claimed, and tells what that job has published; its process records nothing any more", () =>
      Effect.scoped(Effect.gen(function*() {
        const [jobId, oldId] = [fresh("j"), fresh("j")]
        const [committer, old] = [yield* open(jobId), yield* open(oldId)]
        yield* committer.claimEpoch(null)
        assert.isNull(yield* committer.supersede({ jobId: oldId, uid: "sink" }), "it has claimed nothing yet")
        assert.isNull(yield* committer.supersede({ jobId: fresh("never"), uid: "sink" }), "it has no table")
        assert.isNull(yield* committer.supersede({ jobId: "No Name of a Table", uid: "sink" }))
        const { ledgerId } = yield* old.claimEpoch(null)
        yield* old.publishCheckpoint(7, 700)
        yield* old.commitCheckpoint(1, 6)
        const claim = yield* committer.supersede({ jobId: oldId, uid: "sink" })
        assert.deepStrictEqual(claim, {
          ledgerId,
          epoch: 2,
          publishedCheckpointId: 7,
          publishedEpoch: 1,
          maxTimestamp: 700,
          ledger: new Map([[1, 6]]),
          takenOverBy: { jobId, uid: "sink", records: 0 }
        })
        assert.strictEqual((yield* Effect.flip(old.commitCheckpoint(1, 7)))._tag, "Fenced")
        yield* committer.commitCheckpoint(0, 1)
      })))

    it.effect("is left alone by a process that is superseded itself", () =>
      Effect.scoped(Effect.gen(function*() {
        const [jobId, oldId] = [fresh("j"), fresh("j")]
        const [zombie, old] = [yield* open(jobId), yield* open(oldId)]
        yield* old.claimEpoch(null)
        yield* zombie.claimEpoch(null)
        yield* (yield* open(jobId)).claimEpoch(null)
        const error = yield* Effect.flip(zombie.supersede({ jobId: oldId, uid: "sink" }))
        assert.strictEqual(error._tag, "Fenced")
        yield* old.commitCheckpoint(0, 1)
      })))
  })

  describe("the epoch", () => {
    it.effect("what a process has read of its successor's rows is not taken for its own", () =>
      Effect.scoped(Effect.gen(function*() {
        const jobId = fresh("j")
        const [zombie, successor] = [yield* open(jobId), yield* open(jobId)]
        yield* zombie.claimEpoch(null)
        yield* successor.claimEpoch(null)
        yield* successor.publishCheckpoint(9, 900)
        assert.strictEqual((yield* Effect.flip(zombie.checkEpoch))._tag, "Fenced")
        // As high already, and yet not published by this one: its rows must not be sent.
        assert.strictEqual((yield* Effect.flip(zombie.publishCheckpoint(8, 800)))._tag, "Fenced")
      })))

    it.effect("a read that comes late, from before the own claim, fences nobody and forgets nothing (seeds 69301, 73357)", () =>
      Effect.scoped(Effect.gen(function*() {
        const session = yield* CassandraSession
        const jobId = fresh("j")
        yield* (yield* open(jobId)).claimEpoch(null)
        const release = yield* Deferred.make<void>()
        let reads = 0
        const slow = {
          ...session,
          query: (...args: Parameters<typeof session.query>) =>
            Effect.suspend(() =>
              args[0].includes(`checkpoints_${jobId} WHERE sink_id`) && ++reads === 1
                ? Effect.tap(session.query(...args), () => Deferred.await(release))
                : session.query(...args)
            )
        }
        const committer = yield* CassandraCommitter.make(slow, { jobId, uid: "sink", keyspace: ledgerKeyspace })
        const late = yield* Effect.forkChild(committer.current)
        yield* Effect.sleep(100)
        assert.strictEqual(reads, 1)
        const { epoch } = yield* committer.claimEpoch(null)
        assert.strictEqual(epoch, 2)
        yield* committer.publishCheckpoint(1, 10)
        yield* committer.commitCheckpoint(0, 1)
        yield* Deferred.succeed(release, undefined)
        yield* Fiber.join(late)
        assert.isTrue(yield* committer.isCheckpointCommitted(0, 1))
        yield* committer.publishCheckpoint(2, 20)
      })))

    it.effect("a later claim supersedes: nothing of the earlier process is recorded any more", () =>
      Effect.scoped(Effect.gen(function*() {
        const jobId = fresh("j")
        const first = yield* open(jobId)
        const second = yield* open(jobId)
        const a = yield* first.claimEpoch(null)
        yield* first.publishCheckpoint(1, 5000)
        yield* first.commitCheckpoint(0, 1)
        const b = yield* second.claimEpoch(null)
        assert.strictEqual(b.epoch, a.epoch + 1)
        assert.deepStrictEqual([b.publishedCheckpointId, b.maxTimestamp, b.ledger.get(0)], [1, 5000, 1])
        const refusals = [
          yield* Effect.flip(first.commitCheckpoint(0, 2)),
          yield* Effect.flip(first.commitCheckpoints([{ subtask: 1, checkpointId: 2 }])),
          yield* Effect.flip(first.publishCheckpoint(2, 6000)),
          yield* Effect.flip(first.checkEpoch),
          yield* Effect.flip(first.claimEpoch(a.epoch))
        ]
        for (const error of refusals) {
          assert.strictEqual(error._tag, "Fenced")
          assert.include(error.message, `epoch ${a.epoch}`)
        }
        const ledger = yield* readLedger(jobId)
        assert.deepStrictEqual([ledger.get(0), ledger.get(1), ledger.get(-2), ledger.get(-3)], [1, undefined, 1, 5000])
        yield* second.commitCheckpoint(0, 2)
      })))

    it.effect("a restart claims again only if no one else did", () =>
      Effect.scoped(Effect.gen(function*() {
        const jobId = fresh("j")
        const committer = yield* open(jobId)
        const first = yield* committer.claimEpoch(null)
        const second = yield* committer.claimEpoch(first.epoch)
        assert.strictEqual(second.epoch, first.epoch + 1)
        yield* committer.commitCheckpoint(0, 1)
      })))

    it.effect("a claim whose answer was lost is this process's own", () =>
      Effect.scoped(Effect.gen(function*() {
        const jobId = fresh("j")
        let lost = 1
        const committer = yield* open(jobId, {
          afterLedger: () => Effect.suspend(() => lost-- > 0 ? Effect.fail(lostAnswer) : Effect.void)
        })
        const first = yield* committer.claimEpoch(null)
        assert.strictEqual(first.epoch, 1)
        lost = 1
        assert.strictEqual((yield* committer.claimEpoch(first.epoch)).epoch, 2)
        yield* committer.commitCheckpoint(0, 1)
      })))

    it.effect("of many who claim at once, each has an epoch of its own and the last one holds", () =>
      Effect.scoped(Effect.gen(function*() {
        const jobId = fresh("j")
        const committers = yield* Effect.forEach(Array.from({ length: 4 }), () => open(jobId))
        const claims = yield* Effect.forEach(committers, (committer) =>
          Effect.retry(committer.claimEpoch(null), {
            times: 20,
            while: (error) => error.isRetryable
          }), { concurrency: 4 })
        assert.strictEqual(new Set(claims.map((claim) => claim.epoch)).size, 4)
        const newest = Math.max(...claims.map((claim) => claim.epoch))
        for (const [i, claim] of claims.entries()) {
          const result = yield* Effect.result(committers[i]!.commitCheckpoint(0, i + 1))
          assert.strictEqual(result._tag, claim.epoch === newest ? "Success" : "Failure")
        }
      })))
  })

  describe("the resource", () => {
    it.effect("is printed as DDL, not made when told not to, and an odd name is refused", () =>
      Effect.scoped(Effect.gen(function*() {
        const session = yield* CassandraSession
        const jobId = fresh("j")
        const options = {
          jobId,
          uid: "s",
          keyspace: ledgerKeyspace,
          replication: { class: "NetworkTopologyStrategy", datacenter1: 1 }
        }
        const missing = yield* CassandraCommitter.make(session, { ...options, create: false })
        assert.strictEqual((yield* Effect.flip(missing.claimEpoch(null)))._tag, "CommitterError")
        assert.isNull(yield* session.table(ledgerKeyspace, `checkpoints_${jobId}`))
        for (const cql of CassandraCommitter.ddl(options)) yield* session.query(cql)
        yield* missing.claimEpoch(null)
        for (
          const wrong of [
            { jobId: "my-job" },
            { jobId: "x; DROP TABLE y" },
            { keyspace: "a b" },
            { uid: "" },
            { replication: { class: "x' }; DROP" } }
          ]
        ) {
          const error = yield* Effect.flip(CassandraCommitter.make(session, { ...options, ...wrong }))
          assert.strictEqual(error._tag, "CommitterOptionError", JSON.stringify(wrong))
        }
        const named = yield* Effect.flip(CassandraCommitter.make(session, { ...options, jobId: "My-Job" }))
        assert.include(named.message, "my_job")
      })))

    it.effect("a replication factor of 1 on a cluster of several nodes is warned about", () =>
      Effect.scoped(Effect.gen(function*() {
        const session = yield* CassandraSession
        const warnings: Array<string> = []
        const logger = Logger.make(({ message }) => warnings.push(String(message)))
        const threeNodes = {
          ...session,
          clusterInfo: Effect.map(session.clusterInfo, (info) => ({
            ...info,
            nodes: [info.nodes[0]!, info.nodes[0]!, info.nodes[0]!]
          }))
        }
        const options = { jobId: fresh("j"), uid: "s", keyspace: ledgerKeyspace }
        yield* CassandraCommitter.make(session, options).pipe(Effect.provide(Logger.layer([logger])))
        yield* CassandraCommitter.make(threeNodes, options).pipe(Effect.provide(Logger.layer([logger])))
        // Nobody waits for the look at it; the one before, on one node, has begun earlier.
        while (warnings.length === 0) yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
        assert.strictEqual(warnings.length, 1)
        assert.include(warnings[0], "replication factor 1")
      })))
  })
})
