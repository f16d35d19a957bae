/**
 * How a job stands, as far as its state directory tells: at work, done, or ended before it was.
 *
 * @since 0.1.0
 */
import type { KeptFailure } from "../state/FailureLog.ts"
import * as StateDirectory from "../state/StateDirectory.ts"
import type { Segment } from "./stateFound.ts"

/**
 * - `running`: its process lives, on this machine.
 * - `restarting`: it lives, and its last run failed; the next one has completed no checkpoint yet.
 * - `elsewhere`: the directory is held by a process of another machine (or container), which can't be seen from here.
 * - `finished`: its input was read to the end, and nothing is known to be pending.
 * - `stopped`: its process has ended in order.
 * - `failed`: its last run failed, and no other one followed.
 * - `killed`: its process is gone without having ended.
 * - `savepoint`: no job works here.
 *
 * @category models
 * @since 0.1.0
 */
export type Standing =
  | "running"
  | "restarting"
  | "elsewhere"
  | "finished"
  | "stopped"
  | "failed"
  | "killed"
  | "savepoint"

/**
 * Whether a process is there, or may be.
 *
 * @category getters
 * @since 0.1.0
 */
export const isAtWork = (standing: Standing): boolean =>
  standing === "running" || standing === "restarting" || standing === "elsewhere"

/**
 * `failures` as `FailureLog` reads them, the last one first; `pending` is what is not known to be in Cassandra.
 *
 * @category constructors
 * @since 0.1.0
 */
export const standingOf = (
  state: StateDirectory.StateDirectory,
  pending: ReadonlyArray<unknown>,
  failures: ReadonlyArray<KeptFailure>
): Standing => {
  const { owner, savepoint } = state
  if (savepoint !== null) return "savepoint"
  const newest = StateDirectory.newest(state)
  const last = failures[0]
  // A superseded process may have failed later than its successor completed something.
  const isUnmended = last !== undefined && last.at >= (newest?.completedAt ?? 0) &&
    (last.epoch === null || last.epoch >= (newest?.epoch ?? 0))
  if (owner !== null && owner.isAlive !== false) {
    // What another process had says nothing of this one.
    const isIts = isUnmended && last.pid === owner.pid && last.host === owner.host && last.at >= owner.since
    if (isIts) return last.restartsInMillis === null ? "failed" : "restarting"
    return owner.isAlive === null ? "elsewhere" : "running"
  }
  if (newest !== null && newest.finished && pending.length === 0) return "finished"
  if (owner !== null) return "killed"
  return isUnmended && last.restartsInMillis === null ? "failed" : "stopped"
}

/**
 * What is pending, for one who asks nobody: a file that is gone was removed because its rows are in Cassandra, unless the
 * ledger says that they are not.
 *
 * @category getters
 * @since 0.1.0
 */
export const stillPending = (segments: ReadonlyArray<Segment>): ReadonlyArray<Segment> =>
  segments.filter(({ isCommitted, isThere }) => isThere || isCommitted === false)
