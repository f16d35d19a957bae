/**
 * The write-ahead sink: rows are logged durably first, and nothing reaches Cassandra before its checkpoint is complete.
 *
 * Guarantee: the table ends up as if each record had been applied once, in source order per key, if the source can be
 * read again from a position, the statement is idempotent (others are refused), and nobody else writes the same cells
 * with greater timestamps. Its edge: readers can see a checkpoint half applied, and a row may be written several times,
 * always with the same bytes and the same timestamp.
 *
 * Flink: `GenericWriteAheadSink` and `CassandraTupleWriteAheadSink`. Unlike there, a checkpoint is never committed past
 * one that failed, each row has a write timestamp of its own (microseconds, fixed when it is logged), and sending runs
 * beside the stream, within bounds.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import type { CassandraSession } from "../cassandra/CassandraSession.ts"
import type { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import { CheckpointCoordinator } from "../checkpoint/CheckpointCoordinator.ts"
import type { CoordinatorError } from "../checkpoint/CheckpointCoordinator.ts"
import type { Element, Located } from "../checkpoint/Element.ts"
import { FrameWriter } from "../state/RowFrame.ts"
import type { StateBackend } from "../state/StateBackend.ts"
import type { WalError } from "../state/WalError.ts"
import { WireBuffer } from "../wire/WireBuffer.ts"
import { partitionHash } from "../wire/WireValues.ts"
import type { BatchWriterOptions } from "./BatchWriter.ts"
import * as Writer from "./BatchWriter.ts"
import type { RowEncoderOptions } from "./RowEncoder.ts"
import * as RowEncoder from "./RowEncoder.ts"
import type { RowRefused, SendFailed } from "./SinkError.ts"
import { RecordRefused, SinkMisuse, StatementRefused } from "./SinkError.ts"
import * as Statement from "./SinkStatement.ts"
import type { CommittedCheckpoint, EncodedElement, OpenSink } from "./Subtask.ts"
import * as Subtask from "./Subtask.ts"

export { layerCoordinator } from "./Recovery.ts"
export type { CommittedCheckpoint, EncodedElement, OpenSink } from "./Subtask.ts"

/**
 * Why a sink fails.
 *
 * @category errors
 * @since 0.1.0
 */
export type SinkError =
  | CassandraError
  | CoordinatorError
  | RecordRefused
  | RowRefused
  | SendFailed
  | SinkMisuse
  | StatementRefused
  | WalError

/**
 * The query, how records become its values, how they are sent, and how much may wait. Only `query` has no default.
 *
 * @category models
 * @since 0.1.0
 */
export interface WriteAheadSinkOptions<A> extends RowEncoderOptions<A>, BatchWriterOptions {
  /** INSERT, UPDATE or DELETE with markers (`?` or `:name`), without a timestamp. */
  readonly query: string
  /** Names the input in errors about a record. Default "the input". */
  readonly input?: string | undefined
  /** What a record's place stands for: the `locate` of a source of several files. Default: a place in `input`. */
  readonly locate?: ((place: number) => Located) | undefined
  /** Bytes logged and not yet in Cassandra, over which a subtask waits for Cassandra. Default 256 MiB. */
  readonly pendingBytesMax?: number | undefined
  /** Bytes of an open segment, over which a checkpoint is asked for before it is due. Default 8 MiB. */
  readonly segmentBytesMax?: number | undefined
}

/**
 * Checks and prepares the statement; nothing is claimed, read or written. Fails with `StatementRefused` if it can't be
 * written exactly once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = Effect.fnUntraced(function*<A>(
  options: WriteAheadSinkOptions<A>
): Effect.fn.Return<OpenSink<A>, CassandraError | StatementRefused, CassandraSession> {
  const statement = yield* Statement.make(options.query)
  if (statement.params.length === 0) {
    return yield* new StatementRefused({
      query: options.query,
      problems: ["it has no marker, so every record would write the same row: use ? or :name"]
    })
  }
  return {
    statement,
    writer: yield* Writer.make(statement, options),
    write: RowEncoder.writer(statement.params, options),
    locate: options.locate ?? ((place) => ({ input: options.input ?? "the input", place })),
    pendingBytesMax: options.pendingBytesMax ?? 256 * 1024 ** 2,
    segmentBytesMax: options.segmentBytesMax ?? 8 * 1024 ** 2,
    counters: { logged: 0 }
  }
})

/**
 * Encodes a chunk of elements for `parallelism` subtasks. All rows of one partition go to the same subtask, in order;
 * a barrier goes to all. Each inner array is one subtask's part of the chunk.
 *
 * @category combinators
 * @since 0.1.0
 */
export const encodeChunk = <A>(
  sink: OpenSink<A>,
  parallelism: number
): (elements: ReadonlyArray<Element<A>>) => ReadonlyArray<Array<EncodedElement>> => {
  const writers = Array.from({ length: parallelism }, () => new FrameWriter())
  const scratch = new WireBuffer(1024)
  const { locate, statement, write } = sink
  const { partitionKeys } = statement
  const valueCount = statement.params.length
  return (elements) => {
    const parts = writers.map((): Array<EncodedElement> => [])
    const take = (subtask: number) => {
      if (writers[subtask]!.rows > 0) parts[subtask]!.push(writers[subtask]!.take())
    }
    for (let i = 0; i < elements.length; i++) {
      const element = elements[i]!
      if (element._tag === "Barrier") {
        for (let subtask = 0; subtask < parallelism; subtask++) take(subtask)
        for (const part of parts) part.push(element)
        continue
      }
      const { place, value } = element
      let subtask = 0
      try {
        if (parallelism === 1) {
          writers[0]!.addWith(place, 0, valueCount, value, write)
        } else {
          scratch.length = 0
          write(value, scratch)
          subtask = partitionHash(scratch.bytes, 0, partitionKeys) % parallelism
          writers[subtask]!.addWritten(place, 0, valueCount, scratch)
        }
      } catch (error) {
        throw refused(error, place, locate)
      }
      if (writers[subtask]!.bytes >= blockBytes) take(subtask)
    }
    for (let subtask = 0; subtask < parallelism; subtask++) take(subtask)
    return parts
  }
}

/** Bytes after which rows are handed on, though their chunk goes on: buffers stay small, whatever is in a row. */
const blockBytes = 256 * 1024

const refused = <A>(error: unknown, at: number, locate: OpenSink<A>["locate"]): unknown =>
  error instanceof RowEncoder.Misfit
    ? new RecordRefused({ ...locate(at), column: error.column, problem: error.problem })
    : error

/**
 * `encodeChunk` as an Effect: a record that does not fit is a `RecordRefused`, and nothing of its chunk is logged.
 *
 * @category combinators
 * @since 0.1.0
 */
export const encodeChunkEffect = <A>(sink: OpenSink<A>, parallelism: number) => {
  const encode = encodeChunk(sink, parallelism)
  return (elements: ReadonlyArray<Element<A>>): Effect.Effect<ReadonlyArray<Array<EncodedElement>>, RecordRefused> =>
    Effect.suspend(() => {
      try {
        return Effect.succeed(encode(elements))
      } catch (error) {
        return error instanceof RecordRefused ? Effect.fail(error) : Effect.die(error)
      }
    })
}

/**
 * Elements and barriers in, committed checkpoints out: the whole sink as one subtask.
 *
 * The input is pulled as fast as it can be logged, whether or not the output is; it waits when `pendingBytesMax` is
 * reached. The output ends when the input has ended and everything is committed. Rows behind the last barrier are an
 * error (`Barriers.inject` ends with one). When the input fails, so does the output, at once; what was checkpointed is
 * sent by the next run.
 *
 * @category combinators
 * @since 0.1.0
 */
export const transform =
  <A>(options: WriteAheadSinkOptions<A>) =>
  <E, R>(self: Stream.Stream<Element<A>, E, R>): Stream.Stream<
    CommittedCheckpoint,
    E | SinkError,
    R | CassandraSession | CheckpointCommitter | CheckpointCoordinator | StateBackend
  > =>
    Stream.unwrap(Effect.gen(function*() {
      const sink = yield* open(options)
      const encode = encodeChunkEffect(sink, 1)
      return subtask(
        sink,
        0,
        Stream.mapArrayEffect(self, (elements) =>
          Effect.map(encode(elements), ([part]) => part as [EncodedElement, ...Array<EncodedElement>]))
      )
    }))

/** Opening the sink without checkpointing is an error, as in Flink. */
const requireCheckpointing = Effect.flatMap(CheckpointCoordinator, ({ enabled }) =>
  enabled ? Effect.void : Effect.fail(
    new SinkMisuse({
      reason: "checkpointing-disabled",
      detail: "The write-ahead sink needs checkpointing: without it nothing would ever be sent. Give the job a " +
        "CheckpointConfig, or write without a log."
    })
  ))

/**
 * One subtask of a sink that several share. Fails with `SinkMisuse` when checkpointing is switched off.
 *
 * @category combinators
 * @since 0.1.0
 */
export const subtask = <A, E, R>(
  sink: OpenSink<A>,
  index: number,
  elements: Stream.Stream<EncodedElement, E, R>
): Stream.Stream<
  CommittedCheckpoint,
  E | SinkError,
  R | CheckpointCommitter | CheckpointCoordinator | StateBackend
> =>
  Stream.unwrap(Effect.gen(function*(): Effect.fn.Return<
    Stream.Stream<CommittedCheckpoint, E | SinkError>,
    SinkError,
    R | CheckpointCommitter | CheckpointCoordinator | StateBackend | Scope.Scope
  > {
    yield* requireCheckpointing
    const out = yield* Queue.bounded<CommittedCheckpoint, E | SinkError | Cause.Done>(16)
    const running = yield* Subtask.make(sink, index, (committed) => Queue.offer(out, committed))
    yield* Effect.raceFirst(running.send, Effect.andThen(running.log(elements), Effect.never)).pipe(
      Effect.andThen(Queue.end(out)),
      Effect.onError((cause) => Queue.failCause(out, cause)),
      Effect.ignore,
      Effect.forkScoped
    )
    return Stream.fromQueue(out) as Stream.Stream<CommittedCheckpoint, E | SinkError>
  }))
