/**
 * What must hold of one program on the real world, looked at from outside while it is carried out and at its end: in the
 * table, in the ledger, in the state directory.
 *
 * A *lineage* is what one state directory leads to, as in the simulation: a machine with an empty disk loads the input
 * again, with newer write times. Within a lineage a record has one write time for ever.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Row } from "./cluster.ts"

export interface Tally {
  rows: number
  missing: number
  different: number
  writeTimesChanged: number
}

const publishedRow = -2
const ownerRow = -4
const publishedEpochRow = -5
/** From here down: the name of the job that has taken the ledger's over. It comes and goes. */
const takenOverRow = -6

export class Oracle {
  readonly violations = new Set<string>()
  readonly tally: Tally = { rows: 0, missing: 0, different: 0, writeTimesChanged: 0 }
  private readonly name: string
  /** Sequence number of the last update, by key. */
  private readonly expected: ReadonlyMap<number, number>
  /** Of each sequence number, the key: for rows that are there before the end. */
  private readonly keyOf: (seq: number) => number | undefined
  /** By job. */
  private readonly ledgers = new Map<string, Map<number, number>>()
  /** When each lineage but the first began, in microseconds. */
  private readonly boundaries: Array<number> = []
  private readonly seen = new Map<string, number>()

  constructor(name: string, keys: ReadonlyArray<number>) {
    this.name = name
    this.expected = new Map(keys.map((key, i) => [key, i + 1]))
    this.keyOf = (seq) => keys[seq - 1]
  }

  violate(what: string): void {
    this.violations.add(`${this.name}: ${what}`)
  }

  /** What is read again from now on, with an empty disk or behind a savepoint, is newer than anything before. */
  newLineage(fromMicros: number): void {
    this.boundaries.push(fromMicros)
  }

  ledgerSeen(job: string, rows: ReadonlyMap<number, number>): void {
    const ledger = this.ledgers.get(job) ?? new Map<number, number>()
    this.ledgers.set(job, ledger)
    for (const [row, before] of ledger) {
      if (!rows.has(row)) this.violate(`row ${row} of the ledger is gone`)
      else if (row !== ownerRow && row > takenOverRow && rows.get(row)! < before) {
        this.violate(`row ${row} of the ledger went from ${before} to ${rows.get(row)}`)
      }
    }
    for (const [row, value] of rows) {
      ledger.set(row, value)
      if (row >= 0 && value > (rows.get(publishedRow) ?? 0)) {
        this.violate(`subtask ${row} is committed up to ${value}, and only ${rows.get(publishedRow)} is published`)
      }
    }
  }

  /** Rows of the job, whenever they are looked at. Those of others have negative keys. */
  rowsSeen(rows: ReadonlyArray<Row>): void {
    for (const { id, rank, rankTime, seq, seqTime } of rows) {
      if (id < 0) continue
      const name = `record ${seq} of key ${id}`
      if (rank !== -seq || seqTime !== rankTime) {
        this.tally.different++
        this.violate(`${name} is mixed: rank ${rank}, written at ${seqTime} and ${rankTime}`)
      } else if (this.keyOf(seq) !== id) {
        this.tally.different++
        this.violate(`${name} was never in the file`)
      }
      const lineage = this.boundaries.filter((start) => start <= seqTime).length
      const known = this.seen.get(`${lineage}/${seq}`)
      if (known !== undefined && known !== seqTime) {
        this.tally.writeTimesChanged++
        this.violate(`${name} was written at ${known}, and at ${seqTime}`)
      }
      this.seen.set(`${lineage}/${seq}`, seqTime)
    }
  }

  /** Of a job that is done: each key has its last update. */
  contents(rows: ReadonlyArray<Row>): void {
    this.rowsSeen(rows)
    const missing = new Map(this.expected)
    this.tally.rows = 0
    for (const { id, seq } of rows) {
      if (id < 0) continue
      this.tally.rows++
      const wanted = this.expected.get(id)
      missing.delete(id)
      if (wanted !== seq) {
        this.tally.different++
        this.violate(`key ${id} has record ${seq}, not ${wanted}`)
      }
    }
    this.tally.missing = missing.size
    for (const [id, wanted] of [...missing].slice(0, 3)) this.violate(`key ${id} has no row, not record ${wanted}`)
  }

  /** Whether a job has gone on with another state than this one, which then is refused. */
  isLeftBehind(state: string, ledger: ReadonlyMap<number, number>): boolean {
    const epoch = this.newestEpoch(state)
    return epoch !== null && epoch < (ledger.get(publishedEpochRow) ?? 0)
  }

  /** Of the newest checkpoint there; null if there is none. */
  newestEpoch(state: string): number | null {
    const checkpoints = Path.join(state, "checkpoints")
    const names = Fs.existsSync(checkpoints) ? Fs.readdirSync(checkpoints) : []
    const epochs = names.flatMap((name) => /^e(\d+)-c\d+\.manifest$/.exec(name)?.[1] ?? []).map(Number)
    return epochs.length === 0 ? null : Math.max(...epochs)
  }

  /** Of a job that is done: no segment is left, and no more checkpoints than are kept. */
  files(state: string, retained: number): void {
    for (const name of Fs.readdirSync(Path.join(state, "segments"))) {
      this.violate(`${state}/segments/${name} was left behind`)
    }
    const manifests = Fs.readdirSync(Path.join(state, "checkpoints"))
    if (manifests.length < 1 || manifests.length > retained || manifests.some((name) => !name.endsWith(".manifest"))) {
      this.violate(`${state}/checkpoints has ${manifests.join(", ")}`)
    }
  }
}
