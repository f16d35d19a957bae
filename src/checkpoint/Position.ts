/**
 * Where a source stands, in a form that a checkpoint can hold.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A position is JSON that only its own source understands. It must say all that is needed to resume exactly behind the
 * last record read, and enough to notice that the input is no longer the one it was taken from.
 *
 * @category models
 * @since 0.1.0
 */
export const Position = Schema.Record(Schema.String, Schema.Json)

/**
 * @category models
 * @since 0.1.0
 */
export type Position = typeof Position.Type
