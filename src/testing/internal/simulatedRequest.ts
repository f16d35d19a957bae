/**
 * A request's way through the simulated network: what chance or the test's program does to it, when it lands, and what
 * the client hears of it.
 */
import { errors } from "cassandra-driver"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Consistency } from "../../cassandra/CassandraConfig.ts"
import type { CassandraError, ClassifyContext } from "../../cassandra/CassandraError.ts"
import { fromCause } from "../../cassandra/CassandraError.ts"
import type { QueryOptions } from "../../cassandra/CassandraSession.ts"
import { consistencyCodes } from "../../cassandra/internal/driverClient.ts"
import { BindError } from "../../cassandra/internal/preparedStatement.ts"
import type { Data } from "./simulatedData.ts"
import type { Chance, Fault, FaultRates, Landing, SimulatedRequest } from "./simulatedFault.ts"
import { drawFault } from "./simulatedFault.ts"
import { codes, driverError, Refusal } from "./simulatedRefusal.ts"
import type { Table } from "./simulatedSchema.ts"

/** @internal */
export interface Process {
  readonly index: number
  readonly describe: string
  readonly timeoutMillis: number
  isKilled: boolean
}

/**
 * What is to be done at the server. `land` may throw a `Refusal`; it is not called when nothing of it lands.
 *
 * @internal
 */
export interface Work<A> {
  readonly kind: SimulatedRequest["kind"]
  readonly operation: string
  readonly statements: ReadonlyArray<string>
  readonly consistency: Consistency
  readonly table: Table | null
  readonly writeType: string
  readonly isUncertain: boolean
  readonly timeout: QueryOptions["timeout"]
  readonly land: (landing: Exclude<Landing, "late">, nowMillis: number) => A
}

/** @internal */
export interface NetworkOptions {
  readonly onRequest: ((request: SimulatedRequest) => Fault | null | undefined) | undefined
  readonly rates: FaultRates
  readonly slowMillisMax: number
  readonly turnsMax: number
  readonly delayMillisMax: number
  readonly lateChance: number
  readonly outages: ReadonlyArray<{ readonly fromMillis: number; readonly toMillis: number }>
}

/** @internal */
export class Network {
  readonly coverage = new Map<string, number>()
  readonly requests = new Map<SimulatedRequest["kind"], number>()
  readonly late: Array<(nowMillis: number) => void> = []
  isDown = false
  private index = 0
  private readonly data: Data
  private readonly chance: Chance
  private readonly options: NetworkOptions

  constructor(data: Data, chance: Chance, options: NetworkOptions) {
    this.data = data
    this.chance = chance
    this.options = options
  }

  cover(what: string): void {
    this.coverage.set(what, (this.coverage.get(what) ?? 0) + 1)
  }

  /** Lands what was left on the way, in any order. Returns how much it was. */
  flushLate(nowMillis: number, probability = 1): number {
    if (this.late.length === 0) return 0
    const landing = this.late.splice(0)
    let count = 0
    for (const land of this.chance.shuffle(landing)) {
      if (probability < 1 && this.chance.next() >= probability) {
        this.late.push(land)
        continue
      }
      land(nowMillis)
      count++
      this.cover("late write landed")
    }
    return count
  }

  /** `make` throws a `Refusal`, or what binding throws, for a request that no server would take. */
  perform<A>(
    process: Process,
    make: (nowMillis: number) => Work<A>,
    context: { readonly operation: string; readonly statement: string | undefined }
  ): Effect.Effect<A, CassandraError> {
    return Clock.clockWith((clock) => {
      if (process.isKilled) return Effect.never
      const nowMillis = clock.currentTimeMillisUnsafe()
      const place: ClassifyContext = { place: process.describe, statement: context.statement }
      let work: Work<A>
      try {
        work = make(nowMillis)
      } catch (thrown) {
        this.count("prepare", false)
        return Effect.fail(expected(thrown, context.operation, place))
      }
      this.count(work.kind, true)
      const request: SimulatedRequest = {
        index: this.index - 1,
        session: process.index,
        kind: work.kind,
        operation: work.operation,
        statements: work.statements,
        consistency: work.consistency,
        nowMillis
      }
      if (this.late.length > 0) this.flushLate(nowMillis, this.options.lateChance)
      const isOutage = this.isDown ||
        this.options.outages.some(({ fromMillis, toMillis }) => nowMillis >= fromMillis && nowMillis < toMillis)
      const told = this.options.onRequest?.(request)
      const drawn = drawFault(this.chance, this.options.rates, this.options.slowMillisMax)
      const fault = told === undefined ? drawn : told
      const { delayMillisMax, turnsMax } = this.options
      if (!isOutage && fault === null && turnsMax === 0 && delayMillisMax === 0) {
        try {
          return Effect.succeed(work.land("all", nowMillis))
        } catch (thrown) {
          return Effect.fail(expected(thrown, work.operation, { ...place, uncertain: work.isUncertain }))
        }
      }
      return this.travel(process, work, isOutage ? "outage" : fault, place)
    })
  }

  private count(kind: SimulatedRequest["kind"], isSent: boolean): void {
    if (!isSent) return this.cover("refused")
    this.index++
    this.requests.set(kind, (this.requests.get(kind) ?? 0) + 1)
  }

  private travel<A>(
    process: Process,
    work: Work<A>,
    fault: Fault | "outage" | null,
    place: ClassifyContext
  ): Effect.Effect<A, CassandraError> {
    if (fault !== null) this.cover(coverageOf(fault))
    const { chance, options } = this
    const fail = (cause: unknown): CassandraError =>
      toError(cause, work.operation, { ...place, uncertain: work.isUncertain })
    const { landing, refusal } = this.outcome(work, fault)
    const limit = work.timeout === undefined
      ? process.timeoutMillis
      : Math.max(1, Math.ceil(Duration.toMillis(work.timeout)))
    const slow = fault !== null && fault !== "outage" && fault._tag === "Slow" ? fault : null
    const before = (slow?.beforeMillis ?? 0) + chance.below(options.delayMillisMax + 1)
    const silent = fault !== null && fault !== "outage" && fault._tag === "NoAnswer"
    const after = silent ? Infinity : (slow?.afterMillis ?? 0) + chance.below(options.delayMillisMax + 1)
    const turns = [chance.below(options.turnsMax + 1), chance.below(options.turnsMax + 1)] as const
    let isLanded = false

    const abandon = (): void => {
      if (isLanded || landing === "none") return
      isLanded = true
      if (work.kind === "select" || work.kind === "prepare") return
      if (process.isKilled && chance.next() < 0.5) return this.cover("lost with its process")
      this.cover("abandoned on the way")
      this.landLate(work, landing)
    }
    const land = (nowMillis: number): A | undefined => {
      isLanded = true
      if (landing === "none") return undefined
      if (landing === "late") {
        this.landLate(work, "all")
        return undefined
      }
      return work.land(landing, nowMillis)
    }
    const wait = (millis: number, turns: number): Effect.Effect<void> =>
      millis === 0 && turns === 0 ? Effect.void : Effect.gen(function*() {
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        if (millis > 0) yield* Effect.sleep(millis)
        if (!process.isKilled) return
        abandon()
        yield* Effect.never
      })

    return Effect.gen(function*() {
      if (before >= limit) {
        yield* wait(limit, turns[0])
        abandon()
        return yield* Effect.fail(fail(noAnswer(process)))
      }
      yield* wait(before, turns[0])
      const nowMillis = yield* Clock.currentTimeMillis
      const answer = yield* Effect.try({
        try: () => land(nowMillis),
        catch: (thrown) => expected(thrown, work.operation, { ...place, uncertain: work.isUncertain })
      })
      if (before + after > limit) {
        yield* wait(limit - before, turns[1])
        return yield* Effect.fail(fail(noAnswer(process)))
      }
      yield* wait(after, turns[1])
      if (refusal !== null) return yield* Effect.fail(fail(refusal))
      return answer as A
    }).pipe(Effect.onInterrupt(() => Effect.sync(abandon)))
  }

  /** It still lands one day, whatever the client heard. Nobody hears of a refusal then. */
  private landLate<A>(work: Work<A>, landing: Landing): void {
    if (landing === "none") return
    this.late.push((nowMillis) => {
      try {
        work.land(landing === "late" ? "all" : landing, nowMillis)
      } catch (thrown) {
        if (!(thrown instanceof Refusal)) throw thrown
      }
    })
  }

  private outcome<A>(work: Work<A>, fault: Fault | "outage" | null): { landing: Landing; refusal: unknown } {
    if (fault === null) return { landing: "all", refusal: null }
    if (fault === "outage") {
      const cause = new errors.NoHostAvailableError({})
      return { landing: "none", refusal: cause }
    }
    const { consistency, kind, table, writeType } = work
    const isWrite = kind === "write" || kind === "batch" || kind === "lwt"
    const holders = table === null ? [0] : this.data.holders(table)
    let required = 1
    try {
      if (table !== null) required = this.data.required(table, consistency)
    } catch (thrown) {
      return { landing: "none", refusal: thrown }
    }
    const counts = {
      consistencies: consistencyCodes[consistency],
      blockFor: required,
      failures: 1,
      writeType: kind === "lwt" ? "CAS" : writeType
    }
    switch (fault._tag) {
      case "WriteTimeout":
      case "ReadTimeout":
      case "WriteFailure": {
        const landing = isWrite && "applied" in fault ? fault.applied ?? "none" : "none"
        const received = typeof landing === "object" ? Math.min(landing.length, required - 1) : required - 1
        if (kind === "prepare" || kind === "ddl") {
          return { landing: "none", refusal: new Refusal(codes.overloaded, "simulated overload") }
        }
        const code = !isWrite
          ? codes.readTimeout
          : fault._tag === "WriteFailure"
          ? codes.writeFailure
          : codes.writeTimeout
        return {
          landing,
          refusal: new Refusal(code, `Operation timed out - received only ${received} responses.`, {
            ...counts,
            received
          })
        }
      }
      case "Unavailable":
        return {
          landing: isWrite ? fault.applied ?? "none" : "none",
          refusal: new Refusal(codes.unavailable, `Cannot achieve consistency level ${consistency}`, {
            consistencies: consistencyCodes[consistency],
            required,
            alive: required - 1
          })
        }
      case "Overloaded":
        return { landing: "none", refusal: new Refusal(codes.overloaded, "Too many in flight (simulated)") }
      case "ServerError":
        return { landing: "none", refusal: new Refusal(codes.serverError, "simulated internal error") }
      case "Refused":
        return {
          landing: "none",
          refusal: new Refusal(codes.invalid, fault.message ?? "refused by the simulation")
        }
      case "ConnectionLost":
        return {
          landing: isWrite || kind === "ddl" ? fault.applied ?? "none" : "none",
          refusal: Object.assign(new Error("Connection was lost"), { isSocketError: true, requestNotWritten: false })
        }
      case "NoAnswer":
        return { landing: isWrite || kind === "ddl" ? fault.applied ?? "none" : "none", refusal: null }
      case "Slow":
        return { landing: "all", refusal: null }
      case "Lag": {
        if (!isWrite) return { landing: "all", refusal: null }
        const quick = this.chance.shuffle(holders).slice(0, required)
        // the others get it from a hint, perhaps; a conditional write reaches them with the next serial operation
        if (kind !== "lwt" && quick.length < holders.length && this.chance.next() < 0.5) {
          this.landLate(work, holders.filter((index) => !quick.includes(index)))
        }
        return { landing: quick, refusal: null }
      }
    }
  }
}

const coverageOf = (fault: Fault | "outage"): string => {
  if (fault === "outage") return "outage"
  const applied = "applied" in fault ? fault.applied : undefined
  return applied === undefined ? fault._tag : `${fault._tag} ${typeof applied === "string" ? applied : "chosen"}`
}

const noAnswer = (process: Process): Error =>
  new errors.OperationTimedOutError("The host did not reply before timeout", process.describe)

const toError = (thrown: unknown, operation: string, context: ClassifyContext): CassandraError => {
  if (thrown instanceof Refusal) return fromCause(driverError(thrown), operation, context)
  return fromCause(thrown, operation, thrown instanceof BindError ? { ...context, encode: thrown.encode } : context)
}

/** The error that `thrown` stands for; a mistake of the simulation's own stays one. */
const expected = (thrown: unknown, operation: string, context: ClassifyContext): CassandraError => {
  if (thrown instanceof Refusal || thrown instanceof BindError) return toError(thrown, operation, context)
  throw thrown
}
