/**
 * The crash tests that users write: what they pass, what they find, and what they say.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Schedule } from "effect"
import * as ChildProcess from "node:child_process"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import { CrashTest, FaultProgram } from "../../src/testing/index.ts"

const setup = (nodes: number) => [
  `CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': ${nodes}}`,
  "CREATE TABLE k.t (id int PRIMARY KEY, body text)"
]
const count = 8
const retry = <A, E extends { readonly isRetryable: boolean }, R>(self: Effect.Effect<A, E, R>) =>
  Effect.retry(self, { schedule: Schedule.spaced(50), while: (error) => error.isRetryable })

/** A sink of one's own: writes rows one after another and remembers how far it is in a file, before or after. */
const ownSink = (order: "write, then note" | "note, then write", isSynced: boolean) => () =>
  Effect.gen(function*() {
    const session = yield* CassandraSession
    const fs = yield* FileSystem.FileSystem
    const note = (done: number) =>
      Effect.scoped(Effect.gen(function*() {
        const file = yield* fs.open("/note.tmp", { flag: "w" })
        yield* file.writeAll(Buffer.from(String(done)))
        if (isSynced) yield* file.sync
        yield* fs.rename("/note.tmp", "/note")
      }))
    const write = (id: number) => retry(session.execute("INSERT INTO k.t (id, body) VALUES (?, ?)", [id, `row ${id}`]))
    const from = (yield* fs.exists("/note")) ? Number(yield* fs.readFileString("/note")) : 0
    for (let id = from; id < count; id++) {
      yield* order === "write, then note"
        ? Effect.andThen(write(id), note(id + 1))
        : Effect.andThen(note(id + 1), write(id))
    }
  })

const check = ({ rows }: CrashTest.CrashEnd) => {
  const found = new Set(rows("k.t").map(({ row }) => row["id"]))
  return Array.from({ length: count }, (_, id) => id).filter((id) => !found.has(id)).map((id) => `row ${id} is missing`)
}

/** Without what this sink does not survive: failing disks, and two processes at once. */
const survivable = (run: FaultProgram.Run): FaultProgram.Run => ({
  ...run,
  machine: 0,
  diskFaults: [],
  capacity: null,
  flip: null,
  end: run.end.kind === "freeze" ? { kind: "kill", at: run.end.at, where: run.end.where } : run.end
})

const programs = (seed: number) => {
  const program = FaultProgram.generate(seed)
  return { ...program, runs: program.runs.map(survivable) }
}

/** Power losses and deaths only. */
const withoutFaults = (seed: number) => {
  const program = programs(seed)
  const { cassandra } = FaultProgram.calm(seed)
  return { ...program, cassandra }
}

const options = (main: CrashTest.CrashTestOptions["main"]): CrashTest.CrashTestOptions => ({
  setup,
  main,
  check,
  freezes: "anywhere",
  isRestarted: () => true
})

describe("CrashTest", () => {
  it("a sink that writes before it notes passes, through deaths at all its steps", () => {
    const report = CrashTest.hunt(options(ownSink("write, then note", true)), { seeds: 300, programs })
    assert.isNull(report.failure, report.failure === null ? "" : CrashTest.explain(report.failure))
    assert.strictEqual(report.runs, 300)
    assert.isAbove(report.deaths, 40)
    const places = [...report.coverage.keys()].filter((what) => /^(kill|crash): /.test(what))
    assert.isAbove(places.length, 8, places.join("\n"))
  })

  it("one that notes first loses a row; the failure names it, is small, and can be run again", () => {
    const sink = options(ownSink("note, then write", true))
    const { failure } = CrashTest.hunt(sink, { seeds: 300, programs, minimiseSeconds: 5 })
    assert.isNotNull(failure)
    assert.match(failure!.violations[0]!, /row \d is missing/)
    assert.strictEqual(failure!.program.runs.length, 1)
    assert.deepStrictEqual(CrashTest.run(sink, failure!.program).violations, failure!.violations)
    const text = CrashTest.explain(failure!)
    assert.include(text, `Seed ${failure!.seed} fails:`)
    assert.match(text, /process 0 dies at step \d+: /)
    const [, json] = /CrashTest\.run\(options, (.*)\)/.exec(text)!
    assert.deepStrictEqual(CrashTest.run(sink, JSON.parse(json!)).violations, failure!.violations)
  })

  it("one that does not sync finds less in its note than it wrote, and begins behind its end or not at all", () => {
    const { failure } = CrashTest.hunt({
      ...options(ownSink("write, then note", false)),
      isRestarted: () => false,
      mayEndWith: () => false,
      onWrite: ({ row }) => Number(row["id"]) >= 0 ? null : `row ${row["id"]} is sent`,
      main: () =>
        Effect.gen(function*() {
          const fs = yield* FileSystem.FileSystem
          if ((yield* fs.exists("/note")) && (yield* fs.readFileString("/note")) === "") {
            return yield* Effect.fail(new Error("the note is empty"))
          }
          yield* ownSink("write, then note", false)()
        })
    }, { seeds: 300, programs: withoutFaults, minimiseSeconds: 2 })
    assert.match(failure!.violations[0]!, /the note is empty/)
  })

  it("a program that waits for the machine's own time is told so", () => {
    const outcome = CrashTest.run(
      options(() => Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))),
      FaultProgram.calm(1)
    )
    assert.match(outcome.violations[0]!, /everything waits, and nothing will ever happen again/)
  })

  it("the same program gives the same run", () => {
    const trace = () => {
      const lines: Array<string> = []
      for (let seed = 0; seed < 20; seed++) {
        CrashTest.run(options(ownSink("write, then note", true)), programs(seed), (line) => lines.push(line))
      }
      return lines
    }
    assert.deepStrictEqual(trace(), trace())
  })

  it("the example runs", async () => {
    const child = ChildProcess.spawn(process.execPath, ["examples/crash-test.ts", "50"])
    let output = ""
    child.stdout.on("data", (data) => output += data)
    child.stderr.on("data", (data) => output += data)
    const code = await new Promise((resolve) => child.on("close", resolve))
    assert.strictEqual(code, 0, output)
    assert.match(output, /^50 runs with \d+ deaths: nothing lost, nothing wrong\n$/)
  })
})
