/**
 * A state that meets another ledger than the one it was made with: of another cluster, where what it has sent is not; or its own
 * was dropped, and has begun anew.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import * as Job from "../../src/job/Job.ts"
import * as ManualCommit from "../../src/sink/ManualCommit.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"
import { timedRows } from "./timedRows.ts"
import { runFor, toEnd } from "./virtualTime.ts"

const names = { jobId: "job", uid: "sink" }
const table = "flink_auxiliary.checkpoints_job"
const query = "INSERT INTO sim.t (id, v) VALUES (?, ?)"

/** A row every 100 ms. */
const rows = (count: number) => timedRows(count, 100)

const makeCluster = Effect.gen(function*() {
  const cluster = SimulatedCassandra.makeCluster()
  const setup = cluster.session()
  yield* setup.query("CREATE KEYSPACE sim WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
  yield* setup.query("CREATE TABLE sim.t (id int PRIMARY KEY, v int)")
  const found = Effect.map(
    cluster.rows("sim.t"),
    (all) => all.map(({ row }) => Number(row["id"])).toSorted((a, b) => a - b)
  )
  return { cluster, found }
})

type Cluster = Effect.Success<typeof makeCluster>

/** A process on that machine, with Cassandra there; while `takesRows` is false, only the ledger works. */
const on = (
  store: MemoryStateBackend.MemoryStore,
  { cluster }: Cluster,
  takesRows = true,
  ledgerRequestsMax = Infinity
) => {
  const session = cluster.session()
  let ledgerRequests = 0
  /** A process dies at its next request of the ledger when these are used up. */
  const watch = <A, E>(request: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => ++ledgerRequests > ledgerRequestsMax ? Effect.never : request)
  const watched = {
    ...session,
    query: (...args: Parameters<typeof session.query>) => watch(session.query(...args)),
    batch: (...args: Parameters<typeof session.batch>) => watch(session.batch(...args)),
    batchesEncoded: (...args: Parameters<typeof session.batchesEncoded>) =>
      takesRows ? session.batchesEncoded(...args) : Effect.never
  }
  return Layer.mergeAll(CassandraCommitter.layer(names), MemoryStateBackend.layer({ ...names, store })).pipe(
    Layer.provideMerge(Layer.succeed(CassandraSession, watched))
  )
}

const job = (count: number, acceptNewLedger?: boolean) =>
  Job.run({ source: rows(count), checkpoint: { interval: "1 second" }, sink: { query }, acceptNewLedger })

const ledgerOf = ({ cluster }: Cluster) => CassandraCommitter.readLedger(cluster.session(), names)

const refused = Effect.fnUntraced(function*<A, E extends { readonly _tag: string }>(
  self: Effect.Effect<A, E>,
  words: RegExp
) {
  const error = yield* toEnd(Effect.flip(self))
  assert.strictEqual((error as { readonly reason?: unknown }).reason, "other-ledger", String(error))
  assert.match(String((error as { readonly message?: unknown }).message), words)
})

const all = (count: number) => Array.from({ length: count }, (_, i) => i)

/** Twenty rows and more are in, and some are logged that are not. */
const begun = Effect.gen(function*() {
  const here = yield* makeCluster
  const store = MemoryStateBackend.makeStore()
  yield* runFor(Effect.provide(job(1000), on(store, here)), 2500)
  yield* runFor(Effect.provide(job(1000), on(store, here, false)), 2500)
  assert.isAbove((yield* here.found).length, 15)
  assert.isNotEmpty(store.manifests[0]!.pending)
  return { here, store }
})

describe("another ledger", () => {
  it.effect("of another cluster is refused before it is claimed: what was sent is not there", () =>
    Effect.gen(function*() {
      const { here, store } = yield* begun
      const there = yield* makeCluster
      const words =
        /made with another ledger than flink_auxiliary\.checkpoints_job .*ends with checkpoint \d+ .*--contact-points.*--accept-new-ledger/
      yield* refused(Effect.provide(job(80), on(store, there)), words)
      yield* refused(Effect.provide(ManualCommit.commit(3, () => Effect.void), on(store, there)), words)
      assert.isNull((yield* ledgerOf(there)).epoch)
      assert.isEmpty(yield* there.found)
      yield* toEnd(Effect.provide(job(80), on(store, here)))
      assert.deepStrictEqual(yield* here.found, all(80))
    }))

  it.effect("is refused by a job that is done, too: it is not done there", () =>
    Effect.gen(function*() {
      const [here, there] = [yield* makeCluster, yield* makeCluster]
      const store = MemoryStateBackend.makeStore()
      yield* toEnd(Effect.provide(job(20), on(store, here)))
      yield* refused(Effect.provide(job(20), on(store, there)), /knows no checkpoint of job 'job'/)
      assert.strictEqual((yield* toEnd(Effect.provide(job(20), on(store, here)))).outcome, "nothing-to-do")
    }))

  it.effect("that is new is accepted by who says so, once: what was pending is sent, and nothing twice", () =>
    Effect.gen(function*() {
      const { here, store } = yield* begun
      const before = store.manifests[0]!
      const first = (yield* here.cluster.rows("sim.t")).length
      yield* here.cluster.session().query(`DROP TABLE ${table}`)
      yield* refused(Effect.provide(job(80), on(store, here)), /knows no checkpoint/)
      const summary = yield* toEnd(Effect.provide(job(80, true), on(store, here)))
      assert.deepStrictEqual(yield* here.found, all(80))
      assert.isAbove(summary.epoch, before.epoch)
      assert.strictEqual(summary.rows, 80 - before.records)
      assert.strictEqual(summary.committed, 80 - first)
      const { ledgerId } = yield* ledgerOf(here)
      assert.notStrictEqual(ledgerId, before.ledgerId)
      assert.strictEqual(store.manifests[0]!.ledgerId, ledgerId)
      // From now on it is its own; saying so again changes nothing.
      assert.strictEqual((yield* toEnd(Effect.provide(job(80, true), on(store, here)))).outcome, "nothing-to-do")
      assert.strictEqual((yield* toEnd(Effect.provide(job(90), on(store, here)))).committed, 10)
    }))

  it.effect("is accepted whole, or not yet, whenever the process dies of it; and of two who accept it one goes on", () =>
    Effect.gen(function*() {
      const told = new Set<string>()
      for (let requests = 0; requests < 16; requests++) {
        const { here, store } = yield* begun
        yield* here.cluster.session().query(`DROP TABLE ${table}`)
        yield* runFor(Effect.provide(job(80, true), on(store, here, true, requests)), 1500)
        const plain = yield* toEnd(Effect.exit(Effect.provide(job(80), on(store, here))))
        told.add(Exit.isSuccess(plain) ? "accepted" : "refused")
        const both = Effect.all(
          [1, 2].map(() => Effect.exit(Effect.provide(job(80, true), on(store, here)))),
          { concurrency: 2 }
        )
        const ends = yield* toEnd(both)
        assert.isTrue(ends.some(Exit.isSuccess), `${requests}: ${String(ends)}`)
        assert.deepStrictEqual(yield* here.found, all(80), String(requests))
        assert.strictEqual(store.manifests[0]!.ledgerId, (yield* ledgerOf(here)).ledgerId)
      }
      assert.deepStrictEqual([...told].toSorted(), ["accepted", "refused"])
    }))

  it.effect("in which the same name has come further is never accepted: its marks are about other rows", () =>
    Effect.gen(function*() {
      const { store } = yield* begun
      const there = yield* makeCluster
      yield* toEnd(Effect.provide(job(70), on(MemoryStateBackend.makeStore(), there)))
      const epoch = (yield* ledgerOf(there)).epoch
      const words = /epoch 1 of job 'job' \(uid 'sink'\) has gone on with another state there.*--from-savepoint/
      yield* refused(Effect.provide(job(80), on(store, there)), words)
      yield* refused(Effect.provide(job(80, true), on(store, there)), words)
      assert.strictEqual((yield* ledgerOf(there)).epoch, epoch)
      assert.deepStrictEqual(yield* there.found, all(70))
    }))

  it.effect("is none for a state that has read nothing", () =>
    Effect.gen(function*() {
      const [here, there] = [yield* makeCluster, yield* makeCluster]
      const store = MemoryStateBackend.makeStore()
      yield* runFor(Effect.provide(job(20), on(store, here)), 500)
      assert.strictEqual(store.manifests[0]!.records, 0)
      yield* toEnd(Effect.provide(job(20), on(store, there)))
      assert.deepStrictEqual(yield* there.found, all(20))
    }))
})
