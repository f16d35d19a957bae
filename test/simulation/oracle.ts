/**
 * What must hold whatever happens, looked at from outside: in the requests that Cassandra gets, in its tables, in the
 * files. It knows the program and nothing of how the library works, but for the ledger's table and the files' names.
 *
 * A *lineage* is what one state directory leads to: a machine that starts with an empty disk begins a new one, and loads
 * the input again with newer timestamps. Within a lineage a record has one timestamp for ever. A machine that starts with
 * a savepoint begins a lineage as well, and the records that the savepoint covers keep the timestamps of its own. So does
 * a repair: one that goes back to an older checkpoint keeps what that one covers, one that cuts a segment keeps all, and
 * what it told to be lost may be missing.
 *
 * What the operator commits or skips by hand may be missing as well, once the ledger says so and not before: until then
 * the rows are whoever's who holds the job.
 */
import type { Manifest } from "../../src/checkpoint/Manifest.ts"
import { newestFirst } from "../../src/checkpoint/Manifest.ts"
import { preambleBytes } from "../../src/state/WalFormat.ts"
import type { InspectedRow, WrittenRow } from "../../src/testing/SimulatedCassandra.ts"
import type { SimulatedDisk } from "../../src/testing/SimulatedDisk.ts"
import type { Bad, Program } from "./program.ts"

export const table = "sim.t"
/** `rank` falls as `seq` grows: of two rows with one timestamp neither wins, as the greater value of each cell does. */
export const query = `INSERT INTO ${table} (id, seq, rank) VALUES (?, ?, ?)`
export const update = `UPDATE ${table} SET rank = ?, seq = ? WHERE id = ?`
export const ledgerTable = (jobId: string): string => `flink_auxiliary.checkpoints_${jobId}`
export const directory = "/data/jobs/state"

export const epochRow = -1
const timestampRow = -3
const ownerRow = -4
const publishedEpochRow = -5
/** From here down: the name of the job that has taken the ledger's over. It comes and goes. */
const takenOverRow = -6

interface Lineage {
  readonly timestamps: Map<number, bigint>
  least: bigint
  greatest: bigint
}

/** Rows that a person has decided about, as of a claim of his. */
export interface Naming {
  readonly jobId: string
  readonly epoch: number
  readonly checkpointId: number
  readonly subtasks: ReadonlyArray<number>
  readonly lineage: number
  readonly records: ReadonlySet<number>
  /** Called when the ledger has it. */
  readonly onDone: () => void
  isDone: boolean
}

export class Oracle {
  /** By job and row of its ledger. */
  private readonly ledgers = new Map<string, Map<number, bigint>>()
  /** What ledgers that are lost have known of write timestamps. Processes of then may still send what was published there. */
  private readonly lostTimestamps = new Map<string, bigint>()
  /** Where the records up to one come from, for what began with a savepoint. */
  private readonly parents = new Map<number, { readonly lineage: number; readonly upTo: number }>()
  private readonly lineages = new Map<number, Lineage>()
  private lineageCount = 0
  /** Records that may be missing, by the lineage that they are missing in. */
  private readonly missing = new Map<number, Set<number>>()
  private readonly namings = new Set<Naming>()
  /** The key of each record, by its number (from 1). */
  private readonly keys: ReadonlyArray<number>
  private readonly bad: ReadonlyArray<Bad>

  private readonly violate: (what: string) => void

  constructor(program: Program, violate: (what: string) => void) {
    this.keys = program.chunks.flatMap(({ keys }) => keys)
    this.bad = program.chunks.flatMap(({ bad = [], keys }) => keys.map((_, i) => bad[i] ?? ""))
    this.violate = violate
  }

  get records(): number {
    return this.keys.length
  }

  /** Whether record `seq` belongs into the dead letters. */
  isPoison(seq: number): boolean {
    const bad = this.bad[seq - 1] ?? ""
    return bad !== "" && bad !== "unheard"
  }

  badOf(seq: number): Bad {
    return this.bad[seq - 1] ?? ""
  }

  /** In the order in which they begin. */
  newLineage(): number {
    return this.lineageCount++
  }

  /** Whether nothing was sent of a lineage that began with nothing, and is not the last to begin. */
  isUnused(lineage: number): boolean {
    return !this.lineages.has(lineage) && !this.parents.has(lineage) && lineage < this.lineageCount - 1
  }

  /** These records may be missing, as somebody was told. */
  mayMiss(lineage: number, records: Iterable<number>): void {
    const missing = this.missing.get(lineage) ?? new Set()
    for (const seq of records) missing.add(seq)
    this.missing.set(lineage, missing)
  }

  /** Whether somebody was told that a record of a lineage is missing. */
  mayBeMissing(lineage: number, seq: number): boolean {
    if (this.missing.get(lineage)?.has(seq) === true) return true
    const parent = this.parents.get(lineage)
    return parent !== undefined && seq <= parent.upTo && this.mayBeMissing(parent.lineage, seq)
  }

  /** Somebody is about to record that rows are done with. It counts when the ledger has it under his epoch. */
  named(naming: Naming): void {
    this.namings.add(naming)
  }

  /** He was told that it is done. */
  isDecided(naming: Naming): void {
    if (!naming.isDone) {
      this.violate(`checkpoint ${naming.checkpointId} was told to be decided on, and the ledger does not have it`)
    }
  }

  /** Somebody was told that it is done, under an epoch: whoever held the job before is stopped by that. */
  isClaimed(jobId: string, epoch: number): void {
    const known = this.ledgerOf(jobId).get(epochRow) ?? 0n
    if (known < BigInt(epoch)) this.violate(`it was done under epoch ${epoch}, and the ledger of ${jobId} has ${known}`)
  }

  private settle(jobId: string): void {
    const ledger = this.ledgerOf(jobId)
    for (const naming of this.namings) {
      if (naming.jobId !== jobId) continue
      const isDone = naming.subtasks.every((subtask) => (ledger.get(subtask) ?? 0n) >= BigInt(naming.checkpointId))
      if (isDone) {
        naming.isDone = true
        naming.onDone()
        this.mayMiss(naming.lineage, naming.records)
      }
      // Whoever has claimed the job since sends the rows, and nobody may say any more that they are done with.
      if (isDone || (ledger.get(epochRow) ?? 0n) > BigInt(naming.epoch)) this.namings.delete(naming)
    }
  }

  /** A lineage begins with a savepoint, or a repair, that covers the records up to one. */
  inherit(lineage: number, from: number, upTo: number): void {
    this.parents.set(lineage, { lineage: from, upTo })
  }

  /** The lineage that a record got its timestamp in. */
  ownerOf(lineage: number, seq: number): number {
    const parent = this.parents.get(lineage)
    return parent === undefined || seq > parent.upTo ? lineage : this.ownerOf(parent.lineage, seq)
  }

  private timestampOf(lineage: number, seq: number): bigint | undefined {
    return this.lineages.get(this.ownerOf(lineage, seq))?.timestamps.get(seq)
  }

  /** Somebody has dropped it: whatever comes is another one. */
  ledgerLost(jobId: string): void {
    const ledger = this.ledgerOf(jobId)
    const known = [this.lostTimestamps.get(jobId) ?? 0n, ledger.get(timestampRow) ?? 0n]
    this.lostTimestamps.set(jobId, known[0]! > known[1]! ? known[0]! : known[1]!)
    ledger.clear()
  }

  /** Whether somebody has claimed the job in its ledger as it is now. */
  isLedgerClaimed(jobId: string): boolean {
    return this.ledgerOf(jobId).has(epochRow)
  }

  private ledgerOf(jobId: string): Map<number, bigint> {
    const known = this.ledgers.get(jobId)
    if (known !== undefined) return known
    const made = new Map<number, bigint>()
    this.ledgers.set(jobId, made)
    return made
  }

  /** A row is sent: its timestamp is that of its record, known to the ledger, and of the time it was logged at. */
  sent(
    { row, timestamp }: WrittenRow,
    { jobId, lineage: sender }: { readonly jobId: string; readonly lineage: number },
    wall: { readonly least: number; readonly greatest: number }
  ): void {
    const seq = Number(row["seq"])
    const name = `record ${seq} (state ${sender})`
    const lineage = this.ownerOf(sender, seq)
    if (this.keys[seq - 1] !== Number(row["id"]) || Number(row["rank"]) !== -seq) {
      this.violate(`${name} was sent with other values: ${JSON.stringify(row)}`)
    }
    let own = this.lineages.get(lineage)
    if (own === undefined) {
      own = { timestamps: new Map(), least: timestamp, greatest: timestamp }
      this.lineages.set(lineage, own)
    }
    const known = own.timestamps.get(seq)
    if (known === undefined) own.timestamps.set(seq, timestamp)
    else if (known !== timestamp) this.violate(`${name} was sent with timestamp ${known}, and with ${timestamp}`)
    if (timestamp < own.least) own.least = timestamp
    if (timestamp > own.greatest) own.greatest = timestamp
    const [now, lost] = [this.ledgerOf(jobId).get(timestampRow) ?? 0n, this.lostTimestamps.get(jobId) ?? 0n]
    const published = now > lost ? now : lost
    if (timestamp > published) {
      this.violate(`${name} was sent with timestamp ${timestamp}, when the ledger knew none above ${published}`)
    }
    // Each row takes a microsecond, and all are logged again at most once for each state.
    const slack = BigInt((this.records + 1) * (this.lineages.size + 20))
    if (timestamp < BigInt(wall.least) * 1000n || timestamp > BigInt(wall.greatest + 1) * 1000n + slack) {
      this.violate(
        `${name} has timestamp ${timestamp}, which is not in microseconds between ${wall.least} ms and ` +
          `${wall.greatest} ms`
      )
    }
  }

  /** Called whenever the ledger may have changed. */
  ledgerSeen(jobId: string, rows: ReadonlyArray<InspectedRow>): void {
    const ledger = this.ledgerOf(jobId)
    for (const { row } of rows) {
      const sub = Number(row["sub_id"])
      const value = BigInt(String(row["checkpoint_id"]))
      const before = ledger.get(sub) ?? 0n
      if (sub !== ownerRow && sub > takenOverRow && value < before) {
        this.violate(`row ${sub} of the ledger of ${jobId} went from ${before} to ${value}`)
      }
      ledger.set(sub, value)
    }
    this.settle(jobId)
  }

  /** Whether a job has gone on with another state than the one on this disk, which then has nothing to say any more. */
  isLeftBehind(disk: SimulatedDisk, jobId: string): boolean {
    const epoch = newestEpoch(disk)
    return epoch !== null && BigInt(epoch) < (this.ledgerOf(jobId).get(publishedEpochRow) ?? 0n)
  }

  /** Whether the ledger has what a subtask logged for a checkpoint. */
  isCommitted(jobId: string, subtask: number, checkpointId: number): boolean {
    return BigInt(checkpointId) <= (this.ledgerOf(jobId).get(subtask) ?? 0n)
  }

  /**
   * The first `records` records are in the table, each with the timestamp of this state; and nothing else, unless it is
   * known that there is more. (A state that began with a savepoint, and has not yet come as far as the one before, finds
   * what that has written since: rows of later records, which the savepoint's must not have replaced.)
   */
  contents(rows: ReadonlyArray<InspectedRow>, lineage: number, records: number, isAll: boolean): void {
    const expected = new Map<number, number>()
    /** By key, where the last record may be missing: the last that may not, null if there is none, and those behind it. */
    const lenient = new Map<number, { readonly least: number | null; readonly others: Set<number> }>()
    for (let seq = 1; seq <= records; seq++) {
      if (this.isPoison(seq)) continue
      const key = this.keys[seq - 1]!
      const before = expected.get(key)
      expected.set(key, seq)
      const mayBeMissing = this.mayBeMissing(lineage, seq)
      if (!mayBeMissing) lenient.delete(key)
      else {
        const known = lenient.get(key) ?? { least: before ?? null, others: new Set<number>() }
        known.others.add(before ?? seq)
        lenient.set(key, known)
      }
      if (!mayBeMissing && this.timestampOf(lineage, seq) === undefined) {
        this.violate(`record ${seq} was never sent from state ${lineage}`)
      }
    }
    for (const { row, writetimes } of rows) {
      const id = Number(row["id"])
      const seq = Number(row["seq"])
      let wanted = expected.get(id)
      expected.delete(id)
      const instead = lenient.get(id)
      const writetime = BigInt(writetimes.get("seq") ?? 0)
      if (instead !== undefined) {
        // What an earlier state has left there stays, if nothing newer of this one has come to the key.
        const least = instead.least === null ? 0n : this.timestampOf(lineage, instead.least) ?? 0n
        if (writetime > least && this.isOfEarlier(lineage, seq, writetime)) continue
        if (instead.others.has(seq)) wanted = seq
      }
      if (wanted === undefined) {
        if (isAll) this.violate(`key ${id} is in the table`)
      } else if (!isAll && seq > wanted && this.ownerOf(lineage, wanted) !== lineage && this.keys[seq - 1] === id) {
        if (BigInt(writetimes.get("seq") ?? 0) <= (this.timestampOf(lineage, wanted) ?? 0n)) {
          this.violate(`record ${seq} is in the table and has write time ${writetimes.get("seq")}, as record ${wanted}`)
        }
      } else if (seq !== wanted || Number(row["rank"]) !== -wanted) {
        this.violate(`key ${id} has record ${seq} and ${-Number(row["rank"])}, not ${wanted}`)
      } else {
        const timestamp = this.timestampOf(lineage, wanted)
        if (writetimes.get("seq") !== timestamp) {
          this.violate(`record ${seq} has write time ${writetimes.get("seq")}, not ${timestamp}`)
        }
      }
    }
    for (const [id, wanted] of expected) {
      if (lenient.get(id)?.least !== null) this.violate(`key ${id} has no row, not record ${wanted}`)
    }
  }

  /** Whether this is what a record of an earlier lineage was written as. */
  private isOfEarlier(lineage: number, seq: number, timestamp: bigint): boolean {
    for (const [number, { timestamps }] of this.lineages) {
      if (number < this.ownerOf(lineage, seq) && timestamps.get(seq) === timestamp) return true
    }
    return false
  }

  /**
   * Of one key a later record is newer, and everything that got its timestamp in a later state is newer than everything of
   * an earlier one.
   */
  order(): void {
    const lineages = [...this.lineages].toSorted(([a], [b]) => a - b)
    let before: readonly [number, bigint] | null = null
    for (const [number, { greatest, least, timestamps }] of lineages) {
      if (before !== null && least <= before[1]) {
        this.violate(`state ${number} sent timestamp ${least}, state ${before[0]} before it ${before[1]}`)
      }
      if (before === null || greatest > before[1]) before = [number, greatest]
      const last = new Map<number, bigint>()
      for (const [seq, timestamp] of [...timestamps].toSorted(([a], [b]) => a - b)) {
        const key = this.keys[seq - 1]!
        if ((last.get(key) ?? 0n) >= timestamp) {
          this.violate(`record ${seq} of key ${key} is not newer than the one before it: ${timestamp}`)
        }
        last.set(key, timestamp)
      }
    }
  }

  /**
   * Nothing is left over but the newest checkpoints, what these still list, and the lock; and what a claim that led to no
   * checkpoint began to write, until the next one.
   */
  files(disk: SimulatedDisk, retained: number): void {
    const manifests = manifestsOf(disk)
    const listed = new Set(
      manifests.flatMap(({ pending }) => pending.map(({ name }) => `${directory}/segments/${name}`))
    )
    const epoch = manifests[0]?.epoch ?? 0
    for (const path of disk.files().keys()) {
      if (!path.startsWith(`${directory}/`)) continue
      const temporary = /\/e(\d+)-c\d+\.manifest\.tmp$/.exec(path)
      if (temporary !== null && Number(temporary[1]) > epoch) continue
      if (
        !listed.has(path) && !path.endsWith(".manifest") && path !== `${directory}/job.json` &&
        !path.endsWith(".broken") &&
        !path.startsWith(`${directory}/lock.`)
      ) {
        this.violate(`${path} was left behind`)
      }
    }
    if (manifests.length < 1 || manifests.length > retained) this.violate(`${manifests.length} manifests were left`)
  }
}

/** Of the newest checkpoint, by its name; null if there is none. */
export const newestEpoch = (disk: SimulatedDisk): number | null =>
  [...disk.files().keys()].reduce<number | null>((newest, path) => {
    const epoch = epochOf(path)
    return epoch === null ? newest : Math.max(newest ?? 0, epoch)
  }, null)

/** Of a manifest, by its path; null for any other file. */
export const epochOf = (path: string): number | null => {
  const name = /\/checkpoints\/e(\d+)-c\d+\.manifest$/.exec(path)
  return name === null ? null : Number(name[1])
}

/** Newest first. They have to be whole. */
export const manifestsOf = (disk: SimulatedDisk): Array<Manifest> =>
  [...disk.files()].filter(([path]) => path.startsWith(`${directory}/`) && path.endsWith(".manifest"))
    .map(([, bytes]): Manifest => JSON.parse(bytes.subarray(preambleBytes).toString()))
    .toSorted(newestFirst)

/** What the newest checkpoint says about the source. */
export const recordsRead = (disk: SimulatedDisk): number => Number(manifestsOf(disk)[0]?.position?.["next"] ?? 0)
