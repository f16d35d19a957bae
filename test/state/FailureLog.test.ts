import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as FailureLog from "../../src/state/FailureLog.ts"

const failure = (attempt: number, message = "why"): FailureLog.Failure => ({
  at: 1000 + attempt,
  epoch: 3,
  attempt,
  error: "SendFailed",
  message,
  restartsInMillis: 1500
})

const withDirectory = <A>(use: (directory: string) => Effect.Effect<A, never, NodeServices.NodeServices>) =>
  Effect.gen(function*() {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-failures-"))),
      (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true }))
    )
    return yield* use(directory)
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

describe("FailureLog", () => {
  it.live("gives back what was kept, the last first, with the process; a line that is cut is passed over", () =>
    withDirectory(Effect.fnUntraced(function*(directory) {
      assert.deepStrictEqual(yield* FailureLog.read(directory), [])
      const record = yield* FailureLog.recorder(directory)
      yield* record(failure(1))
      Fs.appendFileSync(`${directory}/failures.ndjson`, "{\"at\":5,\"pid\n{}\nnothing\n")
      yield* record({ ...failure(2), epoch: null, restartsInMillis: null })
      const own = { pid: process.pid, host: Os.hostname() }
      assert.deepStrictEqual(yield* FailureLog.read(directory), [
        { ...failure(2), ...own, epoch: null, restartsInMillis: null },
        { ...failure(1), ...own }
      ])
    })))

  it.live("has a bound: two files, and messages of no more than 2000 characters", () =>
    withDirectory(Effect.fnUntraced(function*(directory) {
      const record = yield* FailureLog.recorder(directory)
      for (let attempt = 1; attempt <= 100; attempt++) yield* record(failure(attempt, "x".repeat(5000)))
      const sizes = Fs.readdirSync(directory).map((name) => Fs.statSync(`${directory}/${name}`).size)
      assert.lengthOf(sizes, 2)
      for (const size of sizes) assert.isBelow(size, 40 * 1024)
      const kept = yield* FailureLog.read(directory)
      assert.isAbove(kept.length, 15)
      assert.deepStrictEqual(kept.map(({ attempt }) => attempt), kept.map((_, i) => 100 - i))
      assert.strictEqual(kept[0]!.message.length, 2000)
    })))

  it.live("is never in the way: what can't be written is left out", () =>
    withDirectory(Effect.fnUntraced(function*(directory) {
      Fs.mkdirSync(`${directory}/failures.ndjson`)
      const record = yield* FailureLog.recorder(directory)
      yield* record(failure(1))
      const nowhere = yield* FailureLog.recorder(`${directory}/none`)
      yield* nowhere(failure(1))
      assert.deepStrictEqual(yield* FailureLog.read(directory), [])
      assert.deepStrictEqual(Fs.readdirSync(directory), ["failures.ndjson"])
    })))
})
