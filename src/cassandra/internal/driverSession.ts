/**
 * The session over the driver's client.
 */
import type { Client, Host, QueryOptions as DriverOptions } from "cassandra-driver"
import type { types } from "cassandra-driver"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CassandraSessionOptions } from "../CassandraConfig.ts"
import { CassandraError, Config, Connection, fromCause, SessionClosed } from "../CassandraError.ts"
import type { BatchStatement, Params, PreparedStatement, QueryOptions, Row, Session } from "../CassandraSession.ts"
import { defaultConsistency, endpoints, makeClient, timeouts } from "./driverClient.ts"
import {
  byKind,
  emptyResult,
  hasMore,
  toClusterInfo,
  toColumn,
  toDriverOptions,
  toResult,
  toRows
} from "./driverData.ts"
import type { PreparedMeta } from "./driverInternals.ts"
import { replicaSetsOf } from "./driverReplicaSets.ts"
import { sendEncodedBatch } from "./encodedBatch.ts"
import { makeInFlight } from "./inFlight.ts"
import {
  areBound,
  arityError,
  bind,
  BindError,
  getPrepared,
  preparedMeta,
  toPreparedStatement
} from "./preparedStatement.ts"
import { makeObserve } from "./requestMetrics.ts"
import type { SpanContext } from "./requestSpan.ts"
import { makeSpanContext, summarize, withRequestSpan } from "./requestSpan.ts"

const shutdownMillis = 5000

interface SessionInfo {
  readonly describe: string
  readonly spans: SpanContext
  readonly measure: ReturnType<typeof makeObserve>
}

interface Connected {
  readonly session: Session
  /** Connects, and asks the node that answered for its version, within so many milliseconds. */
  readonly connect: (millis: number) => Effect.Effect<void, CassandraError>
  /** Takes no more requests and waits for those in flight, at most so many milliseconds. */
  readonly drain: (millis: number) => Effect.Effect<void>
  readonly shutdown: Effect.Effect<void>
}

/** @internal */
export const make: (
  options?: CassandraSessionOptions
) => Effect.Effect<Session, CassandraError, Scope.Scope> = Effect.fnUntraced(function*(options = {}) {
  const points = endpoints(options)
  const limits = yield* Effect.try({ try: () => timeouts(options), catch: invalidOptions })
  const client = yield* Effect.try({ try: () => makeClient(options), catch: invalidOptions })
  const { connect, drain, session, shutdown } = makeSession(client, {
    measure: makeObserve(yield* Clock.Clock, yield* Effect.context<never>()),
    describe: points.map(({ host, port }) => host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`).join(", "),
    spans: makeSpanContext({
      keyspace: options.keyspace ?? null,
      endpoint: points[0],
      consistency: options.consistency ?? defaultConsistency,
      attributes: options.spanAttributes
    })
  })
  yield* Effect.addFinalizer(() => Effect.andThen(drain(limits.drain), shutdown))
  yield* connect(limits.connect)
  return session
})

/** @internal */
export const fromClient: (
  client: Client,
  options?: Pick<CassandraSessionOptions, "connectTimeout" | "drainTimeout" | "spanAttributes">
) => Effect.Effect<Session, CassandraError, Scope.Scope> = Effect.fnUntraced(function*(client, options = {}) {
  const limits = yield* Effect.try({ try: () => timeouts(options), catch: invalidOptions })
  const { contactPoints, encoding } = (client as unknown as {
    readonly options: {
      readonly contactPoints?: ReadonlyArray<string>
      readonly encoding?: { readonly useBigIntAsLong?: boolean; readonly useBigIntAsVarint?: boolean }
    }
  }).options
  if (encoding?.useBigIntAsLong !== true || encoding.useBigIntAsVarint !== true) {
    return yield* invalidOptions(
      new TypeError("the client must be created with encoding: { useBigIntAsLong: true, useBigIntAsVarint: true }")
    )
  }
  const points = endpoints({ contactPoints })
  const { connect, drain, session } = makeSession(client, {
    measure: makeObserve(yield* Clock.Clock, yield* Effect.context<never>()),
    describe: points.map(({ host, port }) => `${host}:${port}`).join(", "),
    spans: makeSpanContext({
      keyspace: client.keyspace ?? null,
      endpoint: points[0],
      consistency: defaultConsistency,
      attributes: options.spanAttributes
    })
  })
  yield* Effect.addFinalizer(() => drain(limits.drain))
  yield* connect(limits.connect)
  return session
})

const invalidOptions = (cause: unknown): CassandraError =>
  new CassandraError({
    reason: new Config({
      cause,
      operation: "connect",
      message: `Invalid session options: ${cause instanceof Error ? cause.message : String(cause)}`
    })
  })

const makeSession = (client: Client, { describe, measure, spans }: SessionInfo): Connected => {
  const inFlight = makeInFlight<CassandraError>()

  const failure = (operation: string, request: Request) => (cause: unknown): CassandraError => {
    const unfit = cause instanceof TypeError ? misfit(client, cause, request) : undefined
    const writes = request.statements.map(({ cql }) => summarize(cql)).filter(({ verb }) => verb !== "SELECT")
    return fromCause(unfit ?? cause, operation, {
      place: describe,
      statement: request.statements.length === 1 ? request.statements[0]!.cql : undefined,
      encode: unfit?.encode,
      uncertain: writes.length > 1 || writes.some(({ conditional }) => conditional) ||
        (writes.length > 0 && request.options.isIdempotent === true)
    })
  }

  const closed = (operation: string) => (): CassandraError => {
    const message = `The session with ${describe} is closed: ${operation} was not sent.`
    return new CassandraError({ reason: new SessionClosed({ cause: message, operation, message }) })
  }

  const run = <A extends object>(
    operation: string,
    request: Request,
    send: () => Promise<A>,
    verb?: string
  ): Effect.Effect<A, CassandraError> => {
    const batch = operation === "batch"
    const observe = measure({ statements: request.statements, batch, verb })
    const effect = inFlight.run(send, failure(operation, request), closed(operation), observe)
    return request.trace
      ? withRequestSpan(spans, {
        statements: request.statements,
        prepared: request.options.prepare === true,
        batch,
        verb,
        consistency: request.consistency,
        pageSize: request.options.fetchSize,
        idempotent: request.options.isIdempotent === true
      }, effect)
      : effect
  }

  const single = (
    operation: string,
    cql: string,
    params: Params | undefined,
    options: QueryOptions | undefined,
    prepare: boolean,
    host?: Host
  ): Effect.Effect<types.ResultSet, CassandraError> =>
    Effect.suspend(() => {
      const driverOptions = toDriverOptions(options, prepare, summarize(cql).verb === "SELECT")
      if (host !== undefined) driverOptions.host = host
      const request: Request = {
        statements: [{ cql, params }],
        options: driverOptions,
        consistency: options?.consistency,
        trace: options?.trace !== false
      }
      return run(operation, request, () => {
        if (params === undefined || areBound(params)) {
          return client.execute(cql, params as Array<unknown> | undefined, driverOptions)
        }
        const meta = preparedMeta(client, cql)
        return meta === undefined
          ? getPrepared(client, cql).then((meta) => client.execute(cql, bind(meta, params), driverOptions))
          : client.execute(cql, bind(meta, params), driverOptions)
      })
    })

  const query: Session["query"] = (cql, params, options) => {
    const page = (
      pageState: string | undefined,
      before: ReadonlyArray<Row>
    ): Effect.Effect<ReadonlyArray<Row>, CassandraError> =>
      Effect.flatMap(single("query", cql, params, { ...options, pageState }, params !== undefined), (result) => {
        const rows = before.length === 0 ? toRows(result) : before.concat(toRows(result))
        return hasMore(result) ? page(result.pageState, rows) : Effect.succeed(rows)
      })
    return page(undefined, [])
  }

  const execute: Session["execute"] = (statement, params, options) => {
    const prepare = typeof statement !== "string" || params !== undefined
    const cql = typeof statement === "string" ? statement : statement.cql
    return Effect.map(single("execute", cql, params, options, prepare), toResult)
  }

  const stream: Session["stream"] = (cql, params, options) =>
    Stream.paginate(undefined as string | undefined, (pageState) =>
      Effect.map(
        single("stream", cql, params, { ...options, pageState }, params !== undefined),
        (result) => [toRows(result), hasMore(result) ? Option.some(result.pageState) : Option.none()] as const
      ))

  const prepare: Session["prepare"] = (cql) =>
    Effect.suspend(() => {
      const known = preparedMeta(client, cql)
      if (known !== undefined) return Effect.succeed(toPreparedStatement(cql, known))
      const request: Request = {
        statements: [{ cql, params: undefined }],
        options: { prepare: true },
        consistency: undefined,
        trace: true
      }
      return Effect.map(
        run("prepare", request, () => getPrepared(client, cql), "PREPARE"),
        (meta): PreparedStatement => toPreparedStatement(cql, meta)
      )
    })

  const batch: Session["batch"] = (statements, options) =>
    Effect.suspend(() => {
      if (statements.length === 0) return Effect.succeed(emptyResult)
      const driverOptions = toDriverOptions(options, true, false)
      driverOptions.logged = options?.logged === true
      const request: Request = {
        statements,
        options: driverOptions,
        consistency: options?.consistency,
        trace: options?.trace !== false
      }
      return Effect.map(run("batch", request, () => sendBatch(client, statements, driverOptions)), toResult)
    })

  const batchesEncoded: Session["batchesEncoded"] = (batches, options) =>
    Effect.suspend(() => {
      if (batches.length === 0) return Effect.succeed([])
      const driverOptions = toDriverOptions({ ...options, idempotent: true }, true, false)
      const statements = [{ cql: batches[0]!.cql, params: undefined }]
      return inFlight.runAll(
        batches.length,
        (index) =>
          batches[index]!.rows.length === 0
            ? Promise.resolve()
            : sendEncodedBatch(client, batches[index]!, driverOptions),
        failure("batch", { statements, options: driverOptions, consistency: options?.consistency, trace: false }),
        closed("batch"),
        measure({ statements, batch: true, verb: undefined })
      )
    })

  const table: Session["table"] = (keyspace, name) =>
    Effect.map(
      query(selectColumns, [keyspace, name], { idempotent: true }),
      (rows) => rows.length === 0 ? null : { keyspace, name, columns: rows.map(toColumn).toSorted(byKind) }
    )

  const clusterInfo: Session["clusterInfo"] = Effect.gen(function*() {
    const local = yield* single("clusterInfo", selectLocal, undefined, undefined, false)
    // both tables are one node's own view: asked of two nodes, one would be missing and another there twice
    const host = client.hosts.get(local.info.queriedHost)
    const peers = yield* single("clusterInfo", selectPeers, undefined, undefined, false, host).pipe(
      Effect.catchReason(
        "CassandraError",
        "InvalidQuery",
        () => single("clusterInfo", selectOldPeers, undefined, undefined, false, host)
      )
    )
    return toClusterInfo(local, peers)
  })

  let connecting: Promise<void> | undefined

  const connect = (millis: number): Effect.Effect<void, CassandraError> =>
    Effect.callback<void, CassandraError>((resume) => {
      const settled = () => {
        connecting = undefined
      }
      connecting = client.connect()
      connecting.then(settled, settled)
      connecting.then(() => client.execute(selectLocal)).then(
        () => resume(Effect.void),
        (cause) => resume(Effect.fail(fromCause(cause, "connect", { place: describe, plaintext: !usesTls(client) })))
      )
    }).pipe(Effect.timeoutOrElse({ duration: millis, orElse: () => Effect.fail(noAnswer(describe, millis)) }))

  const shutdown = Effect.callback<void>((resume) => {
    const done = () => resume(Effect.void)
    if (connecting === undefined) {
      client.shutdown().then(done, done)
    } else {
      // a client that is still connecting ignores shutdown: it is stopped as soon as it has connected after all
      connecting.then(() => client.shutdown()).catch(done)
      done()
    }
  }).pipe(
    Effect.timeoutOrElse({ duration: shutdownMillis, orElse: () => Effect.void }),
    Effect.interruptible
  )

  const drain = (millis: number): Effect.Effect<void> =>
    Effect.gen(function*() {
      const began = yield* Clock.currentTimeMillis
      const left = yield* inFlight.close(millis)
      if (left > 0) {
        const waited = (yield* Clock.currentTimeMillis) - began
        yield* Effect.logWarning(
          `Closing the session with ${describe}: ${left} request(s) had not been answered after ${waited} ms`
        )
      }
    })

  return {
    session: {
      describe,
      keyspace: client.keyspace ?? null,
      query,
      execute,
      stream,
      prepare,
      batch,
      batchesEncoded,
      replicaSets: replicaSetsOf(client),
      table,
      clusterInfo
    },
    connect,
    drain,
    shutdown
  }
}

interface Request {
  readonly statements: ReadonlyArray<{ readonly cql: string; readonly params: Params | undefined }>
  readonly options: DriverOptions
  readonly consistency: QueryOptions["consistency"]
  readonly trace: boolean
}

const selectLocal = "SELECT cluster_name, release_version, data_center, rack FROM system.local"
const selectPeers = "SELECT native_address, native_port, data_center, rack FROM system.peers_v2"
const selectOldPeers = "SELECT rpc_address AS native_address, data_center, rack FROM system.peers"
const selectColumns =
  "SELECT column_name, type, kind, position FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?"

const usesTls = (client: Client): boolean =>
  (client as unknown as { readonly options: { readonly sslOptions?: object } }).options.sslOptions != null

const noAnswer = (place: string, millis: number): CassandraError => {
  const message =
    `No Cassandra node answered at ${place} within ${millis} ms. Is it running, and are the address and ` +
    `port right? Use --contact-points / contactPoints (CASSANDRA_CONTACT_POINTS), or raise connectTimeout.`
  return new CassandraError({ reason: new Connection({ cause: message, operation: "connect", message }) })
}

/** The mistake behind a TypeError, if it is one of binding: what the driver says about a missing marker helps nobody. */
const misfit = (client: Client, error: TypeError, request: Request): BindError | undefined => {
  if (error instanceof BindError) return error
  for (const { cql, params } of request.statements) {
    const meta = preparedMeta(client, cql)
    const found = meta !== undefined && Array.isArray(params) ? arityError(meta, params) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

/** Statements whose values are all bytes go straight on; for others the metadata is looked up, or fetched first. */
const sendBatch = (
  client: Client,
  statements: ReadonlyArray<BatchStatement>,
  options: DriverOptions,
  fetched?: Map<string, PreparedMeta>
): Promise<types.ResultSet> => {
  const queries: Array<{ query: string; params: Array<unknown> }> = []
  for (const { cql, params } of statements) {
    if (areBound(params)) {
      queries.push({ query: cql, params: params as Array<unknown> })
      continue
    }
    const meta = fetched?.get(cql) ?? preparedMeta(client, cql)
    if (meta === undefined) {
      return getPrepared(client, cql).then((meta) =>
        sendBatch(client, statements, options, (fetched ?? new Map()).set(cql, meta))
      )
    }
    queries.push({ query: cql, params: bind(meta, params) })
  }
  return client.batch(queries, options)
}
