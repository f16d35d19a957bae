/**
 * The steps of processes, and what the program of faults does to a process at each of them: it is held up, dies, freezes, is
 * asked to end, or makes another one thaw.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { FaultProgram } from "../FaultProgram.ts"
import type { Cluster } from "../SimulatedCassandra.ts"
import type { DiskStep } from "../SimulatedDisk.ts"
import type { Scenario } from "./crashModel.ts"
import type { Machine, Process } from "./crashProcess.ts"
import type { Dice } from "./dice.ts"
import type { Timeline } from "./timeline.ts"

/** Steps of a process, after which it meets no more faults. */
const faultStepsMax = 2000
/** What processes make their steps in. */
export interface Stage {
  readonly program: FaultProgram
  readonly scenario: Scenario
  readonly cluster: Cluster
  readonly timeline: Timeline
  readonly serverClock: Clock.Clock
  readonly dice: Dice
  readonly processes: ReadonlyArray<Process>
  /** The process whose turn it is: the end of the program is its, and its steps are those that frozen ones wait for. */
  readonly current: Process | null
  /** Between which milliseconds the clocks of all processes were. */
  readonly wall: { greatest: number }
  readonly count: (what: string) => void
  readonly say: (line: string) => void
}

export class Steps {
  /** Of all processes. */
  count = 0
  deaths = 0
  private readonly world: Stage

  constructor(world: Stage) {
    this.world = world
  }

  /** Before, during or after an operation of a disk. */
  ofDisk(machine: Machine, step: DiskStep): Effect.Effect<void> {
    const process = machine.processes.get(step.process)
    if (process === undefined) return Effect.void
    const { delayChance, delayMillisMax, slow, turnsMax } = this.world.program.disk
    const heldUp = this.take(
      process,
      step,
      step.phase === "before",
      () => `disk ${step.phase} ${step.operation} ${kindOf(step.path)}`
    )
    if (process.isDead) return Effect.never
    let wait: Effect.Effect<void> = heldUp > 0 ? this.delay(heldUp) : Effect.void
    if (step.phase === "before" && !process.isCalm && heldUp === 0) {
      if (slow?.operation === step.operation) wait = this.delay(slow.millis)
      else if (delayMillisMax > 0 && this.world.dice.chance(delayChance)) {
        wait = this.delay(1 + this.world.dice.below(delayMillisMax))
      } else if (turnsMax > 0) wait = this.turns(this.world.dice.below(turnsMax + 1))
    }
    return process.isFrozen ? Effect.andThen(wait, process.gate.await) : wait
  }

  private delay(millis: number): Effect.Effect<void> {
    return this.world.serverClock.sleep(Duration.millis(millis))
  }

  private turns(turns: number): Effect.Effect<void> {
    return turns === 0 ? Effect.void : Effect.flatMap(Effect.yieldNow, () => this.turns(turns - 1))
  }

  /** Counts a step, and does to the process what the program says for it. Gives how long the step is held up. */
  take(process: Process, disk: DiskStep | null, isBefore: boolean, label: () => string): number {
    process.step++
    this.count++
    process.trail.push(
      disk === null
        ? (isBefore ? "before" : "after-change")
        : disk.phase === "after" && disk.changes
        ? "after-change"
        : disk.phase
    )
    if (disk?.phase === "before") {
      process.operations.set(disk.operation, (process.operations.get(disk.operation) ?? 0) + 1)
    }
    this.world.wall.greatest = Math.max(
      this.world.wall.greatest,
      Math.ceil(this.world.timeline.now) + process.skewMillis
    )
    this.world.scenario.onStep?.(process, disk)
    if (
      !process.isCalm &&
      (process.step > faultStepsMax || this.world.timeline.now - process.startedAt > this.world.program.faultMillis)
    ) {
      this.endFaults(process)
    }
    if (process !== this.world.current) return 0
    for (const other of this.world.processes) {
      if (!other.isFrozen || other.thawIn === null || other === process) continue
      const { end } = other.run
      if (end.kind === "freeze" && label().includes(end.thawWhere) && --other.thawIn <= 0) this.thaw(other)
    }
    this.meetEnd(process, label)
    return process.run.delays.find(({ at }) => at === process.step)?.millis ?? 0
  }

  private meetEnd(process: Process, label: () => string): void {
    const { end } = process.run
    if (end.kind === "finish") return
    if (end.where === "" || label().includes(end.where)) process.stepsToEnd++
    if (process.stepsToEnd < end.at) return
    if (end.kind === "stop") {
      if (process.isStopped) return
      process.isStopped = true
      this.world.count(`stop: ${label()}`)
      Deferred.doneUnsafe(process.stopRequested, Exit.void)
      return
    }
    if (end.kind === "freeze") {
      if (process.wasFrozen || this.world.scenario.mayFreeze?.(process) === false) return
      process.wasFrozen = true
      process.thawIn = end.thawAfter
      this.world.count(`freeze: ${label()}`)
      this.world.say(`process ${process.name} freezes at step ${process.step}: ${label()}`)
      return this.world.timeline.freeze(process)
    }
    this.world.count(`${end.kind}: ${label()}`)
    this.world.say(`process ${process.name} dies at step ${process.step}: ${label()}`)
    if (end.kind === "kill") {
      process.disk.kill()
      return this.died(process)
    }
    const { undone } = process.machine.disk.crash({ mode: end.mode })
    if (undone.length > 0) this.world.say(`  undone: ${undone.join(", ")}`)
    for (const other of process.machine.processes.values()) {
      if (other.exit === undefined && !other.isDead) this.died(other)
    }
  }

  private died(process: Process): void {
    this.deaths++
    process.isDead = true
    this.world.cluster.kill(process.session)
  }

  thaw(process: Process): void {
    this.world.count("thaw")
    this.world.say(`process ${process.name} thaws`)
    this.world.timeline.thaw(process)
  }

  /** Of the process, and of the disk of its machine, whoever they were meant for. */
  endFaults(process: Process): void {
    process.isCalm = true
    for (const other of process.machine.processes.values()) {
      for (const end of other.endFaults.splice(0)) end()
    }
    process.machine.disk.setCapacity(null)
  }
}

/** Of a path, for the description of a step: without what differs from one file of its kind to the next. */
export const kindOf = (path: string): string => {
  const name = path.slice(path.lastIndexOf("/") + 1)
  if (name.startsWith("savepoint-")) return "savepoint-*"
  return name.startsWith("lock.") ? "lock" : name.replace(/^e\d.*?(\.[a-z.]+)$/, "*$1")
}
