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
import * as RequestGate from "./RequestGate.ts"
import { RowRefused, SendFailed } from "./SinkError.ts"
import * as Metrics from "./SinkMetrics.ts"
import type { SinkStatement } from "./SinkStatement.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface BatchWriterOptions {
  /** Requests under way at once, over all subtasks: at most so many, fewer while Cassandra is slow or fails. Default 64. */
  readonly requestsInFlightMax?: number | undefined
  /**
   * Requests that are sent together, in one write to the network. Default 8, and no more than an eighth of
   * `requestsInFlightMax`.
   */
  readonly burstMax?: number | undefined
  /** How a request is repeated while the error says that this may help. Default `Retry.standard`: five minutes. */
  readonly sendRetry?: Schedule.Schedule<unknown, { readonly isRetryable: boolean }> | undefined
  readonly batchBounds?: BatchBounds | undefined
}

/**
 * Where rows come from, for messages.
 *
 * @category models
 * @since 0.1.0
 */
export interface RowsOrigin {
  readonly locate: (place: number) => Located
  readonly checkpointId: number
}

/**
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
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  statement: SinkStatement,
  options: BatchWriterOptions = {}
): Effect.fn.Return<BatchWriter, never, CassandraSession> {
  const session = yield* CassandraSession
  const requestsInFlightMax = Math.max(1, options.requestsInFlightMax ?? 64)
  const limit = AdaptiveLimit.make(requestsInFlightMax)
  const gate = RequestGate.make(() => limit.value)
  // Few enough that several bursts are under way: one is prepared while others are answered.
  const burstMax = Math.max(1, options.burstMax ?? Math.min(8, requestsInFlightMax >> 3))
  const clock = yield* Clock.Clock
  const sendRetry = options.sendRetry ?? Retry.standard
  yield* Metric.update(Metrics.requestsLimit, limit.value)
  const { cql, timestampIndex } = statement
  const valueCount = statement.params.length
  const outage = OutageLog.make("sending rows")

  const tellLimit = Effect.suspend(() => Metric.update(Metrics.requestsLimit, limit.value))

  /** Sends requests together; gives for each null or why it failed. */
  const attempt = (
    requests: ReadonlyArray<ReadonlyArray<LoggedRow>>
  ): Effect.Effect<ReadonlyArray<CassandraError | null>> =>
    Effect.suspend(() => {
      const startedAt = clock.monotonicTimeNanosUnsafe()
      const batches = requests.map((rows) => ({ cql, timestampIndex, valueCount, rows }))
      return Effect.flatMap(session.batchesEncoded(batches), (failures) => {
        const now = clock.monotonicTimeNanosUnsafe()
        const isGood = failures.every((failure) => failure === null || !failure.isRetryable)
        const changed = isGood ? limit.succeeded(startedAt, now, requests.length) : limit.failed(startedAt, now)
        return changed ? Effect.as(tellLimit, failures) : Effect.succeed(failures)
      })
    })

  const attemptOne = (rows: ReadonlyArray<LoggedRow>): Effect.Effect<void, CassandraError> =>
    Effect.flatMap(attempt([rows]), ([failure]) => failure ? Effect.fail(failure) : Effect.void)

  const write = (
    origin: RowsOrigin,
    rows: ReadonlyArray<LoggedRow>
  ): Effect.Effect<void, CassandraError | RowRefused | SendFailed> =>
    Effect.catch(attemptOne(rows), (error) => writeAgain(origin, rows, error))

  // The way of most requests is short: what there is for a failure is only built for one.
  const writeAll = (
    origin: RowsOrigin,
    requests: ReadonlyArray<ReadonlyArray<LoggedRow>>
  ): Effect.Effect<void, CassandraError | RowRefused | SendFailed> =>
    Effect.flatMap(attempt(requests), (failures) => {
      const failed = failures.flatMap((error, i) => error === null ? [] : [{ error, rows: requests[i]! }])
      return failed.length === 0
        ? Effect.void
        : Effect.forEach(failed, ({ error, rows }) => writeAgain(origin, rows, error), {
          concurrency: "unbounded",
          discard: true
        })
    })

  /** The requests of a burst, as many at once as may be. */
  const writeBurst = (
    origin: RowsOrigin,
    burst: Burst
  ): Effect.Effect<number, CassandraError | RowRefused | SendFailed> => {
    const { requests, rows } = burst
    let next = 0
    const rest: Effect.Effect<number, CassandraError | RowRefused | SendFailed> = Effect.suspend(() =>
      next === requests.length
        ? Effect.succeed(rows)
        : Effect.andThen(
          gate.pass(requests.length - next, (count) => writeAll(origin, requests.slice(next, next += count))),
          rest
        )
    )
    return rest
  }

  const writeAgain = (
    origin: RowsOrigin,
    rows: ReadonlyArray<LoggedRow>,
    first: CassandraError
  ): Effect.Effect<void, CassandraError | RowRefused | SendFailed> => {
    let isFirst = true
    return Effect.suspend(() => {
      if (!isFirst) return attemptOne(rows)
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
          const bursts = burstsOf(plan(rows, statement.partitionKeys, options.batchBounds), burstMax)
          return bursts as [Burst, ...Array<Burst>]
        }),
        Stream.mapEffect((burst) => writeBurst(origin, burst), {
          concurrency: Math.ceil(requestsInFlightMax / burstMax) + 1,
          unordered: true
        }),
        Stream.runForEachArray((counts) => {
          let rows = 0
          for (const count of counts) rows += count
          return Metric.update(Metrics.rowsSent, rows)
        })
      )
  }
})

/** Requests that are sent together. */
interface Burst {
  readonly requests: Array<ReadonlyArray<LoggedRow>>
  rows: number
}

const burstsOf = (requests: ReadonlyArray<Request>, burstMax: number): Array<Burst> => {
  const bursts: Array<Burst> = []
  let last: Burst | null = null
  for (const { rows } of requests) {
    if (last === null || last.requests.length >= burstMax) {
      last = { requests: [], rows: 0 }
      bursts.push(last)
    }
    last.requests.push(rows)
    last.rows += rows.length
  }
  return bursts
}
