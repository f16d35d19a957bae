/**
 * The processes of a crash test, the machines they run on, and their sessions, which tell the world of each step.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Session } from "../../cassandra/CassandraSession.ts"
import { eachBatch } from "../../cassandra/EncodedRows.ts"
import type { Run } from "../FaultProgram.ts"
import type { DiskOperation, DiskProcess, SimulatedDisk } from "../SimulatedDisk.ts"
import type { TrailStep } from "./crashModel.ts"
import { Owner } from "./timeline.ts"

export interface Machine {
  readonly number: number
  readonly disk: SimulatedDisk
  readonly processes: Map<number, Process>
  /** A bit of its files was flipped: to stop with a complaint is right. */
  isDamaged: boolean
}

export class Process extends Owner {
  readonly run: Run
  readonly machine: Machine
  readonly disk: DiskProcess
  readonly startedAt: number
  /** Whether another one may still be running on its machine. */
  readonly takeOver: boolean
  readonly stopRequested: Deferred.Deferred<void> = Deferred.makeUnsafe()
  /** As the cluster gave it; what the program gets is watched. */
  session: Session
  step = 0
  requests = 0
  readonly trail: Array<TrailStep> = []
  readonly operations = new Map<DiskOperation, number>()
  /** Steps of the kind that its end waits for. */
  stepsToEnd = 0
  /** It meets no faults any more. */
  isCalm = false
  /**
   * It has claimed something by a conditional batch, and knows it: it has read of that table since. One that has not would claim
   * when it thaws, and be the next process, not a zombie.
   */
  claim: "none" | "applied" | "known" = "none"
  /** The table of that batch. */
  claimed = ""
  wasFrozen = false
  /** A process was started after it. */
  isSuperseded = false
  thawIn: number | null = null
  isStopped = false
  exit: Exit.Exit<unknown, unknown> | undefined
  readonly endFaults: Array<() => void> = []

  constructor(
    name: string,
    run: Run,
    machine: Machine,
    disk: DiskProcess,
    session: Session,
    startedAt: number,
    takeOver: boolean
  ) {
    super(name, run.skewMillis)
    this.run = run
    this.machine = machine
    this.disk = disk
    this.session = session
    this.startedAt = startedAt
    this.takeOver = takeOver
  }

  /** Whether it is somebody else's turn. */
  get isOver(): boolean {
    return this.exit !== undefined || this.isDead || this.isFrozen
  }
}

/** A request of a process: what it is, for the description of a step. */
export interface Request {
  readonly kind: "query" | "execute" | "prepare" | "table" | "clusterInfo" | "batch" | "lwt"
  /** The text of the first statement, null for what has none. */
  readonly cql: string | null
}

/**
 * A session whose requests are steps of the process: it can die or freeze before each is sent and after each was
 * answered.
 */
export const watchedSession = (
  process: Process,
  serverClock: Clock.Clock,
  onStep: (process: Process, isBefore: boolean, label: () => string) => number,
  onAnswer: (process: Process, request: Request) => void
): Session => {
  const { session } = process
  const watch = <A, E, R>(call: Effect.Effect<A, E, R>, request: Request): Effect.Effect<A, E, R> => {
    const there = Effect.ensuring(
      Effect.provideService(call, Clock.Clock, serverClock),
      Effect.sync(() => onAnswer(process, request))
    )
    const pass = (when: "before" | "after") =>
      Effect.suspend(() => {
        const heldUp = onStep(process, when === "before", () => `request ${when} ${request.kind}`)
        if (process.isDead) return Effect.never
        return heldUp === 0
          ? process.gate.await
          : Effect.andThen(serverClock.sleep(Duration.millis(heldUp)), process.gate.await)
      })
    return pass("before").pipe(
      Effect.andThen(Effect.exit(there)),
      Effect.flatMap((exit) => Effect.andThen(pass("after"), exit))
    )
  }
  const execute: Session["execute"] = (statement, params, options) =>
    watch(session.execute(statement, params, options), {
      kind: "execute",
      cql: typeof statement === "string" ? statement : statement.cql
    })
  return {
    describe: session.describe,
    keyspace: session.keyspace,
    query: (cql, params, options) =>
      Effect.tap(watch(session.query(cql, params, options), { kind: "query", cql }), () =>
        Effect.sync(() => {
          if (process.claim === "applied" && cql.includes(process.claimed)) process.claim = "known"
        })),
    execute,
    stream: (cql, params, options) =>
      Stream.paginate(undefined as string | undefined, (pageState) =>
        Effect.map(
          execute(cql, params ?? [], { ...options, pageState }),
          ({ pageState, rows }) => [rows, Option.fromNullOr(pageState)] as const
        )),
    prepare: (cql) => watch(session.prepare(cql), { kind: "prepare", cql }),
    table: (keyspace, name) => watch(session.table(keyspace, name), { kind: "table", cql: null }),
    clusterInfo: watch(session.clusterInfo, { kind: "clusterInfo", cql: null }),
    batchesEncoded: eachBatch((rows, options) =>
      watch(
        Effect.flatMap(session.batchesEncoded([rows], options), ([failure]) =>
          failure ? Effect.fail(failure) : Effect.void),
        { kind: "batch", cql: rows.cql }
      )
    ),
    batch: (statements, options) => {
      const cql = statements[0]?.cql ?? null
      const isConditional = cql !== null && / IF /i.test(cql)
      return Effect.tap(
        watch(session.batch(statements, options), { kind: isConditional ? "lwt" : "batch", cql }),
        ({ applied }) =>
          Effect.sync(() => {
            if (applied !== true || cql === null || process.claim !== "none") return
            process.claim = "applied"
            process.claimed = /(?:INTO|UPDATE|FROM)\s+(\S+)/i.exec(cql)?.[1] ?? ""
          })
      )
    }
  }
}
