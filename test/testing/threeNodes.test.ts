/**
 * A server of three nodes, which die and come back one by one, as a session with three copies at quorum sees it.
 */
import { assert, describe, layer } from "@effect/vitest"
import { Duration, Effect, Schedule } from "effect"
import { execFileSync } from "node:child_process"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import * as CassandraServer from "../../src/testing/CassandraServer.ts"
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
