/**
 * What a person does by hand between the runs of a simulated job: commits or skips what is pending, and repairs what a disk
 * has damaged. Each is a process of its own, which dies, freezes and meets faults as any other, and does what the command
 * does: looks, refuses, takes the lock, claims.
 */
import * as Effect from "effect/Effect"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import { CheckpointCommitter } from "../../src/checkpoint/CheckpointCommitter.ts"
import type { SegmentHandle } from "../../src/checkpoint/Manifest.ts"
import * as ExportFile from "../../src/cli/exportFile.ts"
import * as CurrentState from "../../src/sink/CurrentState.ts"
import * as ManualCommit from "../../src/sink/ManualCommit.ts"
import * as ManualRepair from "../../src/sink/ManualRepair.ts"
import * as FileStateBackend from "../../src/state/FileStateBackend.ts"
import * as RowFrame from "../../src/state/RowFrame.ts"
import { StateBackend } from "../../src/state/StateBackend.ts"
import * as StateDirectory from "../../src/state/StateDirectory.ts"
import type { Feasible } from "../../src/state/StateRepair.ts"
import type { Machine, Process } from "../../src/testing/internal/crashProcess.ts"
import type { World } from "../../src/testing/internal/crashWorld.ts"
import type { Letters } from "./letters.ts"
import type { Lineages } from "./lineages.ts"
import type { Naming, Oracle } from "./oracle.ts"
import { directory, manifestsOf } from "./oracle.ts"
import type { Program } from "./program.ts"
import type { Damage, JobRun, Verb } from "./verbPrograms.ts"

const names = { jobId: "job", uid: "sink" }
/** Where a person keeps what he exports: beside the state. */
const rooms = "/data/jobs"

/** The command has found nothing that it could do. */
class NothingThere extends Error {
  readonly _tag = "NothingThere"
}

export const verbOf = ({ run }: Process): Verb | undefined => (run as JobRun).verb

interface Block {
  readonly end: number
  readonly records: ReadonlyArray<number>
  /** Those of the records that were set aside. */
  readonly letters: ReadonlyArray<number>
}

const placesOf = (rows: ReadonlyArray<RowFrame.LoggedRow>): ReadonlyArray<number> => rows.map(({ place }) => place)

/** Records of a segment by block, and where each block ends. It has to be whole. */
const blocksOf = (bytes: Buffer): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  for (let at = 20 + bytes.readUInt32BE(12); at < bytes.length;) {
    const end = at + 12 + bytes.readUInt32BE(at)
    const rows = RowFrame.read(bytes.subarray(at + 12, end))
    const letters = rows.filter(({ statement }) => statement === RowFrame.letterStatement)
    blocks.push({ end, records: placesOf(rows), letters: placesOf(letters) })
    at = end
  }
  return blocks
}

/** How many bytes of a file are as they were. */
const wholeBytes = (now: Buffer, before: Buffer): number => {
  let at = 0
  while (at < now.length && now[at] === before[at]) at++
  return at
}

export class Verbs {
  private readonly program: Program
  private readonly world: World
  private readonly oracle: Oracle
  private readonly lineages: Lineages
  private readonly letters: Letters
  /** Files that were exported to: nobody gives the same name twice. */
  private files = 0
  /** Checkpoints that are decided on, by process: whoever runs his command again says the same number. */
  private readonly decided = new Map<Process, number>()
  private readonly planted = new Set<Process>()
  /** Who has begun to repair last. */
  private begun: Process | null = null
  private readonly damaged = new Set<Machine>()
  /** Files that were damaged, by machine and path, as they were before. */
  private readonly before = new Map<string, Buffer>()

  constructor(program: Program, world: World, oracle: Oracle, lineages: Lineages, letters: Letters) {
    this.program = program
    this.world = world
    this.oracle = oracle
    this.lineages = lineages
    this.letters = letters
  }

  /** Whether a repair is still to come after a process. */
  willRepair({ name }: Process): boolean {
    return this.program.runs.some(({ verb }, i) => i > Number(name) && verb?.kind === "repair")
  }

  hasDamaged(machine: Machine): boolean {
    return this.damaged.has(machine)
  }

  readonly carryOut = (process: Process, verb: Verb) => {
    this.plant(process, verb)
    return Effect.scoped(verb.kind === "repair" ? this.repair(process) : this.decide(process, verb))
  }

  private readonly look = Effect.flatMap(
    StateDirectory.look(directory, names),
    (state) => state === null ? Effect.fail(new NothingThere()) : Effect.succeed(state)
  )

  private open({ takeOver }: Process) {
    return FileStateBackend.make({ directory, ...names, retainedCheckpoints: Number.MAX_SAFE_INTEGER, takeOver })
  }

  private readonly committer = Effect.suspend(() =>
    Effect.flatMap(CassandraSession, (session) =>
      CassandraCommitter.make(session, {
        ...names,
        replication: { class: "SimpleStrategy", replication_factor: this.program.cassandra.replicas }
      }))
  )

  /** As the command does it, before anybody is fenced. */
  private current() {
    const ledger = Effect.flatMap(CassandraSession, (session) => CassandraCommitter.readLedger(session, names))
    return CurrentState.find(Effect.andThen(this.look, ledger), this.look)
  }

  // --- commit and skip

  private readonly decide = Effect.fnUntraced(function*(this: Verbs, process: Process, verb: Verb) {
    for (let i = this.decided.has(process) ? 1 : 0; i < verb.times; i++) {
      // Each is a command of its own, which nobody gives any more who was frozen meanwhile.
      if (process.isSuperseded) return
      process.claim = "none"
      const { ledger, state } = yield* this.current()
      const pending = StateDirectory.newest(state)?.pending ?? []
      const open = pending.filter(({ checkpointId, subtask }) => checkpointId > (ledger.committed.get(subtask) ?? 0))
      const oldest = Math.min(...open.map(({ checkpointId }) => checkpointId))
      const checkpointId = this.decided.get(process) ?? oldest
      if (!Number.isFinite(checkpointId)) return yield* Effect.fail(new NothingThere())
      this.decided.set(process, checkpointId)
      yield* ManualCommit.oldestPending(StateDirectory.newest(state), ledger.committed, checkpointId)
      yield* this.decideOn(process, verb, checkpointId, state)
      this.decided.delete(process)
      this.world.count(`by hand: ${verb.kind}`)
    }
  }).bind(this)

  private readonly decideOn = Effect.fnUntraced(
    function*(this: Verbs, process: Process, verb: Verb, checkpointId: number, state: StateDirectory.StateDirectory) {
      const committer = yield* this.committer
      const backend = yield* this.open(process)
      let epoch = 0
      let naming: Naming | null = null
      const before = Effect.fnUntraced(function*(this: Verbs, segments: ReadonlyArray<SegmentHandle>) {
        const path = yield* this.exportRows(verb, state, segments)
        const { letters, records } = this.recordsOf(process, segments, checkpointId)
        if (verb.kind === "commit" && letters.size > 0) this.world.count("by hand: commit, with letters")
        naming = {
          jobId: names.jobId,
          epoch,
          checkpointId,
          subtasks: segments.map(({ subtask }) => subtask),
          lineage: this.lineages.of(process),
          records,
          onDone: () => this.letters.isExported(process.machine, path, verb.kind === "skip" ? records : letters),
          isDone: false
        }
        this.oracle.named(naming)
      }).bind(this)
      yield* ManualCommit.commit(checkpointId, before).pipe(
        Effect.provideService(StateBackend, backend),
        Effect.provideService(CheckpointCommitter, {
          ...committer,
          claimEpoch: (previous, above) =>
            Effect.tap(committer.claimEpoch(previous, above), (claim) =>
              Effect.sync(() => {
                epoch = claim.epoch
              }))
        })
      )
      if (naming !== null) this.oracle.isDecided(naming)
    },
    Effect.scoped
  ).bind(this)

  /** What the person has named with a checkpoint, and what of it was set aside, as far as it can be read. */
  private recordsOf(process: Process, segments: ReadonlyArray<SegmentHandle>, checkpointId: number) {
    const files = process.machine.disk.files()
    const records = new Set<number>()
    const letters = new Set<number>()
    for (const handle of segments) {
      if (handle.checkpointId !== checkpointId) {
        this.world.violate(`${handle.name} of checkpoint ${handle.checkpointId} was decided on as ${checkpointId}`)
      }
      const path = `${directory}/segments/${handle.name}`
      const now = files.get(path)
      const bytes = this.before.get(`${process.machine.number} ${path}`) ?? now
      // A superseded process may find that its successor has sent and removed it.
      if (bytes === undefined) continue
      // Of a file that has lost its end nothing is printed.
      const whole = now?.length === bytes.length ? wholeBytes(now, bytes) : 0
      for (const block of blocksOf(bytes)) {
        for (const record of block.records) records.add(record)
        if (block.end <= whole) { for (const record of block.letters) letters.add(record) }
      }
    }
    return { records, letters }
  }

  /** As the command does it. What is to be skipped has to be whole. */
  private readonly exportRows = Effect.fnUntraced(function*(
    this: Verbs,
    { kind }: Verb,
    state: StateDirectory.StateDirectory,
    segments: ReadonlyArray<SegmentHandle>
  ) {
    const path = `${rooms}/${kind === "skip" ? "skipped" : "aside"}-${this.files++}.ndjson`
    if (kind === "commit") yield* ExportFile.writeSetAside(path, state, segments)
    else {
      for (const handle of segments) {
        const damage = yield* StateDirectory.verify(state, handle)
        if (damage === null || damage.length > 0) return yield* Effect.fail(new NothingThere())
      }
      yield* ExportFile.writeRows(path, state, segments)
    }
    return path
  }).bind(this)

  // --- repair

  private readonly repair = Effect.fnUntraced(function*(this: Verbs, process: Process) {
    yield* this.look
    const backend = yield* this.open(process)
    const committer = yield* this.committer
    const { claim, plan, state } = yield* Effect.provideService(
      ManualRepair.claim(this.look),
      CheckpointCommitter,
      committer
    )
    this.world.count(`by hand: repair, ${plan.kind}`)
    this.world.say(`process ${process.name} repairs under epoch ${claim.epoch}: ${plan.kind}`)
    if (plan.kind === "refused") {
      // Each step of a repair leaves a state that can be repaired, if it was broken off and nobody came in between.
      if (this.begun !== null && !this.begun.wasFrozen && Number(this.begun.name) === Number(process.name) - 1) {
        this.world.violate(`a repair was broken off, and then it was refused: ${plan.why}`)
      }
      return
    }
    if (plan.kind !== "nothing") {
      this.begun = process
      this.agreed(process, plan, state, claim.epoch)
      yield* ManualRepair.carryOut(state, plan, claim).pipe(
        Effect.provideService(StateBackend, backend),
        Effect.provideService(CheckpointCommitter, committer)
      )
      this.begun = null
      this.oracle.isClaimed(names.jobId, claim.epoch)
    }
    // From now on nobody finds anything damaged, but whoever was superseded by that.
    if (!process.isSuperseded) process.machine.isDamaged = false
  }).bind(this)

  /** What he was told, and has said yes to. */
  private agreed(
    process: Process,
    plan: Feasible,
    { checkpoints }: StateDirectory.StateDirectory,
    epoch: number
  ): void {
    const from = this.lineages.ofEpoch(process.machine, checkpoints[0]!.epoch)
    if (plan.kind === "back") {
      this.lineages.begin(process, epoch, from, Number(plan.to.position?.["next"] ?? 0))
      return
    }
    const lost: Array<number> = []
    const files = process.machine.disk.files()
    for (const { after, handle: { name }, lostRows, upTo } of plan.cuts) {
      const path = `${directory}/segments/${name}`
      const before = this.before.get(`${process.machine.number} ${path}`)
      const now = files.get(path)
      if (before === undefined || now === undefined) {
        if (before === undefined) this.world.violate(`${name} is to be cut, and was not damaged`)
        continue
      }
      const whole = wholeBytes(now, before)
      const own = blocksOf(before).filter(({ end }) => end > whole).flatMap(({ records }) => records)
      if (own.length !== lostRows || own.some((seq) => seq <= (after ?? 0) || seq > (upTo ?? Infinity))) {
        this.world.violate(`${name} has lost records ${own}, and it was told: ${lostRows} from ${after} to ${upTo}`)
      }
      lost.push(...own)
    }
    this.oracle.mayMiss(this.lineages.begin(process, epoch, from, Infinity), lost)
  }

  /** Damages a file that somebody needs. */
  private plant(process: Process, { damage }: Verb): void {
    if (damage === null || this.planted.has(process)) return
    this.planted.add(process)
    const { disk, isDamaged, number } = process.machine
    if (isDamaged) return
    const files = disk.files()
    const path = this.target(process, damage)
    const bytes = path === null ? undefined : files.get(path)
    if (path === null || bytes === undefined || bytes.length === 0) return
    this.before.set(`${number} ${path}`, bytes)
    process.machine.isDamaged = true
    this.damaged.add(process.machine)
    const at = Math.floor(damage.at * bytes.length)
    if (damage.isCut) disk.cutEnd(path, at)
    else disk.flipBit(path, at * 8 + damage.bit)
    this.world.count(`by hand: damaged ${damage.file === null ? "a manifest" : damage.isCut ? "an end" : "a segment"}`)
    this.world.say(`${path} is ${damage.isCut ? "cut" : "damaged"} at byte ${at}`)
  }

  private target({ machine: { disk } }: Process, { file }: Damage): string | null {
    const [newest] = manifestsOf(disk)
    if (newest === undefined) return null
    if (file === null) return `${directory}/checkpoints/e${newest.epoch}-c${newest.checkpointId}.manifest`
    const open = newest.pending.filter(({ checkpointId, subtask }) =>
      !this.oracle.isCommitted(names.jobId, subtask, checkpointId)
    )
    const handle = open[Math.floor(file * open.length)]
    return handle === undefined ? null : `${directory}/segments/${handle.name}`
  }
}
