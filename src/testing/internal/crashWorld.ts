/**
 * Carries out a program of faults: processes on simulated machines, a simulated Cassandra and virtual time, through all
 * deaths, freezes and faults, then one process without any.
 *
 * A *frozen* process (a long pause of its machine, SIGSTOP) is held at a gate before and after each operation of its disk
 * and each request, and its timers do not fire. Its successors work meanwhile; when it thaws, it goes on where it was.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Scheduler from "effect/Scheduler"
import { CassandraSession } from "../../cassandra/CassandraSession.ts"
import type { FaultProgram, Run } from "../FaultProgram.ts"
import { undisturbed } from "../FaultProgram.ts"
import type { Cluster, Fault, InspectedRow } from "../SimulatedCassandra.ts"
import * as SimulatedCassandra from "../SimulatedCassandra.ts"
import * as SimulatedDisk from "../SimulatedDisk.ts"
import type { Outcome, Scenario } from "./crashModel.ts"
import type { Machine } from "./crashProcess.ts"
import { Process, watchedSession } from "./crashProcess.ts"
import { kindOf, Steps } from "./crashSteps.ts"
import type { Dice } from "./dice.ts"
import { makeDice } from "./dice.ts"
import { CurrentOwner, Stuck, Timeline } from "./timeline.ts"

export const startMillis = 1_750_000_000_000
/** What a process without faults may take: every timeout, backoff and delay of a program is far below. */
const limitMillis = 900_000
const violationsMax = 20

export class World {
  readonly program: FaultProgram
  readonly cluster: Cluster
  readonly violations = new Set<string>()
  readonly processes: Array<Process> = []
  /** Between which milliseconds the clocks of all processes were. */
  readonly wall = { least: startMillis, greatest: startMillis }
  /** The process whose turn it is. */
  current: Process | null = null
  readonly scenario: Scenario
  private readonly trace: ((line: string) => void) | undefined
  readonly timeline = new Timeline(startMillis)
  readonly serverClock = this.timeline.clock(null)
  readonly dice: Dice
  private readonly coverage = new Map<string, number>()
  private readonly machines = new Map<number, Machine>()
  private readonly bySession: Array<Process | null> = []
  /** Machines that were left, because their state was found damaged. */
  private machinesLeft = 0
  private readonly steps: Steps

  constructor(program: FaultProgram, scenario: Scenario, trace?: (line: string) => void) {
    this.program = program
    this.scenario = scenario
    this.trace = trace
    this.dice = makeDice(program.seed + 0.5 * 0x1_0000_0000)
    this.steps = new Steps(this)
    const { cassandra } = program
    this.cluster = SimulatedCassandra.makeCluster({
      seed: program.seed,
      replicas: cassandra.replicas,
      faults: cassandra.faults,
      turnsMax: cassandra.turnsMax,
      delayMillisMax: cassandra.delayMillisMax,
      slowMillisMax: cassandra.slowMillisMax,
      lateChance: cassandra.lateChance,
      outages: cassandra.outages.map(({ fromMillis, toMillis }) => ({
        fromMillis: startMillis + fromMillis,
        toMillis: startMillis + toMillis
      })),
      onRequest: (request) => this.faultOf(this.bySession[request.session] ?? null),
      refuses: (row) => {
        const sender = this.bySession[row.session]
        return sender == null ? null : scenario.refuses?.(row, sender) ?? null
      },
      onWrite: (row) => {
        const sender = this.bySession[row.session]
        if (sender != null) scenario.onWrite?.(row, sender, this)
      }
    })
  }

  /** Everything, from the first process to the last. */
  live(): Outcome {
    try {
      this.liveAll()
    } catch (error) {
      if (!(error instanceof Stuck)) throw error
      this.violate(error.message)
    }
    return this.outcome()
  }

  violate(what: string): void {
    if (this.violations.size < violationsMax) this.violations.add(what)
  }

  count(what: string, times = 1): void {
    this.coverage.set(what, (this.coverage.get(what) ?? 0) + times)
  }

  say(line: string): void {
    this.trace?.(`${String(Math.round(this.timeline.elapsedMillis)).padStart(7)} ms  ${line}`)
  }

  /** Whoever is still there. */
  zombies(): ReadonlyArray<Process> {
    return this.processes.filter((process) => !process.isDead && process.exit === undefined)
  }

  rows(table: string): ReadonlyArray<InspectedRow> {
    return this.now(this.cluster.rows(table))
  }

  private liveAll(): void {
    const { program, scenario } = this
    this.makeTables()
    for (const [i, run] of program.runs.entries()) {
      this.takeTurn(run, i)
      if (this.violations.size > 0) return
    }
    const last = (parallelism: number) => undisturbed(parallelism, program.runs.at(-1)?.machine ?? 0)
    const isAlone = this.zombies().length === 0
    let finisher = this.takeTurn(last(1 + program.seed % 3), null)
    if (finisher.exit?._tag === "Failure" && finisher.machine.isDamaged) finisher = this.takeTurn(last(2), null)
    if (finisher.exit?._tag !== "Success") return this.violate("the process without faults did not finish")
    if (isAlone) scenario.onFinished?.(finisher)
    for (const zombie of this.zombies()) if (zombie.isFrozen) this.steps.thaw(zombie)
    this.timeline.run(() => this.zombies().length === 0, limitMillis)
    this.flushLate()
    // Whatever a zombie has left is taken away by the next start; there is nothing to do for it.
    const again = this.takeTurn(last(1), null)
    this.flushLate()
    scenario.onEnd?.(again, this)
    this.nothingLeft()
  }

  private outcome(): Outcome {
    const coverage = new Map(this.coverage)
    const add = (prefix: string, other: ReadonlyMap<string, number>) => {
      for (const [what, times] of other) coverage.set(prefix + what, (coverage.get(prefix + what) ?? 0) + times)
    }
    for (const { disk } of this.machines.values()) add("disk ", disk.coverage)
    add("cassandra ", this.cluster.coverage)
    add("request ", this.cluster.requests)
    return {
      violations: [...this.violations],
      steps: this.steps.count,
      deaths: this.steps.deaths,
      virtualMillis: this.timeline.elapsedMillis,
      trails: this.processes.map(({ operations, requests, trail }) => ({ steps: trail, requests, operations })),
      coverage
    }
  }

  // --- processes

  /** Runs a process until it is somebody else's turn. `number` is null for one that meets no faults. */
  private takeTurn(run: Run, number: number | null): Process {
    const process = this.start(run, number)
    const outages = this.program.cassandra.outages.map(({ toMillis }) => toMillis - this.timeline.elapsedMillis)
    this.timeline.run(() => process.isOver, limitMillis + Math.max(0, ...outages))
    this.current = null
    this.timeline.rest()
    this.scenario.onTurnOver?.(process)
    if (!process.isFrozen) this.steps.endFaults(process)
    return process
  }

  private start(run: Run, number: number | null): Process {
    const place = run.machine + this.machinesLeft
    const machine = this.machineOf(this.scenario.placeOf?.(place) ?? place)
    this.scenario.onStart?.(run, machine)
    if (run.flip !== null) this.flip(machine, run.flip)
    const disk = machine.disk.boot()
    const name = number === null ? "the last" : `${number}`
    const takeOver = this.zombies().some((other) => other.machine === machine)
    const session = this.cluster.session({ requestTimeout: this.program.cassandra.requestTimeoutMillis })
    const process = new Process(name, run, machine, disk, session, this.timeline.now, takeOver)
    for (const other of this.processes) other.isSuperseded = true
    this.processes.push(process)
    machine.processes.set(disk.id, process)
    this.wall.least = Math.min(this.wall.least, Math.floor(this.timeline.now) + run.skewMillis)
    this.bySession.push(process)
    if (number === null) {
      for (const other of this.processes) this.steps.endFaults(other)
    } else {
      for (const { path, ...fault } of run.diskFaults) {
        process.endFaults.push(machine.disk.inject(path === "" ? fault : { ...fault, path }))
      }
      if (run.capacity !== null) machine.disk.setCapacity(run.capacity)
    }
    this.current = process
    this.say(
      `process ${name} starts on machine ${machine.number} with parallelism ${run.parallelism}` +
        (takeOver ? ", taking over" : "") + (run.end.kind === "finish" ? "" : `: ${JSON.stringify(run.end)}`)
    )
    Effect.runForkWith(this.contextOf(process))(
      Effect.map(disk.run(this.supervised(process)), (exit) => {
        if (exit === null) return
        process.exit = exit
        this.exited(process, exit)
      })
    )
    return process
  }

  /** What a supervisor does with a process that ends with an error. A zombie has none. */
  private supervised(process: Process): Effect.Effect<unknown, unknown, FileSystem.FileSystem> {
    const session = watchedSession(
      process,
      this.serverClock,
      (process, isBefore, label) => this.steps.take(process, null, isBefore, label),
      (process, request) => this.scenario.onAnswer?.(process, request)
    )
    return Effect.suspend(() => {
      process.claim = "none"
      return this.scenario.main(process, this)
    }).pipe(
      Effect.provideService(CassandraSession, session),
      Effect.tapError((error) => Effect.sync(() => this.say(`process ${process.name} fails: ${error}`))),
      Effect.retry({
        schedule: Schedule.spaced(500),
        while: (error) => this.scenario.isRestarted(error) && !process.wasFrozen
      })
    )
  }

  private machineOf(number: number): Machine {
    const known = this.machines.get(number)
    if (known !== undefined) return known
    const { program } = this
    const disk = SimulatedDisk.make({ seed: program.seed * 31 + number, shortReads: program.disk.shortReads })
    const machine: Machine = { number, disk, processes: new Map(), isDamaged: false }
    disk.observe((step) => this.steps.ofDisk(machine, step))
    this.machines.set(number, machine)
    if (number > 0) this.count("empty state directory")
    return machine
  }

  private contextOf(process: Process | null): Context.Context<never> {
    const { dice } = this
    return Context.make(Clock.Clock, process === null ? this.serverClock : this.timeline.clock(process)).pipe(
      Context.add(Scheduler.Scheduler, this.timeline.scheduler),
      Context.add(CurrentOwner, process),
      Context.add(Random.Random, {
        nextIntUnsafe: () => Math.floor((dice.next() * 2 - 1) * Number.MAX_SAFE_INTEGER),
        nextDoubleUnsafe: dice.next
      }),
      Context.add(Logger.CurrentLoggers, new Set([this.logger(process)]))
    )
  }

  private logger(process: Process | null): Logger.Logger<unknown, void> {
    return Logger.make(({ logLevel, message }) => {
      const text = Array.isArray(message) ? message.join(" ") : String(message)
      this.scenario.onLog?.(process, text)
      this.count(`log: ${text.replace(/:.*/s, "").replace(/ in \S+_\S+ at .*/, "").replace(/\S*\d\S*/g, "#")}`)
      if (this.trace !== undefined) this.say(`  ${process?.name} ${logLevel}: ${text}`)
    })
  }

  /** The operating system closes what it has open; nothing should be. */
  private exited(process: Process, exit: Exit.Exit<unknown, unknown>): void {
    const error = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
    this.say(`process ${process.name} ended` + (Exit.isSuccess(exit) ? `: ${JSON.stringify(exit.value)}` : ""))
    // What a superseded process has found says nothing about the machine of whoever comes next.
    const { isDamageReport } = this.scenario
    if (process.machine.isDamaged && !process.isSuperseded && isDamageReport?.(error, process) === true) {
      this.machinesLeft++
    }
    this.scenario.onExit?.(process, exit, this)
    // An open that is done and reports failure has a handle that nobody can close.
    const isLeaky = this.program.runs.some(({ diskFaults }) =>
      diskFaults.some(({ operation, outcome }) => operation === "create" && outcome === "done")
    )
    for (const { path, process: id } of process.machine.disk.openHandles()) {
      if (id === process.disk.id && !isLeaky) this.violate(`process ${process.name} has left ${path} open`)
    }
    process.disk.kill()
  }

  private nothingLeft(): void {
    this.timeline.rest()
    for (const process of this.processes) {
      if (process.isDead) continue
      let alive = 0
      for (const fiber of process.fibers) if (fiber.pollUnsafe() === undefined) alive++
      if (alive > 0) this.violate(`${alive} fibers of process ${process.name} are left`)
      if (process.sleeping > 0) this.violate(`${process.sleeping} sleepers of process ${process.name} are left`)
    }
  }

  // --- the rest of the world

  private faultOf(sender: Process | null): Fault | null | undefined {
    if (sender === null) return null
    const at = ++sender.requests
    if (sender.isCalm) return null
    return sender.run.requestFaults.find((entry) => entry.at === at)?.fault
  }

  private flip(machine: Machine, where: NonNullable<Run["flip"]>): void {
    if (this.zombies().some((process) => process.machine === machine)) return
    const files = [...machine.disk.files()]
      .filter(([path, bytes]) => bytes.length > 0 && (path.endsWith(".wal") || !where.onlySegments))
      .filter(([path]) => this.scenario.mayFlip?.(path) ?? true)
      .toSorted(([a], [b]) => a < b ? -1 : 1)
    const found = files[Math.floor(where.file * files.length)]
    if (found === undefined) return
    const bit = Math.floor(where.bit * found[1].length * 8)
    machine.disk.flipBit(found[0], bit)
    machine.isDamaged = true
    this.count(`flipped: ${kindOf(found[0])}`)
    this.say(`bit ${bit} of ${found[0]} flips`)
  }

  private makeTables(): void {
    this.administer(this.scenario.setup)
  }

  /** What an administrator has done in Cassandra before anything else goes on. */
  administer(statements: ReadonlyArray<string>): void {
    const setup = this.cluster.session()
    this.bySession.push(null)
    for (const cql of statements) {
      const fiber = Effect.runForkWith(this.contextOf(null))(Effect.retry(setup.query(cql), Schedule.spaced(1000)))
      this.timeline.run(() => fiber.pollUnsafe() !== undefined, limitMillis)
    }
  }

  private flushLate(): void {
    this.now(this.cluster.flushLate)
  }

  /** An effect that does not wait for anything. */
  private now<A>(effect: Effect.Effect<A>): A {
    const exit = Effect.runForkWith(this.contextOf(null))(effect).pollUnsafe()
    if (exit === undefined || Exit.isFailure(exit)) throw new Error("it did not end at once")
    return exit.value
  }
}
