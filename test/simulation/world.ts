/**
 * Runs a program: whole jobs of the real library on simulated disks, a simulated Cassandra and virtual time, through all
 * deaths, freezes and faults of the program, then one process without any, and lets the oracle judge.
 *
 * A *frozen* process (a long pause of its machine, SIGSTOP) is held at a gate before and after each operation of its disk
 * and each request, and its timers do not fire. Its successors work meanwhile; when it thaws, it goes on where it was.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Scheduler from "effect/Scheduler"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import type { Session } from "../../src/cassandra/CassandraSession.ts"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import * as RestartStrategy from "../../src/checkpoint/RestartStrategy.ts"
import * as Job from "../../src/job/Job.ts"
import * as FileStateBackend from "../../src/state/FileStateBackend.ts"
import type { Cluster } from "../../src/testing/SimulatedCassandra.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"
import type { DiskProcess, DiskStep } from "../../src/testing/SimulatedDisk.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { directory, ledgerTable, Oracle, query, recordsRead, table } from "./oracle.ts"
import type { Dice, Fault, Program, Run } from "./program.ts"
import { makeDice } from "./program.ts"
import { sourceOf } from "./source.ts"
import { CurrentOwner, Owner, Stuck, Timeline } from "./timeline.ts"

export interface Outcome {
  readonly violations: ReadonlyArray<string>
  readonly steps: number
  readonly deaths: number
  readonly virtualMillis: number
  readonly coverage: ReadonlyMap<string, number>
}

export interface Options {
  /** Sees what happens, line by line. */
  readonly trace?: ((line: string) => void) | undefined
}

const startMillis = 1_750_000_000_000
/** Steps of a process, after which it meets no more faults. */
const faultStepsMax = 2000
/** What a process without faults may take: every timeout, backoff and delay of the program is far below. */
const limitMillis = 900_000

/** Manifests, headers of segments, and the chunks that are on their way when a subtask finds that it is full. */
const boundSlackBytes = 12_288

interface Machine {
  readonly number: number
  readonly disk: SimulatedDisk.SimulatedDisk
  readonly processes: Map<number, Process>
  /** A bit of its files was flipped: to stop with a complaint is right. */
  isDamaged: boolean
}

class Process extends Owner {
  readonly run: Run
  readonly machine: Machine
  readonly disk: DiskProcess
  readonly startedAt: number
  session: Session | null = null
  step = 0
  /** Steps of the kind that its end waits for. */
  stepsToEnd = 0
  /** It meets no faults any more. */
  isCalm = false
  /**
   * It has claimed the job, and knows it: the ledger was read after a conditional batch. One that has not is not frozen:
   * it would claim when it thaws, and be the next process, not a zombie.
   */
  claim: "none" | "applied" | "known" = "none"
  abortedCheckpoints = 0
  wasFrozen = false
  /** Its job has failed, and has not started again. */
  isBetweenRuns = false
  /** A process was started after it. */
  isSuperseded = false
  thawIn: number | null = null
  stop: Effect.Effect<void> | null = null
  isStopped = false
  exit: Exit.Exit<Job.JobSummary, unknown> | undefined
  readonly endFaults: Array<() => void> = []

  constructor(name: string, run: Run, machine: Machine, disk: DiskProcess, startedAt: number) {
    super(name, run.skewMillis)
    this.run = run
    this.machine = machine
    this.disk = disk
    this.startedAt = startedAt
  }

  /** Whether it is somebody else's turn. */
  get isOver(): boolean {
    return this.exit !== undefined || this.isDead || this.isFrozen
  }
}

export const run = (program: Program, options: Options = {}): Outcome => {
  const world = new World(program, options)
  try {
    world.live()
  } catch (error) {
    if (!(error instanceof Stuck)) throw error
    world.oracle.violate(error.message)
  }
  return world.outcome()
}

class World {
  readonly oracle: Oracle
  private readonly program: Program
  private readonly trace: ((line: string) => void) | undefined
  private readonly timeline = new Timeline(startMillis)
  private readonly serverClock = this.timeline.clock(null)
  private readonly dice: Dice
  private readonly cluster: Cluster
  private readonly coverage = new Map<string, number>()
  private readonly machines = new Map<number, Machine>()
  private readonly bySession: Array<Process | null> = []
  private readonly processes: Array<Process> = []
  private readonly source: ReturnType<typeof sourceOf>
  private current: Process | null = null
  /** Machines that were left, because their state was found damaged. */
  private machinesLeft = 0
  private steps = 0
  private deaths = 0
  private readonly wall = { least: startMillis, greatest: startMillis }

  constructor(program: Program, options: Options) {
    this.program = program
    this.trace = options.trace
    this.oracle = new Oracle(program)
    this.dice = makeDice(program.seed + 0.5 * 0x1_0000_0000)
    this.source = sourceOf(program.chunks, () => this.count("source failed"))
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
      onRequest: ({ session }) => this.bySession[session]?.isCalm === false ? undefined : null,
      onWrite: (row) => {
        if (row.table !== "t") return
        const sender = this.bySession[row.session]
        if (sender == null) return
        this.oracle.sent(row, sender.machine.number, this.wall)
      }
    })
  }

  live(): void {
    const { program } = this
    this.makeTables()
    for (const [i, run] of program.runs.entries()) {
      this.live1(run, i)
      if (this.oracle.violations.size > 0) return
    }
    const lastMachine = program.runs.at(-1)?.machine ?? 0
    const last = (parallelism: number): Run => ({
      parallelism,
      machine: lastMachine,
      skewMillis: 0,
      diskFaults: [],
      capacity: null,
      flip: null,
      end: { kind: "finish" }
    })
    // With several checkpoints kept, an old one may still list what is in, until the next start.
    const isTidy = this.zombies().length === 0 && program.retainedCheckpoints === 1
    let finisher = this.live1(last(1 + program.seed % 3), null)
    if (finisher.exit?._tag === "Failure" && finisher.machine.isDamaged) finisher = this.live1(last(2), null)
    if (finisher.exit?._tag !== "Success") return this.oracle.violate("the process without faults did not finish")
    if (isTidy) this.oracle.files(finisher.machine.disk, program.retainedCheckpoints)
    for (const zombie of this.zombies()) if (zombie.isFrozen) this.thaw(zombie)
    this.timeline.run(() => this.zombies().length === 0, limitMillis)
    this.flushLate()
    // Whatever a zombie has left is taken away by the next start; there is nothing to do for it.
    const again = this.live1(last(1), null)
    if (again.exit?._tag === "Success" && again.exit.value.outcome !== "nothing-to-do") {
      this.oracle.violate(`the job was done, and a further start ended with "${again.exit.value.outcome}"`)
    }
    this.flushLate()
    this.oracle.contents(this.now(this.cluster.rows(table)), again.machine.number, this.oracle.records, true)
    this.oracle.order()
    this.oracle.files(again.machine.disk, program.retainedCheckpoints)
    this.nothingLeft()
  }

  outcome(): Outcome {
    const coverage = new Map(this.coverage)
    const add = (prefix: string, other: ReadonlyMap<string, number>) => {
      for (const [what, times] of other) coverage.set(prefix + what, (coverage.get(prefix + what) ?? 0) + times)
    }
    for (const { disk } of this.machines.values()) add("disk ", disk.coverage)
    add("cassandra ", this.cluster.coverage)
    add("request ", this.cluster.requests)
    return {
      violations: [...this.oracle.violations],
      steps: this.steps,
      deaths: this.deaths,
      virtualMillis: this.timeline.elapsedMillis,
      coverage
    }
  }

  // --- processes

  /** Runs a process until it is somebody else's turn. `number` is null for one that meets no faults. */
  private live1(run: Run, number: number | null): Process {
    const process = this.start(run, number)
    this.timeline.run(() => process.isOver, limitMillis + Math.max(0, ...this.outageEnds()))
    this.current = null
    this.timeline.rest()
    this.readLedger()
    if (process.exit?._tag === "Success") this.finished(process)
    if (!process.isFrozen) this.endFaults(process)
    return process
  }

  /** Whoever is still there when his successor starts. */
  private zombies(): ReadonlyArray<Process> {
    return this.processes.filter((process) => !process.isDead && process.exit === undefined)
  }

  private outageEnds(): Array<number> {
    return this.program.cassandra.outages.map(({ toMillis }) => toMillis - this.timeline.elapsedMillis)
  }

  private start(run: Run, number: number | null): Process {
    const machine = this.machineOf(run.machine + this.machinesLeft)
    if (run.flip !== null) this.flip(machine, run.flip)
    const disk = machine.disk.boot()
    const name = number === null ? "the last" : `${number}`
    const process = new Process(name, run, machine, disk, this.timeline.now)
    for (const other of this.processes) other.isSuperseded = true
    const takeOver = this.zombies().some((other) => other.machine === machine)
    this.processes.push(process)
    machine.processes.set(disk.id, process)
    this.wall.least = Math.min(this.wall.least, Math.floor(this.timeline.now) + run.skewMillis)
    process.session = this.cluster.session({ requestTimeout: this.program.cassandra.requestTimeoutMillis })
    this.bySession.push(process)
    if (number === null) {
      this.calm()
    } else {
      for (const { path, ...fault } of run.diskFaults) {
        process.endFaults.push(machine.disk.inject(path === "" ? fault : { ...fault, path }))
      }
      if (run.capacity !== null) machine.disk.setCapacity(run.capacity)
    }
    this.current = process
    this.say(
      `process ${name} starts on machine ${machine.number} with ${run.parallelism} subtasks` +
        (takeOver ? ", taking over" : "") + (run.end.kind === "finish" ? "" : `: ${JSON.stringify(run.end)}`)
    )
    const context = this.contextOf(process)
    Effect.runForkWith(context)(
      Effect.map(disk.run(this.jobOf(process, takeOver)), (exit) => {
        if (exit === null) return
        process.exit = exit
        this.judge(process, exit)
        this.exited(process)
      })
    )
    return process
  }

  private machineOf(number: number): Machine {
    let machine = this.machines.get(number)
    if (machine === undefined) {
      const { program } = this
      const disk = SimulatedDisk.make({ seed: program.seed * 31 + number, shortReads: program.disk.shortReads })
      const made: Machine = { number, disk, processes: new Map(), isDamaged: false }
      disk.observe((step) => this.diskStep(made, step))
      this.machines.set(number, made)
      machine = made
      if (number > 0) this.count("empty state directory")
    }
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
      if (process !== null && text.startsWith("The job failed and starts again")) process.isBetweenRuns = true
      if (process !== null && text.includes(" was aborted: ")) process.abortedCheckpoints++
      this.count(`log: ${text.replace(/:.*/s, "").replace(/ in \S+_\S+ at .*/, "").replace(/\S*\d\S*/g, "#")}`)
      if (this.trace !== undefined) this.say(`  ${process?.name} ${logLevel}: ${text}`)
    })
  }

  private jobOf(process: Process, takeOver: boolean) {
    const { checkpoint, ...program } = this.program
    const services = Layer.mergeAll(
      CassandraCommitter.layer({
        jobId: "job",
        uid: "sink",
        replication: { class: "SimpleStrategy", replication_factor: program.cassandra.replicas }
      }),
      FileStateBackend.layer({
        directory,
        jobId: "job",
        uid: "sink",
        retainedCheckpoints: program.retainedCheckpoints,
        writeBufferBytes: program.writeBufferBytes,
        takeOver
      })
    ).pipe(
      Layer.provideMerge(Layer.succeed(CassandraSession, this.watched(process))),
      Layer.provideMerge(process.disk.layer)
    )
    const once = Schedule.recurs(1).pipe(
      Schedule.setInputType<{ readonly isRetryable: boolean }>(),
      Schedule.while(({ input }) => input.isRetryable)
    )
    const job = Effect.scoped(Effect.gen({ self: this }, function*() {
      const handle = yield* Job.start({
        source: this.source,
        parallelism: process.run.parallelism,
        checkpoint: {
          interval: checkpoint.intervalMillis,
          minPause: checkpoint.minPauseMillis,
          timeout: checkpoint.timeoutMillis,
          maxConcurrent: checkpoint.maxConcurrent,
          tolerableFailures: checkpoint.tolerableFailures,
          pendingCheckpointsMax: checkpoint.pendingCheckpointsMax,
          commitRetry: program.isImpatient ? once : undefined
        },
        restart: RestartStrategy.fromConfig(program.restart),
        sink: {
          query,
          requestsInFlightMax: program.requestsInFlightMax,
          segmentBytesMax: program.segmentBytesMax,
          pendingBytesMax: program.pendingBytesMax,
          sendRetry: program.isImpatient ? once : undefined
        }
      })
      process.stop = handle.stop
      if (process.isStopped) yield* handle.stop
      return yield* handle.result
    }))
    // What a supervisor does with a process that ends with an error. A zombie has none.
    return Effect.suspend(() => {
      process.claim = "none"
      return Effect.provide(job, services, { local: true })
    }).pipe(
      Effect.tapError((error) => Effect.sync(() => this.count(`ended with ${error._tag}`))),
      Effect.retry({
        schedule: Schedule.spaced(500),
        while: (error: { readonly isRetryable: boolean }) => error.isRetryable && !process.wasFrozen
      })
    )
  }

  /** The operating system closes what it has open; nothing should be. */
  private exited(process: Process): void {
    // An open that is done and reports failure has a handle that nobody can close.
    const isLeaky = ({ operation, outcome }: Fault) => operation === "create" && outcome === "done"
    for (const { path, process: id } of process.machine.disk.openHandles()) {
      if (id !== process.disk.id || this.program.runs.some(({ diskFaults }) => diskFaults.some(isLeaky))) continue
      this.oracle.violate(`process ${process.name} has left ${path} open`)
    }
    process.disk.kill()
  }

  /** How a process may end by itself. */
  private judge(process: Process, exit: Exit.Exit<Job.JobSummary, unknown>): void {
    if (Exit.isSuccess(exit)) {
      const { outcome, replayedCheckpoints, restarts } = exit.value
      this.say(`process ${process.name} ended: ${JSON.stringify(exit.value)}`)
      this.count(`ended: ${outcome}`)
      if (replayedCheckpoints > 0) this.count("replayed checkpoints", replayedCheckpoints)
      if (restarts > 0) this.count("restarts", restarts)
      if (process.wasFrozen) this.count("a zombie ended well")
      return
    }
    const error = Cause.squash(exit.cause) as { readonly _tag?: string; readonly isRetryable?: boolean }
    this.say(`process ${process.name} failed: ${String(error)}`)
    const isFenced = error._tag === "Fenced" && process.isSuperseded
    const isLoud = process.machine.isDamaged && (error._tag === "StateCorrupt" || error._tag === "StateUnusable")
    const isZombie = process.wasFrozen && error.isRetryable === true && !Cause.hasDies(exit.cause)
    if (isFenced) this.count("fenced")
    else if (isLoud) {
      this.count("damage was found")
      this.machinesLeft++
    } else if (!isZombie) {
      this.oracle.violate(`process ${process.name} ended with ${error._tag ?? "a defect"}: ${Cause.pretty(exit.cause)}`)
    }
  }

  /** Whoever ends well has everything in the table that his last checkpoint covers (unless stopped between two runs). */
  private finished(process: Process): void {
    if (this.zombies().length > 0 || process.isBetweenRuns) return
    const read = recordsRead(process.machine.disk)
    this.oracle.contents(this.now(this.cluster.rows(table)), process.machine.number, read, false)
  }

  private nothingLeft(): void {
    this.timeline.rest()
    for (const process of this.processes) {
      if (process.isDead) continue
      let alive = 0
      for (const fiber of process.fibers) if (fiber.pollUnsafe() === undefined) alive++
      if (alive > 0) this.oracle.violate(`${alive} fibers of process ${process.name} are left`)
      if (process.sleeping > 0) this.oracle.violate(`${process.sleeping} sleepers of process ${process.name} are left`)
    }
  }

  // --- steps

  private diskStep(machine: Machine, step: DiskStep): Effect.Effect<void> {
    const process = machine.processes.get(step.process)
    if (process === undefined) return Effect.void
    const { delayChance, delayMillisMax, turnsMax } = this.program.disk
    if (step.operation === "write" && step.phase === "after") this.checkBound(process)
    this.step(process, () => `disk ${step.phase} ${step.operation} ${kindOf(step.path)}`)
    if (process.isDead) return Effect.never
    let wait: Effect.Effect<void> = Effect.void
    if (step.phase === "before" && !process.isCalm) {
      if (delayMillisMax > 0 && this.dice.chance(delayChance)) wait = this.delay(1 + this.dice.below(delayMillisMax))
      else if (turnsMax > 0) wait = this.turns(this.dice.below(turnsMax + 1))
    }
    return process.isFrozen ? Effect.andThen(wait, process.gate.await) : wait
  }

  /**
   * What waits for Cassandra is bounded, whatever Cassandra does. (What waits for a checkpoint that is not acknowledged is
   * not: after an aborted one the rows of more than one are logged.)
   */
  private checkBound(process: Process): void {
    const { pendingBytesMax } = this.program
    if (process.abortedCheckpoints > 0 || process !== this.current || this.zombies().length > 1) return
    const bytes = process.machine.disk.usedBytes()
    if (bytes > 3 * pendingBytesMax + boundSlackBytes) {
      this.oracle.violate(`${bytes} bytes are on the disk, and each subtask may have ${pendingBytesMax} pending`)
    }
  }

  private delay(millis: number): Effect.Effect<void> {
    return this.serverClock.sleep(Duration.millis(millis))
  }

  private turns(turns: number): Effect.Effect<void> {
    return turns === 0 ? Effect.void : Effect.flatMap(Effect.yieldNow, () => this.turns(turns - 1))
  }

  private watched(process: Process): Session {
    const session = process.session!
    const request = <A, E, R>(
      call: Effect.Effect<A, E, R>,
      kind: string,
      isLedger: boolean
    ): Effect.Effect<A, E, R> => {
      const there = Effect.provideService(call, Clock.Clock, this.serverClock)
      const done = isLedger ? Effect.ensuring(there, Effect.sync(() => this.readLedger())) : there
      const pass = (when: string) =>
        Effect.suspend(() => {
          process.isBetweenRuns = false
          this.step(process, () => `request ${when} ${kind}`)
          return process.isDead ? Effect.never : process.gate.await
        })
      return pass("before").pipe(
        Effect.andThen(Effect.exit(done)),
        Effect.flatMap((exit) => Effect.andThen(pass("after"), exit))
      )
    }
    return {
      ...session,
      query: (cql, params, options) => {
        const isLedger = cql.includes(ledgerTable)
        return Effect.tap(request(session.query(cql, params, options), "query", isLedger), () =>
          Effect.sync(() => {
            if (isLedger && process.claim === "applied") process.claim = "known"
          }))
      },
      execute: (statement, params, options) => request(session.execute(statement, params, options), "execute", false),
      prepare: (cql) => request(session.prepare(cql), "prepare", false),
      table: (keyspace, name) => request(session.table(keyspace, name), "table", false),
      clusterInfo: request(session.clusterInfo, "clusterInfo", false),
      batch: (statements, options) => {
        const isLedger = statements[0]?.cql.includes(ledgerTable) === true
        return Effect.tap(
          request(session.batch(statements, options), isLedger ? "lwt" : "batch", isLedger),
          (result) =>
            Effect.sync(() => {
              if (isLedger && result.applied !== false && process.claim === "none") process.claim = "applied"
            })
        )
      }
    }
  }

  private step(process: Process, label: () => string): void {
    process.step++
    this.steps++
    this.wall.greatest = Math.max(this.wall.greatest, Math.ceil(this.timeline.now) + process.skewMillis)
    if (
      !process.isCalm &&
      (process.step > faultStepsMax || this.timeline.now - process.startedAt > this.program.faultMillis)
    ) {
      this.endFaults(process)
    }
    if (process !== this.current) return
    for (const other of this.processes) {
      if (other.isFrozen && other.thawIn !== null && other !== process && --other.thawIn <= 0) this.thaw(other)
    }
    const { end } = process.run
    if (end.kind === "finish") return
    if (end.where === "" || label().includes(end.where)) process.stepsToEnd++
    if (process.stepsToEnd < end.at) return
    if (end.kind === "stop") {
      if (process.isStopped) return
      process.isStopped = true
      this.count(`stop: ${label()}`)
      if (process.stop !== null) Effect.runForkWith(this.contextOf(process))(process.stop)
      return
    }
    if (end.kind === "freeze") {
      if (process.claim !== "known" || process.wasFrozen) return
      process.wasFrozen = true
      process.thawIn = end.thawAfter
      this.count(`freeze: ${label()}`)
      this.say(`process ${process.name} freezes at step ${process.step}: ${label()}`)
      return this.timeline.freeze(process)
    }
    this.count(`${end.kind}: ${label()}`)
    this.say(`process ${process.name} dies at step ${process.step}: ${label()}`)
    if (end.kind === "kill") {
      process.disk.kill()
      return this.died(process)
    }
    const { undone } = process.machine.disk.crash({ mode: end.mode })
    if (undone.length > 0) this.say(`  undone: ${undone.join(", ")}`)
    for (const other of process.machine.processes.values()) {
      if (other.exit === undefined && !other.isDead) this.died(other)
    }
  }

  private died(process: Process): void {
    this.deaths++
    process.isDead = true
    this.cluster.kill(process.session!)
  }

  private thaw(process: Process): void {
    this.count("thaw")
    this.say(`process ${process.name} thaws`)
    this.timeline.thaw(process)
  }

  /** Of the process, and of the disk of its machine, whoever they were meant for. */
  private endFaults(process: Process): void {
    process.isCalm = true
    for (const other of process.machine.processes.values()) {
      for (const end of other.endFaults.splice(0)) end()
    }
    process.machine.disk.setCapacity(null)
  }

  private calm(): void {
    for (const process of this.processes) this.endFaults(process)
  }

  // --- the rest of the world

  private flip(machine: Machine, where: NonNullable<Run["flip"]>): void {
    if (this.zombies().some((process) => process.machine === machine)) return
    const files = [...machine.disk.files()]
      .filter(([path, bytes]) => bytes.length > 0 && (path.endsWith(".wal") || !where.onlySegments))
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
    const setup = this.cluster.session()
    this.bySession.push(null)
    const { replicas } = this.program.cassandra
    const make = (cql: string) =>
      Effect.runForkWith(this.contextOf(null))(Effect.retry(setup.query(cql), Schedule.spaced(1000)))
    const fiber = make(
      `CREATE KEYSPACE sim WITH replication = {'class': 'SimpleStrategy', 'replication_factor': ${replicas}}`
    )
    this.timeline.run(() => fiber.pollUnsafe() !== undefined, limitMillis)
    const second = make(`CREATE TABLE ${table} (id int PRIMARY KEY, seq int, rank int)`)
    this.timeline.run(() => second.pollUnsafe() !== undefined, limitMillis)
  }

  private readLedger(): void {
    this.oracle.ledgerSeen(this.now(this.cluster.rows(ledgerTable)))
  }

  private flushLate(): void {
    this.now(this.cluster.flushLate)
    this.readLedger()
  }

  /** An effect that does not wait for anything. */
  private now<A>(effect: Effect.Effect<A>): A {
    const exit = Effect.runForkWith(this.contextOf(null))(effect).pollUnsafe()
    if (exit === undefined || Exit.isFailure(exit)) throw new Error("it did not end at once")
    return exit.value
  }

  private count(what: string, times = 1): void {
    this.coverage.set(what, (this.coverage.get(what) ?? 0) + times)
  }

  private say(line: string): void {
    this.trace?.(`${String(Math.round(this.timeline.elapsedMillis)).padStart(7)} ms  ${line}`)
  }
}

const kindOf = (path: string): string => {
  const name = path.slice(path.lastIndexOf("/") + 1)
  return name.startsWith("lock.") ? "lock" : name.replace(/^e\d.*?(\.[a-z.]+)$/, "*$1")
}
