/**
 * What ends a verb before it has changed anything, and no other error tells of.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Something makes the load impossible that no other error tells of.
 *
 * @category errors
 * @since 0.1.0
 */
export class CheckFailed extends Schema.TaggedError<CheckFailed>("effect-cassandra/cli/CheckFailed")("CheckFailed", {
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}
