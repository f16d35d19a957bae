/**
 * Savepoints of simulated jobs, and the operator who carries them from machine to machine.
 *
 * He knows of a savepoint when the process that took it has told him so. He restores the last one of the machine that the
 * job is on, by copying it to the new one as anybody would (a copy that is broken off is begun again), and runs the same
 * command on that machine from then on. One that is refused, because a bit of it has flipped, he gives up; if the job had a
 * new name there, this name's restore may have been recorded already, and is taken over by the next one.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import { TakenOver } from "../../src/checkpoint/CheckpointCommitter.ts"
import type { JobHandle } from "../../src/job/Job.ts"
import * as Recovery from "../../src/sink/Recovery.ts"
import * as RestoreSavepoint from "../../src/sink/RestoreSavepoint.ts"
import * as DirectorySnapshot from "../../src/state/DirectorySnapshot.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import * as Savepoint from "../../src/state/Savepoint.ts"
import { preambleBytes } from "../../src/state/WalFormat.ts"
import type { Machine, Process } from "../../src/testing/internal/crashProcess.ts"
import type { World } from "../../src/testing/internal/crashWorld.ts"
import type { Lineages } from "./lineages.ts"
import type { Oracle } from "./oracle.ts"
import { directory } from "./oracle.ts"
import type { Program, Take } from "./program.ts"

const target = "/data/savepoints"

/** What a savepoint is to him: where it is, and up to which record it goes. */
interface Taken {
  readonly machine: Machine
  readonly path: string
  readonly jobId: string
  readonly upTo: number
  /** The machine whose records it holds. */
  readonly lineage: number
}

/** A machine as he has set it up. */
export interface Home {
  readonly jobId: string
  readonly from: Taken | null
  /** The savepoint's files, as they were found. */
  readonly files: ReadonlyMap<string, Buffer>
  isCopied: boolean
  isRestored: boolean
}

const uid = "sink"

class CopyFailed extends Error {
  readonly _tag = "CopyFailed"
  readonly isRetryable = true
}

export class Operator {
  private readonly program: Program
  private readonly world: World
  private readonly oracle: Oracle
  private readonly lineages: Lineages
  private readonly homes = new Map<Machine, Home>()
  private readonly taken: Array<Taken> = []
  /** Whose requests may be those of a savepoint. */
  readonly taking = new Set<Process>()
  /** Where the job is, under which name; null as long as it is nowhere, or was given up there. */
  private at: { readonly machine: Machine; readonly home: Home } | null = null
  private jobId = "job"
  /** The name under which the job was given up last. */
  givenUp: string | undefined

  constructor(program: Program, world: World, oracle: Oracle, lineages: Lineages) {
    this.program = program
    this.world = world
    this.oracle = oracle
    this.lineages = lineages
  }

  home(machine: Machine): Home {
    const known = this.homes.get(machine)
    if (known !== undefined) return known
    this.lineages.base(machine)
    const plan = this.program.savepoints?.machines[machine.number] ?? { jobId: this.jobId, restores: true }
    const { from, jobId } = this.next(plan)
    const home: Home = {
      jobId,
      from,
      files: new Map([...from?.machine.disk.files() ?? []].filter(([path]) => path.startsWith(`${from?.path}/`))),
      isCopied: false,
      isRestored: false
    }
    if (from !== null) {
      this.world.count("moved with a savepoint")
      if (from.jobId !== home.jobId) this.world.count("moved with a savepoint, under another name")
      this.world.say(`machine ${machine.number} begins with ${from.path}, which goes to record ${from.upTo}`)
      this.oracle.inherit(this.lineages.base(machine), from.lineage, from.upTo)
      if (from.machine.isDamaged) machine.isDamaged = true
    }
    this.homes.set(machine, home)
    this.at = { machine, home }
    if (from === null || from.jobId === home.jobId) this.jobId = home.jobId
    return home
  }

  /**
   * The last one that the machine before has told of. Without one it is the same job again, which has lost its state: if that
   * began with a savepoint, with this one again, under the same name. (Nobody may go back to the name before: what is
   * left of the job under its new one would not be stopped by that.)
   */
  private next(plan: { readonly jobId: string; readonly restores: boolean }): Pick<Home, "jobId" | "from"> {
    const lost = { jobId: this.jobId, from: null }
    if (this.at === null) return lost
    const { home, machine } = this.at
    const again = { jobId: home.jobId, from: home.from }
    if (!plan.restores) return home.isRestored ? lost : again
    const own = this.untold(machine, home) ?? this.taken.findLast((one) => one.machine === machine)
    return own === undefined ? again : { jobId: plan.jobId, from: own }
  }

  /**
   * The newest that looks complete, though nobody has told of it. (Where a process was frozen, it may be that of one that
   * does not know yet that it is superseded.)
   */
  private untold(machine: Machine, { from, jobId }: Home): Taken | undefined {
    if (this.program.savepoints?.trusts !== true) return undefined
    if (this.world.processes.some((process) => process.machine === machine && process.wasFrozen)) return undefined
    const known = new Set(this.taken.map(({ path }) => path)).add(from?.path ?? "")
    const found: Array<Taken & { readonly takenAt: number }> = []
    for (const [file, bytes] of machine.disk.files()) {
      const path = /^(\/data\/savepoints\/[^/]+)\/_metadata$/.exec(file)?.[1]
      if (path === undefined || known.has(path) || bytes.length <= preambleBytes) continue
      const { checkpoint, takenAt } = JSON.parse(bytes.subarray(preambleBytes).toString()) as Savepoint.SavepointFile
      if (checkpoint.jobId !== jobId) continue
      const upTo = Number(checkpoint.position?.["next"] ?? 0)
      found.push({ machine, path, jobId, upTo, lineage: this.lineages.base(machine), takenAt })
    }
    const newest = found.toSorted((a, b) => b.takenAt - a.takenAt)[0]
    if (newest !== undefined) this.world.count("found a savepoint that nobody told of")
    return newest
  }

  /** That of the machine, and of those that its savepoint came from, each with the record up to which it counts. */
  machinesOf(machine: Machine): ReadonlyArray<{ readonly machine: Machine; readonly upTo: number }> {
    const machines = [{ machine, upTo: Infinity }]
    for (let from = this.home(machine).from; from !== null; from = this.home(from.machine).from) {
      machines.push({ machine: from.machine, upTo: Math.min(from.upTo, machines.at(-1)!.upTo) })
    }
    return machines
  }

  /** Whether one who was superseded has ended because the job has gone on under the name that it has now. */
  isKnownToBeMoved(process: Process, exit: Exit.Exit<unknown, unknown>): boolean {
    if (!process.isSuperseded || exit._tag === "Success") return false
    const error = Cause.squash(exit.cause)
    // It is recorded before the process that does it has said so.
    const now = [this.jobId, this.at?.home.jobId]
    return error instanceof TakenOver && now.includes(error.by.jobId) && error.job.jobId !== this.at?.home.jobId
  }

  /** What a process logs, of what became of its savepoint. */
  onLog(process: Process, text: string): void {
    const home = this.homes.get(process.machine)
    if (home === undefined || !text.includes(" restored from savepoint") && !text.startsWith("Restored from ")) return
    home.isRestored = true
    if (!process.isSuperseded) this.jobId = home.jobId
    this.world.count(text.startsWith("Restored from ") ? "restored" : "restored before, goes on")
  }

  /** Copies a savepoint to its machine, and opens it there. */
  readonly fetch = Effect.fnUntraced(function*(this: Operator, process: Process) {
    const home = this.home(process.machine)
    if (home.from === null) return undefined
    const fs = yield* FileSystem.FileSystem
    const { path } = home.from
    const sync = (at: string) => Effect.scoped(Effect.flatMap(fs.open(at), (file) => file.sync))
    if (!home.isCopied) {
      yield* Effect.gen(function*() {
        yield* fs.remove(path, { recursive: true, force: true })
        yield* fs.makeDirectory(`${path}/segments`, { recursive: true })
        for (const [file, bytes] of home.files) {
          yield* fs.writeFile(file, bytes)
          yield* sync(file)
        }
        for (const at of [`${path}/segments`, path, target, "/data", "/"]) yield* sync(at)
      }).pipe(Effect.mapError((error) => new CopyFailed(error.message)))
      home.isCopied = true
    }
    return yield* Effect.tapError(Savepoint.open(path), (error) =>
      Effect.sync(() => {
        if (error._tag === "StateIoError") return
        this.world.count("a savepoint was refused")
        // A state that was made of it lives on; else the job is where it was, and has lost its state.
        if (home.isRestored) return
        this.at = null
        this.givenUp = home.jobId
      }))
  }).bind(this)

  /** Whoever restores the savepoint that the job began with here, under a third name; or starts the job under its old one. */
  readonly rival = Effect.fnUntraced(function*(this: Operator, process: Process) {
    const { from, isRestored, jobId } = this.home(process.machine)
    const isMoved = from !== null && from.jobId !== jobId && isRestored && this.at?.machine === process.machine
    if (this.program.savepoints?.hasRival !== true || !isMoved) return
    const { jobId: oldId, path } = { jobId: from.jobId, path: from.path }
    const attempts = [
      [
        "job_rival",
        Effect.flatMap(Savepoint.open(path), (savepoint) => Effect.asVoid(RestoreSavepoint.restore(savepoint)))
      ],
      [oldId, Effect.asVoid(Recovery.claim(null))]
    ] as const
    for (const [rival, attempt] of attempts) {
      const names = { jobId: rival, uid }
      const replication = { class: "SimpleStrategy", replication_factor: this.program.cassandra.replicas }
      const services = Layer.mergeAll(
        CassandraCommitter.layer({ ...names, replication }),
        MemoryStateBackend.layer(names)
      )
      const ended = yield* Effect.result(Effect.provide(attempt, services, { local: true }))
      if (Result.isSuccess(ended)) this.world.violate(`jobs ${jobId} and ${rival} both go on from ${path}`)
      else if (ended.failure._tag !== "TakenOver") this.world.count(`a rival ended with ${ended.failure._tag}`)
      else if (ended.failure.by.jobId === jobId) this.world.count("a rival was refused")
      else this.world.violate(`the savepoint of ${jobId} is said to be that of ${ended.failure.by.jobId}`)
    }
  }).bind(this)

  private told(process: Process, { checkpoint, describe }: Savepoint.Savepoint): void {
    // Whom nobody listens to any more.
    if (process.isSuperseded) return
    this.world.count("took a savepoint")
    if (checkpoint.pending.length > 0) this.world.count("took a savepoint with rows")
    this.taken.push({
      machine: process.machine,
      path: describe,
      jobId: checkpoint.jobId,
      upTo: Number(checkpoint.position?.["next"] ?? 0),
      lineage: this.lineages.of(process)
    })
  }

  private takesOf(process: Process, kind: Take["when"]["kind"]): ReadonlyArray<Take> {
    return (this.program.savepoints?.takes ?? []).filter(({ run, when }) =>
      String(run) === process.name && when.kind === kind
    )
  }

  /** That there is no savepoint, for what reason ever, must do nothing to the job. */
  private attempt<E, R>(process: Process, take: Effect.Effect<Savepoint.Savepoint, E, R>) {
    return Effect.suspend(() => {
      this.taking.add(process)
      return take
    }).pipe(
      Effect.map((savepoint) => this.told(process, savepoint)),
      Effect.catch((error) =>
        Effect.sync(() =>
          this.world.count(`took no savepoint: ${(error as { readonly _tag?: string } | null)?._tag ?? error}`)
        )
      ),
      Effect.ensuring(Effect.sync(() => this.taking.delete(process)))
    )
  }

  /** Of what lies there, beside whoever may be at work. */
  readonly before = Effect.fnUntraced(function*(this: Operator, process: Process) {
    const { jobId } = this.home(process.machine)
    for (const _ of this.takesOf(process, "before")) {
      const session = yield* CassandraSession
      const ledger = {
        describe: "the ledger",
        committed: Effect.map(
          Effect.catchTag(CassandraCommitter.readLedger(session, { jobId, uid }), "CommitterOptionError", Effect.die),
          ({ committed }) => committed
        )
      }
      yield* this.attempt(process, DirectorySnapshot.take(directory, ledger, Savepoint.writeTo(target)))
    }
  }).bind(this)

  /** Of a running job; ends when the last that was begun is done, and those that were not are not begun any more. */
  readonly during = Effect.fnUntraced(function*<E>(this: Operator, process: Process, handle: JobHandle<E>) {
    const isOver = Effect.exit(handle.result)
    for (const { when } of this.takesOf(process, "running")) {
      const wait = Effect.sleep(when.kind === "running" ? when.afterMillis : 0)
      if (!(yield* Effect.raceFirst(Effect.as(wait, true), Effect.as(isOver, false)))) return
      // A job that has no checkpoint yet has one soon.
      const soon = Effect.retry(handle.savepoint(Savepoint.writeTo(target)), {
        schedule: Schedule.spaced(5),
        times: 40,
        while: (error) => (error as { readonly _tag?: string } | null)?._tag === "StateUnusable"
      })
      yield* this.attempt(process, soon)
    }
  }).bind(this)

  readonly after = Effect.fnUntraced(function*<E>(this: Operator, process: Process, handle: JobHandle<E>) {
    for (const _ of this.takesOf(process, "ended")) {
      yield* this.attempt(process, handle.savepoint(Savepoint.writeTo(target)))
    }
  }).bind(this)
}
