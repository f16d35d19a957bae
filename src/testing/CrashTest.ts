/**
 * Crash tests of your own program: it runs on a simulated disk, a simulated Cassandra and virtual time, dies and is
 * started again, freezes and wakes up beside its successor, meets failing disks and requests, and in the end you look at
 * what is in the table. All from one seed: a failure can be run again, and is made smaller by itself.
 *
 * What your program must keep to: it needs a `CassandraSession` and, if it keeps state, a `FileSystem`, and gets both
 * here; time comes from Effect's `Clock` (sleeps, timeouts, schedules), chance from Effect's `Random`; nothing waits for
 * a real timer, socket or promise (that is reported: "everything waits, and nothing will ever happen again"). What the
 * simulated Cassandra does not know is told in `SimulatedCassandra`, what the disk can do in `SimulatedDisk`.
 *
 * A seed's program of faults is drawn for a job with state in files of this library (places to die are named after
 * them); a program that keeps none dies at steps by their number.
 *
 * **Example** (A pipeline of one's own, a thousand times)
 *
 * ```ts
 * import * as CrashTest from "effect-cassandra/testing/CrashTest"
 * import { Effect } from "effect"
 * import { CassandraSession } from "effect-cassandra"
 *
 * const report = CrashTest.hunt({
 *   setup: [
 *     "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
 *     "CREATE TABLE k.t (id int PRIMARY KEY, body text)"
 *   ],
 *   main: () =>
 *     Effect.gen(function*() {
 *       const session = yield* CassandraSession.CassandraSession
 *       for (let id = 0; id < 10; id++) {
 *         yield* session.execute("INSERT INTO k.t (id, body) VALUES (?, ?)", [id, "x"])
 *       }
 *     }),
 *   check: ({ rows }) => rows("k.t").length === 10 ? [] : [`${rows("k.t").length} rows, not 10`]
 * }, { seeds: 1000 })
 * if (report.failure !== null) throw new Error(CrashTest.explain(report.failure))
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { CassandraSession } from "../cassandra/CassandraSession.ts"
import type { FaultProgram } from "./FaultProgram.ts"
import { generate } from "./FaultProgram.ts"
import type { Outcome, Scenario } from "./internal/crashModel.ts"
import type { Process } from "./internal/crashProcess.ts"
import { World } from "./internal/crashWorld.ts"
import { minimise, withFewerFaults } from "./internal/minimise.ts"
import type { InspectedRow, WrittenRow } from "./SimulatedCassandra.ts"

export type { Outcome }

/**
 * A process as its own program sees it.
 *
 * @category models
 * @since 0.1.0
 */
export interface CrashProcess {
  readonly name: string
  /** From the program of faults: 1 to 3. Use it where yours has such a setting, so that it changes from run to run. */
  readonly parallelism: number
  /** Whether another process may still be running on the same machine; `FileStateBackend` wants to know it. */
  readonly takeOver: boolean
  /** Returns when the process is asked to end (SIGTERM). */
  readonly stopRequested: Effect.Effect<void>
}

/**
 * What is left when the last process, which met no faults, has ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface CrashEnd {
  /** All rows of `keyspace.table`, with their write times, as all replicas together have them. */
  readonly rows: (table: string) => ReadonlyArray<InspectedRow>
  /** The last machine's files: absolute path and content. */
  readonly files: () => ReadonlyMap<string, Buffer>
  readonly program: FaultProgram
}

/**
 * The program under test, what it finds, and how its end is judged. `setup`, `main` and `check` have no default.
 *
 * @category options
 * @since 0.1.0
 */
export interface CrashTestOptions {
  /**
   * Statements that make keyspaces and tables; a function of the number of nodes (1 or 3, which the program of faults
   * decides) if the replication is to follow it.
   */
  readonly setup: ReadonlyArray<string> | ((nodes: number) => ReadonlyArray<string>)
  /**
   * A process from its start to its end. Every process of a run does the same; whoever is not the first finds what those
   * before have left.
   */
  readonly main: (
    process: CrashProcess
  ) => Effect.Effect<unknown, unknown, CassandraSession | FileSystem.FileSystem>
  /** What is wrong in the end, a sentence each; none if all is well. */
  readonly check: (end: CrashEnd) => Iterable<string>
  /** Sees each row as it is sent, before any fault: what is wrong with it, or null. Default: all are right. */
  readonly onWrite?: ((row: WrittenRow) => string | null) | undefined
  /**
   * Whether a process that ends with this error is started again (by a supervisor, half a second later). Default: when
   * `error.isRetryable` is true.
   */
  readonly isRestarted?: ((error: unknown) => boolean) | undefined
  /**
   * Whether a process may end with this error, though nobody starts it again. Default: `Fenced` when it was superseded,
   * `StateCorrupt` and `StateUnusable` when a bit of its files was flipped.
   */
  readonly mayEndWith?:
    | ((error: unknown, process: { readonly isSuperseded: boolean; readonly isDamaged: boolean }) => boolean)
    | undefined
  /**
   * Where a process may freeze: `claimed` (default) only when it has claimed its job by a conditional batch and read since,
   * as one that has not would simply be the next process when it thaws; `anywhere` for programs that claim nothing.
   */
  readonly freezes?: "claimed" | "anywhere" | undefined
}

/**
 * A seed that fails, and the smallest program that was found to fail in the same way.
 *
 * @category models
 * @since 0.1.0
 */
export interface CrashFailure {
  readonly seed: number
  readonly violations: ReadonlyArray<string>
  readonly program: FaultProgram
  /** What happened in it, line by line. */
  readonly trace: ReadonlyArray<string>
}

/**
 * What the runs of a hunt have met.
 *
 * @category models
 * @since 0.1.0
 */
export interface CrashReport {
  readonly runs: number
  readonly steps: number
  readonly deaths: number
  readonly virtualMillis: number
  /** How often each fault, each place of a death and each log message was met. */
  readonly coverage: ReadonlyMap<string, number>
  /** The first seed that failed; those behind it were not run. */
  readonly failure: CrashFailure | null
}

const tagOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : ""

const isDamageReport = (error: unknown): boolean => /^(StateCorrupt|StateUnusable)$/.test(tagOf(error))

const scenarioOf = (options: CrashTestOptions, nodes: number): Scenario => ({
  setup: typeof options.setup === "function" ? options.setup(nodes) : options.setup,
  main: (process) =>
    options.main({
      name: process.name,
      parallelism: process.run.parallelism,
      takeOver: process.takeOver,
      stopRequested: Deferred.await(process.stopRequested)
    }),
  isRestarted: options.isRestarted ??
    ((error) => (error as { readonly isRetryable?: boolean } | null)?.isRetryable === true),
  onWrite: (row, _sender, world) => {
    const wrong = options.onWrite?.(row) ?? null
    if (wrong !== null) world.violate(wrong)
  },
  mayFreeze: (process) => options.freezes === "anywhere" || process.claim === "known",
  isDamageReport,
  onExit: (process, exit, world) => {
    if (exit._tag === "Success") return
    const error = Cause.squash(exit.cause)
    if (!Cause.hasDies(exit.cause) && isExpected(options, process, error)) return
    world.violate(`process ${process.name} ended with ${tagOf(error) || "a defect"}: ${Cause.pretty(exit.cause)}`)
  },
  onEnd: (process, world) => {
    const end: CrashEnd = {
      rows: (table) => world.rows(table),
      files: () => process.machine.disk.files(),
      program: world.program
    }
    for (const wrong of options.check(end)) world.violate(wrong)
  }
})

const isExpected = (options: CrashTestOptions, process: Process, error: unknown): boolean => {
  const { isSuperseded, machine: { isDamaged } } = process
  if (options.mayEndWith !== undefined) return options.mayEndWith(error, { isSuperseded, isDamaged })
  // A zombie that fails for another reason than that it is superseded has no supervisor.
  const isZombie = process.wasFrozen && (error as { readonly isRetryable?: boolean } | null)?.isRetryable === true
  return isZombie || (isSuperseded && tagOf(error) === "Fenced") || (isDamaged && isDamageReport(error))
}

/**
 * Carries out one program of faults. Synchronous: all time in it is virtual.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (options: CrashTestOptions, program: FaultProgram, trace?: (line: string) => void): Outcome =>
  new World(program, scenarioOf(options, program.cassandra.replicas), trace).live()

/**
 * The programs of many seeds, until one fails, which is then made smaller.
 *
 * `from` (default 0) is the first seed, `seeds` (default 500) how many; `programs` makes a seed's program (default
 * `FaultProgram.generate`); `minimiseSeconds` (default 20) is how long a smaller program is looked for.
 *
 * @category running
 * @since 0.1.0
 */
export const hunt = (options: CrashTestOptions, range: {
  readonly from?: number | undefined
  readonly seeds?: number | undefined
  readonly programs?: ((seed: number) => FaultProgram) | undefined
  readonly minimiseSeconds?: number | undefined
} = {}): CrashReport => {
  const { from = 0, minimiseSeconds = 20, programs = generate, seeds = 500 } = range
  const coverage = new Map<string, number>()
  let [runs, steps, deaths, virtualMillis] = [0, 0, 0, 0]
  let failure: CrashFailure | null = null
  for (let seed = from; seed < from + seeds && failure === null; seed++) {
    const outcome = run(options, programs(seed))
    runs++
    steps += outcome.steps
    deaths += outcome.deaths
    virtualMillis += outcome.virtualMillis
    for (const [what, times] of outcome.coverage) coverage.set(what, (coverage.get(what) ?? 0) + times)
    if (outcome.violations.length === 0) continue
    const { program, violations } = minimise({
      failing: programs(seed),
      violations: outcome.violations,
      smaller: withFewerFaults,
      run: (candidate) => run(options, candidate).violations,
      secondsMax: minimiseSeconds
    })
    const trace: Array<string> = []
    run(options, program, (line) => trace.push(line))
    failure = { seed, violations, program, trace }
  }
  return { runs, steps, deaths, virtualMillis, coverage, failure }
}

/**
 * A failure as text for a person: what is wrong, what happened (at most the last `linesMax` lines, 60 by default), and
 * the program to run again.
 *
 * @category running
 * @since 0.1.0
 */
export const explain = ({ program, seed, trace, violations }: CrashFailure, linesMax = 60): string =>
  [
    `Seed ${seed} fails:`,
    ...violations.map((violation) => `  - ${violation}`),
    "What happened:",
    ...(trace.length > linesMax ? [`  ... (${trace.length - linesMax} lines)`] : []),
    ...trace.slice(-linesMax).map((line) => `  ${line}`),
    `Run it again with CrashTest.run(options, ${JSON.stringify(program)})`
  ].join("\n")
