/**
 * Which lineage each process works on. A manifest is of the lineage of the process that wrote it, and that one is of the
 * lineage of the newest manifest that it has read before its first of an epoch: so what a superseded process writes beside
 * its successor is told apart from what that goes on from.
 */
import type { Machine, Process } from "../../src/testing/internal/crashProcess.ts"
import type { DiskStep } from "../../src/testing/SimulatedDisk.ts"
import type { Oracle } from "./oracle.ts"
import { epochOf } from "./oracle.ts"

export class Lineages {
  private readonly oracle: Oracle
  private readonly bases = new Map<Machine, number>()
  private readonly byEpoch = new Map<Machine, Map<number, number>>()
  private readonly read = new Map<Process, number>()
  private readonly written = new Map<Process, number>()

  constructor(oracle: Oracle) {
    this.oracle = oracle
  }

  /** What a machine begins with. */
  base(machine: Machine): number {
    const known = this.bases.get(machine)
    if (known !== undefined) return known
    const made = this.oracle.newLineage()
    this.bases.set(machine, made)
    return made
  }

  /** Nothing was there: what an earlier process began there, and sent nothing of, comes after what others have begun since. */
  private anew(machine: Machine): number {
    if (this.oracle.isUnused(this.base(machine))) this.bases.set(machine, this.oracle.newLineage())
    return this.base(machine)
  }

  of(process: Process): number {
    const epoch = this.written.get(process) ?? this.read.get(process)
    return epoch === undefined ? this.base(process.machine) : this.ofEpoch(process.machine, epoch)
  }

  /** Of the manifests of an epoch. */
  ofEpoch(machine: Machine, epoch: number): number {
    return this.byEpoch.get(machine)?.get(epoch) ?? this.base(machine)
  }

  /** What a repair writes under its epoch goes on from a lineage, of which it keeps the records up to one. */
  begin(process: Process, epoch: number, from: number, upTo: number): number {
    const lineage = this.oracle.newLineage()
    this.oracle.inherit(lineage, from, upTo)
    this.set(process.machine, epoch, lineage)
    return lineage
  }

  onStep(process: Process, { operation, path, phase }: DiskStep): void {
    if (phase !== "before") return
    if (operation === "read") {
      const epoch = epochOf(path)
      // A sweep reads the older ones that are kept, and nobody goes on from these.
      if (epoch !== null) this.read.set(process, Math.max(epoch, this.read.get(process) ?? 0))
    } else if (operation === "rename" && path.endsWith(".manifest.tmp")) {
      const epoch = epochOf(path.slice(0, -".tmp".length))
      if (epoch === null) return
      const read = this.read.get(process)
      if (this.byEpoch.get(process.machine)?.get(epoch) === undefined) {
        const lineage = read === undefined ? this.anew(process.machine) : this.ofEpoch(process.machine, read)
        this.set(process.machine, epoch, lineage)
      }
      this.written.set(process, epoch)
    }
  }

  private set(machine: Machine, epoch: number, lineage: number): void {
    const epochs = this.byEpoch.get(machine) ?? new Map<number, number>()
    this.byEpoch.set(machine, epochs.set(epoch, lineage))
  }
}
