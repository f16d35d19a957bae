/**
 * What is in a state directory and in its ledger, put together: for the verbs that show it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Ledger } from "../cassandra/CassandraCommitter.ts"
import * as CurrentState from "../sink/CurrentState.ts"
import * as StateDirectory from "../state/StateDirectory.ts"
import type { StateUnusable } from "../state/WalError.ts"
import type { LoadError } from "./exitCode.ts"

/**
 * A segment that a checkpoint waits for; `isCommitted` is null where no ledger tells of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Segment {
  readonly name: string
  readonly checkpointId: number
  readonly subtask: number
  readonly rows: number
  readonly bytes: number
  readonly firstTimestamp: number
  readonly lastTimestamp: number
  readonly isThere: boolean
  readonly isCommitted: boolean | null
  /** Null where it was not read. */
  readonly isWhole: boolean | null
}

/**
 * A state and its ledger at one moment. The ledger is null where it was not asked, or could not be read.
 *
 * @category models
 * @since 0.1.0
 */
export interface Found {
  readonly state: StateDirectory.StateDirectory
  readonly segments: ReadonlyArray<Segment>
  /** Of the newest segment that can be read. */
  readonly statements: ReadonlyArray<string>
  readonly ledger: Ledger | null
  readonly ledgerError: LoadError | null
  /** Why the ledger does not tell of these segments; null if it does, or was not asked. */
  readonly outdated: string | null
  readonly damage: ReadonlyArray<StateDirectory.Damage>
  readonly verified: boolean
}

/** What the rows of the newest segment are written with. What is damaged is told by others. */
const statementsOf = Effect.fnUntraced(function*(
  state: StateDirectory.StateDirectory,
  handles: ReturnType<typeof StateDirectory.segments>
) {
  for (const handle of handles.toReversed()) {
    if (!state.files.has(handle.name)) continue
    const opened = yield* Effect.result(Effect.scoped(StateDirectory.open(state, handle)))
    if (Result.isSuccess(opened)) return opened.success.header.statements.map(({ query }) => query)
  }
  return []
})

/** That somebody has published since a savepoint was taken, or that its ledger is gone, says nothing against it. */
const outdatedText = (state: StateDirectory.StateDirectory, ledger: Ledger, why: StateUnusable): string => {
  if (state.savepoint === null) return `${why.detail} What of this state's rows is in the table, nobody knows.`
  const what = why.reason === "other-ledger"
    ? `This savepoint was taken with another ledger than ${ledger.describe} is now.`
    : `Since this savepoint was taken, epoch ${ledger.publishedEpoch} of job '${state.jobId}' (uid '${state.uid}') has gone ` +
      `on (${ledger.describe}), maybe with another state.`
  return `${what} So the ledger does not tell which of its rows are in the table; restored, it sends all of them with the ` +
    `timestamps that they have.`
}

/**
 * Looks at all of it, and asks the ledger last; with `verify` each segment is read. Nothing is locked or changed. `look` finds
 * the state, each time that it is run.
 *
 * @category constructors
 * @since 0.1.0
 */
export const gather = Effect.fnUntraced(function*<E2, R2, R, E extends LoadError>(
  look: Effect.Effect<StateDirectory.StateDirectory, E2, R2>,
  ask: ((state: StateDirectory.StateDirectory) => Effect.Effect<Ledger, E, R>) | null,
  verify = false
) {
  const state = yield* look
  const damage: Array<StateDirectory.Damage> = []
  for (const { checkpointId, manifest, path } of state.checkpoints) {
    if (Result.isSuccess(manifest)) continue
    const { failure } = manifest
    const offset = failure._tag === "StateCorrupt" ? failure.offset : 8
    damage.push({ path, offset, checkpointId, detail: failure.detail })
  }
  const whole = new Map<string, boolean>()
  const handles = StateDirectory.segments(state)
  for (const handle of verify ? handles : []) {
    const found = yield* StateDirectory.verify(state, handle)
    if (found === null) continue
    whole.set(handle.name, found.length === 0)
    damage.push(...found)
  }
  const statements = yield* statementsOf(state, handles)
  // Asked last: a segment is removed when the ledger has it, so one that is gone by now is known there.
  const asked = ask === null ? null : yield* Effect.result(ask(state))
  const ledger = asked !== null && Result.isSuccess(asked) ? asked.success : null
  // What was published meanwhile may be of a start that came between the two looks, and has its manifest here.
  const why = ledger === null || CurrentState.mismatch(state, ledger) === null
    ? null
    : CurrentState.mismatch(yield* look, ledger)
  const outdated = ledger === null || why === null ? null : outdatedText(state, ledger, why)
  const segments = handles.map((handle): Segment => {
    const { bytes, checkpointId, firstTimestamp, lastTimestamp, name, rows, subtask } = handle
    const isCommitted = ledger === null || outdated !== null
      ? null
      : checkpointId <= (ledger.committed.get(subtask) ?? 0)
    const size = state.files.get(name)
    const path = `${state.directory}/segments/${name}`
    const told = damage.some((one) => one.path === path)
    if (isCommitted === false && size === undefined) {
      damage.push({ path, offset: 0, checkpointId, detail: "the file is gone, and its rows are not yet in Cassandra" })
    } else if (size !== undefined && size !== bytes && !told) {
      const detail = `it has ${size} bytes, but was sealed with ${bytes}`
      damage.push({ path, offset: Math.min(size, bytes), checkpointId, detail })
    }
    return {
      name,
      checkpointId,
      subtask,
      rows,
      bytes,
      firstTimestamp,
      lastTimestamp,
      isThere: size !== undefined,
      isCommitted,
      isWhole: whole.get(name) ?? null
    }
  })
  const ledgerError = asked !== null && Result.isFailure(asked) ? asked.failure : null
  const found: Found = { state, segments, statements, ledger, ledgerError, outdated, damage, verified: verify }
  return found
})

/**
 * Over some segments.
 *
 * @category getters
 * @since 0.1.0
 */
export const sum = (segments: ReadonlyArray<Segment>, of: "rows" | "bytes"): number =>
  segments.reduce((total, segment) => total + segment[of], 0)

/**
 * What the newest checkpoint still waits for, as far as is known.
 *
 * @category getters
 * @since 0.1.0
 */
export const pendingOf = ({ segments, state }: Found): ReadonlyArray<Segment> => {
  const names = new Set(StateDirectory.newest(state)?.pending.map(({ name }) => name))
  return segments.filter(({ isCommitted, name }) => isCommitted !== true && names.has(name))
}

/**
 * What the ledger says of the job, or why it says nothing.
 *
 * @category formatting
 * @since 0.1.0
 */
export const describeLedger = ({ ledger, ledgerError }: Found): string => {
  if (ledger === null) return ledgerError === null ? "not asked (--contact-points)" : "could not be read"
  const { describe, epoch, publishedCheckpointId, takenOverBy } = ledger
  return `${describe}: ` + (epoch === null
    ? "knows nothing of this job"
    : `epoch ${epoch}, published up to checkpoint ${publishedCheckpointId}`) +
    (takenOverBy === null ? "" : `, taken over by job ${takenOverBy.jobId} (uid ${takenOverBy.uid})`)
}
