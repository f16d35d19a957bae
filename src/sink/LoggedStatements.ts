/**
 * Rows that were logged for one statement are never sent with another. A row says which one by its place in the list that its
 * segment begins with.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Manifest, SegmentHandle } from "../checkpoint/Manifest.ts"
import { StateBackend } from "../state/StateBackend.ts"
import type { LoggedStatement } from "../state/WalFormat.ts"
import { SinkMisuse } from "./SinkError.ts"
import type { SinkStatement } from "./SinkStatement.ts"

const isSame = (current: LoggedStatement, logged: LoggedStatement | undefined): boolean =>
  logged !== undefined && logged.query === current.query && logged.columns.length === current.columns.length &&
  logged.columns.every((column, i) =>
    column.name === current.columns[i]!.name && column.type === current.columns[i]!.type
  )

/**
 * Fails if rows of a segment were logged for other statements than these.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mustBeSame = (
  statements: ReadonlyArray<SinkStatement>,
  logged: ReadonlyArray<LoggedStatement>,
  segment: SegmentHandle
): Effect.Effect<void, SinkMisuse> => {
  const current = statements.map((statement) => statement.logged)
  if (logged.length === current.length && current.every((statement, i) => isSame(statement, logged[i]))) {
    return Effect.void
  }
  const show = (statements: ReadonlyArray<LoggedStatement>) =>
    statements.length === 0 ?
      "nothing" :
      statements.map((statement) =>
        `${statement.query}  [${statement.columns.map(({ name, type }) => `${name} ${type}`).join(", ")}]`
      ).join("\n          ")
  return Effect.fail(
    new SinkMisuse({
      reason: "other-statement",
      detail: `The log holds ${segment.rows} rows of checkpoint ${segment.checkpointId} for another statement:\n` +
        `  logged: ${show(logged)}\n  now:    ${show(current)}\n` +
        `Run once more with the logged statement until its rows are committed, then change it.`
    })
  )
}

/**
 * The same for a run that begins, before it logs anything: rows of two statements in one log could be sent by neither. What
 * is pending was logged for the same statements, as each run has passed this; so one segment stands for all.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mustContinue = (
  statements: ReadonlyArray<SinkStatement>,
  restored: Manifest | null
): Effect.Effect<void, SinkMisuse, StateBackend> =>
  Effect.gen(function*() {
    const segment = restored?.pending[0]
    if (segment === undefined) return
    const backend = yield* StateBackend
    // What is wrong with the file is for whoever sends it to say: it may be a successor that has removed it.
    const opened = yield* Effect.option(backend.openSegment(segment))
    if (Option.isSome(opened)) yield* mustBeSame(statements, opened.value.header.statements, segment)
  }).pipe(Effect.scoped)
