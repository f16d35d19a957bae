/**
 * Carries out a program of the simulation on the real world: the real command in processes of their own, with real
 * signals, on three real nodes behind proxies and a real file system, and lets an oracle judge by the same conditions.
 *
 * What is virtual there is made real so:
 *
 * - a record of the program is many records of a file, so that a load takes seconds; bytes grow with them
 * - "at step n" is so many milliseconds after the start
 * - `kill` is SIGKILL, `stop` SIGTERM, `freeze` SIGSTOP and SIGCONT (not before the process has claimed the job: before, it
 *   is no zombie but the next process), `crash` SIGKILL to all processes on the machine
 * - a machine is a state directory, its `capacity` what is left of a small file system until it is freed
 * - outages are refused and reset connections; rates of faults are weather in the proxies
 *
 * Not carried out is what only a simulation can do: power loss, flipped bits, single failing system calls, skewed clocks,
 * a source that fails.
 */
import { Clock, Deferred, Effect, Fiber, Schedule, Semaphore } from "effect"
import * as Path from "node:path"
import type { Cluster } from "./cluster.ts"
import { jobId } from "./cluster.ts"
import type { Home } from "./command.ts"
import { flagsOf, isAlive, start } from "./command.ts"
import type { Counts } from "./counts.ts"
import { noCounts } from "./counts.ts"
import { ForeignWriter } from "./foreignWriter.ts"
import type { Tally } from "./oracle.ts"
import { Oracle } from "./oracle.ts"
import type { Process } from "./processEnd.ts"
import { judge, takenOverRow, why } from "./processEnd.ts"
import type { Dice, Program, Run } from "./program.ts"
import { makeDice, undisturbed } from "./program.ts"
import { calm, programWeather } from "./programWeather.ts"
import { keysOf, writeFile } from "./records.ts"
import { race } from "./rivals.ts"
import type { StateDisk } from "./stateDisk.ts"
import { makeStateDisk } from "./stateDisk.ts"

export interface Options {
  readonly cluster: Cluster
  /** Of the rows of this program, and of its job: never used before on this cluster. */
  readonly number: number
  /** Where its file and its state are. */
  readonly directory: string
  /** How many records its file has, about. Default 20,000. */
  readonly records?: number | undefined
  /** Default 8. */
  readonly stepMillis?: number | undefined
  readonly say?: ((line: string) => void) | undefined
  /** Added to as things happen. */
  readonly counts?: Counts | undefined
}

export interface Outcome extends Tally {
  readonly violations: ReadonlyArray<string>
  readonly counts: Counts
  readonly oracle: Oracle
  /** Processes that had done their work before they met their end. */
  readonly tooFast: number
}

/** Until a process has loaded its code and gets to work. */
const startupMillis = 700
/** A step of a kind is as long as so many of any kind. */
const stepsOfKind = 15
/** Kinds of steps before a process claims the job; all others are counted from there. */
const beforeClaim: ReadonlySet<string> = new Set(["lock", "job.json", "makeDirectory"])
const observeMillis = 500
const capacityMillis = 2500
/** Of a process that meets no faults of its program. */
const finishMillisMax = 240_000
const supervisorMillis = 500
const supervisedMax = 400
/** How many programs end with a race of two restores. */
const racesOf = 0.5
/** Of the ledger: the greatest timestamp that a row of the job may have. */
const publishedTimestampRow = -3

export const run = (program: Program, options: Options): Effect.Effect<Outcome> =>
  Effect.scoped(Effect.gen(function*() {
    const disk = yield* makeStateDisk(Path.join(options.directory, `state${options.number}`))
    const world = new World(program, options, disk)
    yield* world.live()
    const { counts, oracle } = world
    return { ...oracle.tally, violations: [...oracle.violations], counts, oracle, tooFast: world.tooFast() }
  }))

class World {
  readonly oracle: Oracle
  readonly counts: Counts
  readonly program: Program
  readonly cluster: Cluster
  private readonly disk: StateDisk
  private readonly dice: Dice
  readonly uid: string
  private readonly file: string
  private readonly scale: number
  readonly say: (line: string) => void
  private readonly stepMillis: number
  private readonly number: number
  readonly processes: Array<Process> = []
  private readonly pids: Array<number> = []
  private readonly machines = new Set<number>()
  private readonly directory: string
  /** Where the job went when it was moved. */
  private moved: Home | null = null
  /** Takings over that have begun, and are not seen in the ledger yet. */
  private moves = 0

  constructor(program: Program, options: Options, disk: StateDisk) {
    const { keys, scale } = keysOf(program, options.records ?? 20_000)
    this.program = program
    this.cluster = options.cluster
    this.disk = disk
    this.number = options.number
    this.directory = disk.directory
    this.scale = scale
    this.stepMillis = options.stepMillis ?? 8
    this.counts = options.counts ?? noCounts()
    this.dice = makeDice(program.seed + 0.25 * 0x1_0000_0000)
    this.uid = `program${options.number}`
    this.say = (line) => options.say?.(`program ${options.number} (seed ${program.seed}): ${line}`)
    this.oracle = new Oracle(`program ${options.number} (seed ${program.seed})`, keys)
    this.file = Path.join(options.directory, `${this.uid}.ndjson`)
    writeFile(this.file, options.number, keys)
    this.say(`${keys.length} records, ${program.runs.length} processes with faults`)
  }

  live = Effect.fnUntraced(function*(this: World) {
    const foreign = new ForeignWriter(this.cluster, this.number)
    const writer = yield* Effect.forkScoped(foreign.writes)
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(observeMillis), this.observe)))
    const { counts, dice, program, say } = this
    const { network } = this.cluster
    const weather = yield* Effect.forkScoped(
      programWeather({ network, program, dice, counts, say, startupMillis })
    )
    for (const [i, run] of this.program.runs.entries()) {
      yield* this.live1(run, `${i}`)
      if (this.oracle.violations.size > 0) return
    }
    yield* Fiber.interrupt(weather)
    yield* calm(network)
    const lastMachine = this.program.runs.at(-1)?.machine ?? 0
    const last = undisturbed(2, lastMachine)
    if (this.dice.chance(racesOf)) this.moved = yield* this.race(last)
    if (this.oracle.violations.size > 0) return
    const finisher = yield* this.live1(last, "the last")
    if (finisher.ended?.code !== 0) return this.oracle.violate(`the last process did not finish${why(finisher.ended)}`)
    for (const zombie of this.zombies()) yield* this.thaw(zombie)
    yield* this.awaitZombies
    const again = yield* this.live1(last, "one more")
    if (again.ended?.summary?.outcome !== "nothing-to-do") {
      this.oracle.violate(`the job was done, and a further start ended with ${JSON.stringify(again.ended?.summary)}`)
    }
    yield* Fiber.interrupt(writer)
    yield* this.observe
    const rows = yield* this.cluster.rows(this.number)
    this.oracle.contents(rows)
    foreign.judge(rows, this.oracle)
    this.oracle.files(again.home.state, this.program.retainedCheckpoints)
    for (const pid of this.pids) if (isAlive(pid)) this.oracle.violate(`process ${pid} is still there`)
    if (this.oracle.violations.size === 0) this.say(`${rows.length} rows are as they should be`)
  }).bind(this)

  tooFast(): number {
    return this.processes.filter(({ ended, hasMetEnd }) => !hasMetEnd && ended?.summary?.outcome === "finished").length
  }

  // --- processes

  /** Whoever is still there when his successor starts. */
  private zombies(): ReadonlyArray<Process> {
    return this.processes.filter(({ ended, wasFrozen }) => wasFrozen && ended === null)
  }

  /** Two restore the job's savepoint at once, and who was frozen wakes up meanwhile. */
  private race = Effect.fnUntraced(function*(this: World, last: Run) {
    const { cluster, dice, directory } = this
    for (const other of this.processes) other.isSuperseded = true
    for (const zombie of this.zombies()) yield* Effect.forkScoped(this.thawLater(zombie))
    const isHeld = () => this.zombies().some(({ machine }) => machine === last.machine)
    const moves: Array<Fiber.Fiber<void>> = []
    const moved = yield* race({
      cluster,
      dice,
      directory,
      home: { jobId, state: this.stateOf(last) },
      spawn: (home) => this.spawn(last, home, home.jobId === jobId && isHeld()),
      onMove: (from) =>
        Effect.map(Effect.forkScoped(this.moveFrom(from)), (move) => {
          moves.push(move)
        }),
      violate: (what) => this.oracle.violate(what),
      say: this.say
    })
    if (moved === null) return null
    for (const move of moves) yield* Fiber.join(move)
    this.counts.races++
    return moved
  }, Effect.scoped).bind(this)

  /**
   * Whoever takes a job over writes above all that was published until then, and what is read again is new. Until it is known
   * where that begins, nobody looks at the rows.
   */
  private moveFrom = Effect.fnUntraced(function*(this: World, from: Home) {
    this.moves++
    const ledger = this.cluster.ledger(this.uid, from.jobId)
    const left = yield* Effect.repeat(ledger, {
      until: (rows) => (rows.get(takenOverRow) ?? 0) > 0,
      schedule: Schedule.spaced(100)
    })
    this.oracle.newLineage((left.get(publishedTimestampRow) ?? 0) + 1)
    this.moves--
  }).bind(this)

  private stateOf({ machine }: Run): string {
    return Path.join(this.disk.directory, `machine${machine}`)
  }

  /** Runs a process until it is somebody else's turn. */
  private live1 = Effect.fnUntraced(function*(this: World, run: Run, name: string) {
    const home = this.moved ?? { jobId, state: this.stateOf(run) }
    if (!this.machines.has(run.machine)) {
      if (this.machines.size > 0) {
        this.oracle.newLineage((yield* Clock.currentTimeMillis) * 1000)
        this.say("the state is lost")
      }
      this.machines.add(run.machine)
    }
    if (run.capacity !== null && this.disk.isBounded) yield* Effect.forkScoped(this.fillFor(run.capacity))
    const ledger = yield* this.cluster.ledger(this.uid, home.jobId)
    const takeOver = this.zombies().some(({ machine }) => machine === run.machine)
    for (const other of this.processes) other.isSuperseded = true
    const { end } = run
    const process: Process = {
      name,
      run,
      home,
      machine: run.machine,
      over: Deferred.makeUnsafe(),
      epochBefore: ledger.get(-1) ?? 0,
      loading: yield* this.spawn(run, home, takeOver),
      ended: null,
      isFrozen: false,
      wasFrozen: false,
      isSuperseded: false,
      wasStopped: false,
      isLast: false,
      hasMetEnd: end.kind === "finish"
    }
    this.processes.push(process)
    const isCalm = end.kind === "finish" && !this.program.runs.includes(run)
    this.say(`process ${name} starts${takeOver ? ", taking over" : ""}${isCalm ? "" : `: ${JSON.stringify(end)}`}`)
    for (const zombie of this.zombies()) yield* Effect.forkScoped(this.thawLater(zombie))
    yield* Effect.forkScoped(this.supervise(process, takeOver))
    const ending = yield* Effect.forkScoped(this.endOf(process))
    yield* Deferred.await(process.over).pipe(
      Effect.timeoutOrElse({
        duration: finishMillisMax,
        orElse: () => {
          this.oracle.violate(`process ${name} did not end within ${finishMillisMax / 1000} s`)
          process.isLast = true
          return process.loading.signal("SIGKILL")
        }
      })
    )
    yield* Fiber.interrupt(ending)
    yield* this.disk.free
    return process
  }).bind(this)

  private spawn(run: Run, home: Home, takeOver: boolean) {
    const { cluster, file, uid } = this
    this.counts.processes++
    return Effect.tap(
      start(flagsOf(this.program, run, this.scale, { cluster, file, home, uid, takeOver })),
      ({ pid }) => Effect.sync(() => this.pids.push(pid))
    )
  }

  /** What a supervisor does with a process that ends with an error. A zombie has none. */
  private supervise = Effect.fnUntraced(function*(this: World, process: Process, takeOver: boolean) {
    for (let starts = 1;; starts++) {
      const ended = yield* process.loading.ended
      this.counts.replayedCheckpoints += ended.summary?.replayedCheckpoints ?? 0
      const mayStartAgain = ended.code === 3 && !process.wasFrozen && !process.isLast && !process.wasStopped
      if (!mayStartAgain || starts === supervisedMax) {
        yield* judge(process, ended, this)
        process.ended = ended
        yield* Deferred.succeed(process.over, undefined)
        return
      }
      this.say(`process ${process.name} ended with exit code 3 and is started again${why(ended)}`)
      yield* Effect.sleep(supervisorMillis)
      // It may have been killed meanwhile.
      if (process.isLast) {
        process.ended = ended
        yield* Deferred.succeed(process.over, undefined)
        return
      }
      process.epochBefore = (yield* this.cluster.ledger(this.uid, process.home.jobId)).get(-1) ?? 0
      process.loading = yield* this.spawn(process.run, process.home, takeOver)
    }
  }).bind(this)

  private endOf = Effect.fnUntraced(function*(this: World, process: Process) {
    const { end } = process.run
    if (end.kind === "finish") return
    const isClaimed = Effect.map(
      this.cluster.ledger(this.uid, process.home.jobId),
      (ledger) => (ledger.get(-1) ?? 0) > process.epochBefore
    )
    const claimed = Effect.repeat(isClaimed, { until: (claimed) => claimed, schedule: Schedule.spaced(100) })
    const isBeforeClaim = beforeClaim.has(end.where)
    if (!isBeforeClaim) yield* claimed
    const steps = end.at * (end.where === "" ? 1 : stepsOfKind)
    yield* Effect.sleep((isBeforeClaim ? startupMillis : 0) + steps * this.stepMillis)
    process.hasMetEnd = true
    if (end.kind === "freeze") {
      // It knows that it has claimed: a claim whose answer was lost is made again, by whoever wakes up.
      const { state } = process.home
      const knows = Effect.sync(() => (this.oracle.newestEpoch(state) ?? 0) > process.epochBefore)
      yield* Effect.repeat(knows, { until: (knows) => knows, schedule: Schedule.spaced(20) })
      if (process.ended !== null) return
      process.wasFrozen = true
      process.isFrozen = true
      this.counts.zombies++
      this.say(`SIGSTOP to process ${process.name}`)
      yield* process.loading.signal("SIGSTOP")
      yield* Deferred.succeed(process.over, undefined)
      return
    }
    if (end.kind === "stop") {
      process.wasStopped = true
      this.counts.stops++
      this.say(`SIGTERM to process ${process.name}`)
      return yield* process.loading.signal("SIGTERM")
    }
    const killed = end.kind === "kill"
      ? [process]
      : this.processes.filter(({ ended, machine }) => machine === process.machine && ended === null)
    for (const other of killed) {
      this.counts.kills++
      this.say(`SIGKILL to process ${other.name}`)
      other.isLast = true
      yield* other.loading.signal("SIGKILL")
    }
  }).bind(this)

  private thawLater = Effect.fnUntraced(function*(this: World, zombie: Process) {
    const { end } = zombie.run
    if (end.kind !== "freeze" || end.thawAfter === null) return
    yield* Effect.sleep(startupMillis + end.thawAfter * this.stepMillis)
    yield* this.thaw(zombie)
  }).bind(this)

  private thaw(zombie: Process): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!zombie.isFrozen || zombie.ended !== null) return Effect.void
      zombie.isFrozen = false
      this.say(`SIGCONT to process ${zombie.name}`)
      return zombie.loading.signal("SIGCONT")
    })
  }

  private awaitZombies = Effect.gen({ self: this }, function*() {
    const startedAt = yield* Clock.currentTimeMillis
    while (this.zombies().length > 0) {
      yield* Effect.sleep(100)
      if ((yield* Clock.currentTimeMillis) - startedAt > finishMillisMax) {
        const names = this.zombies().map(({ loading, name }) => `${name} (process ${loading.pid})`)
        return this.oracle.violate(`the zombie ${names.join(", ")} did not end`)
      }
    }
  })

  // --- the rest of the world

  /** One at a time, so that what is read first is seen first. */
  private readonly observing = Semaphore.makeUnsafe(1)
  private observe = Semaphore.withPermits(
    this.observing,
    1
  )(Effect.gen({ self: this }, function*() {
    for (const job of new Set([jobId, this.moved?.jobId ?? jobId])) {
      this.oracle.ledgerSeen(job, yield* this.cluster.ledger(this.uid, job))
    }
    const rows = yield* this.cluster.rows(this.number)
    if (this.moves === 0) this.oracle.rowsSeen(rows)
  }))

  private fillFor = Effect.fnUntraced(function*(this: World, capacity: number) {
    yield* Effect.sleep(startupMillis)
    this.counts.diskFull++
    this.say("the file system of the state fills up")
    yield* this.disk.fill(capacity * this.scale / 10)
    yield* Effect.sleep(capacityMillis)
    yield* this.disk.free
    this.say("the file system of the state has room again")
  }).bind(this)
}
