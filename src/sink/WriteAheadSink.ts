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
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import type { CassandraSession } from "../cassandra/CassandraSession.ts"
import type { CheckpointCommitter } from "../checkpoint/CheckpointCommitter.ts"
import { CheckpointCoordinator } from "../checkpoint/CheckpointCoordinator.ts"
import type { CoordinatorError } from "../checkpoint/CheckpointCoordinator.ts"
import type { Element, Located } from "../checkpoint/Element.ts"
import { StateBackend } from "../state/StateBackend.ts"
import type { WalError } from "../state/WalError.ts"
import type { BatchWriterOptions } from "./BatchWriter.ts"
import * as Writer from "./BatchWriter.ts"
import type { DeadLetterError, TooManyBadRecords } from "./DeadLetters.ts"
import { DeadLetters } from "./DeadLetters.ts"
import { deal } from "./Dealer.ts"
import * as LoggedStatements from "./LoggedStatements.ts"
import type { RowEncoderOptions } from "./RowEncoder.ts"
import * as RowEncoder from "./RowEncoder.ts"
import * as RowSchema from "./RowSchema.ts"
import * as SetAside from "./SetAside.ts"
import type { RecordRefused, RowRefused, SendFailed } from "./SinkError.ts"
import { SchemaRefused, SinkMisuse, StatementRefused } from "./SinkError.ts"
import type { SinkStatementOptions } from "./SinkStatement.ts"
import * as Statement from "./SinkStatement.ts"
import type { StatementOptions } from "./StatementRoutes.ts"
import * as Routes from "./StatementRoutes.ts"
import type { CommittedCheckpoint, EncodedElement, OpenSink } from "./Subtask.ts"
import * as Subtask from "./Subtask.ts"

export { layerCoordinator } from "./Recovery.ts"
export type { StatementOptions } from "./StatementRoutes.ts"
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
  | DeadLetterError
  | RecordRefused
  | RowRefused
  | SchemaRefused
  | SendFailed
  | SinkMisuse
  | StatementRefused
  | TooManyBadRecords
  | WalError

/**
 * The query, how records become its values, how they are sent, and how much may wait. Only `query` has no default.
 *
 * @category models
 * @since 0.1.0
 */
export interface WriteAheadSinkOptions<A> extends RowEncoderOptions<A>, SinkStatementOptions, BatchWriterOptions {
  /** INSERT, UPDATE or DELETE with markers (`?` or `:name`); every record is written with it. */
  readonly query?: string | undefined
  /**
   * Instead of `query`: statements, each of which writes the records that it is for, in this order. The options of a
   * statement win over those of the sink. Default: `query` alone.
   */
  readonly statements?: ReadonlyArray<StatementOptions<A>> | undefined
  /** Names the input in errors about a record. Default "the input". */
  readonly input?: string | undefined
  /** What a record's place stands for: the `locate` of a source of several files. Default: a place in `input`. */
  readonly locate?: ((place: number) => Located) | undefined
  /**
   * The write timestamp of the row of a record, by its place, microseconds since 1970: for rows that were decided on
   * before, and must not win over what was written since. Of several rows of a record, the first has it, and each of the
   * others one more than the one before. Null, and the default: that of the moment it is logged.
   */
  readonly timestampOf?: ((place: number) => number | null) | undefined
  /**
   * The one of several statements that a record is for, by its place: for what one of them was refused before. Null, and
   * the default: all whose `when` holds.
   */
  readonly statementOf?: ((place: number) => string | null) | undefined
  /** Bytes logged and not yet in Cassandra, over which a subtask waits for Cassandra. Default 256 MiB. */
  readonly pendingBytesMax?: number | undefined
  /**
   * Bytes of an open segment, over which a checkpoint is asked for before it is due. A run begins with 256 KiB, and doubles it
   * with each that was asked for, so that its first rows do not wait for an interval. Default 8 MiB.
   */
  readonly segmentBytesMax?: number | undefined
  /**
   * Bytes of the log, of all subtasks, that are sorted by the tokens of their partitions before they are sent: the more, the
   * less work has the server with a row. Twice as many are held in memory. A run begins with 512 KiB for a subtask, and doubles
   * it. Default 4 MiB.
   */
  readonly sortBytesMax?: number | undefined
}

/**
 * Checks and prepares the statements; nothing is claimed, read or written. Fails with `StatementRefused` if one can't be
 * written exactly once, with `SchemaRefused` if the rows of a Schema do not fit it. Bad records go to the `DeadLetters` where
 * there is such a layer.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = Effect.fnUntraced(function*<A>(
  options: WriteAheadSinkOptions<A>
): Effect.fn.Return<OpenSink<A>, CassandraError | SchemaRefused | StatementRefused, CassandraSession> {
  const { bind, consistency, missing, nulls, query, schema } = options
  const given = (options.statements ?? []).map((one): StatementOptions<A> =>
    Object.assign({ bind, consistency, missing, nulls, schema }, one)
  )
  if (query !== undefined) given.unshift({ query, bind, consistency, missing, nulls, schema })
  if (given.length === 0 || (query !== undefined && given.length > 1)) {
    return yield* new StatementRefused({
      query: query ?? "",
      problems: ["give the sink a query, or a list of statements, and not both"]
    })
  }
  const statements = yield* Effect.forEach(given, (one) => Statement.make(one.query, one))
  const problems = Statement.conflicts(statements)
  if (problems.length > 0) return yield* new StatementRefused({ query: statements[0]!.query, problems })
  const misfits = statements.flatMap(({ params, query }, i) => {
    const { missing, schema } = given[i]!
    const problems = schema === undefined ? [] : RowSchema.mismatches(schema, params, missing === "unset")
    return problems.length === 0 ? [] : [{ query, problems }]
  })
  if (misfits.length > 0) {
    return yield* new SchemaRefused({
      query: misfits.map(({ query }) => query).join("\n  "),
      problems: misfits.flatMap(({ problems }) => problems)
    })
  }
  const unmarked = statements.find(({ params }) => params.length === 0)
  if (unmarked !== undefined) {
    return yield* new StatementRefused({
      query: unmarked.query,
      problems: ["it has no marker, so every record would write the same row: use ? or :name"]
    })
  }
  const locate = options.locate ?? ((place) => ({ input: options.input ?? "the input", place }))
  const letters = yield* Effect.serviceOption(DeadLetters)
  return {
    statements,
    writer: yield* Writer.make(statements, options),
    write: RowEncoder.writer(statements[0]!.params, given[0]),
    routes: given.length === 1 && given[0]!.when === undefined ? null : Routes.make(statements, given),
    locate,
    timestampOf: options.timestampOf ?? null,
    statementOf: options.statementOf ?? null,
    setAside: Option.isNone(letters) ? null : SetAside.make(letters.value, statements, locate),
    pendingBytesMax: options.pendingBytesMax ?? 256 * 1024 ** 2,
    segmentBytesMax: options.segmentBytesMax ?? 8 * 1024 ** 2,
    sortBytesMax: options.sortBytesMax ?? 4 * 1024 ** 2,
    counters: { logged: 0 }
  }
})

/**
 * Options of a sink whose records are those of a Schema: the compiler knows it too.
 *
 * @category constructors
 * @since 0.1.0
 */
export const typed = <S extends RowSchema.RowSchema>(
  schema: S,
  options: Omit<WriteAheadSinkOptions<S["Type"]>, "bind" | "schema" | "statements">
): WriteAheadSinkOptions<S["Type"]> => Object.assign({ schema }, options)

/**
 * Looks at what earlier runs have left: rows that were logged for other statements are refused, and what was set aside
 * counts. Before the first record is encoded.
 *
 * @category combinators
 * @since 0.1.0
 */
export const begin = <A>(
  { setAside, statements }: OpenSink<A>
): Effect.Effect<void, DeadLetterError | SinkMisuse | TooManyBadRecords, CheckpointCoordinator | StateBackend> =>
  Effect.gen(function*() {
    const { restored } = yield* CheckpointCoordinator
    yield* LoggedStatements.mustContinue(statements, restored)
    if (setAside === null) return
    const { jobId, uid } = yield* StateBackend
    yield* setAside.begin({ jobId, uid, recordsBefore: restored?.records ?? 0 })
  })

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
      yield* begin(sink)
      const [encoded] = yield* deal(sink, 1, self)
      return subtask(sink, 0, encoded!)
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
