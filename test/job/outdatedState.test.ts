/**
 * A job whose state was left behind: it went on with another one (a machine that was lost, a volume that was not there), and
 * then somebody runs it with the first again. The ledger's marks are not about the rows of that one any more.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import * as Job from "../../src/job/Job.ts"
import * as ManualCommit from "../../src/sink/ManualCommit.ts"
import * as ManualRepair from "../../src/sink/ManualRepair.ts"
import * as DirectorySnapshot from "../../src/state/DirectorySnapshot.ts"
import * as FileStateBackend from "../../src/state/FileStateBackend.ts"
import * as Savepoint from "../../src/state/Savepoint.ts"
import * as StateDirectory from "../../src/state/StateDirectory.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { timedRows } from "./timedRows.ts"
import { end, pass, runFor, toEnd } from "./virtualTime.ts"

const names = { jobId: "job", uid: "sink" }
const directory = "/state"
const query = "INSERT INTO sim.t (id, v) VALUES (?, ?)"

/** A row every 100 ms. */
const rows = (count: number) => timedRows(count, 100)

const world = Effect.gen(function*() {
  const cluster = SimulatedCassandra.makeCluster()
  const setup = cluster.session()
  yield* setup.query("CREATE KEYSPACE sim WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
  yield* setup.query("CREATE TABLE sim.t (id int PRIMARY KEY, v int)")
  /** Whether Cassandra takes rows; the ledger works in any case. */
  let takesRows = true
  const disks: Array<SimulatedDisk.SimulatedDisk> = []
  const machine = () => {
    const disk = SimulatedDisk.make()
    disks.push(disk)
    return (at = directory) => {
      const session = cluster.session()
      const watched = {
        ...session,
        batchesEncoded: (...args: Parameters<typeof session.batchesEncoded>) =>
          takesRows ? session.batchesEncoded(...args) : Effect.never
      }
      return Layer.mergeAll(
        CassandraCommitter.layer(names),
        FileStateBackend.layer({ directory: at, ...names })
      ).pipe(
        Layer.provideMerge(Layer.succeed(CassandraSession, watched)),
        Layer.provideMerge(disk.boot().layer)
      )
    }
  }
  return {
    machine,
    disks,
    setTakesRows: (takes: boolean) => {
      takesRows = takes
    },
    found: Effect.map(cluster.rows("sim.t"), (all) => all.map(({ row }) => Number(row["id"])).toSorted((a, b) => a - b))
  }
})

const job = (count: number) =>
  Job.run({
    source: rows(count),
    checkpoint: { interval: "1 second", minPause: 0, pendingCheckpointsMax: 100 },
    sink: { query }
  })

const all = (count: number) => Array.from({ length: count }, (_, i) => i)

/** One machine logs 25 rows that Cassandra does not take; another one begins anew, and comes not as far. */
const leftBehind = Effect.gen(function*() {
  const { disks, found, machine, setTakesRows } = yield* world
  const [one, other] = [machine(), machine()]
  setTakesRows(false)
  yield* runFor(Effect.provide(job(1000), one()), 3200)
  setTakesRows(true)
  yield* runFor(Effect.provide(job(1000), other()), 1300)
  assert.isBelow((yield* found).length, 15)
  return { one, other, found, disks }
})

describe("a state that was left behind", () => {
  it.effect("is refused, and disturbs nobody: its rows would have counted as those of the other", () =>
    Effect.gen(function*() {
      const { found, one, other } = yield* leftBehind
      const running = yield* Effect.forkChild(Effect.exit(Effect.provide(job(40), other())))
      yield* pass(500)
      const error = yield* toEnd(Effect.flip(Effect.provide(job(40), one())))
      assert.strictEqual(error._tag === "StateUnusable" ? error.reason : error._tag, "outdated")
      assert.include(error.message, "epoch 2 has gone on with another one")
      const byHand = yield* toEnd(Effect.flip(Effect.provide(ManualCommit.commit(3, () => Effect.void), one())))
      assert.strictEqual(byHand._tag === "StateUnusable" ? byHand.reason : byHand._tag, "outdated")
      assert.isTrue(Exit.isSuccess(yield* end(running)))
      assert.deepStrictEqual(yield* found, all(40))
    }))

  it.effect("is not repaired: by that it would be taken for the newest, damaged manifest or not", () =>
    Effect.gen(function*() {
      const { disks, found, one, other } = yield* leftBehind
      const look = Effect.map(StateDirectory.look(directory, names), (state) => state!)
      const repair = Effect.scoped(Effect.gen(function*() {
        const { claim, plan, state } = yield* ManualRepair.claim(look)
        if (plan.kind === "back" || plan.kind === "cut") yield* ManualRepair.carryOut(state, plan, claim)
      }))
      const isRefused = Effect.gen(function*() {
        const error = yield* toEnd(Effect.flip(Effect.provide(repair, one())))
        assert.strictEqual(error._tag === "StateUnusable" ? error.reason : error._tag, "outdated")
        return error.message
      })
      const running = yield* Effect.forkChild(Effect.exit(Effect.provide(job(40), other())))
      yield* pass(500)
      const segment = [...disks[0]!.files().keys()].find((path) => path.endsWith(".wal"))
      disks[0]!.flipBit(segment!, 8 * 300)
      assert.include(yield* isRefused, " records, and flink_auxiliary.checkpoints_job")
      const manifest = [...disks[0]!.files().keys()].find((path) => path.endsWith(".manifest"))
      disks[0]!.flipBit(manifest!, 8 * 60)
      assert.include(yield* isRefused, "of epoch 1, and flink_auxiliary.checkpoints_job")
      assert.isTrue(Exit.isSuccess(yield* end(running)))
      assert.deepStrictEqual(yield* found, all(40))
    }))

  it.effect("can be taken as a savepoint: begun with in an empty directory, its rows are sent after all", () =>
    Effect.gen(function*() {
      const { found, one } = yield* leftBehind
      const taken = yield* Effect.provide(
        DirectorySnapshot.take(directory, null, Savepoint.writeTo("/savepoints")),
        one()
      )
      const restored = Effect.flatMap(
        Savepoint.open(taken.describe),
        (fromSavepoint) =>
          Job.run({ source: rows(40), fromSavepoint, checkpoint: { interval: "1 second" }, sink: { query } })
      )
      const services = one("/elsewhere")
      yield* toEnd(Effect.provide(restored, services))
      assert.deepStrictEqual(yield* found, all(40))
    }))

  it.effect("is refused though it is done: the other is not, and has written old rows again", () =>
    Effect.gen(function*() {
      const { found, machine } = yield* world
      const [one, other] = [machine(), machine()]
      yield* toEnd(Effect.provide(job(30), one()))
      yield* runFor(Effect.provide(job(30), other()), 1300)
      const error = yield* toEnd(Effect.flip(Effect.provide(job(30), one())))
      assert.strictEqual(error._tag === "StateUnusable" ? error.reason : error._tag, "outdated")
      yield* toEnd(Effect.provide(job(30), other()))
      assert.deepStrictEqual(yield* found, all(30))
    }))

  it.effect("is none as long as the other has published nothing", () =>
    Effect.gen(function*() {
      const { found, machine } = yield* world
      const [one, other] = [machine(), machine()]
      yield* runFor(Effect.provide(job(1000), one()), 3200)
      yield* runFor(Effect.provide(job(1000), other()), 300)
      yield* toEnd(Effect.provide(job(40), one()))
      assert.deepStrictEqual(yield* found, all(40))
    }))
})
