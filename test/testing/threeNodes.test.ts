/**
 * A server of three nodes, which die and come back one by one, as a session with three copies at quorum sees it.
 */
import { assert, describe, layer } from "@effect/vitest"
import type { Host } from "cassandra-driver"
import { Client } from "cassandra-driver"
import { Duration, Effect, Layer, Schedule, Stream } from "effect"
import { execFileSync } from "node:child_process"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import { layerMemory } from "../../src/checkpoint/CheckpointCommitter.ts"
import { Record } from "../../src/checkpoint/Element.ts"
import * as Job from "../../src/job/Job.ts"
import * as IterableSource from "../../src/source/IterableSource.ts"
import type { Source } from "../../src/source/Source.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import * as CassandraServer from "../../src/testing/CassandraServer.ts"
import * as MurmurToken from "../../src/wire/MurmurToken.ts"
import { valuesOf } from "../../src/wire/WireValues.ts"
import { hasJava } from "./hasJava.ts"

const sessionOf = (server: CassandraServer.CassandraServerControls) =>
  CassandraSession.make({
    contactPoints: server.contactPoints,
    localDataCenter: server.localDataCenter,
    requestTimeout: "4 seconds",
    reconnection: { initial: "100 millis", max: "500 millis" }
  })

/** Other nodes need a few seconds to notice that one is back. */
const patiently = Effect.retry({ times: 60, schedule: Schedule.spaced("500 millis") })

const insert = "INSERT INTO three.t (id, n) VALUES (?, ?)"
const advance = "UPDATE three.t SET n = ? WHERE id = 0 IF n < ?"

/** A record every 50 milliseconds, for ever. */
const ticking: Source<{ readonly id: number; readonly n: number }> = {
  describe: "ticks",
  total: null,
  progress: () => 0,
  read: (from) =>
    Stream.iterate(Number(from?.["next"] ?? 0), (id) => id + 1).pipe(
      Stream.rechunk(1),
      Stream.mapEffect((id) => Effect.as(Effect.sleep("50 millis"), id)),
      Stream.map((id) => ({ records: [new Record({ id, n: id }, id)], position: { next: id + 1 } }))
    )
}

const makeTable = Effect.fnUntraced(function*(session: CassandraSession.Session) {
  yield* session.query(
    "CREATE KEYSPACE IF NOT EXISTS three WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}"
  )
  yield* session.query("CREATE TABLE IF NOT EXISTS three.t (id int PRIMARY KEY, n int)")
  yield* session.query(insert, [0, 0])
})

describe.skipIf(!hasJava)("three nodes", () => {
  layer(CassandraServer.layer({ kinds: ["java"], nodes: 3 }), {
    timeout: Duration.minutes(4),
    excludeTestServices: true
  })((it) => {
    it.effect(
      "are one cluster with disjoint parts of the ring, and a session finds all of them",
      () =>
        Effect.scoped(Effect.gen(function*() {
          const server = yield* CassandraServer.CassandraServer
          assert.lengthOf(server.nodes, 3)
          assert.deepStrictEqual(server.nodes.map(({ contactPoint }) => contactPoint), server.contactPoints.slice())
          const session = yield* CassandraSession.make({ contactPoints: server.contactPoints.slice(0, 1) })
          const { nodes } = yield* session.clusterInfo
          assert.deepStrictEqual(nodes.map(({ address }) => address).toSorted(), server.contactPoints.toSorted())
          // Asked one after the other, each tells its own.
          const rows = yield* Effect.forEach(
            Array.from({ length: 6 }),
            () => session.query("SELECT tokens FROM system.local")
          )
          const tokens = new Set(rows.flat().flatMap((row) => Array.from(row["tokens"] as Set<string>)))
          assert.strictEqual(tokens.size, 12)
        })),
      60_000
    )

    it.effect(
      "rows of a batch are all of the nodes that get it, where not every node has every row",
      () =>
        Effect.scoped(Effect.gen(function*() {
          const { contactPoints, localDataCenter } = yield* CassandraServer.CassandraServer
          const client = yield* Effect.acquireRelease(
            Effect.promise(async () => {
              const client = new Client({
                contactPoints: contactPoints.slice(),
                localDataCenter,
                encoding: { useBigIntAsLong: true, useBigIntAsVarint: true }
              })
              await client.connect()
              return client
            }),
            (client) => Effect.promise(() => client.shutdown())
          )
          const session = yield* CassandraSession.fromClient(client)
          for (const copies of [1, 3]) {
            yield* session.query(
              `CREATE KEYSPACE copies_${copies} ` +
                `WITH replication = {'class': 'SimpleStrategy', 'replication_factor': ${copies}}`
            )
          }
          yield* session.query("CREATE TABLE copies_1.t (id int PRIMARY KEY, n int)")
          // Their metadata is loaded beside the answer.
          yield* Effect.sync(() => client.metadata.getReplicas("copies_3", Buffer.alloc(4))).pipe(
            Effect.repeat({ until: (replicas) => replicas?.length === 3, schedule: Schedule.spaced("100 millis") }),
            Effect.timeout("30 seconds")
          )
          assert.isNull(session.replicaSets!("copies_3"))
          assert.isNull(session.replicaSets!("no_such_keyspace"))
          const sets = session.replicaSets!("copies_1")
          assert.strictEqual(sets?.count, 3)
          const own = yield* sessionOf(yield* CassandraServer.CassandraServer)
          assert.strictEqual(own.replicaSets!("copies_1")?.count, 3)
          assert.isNull(own.replicaSets!("copies_3"))

          // What the sink sends, as the server's own node tells where each row is.
          const batches: Array<ReadonlyArray<Buffer>> = []
          const watched: CassandraSession.Session = {
            ...session,
            batchesEncoded: (some, options) => {
              for (const { rows } of some) {
                batches.push(rows.map(({ bytes, from, to }) => Buffer.from(valuesOf(bytes, from, to)[0]!)))
              }
              return session.batchesEncoded(some, options)
            }
          }
          const services = Layer.mergeAll(
            Layer.succeed(CassandraSession.CassandraSession, watched),
            MemoryStateBackend.layer({ jobId: "placed", uid: "sink" }),
            layerMemory()
          )
          yield* Job.run({
            source: IterableSource.fromIterable(Array.from({ length: 3000 }, (_, id) => ({ id, n: id }))),
            sink: { query: "INSERT INTO copies_1.t (id, n) VALUES (?, ?)", input: "rows" }
          }).pipe(Effect.provide(services))
          const nodesOf = (id: Buffer) =>
            (client.metadata.getReplicas("copies_1", id) as Array<Host>).map(({ address }) => address)
          for (const ids of batches) assert.lengthOf(new Set(ids.flatMap(nodesOf)), 1)
          // Ten to a batch, but for the last ones of each node.
          assert.isAbove(3000 / batches.length, 8)
          const rows = yield* session.query("SELECT id, token(id) AS place FROM copies_1.t")
          assert.lengthOf(rows, 3000)
          for (const { id, place } of rows) {
            const key = Buffer.alloc(4)
            key.writeInt32BE(Number(id))
            const high = MurmurToken.highHalf(key, 0, 4)
            assert.strictEqual((BigInt(high) << 32n) | BigInt(MurmurToken.lowHalf()), place)
          }
        })),
      120_000
    )

    it.effect(
      "with one of them killed nothing stops, and it is used again when it is back",
      () =>
        Effect.scoped(Effect.gen(function*() {
          const server = yield* CassandraServer.CassandraServer
          const session = yield* sessionOf(server)
          yield* makeTable(session)
          const connected = () =>
            execFileSync("ss", ["-tnH", "state", "established", "dport", `= :${server.port}`], { encoding: "utf8" })
          yield* server.nodes[1]!.kill
          for (let n = 1; n <= 20; n++) {
            // What was on its way to it when it died is answered late or not at all, and can be asked again.
            yield* patiently(session.query(insert, [n, n]))
            yield* patiently(session.execute(advance, [n, n]))
          }
          const again = yield* Effect.flip(server.nodes[1]!.kill)
          assert.include(again.message, "kill: it does not run")
          assert.notInclude(connected(), server.nodes[1]!.contactPoint)

          yield* server.nodes[1]!.restart
          yield* patiently(
            Effect.suspend(() =>
              connected().includes(server.nodes[1]!.contactPoint) ? Effect.void : Effect.fail("no connection")
            )
          )
          yield* patiently(session.query(insert, [21, 21], { consistency: "ALL" }))
          const rows = yield* session.query("SELECT id, n FROM three.t", undefined, { consistency: "ALL" })
          assert.lengthOf(rows, 22)
          assert.isTrue(rows.every(({ id, n }) => id === 0 ? n === 20 : n === id))
        })),
      300_000
    )

    it.effect(
      "with two of them stopped writes are refused as Unavailable, and work again after a restart",
      () =>
        Effect.scoped(Effect.gen(function*() {
          const server = yield* CassandraServer.CassandraServer
          const session = yield* sessionOf(server)
          yield* makeTable(session)
          yield* server.nodes[0]!.kill
          yield* server.nodes[2]!.stop
          const write = session.query(insert, [100, 1])
          const error = yield* Effect.flip(write).pipe(
            Effect.filterOrFail(({ reason }) => reason._tag === "Unavailable", (error) => error),
            patiently
          )
          assert.isTrue(error.isRetryable)
          assert.isFalse(error.mayHaveBeenApplied)
          yield* Effect.all([server.nodes[0]!.restart, server.nodes[2]!.restart], { concurrency: 2 })
          yield* patiently(write)
          // Requests for one key go to any of its replicas: one that stands still costs some of them their time.
          yield* server.nodes[2]!.pause
          for (let n = 0; n < 6; n++) {
            yield* Effect.retry(session.query(insert, [101 + n, n]), {
              times: 10,
              schedule: Schedule.spaced("100 millis")
            })
          }
          yield* server.nodes[2]!.resume
          yield* patiently(session.query(insert, [110, 1], { consistency: "ALL" }))
        })),
      300_000
    )

    it.effect(
      "a job at quorum goes on with one of them down, waits with two, and then nothing is missing or written anew",
      () =>
        Effect.scoped(Effect.gen(function*() {
          const server = yield* CassandraServer.CassandraServer
          const session = yield* sessionOf(server)
          yield* makeTable(session)
          yield* session.query("CREATE TABLE IF NOT EXISTS three.written (id int PRIMARY KEY, n int)")
          const names = { jobId: "three", uid: "written" }
          const job = yield* Job.start({
            source: ticking,
            sink: { query: "INSERT INTO three.written (id, n) VALUES (?, ?)" },
            checkpoint: { interval: "500 millis" }
          }).pipe(
            Effect.provide(
              Layer.mergeAll(CassandraCommitter.layer({ ...names, keyspace: "three" }), MemoryStateBackend.layer(names))
            ),
            Effect.provideService(CassandraSession.CassandraSession, session)
          )
          const committed = Effect.map(job.progress, ({ rowsCommitted }) => rowsCommitted)
          const forty = Effect.gen(function*() {
            const before = yield* committed
            yield* patiently(Effect.filterOrFail(committed, (now) => now >= before + 40, () => "not yet"))
          })
          yield* forty
          yield* server.nodes[1]!.kill
          yield* forty

          yield* server.nodes[2]!.kill
          // What had three acknowledgements on their way may still be committed.
          yield* Effect.sleep("2 seconds")
          const before = yield* committed
          yield* Effect.sleep("4 seconds")
          assert.strictEqual(yield* committed, before)
          assert.strictEqual((yield* job.status).state, "running")
          assert.isAbove((yield* job.progress).pendingCheckpoints, 0)
          const atTheWorst = yield* job.progress

          yield* Effect.all([server.nodes[1]!.restart, server.nodes[2]!.restart], { concurrency: 2 })
          yield* forty
          yield* job.stop
          const { outcome, restarts, rows } = yield* job.result
          assert.deepStrictEqual({ outcome, restarts }, { outcome: "stopped", restarts: 0 })
          assert.isAtLeast(rows, atTheWorst.rowsLogged + 1)
          const found = yield* patiently(
            session.query("SELECT id, n, WRITETIME(n) AS at FROM three.written", undefined, { consistency: "ALL" })
          )
          const byId = found.toSorted((a, b) => Number(a["id"]) - Number(b["id"]))
          assert.deepStrictEqual(byId.map(({ id }) => id), Array.from({ length: rows }, (_, id) => id))
          // One row a record, stamped when it was logged: what was sent again is the same write.
          for (const [i, { at }] of byId.entries()) {
            assert.isTrue(i === 0 || BigInt(String(at)) > BigInt(String(byId[i - 1]!["at"])), `row ${i}`)
          }
        })),
      300_000
    )

    it.effect("all at once through the controls of the server", () =>
      Effect.scoped(Effect.gen(function*() {
        const server = yield* CassandraServer.CassandraServer
        yield* server.kill
        assert.include((yield* Effect.flip(server.kill)).message, "it does not run")
        yield* server.restart
        const session = yield* sessionOf(server)
        yield* patiently(session.query("SELECT id FROM three.t", undefined, { consistency: "ALL" }))
        assert.isAbove((yield* server.log).length, 3)
      })), 300_000)
  })
})
