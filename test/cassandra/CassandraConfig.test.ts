import { assert, describe, it } from "@effect/vitest"
import type { policies } from "cassandra-driver"
import { types } from "cassandra-driver"
import { ConfigProvider, Duration, Effect, Redacted } from "effect"
import * as CassandraConfig from "../../src/cassandra/CassandraConfig.ts"
import { CallerDecides, endpoints, makeClient, timeouts } from "../../src/cassandra/internal/driverClient.ts"

const read = (env: Record<string, string>) =>
  CassandraConfig.config.pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
  )

const given = (options: object) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))

describe("CassandraConfig", () => {
  it.effect("needs nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(given(yield* read({})), {})
    }))

  it.effect("reads every variable", () =>
    Effect.gen(function*() {
      const options = yield* read({
        CASSANDRA_CONTACT_POINTS: "10.0.0.1, 10.0.0.2:9043,",
        CASSANDRA_PORT: "9044",
        CASSANDRA_LOCAL_DC: "dc1",
        CASSANDRA_KEYSPACE: "ks",
        CASSANDRA_USERNAME: "me",
        CASSANDRA_PASSWORD: "hunter2",
        CASSANDRA_CONSISTENCY: "QUORUM",
        CASSANDRA_SERIAL_CONSISTENCY: "LOCAL_SERIAL",
        CASSANDRA_REQUEST_TIMEOUT: "3 seconds",
        CASSANDRA_CONNECT_TIMEOUT: "2 seconds",
        CASSANDRA_DRAIN_TIMEOUT: "1 second",
        CASSANDRA_CONNECTIONS_PER_HOST: "2",
        CASSANDRA_MAX_REQUESTS_PER_CONNECTION: "1024",
        CASSANDRA_APPLICATION_NAME: "app",
        CASSANDRA_TLS_SERVERNAME: "db"
      })
      assert.strictEqual(Redacted.value(options.password!), "hunter2")
      assert.notInclude(JSON.stringify(options), "hunter2")
      assert.deepStrictEqual(given({ ...options, password: undefined, tls: given(options.tls!) }), {
        contactPoints: ["10.0.0.1", "10.0.0.2:9043"],
        port: 9044,
        localDataCenter: "dc1",
        keyspace: "ks",
        username: "me",
        consistency: "QUORUM",
        serialConsistency: "LOCAL_SERIAL",
        requestTimeout: Duration.seconds(3),
        connectTimeout: Duration.seconds(2),
        drainTimeout: Duration.seconds(1),
        connectionsPerHost: 2,
        maxRequestsPerConnection: 1024,
        applicationName: "app",
        tls: { servername: "db" }
      })
    }))

  it.effect("CASSANDRA_TLS decides, other TLS variables imply it", () =>
    Effect.gen(function*() {
      assert.isDefined((yield* read({ CASSANDRA_TLS: "true" })).tls)
      assert.isUndefined((yield* read({ CASSANDRA_TLS: "false", CASSANDRA_TLS_SERVERNAME: "db" })).tls)
    }))

  it.effect("refuses an unknown consistency by name", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(read({ CASSANDRA_CONSISTENCY: "SOME" }))
      assert.include(String(error), "CASSANDRA_CONSISTENCY")
    }))
})

describe("driver options", () => {
  const optionsOf = (client: unknown) =>
    (client as {
      options: {
        contactPoints: Array<string>
        sslOptions?: { rejectUnauthorized: boolean }
        queryOptions: { consistency: number; serialConsistency: number }
        socketOptions: { readTimeout: number; connectTimeout: number; keepAlive: boolean }
        pooling: {
          heartBeatInterval: number
          maxRequestsPerConnection: number
          coreConnectionsPerHost: { [distance: number]: number }
        }
        policies: { reconnection: { getOptions: () => Map<string, unknown> } }
        encoding: { useBigIntAsLong: boolean }
      }
    }).options
  type DriverOptions = ReturnType<typeof optionsOf>
  const connectionsOf = ({ pooling }: DriverOptions) => pooling.coreConnectionsPerHost[types.distance.local]
  /** The first delay, and the longest. */
  const reconnectionOf = (options: DriverOptions) => {
    const of = options.policies.reconnection.getOptions()
    return [of.get("baseDelay"), of.get("maxDelay")]
  }

  it("defaults", () => {
    const options = optionsOf(makeClient({}))
    assert.deepStrictEqual(options.contactPoints, ["127.0.0.1"])
    assert.deepStrictEqual([options.queryOptions.consistency, options.queryOptions.serialConsistency], [6, 8])
    assert.deepStrictEqual([options.socketOptions.readTimeout, options.socketOptions.connectTimeout], [12000, 5000])
    assert.deepStrictEqual([options.pooling.heartBeatInterval, options.pooling.maxRequestsPerConnection], [30000, 2048])
    assert.strictEqual(connectionsOf(options), 1)
    assert.deepStrictEqual(reconnectionOf(options), [1000, 10_000])
    assert.deepStrictEqual(timeouts({}), { request: 12000, connect: 5000, drain: 10000 })
  })

  it("how many connections there are, and how soon one that was lost is tried again", () => {
    const options = optionsOf(makeClient({
      connectionsPerHost: 3,
      reconnection: { initial: "50 millis", max: "2 seconds" }
    }))
    assert.strictEqual(connectionsOf(options), 3)
    assert.deepStrictEqual(reconnectionOf(options), [50, 2000])
    assert.throws(() => makeClient({ reconnection: { max: 0 } }), /reconnection\.max/)
  })

  it("TLS verifies the server unless told otherwise", () => {
    assert.isUndefined(optionsOf(makeClient({})).sslOptions)
    assert.isTrue(optionsOf(makeClient({ tls: {} })).sslOptions?.rejectUnauthorized)
    assert.isFalse(optionsOf(makeClient({ tls: { rejectUnauthorized: false } })).sslOptions?.rejectUnauthorized)
  })

  it("driverOptions have the last word, and leave their neighbours alone", () => {
    const options = optionsOf(makeClient({ driverOptions: { socketOptions: { readTimeout: 1 }, encoding: {} } }))
    assert.deepStrictEqual([options.socketOptions.readTimeout, options.socketOptions.connectTimeout], [1, 5000])
    assert.isTrue(options.encoding.useBigIntAsLong)
  })

  it("several contact points share connectTimeout", () => {
    const { socketOptions } = optionsOf(makeClient({ contactPoints: ["a", "b", "c"], connectTimeout: "3 seconds" }))
    assert.strictEqual(socketOptions.connectTimeout, 1000)
  })

  it("names the option that is wrong", () => {
    assert.throws(() => timeouts({ requestTimeout: 0 }), /requestTimeout/)
    assert.throws(() => timeouts({ connectTimeout: "Infinity" }), /connectTimeout/)
    assert.throws(() => timeouts({ drainTimeout: "Infinity" }), /drainTimeout/)
    assert.strictEqual(timeouts({ drainTimeout: 0 }).drain, 0)
    assert.throws(() => makeClient({ username: "me" }), /password/)
    assert.throws(() => makeClient({ password: Redacted.make("x") }), /username/)
  })

  it("contact points with and without ports", () => {
    assert.deepStrictEqual(endpoints({ contactPoints: ["a", "b:1", "[::1]:2", "::1"], port: 3 }), [
      { host: "a", port: 3 },
      { host: "b", port: 1 },
      { host: "::1", port: 2 },
      { host: "::1", port: 3 }
    ])
  })
})

describe("retries behind the caller's back", () => {
  // the numbers of the driver, which its types leave out
  const rethrow = 0
  const retry = 1
  const policy = new CallerDecides()
  const info = (idempotent: boolean) =>
    ({ query: "", nbRetry: 0, executionOptions: { isIdempotent: () => idempotent } }) as policies.retry.OperationInfo
  const lost = Object.assign(new Error("Socket was closed"), { isSocketError: true })

  it("only a lost connection moves an idempotent request on, to another node", () => {
    assert.strictEqual(policy.onRequestError(info(true), 6, lost).decision, retry)
    assert.isFalse((policy.onRequestError(info(true), 6, lost) as { useCurrentHost?: boolean }).useCurrentHost)
    assert.strictEqual(policy.onRequestError(info(false), 6, lost).decision, rethrow)
    assert.strictEqual(policy.onRequestError(info(true), 6, new Error("overloaded")).decision, rethrow)
  })

  it("the server's answers go to the caller", () => {
    assert.strictEqual(policy.onReadTimeout().decision, rethrow)
    assert.strictEqual(policy.onWriteTimeout().decision, rethrow)
    assert.strictEqual(policy.onUnavailable().decision, rethrow)
  })
})
