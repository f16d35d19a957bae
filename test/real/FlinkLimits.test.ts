/**
 * The ways in which Flink's write-ahead sink for Cassandra loses rows, blocks or lies, each on a real Cassandra.
 */
import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, FileSystem, Metric, Schedule, Stream } from "effect"
import { CassandraSession } from "../../src/cassandra/CassandraSession.ts"
import { CheckpointCommitter } from "../../src/checkpoint/CheckpointCommitter.ts"
import * as Metrics from "../../src/checkpoint/CheckpointMetrics.ts"
import { Record } from "../../src/checkpoint/Element.ts"
import * as RestartStrategy from "../../src/checkpoint/RestartStrategy.ts"
import * as Job from "../../src/job/Job.ts"
import * as DeadLetters from "../../src/sink/DeadLetters.ts"
import { partitionHash } from "../../src/sink/RowEncoder.ts"
import type { WriteAheadSinkOptions } from "../../src/sink/WriteAheadSink.ts"
import * as IterableSource from "../../src/source/IterableSource.ts"
import type { Source } from "../../src/source/Source.ts"
import { StateBackend } from "../../src/state/StateBackend.ts"
import * as StateDirectory from "../../src/state/StateDirectory.ts"
import type { Faults } from "./fixture.ts"
import {
  fresh,
  ledgerKeyspace,
  live,
  lostAnswer,
  makeTable,
  readLedger,
  readTable,
  services,
  tempDirectory,
  withFaults
} from "./fixture.ts"

interface Row {
  readonly id: number
  readonly v: number | string
}

/**
 * Rows in chunks, a checkpoint asked for behind each: what comes next waits until the one before is complete, so that
 * each chunk is a checkpoint of its own.
 */
const chunked = (chunks: ReadonlyArray<ReadonlyArray<Row>>, pause = 60): Source<Row> => ({
  describe: "the chunks",
  total: null,
  progress: () => 0,
  read: (from) => {
    const first = from === null ? 0 : Number(from["chunk"])
    return Stream.fromIterable(chunks.slice(first)).pipe(
      Stream.rechunk(1),
      Stream.mapEffect((rows) => Effect.as(Effect.sleep(pause), rows)),
      Stream.zipWithIndex,
      Stream.map(([rows, i]) => ({
        records: rows.map((row, j) => new Record(row, chunks.slice(0, first + i).flat().length + j + 1)),
        position: { chunk: first + i + 1 }
      }))
    )
  }
})

const range = (from: number, count: number, v = 1): Array<Row> =>
  Array.from({ length: count }, (_, i) => ({ id: from + i, v }))

const often = { interval: "30 millis", minPause: 0 } as const
const never = Schedule.recurs(0)

const insert = (table: string) => `INSERT INTO ${table} (id, v) VALUES (?, ?)`

layer(live, { timeout: 60_000, excludeTestServices: true })("where Flink's sink breaks", (it) => {
  describe("L1: a checkpoint that failed is never committed past", () => {
    for (const inTheSink of [true, false]) {
      it.effect(
        inTheSink ? "retried by the sink" : "retried by restarting the job",
        () =>
          Effect.scoped(Effect.gen(function*() {
            const table = yield* makeTable("id int PRIMARY KEY, v int")
            const directory = yield* tempDirectory
            const jobId = fresh("j")
            let failures = 0
            let commits = 0
            const faults: Faults = {
              // The rows of the first checkpoint fail three times; all later ones would succeed at once.
              before: (statements) =>
                Effect.suspend(() =>
                  failures < 3 && statements.some(({ params }) => (params as Array<Buffer>)[0]!.readInt32BE() < 10)
                    ? (failures++, Effect.fail(lostAnswer))
                    : Effect.void
                ),
              beforeLedger: (statements) =>
                Effect.sync(() => {
                  // Of subtask 0: the values are either (id, uid, 0, id) or (uid, 0, id).
                  if (!statements.some(({ params }) => (params as Array<unknown>).includes(0))) return
                  commits++
                  assert.strictEqual(failures, 3, "a checkpoint was committed past one that had not been sent")
                })
            }
            const summary = yield* Job.run({
              source: chunked([range(0, 10), range(10, 10), range(20, 10)]),
              checkpoint: often,
              restart: RestartStrategy.fixedDelay({ attempts: 10, delay: "20 millis" }),
              sink: {
                query: insert(table),
                sendRetry: inTheSink ? Schedule.spaced("100 millis") : never
              }
            }).pipe(Effect.provide(services({ directory, jobId, faults })))
            assert.strictEqual(failures, 3)
            assert.strictEqual(summary.restarts, inTheSink ? 0 : 3)
            assert.strictEqual(summary.outcome, "finished")
            assert.strictEqual((yield* readTable(table, "id", "v")).size, 30)
            // Flink: 60 rows sent, 50 written; the ledger had moved past the checkpoint that failed.
            assert.isAbove(commits, 0)
          }))
      )
    }
  })

  describe("L2: a bound of our own never makes a send fail", () => {
    it.effect("20,000 rows ahead of Cassandra", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const directory = yield* tempDirectory
        let inFlight = 0
        let most = 0
        const faults: Faults = {
          before: () =>
            Effect.sync(() => {
              most = Math.max(most, ++inFlight)
            }),
          after: () => Effect.sync(() => void inFlight--)
        }
        const summary = yield* Job.run({
          source: chunked([range(0, 20_000)]),
          checkpoint: often,
          restart: RestartStrategy.none,
          sink: { query: insert(table), requestsInFlightMax: 16, sendRetry: never }
        }).pipe(Effect.provide(services({ directory, jobId: fresh("j"), faults })))
        assert.strictEqual(summary.committed, 20_000)
        assert.isAtMost(most, 16)
        assert.isAbove(most, 8)
      })))
  })

  describe("L3: a bounded job ends when its last checkpoint is committed, or fails", () => {
    it.effect("it waits for the last rows", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const directory = yield* tempDirectory
        const jobId = fresh("j")
        const faults: Faults = { before: () => Effect.sleep("300 millis") }
        const summary = yield* Job.run({ source: chunked([range(0, 50)]), sink: { query: insert(table) } }).pipe(
          Effect.provide(services({ directory, jobId, faults }))
        )
        assert.strictEqual((yield* readTable(table, "id", "v")).size, 50)
        assert.strictEqual((yield* readLedger(jobId)).get(0), summary.checkpoints)
      })))

    it.effect("it fails when they can't be sent, and the same job then finishes", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const directory = yield* tempDirectory
        const jobId = fresh("j")
        const options = {
          source: chunked([range(0, 50)]),
          restart: RestartStrategy.none,
          sink: { query: insert(table), sendRetry: never }
        }
        const error = yield* Effect.flip(
          Job.run(options).pipe(
            Effect.provide(services({ directory, jobId, faults: { before: () => Effect.fail(lostAnswer) } }))
          )
        )
        assert.strictEqual(error._tag, "SendFailed")
        assert.strictEqual((yield* readTable(table, "id", "v")).size, 0)
        const summary = yield* Job.run(options).pipe(Effect.provide(services({ directory, jobId })))
        assert.deepStrictEqual([summary.replayedCheckpoints, summary.committed], [1, 50])
        assert.strictEqual((yield* readTable(table, "id", "v")).size, 50)
      })))
  })

  describe("L4: a committed segment whose file is gone blocks nothing", () => {
    it.effect("the ledger is asked before the file is opened", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const directory = yield* tempDirectory
        const fs = yield* FileSystem.FileSystem
        const jobId = fresh("j")
        // The process dies between removing the file and anything that would say so in the state directory.
        const died = yield* Deferred.make<void>()
        const dying = (backend: StateBackend["Service"]): StateBackend["Service"] => ({
          ...backend,
          discardSegment: (handle) =>
            Effect.andThen(
              backend.discardSegment(handle),
              Effect.andThen(Deferred.succeed(died, undefined), Effect.never)
            )
        })
        const run = (source: Source<Row>, backend?: typeof dying) =>
          Job.run({ source, checkpoint: often, sink: { query: insert(table) } }).pipe(
            (self) =>
              backend === undefined
                ? self
                : Effect.flatMap(
                  StateBackend,
                  (service) => Effect.provideService(self, StateBackend, backend(service))
                ),
            Effect.provide(services({ directory, jobId }))
          )
        const rows = range(0, 10)
        yield* Effect.raceFirst(run(chunked([rows]), dying), Deferred.await(died))
        assert.deepStrictEqual(yield* fs.readDirectory(`${directory}/segments`), [])
        const summary = yield* run(chunked([rows, range(10, 10)]))
        assert.strictEqual(summary.outcome, "finished")
        assert.strictEqual(summary.replayedCheckpoints, 0)
        assert.strictEqual((yield* readTable(table, "id", "v")).size, 20)
      })))
  })

  describe("L5: write timestamps are microseconds", () => {
    it.effect("a row wins over what an ordinary client wrote or deleted before", () =>
      Effect.scoped(Effect.gen(function*() {
        const session = yield* CassandraSession
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const directory = yield* tempDirectory
        yield* session.query(`INSERT INTO ${table} (id, v) VALUES (1, 7)`)
        yield* session.query(`DELETE FROM ${table} WHERE id = 2`)
        yield* Effect.sleep("20 millis")
        const before = Date.now() * 1000
        yield* Job.run({ source: chunked([range(1, 2, 9)]), sink: { query: insert(table) } }).pipe(
          Effect.provide(services({ directory, jobId: fresh("j") }))
        )
        const rows = yield* readTable(table, "id", "v")
        assert.deepStrictEqual([rows.get(1)?.value, rows.get(2)?.value], [9, 9])
        for (const { writetime } of rows.values()) {
          assert.isAtLeast(writetime, before)
          assert.isAtMost(writetime, Date.now() * 1000 + 1000)
        }
      })))
  })

  describe("L6: within a checkpoint the later of two updates wins, column by column", () => {
    for (const parallelism of [1, 4]) {
      it.effect(`at parallelism ${parallelism}`, () =>
        Effect.scoped(Effect.gen(function*() {
          const table = yield* makeTable("id int PRIMARY KEY, v int")
          const directory = yield* tempDirectory
          // Later values are smaller: at equal timestamps Cassandra would keep the larger, earlier one.
          const updates = Array.from({ length: 2000 }, (_, i) => ({ id: i % 7, v: 2000 - i }))
          yield* Job.run({ source: chunked([updates]), parallelism, sink: { query: insert(table) } }).pipe(
            Effect.provide(services({ directory, jobId: fresh("j") }))
          )
          const rows = yield* readTable(table, "id", "v")
          const expected = new Map(updates.map(({ id, v }) => [id, v]))
          assert.deepStrictEqual(new Map([...rows].map(([id, { value }]) => [id, value])), expected)
        })))
    }
  })

  describe("L7: at another parallelism each lineage has one owner, and a mark of its own", () => {
    it.effect("what four subtasks left is committed by two, then by three", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const directory = yield* tempDirectory
        const jobId = fresh("j")
        const chunks = [1, 2, 3, 4, 5, 6].map((v) => range(0, 40, v))
        const run = (parallelism: number, faults: Faults = {}) =>
          Job.run({
            source: chunked(chunks),
            parallelism,
            checkpoint: { ...often, pendingCheckpointsMax: 4 },
            restart: RestartStrategy.none,
            sink: { query: insert(table), sendRetry: never }
          }).pipe(Effect.provide(services({ directory, jobId, faults })))
        const valueOf = ({ params }: { readonly params: unknown }, i: number) =>
          (params as Array<Buffer>)[i]!.readInt32BE()
        const isOfThird = (statement: { readonly params: unknown }) =>
          partitionHash([(statement.params as Array<Buffer>)[0]!], [0]) % 4 === 3

        // Four subtasks complete checkpoints of which nothing is sent, and the process dies.
        const pendingOf = Effect.map(
          StateDirectory.look(directory),
          (state) => state === null ? [] : StateDirectory.segments(state)
        )
        const dying = yield* Effect.forkChild(run(4, {
          before: () => Effect.never
        }))
        while (new Set((yield* pendingOf).map(({ checkpointId }) => checkpointId)).size < 3) {
          yield* Effect.sleep("20 millis")
        }
        yield* Fiber.interrupt(dying)
        const left = yield* pendingOf
        assert.deepStrictEqual(new Set(left.map(({ subtask }) => subtask)), new Set([0, 1, 2, 3]))
        assert.isTrue([...(yield* readLedger(jobId))].every(([subtask, id]) => subtask < 0 || id === 0))

        // Two subtasks can send all but the oldest rows of what the fourth one has left.
        const error = yield* Effect.flip(run(2, {
          before: (statements) =>
            statements.some((statement) => isOfThird(statement) && valueOf(statement, 1) === 1)
              ? Effect.andThen(Effect.sleep("1 second"), Effect.fail(lostAnswer))
              : Effect.void
        }))
        assert.strictEqual(error._tag, "SendFailed")
        const ledger = yield* readLedger(jobId)
        // Flink: the new subtasks share marks with the lineages, so what one of them has sent counts for the others.
        assert.strictEqual(ledger.get(3) ?? 0, 0)
        assert.isTrue([0, 1, 2].every((subtask) => (ledger.get(subtask) ?? 0) >= 3), JSON.stringify([...ledger]))

        const summary = yield* run(3)
        assert.strictEqual(summary.outcome, "finished")
        const rows = yield* readTable(table, "id", "v")
        assert.strictEqual(rows.size, 40)
        assert.isTrue([...rows.values()].every(({ value }) => value === chunks.length))
        assert.isAtLeast((yield* readLedger(jobId)).get(3)!, 3)
      })))
  })

  describe("L8: a row that the server refuses", () => {
    it.effect("fails the job with its place; the checkpoints before it are in, the rows beside it too", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id text PRIMARY KEY, v int")
        const directory = yield* tempDirectory
        const jobId = fresh("j")
        const poison = "x".repeat(70_000)
        const rows = (from: number, count: number) =>
          Array.from({ length: count }, (_, i) => ({ id: `k${from + i}` as any, v: 1 }))
        const source = chunked([rows(0, 20), [...rows(20, 5), { id: poison as any, v: 1 }, ...rows(25, 5)]])
        let restarts = 0
        const job = Job.run({
          source,
          checkpoint: often,
          restart: RestartStrategy.fixedDelay({ attempts: 5, delay: 0 }),
          sink: { query: insert(table) }
        }).pipe(Effect.provide(services({ directory, jobId })), Effect.tapError(() => Effect.sync(() => restarts++)))
        for (let i = 0; i < 2; i++) {
          const error = yield* Effect.flip(job)
          assert.strictEqual(error._tag, "RowRefused")
          assert.include(error.message, "the chunks, record at 26")
          assert.include(error.message, "65535")
        }
        assert.strictEqual(restarts, 2)
        const session = yield* CassandraSession
        const written = yield* session.query(`SELECT id FROM ${table}`)
        assert.strictEqual(written.length, 30)
      })))
  })

  describe("L8: with dead letters", () => {
    it.effect("what is refused, does not fit or throws in bind is set aside with its error; all else is committed", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id text PRIMARY KEY, v int")
        const directory = yield* tempDirectory
        const poison = "x".repeat(70_000)
        const rows = (from: number) => Array.from({ length: 10 }, (_, i) => ({ id: `k${from + i}` as any, v: 1 }))
        const source = chunked([
          rows(0),
          [...rows(10), { id: poison as any, v: 1 }],
          [...rows(20), { id: "late" as any, v: "no number" }],
          [...rows(30), { id: "thrown" as any, v: 1 }],
          rows(40)
        ])
        const bind = (row: Row) => {
          if (String(row.id) === "thrown") throw new RangeError("not this one")
          return [row.id, row.v]
        }
        const letters = new Map<string, DeadLetters.DeadLetter>()
        const { committed, deadLetters, outcome, restarts } = yield* Job.run({
          source,
          checkpoint: often,
          restart: RestartStrategy.none,
          sink: { query: insert(table), bind }
        }).pipe(
          Effect.provide(services({ directory, jobId: fresh("j") })),
          Effect.provide(DeadLetters.layerMemory({ letters }))
        )
        assert.deepStrictEqual({ committed, deadLetters, outcome, restarts }, {
          committed: 50,
          deadLetters: 3,
          outcome: "finished",
          restarts: 0
        })
        const told = [...letters.values()].map(({ error, position, stage }) => [position.place, stage, error.tag])
        assert.sameDeepMembers(told, [
          [21, "write", "InvalidQuery"],
          [32, "encode", "RecordRefused"],
          [43, "encode", "RecordRefused"]
        ])
        const { message } = [...letters.values()].find(({ position }) => position.place === 43)!.error
        assert.include(message, "bind threw RangeError: not this one")
        const session = yield* CassandraSession
        assert.lengthOf(yield* session.query(`SELECT id FROM ${table}`), 50)
      })))
  })

  describe("L9: one writer", () => {
    it.effect("a superseded process commits nothing, and its rows lose to its successor's", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const jobId = fresh("j")
        const frozen = yield* Deferred.make<void>()
        const thaw = yield* Deferred.make<void>()
        // The first process stops in the middle of sending, its checkpoint complete and published.
        const faults: Faults = {
          before: () => Effect.andThen(Deferred.succeed(frozen, undefined), Deferred.await(thaw))
        }
        const zombie = yield* Job.run({
          source: chunked([range(0, 500, 1)]),
          checkpoint: often,
          sink: { query: insert(table) }
        }).pipe(Effect.provide(services({ directory: yield* tempDirectory, jobId, faults })), Effect.forkScoped)
        yield* Deferred.await(frozen)
        const summary = yield* Job.run({
          source: chunked([range(0, 500, 2)]),
          checkpoint: often,
          sink: { query: insert(table) }
        }).pipe(Effect.provide(services({ directory: yield* tempDirectory, jobId })))
        const after = yield* readTable(table, "id", "v")
        const ledger = yield* readLedger(jobId)
        yield* Deferred.succeed(thaw, undefined)
        const exit = yield* Fiber.await(zombie)
        assert.isTrue(Exit.isFailure(exit))
        assert.include(JSON.stringify(exit), "Fenced")
        assert.strictEqual(summary.epoch, 2)
        assert.deepStrictEqual(yield* readTable(table, "id", "v"), after)
        assert.isTrue([...after.values()].every(({ value }) => value === 2))
        assert.deepStrictEqual(yield* readLedger(jobId), ledger)
      })))
  })

  describe("L10: sending runs beside the stream, within bounds", () => {
    for (const unanswered of ["the rows", "the ledger"]) {
      it.effect(`the stream is logged on while ${unanswered} can't be written, up to the bound, and not beyond`, () =>
        Effect.scoped(Effect.gen(function*() {
          const table = yield* makeTable("id int PRIMARY KEY, v text")
          const directory = yield* tempDirectory
          const answer = yield* Deferred.make<void>()
          const chunks = Array.from(
            { length: 60 },
            (_, i) => Array.from({ length: 100 }, (_, j) => ({ id: i * 100 + j, v: "x".repeat(1000) }))
          )
          const handle = yield* Job.start({
            source: chunked(chunks, 1),
            checkpoint: { ...often, pendingCheckpointsMax: 2, timeout: "1 second", tolerableFailures: 0 },
            sink: { query: insert(table), pendingBytesMax: 2_000_000 }
          }).pipe(
            Effect.provide(services({
              directory,
              jobId: fresh("j"),
              faults: unanswered === "the rows" ? { before: () => Deferred.await(answer) } : {
                // -2 is the row of the published checkpoint.
                beforeLedger: (statements) =>
                  statements.some(({ params }) => (params as Array<unknown>).includes(-2))
                    ? Deferred.await(answer)
                    : Effect.void
              }
            }))
          )
          yield* Effect.sleep("2500 millis")
          const stuck = yield* handle.progress
          assert.strictEqual(stuck.rowsCommitted, 0)
          // 2 MB are a little under 2,000 rows; what is on its way when the bound is reached is still logged.
          assert.isAtLeast(stuck.rowsLogged, 1500)
          assert.isAtMost(stuck.rowsLogged, 2600)
          assert.isAtMost(stuck.rowsRead, stuck.rowsLogged + 1500)
          yield* Deferred.succeed(answer, undefined)
          const summary = yield* handle.result
          assert.deepStrictEqual([summary.committed, summary.restarts], [6000, 0])
          assert.strictEqual((yield* readTable(table, "id", "v")).size, 6000)
        })))
    }
  })

  describe("L11: the log is read back in large pieces", () => {
    it.effect("a few reads for 20,000 rows", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const directory = yield* tempDirectory
        let reads = 0
        let bytes = 0
        const fileSystem = (fs: FileSystem.FileSystem) =>
          FileSystem.make({
            ...fs,
            open: (path, options) =>
              Effect.map(fs.open(path, options), (file) =>
                Object.create(file, {
                  read: {
                    value: (buffer: Uint8Array) =>
                      Effect.tap(file.read(buffer), (n) =>
                        Effect.sync(() => {
                          reads++
                          bytes += Number(n)
                        }))
                  }
                }))
          })
        yield* Job.run({ source: chunked([range(0, 20_000)]), sink: { query: insert(table) } }).pipe(
          Effect.provide(services({ directory, jobId: fresh("j"), fileSystem }))
        )
        assert.isAbove(bytes, 20_000 * 32)
        assert.isAtMost(reads, 6)
      })))
  })

  describe("L12: a restart costs what it reads and writes, and nothing more", () => {
    it.effect("from the failure to the next commit: a few requests to the ledger, and less than a second", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const directory = yield* tempDirectory
        const jobId = fresh("j")
        const failing = new Set([2, 4, 6, 8, 10])
        const restarts: Array<{ readonly millis: number; readonly requests: number }> = []
        let failedAt: number | null = null
        // What the run that failed had under way beside the failure does not count: the next one begins with a claim.
        let hasBegun = false
        const ownerRow = -4
        let requests = 0
        const faults: Faults = {
          before: (statements) =>
            Effect.suspend(() => {
              const value = (statements[0]!.params as Array<Buffer>)[1]!.readInt32BE()
              if (!failing.delete(value)) return Effect.void
              failedAt = performance.now()
              hasBegun = false
              return Effect.fail(lostAnswer)
            }),
          beforeLedger: (statements) =>
            Effect.sync(() => {
              const isClaim = statements.some(({ params }) => (params as Array<unknown>).includes(ownerRow))
              if (isClaim) {
                hasBegun = true
                requests = 0
              }
              requests++
            }),
          afterLedger: (statements) =>
            Effect.sync(() => {
              const isCommit = statements.some(({ params }) => (params as Array<unknown>).includes(0))
              if (!isCommit || !hasBegun || failedAt === null) return
              restarts.push({ millis: performance.now() - failedAt, requests })
              failedAt = null
            })
        }
        const summary = yield* Job.run({
          source: chunked(Array.from({ length: 12 }, (_, i) => range(i * 10, 10, i + 1))),
          checkpoint: often,
          restart: RestartStrategy.fixedDelay({ attempts: 10, delay: 0 }),
          sink: { query: insert(table), sendRetry: never }
        }).pipe(Effect.provide(services({ directory, jobId, faults })))
        assert.strictEqual(summary.restarts, 5)
        // Not all of them: a run may fail at one checkpoint while the one before it is committed.
        assert.isAtLeast(restarts.length, 2)
        const median = restarts.map(({ millis }) => millis).toSorted((a, b) => a - b)[restarts.length >> 1]!
        // Seen: 40 milliseconds.
        assert.isBelow(median, 1000)
        // The claim, the commit, and a publication for each checkpoint that is complete by then.
        assert.isAtMost(Math.max(...restarts.map(({ requests }) => requests)), 8)
        assert.strictEqual((yield* readTable(table, "id", "v")).size, 120)
      })))
  })

  describe("L13: errors are typed and counted", () => {
    it.effect("a commit that fails is counted and repeated; one that never succeeds fails the job", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const directory = yield* tempDirectory
        let failing = 2
        const isCommit = (statements: ReadonlyArray<{ readonly params: unknown }>) =>
          statements.some(({ params }) => (params as Array<unknown>).includes(0))
        const faults: Faults = {
          beforeLedger: (statements) =>
            Effect.suspend(() => isCommit(statements) && failing-- > 0 ? Effect.fail(lostAnswer) : Effect.void)
        }
        const run = (commitRetry?: typeof never) =>
          Job.run({
            source: chunked([range(0, 10)]),
            checkpoint: { ...often, commitRetry },
            restart: RestartStrategy.none,
            sink: { query: insert(table) }
          })
        const retries = yield* Metric.value(Metrics.commitRetries)
        const commits = yield* Metric.value(Metrics.checkpointCommits)
        yield* run().pipe(Effect.provide(services({ directory, jobId: fresh("j"), faults })))
        assert.strictEqual((yield* Metric.value(Metrics.commitRetries)).count - retries.count, 2)
        assert.strictEqual((yield* Metric.value(Metrics.checkpointCommits)).count - commits.count, 1)
        assert.isAbove((yield* Metric.value(Metrics.checkpointLatency)).count, 0)
        failing = 1_000
        const error = yield* Effect.flip(
          run(never).pipe(Effect.provide(services({ directory: yield* tempDirectory, jobId: fresh("j"), faults })))
        )
        assert.strictEqual(error._tag, "CommitterError")
        assert.include(error.message, "the answer was lost")
      })))
  })

  describe("L14: a record is what its bind makes of it, and a query need not be an INSERT", () => {
    class Reading {
      readonly sensor: string
      readonly tags: ReadonlySet<string>
      constructor(sensor: string, tags: ReadonlySet<string>) {
        this.sensor = sensor
        this.tags = tags
      }
    }

    it.effect("objects of a class, by name and in order; UPDATE and DELETE", () =>
      Effect.scoped(Effect.gen(function*() {
        const session = yield* CassandraSession
        const table = yield* makeTable("id text PRIMARY KEY, tags frozen<set<text>>, big varint")
        const readings = [
          new Reading("a", new Set(["x", "y"])),
          new Reading("b", new Set()),
          new Reading("c", new Set())
        ]
        const run = Effect.fnUntraced(function*(sink: WriteAheadSinkOptions<Reading>, source: Array<Reading>) {
          const directory = yield* tempDirectory
          const { committed } = yield* Job.run({
            source: IterableSource.fromIterable(source),
            checkpoint: often,
            sink
          }).pipe(Effect.provide(services({ directory, jobId: fresh("j") })))
          return committed
        })
        const big = 2n ** 70n + 1n
        const update = `UPDATE ${table} SET tags = :tags, big = :big WHERE id = :id`
        assert.strictEqual(
          yield* run({ query: update, bind: ({ sensor, tags }) => ({ id: sensor, tags, big }) }, readings),
          3
        )
        assert.strictEqual(
          yield* run({ query: `DELETE FROM ${table} WHERE id = ?`, bind: ({ sensor }) => [sensor] }, readings.slice(2)),
          1
        )
        const rows = yield* session.query(`SELECT id, tags, big FROM ${table}`)
        const found = new Map(rows.map((row) => [row["id"], row]))
        assert.deepStrictEqual([...found.keys()].toSorted(), ["a", "b"])
        assert.deepStrictEqual([...found.get("a")!["tags"] as Iterable<string>], ["x", "y"])
        assert.strictEqual(BigInt(String(found.get("a")!["big"])), big)
      })))
  })

  describe("L15: nothing is left behind", () => {
    it.effect("one table a job over any number of runs; orphans are removed at the start", () =>
      Effect.scoped(Effect.gen(function*() {
        const session = yield* CassandraSession
        const fs = yield* FileSystem.FileSystem
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const directory = yield* tempDirectory
        const jobId = fresh("j")
        const run = (chunks: number) =>
          Job.run({
            source: chunked(Array.from({ length: chunks }, (_, i) => range(i * 10, 10))),
            checkpoint: often,
            sink: { query: insert(table) }
          }).pipe(Effect.provide(services({ directory, jobId })))
        yield* run(1)
        yield* fs.writeFileString(`${directory}/segments/e1-a7-s0-n0.wal`, "torn")
        yield* fs.writeFileString(`${directory}/checkpoints/e1-c9.manifest.tmp`, "torn")
        yield* run(3)
        assert.deepStrictEqual(yield* fs.readDirectory(`${directory}/segments`), [])
        assert.strictEqual((yield* fs.readDirectory(`${directory}/checkpoints`)).length, 1)
        const tables = yield* session.query(
          "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?",
          [ledgerKeyspace]
        )
        assert.strictEqual(tables.filter((row) => String(row["table_name"]).includes(jobId)).length, 1)
        assert.strictEqual((yield* readTable(table, "id", "v")).size, 30)
      })))
  })

  describe("opening the sink", () => {
    it.effect("without checkpointing is an error", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const error = yield* Effect.flip(
          Job.run({ source: chunked([range(0, 1)]), checkpoint: null, sink: { query: insert(table) } }).pipe(
            Effect.provide(services({ directory: yield* tempDirectory, jobId: fresh("j") }))
          )
        )
        assert.strictEqual(error._tag, "SinkMisuse")
        assert.include(error.message, "needs checkpointing")
      })))

    it.effect("with another statement while rows of the old one are pending is an error that says what to do", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id int PRIMARY KEY, v int, w int")
        const directory = yield* tempDirectory
        const jobId = fresh("j")
        const run = (query: string, faults: Faults = {}) =>
          Job.run({
            source: chunked([range(0, 10)]),
            restart: RestartStrategy.none,
            sink: { query, sendRetry: never, missing: "unset" }
          }).pipe(Effect.provide(services({ directory, jobId, faults })))
        yield* Effect.flip(run(insert(table), { before: () => Effect.fail(lostAnswer) }))
        const error = yield* Effect.flip(run(`INSERT INTO ${table} (id, w) VALUES (?, ?)`))
        assert.strictEqual(error._tag, "SinkMisuse")
        assert.include(error.message, "10 rows of checkpoint 1 for another statement")
        assert.include(error.message, insert(table))
        assert.strictEqual((yield* run(insert(table))).committed, 10)
      })))

    it.effect("with a lost state directory starts over with ids and timestamps above all that was", () =>
      Effect.scoped(Effect.gen(function*() {
        const table = yield* makeTable("id int PRIMARY KEY, v int")
        const jobId = fresh("j")
        const run = (v: number) =>
          Effect.flatMap(tempDirectory, (directory) =>
            Job.run({
              source: chunked([range(0, 10, v), range(10, 10, v)]),
              checkpoint: often,
              sink: { query: insert(table) }
            }).pipe(Effect.provide(services({ directory, jobId }))))
        yield* run(1)
        const before = yield* readTable(table, "id", "v")
        const ledger = yield* readLedger(jobId)
        yield* run(2)
        const after = yield* readTable(table, "id", "v")
        assert.isTrue([...after.values()].every(({ value }) => value === 2))
        const newest = Math.max(...[...before.values()].map(({ writetime }) => writetime))
        assert.isTrue([...after.values()].every(({ writetime }) => writetime > newest))
        assert.isAbove((yield* readLedger(jobId)).get(0)!, ledger.get(0)!)
      })))
  })

  it.effect("the committer's session can be another cluster's: two layers", () =>
    Effect.scoped(Effect.gen(function*() {
      const session = yield* CassandraSession
      const table = yield* makeTable("id int PRIMARY KEY, v int")
      let dataBatches = 0
      // A session that only carries data: a ledger's batch on it would be seen.
      const data = withFaults(session, { beforeLedger: () => Effect.die("a ledger batch on the data cluster") })
      const counted = {
        ...data,
        batchesEncoded: (
          ...args: Parameters<typeof data.batchesEncoded>
        ) => (dataBatches++, data.batchesEncoded(...args))
      }
      const program = Job.run({ source: chunked([range(0, 10)]), sink: { query: insert(table) } })
      yield* Effect.flatMap(CheckpointCommitter, () => Effect.provideService(program, CassandraSession, counted)).pipe(
        Effect.provide(services({ directory: yield* tempDirectory, jobId: fresh("j") }))
      )
      assert.isAbove(dataBatches, 0)
    })))
})
