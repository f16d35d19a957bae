/**
 * What ends a sink, told with the row's place and the way out.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { placeText } from "../checkpoint/Element.ts"

/** A `Located`. */
const at = { input: Schema.String, place: Schema.Number, unit: Schema.optional(Schema.Literal("line")) }
const Place = { ...at, via: Schema.optional(Schema.Struct(at)) }

/**
 * The statement can't be written exactly once. Every reason is listed.
 *
 * @category errors
 * @since 0.1.0
 */
export class StatementRefused extends Schema.TaggedError<StatementRefused>("effect-cassandra/StatementRefused")(
  "StatementRefused",
  { query: Schema.String, problems: Schema.Array(Schema.String) }
) {
  override get message(): string {
    return `This statement can't be written exactly once:\n  ${this.query}\n` +
      this.problems.map((problem) => `- ${problem}`).join("\n")
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A Schema does not fit the statement that its rows are for. Every mismatch is listed.
 *
 * @category errors
 * @since 0.1.0
 */
export class SchemaRefused extends Schema.TaggedError<SchemaRefused>("effect-cassandra/SchemaRefused")(
  "SchemaRefused",
  { query: Schema.String, problems: Schema.Array(Schema.String) }
) {
  override get message(): string {
    return `The schema of the rows does not fit this statement:\n  ${this.query}\n` +
      this.problems.map((problem) => `- ${problem}`).join("\n")
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A record does not fit the statement: a field is missing, or a value does not fit its column. It was not logged. Without a
 * column, it is one that its source could not read and has handed on.
 *
 * @category errors
 * @since 0.1.0
 */
export class RecordRefused extends Schema.TaggedError<RecordRefused>("effect-cassandra/RecordRefused")(
  "RecordRefused",
  { ...Place, column: Schema.String, problem: Schema.String }
) {
  override get message(): string {
    const column = this.column === "" ? "" : `, column ${this.column}`
    return `${placeText(this)}${column}: ${this.problem}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Cassandra refuses a row whatever is tried (it was found by splitting its batch). Its checkpoint can't be committed
 * before the row can be, so nothing behind it is lost.
 *
 * @category errors
 * @since 0.1.0
 */
export class RowRefused extends Schema.TaggedError<RowRefused>("effect-cassandra/RowRefused")("RowRefused", {
  ...Place,
  checkpointId: Schema.Int,
  query: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${placeText(this)} (in checkpoint ${this.checkpointId}): Cassandra refuses this row: ` +
      `${this.detail}. It stays in the log: make the table (or its limits) accept it and start again.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Rows could not be sent for as long as the retry schedule goes on. They stay in the log.
 *
 * @category errors
 * @since 0.1.0
 */
export class SendFailed extends Schema.TaggedError<SendFailed>("effect-cassandra/SendFailed")("SendFailed", {
  checkpointId: Schema.Int,
  detail: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `The rows of checkpoint ${this.checkpointId} could not be sent: ${this.detail} They stay in the log.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * Something about the way the sink is used makes exactly-once impossible.
 *
 * @category errors
 * @since 0.1.0
 */
export class SinkMisuse extends Schema.TaggedError<SinkMisuse>("effect-cassandra/SinkMisuse")("SinkMisuse", {
  reason: Schema.Literals([
    "checkpointing-disabled",
    "no-last-barrier",
    "last-checkpoint-aborted",
    "other-statement",
    "no-dead-letters"
  ]),
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
  get isRetryable(): boolean {
    return this.reason === "last-checkpoint-aborted"
  }
}
