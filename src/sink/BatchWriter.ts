/**
 * Sends logged rows to Cassandra, a bounded number of requests at once, each retried on a schedule. A request that the
 * server will never accept is split until the row is found that it refuses.
 *
 * Whether a refusal is about the rows is asked of the schema: a table that is gone, or has other columns than the statement
 * was prepared for, would refuse them all, and ends the sink; a node that has not heard of a table which is there is asked
 * again.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import type { Session, TableInfo } from "../cassandra/CassandraSession.ts"
import { CassandraSession } from "../cassandra/CassandraSession.ts"
import * as SchemaLag from "../cassandra/SchemaLag.ts"
import type { Located } from "../checkpoint/Element.ts"
import * as OutageLog from "../checkpoint/OutageLog.ts"
import * as Retry from "../checkpoint/Retry.ts"
import type { LoggedRow } from "../state/RowFrame.ts"
import * as AdaptiveLimit from "./AdaptiveLimit.ts"
import type { BatchBounds } from "./BatchPlan.ts"
import * as BatchPlan from "./BatchPlan.ts"
import * as RequestGate from "./RequestGate.ts"
import type { RowBlock } from "./SendWindows.ts"
import { RowRefused, SendFailed } from "./SinkError.ts"
import * as Metrics from "./SinkMetrics.ts"
import type { SinkStatement } from "./SinkStatement.ts"

/**
 * How rows are sent: how many requests at once, how they are repeated, how large they are.
 *
 * @category models
 * @since 0.1.0
 */
export interface BatchWriterOptions {
  /** Requests under way at once, over all subtasks: at most so many, fewer while Cassandra is slow or fails. Default 256. */
  readonly requestsInFlightMax?: number | undefined
  /**
   * Requests that are sent together, in one write to the network. Default 32, and no more than an eighth of
   * `requestsInFlightMax`.
   */
  readonly burstMax?: number | undefined
  /** How a request is repeated while the error says that this may help. Default `Retry.standard`: five minutes. */
  readonly sendRetry?: Schedule.Schedule<unknown, { readonly isRetryable: boolean }> | undefined
  /** How large a batch may become. Default `BatchPlan.defaultBounds`. */
  readonly batchBounds?: BatchBounds | undefined
}

/**
 * Where rows come from, and where those go that Cassandra will never accept.
 *
 * @category models
 * @since 0.1.0
 */
export interface RowsOrigin<E = never> {
  /** What the place of a row stands for. */
  readonly locate: (place: number) => Located
  readonly checkpointId: number
  /** Takes a row that Cassandra will never accept, after so many requests. Default: it is a `RowRefused`. */
  readonly refused?: ((row: LoggedRow, error: CassandraError, attempts: number) => Effect.Effect<void, E>) | undefined
}

/**
 * Rows whose way into requests is planned, and how many of them are not yet acknowledged.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlannedRows {
  /** One for each statement. */
  readonly plans: ReadonlyArray<BatchPlan.BatchPlan>
  /** Counts down. */
  left: number
  /** Called at zero. */
  readonly release: (() => void) | undefined
}

/**
 * Sends logged rows, of one statement or several.
 *
 * @category models
 * @since 0.1.0
 */
export interface BatchWriter {
  /** In time, but not long before they are sent: it looks at which nodes have which rows now. */
  readonly plan: (block: RowBlock) => PlannedRows
  /** Returns when every row was acknowledged at the session's consistency level. Interruptible between requests. */
  readonly send: <E, E2 = never>(
    origin: RowsOrigin<E2>,
    rows: Stream.Stream<PlannedRows, E>
  ) => Effect.Effect<void, E | E2 | CassandraError | RowRefused | SendFailed>
}

interface Refusal {
  readonly error: CassandraError
  readonly isRetryable: boolean
  /** It is about the table, and with it about all rows. */
  readonly isOfAll: boolean
}

/** Refusals of other kinds (no permission, a closed session) would be the same for every part of a batch. */
const isAboutRows = ({ reason }: CassandraError): boolean => reason._tag === "InvalidQuery" || reason._tag === "Encode"

/**
 * A writer whose bound on requests in flight holds for all who use it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  statements: ReadonlyArray<SinkStatement>,
  options: BatchWriterOptions = {}
): Effect.fn.Return<BatchWriter, never, CassandraSession> {
  const session = yield* CassandraSession
  const requestsInFlightMax = Math.max(1, options.requestsInFlightMax ?? 256)
  const limit = AdaptiveLimit.make(requestsInFlightMax)
  const gate = RequestGate.make(() => limit.value)
  // Few enough that several bursts are under way: one is prepared while others are answered.
  const burstMax = Math.max(1, options.burstMax ?? Math.min(32, requestsInFlightMax >> 3))
  const clock = yield* Clock.Clock
  const sendRetry = options.sendRetry ?? Retry.standard
  yield* Metric.update(Metrics.requestsLimit, limit.value)
  const outgoing = yield* Effect.forEach(
    statements,
    Effect.fnUntraced(function*({ consistency, cql, params, query, table, timestampIndex }) {
      return {
        query,
        batch: { cql, timestampIndex, valueCount: params.length },
        options: consistency === undefined ? undefined : { consistency },
        isTableSame: yield* watchTable(session, table, sendRetry)
      }
    })
  )
  const only = outgoing.length === 1 ? outgoing[0]! : null
  const outgoingOf = (row: LoggedRow) => only ?? outgoing[row.statement]!
  const outage = OutageLog.make("sending rows")

  const tellLimit = Effect.suspend(() => Metric.update(Metrics.requestsLimit, limit.value))

  /** Sends requests together; gives for each null or why it failed. */
  const attempt = (
    requests: ReadonlyArray<ReadonlyArray<LoggedRow>>
  ): Effect.Effect<ReadonlyArray<CassandraError | null>> =>
    Effect.suspend(() => {
      const startedAt = clock.monotonicTimeNanosUnsafe()
      const { batch, options } = outgoingOf(requests[0]![0]!)
      const batches = requests.map((rows) => ({ ...batch, rows }))
      return Effect.flatMap(session.batchesEncoded(batches, options), (failures) => {
        const now = clock.monotonicTimeNanosUnsafe()
        const isGood = failures.every((failure) => failure === null || !failure.isRetryable)
        const changed = isGood ? limit.succeeded(startedAt, now, requests.length) : limit.failed(startedAt, now)
        return changed ? Effect.as(tellLimit, failures) : Effect.succeed(failures)
      })
    })

  const attemptOne = (rows: ReadonlyArray<LoggedRow>): Effect.Effect<void, CassandraError> =>
    Effect.flatMap(attempt([rows]), ([failure]) => failure ? Effect.fail(failure) : Effect.void)

  /** That a node has not heard of the table yet is no fault of the rows; that there is none is none either. */
  const judge = (row: LoggedRow) => (error: CassandraError): Effect.Effect<never, Refusal> => {
    // After a table was dropped, what was prepared for it is not known any more.
    if (!SchemaLag.isUnheardOf(error) && error.reason._tag !== "Unprepared") {
      return Effect.fail({ error, isRetryable: error.isRetryable, isOfAll: false })
    }
    return Effect.matchEffect(outgoingOf(row).isTableSame, {
      onFailure: (error) => Effect.fail({ error, isRetryable: error.isRetryable, isOfAll: true }),
      onSuccess: (isSame) => Effect.fail({ error, isRetryable: isSame, isOfAll: true })
    })
  }

  // The way of most requests is short: what there is for a failure is only built for one.
  const writeAll = <E>(
    origin: RowsOrigin<E>,
    requests: ReadonlyArray<ReadonlyArray<LoggedRow>>
  ): Effect.Effect<void, E | CassandraError | RowRefused | SendFailed> =>
    Effect.flatMap(attempt(requests), (failures) => {
      const failed = failures.flatMap((error, i) => error === null ? [] : [{ error, rows: requests[i]! }])
      return failed.length === 0
        ? Effect.void
        : Effect.forEach(failed, ({ error, rows }) => writeAgain(origin, rows, error, 0), {
          concurrency: "unbounded",
          discard: true
        })
    })

  /** The requests of a burst, as many at once as may be. */
  const writeBurst = <E>(
    origin: RowsOrigin<E>,
    burst: Burst
  ): Effect.Effect<Sent, E | CassandraError | RowRefused | SendFailed> => {
    const { of, requests, rows } = burst
    let next = 0
    const rest: Effect.Effect<Sent, E | CassandraError | RowRefused | SendFailed> = Effect.suspend(() => {
      if (next === requests.length) {
        const sent = sentOf(burst)
        of.left -= rows
        if (of.left === 0) of.release?.()
        return Effect.succeed(sent)
      }
      return Effect.andThen(
        gate.pass(requests.length - next, (count) => writeAll(origin, requests.slice(next, next += count))),
        rest
      )
    })
    return rest
  }

  const write = <E>(
    origin: RowsOrigin<E>,
    rows: ReadonlyArray<LoggedRow>,
    attempts: number
  ): Effect.Effect<void, E | CassandraError | RowRefused | SendFailed> =>
    Effect.catch(attemptOne(rows), (error) => writeAgain(origin, rows, error, attempts))

  const writeAgain = <E>(
    origin: RowsOrigin<E>,
    rows: ReadonlyArray<LoggedRow>,
    first: CassandraError,
    attemptsBefore: number
  ): Effect.Effect<void, E | CassandraError | RowRefused | SendFailed> => {
    let attempts = attemptsBefore
    return Effect.suspend(() => attempts++ === attemptsBefore ? Effect.fail(first) : attemptOne(rows)).pipe(
      Effect.catch(judge(rows[0]!)),
      Effect.tapError(({ error, isRetryable }) =>
        isRetryable
          ? Effect.andThen(Metric.update(Metrics.sendRetries(error.reason._tag), 1), outage.failed(error.message))
          : Effect.void
      ),
      Effect.retry({ schedule: sendRetry, while: ({ isRetryable }) => isRetryable }),
      Effect.tap(outage.succeeded),
      Effect.catch(({ error, isOfAll, isRetryable }) => {
        if (isRetryable) {
          const { checkpointId } = origin
          return Effect.fail(new SendFailed({ checkpointId, detail: error.message, cause: error }))
        }
        if (isOfAll || !isAboutRows(error)) return Effect.fail(error)
        return rows.length > 1 ? split(origin, rows, attempts) : refuse(origin, rows[0]!, error, attempts)
      })
    )
  }

  const split = <E>(
    origin: RowsOrigin<E>,
    rows: ReadonlyArray<LoggedRow>,
    attempts: number
  ): Effect.Effect<void, E | CassandraError | RowRefused | SendFailed> => {
    const half = rows.length >> 1
    return Effect.gen(function*() {
      // Both halves are tried, so that everything but the refused row is in the table.
      const a = yield* Effect.result(write(origin, rows.slice(0, half), attempts))
      const b = yield* Effect.result(write(origin, rows.slice(half), attempts))
      if (a._tag === "Failure") return yield* Effect.fail(a.failure)
      if (b._tag === "Failure") return yield* Effect.fail(b.failure)
    })
  }

  const refuse = <E>(
    { checkpointId, locate, refused }: RowsOrigin<E>,
    row: LoggedRow,
    error: CassandraError,
    attempts: number
  ): Effect.Effect<void, E | CassandraError | RowRefused> =>
    Effect.flatMap(outgoingOf(row).isTableSame, (isSame): Effect.Effect<void, E | CassandraError | RowRefused> => {
      // Every other row would be refused as well.
      if (!isSame) return Effect.fail(error)
      if (refused !== undefined) return refused(row, error, attempts)
      const { query } = outgoingOf(row)
      return Effect.fail(new RowRefused({ ...locate(row.place), checkpointId, query, detail: error.message }))
    })

  const planOf = (
    { manyCells, partitionKeys, table }: SinkStatement,
    rows: ReadonlyArray<LoggedRow>
  ): BatchPlan.BatchPlan =>
    BatchPlan.make(
      rows,
      partitionKeys,
      options.batchBounds,
      session.replicaSets?.(table.keyspace) ?? null,
      manyCells
    )

  return {
    plan: ({ release, rows }) => ({
      plans: only !== null
        ? [planOf(statements[0]!, rows)]
        : BatchPlan.byStatement(rows, statements.length).map((part, i) => planOf(statements[i]!, part)),
      left: rows.length,
      release
    }),
    send: (origin, rows) =>
      rows.pipe(
        // One at a time: a burst is put together when there is room for it.
        Stream.flatMap((planned) => Stream.fromIterable(bursts(planned, burstMax), { chunkSize: 1 })),
        Stream.mapEffect((burst) => writeBurst(origin, burst), {
          concurrency: Math.ceil(requestsInFlightMax / burstMax) + 1,
          unordered: true
        }),
        Stream.runForEachArray((all) => Effect.map(Effect.context<never>(), (context) => measure(all, context)))
      )
  }
})

/**
 * Whether the table is there, with the columns that it had when the statement was prepared. The node that is asked may
 * have heard of it late as well. Asked once for many rows.
 */
const watchTable = (
  session: Session,
  { columns, keyspace, name }: TableInfo,
  sendRetry: NonNullable<BatchWriterOptions["sendRetry"]>
): Effect.Effect<Effect.Effect<boolean, CassandraError>> =>
  Effect.map(session.table(keyspace, name), (table) => {
    const types = new Map(table?.columns.map((column) => [column.name, column.type]))
    return columns.every((column) => types.get(column.name) === column.type)
  }).pipe(
    Effect.repeat({
      schedule: Schedule.spaced("200 millis").pipe(Schedule.upTo({ duration: "20 seconds" })),
      until: (isSame) => isSame
    }),
    Effect.retry(sendRetry),
    Effect.cachedWithTTL("1 second")
  )

/** Requests that are sent together, all of one statement. */
interface Burst {
  readonly of: PlannedRows
  readonly requests: ReadonlyArray<ReadonlyArray<LoggedRow>>
  readonly rows: number
}

function* bursts(of: PlannedRows, burstMax: number): Generator<Burst> {
  if (of.left === 0) of.release?.()
  for (const plan of of.plans) {
    while (true) {
      const requests: Array<ReadonlyArray<LoggedRow>> = []
      let rows = 0
      while (requests.length < burstMax) {
        const request = plan.next()
        if (request === null) break
        requests.push(request.rows)
        rows += request.rows.length
      }
      if (requests.length === 0) break
      yield { of, requests, rows }
    }
  }
}

/** What is counted of a burst that was acknowledged. Its rows may not be looked at any more. */
interface Sent {
  readonly rowsOfRequests: ReadonlyArray<number>
  readonly bytes: number
}

const sentOf = ({ requests }: Burst): Sent => {
  let bytes = 0
  for (const rows of requests) for (const { from, to } of rows) bytes += to - from
  return { rowsOfRequests: requests.map((rows) => rows.length), bytes }
}

/** Without an Effect for each request. */
const measure = (all: ReadonlyArray<Sent>, context: Context.Context<never>): void => {
  let rows = 0
  let bytes = 0
  for (const sent of all) {
    bytes += sent.bytes
    for (const count of sent.rowsOfRequests) {
      rows += count
      Metrics.batchRows.updateUnsafe(count, context)
    }
  }
  Metrics.rowsSent.updateUnsafe(rows, context)
  Metrics.bytesSent.updateUnsafe(bytes, context)
}
