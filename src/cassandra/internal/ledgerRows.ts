/**
 * What the rows of a job's ledger hold, by their `sub_id`: a number each, of a subtask where it is not negative.
 *
 * The job that has gone on from a savepoint of this one is `jobId@records uid` (behind so many records of this one), in UTF-8, six
 * bytes to a row (what a JavaScript number holds), below a row that has its length: 0 where nobody is named any more.
 */
import type { Claim, Heir } from "../../checkpoint/CheckpointCommitter.ts"

/** By `sub_id`. */
export type Rows = ReadonlyMap<number, number>

export const epochRow = -1
/** The newest published checkpoint. */
export const publishedRow = -2
/** The greatest write timestamp that was published. */
export const timestampRow = -3
/** Whose claim the epoch is: a random number. */
export const ownerRow = -4
/** The epoch that published last. */
export const publishedEpochRow = -5
/** Below it are those that have the name. */
export const nameRow = -6
/** What tells the ledger from every other: the random number of the first claim. Below the longest name. */
export const identityRow = -2_147_483_648

const rowBytes = 6

export const heirToRows = ({ jobId, records, uid }: Heir): ReadonlyArray<readonly [row: number, value: number]> => {
  const bytes = Buffer.from(`${jobId}@${records} ${uid}`)
  const parts = Math.ceil(bytes.length / rowBytes)
  const padded = Buffer.concat([bytes], parts * rowBytes)
  return [
    [nameRow, bytes.length],
    ...Array.from(
      { length: parts },
      (_, i) => [nameRow - 1 - i, padded.readUIntBE(i * rowBytes, rowBytes)] as const
    )
  ]
}

export const heirFromRows = (rows: Rows): Heir | null => {
  const length = rows.get(nameRow) ?? 0
  if (length <= 0) return null
  const parts = Math.ceil(length / rowBytes)
  const bytes = Buffer.alloc(parts * rowBytes)
  for (let i = 0; i < parts; i++) bytes.writeUIntBE(rows.get(nameRow - 1 - i) ?? 0, i * rowBytes, rowBytes)
  // A job id has no space in it, and no @.
  const [, jobId = "", records, uid = ""] = /^([^ @]*)(?:@(\d+))? ([^]*)$/.exec(bytes.subarray(0, length).toString()) ??
    []
  return { jobId, uid, records: Number(records ?? 0) }
}

/**
 * What the ledger says, for people: nothing is claimed by reading it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ledger {
  /** Its place, for messages. */
  readonly describe: string
  /** Null if the job has never claimed one. */
  readonly epoch: number | null
  readonly publishedCheckpointId: number
  /** The epoch that published it; 0 if there was none. */
  readonly publishedEpoch: number
  readonly maxTimestamp: number
  /** By subtask: everything up to this checkpoint is in. */
  readonly committed: ReadonlyMap<number, number>
  /** The job that has gone on from a savepoint of this one; null if none has. */
  readonly takenOverBy: Heir | null
  /** What tells it from every other one, as in `Claim`; null if there is none, or it was claimed by an older version only. */
  readonly ledgerId: string | null
}

export const toRows = (rows: ReadonlyArray<{ readonly [column: string]: unknown }>): Rows =>
  new Map(rows.map((row) => [Number(row["sub_id"]), Number(row["checkpoint_id"])]))

/** Both together, where either may have been read first: numbers only grow, but what comes and goes is the newest epoch's. */
export const newerOf = (known: Rows, rows: Rows): Rows => {
  const merged = new Map(known)
  const isNewest = (rows.get(epochRow) ?? 0) >= (known.get(epochRow) ?? 0)
  for (const [row, value] of rows) {
    const comesAndGoes = row === ownerRow || row <= nameRow
    if (comesAndGoes ? isNewest : value > (known.get(row) ?? Number.NEGATIVE_INFINITY)) merged.set(row, value)
  }
  return merged
}

/** Of the subtasks alone. */
export const committedOf = (rows: Rows): ReadonlyMap<number, number> => new Map([...rows].filter(([row]) => row >= 0))

const identityOf = (rows: Rows): string | null => rows.get(identityRow)?.toString(36) ?? null

export const toClaim = (rows: Rows): Claim => {
  const takenOverBy = heirFromRows(rows)
  return {
    epoch: rows.get(epochRow) ?? 0,
    publishedCheckpointId: rows.get(publishedRow) ?? 0,
    publishedEpoch: rows.get(publishedEpochRow) ?? 0,
    maxTimestamp: rows.get(timestampRow) ?? 0,
    ledger: committedOf(rows),
    ledgerId: identityOf(rows),
    ...(takenOverBy === null ? {} : { takenOverBy })
  }
}

export const toLedger = (describe: string, rows: Rows): Ledger => {
  const { ledger: committed, takenOverBy = null, ...known } = toClaim(rows)
  return { describe, ...known, epoch: rows.get(epochRow) ?? null, committed, takenOverBy, ledgerId: identityOf(rows) }
}
