import * as Schema from "effect/Schema"

/**
 * A test server could not be had, started, or controlled.
 *
 * `operation` is what was asked for, `detail` says what went wrong, where, and what to do about it, and `log` holds the
 * last lines that the server wrote (empty when no server ran).
 *
 * @category errors
 * @since 0.1.0
 */
export class CassandraServerError
  extends Schema.TaggedError<CassandraServerError>("effect-cassandra/testing/CassandraServerError")(
    "CassandraServerError",
    {
      operation: Schema.Literals(["find", "start", "kill", "stop", "restart", "pause", "resume"]),
      detail: Schema.String,
      log: Schema.Array(Schema.String)
    }
  )
{
  override get message(): string {
    const head = this.operation === "find" ? this.detail : `Cassandra test server: ${this.operation}: ${this.detail}`
    return this.log.length === 0
      ? head
      : `${head}\nThe last ${this.log.length} lines of its log:\n${this.log.map((line) => `  ${line}`).join("\n")}`
  }
}

/** How many log lines an error carries. */
export const logLinesInError = 50

export const serverError = (
  operation: CassandraServerError["operation"],
  detail: string,
  log: ReadonlyArray<string> = []
): CassandraServerError => new CassandraServerError({ operation, detail, log: log.slice(-logLinesInError) })
