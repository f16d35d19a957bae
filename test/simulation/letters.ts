/**
 * What must hold of the dead letters, looked at from outside: in their file on each machine's disk.
 *
 * A letter is one of a lineage, as a row is: within one a record has one letter, with one timestamp and on one disk one id,
 * whoever writes it again; a repair that goes back has the records behind that point set aside anew. No letter is written
 * by whoever has the job when the ledger has its checkpoint already: those of a checkpoint are kept before it is committed,
 * and of what was committed or skipped by hand nobody writes any more.
 *
 * What a person commits or skips by hand is exported before, durably: of what he skips all records, of what he commits those
 * that were set aside, as nothing else has them.
 */
import type { Machine, Process } from "../../src/testing/internal/crashProcess.ts"
import type { DiskStep } from "../../src/testing/SimulatedDisk.ts"
import type { Lineages } from "./lineages.ts"
import type { Oracle } from "./oracle.ts"

export const path = "/data/jobs/letters.ndjson"

interface Letter {
  readonly id: string
  readonly position: { readonly place: number }
  readonly line?: string
  readonly record?: { readonly rank: number | string }
  readonly timestamp: number
  readonly job: string
  readonly checkpoint: number
  readonly subtask: number
}

/** A letter that was seen on a disk. */
interface Known extends Letter {
  /** That its record belongs to for whoever wrote it. */
  readonly lineage: number
  /** Written by a process that was superseded: its successor need not know of it. */
  readonly isLate: boolean
}

/** What is on the disk of one machine. */
class Room {
  /** By id, as long as there was such a file. */
  readonly known = new Map<string, Known>()
  /** Who has written last or begun to, whether it was superseded then, and where the line began that the file ended with. */
  writer: Process | null = null
  isLate = false
  from = 0
}

export class Letters {
  private readonly oracle: Oracle
  private readonly lineages: Lineages
  private readonly violate: (what: string) => void
  private readonly rooms = new Map<Machine, Room>()
  private readonly exports: Array<{ readonly machine: Machine; readonly path: string; readonly records: Set<number> }> =
    []

  constructor(oracle: Oracle, lineages: Lineages, violate: (what: string) => void) {
    this.oracle = oracle
    this.lineages = lineages
    this.violate = violate
  }

  private roomOf(machine: Machine): Room {
    const known = this.rooms.get(machine)
    if (known !== undefined) return known
    const made = new Room()
    this.rooms.set(machine, made)
    return made
  }

  /** The ledgers have to be known as they are. */
  onStep(process: Process, { operation, path: at, phase }: DiskStep): void {
    if (operation !== "write" || at !== path) return
    const { machine } = process
    const room = this.roomOf(machine)
    if (phase === "before") {
      // Of whoever died in the middle of it.
      this.look(machine)
      room.writer = process
      room.isLate = process.isSuperseded
      room.from = textOn(machine).lastIndexOf("\n") + 1
      return
    }
    room.writer = process
    room.isLate = process.isSuperseded
    const found = this.look(machine)
    if (process.isSuperseded) return
    for (const letter of found(room.from)) {
      const { checkpoint, job, position: { place }, subtask } = letter
      if (this.oracle.isCommitted(job, subtask, checkpoint)) {
        this.violate(
          `the letter of record ${place} was written when the ledger had its checkpoint ${checkpoint} already`
        )
      }
    }
  }

  /** Takes up what is new in the file, and gives the letters from a byte on. */
  private look(machine: Machine): (from: number) => ReadonlyArray<Letter> {
    const room = this.roomOf(machine)
    const text = textOn(machine)
    const letters = lettersIn(text)
    for (const letter of letters) {
      const { id, position: { place }, timestamp } = letter
      const payload = letter.line ?? `record ${-Number(String(letter.record?.rank).replace("rank ", "-"))}`
      if (payload !== `record ${place}`) this.violate(`the letter of record ${place} holds ${payload}`)
      if (room.known.has(id) || room.writer === null) continue
      const lineage = this.oracle.ownerOf(this.lineages.of(room.writer), place)
      for (const [other, { known }] of this.rooms) {
        for (const one of known.values()) {
          if (one.position.place !== place || one.lineage !== lineage) continue
          if (other === machine) this.violate(`record ${place} has the letters ${one.id} and ${id} in state ${lineage}`)
          else if (one.timestamp !== timestamp) {
            this.violate(`the letter of record ${place} has timestamp ${one.timestamp}, and ${timestamp}`)
          }
        }
      }
      room.known.set(id, { ...letter, lineage, isLate: room.isLate })
    }
    return (from) => lettersIn(text.slice(from))
  }

  /** These records stand in a file, for whoever wants to have them when the log does not have them any more. */
  isExported(machine: Machine, path: string, records: Iterable<number>): void {
    this.exports.push({ machine, path, records: new Set(records) })
  }

  /**
   * The letters on the disk are those of the bad ones among the first `records` records, and as many as the job says. A
   * letter stays where it was written: what came with a savepoint, and was committed before, is on one of the disks that the
   * savepoint came from.
   */
  judge(
    [own, ...before]: ReadonlyArray<{ readonly machine: Machine; readonly upTo: number }>,
    lineage: number,
    records: number,
    { deadLetters }: { readonly deadLetters: number }
  ): void {
    const { machine } = own!
    this.look(machine)
    const here = lettersIn(textOn(machine))
    const elsewhere = new Set<number>()
    for (const { machine, upTo } of before) {
      for (const { position: { place } } of lettersIn(textOn(machine))) if (place <= upTo) elsewhere.add(place)
    }
    const ids = new Set<string>()
    let late = 0
    const has = new Set<number>()
    const { known } = this.roomOf(machine)
    for (const { id, position: { place } } of here) {
      const letter = known.get(id)
      if (!ids.has(id) && letter?.isLate === true) late++
      ids.add(id)
      if (letter?.lineage === this.oracle.ownerOf(lineage, place)) has.add(place)
      if (place > records) this.violate(`there is a dead letter of record ${place}, which was not read yet`)
      else if (!this.oracle.isPoison(place)) {
        this.violate(`record ${place} is good, and there is a dead letter of it`)
      }
    }
    for (let seq = 1; seq <= records; seq++) {
      if (!this.oracle.isPoison(seq) || has.has(seq) || elsewhere.has(seq)) continue
      if (this.oracle.mayBeMissing(lineage, seq)) continue
      this.violate(`record ${seq} is bad (${this.oracle.badOf(seq)}), and there is no dead letter of it`)
    }
    if (deadLetters > ids.size || deadLetters < ids.size - late) {
      this.violate(`the job counts ${deadLetters} dead letters, and there are ${ids.size}`)
    }
  }

  /** What was decided on by hand is in the files that it was exported to. */
  judgeExports(): void {
    for (const { machine, path, records } of this.exports) {
      const text = Buffer.from(machine.disk.files().get(path) ?? []).toString()
      const found = new Set(text.split("\n").flatMap((line) => parse<{ place: number }>(line)?.place ?? []))
      for (const seq of records) if (!found.has(seq)) this.violate(`${path} does not have record ${seq}`)
    }
  }
}

const textOn = ({ disk }: Machine): string => Buffer.from(disk.files().get(path) ?? []).toString()

const lettersIn = (text: string): ReadonlyArray<Letter> => text.split("\n").flatMap((line) => parse<Letter>(line) ?? [])

/** Null for a line that a crash has cut off. */
const parse = <A>(line: string): A | null => {
  try {
    return line === "" ? null : JSON.parse(line)
  } catch {
    return null
  }
}
