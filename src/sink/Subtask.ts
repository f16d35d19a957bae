/**
 * One subtask of the write-ahead sink: it logs what comes, seals at each barrier, and beside that sends what is complete.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import type { CommitterError } from "../checkpoint/CheckpointCommitter.ts"
import { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import type { CoordinatorError } from "../checkpoint/CheckpointCoordinator.ts"
import { CheckpointCoordinator } from "../checkpoint/CheckpointCoordinator.ts"
import { countFenced } from "../checkpoint/CheckpointMetrics.ts"
import type { Barrier, Located } from "../checkpoint/Element.ts"
import type { SegmentHandle } from "../checkpoint/Manifest.ts"
import type { Position } from "../checkpoint/Position.ts"
import type { EncodedRows } from "../state/RowFrame.ts"
import * as RowFrame from "../state/RowFrame.ts"
import * as SegmentRows from "../state/SegmentRows.ts"
import type { SegmentWriter } from "../state/StateBackend.ts"
import { StateBackend } from "../state/StateBackend.ts"
import type { WalError } from "../state/WalError.ts"
import type { WireBuffer } from "../wire/WireBuffer.ts"
import type { BatchWriter } from "./BatchWriter.ts"
import type { DeadLetterError, TooManyBadRecords } from "./DeadLetters.ts"
import * as LoggedStatements from "./LoggedStatements.ts"
import type { PendingCheckpoint } from "./PendingCheckpoints.ts"
import * as PendingCheckpoints from "./PendingCheckpoints.ts"
import type { RowBlock } from "./SendWindows.ts"
import * as SendWindows from "./SendWindows.ts"
import type { SegmentLetters } from "./SetAside.ts"
import * as SetAside from "./SetAside.ts"
import type { RowRefused, SendFailed } from "./SinkError.ts"
import { SinkMisuse } from "./SinkError.ts"
import * as Metrics from "./SinkMetrics.ts"
import type { SinkStatement } from "./SinkStatement.ts"
import type { StatementRoutes } from "./StatementRoutes.ts"

/**
 * A checkpoint of one subtask whose rows are in the table and in the ledger.
 *
 * @category models
 * @since 0.1.0
 */
export interface CommittedCheckpoint {
  readonly subtask: number
  readonly checkpointId: number
  /** Those that went to the dead letters are not among them, unless it is `skipped`. */
  readonly rows: number
  /** Everything up to here may be acknowledged to the source; null for a checkpoint of an earlier run. */
  readonly position: Position | null
  /** It was complete when this run started, and its rows were sent, maybe again. */
  readonly replayed: boolean
  /** It was complete when this run started, and the ledger said that it was in: nothing was sent. */
  readonly skipped: boolean
}

/**
 * What the subtasks of one sink share: the prepared statements, their encoders, and the bound on requests in flight.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenSink<A> {
  readonly statements: ReadonlyArray<SinkStatement>
  readonly writer: BatchWriter
  /** Writes the values of a record for the first statement; it throws a `Misfit`. */
  readonly write: (record: A, out: WireBuffer) => void
  /** What a record is written with, if that is not always the first statement alone. */
  readonly routes: StatementRoutes<A> | null
  /** What the place of a row stands for. */
  readonly locate: (place: number) => Located
  /** The write timestamp of the row of a record, null for one that is decided when it is logged. */
  readonly timestampOf: ((place: number) => number | null) | null
  /** The one statement that a record is for, null for all. */
  readonly statementOf: ((place: number) => string | null) | null
  /** Where bad records go; null where the first one ends the sink. */
  readonly setAside: SetAside.SetAside | null
  readonly pendingBytesMax: number
  readonly segmentBytesMax: number
  /** Bytes of rows that are sorted before they are sent, of all subtasks. */
  readonly sortBytesMax: number
  /** Rows logged by this sink since it was opened, for a progress display. */
  readonly counters: { logged: number }
}

/**
 * Rows of one subtask, or a barrier.
 *
 * @category models
 * @since 0.1.0
 */
export type EncodedElement = EncodedRows | Barrier

/** Nothing of a checkpoint is sent before all of the one before it was acknowledged. */
interface Turn {
  readonly checkpoint: PendingCheckpoint
  readonly before: Latch.Latch
  readonly after: Latch.Latch
}

/** What a barrier has ended, not yet synced. */
interface Ended {
  readonly barrier: Barrier
  /** Null when no rows came before the barrier. */
  readonly writer: SegmentWriter | null
  /** Of the rows in it. */
  readonly bytes: number
}

/** A checkpoint whose rows are in the table. */
interface Sent {
  readonly checkpoint: PendingCheckpoint
  /** It was so before this run. */
  readonly skipped: boolean
  /** Rows among the dead letters instead. */
  readonly setAside: number
}

/**
 * Both halves of a subtask, to be run beside each other.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunningSubtask {
  /** Logs all of `elements` and ends with them. */
  readonly log: <E, R>(
    elements: Stream.Stream<EncodedElement, E, R>
  ) => Effect.Effect<void, E | WalError | SinkMisuse, R>
  /** Sends complete checkpoints in order; ends when `log` has ended and nothing is pending. */
  readonly send: Effect.Effect<
    void,
    | CassandraError
    | WalError
    | RowRefused
    | SendFailed
    | CoordinatorError
    | CommitterError
    | SinkMisuse
    | DeadLetterError
    | TooManyBadRecords
  >
}

/**
 * Begins with what the restored checkpoint has left for this subtask.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*<A>(
  sink: OpenSink<A>,
  index: number,
  emit: (committed: CommittedCheckpoint) => Effect.Effect<unknown>
): Effect.fn.Return<
  RunningSubtask,
  never,
  CheckpointCommitter | CheckpointCoordinator | StateBackend | Scope.Scope
> {
  const backend = yield* StateBackend
  const committer = yield* CheckpointCommitter
  const coordinator = yield* CheckpointCoordinator
  // Made now, closed late: whoever runs `log` is forked after this, so that he has stopped when open segments are removed.
  const scope = yield* Scope.fork(yield* Effect.scope)
  const clock = yield* Clock.Clock
  const room = yield* Latch.make(true)
  yield* Metric.update(Metrics.pendingLimit, sink.pendingBytesMax * coordinator.parallelism)

  let lastTimestamp = coordinator.firstTimestamp - 1
  let segments = 0
  let open: SegmentWriter | null = null
  let openRows = 0
  let openBytes = 0
  /** Of segments that a barrier has ended and that are being sealed. */
  let endedBytes = 0
  /**
   * Bytes of an open segment over which a checkpoint is asked for: few at first, so that Cassandra has something to do
   * from the start of a run, twice as many after each one that was asked for.
   */
  const segmentBytesMax = Math.min(sink.segmentBytesMax, sink.pendingBytesMax / 2)
  let segmentBytes = Math.min(firstSegmentBytes, segmentBytesMax)

  const windowBytes = SendWindows.growing(sink.sortBytesMax / coordinator.parallelism)

  const isFull = (): boolean => openBytes + endedBytes + pending.bytes() > sink.pendingBytesMax

  /**
   * Waiting is safe while something sealed, or being sealed, is on its way to Cassandra without a further barrier, since a barrier may be
   * behind the rows that wait here: one of them is complete, or may still become so. Subtasks that wait for each other's
   * acknowledgement can't form a circle: each has sealed, or can seal, the oldest incomplete checkpoint.
   */
  const mustWait = (): boolean => isFull() && (endedBytes > 0 || pending.areOnTheirWay())

  const makeRoom: Effect.Effect<void> = Effect.suspend(() => mustWait() ? Effect.void : Effect.asVoid(room.open))
  const pending = yield* PendingCheckpoints.make(
    PendingCheckpoints.ofRestored(coordinator.restored, index, coordinator.parallelism),
    coordinator.notifications(index),
    makeRoom
  )

  const waitForRoom = Effect.suspend(() => {
    if (!mustWait()) return Effect.void
    room.closeUnsafe()
    return Effect.andThen(coordinator.setBackPressured(index, true), room.await).pipe(
      Effect.ensuring(coordinator.setBackPressured(index, false))
    )
  })

  const openSegment = Effect.suspend(() => {
    if (open !== null) return Effect.succeed(open)
    return Scope.provide(
      backend.createSegment({
        jobId: backend.jobId,
        uid: backend.uid,
        epoch: coordinator.epoch,
        attempt: coordinator.attempt,
        subtask: index,
        number: segments++,
        statements: sink.statements.map(({ logged }) => logged)
      }),
      scope
    ).pipe(Effect.tap((writer) =>
      Effect.sync(() => {
        open = writer
      })
    ))
  })

  const append = Effect.fnUntraced(function*(rows: EncodedRows): Effect.fn.Return<void, WalError> {
    yield* waitForRoom
    const writer = yield* openSegment
    // One strictly increasing timestamp a row, never behind the clock or an earlier epoch.
    const first = Math.max(lastTimestamp + 1, Math.floor(clock.currentTimeMillisUnsafe() * 1000))
    lastTimestamp = RowFrame.stamp(rows, first, sink.statements.length) - 1
    yield* writer.append(rows, first, lastTimestamp)
    openRows += rows.rows
    sink.counters.logged += rows.rows
    openBytes += rows.bytes.length
    yield* Metric.update(Metrics.rowsLogged, rows.rows)
    yield* Metric.modify(Metrics.logSize, rows.bytes.length)
    if (openBytes > segmentBytes) yield* coordinator.requestCheckpoint
  })

  /** The rows behind the barrier go to another segment, while this one is sealed. */
  const endSegment = (barrier: Barrier): Ended => {
    const ended = { barrier, writer: open, bytes: openBytes }
    if (openBytes > segmentBytes) segmentBytes = Math.min(2 * segmentBytes, segmentBytesMax)
    endedBytes += openBytes
    open = null
    openRows = 0
    openBytes = 0
    return ended
  }

  const seal = Effect.fnUntraced(function*({ barrier, bytes, writer }: Ended): Effect.fn.Return<void, WalError> {
    const { checkpointId, position } = barrier
    const segment = writer === null ? null : yield* writer.seal(checkpointId)
    // The file is a little longer than the rows in it.
    if (segment !== null) yield* Metric.modify(Metrics.logSize, segment.bytes - bytes)
    endedBytes -= bytes
    pending.add({ lineage: index, checkpointId, segment, position, restored: false })
    yield* coordinator.acknowledge({ subtask: index, barrier, segment })
    yield* makeRoom
  })

  /**
   * A barrier does not hold up the rows behind it: its segment is sealed beside them (what Flink calls the asynchronous part
   * of a checkpoint), one after another, so that checkpoints are acknowledged in order. One is sealed and one waits; with
   * a third the stream waits for the disk.
   */
  const log = <E, R>(elements: Stream.Stream<EncodedElement, E, R>) =>
    Effect.gen(function*() {
      const ended = yield* Queue.bounded<Ended, Cause.Done>(1)
      const logAll = Stream.runForEach(
        elements,
        (element) => "_tag" in element ? Queue.offer(ended, endSegment(element)) : append(element)
      ).pipe(Effect.andThen(Queue.end(ended)))
      const sealAll = Stream.runForEach(Stream.fromQueue(ended), seal)
      // Who fails first ends the other.
      yield* Effect.all([logAll, sealAll], { concurrency: 2, discard: true })
      if (openRows > 0) {
        return yield* new SinkMisuse({
          reason: "no-last-barrier",
          detail: `The stream ended with ${openRows} rows behind its last barrier: they belong to no checkpoint ` +
            "and were not sent. End it with a barrier; Barriers.inject does."
        })
      }
      yield* pending.end
    })

  /**
   * `sendValues`: all rows of a sealed segment, each request retried on the sink's schedule. Gives how many of them are in
   * the dead letters instead of the table; these are kept durably when this returns.
   */
  const sendValues = Effect.fnUntraced(function*(
    segment: SegmentHandle,
    restored: boolean,
    turn: Turn
  ): Effect.fn.Return<
    number,
    CassandraError | WalError | RowRefused | SendFailed | SinkMisuse | DeadLetterError | TooManyBadRecords,
    Scope.Scope
  > {
    const letters: SegmentLetters<DeadLetterError | SinkMisuse | TooManyBadRecords> =
      sink.setAside?.ofSegment(segment, restored) ?? SetAside.noLetters(segment)
    const opened = yield* backend.openSegment(segment)
    yield* LoggedStatements.mustBeSame(sink.statements, opened.header.statements, segment)
    const rowsOf = SegmentRows.ofBlocks(segment.name, segment)
    const read = Stream.mapArrayEffect(
      opened.blocks,
      (blocks) =>
        Effect.map(Effect.flatMap(rowsOf(blocks), letters.rows), (rows): [RowBlock] => [
          {
            rows,
            bytes: blocks.reduce((sum, { payload }) => sum + payload.length, 0),
            release: () => SegmentRows.release(blocks)
          }
        ])
    )
    // Before its turn: Cassandra has work again as soon as the checkpoint before is acknowledged.
    const planned = yield* SendWindows.ahead(Stream.map(SendWindows.gather(read, windowBytes), sink.writer.plan))
    yield* turn.before.await
    yield* sink.writer.send(
      { locate: sink.locate, checkpointId: segment.checkpointId, refused: letters.refused },
      planned
    )
    yield* turn.after.open
    return yield* letters.finish
  })

  /** The rows of a checkpoint are in the table, or among the dead letters, when this returns. */
  const sendPending = Effect.fnUntraced(function*(turn: Turn) {
    const { checkpoint } = turn
    const { checkpointId, lineage, restored, segment } = checkpoint
    // Asked before the file is opened: it may be gone, because its rows are in.
    const skipped = restored && segment !== null && (yield* committer.isCheckpointCommitted(lineage, checkpointId))
    if (segment === null || skipped) {
      yield* Effect.andThen(turn.before.await, turn.after.open)
      return { checkpoint, skipped, setAside: 0 }
    }
    if (restored) yield* Metric.update(Metrics.replays, 1)
    const setAside = yield* Effect.scoped(sendValues(segment, restored, turn)).pipe(
      // A successor sends and removes what this process still has before it: then it is fenced, nothing is corrupt.
      Effect.catchTag(
        "StateCorrupt",
        (error) => Effect.andThen(countFenced(committer.checkEpoch), Effect.fail(error))
      )
    )
    return { checkpoint, skipped: false, setAside }
  })

  const settle = Effect.fnUntraced(function*({ checkpoint, setAside, skipped }: Sent) {
    const { checkpointId, lineage, position, restored, segment } = checkpoint
    if (segment !== null) {
      if (!skipped) yield* coordinator.commit(lineage, checkpointId, setAside)
      yield* backend.discardSegment(segment)
      yield* Metric.modify(Metrics.logSize, -segment.bytes)
    }
    pending.shift()
    yield* makeRoom
    yield* emit({
      subtask: lineage,
      checkpointId,
      rows: (segment?.rows ?? 0) - setAside,
      position,
      replayed: restored && !skipped,
      skipped
    })
  })

  // While a checkpoint is committed, the next one is sent: what is complete may be sent, and Cassandra is never without
  // work. Commits keep the order.
  const send = Stream.unfold(Latch.makeUnsafe(true), (before) =>
    Effect.map(pending.next, (checkpoint) => {
      if (checkpoint === undefined) return undefined
      const after = Latch.makeUnsafe(false)
      return [{ checkpoint, before, after }, after] as const
    })).pipe(
      Stream.mapEffect(sendPending, { concurrency: 2 }),
      Stream.runForEach(settle)
    )

  return { log, send }
})

const firstSegmentBytes = 256 * 1024
