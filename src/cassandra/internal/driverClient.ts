/**
 * The driver's client as this project wants it: no hidden retries, values without loss, the data centre found out.
 */
import type { DseClientOptions, HostMap } from "cassandra-driver"
import { auth, Client, policies, types } from "cassandra-driver"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import type { ConnectionOptions } from "node:tls"
import { createSecureContext } from "node:tls"
import type { CassandraSessionOptions, Consistency } from "../CassandraConfig.ts"
import { encoding, readReplication } from "./driverInternals.ts"

/** @internal */
export const consistencyCodes: Record<Consistency, number> = {
  ANY: types.consistencies.any,
  ONE: types.consistencies.one,
  TWO: types.consistencies.two,
  THREE: types.consistencies.three,
  QUORUM: types.consistencies.quorum,
  ALL: types.consistencies.all,
  LOCAL_QUORUM: types.consistencies.localQuorum,
  EACH_QUORUM: types.consistencies.eachQuorum,
  SERIAL: types.consistencies.serial,
  LOCAL_SERIAL: types.consistencies.localSerial,
  LOCAL_ONE: types.consistencies.localOne
}

/** @internal */
export const defaultConsistency: Consistency = "LOCAL_QUORUM"

/**
 * Every failure goes to the caller, whose schedule decides. Only a lost connection moves an idempotent request on to
 * the next node (each at most once), and the driver itself repeats what it had not written to a socket yet.
 *
 * @internal
 */
export class CallerDecides extends policies.retry.RetryPolicy {
  override onReadTimeout() {
    return this.rethrowResult()
  }
  override onUnavailable() {
    return this.rethrowResult()
  }
  override onWriteTimeout() {
    return this.rethrowResult()
  }
  override onRequestError(
    info: policies.retry.OperationInfo,
    consistency: types.consistencies,
    error: Error
  ) {
    const lostConnection = "isSocketError" in error && error.isSocketError === true
    return lostConnection && info.executionOptions.isIdempotent()
      ? this.retryResult(consistency, false)
      : this.rethrowResult()
  }
}

/**
 * The driver's token-aware policy for one data centre; without a name, that of the node that answered first.
 *
 * @internal
 */
export class LocalDataCenter extends policies.loadBalancing.DefaultLoadBalancingPolicy {
  declare localDc: string | undefined
  override init(client: Client, hosts: HostMap, callback: (error: Error) => void): void {
    this.localDc ??= (client as unknown as { controlConnection: { host: { datacenter: string } } })
      .controlConnection.host.datacenter
    super.init(client, hosts, callback)
  }
}

/**
 * Contact points with their ports, as messages and spans name them.
 *
 * @internal
 */
export const endpoints = (options: CassandraSessionOptions): ReadonlyArray<{ host: string; port: number }> => {
  const defaultPort = options.port ?? 9042
  return contactPoints(options).map((point) => {
    const match = /^\[(.+)\](?::(\d+))?$/.exec(point) ?? /^([^:]+):(\d+)$/.exec(point)
    return match === null
      ? { host: point, port: defaultPort }
      : { host: match[1]!, port: match[2] === undefined ? defaultPort : Number(match[2]) }
  })
}

/** Nodes that are found later are looked for at the port that all contact points name, if they do. */
const portOfNodes = (options: CassandraSessionOptions): number => {
  if (options.port !== undefined) return options.port
  const [first = 9042, ...others] = new Set(endpoints(options).map(({ port }) => port))
  return others.length === 0 ? first : 9042
}

const contactPoints = (options: CassandraSessionOptions): ReadonlyArray<string> =>
  options.contactPoints === undefined || options.contactPoints.length === 0 ? ["127.0.0.1"] : options.contactPoints

const longestTimer = 2 ** 31 - 1

/** Milliseconds of an option that must be positive and finite: a timer of zero or Infinity would never, or at once, fire. */
const positiveMillis = (name: string, input: Duration.Input): number => {
  const millis = Duration.toMillis(input)
  if (!(millis >= 1 && millis <= longestTimer)) {
    throw new RangeError(`${name} must be between 1 millisecond and 24 days, it is ${String(input)}`)
  }
  return Math.ceil(millis)
}

/** @internal */
export interface Timeouts {
  readonly request: number
  readonly connect: number
  readonly drain: number
}

/**
 * The three limits in milliseconds. Throws a RangeError that names the option.
 *
 * @internal
 */
export const timeouts = (options: CassandraSessionOptions): Timeouts => {
  const drain = Duration.toMillis(options.drainTimeout ?? "10 seconds")
  return {
    request: positiveMillis("requestTimeout", options.requestTimeout ?? "12 seconds"),
    connect: positiveMillis("connectTimeout", options.connectTimeout ?? "5 seconds"),
    drain: drain <= 0 ? 0 : positiveMillis("drainTimeout", drain)
  }
}

/**
 * A client that is not connected yet. Throws where options contradict each other; the message names the option.
 *
 * @internal
 */
export const makeClient = (options: CassandraSessionOptions): Client =>
  readReplication(new Client(clientOptions(options)))

/** A file of another kind, or a wrong passphrase, is told here: Node ignores the one and calls the other a MAC failure. */
const checkedTls = (options: ConnectionOptions): ConnectionOptions => {
  for (const name of ["ca", "cert", "key"] as const) {
    for (const part of [options[name] ?? []].flat()) {
      if (typeof part === "string" || Buffer.isBuffer(part)) {
        if (!String(part).includes("-----BEGIN ")) throw new TypeError(`tls.${name} is no PEM text`)
      }
    }
  }
  try {
    createSecureContext(options)
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new TypeError(
      `the certificate and key of tls can't be read${
        /mac verify|bad decrypt|interrupted or cancelled/.test(text) ? ": is the passphrase right?" : ""
      } (${text})`,
      { cause }
    )
  }
  return options
}

const clientOptions = (options: CassandraSessionOptions): DseClientOptions => {
  const limits = timeouts(options)
  const points = contactPoints(options)
  const extra = options.driverOptions ?? {}
  const merged: DseClientOptions = {
    applicationName: options.applicationName ?? "effect-cassandra",
    monitorReporting: { enabled: false },
    ...extra,
    protocolOptions: { port: portOfNodes(options), ...extra.protocolOptions },
    socketOptions: {
      readTimeout: limits.request,
      // A burst of requests goes to the socket in one write: with the driver's 64 KiB it takes several, if its rows are large.
      coalescingThreshold: 256 * 1024,
      // all contact points are tried within connectTimeout, also when the first ones swallow packets
      connectTimeout: Math.max(500, Math.floor(limits.connect / points.length)),
      ...extra.socketOptions
    },
    pooling: {
      coreConnectionsPerHost: {
        [types.distance.local]: options.connectionsPerHost ?? 1,
        [types.distance.remote]: 1,
        [types.distance.ignored]: 0
      },
      maxRequestsPerConnection: options.maxRequestsPerConnection ?? 2048,
      ...extra.pooling
    },
    policies: {
      loadBalancing: new LocalDataCenter(
        options.localDataCenter === undefined ? {} : { localDc: options.localDataCenter }
      ),
      reconnection: new policies.reconnection.ExponentialReconnectionPolicy(
        positiveMillis("reconnection.initial", options.reconnection?.initial ?? "1 second"),
        positiveMillis("reconnection.max", options.reconnection?.max ?? "10 seconds")
      ),
      retry: new CallerDecides(),
      ...extra.policies
    },
    queryOptions: {
      consistency: consistencyCodes[options.consistency ?? defaultConsistency],
      serialConsistency: consistencyCodes[options.serialConsistency ?? "SERIAL"],
      captureStackTrace: false,
      ...extra.queryOptions
    },
    encoding: { ...encoding, ...extra.encoding }
  }
  if (extra.cloud === undefined) {
    merged.contactPoints ??= [...points]
  }
  if (options.keyspace !== undefined) merged.keyspace = options.keyspace
  if (options.tls !== undefined) {
    const { ca, cert, key, passphrase, pfx, rejectUnauthorized, servername } = options.tls
    merged.sslOptions = checkedTls({
      rejectUnauthorized: rejectUnauthorized ?? true,
      ...(ca === undefined ? undefined : { ca: ca as string | Buffer | Array<string | Buffer> }),
      ...(cert === undefined ? undefined : { cert }),
      ...(key === undefined ? undefined : { key: Redacted.value(key) }),
      ...(pfx === undefined ? undefined : { pfx: Redacted.value(pfx) }),
      ...(passphrase === undefined ? undefined : { passphrase: Redacted.value(passphrase) }),
      ...(servername === undefined ? undefined : { servername }),
      ...extra.sslOptions
    })
  }
  if (extra.authProvider === undefined && (options.username !== undefined || options.password !== undefined)) {
    if (options.username === undefined || options.password === undefined) {
      throw new TypeError("username and password are given both or not at all")
    }
    merged.authProvider = new auth.PlainTextAuthProvider(options.username, Redacted.value(options.password))
  }
  return merged
}
