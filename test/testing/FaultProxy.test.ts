import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schedule, Scope } from "effect"
import * as Net from "node:net"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import * as CassandraServer from "../../src/testing/CassandraServer.ts"
import * as FaultProxy from "../../src/testing/FaultProxy.ts"

/** Sends back what it gets, and keeps all of it. */
const echo = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const received: Array<Buffer> = []
      const sockets = new Set<Net.Socket>()
      const server = Net.createServer((socket) => {
        sockets.add(socket)
        socket.on("close", () => sockets.delete(socket))
        socket.on("error", () => {})
        socket.on("data", (bytes: Buffer) => {
          received.push(bytes)
          socket.write(bytes)
        })
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      return { server, sockets, received }
    }),
    ({ server, sockets }) =>
      Effect.sync(() => {
        server.close()
        for (const socket of sockets) socket.destroy()
      })
  ),
  ({ received, server, sockets }) => ({
    target: `127.0.0.1:${(server.address() as Net.AddressInfo).port}`,
    sockets,
    received: () => Buffer.concat(received).toString()
  })
)

interface Connected {
  readonly socket: Net.Socket
  readonly text: () => string
  readonly closed: () => string | null
}

const connect = (proxy: FaultProxy.FaultProxy): Effect.Effect<Connected, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Connected, Error>((resume) => {
      const socket = Net.connect(proxy.port, proxy.host)
      let text = ""
      let closed: string | null = null
      socket.on("data", (bytes: Buffer) => text += bytes)
      socket.on("error", (error: NodeJS.ErrnoException) => {
        closed = error.code ?? error.message
        resume(Effect.fail(error))
      })
      socket.on("close", () => closed ??= "end")
      socket.on("connect", () => resume(Effect.succeed({ socket, text: () => text, closed: () => closed })))
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const until = (what: string, condition: () => boolean) =>
  Effect.gen(function*() {
    for (let i = 0; !condition(); i++) {
      assert.isBelow(i, 500, what)
      yield* Effect.sleep(10)
    }
  })

const scene = Effect.gen(function*() {
  const server = yield* echo
  const proxy = yield* FaultProxy.make({ target: server.target })
  return { server, proxy }
})

const millisOf = (effect: Effect.Effect<void>) =>
  Effect.suspend(() => {
    const startedAt = performance.now()
    return Effect.map(effect, () => performance.now() - startedAt)
  })

describe("FaultProxy", () => {
  it.live("passes everything on, in order, and counts it", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* scene
      const client = yield* connect(proxy)
      const text = Array.from({ length: 100_000 }, (_, i) => `${i},`).join("")
      client.socket.write(text)
      yield* until("all is back", () => client.text().length === text.length)
      assert.strictEqual(client.text(), text)
      assert.strictEqual(server.received(), text)
      const stats = yield* proxy.stats
      assert.deepStrictEqual(stats, {
        connections: 1,
        bytesFromClients: text.length,
        bytesFromServer: text.length
      })
      client.socket.end()
      yield* until("the end is passed on", () => server.sockets.size === 0 && client.closed() === "end")
      assert.strictEqual((yield* proxy.stats).connections, 0)
    }))

  it.live("latency: later, in both directions", () =>
    Effect.gen(function*() {
      const { proxy } = yield* scene
      const client = yield* connect(proxy)
      yield* proxy.set({ latencyMillis: 150 })
      client.socket.write("ping")
      assert.isAbove(yield* millisOf(until("it is back", () => client.text() === "ping")), 290)
      client.socket.write("pong")
      yield* proxy.heal
      assert.isBelow(yield* millisOf(until("it is back", () => client.text() === "pingpong")), 140)
    }))

  it.live("throttle: so many bytes a second", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* scene
      yield* proxy.set({ bytesPerSecond: 20_000 })
      const client = yield* connect(proxy)
      client.socket.write("x".repeat(10_000))
      assert.isAbove(yield* millisOf(until("it is there", () => server.received().length === 10_000)), 400)
    }))

  it.live("reset: every connection at once", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* scene
      const clients = [yield* connect(proxy), yield* connect(proxy)]
      yield* until("both are through", () => server.sockets.size === 2)
      assert.strictEqual(yield* proxy.reset, 2)
      yield* until(
        "both ends know",
        () => server.sockets.size === 0 && clients.every((c) => c.closed() === "ECONNRESET")
      )
      assert.strictEqual((yield* proxy.stats).connections, 0)
    }))

  it.live("refuse: no new connections, the open ones go on", () =>
    Effect.gen(function*() {
      const { proxy } = yield* scene
      const client = yield* connect(proxy)
      yield* proxy.set({ refuse: true })
      const error: NodeJS.ErrnoException = yield* Effect.flip(connect(proxy))
      assert.strictEqual(error.code, "ECONNREFUSED")
      client.socket.write("still")
      yield* until("it is back", () => client.text() === "still")
      yield* proxy.heal
      yield* connect(proxy)
    }))

  it.live("silent: accepts, and nothing arrives anywhere, until it is reset by the end of the fault", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* scene
      const old = yield* connect(proxy)
      yield* proxy.set({ silentAfter: 5 })
      old.socket.write("first")
      yield* until("the first bytes", () => server.received() === "first")
      old.socket.write("second")
      const young = yield* connect(proxy)
      young.socket.write("third")
      yield* Effect.sleep(100)
      assert.strictEqual(server.received(), "first")
      assert.strictEqual(young.text(), "")
      assert.isNull(old.closed())
      assert.isNull(young.closed())
      yield* proxy.heal
      yield* until("both know", () => old.closed() === "ECONNRESET" && young.closed() === "ECONNRESET")
      const healed = yield* connect(proxy)
      healed.socket.write("!")
      yield* until("it is back", () => healed.text() === "!")
    }))

  it.live("no replies: the server gets all, the client is not told", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* scene
      const client = yield* connect(proxy)
      yield* proxy.set({ noRepliesAfter: 3 })
      client.socket.write("one")
      yield* until("the first reply", () => client.text() === "one")
      client.socket.write("two")
      yield* until("the server has it", () => server.received() === "onetwo")
      yield* Effect.sleep(50)
      assert.strictEqual(client.text(), "one")
      yield* proxy.heal
      yield* until("it is reset", () => client.closed() === "ECONNRESET")
    }))

  it.live("a server that is not there: the connection is reset", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* scene
      const port = Number(server.target.split(":")[1])
      const dead = yield* FaultProxy.make({ target: `127.0.0.1:${port === 1 ? 2 : 1}` })
      const client = yield* connect(dead)
      yield* until("it is reset", () => client.closed() === "ECONNRESET")
      const taken = yield* Effect.flip(FaultProxy.make({ target: server.target, listen: proxy.address }))
      assert.include(taken.message, `The proxy can't listen at ${proxy.address}: listen EADDRINUSE`)
    }))

  it.live("everything is closed with the Scope", () =>
    Effect.gen(function*() {
      const server = yield* echo
      const scope = Scope.makeUnsafe()
      const proxy = yield* Scope.provide(FaultProxy.make({ target: server.target }), scope)
      const client = yield* connect(proxy)
      yield* until("it is through", () => server.sockets.size === 1)
      yield* Scope.close(scope, Exit.void)
      yield* until("both know", () => server.sockets.size === 0 && client.closed() !== null)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(connect(proxy))))
    }))

  it.live(
    "a session whose acknowledgement is lost: the row is in, and the error says that it may be",
    () =>
      Effect.gen(function*() {
        const server = yield* CassandraServer.make()
        const [proxy] = yield* FaultProxy.ofServer({ ...server, nodes: server.nodes.slice(0, 1) })
        const direct = yield* CassandraSession.make({ contactPoints: server.contactPoints })
        yield* direct.query(
          "CREATE KEYSPACE IF NOT EXISTS proxied WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        yield* direct.query("CREATE TABLE IF NOT EXISTS proxied.t (id int PRIMARY KEY, n int)")
        yield* direct.query("TRUNCATE proxied.t")
        const session = yield* CassandraSession.make({
          contactPoints: [proxy!.address],
          requestTimeout: "1 second",
          drainTimeout: 0
        })
        const insert = "INSERT INTO proxied.t (id, n) VALUES (?, 1)"
        yield* session.query(insert, [1])
        yield* proxy!.set({ noRepliesAfter: 0 })
        const error = yield* Effect.flip(session.query(insert, [2]))
        assert.strictEqual(error.reason._tag, "ClientTimeout")
        assert.isTrue(error.mayHaveBeenApplied)
        assert.lengthOf(yield* direct.query("SELECT id FROM proxied.t"), 2)
        yield* proxy!.heal
        yield* Effect.retry(session.query(insert, [3]), { times: 40, schedule: Schedule.spaced("250 millis") })
        yield* direct.query("DROP KEYSPACE proxied")
      }),
    60_000
  )
})
