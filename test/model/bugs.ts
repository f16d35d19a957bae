/**
 * The planted bugs of test/simulation/planted.ts as switches of the model, each with the smallest scope in which it is
 * found; two of the model's own; and why the others can't be told in it.
 */
import type { Scope } from "./scope.ts"

const kill = { crashes: 1 }
const killAndFailure = { crashes: 1, failures: 1 }
const powerLoss = { crashes: 1, power: true }
const fewerSubtasks = { parallelism: [2, 1], keys: [0, 1], crashes: 1 }
const zombie = { zombies: 1 }

const planted = {
  "commit-past-failure": { failures: 1 },
  "commit-before-send": {},
  "position-early": kill,
  "failure-as-end": { failures: 1 },
  "late-acknowledgement": { failures: 1 },
  "vanished-subtasks": fewerSubtasks,
  "rows-dealt-round-robin": { parallelism: [2] },
  "timestamp-per-checkpoint": {},
  "timestamp-below-claim": { losses: 1, crashes: 2 },
  "timestamp-below-checkpoint": kill,
  "segment-not-synced": powerLoss,
  "segments-directory-not-synced": powerLoss,
  "manifest-not-synced": powerLoss,
  "rename-before-sync": powerLoss,
  "checkpoints-directory-not-synced": powerLoss,
  "sweep-takes-all": kill,
  "file-opened-before-ledger": kill,
  "ids-reused": { losses: 1, crashes: 2 },
  "no-epoch-check": killAndFailure,
  "no-publish": {},
  "ledger-without-conditions": killAndFailure,
  "stale-cache": { failures: 2 },
  "claim-without-owner": kill,
  "restart-claims-anew": { zombies: 1, failures: 1 },
  "manifest-before-claim": zombie,
  "newest-by-id": zombie,
  "sweep-of-a-zombie": zombie,
  "sweep-before-adoption": { zombies: 1, crashes: 1 },
  "fenced-as-corrupt": zombie,
  /** `completeCheckpoint` removes the own manifest for a successor's that is not durable yet. (Was so.) */
  "removed-before-durable": { zombies: 1, crashes: 1, power: true },
  /** `sweep` removes manifests before the newest is durable, which a killed process renamed. (Was so.) */
  "swept-before-durable": { crashes: 2, power: true }
} satisfies { readonly [name: string]: Partial<Scope> }

export type Bug = keyof typeof planted

export const bugs = Object.entries(planted).map(([bug, options]) => ({
  bug: bug as Bug,
  scope: {
    parallelism: [1],
    keys: [0, 0],
    triggers: 1,
    crashes: 0,
    failures: 0,
    zombies: 0,
    losses: 0,
    power: false,
    clocks: [0],
    ...options,
    name: bug
  } satisfies Scope
}))

/** Those of test/simulation/planted.ts that the model has no words for, and what finds them besides the simulation. */
export const notInTheModel: { readonly [bug: string]: string } = {
  "timestamp-per-chunk": "a record is a chunk here: it is timestamp-per-checkpoint; test/sink, test/recovery",
  "timestamp-in-milliseconds": "timestamps have no unit here; FlinkLimits (L5)",
  "segment-sync-retried": "a failed fsync ends the run; no handle is used after it; FileStateBackend.test",
  "existing-directory-not-synced": "the state directory is there from the beginning; FileStateBackend.crash.test",
  "checksums-ignored": "nothing is damaged, and bytes are not told; FileStateBackend.test flips every bit",
  "sealed-while-removed": "a run ends in one step, not fiber by fiber; FileStateBackend.crash.test",
  "locked-by-itself": "the lock is not told: a start is a start; FileStateBackend.crash.test",
  "triggers-after-the-end": "a trigger is answered at once, and no failure is counted; test/checkpoint, test/job",
  "waits-for-aborted": "there is no back-pressure, as there are no bytes; WriteAheadSink.test",
  "no-back-pressure": "there is no back-pressure, as there are no bytes; WriteAheadSink.test",
  "limit-falls-to-zero": "a request is answered or not, and nobody waits for another's; AdaptiveLimit.test",
  "burst-above-limit": "a request is answered or not, and nobody waits for another's; RequestGate.test",
  "buffer-back-too-early": "rows have no bytes here; FileStateBackend.test",
  "gathered-back-too-early": "rows have no bytes here",
  "sealed-out-of-order": "a segment is sealed in one step, no other comes between; test/sink/sealing",
  "ended-before-sealed": "a barrier is sealed in the step that takes it; test/sink/sealing",
  "sealed-while-written": "a segment is written and sealed in one step here",
  "read-back-too-early": "rows have no bytes here; FileStateBackend.test",
  "window-back-too-early": "rows have no bytes here; the simulation",
  "half-full-batches-forgotten": "rows are sent one by one here; BatchPlan.test",
  "outdated-state-trusted": "nobody goes back to a machine that was left; test/job/outdatedState",
  "outdated-state-is-done": "nobody goes back to a machine that was left; test/job/outdatedState",
  "commit-overtakes": "a checkpoint is sent when the one before is committed; the simulation, test/job/sending",
  "repair-without-claim": "nothing is done by hand here; the simulation, test/cli/repair",
  "other-ledger-trusted": "the ledger is never lost; the simulation, test/job/otherLedger",
  "new-ledger-below-the-state": "the ledger is never lost; the simulation, test/job/otherLedger",
  "new-ledger-wants-what-was-removed": "the ledger is never lost; the simulation, test/job/otherLedger",
  "new-ledger-forgotten": "the ledger is never lost; the simulation, test/job/otherLedger",
  "repair-of-an-outdated-state": "nothing is done by hand here; the simulation, test/job/outdatedState",
  "repair-under-the-old-epoch": "nothing is done by hand here; the simulation, test/cli/repair",
  "repair-drops-a-block": "nothing is done by hand here; the simulation, test/cli/repair",
  "repair-moves-first": "nothing is done by hand here; the simulation, ManualRepair.test",
  "repair-tells-less": "nothing is done by hand here; the simulation, test/cli/repair",
  "skip-too-many": "nothing is done by hand here; the simulation, test/cli/commit",
  "commit-claims-anew": "nothing is done by hand here; the simulation, test/cli/commit",
  "commit-forgets-the-rest": "nothing is done by hand here; the simulation, test/cli/commit",
  "repair-cuts-the-letters": "nothing is done by hand here; the simulation",
  "commit-forgets-the-letters": "nothing is done by hand here; the simulation, test/cli/commit",
  "skip-exports-rows-alone": "nothing is done by hand here; the simulation, test/cli/commit",
  "export-not-synced": "nothing is done by hand here; the simulation",
  "export-directory-not-synced": "nothing is done by hand here; the simulation",
  "statement-index": "a row has one statement here; statements.test",
  "statements-apart": "a row has one statement here; statements.test",
  "statements-mixed": "a row has one statement here; statements.test",
  "letter-after-commit": "there are no bad records here; the simulation, test/cli/deadLetters",
  "letter-not-synced": "there are no bad records here; the simulation, test/cli/deadLetters",
  "letters-directory-not-synced": "there are no bad records here; the simulation, test/cli/deadLetters",
  "letter-behind-a-torn-one": "there are no bad records here; the simulation, test/cli/deadLetters",
  "letter-taken-for-durable": "there are no bad records here; the simulation, test/cli/deadLetters",
  "poison-dropped": "there are no bad records here; the simulation, test/cli/deadLetters",
  "unreadable-dropped": "there are no bad records here; the simulation, test/cli/deadLetters",
  "unreadable-last": "there are no bad records here; the simulation, Barriers.test",
  "letter-of-a-committed-checkpoint": "there are no bad records here; the simulation",
  "batch-dead-lettered": "there are no bad records here; the simulation, test/cli/deadLetters",
  "unheard-dead-lettered": "there are no bad records here; the simulation, test/cli/deadLetters",
  "letters-counted-twice": "there are no bad records here; the simulation, test/cli/deadLetters",
  "letter-of-this-run": "there are no bad records here; the simulation, test/cli/deadLetters",
  "savepoint-segment-not-synced": "there are no savepoints here; Savepoint.test",
  "savepoint-directory-not-synced": "there are no savepoints here; Savepoint.test",
  "savepoint-before-segments": "there are no savepoints here; Savepoint.test",
  "savepoint-position-of-the-reader": "there are no savepoints here; test/job/savepoint",
  "savepoint-without-rows": "there are no savepoints here; test/cli/savepoint",
  "restore-stamps-anew": "there are no savepoints here; test/cli/savepoint",
  "restore-below-the-old-job": "there are no savepoints here; test/job/savepoint",
  "restore-without-fence": "there are no savepoints here; test/cli/savepoint",
  "restored-by-two": "there are no savepoints here; RestoreSavepoint.test",
  "old-name-goes-on": "there are no savepoints here; test/job/savepoint",
  "restore-supersedes-unasked": "there are no savepoints here; CassandraCommitter.test",
  "restore-by-a-zombie": "there are no savepoints here; the simulation",
  "restore-of-one-lineage": "there are no savepoints here; test/cli/savepoint",
  "restored-twice": "there are no savepoints here; test/job/savepoint",
  "restored-before-its-rows": "there are no savepoints here; the simulation",
  "origin-forgotten": "there are no savepoints here; test/job/savepoint",
  "cache-of-a-successor": "a process asks for its epoch only before it ends; CassandraCommitter.test"
}
