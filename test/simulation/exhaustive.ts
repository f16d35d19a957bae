/**
 * Small jobs, and everything that can happen to them once or twice: not drawn, but enumerated, on the real code.
 *
 * A *deviation* is one thing that happens to a process at one of its steps: it dies there (killed, or without power), it
 * freezes there and wakes up at one step of its successor, one of its requests fails or loses its answer, one operation
 * of its disk fails, or it is held up while all others go on (which enumerates interleavings up to so many delays, as
 * delay-bounded scheduling does: Emmi, Qadeer and Rakamaric, POPL 2011). Every other interleaving is what `test/model`
 * enumerates, on a model of the protocol.
 *
 * Steps that leave the same world are enumerated once. A death only matters by what it leaves on the disk and in Cassandra:
 * two deaths between which neither changed are the same, so there is one behind each change (and in each write). A freeze
 * or a delay is of a step that is about to be done, so there is one before each. A thaw is seen by others only in what
 * they have changed meanwhile, so there is one behind each change of the successor.
 *
 * A scope is a job with each deviation, or each pair of them; its programs are numbered, so that it can be cut among
 * workers. The second of a pair is enumerated on the run that the first leads to.
 */
import type { RestartStrategyConfig } from "../../src/checkpoint/RestartStrategy.ts"
import type { End, Run } from "../../src/testing/FaultProgram.ts"
import * as FaultProgram from "../../src/testing/FaultProgram.ts"
import type { Trail, TrailStep } from "../../src/testing/internal/crashModel.ts"
import type { Fault as RequestFault } from "../../src/testing/SimulatedCassandra.ts"
import type { CrashMode, DiskOperation } from "../../src/testing/SimulatedDisk.ts"
import type { Chunk, Program } from "./program.ts"
import * as World from "./world.ts"

export interface Scope {
  readonly name: string
  readonly what: string
  /** Its programs: takes a while, as the jobs are run to see what can happen to them. */
  readonly programs: () => Programs
}

export interface Programs {
  readonly count: number
  readonly at: (index: number) => Program
}

const restart: RestartStrategyConfig = { kind: "fixed-delay", attempts: 1000, delay: 0 }

/**
 * Each key is updated in each checkpoint, so that whatever is lost, doubled or out of order shows. With bad records, each
 * checkpoint has good ones and two kinds of others.
 */
const chunksOf = (checkpoints: number, hasBad: boolean): ReadonlyArray<Chunk> =>
  Array.from({ length: checkpoints }, (_, i): Chunk => ({
    keys: [0, 1, 2],
    pause: i === 0 ? 0 : 20,
    failures: 0,
    bad: hasBad ? (i % 2 === 0 ? ["misfit", "", "refused"] : ["", "malformed", "unheard"]) : undefined
  }))

const job = (checkpoints: number, hasBad: boolean, runs: ReadonlyArray<Run>): Program => ({
  ...FaultProgram.calm(1, runs),
  chunks: chunksOf(checkpoints, hasBad),
  checkpoint: {
    intervalMillis: 20,
    minPauseMillis: 0,
    timeoutMillis: 300,
    maxConcurrent: 1,
    tolerableFailures: 1,
    pendingCheckpointsMax: 8
  },
  restart,
  retainedCheckpoints: 1,
  writeBufferBytes: 262_144,
  readBufferBytes: 1_048_576,
  segmentBytesMax: 8_000_000,
  sortBytesMax: 8_000_000,
  pendingBytesMax: 8_000_000,
  requestsInFlightMax: 2,
  burstMax: 1,
  isImpatient: true,
  isRouted: false,
  endPause: 0,
  savepoints: null
})

type Deviation = (run: Run) => Run

const end = (
  at: number,
  how: { readonly kind: "crash"; readonly mode: CrashMode } | { readonly kind: "kill" }
): End => ({
  ...how,
  at,
  where: ""
})

const numbers = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, i) => i + 1)

const stepsOf = ({ steps }: Trail, ...kinds: ReadonlyArray<TrailStep>): ReadonlyArray<number> =>
  steps.flatMap((step, i) => kinds.includes(step) ? [i + 1] : [])

const deaths = (trail: Trail, modes: ReadonlyArray<CrashMode>): ReadonlyArray<Deviation> =>
  [1, ...stepsOf(trail, "during", "after-change")].flatMap((at) =>
    modes.map((mode): Deviation => (run) => ({ ...run, end: end(at, { kind: "crash", mode }) }))
  )

const freezeAt = (at: number, thawAfter: number | null): Deviation => (run) => ({
  ...run,
  end: { kind: "freeze", at, where: "", thawAfter, thawWhere: "" }
})

const delayMillis = 1000

const delays = (trail: Trail): ReadonlyArray<Deviation> =>
  stepsOf(trail, "before").map((at): Deviation => (run) => ({
    ...run,
    delays: [...run.delays, { at, millis: delayMillis }]
  }))

const requestFaults: ReadonlyArray<RequestFault> = [
  { _tag: "Unavailable" },
  { _tag: "ConnectionLost", applied: "none" },
  { _tag: "ConnectionLost", applied: "all" },
  { _tag: "WriteTimeout", applied: "late" }
]

const failures = ({ operations, requests }: Trail): ReadonlyArray<Deviation> => [
  ...numbers(requests).flatMap((at) =>
    requestFaults.map((fault): Deviation => (run) => ({ ...run, requestFaults: [...run.requestFaults, { at, fault }] }))
  ),
  ...[...operations].flatMap(([operation, count]) =>
    numbers(count).flatMap((nth) =>
      outcomesOf(operation).map((outcome): Deviation => (run) => ({
        ...run,
        diskFaults: [...run.diskFaults, { operation, path: "", code: "EIO", skip: nth - 1, times: 1, outcome }]
      }))
    )
  )
]

/** What looks at the disk only fails in one way; names are in a journal, which takes them whole or not at all. */
const outcomesOf = (operation: DiskOperation): ReadonlyArray<"partial" | "none" | "done"> => {
  switch (operation) {
    case "write":
    case "sync":
      return ["partial", "none", "done"]
    case "create":
    case "rename":
    case "remove":
    case "makeDirectory":
    case "syncDirectory":
    case "truncate":
      return ["none", "done"]
    default:
      return ["none"]
  }
}

const singles = (all: ReadonlyArray<Deviation>, program: (a: Deviation) => Program): Programs => ({
  count: all.length,
  at: (index) => program(all[index]!)
})

/** `second` is asked for what can happen in the run with the first alone. */
const pairs = (
  first: ReadonlyArray<Deviation>,
  program: (...deviations: ReadonlyArray<Deviation>) => Program,
  second: (trails: ReadonlyArray<Trail>) => ReadonlyArray<Deviation>
): Programs => {
  const seconds = first.map((a) => second(World.run(program(a)).trails))
  const starts: Array<number> = []
  let count = 0
  for (const { length } of seconds) {
    starts.push(count)
    count += length
  }
  return {
    count,
    at: (index) => {
      const i = starts.findLastIndex((start) => start <= index)
      return program(first[i]!, seconds[i]![index - starts[i]!]!)
    }
  }
}

const scopesOf = (parallelism: number, checkpoints: number, hasBad = false): ReadonlyArray<Scope> => {
  const undisturbed = FaultProgram.undisturbed(parallelism, 0)
  /** All of it happens to the first process. */
  const toOne = (...deviations: ReadonlyArray<Deviation>) =>
    job(checkpoints, hasBad, [deviations.reduce((run, deviation) => deviation(run), undisturbed)])
  /** Each happens to a process of its own. */
  const inTurn = (...deviations: ReadonlyArray<Deviation>) =>
    job(checkpoints, hasBad, deviations.map((deviation) => deviation(undisturbed)))
  const base = () => World.run(toOne((run) => run)).trails[0]!
  const modes: ReadonlyArray<CrashMode> = ["kill", "lost", "kept", "mixed"]
  const few: ReadonlyArray<CrashMode> = ["kill", "lost"]
  const all: ReadonlyArray<CrashMode> = ["kill", "lost", "scattered"]
  const scope = (name: string, what: string, programs: () => Programs): Scope => ({
    name: `${name} ${parallelism}x${checkpoints}${hasBad ? " bad" : ""}`,
    what,
    programs
  })
  const thaws = (trail: Trail) => [0, ...stepsOf(trail, "after-change"), null]
  return [
    scope("death", "a death behind each change, in four ways", () => singles(deaths(base(), modes), toOne)),
    scope("failure", "each request and each operation of the disk fails", () => singles(failures(base()), toOne)),
    scope("delay", "each step is held up while all others go on", () => singles(delays(base()), toOne)),
    scope("zombie", "a freeze before each step, a thaw behind each change of the successor", () => {
      const points = stepsOf(base(), "before")
      return pairs(
        points.map((at) => freezeAt(at, null)),
        (a, b) => toOne(b ?? a!),
        ([frozen, successor]) => {
          const at = points.findLast((point) => point <= frozen!.steps.length) ?? 1
          return thaws(successor!).map((thawAfter) => freezeAt(at, thawAfter))
        }
      )
    }),
    scope(
      "death, death",
      "and one of the successor",
      () => pairs(deaths(base(), all), inTurn, ([, successor]) => deaths(successor!, all))
    ),
    scope(
      "failure, death",
      "a failure, then a death",
      () => pairs(failures(base()), toOne, ([own]) => deaths(own!, few))
    ),
    scope("failure, failure", "two failures", () => pairs(failures(base()), toOne, ([own]) => failures(own!))),
    scope("delay, death", "a delay, then a death", () => pairs(delays(base()), toOne, ([own]) => deaths(own!, few))),
    scope("delay, failure", "a delay and a failure", () => pairs(delays(base()), toOne, ([own]) => failures(own!))),
    scope("delay, delay", "two delays", () => pairs(delays(base()), toOne, ([own]) => delays(own!))),
    scope("zombie, death", "a freeze, a death of the successor, a thaw beside or behind the next", () =>
      pairs(
        stepsOf(base(), "before").flatMap((at) => [0, 40, null].map((thawAfter) => freezeAt(at, thawAfter))),
        inTurn,
        ([, successor]) => deaths(successor!, few)
      ))
  ]
}

export const scopes: ReadonlyArray<Scope> = [...scopesOf(1, 2), ...scopesOf(2, 3), ...scopesOf(1, 2, true)]

/** Single deviations of the larger job, and all zombies of the smaller one. */
export const isQuick = ({ name }: Scope): boolean =>
  /^(death|failure|delay) (2x3|1x2 bad)$/.test(name) || name === "zombie 1x2"
