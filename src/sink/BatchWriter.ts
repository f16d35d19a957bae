/**
 * Sends logged rows to Cassandra, a bounded number of requests at once, each retried on a schedule. A request that the
 * server will never accept is split until the row is found that it refuses.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import { CassandraSession } from "../cassandra/CassandraSession.ts"
import type { Located } from "../checkpoint/Element.ts"
import * as OutageLog from "../checkpoint/OutageLog.ts"
import * as Retry from "../checkpoint/Retry.ts"
import type { LoggedRow } from "../state/RowFrame.ts"
import * as AdaptiveLimit from "./AdaptiveLimit.ts"
import type { BatchBounds, Request } from "./BatchPlan.ts"
import { plan } from "./BatchPlan.ts"
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
  /** Requests under way at once, over all subtasks: at most so many, fewer while Cassandra is slow or fails. Default 64. */
  readonly requestsInFlightMax?: number | undefined
  /** How a request is repeated while the error says that this may help. Default `Retry.standard`: five minutes. */
  readonly sendRetry?: Schedule.Schedule<unknown, { readonly isRetryable: boolean }> | undefined
  /** How large a batch may become. Default `BatchPlan.defaultBounds`. */
  readonly batchBounds?: BatchBounds | undefined
}

/**
 * Where rows come from, for messages.
 *
 * @category models
 * @since 0.1.0
 */
export interface RowsOrigin {
  /** What the place of a row stands for. */
  readonly locate: (place: number) => Located
  readonly checkpointId: number
}

/**
 * Sends logged rows of one statement.
 *
 * @category models
 * @since 0.1.0
 */
export interface BatchWriter {
  /** Returns when every row was acknowledged at the session's consistency level. Interruptible between requests. */
  readonly send: <E>(
    origin: RowsOrigin,
    blocks: Stream.Stream<ReadonlyArray<LoggedRow>, E>
  ) => Effect.Effect<void, E | CassandraError | RowRefused | SendFailed>
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
  statement: SinkStatement,
  options: BatchWriterOptions = {}
): Effect.fn.Return<BatchWriter, never, CassandraSession> {
  const session = yield* CassandraSession
  const requestsInFlightMax = Math.max(1, options.requestsInFlightMax ?? 64)
  const permits = yield* Semaphore.make(requestsInFlightMax)
  const limit = AdaptiveLimit.make(requestsInFlightMax)
  const clock = yield* Clock.Clock
  const sendRetry = options.sendRetry ?? Retry.standard
  yield* Metric.update(Metrics.requestsLimit, limit.value)
  const { cql, timestampIndex } = statement
  const valueCount = statement.params.length
  const outage = OutageLog.make("sending rows")

  const resize = Effect.suspend(() =>
    Effect.andThen(permits.resize(limit.value), Metric.update(Metrics.requestsLimit, limit.value))
  )

  const attempt = (rows: ReadonlyArray<LoggedRow>): Effect.Effect<void, CassandraError> =>
    Effect.suspend(() => {
      const startedAt = clock.monotonicTimeNanosUnsafe()
      return Effect.matchEffect(session.batchEncoded({ cql, timestampIndex, valueCount, rows }), {
        onSuccess: () => limit.succeeded(startedAt, clock.monotonicTimeNanosUnsafe()) ? resize : Effect.void,
        onFailure: (error) =>
          error.isRetryable && limit.failed(startedAt, clock.monotonicTimeNanosUnsafe())
            ? Effect.andThen(resize, Effect.fail(error))
            : Effect.fail(error)
      })
    })

  // The way of most requests is short: what there is for a failure is only built for one.
  const write = (
    origin: RowsOrigin,
    rows: ReadonlyArray<LoggedRow>
  ): Effect.Effect<void, CassandraError | RowRefused | SendFailed> =>
    Effect.catch(attempt(rows), (error) => writeAgain(origin, rows, error))

  const writeAgain = (
    origin: RowsOrigin,
    rows: ReadonlyArray<LoggedRow>,
    first: CassandraError
  ): Effect.Effect<void, CassandraError | RowRefused | SendFailed> => {
    let isFirst = true
    return Effect.suspend(() => {
      if (!isFirst) return attempt(rows)
      isFirst = false
      return Effect.fail(first)
    }).pipe(
      Effect.tapError((error) =>
        error.isRetryable
          ? Effect.andThen(Metric.update(Metrics.sendRetries(error.reason._tag), 1), outage.failed(error.message))
          : Effect.void
      ),
      Effect.retry({ schedule: sendRetry, while: (error) => error.isRetryable }),
      Effect.tap(outage.succeeded),
      Effect.catch((error) => {
        if (error.isRetryable) {
          const { checkpointId } = origin
          return Effect.fail(new SendFailed({ checkpointId, detail: error.message, cause: error }))
        }
        if (!isAboutRows(error)) return Effect.fail(error)
        return rows.length > 1 ? split(origin, rows) : Effect.fail(refused(origin, rows[0]!, error))
      })
    )
  }

  const split = (
    origin: RowsOrigin,
    rows: ReadonlyArray<LoggedRow>
  ): Effect.Effect<void, CassandraError | RowRefused | SendFailed> => {
    const half = rows.length >> 1
    return Effect.gen(function*() {
      // Both halves are tried, so that everything but the refused row is in the table.
      const a = yield* Effect.result(write(origin, rows.slice(0, half)))
      const b = yield* Effect.result(write(origin, rows.slice(half)))
      if (a._tag === "Failure") return yield* a.failure
      if (b._tag === "Failure") return yield* b.failure
    })
  }

  const refused = (origin: RowsOrigin, row: LoggedRow, error: CassandraError) =>
    new RowRefused({
      ...origin.locate(row.place),
      checkpointId: origin.checkpointId,
      query: statement.query,
      detail: error.message
    })

  return {
    send: (origin, blocks) =>
      blocks.pipe(
        Stream.mapArray((arrays) => {
          // All that was read together is planned together: the more rows, the more of them share a partition.
          const rows = arrays.length === 1 ? arrays[0] : arrays.flat()
          return plan(rows, statement.partitionKeys, options.batchBounds) as [Request, ...Array<Request>]
        }),
        Stream.mapEffect(
          (request) => Effect.as(Semaphore.withPermits(permits, 1)(write(origin, request.rows)), request.rows.length),
          { concurrency: requestsInFlightMax, unordered: true }
        ),
        Stream.runForEachArray((counts) => {
          let rows = 0
          for (const count of counts) rows += count
          return Metric.update(Metrics.rowsSent, rows)
        })
      )
  }
})
