/**
 * Bad records of whole jobs, on a simulated Cassandra.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import * as Barriers from "../../src/checkpoint/Barriers.ts"
import { rowsCommitted } from "../../src/checkpoint/CheckpointMetrics.ts"
import { BadRecord, Record } from "../../src/checkpoint/Element.ts"
import * as RestartStrategy from "../../src/checkpoint/RestartStrategy.ts"
import type { JobOptions } from "../../src/job/Job.ts"
import * as Job from "../../src/job/Job.ts"
import type { DeadLetter, MaxErrors } from "../../src/sink/DeadLetters.ts"
import * as DeadLetters from "../../src/sink/DeadLetters.ts"
import * as SinkMetrics from "../../src/sink/SinkMetrics.ts"
import * as IterableSource from "../../src/source/IterableSource.ts"
import * as LosslessJson from "../../src/source/LosslessJson.ts"
import type { Source } from "../../src/source/Source.ts"
import * as MemoryStateBackend from "../../src/state/MemoryStateBackend.ts"
import type { ClusterOptions } from "../../src/testing/SimulatedCassandra.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"

interface Row {
  readonly id: number
  readonly v: unknown
}

const query = "INSERT INTO sim.t (id, v) VALUES (?, ?)"

const world = Effect.fnUntraced(function*(options: ClusterOptions = {}, type = "bigint") {
  const cluster = SimulatedCassandra.makeCluster(options)
  const setup = cluster.session()
  yield* setup.query("CREATE KEYSPACE sim WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
  yield* setup.query(`CREATE TABLE sim.t (id int PRIMARY KEY, v ${type})`)
  const store = MemoryStateBackend.makeStore()
  const letters = new Map<string, DeadLetter>()
  const services = () =>
    Layer.mergeAll(
      CassandraCommitter.layer({ jobId: "job", uid: "sink" }),
      MemoryStateBackend.layer({ jobId: "job", uid: "sink", store })
    ).pipe(Layer.provideMerge(SimulatedCassandra.layer(cluster)))
  /** A process of its own; null for one without dead letters. */
  const run = Effect.fnUntraced(function*<A>(
    source: Source<A, unknown>,
    maxErrors: MaxErrors | null = 100,
    options: Partial<JobOptions<A, A, unknown, never, unknown>> = {}
  ) {
    const job = Job.run<A, A, unknown, never, unknown>({
      source,
      checkpoint: { interval: "1 second" },
      restart: RestartStrategy.none,
      ...options,
      sink: { query, ...options.sink }
    })
    const fiber = yield* Effect.forkChild(
      Effect.result(
        (maxErrors === null ? job : Effect.provide(job, DeadLetters.layerMemory({ letters, maxErrors }))).pipe(
          Effect.provide(services())
        )
      )
    )
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("100 millis")
    return yield* Fiber.join(fiber)
  })
  const ids = Effect.map(cluster.rows("sim.t"), (rows) => rows.map(({ row }) => row["id"]).toSorted())
  return { cluster, setup, store, letters, run, ids }
})

const iterable = (rows: ReadonlyArray<Row>) => IterableSource.fromIterable(rows, { describe: "rows" })

describe("dead letters", () => {
  it.effect("a record that does not fit is set aside whole, in the order and place it came", () =>
    Effect.gen(function*() {
      const { ids, letters, run } = yield* world()
      const odd = {
        id: 1,
        v: "late",
        big: 9007199254740993n,
        at: new Date(0),
        bytes: Buffer.from([1, 255]),
        map: new Map([["a", 1n]]),
        nothing: null,
        left: undefined,
        nan: Number.NaN
      }
      const result = yield* run(iterable([{ id: 0, v: 0n }, odd, { id: 2, v: 2n }]))
      assert.strictEqual(result._tag, "Success")
      if (result._tag !== "Success") return
      assert.deepInclude(result.success, { rows: 3, committed: 2, deadLetters: 1, outcome: "finished" })
      assert.deepStrictEqual(yield* ids, [0, 2])
      const [letter] = [...letters.values()]
      assert.deepInclude(letter!, { stage: "encode", jobId: "job", uid: "sink", attempts: 0, statement: query })
      assert.deepStrictEqual(letter!.position, { input: "rows", place: 1 })
      assert.strictEqual(letter!.error.column, "v")
      const line = DeadLetters.toLine(letter!)
      const parsed = LosslessJson.parse(line) as { readonly record: object }
      assert.deepStrictEqual(parsed.record, {
        id: 1,
        v: "late",
        big: "9007199254740993",
        at: "1970-01-01T00:00:00.000Z",
        bytes: "0x01ff",
        map: { a: 1 },
        nothing: null,
        nan: "NaN"
      } as object)
      assert.include(line, "\"big\":9007199254740993,")
    }))

  it.effect("without a layer the first bad record ends the job, also one that its source has handed on", () =>
    Effect.gen(function*() {
      const { run } = yield* world()
      const misfit = yield* run(iterable([{ id: 0, v: "x" }]), null)
      assert.include(String(misfit._tag === "Failure" && misfit.failure), "rows, record at 0, column v")
      const unreadable: Source<Row> = {
        describe: "lines",
        total: null,
        progress: () => 0,
        read: () =>
          Stream.make({
            records: [],
            rejected: [new BadRecord(7, "MalformedRecord", "this is not JSON", { text: "{", bytes: null, csv: null })],
            position: { next: 1 }
          })
      }
      const failed = yield* run(unreadable, null)
      assert.include(String(failed._tag === "Failure" && failed.failure), "lines, record at 7: this is not JSON")
    }))

  it.effect("a record for which an operator throws is set aside as it was before, and ends the job without a layer", () =>
    Effect.gen(function*() {
      const { ids, letters, run } = yield* world()
      const rows = iterable([{ id: 0, v: 0n }, { id: 1, v: 2n ** 60n }, { id: 2, v: 2n }])
      const pipeline = Barriers.map((row: Row) => {
        if (row.id === 1) throw new RangeError("not this one")
        return row
      })
      const failed = yield* run(rows, null, { pipeline })
      assert.include(
        String(failed._tag === "Failure" && failed.failure),
        "rows, record at 1: map threw RangeError: not this one"
      )
      const result = yield* run(rows, 1, { pipeline })
      assert.strictEqual(result._tag, "Success")
      assert.deepStrictEqual(yield* ids, [0, 2])
      const [letter] = [...letters.values()]
      assert.deepInclude(letter!, { stage: "read", record: null })
      assert.deepInclude(letter!.error, { tag: "OperatorThrew", message: "map threw RangeError: not this one" })
      assert.deepStrictEqual(letter!.raw, { text: `{"id":1,"v":${2n ** 60n}}`, bytes: null, csv: null })
    }))

  it.effect("a refused row is found in its batch, and only it is set aside, with the values it was sent with", () =>
    Effect.gen(function*() {
      const { ids, letters, run } = yield* world({
        refuses: ({ row }) => row["id"] === 13 ? "Key length of 70000 is longer than maximum of 65535" : null
      })
      const rows = Array.from({ length: 40 }, (_, id) => ({ id, v: id % 2 === 0 ? null : BigInt(id) + 2n ** 60n }))
      const result = yield* run(iterable(rows), 1, { sink: { query, nulls: "unset" } })
      assert.strictEqual(result._tag, "Success")
      assert.strictEqual((yield* ids).length, 39)
      const [letter] = [...letters.values()]
      assert.strictEqual(letter!.stage, "write")
      assert.strictEqual(letter!.error.tag, "InvalidQuery")
      assert.strictEqual(letter!.record, `{"id":13,"v":${13n + 2n ** 60n}}`)
      assert.isAbove(letter!.attempts, 1)
      const { encode, read, write } = SinkMetrics.deadLetters
      assert.strictEqual((yield* Metric.value(write)).count, 1)
      assert.strictEqual((yield* Metric.value(read)).count + (yield* Metric.value(encode)).count, 0)
      assert.strictEqual((yield* Metric.value(rowsCommitted)).count, 39)
      assert.strictEqual(letter!.id, `job/sink/0/1/${letter!.timestamp}@13`)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("a node that has not heard of the table is asked again; a table that is gone ends the job", () =>
    Effect.gen(function*() {
      let times = 0
      const late = yield* world({ refuses: () => times++ < 20 ? "unconfigured table t" : null })
      const result = yield* late.run(iterable([{ id: 1, v: 1n }, { id: 2, v: 2n }]))
      assert.strictEqual(result._tag, "Success")
      assert.deepStrictEqual(yield* late.ids, [1, 2])
      assert.strictEqual(late.letters.size, 0)

      const gone = yield* world()
      const source: Source<Row, unknown> = {
        ...iterable([]),
        read: () =>
          Stream.make({ records: [new Record({ id: 1, v: 1n }, 1)], position: { next: 1 } }).pipe(
            Stream.tap(() => Effect.ignore(gone.setup.query("DROP TABLE sim.t")))
          )
      }
      const failed = yield* gone.run(source)
      assert.strictEqual(failed._tag, "Failure")
      assert.strictEqual((failed as { readonly failure: { readonly _tag: string } }).failure._tag, "CassandraError")
      assert.strictEqual(gone.letters.size, 0)
    }))

  it.effect("the bound counts over all runs, and what is set aside in the log is not forgotten", () =>
    Effect.gen(function*() {
      const { letters, run, store } = yield* world()
      const bad = (count: number) => Array.from({ length: count }, (_, id) => ({ id, v: id % 10 === 5 ? "x" : 1n }))
      const failed = yield* run(iterable(bad(100)), 9)
      assert.strictEqual(failed._tag, "Failure")
      const error = (failed as { readonly failure: DeadLetters.TooManyBadRecords }).failure
      assert.deepInclude(error, { _tag: "TooManyBadRecords", errors: 10, maxErrors: 9, where: "memory" })
      assert.match(
        error.message,
        /10 of 96 records are bad, and at most 9 may be\. The first: rows, record at 5, column v/
      )
      assert.isFalse(error.isRetryable)
      const done = yield* run(iterable(bad(100)), 10)
      assert.strictEqual(done._tag === "Success" && done.success.deadLetters, 10)
      assert.strictEqual(letters.size, 10)
      const more = yield* run(iterable(bad(110)), 10)
      assert.strictEqual((more as { readonly failure: { readonly errors: number } }).failure.errors, 11)
      const again = yield* run(iterable(bad(100)), 10)
      assert.strictEqual(again._tag === "Success" && again.success.outcome, "nothing-to-do")
      assert.strictEqual(again._tag === "Success" && again.success.deadLetters, 10)
      assert.strictEqual(store.manifests[0]!.records, 100)
    }))

  it.effect("letters that wait in the log are not dropped by a run without a place for them", () =>
    Effect.gen(function*() {
      let isDown = true
      const { letters, run } = yield* world({
        onRequest: ({ kind }) => kind === "batch" && isDown ? { _tag: "Overloaded" } : null
      })
      const source = iterable([{ id: 0, v: "x" }, { id: 1, v: 1n }])
      const first = yield* run(source, 100, { sink: { query, sendRetry: undefined } })
      assert.strictEqual(first._tag, "Failure")
      isDown = false
      const without = yield* run(source, null)
      assert.include(String(without._tag === "Failure" && without.failure), "dead letters of checkpoint 1")
      assert.strictEqual(letters.size, 0)
      const done = yield* run(source)
      assert.strictEqual(done._tag === "Success" && done.success.committed, 1)
      assert.strictEqual(letters.size, 1)
    }))

  it.effect("letters that can't be kept are counted, and nothing is committed without them", () =>
    Effect.gen(function*() {
      const { ids, letters, run } = yield* world()
      let attempts = 0
      const source = iterable([{ id: 0, v: "x" }, { id: 1, v: 1n }, { id: 2, v: "y" }])
      const keeping = DeadLetters.DeadLetters.of({
        describe: "a full disk",
        maxErrors: 100,
        known: () => Effect.succeed(new Map([...letters].map(([id, { stage }]) => [id, stage]))),
        write: (written) =>
          Effect.suspend(() => {
            if (attempts++ === 0) {
              return Effect.fail(
                new DeadLetters.DeadLetterError({
                  where: "a full disk",
                  operation: "written",
                  detail: "no space left",
                  isRetryable: true
                })
              )
            }
            for (const letter of written) letters.set(letter.id, letter)
            return Effect.void
          })
      })
      const failed = yield* Effect.provideService(run(source, null), DeadLetters.DeadLetters, keeping)
      assert.include(String(failed._tag === "Failure" && failed.failure), "no space left")
      const count = Effect.map(Metric.value(SinkMetrics.deadLettersFailed), (state) => state.count)
      assert.strictEqual(yield* count, 2)
      assert.strictEqual((yield* Metric.value(SinkMetrics.deadLetters.encode)).count, 0)
      assert.strictEqual((yield* Metric.value(rowsCommitted)).count, 0)
      const done = yield* Effect.provideService(run(source, null), DeadLetters.DeadLetters, keeping)
      assert.strictEqual(done._tag === "Success" && done.success.deadLetters, 2)
      assert.deepStrictEqual([letters.size, yield* count], [2, 2])
      assert.deepStrictEqual(yield* ids, [1])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it("a part of the records is looked at from the hundredth on, as dsbulk does", () => {
    assert.isFalse(DeadLetters.isExceeded("1%", 50, 99))
    assert.isTrue(DeadLetters.isExceeded("1%", 2, 100))
    assert.isFalse(DeadLetters.isExceeded("1%", 2, 200))
    assert.isFalse(DeadLetters.isExceeded("0.5%", 1, 200))
    assert.isTrue(DeadLetters.isExceeded(0, 1, 1))
    assert.isFalse(DeadLetters.isExceeded(1, 1, 1))
    assert.isFalse(DeadLetters.isExceeded(Number.POSITIVE_INFINITY, 1e9, 1))
  })
})
