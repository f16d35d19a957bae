import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Fiber, Schema, Stream } from "effect"
import * as Barriers from "../../src/checkpoint/Barriers.ts"
import { CheckpointCommitter, makeMemory } from "../../src/checkpoint/CheckpointCommitter.ts"
import * as Coordinator from "../../src/checkpoint/CheckpointCoordinator.ts"
import { CheckpointCoordinator } from "../../src/checkpoint/CheckpointCoordinator.ts"
import type { Element } from "../../src/checkpoint/Element.ts"
import { BadRecord, Barrier, Record } from "../../src/checkpoint/Element.ts"

const start = Effect.gen(function*() {
  const committer = makeMemory()
  const claim = yield* committer.claimEpoch(null)
  return yield* Coordinator.make({
    jobId: "job",
    uid: "sink",
    parallelism: 1,
    attempt: 0,
    claim,
    restored: null,
    config: { interval: "1 hour" },
    completeCheckpoint: () => Effect.void
  }).pipe(Effect.provideService(CheckpointCommitter, committer))
})

const chunks = (sizes: ReadonlyArray<number>, gap: Effect.Effect<unknown> = Effect.void) => {
  let n = 0
  return Stream.fromIterable(sizes).pipe(
    Stream.rechunk(1),
    Stream.mapEffect((size) => Effect.as(gap, size)),
    Stream.map((size) => {
      const records = Array.from({ length: size }, () => new Record(n, n++))
      return { records, position: { next: n } }
    })
  )
}

/** Acknowledges barriers as a sink does, and gathers what came by. */
const drain = Effect.fnUntraced(function*<E>(
  coordinator: CheckpointCoordinator["Service"],
  elements: Stream.Stream<Element<number>, E>,
  /** Turns that an element takes: a slow one makes the source wait, and barriers come while it does. */
  turns = 0
) {
  const seen: Array<Element<number>> = []
  yield* Stream.runForEach(elements, (element) => {
    seen.push(element)
    return element._tag === "Barrier"
      ? coordinator.acknowledge({ subtask: 0, barrier: element, segment: null })
      : Effect.forEach(Array.from({ length: turns }), () => Effect.yieldNow, { discard: true })
  })
  return seen
})

const Command = Schema.Literals(["chunk", "trigger"])

describe("Barriers", () => {
  it.effect("what could not be read comes where it stood, so that places tell what is before a cut of the log", () =>
    Effect.gen(function*() {
      const coordinator = yield* start
      const raw = { text: "{", bytes: null, csv: null }
      const chunk = {
        records: [2, 3, 5].map((place) => new Record(place, place)),
        rejected: [1, 4, 6, 7].map((place) => new BadRecord(place, "MalformedRecord", "it is none", raw)),
        position: { next: 7 }
      }
      const seen = yield* drain(
        coordinator,
        Stream.provideService(Barriers.inject(Stream.make(chunk)), CheckpointCoordinator, coordinator)
      )
      const places = seen.flatMap((element) => element._tag === "Barrier" ? [] : [element.place])
      assert.deepStrictEqual(places, [1, 2, 3, 4, 5, 6, 7])
    }))

  it.effect.prop(
    "a barrier's position and count are those of the records before it, whenever it is triggered",
    {
      commands: Arbitrary.array(Arbitrary.schema(Command), { maxLength: 40 }),
      empty: Schema.Boolean,
      turns: Schema.Literals([0, 3, 20])
    },
    ({ commands, empty, turns }) =>
      Effect.gen(function*() {
        const coordinator = yield* start
        let i = 0
        const steps = commands.map((command) => ({
          command,
          size: command === "chunk" ? (i++ % 3) + (empty ? 0 : 1) : 0
        }))
        let n = 0
        const source = Stream.fromIterable(steps).pipe(
          Stream.rechunk(1),
          Stream.mapEffect((step) =>
            step.command === "trigger" ? Effect.as(coordinator.requestCheckpoint, step) : Effect.succeed(step)
          ),
          Stream.map(({ size }) => {
            const records = Array.from({ length: size }, () => new Record(n, n++))
            return { records, position: { next: n } }
          })
        )
        const seen = yield* drain(
          coordinator,
          Stream.provideService(Barriers.inject(source), CheckpointCoordinator, coordinator),
          turns
        )
        let records = 0
        let lastId = 0
        for (const element of seen) {
          if (element._tag === "Record") {
            assert.strictEqual(element.value, records++)
            continue
          }
          if (element._tag === "BadRecord") return assert.fail("there is none")
          assert.isAbove(element.checkpointId, lastId)
          lastId = element.checkpointId
          assert.strictEqual(element.records, records)
          if (records > 0) assert.deepStrictEqual(element.position, { next: records })
        }
        assert.strictEqual(records, n)
        const last = seen.at(-1)
        assert.isTrue(last instanceof Barrier && last.finished)
      }),
    { arbitrary: { runs: 300 } }
  )

  it.effect("a barrier comes also while no record does", () =>
    Effect.gen(function*() {
      const coordinator = yield* start
      const seen: Array<string> = []
      const idle = Stream.concat(chunks([2]), Stream.fromEffect(Effect.never))
      const fiber = yield* Stream.runForEach(
        Stream.provideService(Barriers.inject(idle), CheckpointCoordinator, coordinator),
        (element) => Effect.sync(() => void seen.push(element._tag))
      ).pipe(Effect.forkChild)
      for (let i = 0; i < 20; i++) yield* Effect.yieldNow
      yield* coordinator.requestCheckpoint
      for (let i = 0; i < 20; i++) yield* Effect.yieldNow
      assert.deepStrictEqual(seen, ["Record", "Record", "Barrier"])
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("no barrier follows a failure", () =>
    Effect.gen(function*() {
      const coordinator = yield* start
      const seen: Array<string> = []
      const failing = Stream.concat(chunks([1, 1]), Stream.fail("broken"))
      const error = yield* Stream.runForEach(
        Stream.provideService(Barriers.inject(failing), CheckpointCoordinator, coordinator),
        (element) => Effect.sync(() => void seen.push(element._tag))
      ).pipe(Effect.flip)
      assert.strictEqual(error, "broken")
      assert.notInclude(seen, "Barrier")
    }))

  it.effect("a stop ends an endless source with a last barrier that is not the end of the source", () =>
    Effect.gen(function*() {
      const coordinator = yield* start
      const endless = Stream.concat(chunks([1, 1]), Stream.fromEffect(Effect.never))
      const fiber = yield* drain(
        coordinator,
        Stream.provideService(Barriers.inject(endless), CheckpointCoordinator, coordinator)
      ).pipe(Effect.forkChild)
      for (let i = 0; i < 20; i++) yield* Effect.yieldNow
      yield* coordinator.stop
      const last = (yield* Fiber.join(fiber)).at(-1)
      assert.isTrue(last instanceof Barrier && !last.finished && last.records === 2)
    }))

  it.effect("operators keep order, and places, and let barriers pass only behind what came before", () =>
    Effect.gen(function*() {
      const elements: ReadonlyArray<Element<number>> = [
        new Record(1, 10),
        new Record(2, 11),
        new Barrier(1, null, 2, false),
        new BadRecord(13, "MalformedRecord", "this is not JSON", { text: "{", bytes: null, csv: null }),
        new Record(3, 12),
        new Barrier(2, null, 3, true)
      ]
      const show = (all: ReadonlyArray<Element<unknown>>) =>
        all.map((e) =>
          e._tag === "Barrier"
            ? `| ${e.checkpointId}`
            : e._tag === "Record"
            ? `${e.value}@${e.place}`
            : `bad@${e.place}`
        )
      const run = (f: (self: Stream.Stream<Element<number>>) => Stream.Stream<Element<unknown>>) =>
        Effect.map(Stream.runCollect(f(Stream.fromIterable(elements))), show)
      assert.deepStrictEqual(yield* run(Barriers.map((n) => n * 10)), [
        "10@10",
        "20@11",
        "| 1",
        "bad@13",
        "30@12",
        "| 2"
      ])
      assert.deepStrictEqual(yield* run(Barriers.filter((n) => n !== 2)), ["1@10", "| 1", "bad@13", "3@12", "| 2"])
      assert.deepStrictEqual(
        yield* run(Barriers.flatMap((n) => Array.from({ length: n - 1 }, (_, i) => `${n}.${i}`))),
        ["2.0@11", "| 1", "bad@13", "3.0@12", "3.1@12", "| 2"]
      )
      let running = 0
      const slowFirst = (n: number) =>
        Effect.gen(function*() {
          running++
          for (let i = 0; i < 10 - 3 * n; i++) yield* Effect.yieldNow
          running--
          return n
        })
      assert.deepStrictEqual(
        yield* run((self) =>
          Stream.tap(
            Barriers.mapEffect(self, slowFirst, { concurrency: 2 }),
            (element) =>
              element._tag === "Barrier" && element.checkpointId === 2
                ? Effect.sync(() => assert.strictEqual(running, 0))
                : Effect.void
          )
        ),
        ["1@10", "2@11", "| 1", "bad@13", "3@12", "| 2"]
      )
    }))

  it.effect("a record for which an operator throws becomes a bad one, in its place, with what was thrown", () =>
    Effect.gen(function*() {
      const elements = [new Record(1, 10), new Record(2, 11), new Barrier(1, null, 2, false), new Record(3, 12)]
      const odd = <A>(value: A) => (n: number): A => {
        if (n === 2) throw new RangeError("not this one")
        return value
      }
      const half = function*(n: number) {
        yield n
        if (n === 2) throw new RangeError("not this one")
      }
      const operators: ReadonlyArray<
        readonly [string, (self: Stream.Stream<Element<number>>) => Stream.Stream<Element<number>>]
      > = [
        ["map", Barriers.map(odd(0))],
        ["filter", Barriers.filter(odd(true))],
        ["flatMap", Barriers.flatMap(odd([0]))],
        ["flatMap", Barriers.flatMap(half)],
        ["mapEffect", Barriers.mapEffect(odd(Effect.succeed(0)))]
      ]
      for (const [name, operator] of operators) {
        const all = yield* Stream.runCollect(operator(Stream.fromIterable<Element<number>>(elements)))
        assert.deepStrictEqual(all.map(({ _tag }) => _tag), ["Record", "BadRecord", "Barrier", "Record"])
        const problem = `${name} threw RangeError: not this one`
        assert.deepInclude(all[1]!, { place: 11, error: "OperatorThrew", problem, value: 2 })
      }
    }))
})
