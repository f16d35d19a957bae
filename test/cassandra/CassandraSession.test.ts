import { assert, describe, it, layer } from "@effect/vitest"
import { Client, types } from "cassandra-driver"
import {
  Cause,
  Clock,
  ConfigProvider,
  Context,
  Effect,
  Exit,
  Fiber,
  Layer,
  Redacted,
  Scope,
  Stream,
  Tracer
} from "effect"
import * as Net from "node:net"
import { inspect } from "node:util"
import * as CassandraConfig from "../../src/cassandra/CassandraConfig.ts"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"

const contactPoints = (process.env["CASSANDRA_CONTACT_POINTS"] ?? "127.0.0.1").split(",")
const [serverHost, serverPort] = contactPoints[0]!.includes(":")
  ? [contactPoints[0]!.split(":")[0]!, Number(contactPoints[0]!.split(":")[1])]
  : [contactPoints[0]!, Number(process.env["CASSANDRA_PORT"] ?? 9042)]

const keyspace = "session_test"
const real = { contactPoints: [`${serverHost}:${serverPort}`], keyspace }

/** Keys of this run, so that runs do not meet. */
let nextKey = 0
const freshKey = () => `${process.pid}-${process.hrtime.bigint()}-${nextKey++}`

const Schema = Layer.effectDiscard(Effect.gen(function*() {
  const session = yield* CassandraSession.make({ contactPoints: real.contactPoints, requestTimeout: "60 seconds" })
  yield* session.execute(
    `CREATE KEYSPACE IF NOT EXISTS ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`
  )
  yield* session.execute(`CREATE TABLE IF NOT EXISTS ${keyspace}.rows_by_key (key text, n int, body text, big bigint,
    huge varint, tags set<text>, counts map<text, bigint>, "Mixed" int, shared text static, PRIMARY KEY (key, n))`)
  yield* session.execute(`CREATE TABLE IF NOT EXISTS ${keyspace}.ledger (sink text, sub int, checkpoint bigint,
    PRIMARY KEY (sink, sub))`)
}))

const Live = Layer.provideMerge(CassandraSession.layer(real), Schema)
const Session = CassandraSession.CassandraSession

const insert = "INSERT INTO rows_by_key (key, n, body) VALUES (?, ?, ?)"

/** Every span made inside, as plain records. */
const recordSpans = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span(options) {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return Effect.map(Effect.withTracer(effect, tracer), (value) => ({ value, spans }))
  })

interface Proxy {
  readonly address: string
  /** Replies wait from now on. */
  readonly freeze: () => void
  readonly thaw: () => void
  readonly cut: () => void
  readonly connections: () => number
}

/** A way to the server that can stall or be cut. */
const makeProxy = Effect.acquireRelease(
  Effect.callback<Proxy & { close: () => void }>((resume) => {
    const sockets = new Set<Net.Socket>()
    const upstreams = new Set<Net.Socket>()
    const server = Net.createServer((socket) => {
      const upstream = Net.connect(serverPort, serverHost)
      sockets.add(socket)
      upstreams.add(upstream)
      socket.on("data", (bytes) => upstream.write(bytes))
      upstream.on("data", (bytes) => socket.write(bytes))
      socket.on("close", () => {
        sockets.delete(socket)
        upstream.destroy()
      })
      upstream.on("close", () => {
        upstreams.delete(upstream)
        socket.destroy()
      })
      socket.on("error", () => {})
      upstream.on("error", () => {})
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as Net.AddressInfo
      const cut = () => sockets.forEach((socket) => socket.destroy())
      resume(Effect.succeed({
        address: `127.0.0.1:${port}`,
        freeze: () => upstreams.forEach((upstream) => upstream.pause()),
        thaw: () => upstreams.forEach((upstream) => upstream.resume()),
        cut,
        connections: () => sockets.size,
        close: () => {
          cut()
          server.close()
        }
      }))
    })
  }),
  (proxy) => Effect.sync(proxy.close)
)

const elapsed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const began = yield* Clock.currentTimeMillis
    const exit = yield* Effect.exit(effect)
    return { exit, millis: (yield* Clock.currentTimeMillis) - began }
  })

const errorOf = (exit: Exit.Exit<unknown, unknown>) => {
  assert.isTrue(Exit.isFailure(exit))
  return Cause.squash((exit as Exit.Failure<unknown, unknown>).cause) as {
    readonly message: string
    readonly reason: { readonly _tag: string }
    readonly isRetryable: boolean
    readonly mayHaveBeenApplied: boolean
  }
}

layer(Live, { timeout: "60 seconds", excludeTestServices: true })("CassandraSession", (it) => {
  it.effect("query: text without values, prepared with them, by position and by name", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const key = freshKey()
      yield* session.query(insert, [key, 1, "one"])
      yield* session.query("INSERT INTO rows_by_key (key, n, body) VALUES (:key, :n, :Body)", {
        KEY: key,
        n: 2,
        body: undefined,
        Body: "shadowed by the exact name"
      })
      const rows = yield* session.query("SELECT n, body FROM rows_by_key WHERE key = ?", [key])
      assert.deepStrictEqual(rows, [{ n: 1, body: "one" }, { n: 2, body: null }])
      assert.strictEqual(Object.getPrototypeOf(rows[0]), Object.prototype)
      assert.strictEqual((yield* session.query("SELECT key FROM system.local"))[0]!["key"], "local")
    }))

  it.effect("values survive exactly, beyond 2^53 and in collections", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const key = freshKey()
      const big = 2n ** 63n - 1n
      const huge = -(2n ** 200n) - 1n
      const counts = new Map([["a", 9007199254740993n]])
      yield* session.query(
        "INSERT INTO rows_by_key (key, n, big, huge, tags, counts, \"Mixed\") VALUES (?, ?, ?, ?, ?, ?, ?)",
        [key, 1, big, huge, new Set(["x", "y"]), counts, 7]
      )
      yield* session.query("INSERT INTO rows_by_key (key, n, big) VALUES (?, ?, ?)", [key, 2, 42])
      const rows = yield* session.query(
        "SELECT big, huge, tags, counts, \"Mixed\" FROM rows_by_key WHERE key = ?",
        [key]
      )
      assert.deepStrictEqual(rows[0], { big, huge, tags: new Set(["x", "y"]), counts, Mixed: 7 })
      assert.strictEqual(rows[1]!["big"], 42n)
    }))

  it.effect("a value that does not fit names its column, and nothing is sent", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const key = freshKey()
      const error = yield* Effect.flip(session.query(insert, [key, 2 ** 31, "x"]))
      assert.strictEqual(error.reason._tag, "Encode")
      if (error.reason._tag !== "Encode") return
      assert.deepStrictEqual([error.reason.column, error.reason.cqlType, error.reason.value], ["n", "int", 2 ** 31])
      assert.include(error.message, "2147483648 does not fit column n (int)")
      assert.isFalse(error.isRetryable)
      assert.isFalse(error.mayHaveBeenApplied)

      const tooBig = yield* Effect.flip(
        session.query("INSERT INTO rows_by_key (key, n, big) VALUES (?, ?, ?)", [key, 1, 2n ** 63n])
      )
      assert.strictEqual(tooBig.reason._tag, "Encode")
      const inBatch = yield* Effect.flip(session.batch([{ cql: insert, params: [key, 1.5, "x"] }]))
      assert.strictEqual(inBatch.reason._tag, "Encode")
      const missing = yield* Effect.flip(
        session.query("INSERT INTO rows_by_key (key, n) VALUES (:key, :n)", { key })
      )
      assert.include(missing.message, "no value given for the marker :n")
      assert.deepStrictEqual(yield* session.query("SELECT n FROM rows_by_key WHERE key = ?", [key]), [])
    }))

  it.effect("too many and too few values are told so, also as bytes", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const bytes = Buffer.from("x")
      const many = yield* Effect.flip(session.query(insert, ["k", 1, "b", 4]))
      assert.include(many.message, "4 value(s) given for 3 marker(s): key, n, body")
      const manyBytes = yield* Effect.flip(
        session.batch([{ cql: insert, params: [bytes, Buffer.alloc(4), bytes, bytes] }])
      )
      assert.strictEqual(manyBytes.reason._tag, "Encode")
      assert.include(manyBytes.message, "4 value(s) given for 3 marker(s)")
      const few = yield* Effect.flip(session.execute(insert, [bytes]))
      assert.strictEqual(few.reason._tag, "InvalidQuery")
    }))

  it.effect("execute: a page, its state, and the rest", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const key = freshKey()
      yield* session.batch(Array.from({ length: 7 }, (_, n) => ({ cql: insert, params: [key, n, "b"] })))
      const prepared = yield* session.prepare("SELECT n FROM rows_by_key WHERE key = ?")
      const first = yield* session.execute(prepared, [key], { pageSize: 5 })
      assert.deepStrictEqual(first.rows.map(({ n }) => n), [0, 1, 2, 3, 4])
      assert.isString(first.pageState)
      assert.isNull(first.applied)
      assert.deepStrictEqual(first.warnings, [])
      const second = yield* session.execute(prepared, [key], { pageSize: 5, pageState: first.pageState! })
      assert.deepStrictEqual(second.rows.map(({ n }) => n), [5, 6])
      assert.isNull(second.pageState)
    }))

  it.effect("query reads every page, stream only those asked for", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const key = freshKey()
      yield* session.batch(Array.from({ length: 50 }, (_, n) => ({ cql: insert, params: [key, n, "b"] })))
      const select = "SELECT n FROM rows_by_key WHERE key = ?"
      const rows = yield* session.query(select, [key], { pageSize: 10 })
      assert.deepStrictEqual(rows.map(({ n }) => n), Array.from({ length: 50 }, (_, n) => n))

      const pages = (take: number) =>
        recordSpans(session.stream(select, [key], { pageSize: 10 }).pipe(Stream.take(take), Stream.runCollect))
      const few = yield* pages(3)
      assert.strictEqual(few.value.length, 3)
      assert.strictEqual(few.spans.length, 1)
      assert.strictEqual((yield* pages(10)).spans.length, 1)
      assert.strictEqual((yield* pages(11)).spans.length, 2)
      assert.deepStrictEqual((yield* pages(1000)).value.map(({ n }) => n), rows.map(({ n }) => n))

      const slow = yield* recordSpans(
        session.stream(select, [key], { pageSize: 10 }).pipe(
          Stream.mapEffect(() => Effect.never),
          Stream.runDrain,
          Effect.timeoutOption("300 millis")
        )
      )
      assert.strictEqual(slow.spans.length, 1)
    }))

  it.effect("prepare: markers, types, partition key", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const cql = "UPDATE rows_by_key SET body = :body, counts = :counts WHERE key = :key AND n = :n"
      const prepared = yield* session.prepare(cql)
      assert.deepStrictEqual([prepared.cql, prepared.keyspace, prepared.table], [cql, keyspace, "rows_by_key"])
      assert.deepStrictEqual(prepared.params.map(({ name, type }) => [name, type.code]), [
        ["body", types.dataTypes.varchar],
        ["counts", types.dataTypes.map],
        ["key", types.dataTypes.varchar],
        ["n", types.dataTypes.int]
      ])
      assert.deepStrictEqual(prepared.partitionKeys, [2])
      assert.deepStrictEqual(yield* session.prepare(cql), prepared)
      const plain = yield* session.prepare("SELECT key FROM system.local")
      assert.deepStrictEqual([plain.table, plain.params, plain.partitionKeys], [null, [], []])
    }))

  it.effect("table: columns in the order of the key, null for none", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const table = yield* session.table(keyspace, "rows_by_key")
      assert.deepStrictEqual(
        table?.columns.map(({ kind, name, position, type }) => `${name} ${type} ${kind} ${position}`),
        [
          "key text partition_key 0",
          "n int clustering 0",
          "shared text static -1",
          "Mixed int regular -1",
          "big bigint regular -1",
          "body text regular -1",
          "counts map<text, bigint> regular -1",
          "huge varint regular -1",
          "tags set<text> regular -1"
        ]
      )
      assert.isNull(yield* session.table(keyspace, "nothing"))
    }))

  it.effect("clusterInfo", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const { clusterName, nodes, releaseVersion } = yield* session.clusterInfo
      assert.match(releaseVersion, /^\d+\.\d+/)
      assert.notStrictEqual(clusterName, "")
      assert.strictEqual(nodes[0]!.address, `${serverHost}:${serverPort}`)
      assert.isNotEmpty(nodes[0]!.dataCenter)
      assert.strictEqual(session.describe, `${serverHost}:${serverPort}`)
      assert.strictEqual(session.keyspace, keyspace)
    }))

  it.effect("a conditional batch: applied, then refused whole with the rows as they are", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const sink = freshKey()
      const first = yield* session.execute(
        "INSERT INTO ledger (sink, sub, checkpoint) VALUES (?, ?, ?) IF NOT EXISTS",
        [sink, -1, 7n]
      )
      assert.isTrue(first.applied)
      yield* session.execute("INSERT INTO ledger (sink, sub, checkpoint) VALUES (?, ?, ?) IF NOT EXISTS", [
        sink,
        0,
        10n
      ])
      const move = (epoch: bigint, checkpoint: bigint) =>
        session.batch([
          {
            cql: "UPDATE ledger SET checkpoint = ? WHERE sink = ? AND sub = -1 IF checkpoint = ?",
            params: [epoch, sink, epoch]
          },
          {
            cql: "UPDATE ledger SET checkpoint = ? WHERE sink = ? AND sub = ? IF checkpoint < ?",
            params: [checkpoint, sink, 0, checkpoint]
          }
        ], { logged: true, serialConsistency: "SERIAL" })
      const applied = yield* move(7n, 11n)
      assert.isTrue(applied.applied)
      const stale = yield* move(6n, 12n)
      assert.isFalse(stale.applied)
      assert.deepStrictEqual(stale.rows.map(({ checkpoint, sub }) => [sub, checkpoint]), [[-1, 7n], [0, 11n]])
      const rows = yield* session.query("SELECT checkpoint FROM ledger WHERE sink = ? AND sub = 0", [sink], {
        consistency: "SERIAL"
      })
      assert.deepStrictEqual(rows, [{ checkpoint: 11n }])
    }))

  it.effect("batch: one timestamp for all, bytes as they are, nothing for nothing", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const key = freshKey()
      const timestamp = 1_700_000_000_000_001n
      const n = Buffer.alloc(4)
      n.writeInt32BE(1)
      yield* session.batch([
        { cql: insert, params: [Buffer.from(key), n, Buffer.from("bytes")] },
        { cql: insert, params: { key, n: 2, body: "named" } }
      ], { timestamp, trace: false })
      assert.deepStrictEqual(
        yield* session.query("SELECT n, body, WRITETIME(body) AS w FROM rows_by_key WHERE key = ?", [key]),
        [{ n: 1, body: "bytes", w: timestamp }, { n: 2, body: "named", w: timestamp }]
      )
      yield* session.query(insert, [key, 1, "older"], { timestamp: timestamp - 1n })
      assert.strictEqual(
        (yield* session.query("SELECT body FROM rows_by_key WHERE key = ? AND n = 1", [key]))[0]!["body"],
        "bytes"
      )
      assert.deepStrictEqual((yield* session.batch([])).rows, [])
    }))

  it.effect("a batch is unlogged unless asked otherwise, and brings the server's warnings along", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const result = yield* session.batch(
        Array.from({ length: 20 }, () => ({ cql: insert, params: [freshKey(), 1, "x".repeat(500)] }))
      )
      assert.include(result.warnings.join(), "Unlogged batch covering 20 partitions")
      const logged = yield* session.batch(
        Array.from({ length: 20 }, () => ({ cql: insert, params: [freshKey(), 1, "x"] })),
        { logged: true }
      )
      assert.notInclude(logged.warnings.join(), "Unlogged")
    }))

  it.effect("the server's refusals by reason", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const reasons: ReadonlyArray<readonly [string, string]> = [
        ["SELEC nonsense", "Syntax"],
        ["SELECT * FROM no_such_table", "InvalidQuery"],
        ["SELECT * FROM no_such_keyspace.t", "InvalidQuery"],
        [`CREATE TABLE ledger (k text PRIMARY KEY)`, "AlreadyExists"],
        ["CREATE KEYSPACE session_test_x WITH replication = {'class': 'Nonsense'}", "Config"]
      ]
      for (const [cql, tag] of reasons) {
        const error = yield* Effect.flip(session.execute(cql))
        assert.strictEqual(error.reason._tag, tag, cql)
        assert.strictEqual(error.reason.operation, "execute")
        assert.isFalse(error.isRetryable)
      }
      const recovered = yield* session.prepare("SELECT * FROM no_such_table").pipe(
        Effect.catchReason("CassandraError", "InvalidQuery", (reason) => Effect.succeed(reason.message))
      )
      assert.include(recovered, "no_such_table")
      const unavailable = yield* Effect.flip(session.query(insert, [freshKey(), 1, "x"], { consistency: "THREE" }))
      assert.isTrue(unavailable.reason._tag === "Unavailable")
      assert.isTrue(unavailable.isRetryable)
      assert.isFalse(unavailable.mayHaveBeenApplied)
      assert.include(unavailable.message, "THREE")
      const batch = yield* Effect.flip(
        session.batch([1, 2].map((n) => ({ cql: insert, params: [freshKey(), n, "x"] })), { consistency: "THREE" })
      )
      assert.isTrue(batch.mayHaveBeenApplied)
    }))

  it.effect("spans: kind, name, attributes, errors; none with trace: false", () =>
    Effect.gen(function*() {
      const session = yield* Session
      const key = freshKey()
      const { spans } = yield* recordSpans(Effect.gen(function*() {
        yield* session.query(insert, [key, 1, "secret value"], { consistency: "ONE", idempotent: true })
        yield* session.query(`SELECT n FROM rows_by_key WHERE key = '${key}'`)
        yield* session.batch([{ cql: insert, params: [key, 2, "b"] }, { cql: insert, params: [key, 3, "b"] }])
        yield* Effect.flip(session.query("SELECT * FROM no_such_table"))
        yield* session.prepare("DELETE FROM rows_by_key WHERE key = ?")
        yield* session.batch([{ cql: insert, params: [key, 4, "b"] }], { trace: false })
      }))
      assert.deepStrictEqual(spans.map(({ kind, name }) => `${kind} ${name}`), [
        "client INSERT rows_by_key",
        "client SELECT rows_by_key",
        "client BATCH INSERT rows_by_key",
        "client SELECT no_such_table",
        "client PREPARE rows_by_key"
      ])
      assert.deepStrictEqual(Object.fromEntries(spans[0]!.attributes), {
        "db.system.name": "cassandra",
        "db.namespace": keyspace,
        "db.operation.name": "INSERT",
        "db.collection.name": "rows_by_key",
        "db.query.summary": "INSERT rows_by_key",
        "db.query.text": insert,
        "db.response.returned_rows": 0,
        "server.address": serverHost,
        "server.port": serverPort,
        "network.peer.address": serverHost,
        "network.peer.port": serverPort,
        "cassandra.consistency.level": "one",
        "cassandra.query.idempotent": true
      })
      const attribute = (index: number, name: string) => spans[index]!.attributes.get(name)
      assert.strictEqual(attribute(1, "db.query.text"), "SELECT n FROM rows_by_key WHERE key = ?")
      assert.strictEqual(attribute(1, "db.response.returned_rows"), 1)
      assert.strictEqual(attribute(1, "cassandra.consistency.level"), "local_quorum")
      assert.strictEqual(attribute(2, "db.operation.batch.size"), 2)
      assert.strictEqual(attribute(3, "error.type"), "InvalidQuery")
      assert.strictEqual(attribute(3, "db.response.status_code"), String(0x2200))
      assert.strictEqual(spans[3]!.status._tag, "Ended")
    }))

  it.effect("a second session under a tag of its own, and a client of one's own", () =>
    Effect.gen(function*() {
      class CheckpointSession extends Context.Service<CheckpointSession, CassandraSession.Session>()(
        "test/CheckpointSession"
      ) {}
      const rows = yield* CheckpointSession.use((session) => session.query("SELECT key FROM system.local")).pipe(
        Effect.provide(Layer.effect(CheckpointSession, CassandraSession.make(real)))
      )
      assert.strictEqual(rows.length, 1)

      const options = {
        contactPoints: [...real.contactPoints],
        localDataCenter: process.env["CASSANDRA_LOCAL_DC"] ?? "datacenter1",
        keyspace
      }
      const lossy = new Client(options)
      const refused = yield* Effect.flip(Effect.scoped(CassandraSession.fromClient(lossy)))
      assert.strictEqual(refused.reason._tag, "Config")
      const client = new Client({ ...options, encoding: { useBigIntAsLong: true, useBigIntAsVarint: true } })
      const own = yield* Effect.scoped(Effect.flatMap(
        CassandraSession.fromClient(client),
        (session) => session.query("SELECT key FROM system.local WHERE key = ?", ["local"])
      ))
      assert.strictEqual(own.length, 1)
      yield* Effect.promise(() => client.execute("SELECT key FROM system.local"))
      yield* Effect.promise(() => client.shutdown())
    }))

  it.effect("layerConfig", () =>
    Effect.gen(function*() {
      const session = CassandraSession.layerConfig(CassandraConfig.config)
      const provider = ConfigProvider.fromEnv({
        env: { CASSANDRA_CONTACT_POINTS: real.contactPoints[0]!, CASSANDRA_KEYSPACE: keyspace }
      })
      const named = yield* Session.useSync((s) => s.keyspace).pipe(
        Effect.provide(session, { local: true }),
        Effect.provideService(ConfigProvider.ConfigProvider, provider)
      )
      assert.strictEqual(named, keyspace)
    }))
})

describe("opening a session", () => {
  it.live("a dead host: at once, with address and way out, without the password", () =>
    Effect.gen(function*() {
      const { exit, millis } = yield* elapsed(Effect.scoped(CassandraSession.make({
        contactPoints: ["127.0.0.1:1"],
        username: "me",
        password: Redacted.make("hunter2")
      })))
      const error = errorOf(exit)
      assert.isBelow(millis, 2000)
      assert.strictEqual(error.reason._tag, "Connection")
      assert.isTrue(error.isRetryable)
      assert.isFalse(error.mayHaveBeenApplied)
      assert.include(error.message, "No Cassandra node answered at 127.0.0.1:1 (ECONNREFUSED). Is it running")
      assert.notInclude(inspect(error, { depth: 20 }) + JSON.stringify(error), "hunter2")
    }))

  it.live("a host that accepts and says nothing: connectTimeout", () =>
    Effect.gen(function*() {
      const silent = yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const server = Net.createServer((socket) => socket.on("error", () => {}).resume())
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = silent.address() as Net.AddressInfo
      const { exit, millis } = yield* elapsed(Effect.scoped(CassandraSession.make({
        contactPoints: [`127.0.0.1:${port}`],
        connectTimeout: "1 second",
        requestTimeout: "3 seconds"
      })))
      assert.isAtLeast(millis, 950)
      assert.isBelow(millis, 2000)
      assert.include(errorOf(exit).message, `127.0.0.1:${port} within 1000 ms`)
    }))

  it.live("a data centre the cluster does not have: the real ones are listed", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(CassandraSession.make({ ...real, localDataCenter: "dc1" })))
      assert.strictEqual(error.reason._tag, "WrongDataCenter")
      if (error.reason._tag !== "WrongDataCenter") return
      assert.strictEqual(error.reason.asked, "dc1")
      assert.isAbove(error.reason.found.length, 0)
      assert.include(
        error.message,
        `Data centre 'dc1' does not exist at ${serverHost}:${serverPort}; it has: ${error.reason.found[0]}`
      )
    }))

  it.live("a keyspace the cluster does not have", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(CassandraSession.make({ ...real, keyspace: "no_such_keyspace" })))
      assert.strictEqual(error.reason._tag, "InvalidQuery")
      assert.include(error.message, "no_such_keyspace")
    }))

  it.live("options that make no sense", () =>
    Effect.gen(function*() {
      for (const options of [{ requestTimeout: 0 }, { connectTimeout: "Infinity" as const }, { username: "me" }]) {
        const error = yield* Effect.flip(Effect.scoped(CassandraSession.make({ ...real, ...options })))
        assert.strictEqual(error.reason._tag, "Config")
      }
    }))
})

describe("a session under stress", () => {
  it.live("a request nobody answers is a ClientTimeout", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy
      const session = yield* CassandraSession.make({ ...real, contactPoints: [proxy.address], drainTimeout: 0 })
      yield* session.query(insert, [freshKey(), 1, "x"])
      proxy.freeze()
      const { exit, millis } = yield* elapsed(session.query(insert, [freshKey(), 1, "x"], { timeout: "200 millis" }))
      const error = errorOf(exit)
      assert.strictEqual(error.reason._tag, "ClientTimeout")
      assert.isTrue(error.mayHaveBeenApplied)
      assert.include(error.message, proxy.address)
      assert.isBelow(millis, 2000)
    }))

  it.live("a connection lost under way may have done it", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy
      const session = yield* CassandraSession.make({ ...real, contactPoints: [proxy.address] })
      yield* session.query(insert, [freshKey(), 1, "x"])
      proxy.freeze()
      const fiber = yield* Effect.forkChild(Effect.flip(session.query(insert, [freshKey(), 1, "x"])))
      yield* Effect.sleep("100 millis")
      proxy.cut()
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.reason._tag, "Connection")
      assert.isTrue(error.mayHaveBeenApplied)
    }))

  it.live("closing waits for what is in flight, and takes nothing new", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy
      const scope = yield* Scope.make()
      const session = yield* CassandraSession.make({ ...real, contactPoints: [proxy.address] }).pipe(
        Scope.provide(scope)
      )
      const key = freshKey()
      yield* session.prepare(insert)
      proxy.freeze()
      const requests = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 200 }, (_, n) => n), (n) =>
          Effect.exit(session.query(insert, [key, n, "x"])), {
          concurrency: "unbounded"
        })
      )
      yield* Effect.sleep("100 millis")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* Effect.sleep("100 millis")
      assert.isUndefined(closing.pollUnsafe())
      const late = yield* Effect.flip(session.query(insert, [key, 1001, "x"]))
      assert.strictEqual(late.reason._tag, "SessionClosed")
      assert.isFalse(late.mayHaveBeenApplied)
      proxy.thaw()
      yield* Fiber.join(closing)
      const exits = yield* Fiber.join(requests)
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 200)
      const other = yield* CassandraSession.make(real)
      const rows = yield* other.query("SELECT n FROM rows_by_key WHERE key = ?", [key])
      assert.deepStrictEqual(
        rows.map(({ n }) =>
          n
        ),
        Array.from({ length: 200 }, (_, n) => n)
      )
    }))

  it.live("an interrupted request returns at once, but closing waits for it", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy
      const scope = yield* Scope.make()
      const session = yield* CassandraSession.make({ ...real, contactPoints: [proxy.address] }).pipe(
        Scope.provide(scope)
      )
      yield* session.prepare(insert)
      proxy.freeze()
      const request = yield* Effect.forkChild(session.query(insert, [freshKey(), 1, "x"]))
      yield* Effect.sleep("50 millis")
      const { millis } = yield* elapsed(Fiber.interrupt(request))
      assert.isBelow(millis, 100)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* Effect.sleep("100 millis")
      assert.isUndefined(closing.pollUnsafe())
      proxy.thaw()
      yield* Fiber.join(closing)
    }))

  it.live("closing gives up after drainTimeout, and leaves no connection", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy
      const scope = yield* Scope.make()
      const session = yield* CassandraSession.make({
        ...real,
        contactPoints: [proxy.address],
        drainTimeout: "300 millis"
      }).pipe(Scope.provide(scope))
      yield* session.prepare(insert)
      proxy.freeze()
      const request = yield* Effect.forkChild(Effect.exit(session.query(insert, [freshKey(), 1, "x"])))
      yield* Effect.sleep("50 millis")
      const { millis } = yield* elapsed(Scope.close(scope, Exit.void))
      assert.isAtLeast(millis, 290)
      assert.isBelow(millis, 2000)
      assert.strictEqual(errorOf(yield* Fiber.join(request)).reason._tag, "Connection")
      yield* Effect.sleep("100 millis")
      assert.strictEqual(proxy.connections(), 0)
    }))
})
