import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import * as RestartStrategy from "../../src/checkpoint/RestartStrategy.ts"

/**
 * Runs a job that fails each time under a strategy for at most `forMillis`: `starts` are the times at which it started,
 * `ended` whether it failed for good. `runs` says how long each run lasts (the last number repeats).
 */
const observe = Effect.fnUntraced(function*(
  strategy: RestartStrategy.RestartStrategy,
  runs: ReadonlyArray<number>,
  forMillis: number
) {
  const starts: Array<number> = []
  const begin = yield* Clock.currentTimeMillis
  const job = Effect.gen(function*() {
    starts.push((yield* Clock.currentTimeMillis) - begin)
    const runMillis = runs[Math.min(starts.length, runs.length) - 1]!
    if (runMillis > 0) yield* Effect.sleep(runMillis)
    return yield* Effect.fail("crash" as const)
  })
  const fiber = yield* Effect.forkChild(Effect.retry(job, strategy))
  yield* TestClock.adjust(forMillis)
  const exit = fiber.pollUnsafe()
  yield* Fiber.interrupt(fiber)
  return { starts, ended: exit !== undefined && Exit.isFailure(exit) }
})

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

const differences = (times: ReadonlyArray<number>) => times.slice(1).map((time, i) => time - times[i]!)

describe("none", () => {
  it.effect("the first failure ends the job (NoRestartBackoffTimeStrategy.canRestart is false)", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* observe(RestartStrategy.none, [0], day), { starts: [0], ended: true })
    }))
})

describe("fixedDelay", () => {
  it.effect("restarts `attempts` times (canRestart: currentRestartAttempt <= maxNumberRestartAttempts)", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* observe(RestartStrategy.fixedDelay(), [0], day), {
        starts: [0, 10 * second, 20 * second, 30 * second],
        ended: true
      })
    }))

  it.effect("the delay starts at the failure, and the count is never reset", () =>
    Effect.gen(function*() {
      const seen = yield* observe(RestartStrategy.fixedDelay({ attempts: 2, delay: "1 second" }), [day], 10 * day)
      assert.deepStrictEqual(seen, { starts: [0, day + second, 2 * (day + second)], ended: true })
    }))

  it.effect("0 attempts do not restart, Infinity does for ever", () =>
    Effect.gen(function*() {
      const never = yield* observe(RestartStrategy.fixedDelay({ attempts: 0 }), [0], day)
      assert.deepStrictEqual(never, { starts: [0], ended: true })
      const always = yield* observe(RestartStrategy.fixedDelay({ attempts: Infinity, delay: "1 minute" }), [0], hour)
      assert.strictEqual(always.starts.length, 61)
      assert.isFalse(always.ended)
    }))

  it.effect("each retry counts for itself", () =>
    Effect.gen(function*() {
      const strategy = RestartStrategy.fixedDelay({ attempts: 1 })
      assert.strictEqual((yield* observe(strategy, [0], day)).starts.length, 2)
      assert.strictEqual((yield* observe(strategy, [0], day)).starts.length, 2)
    }))
})

describe("exponentialDelay", () => {
  const plain = { jitterFactor: 0 } as const

  it.effect("initial * multiplier^n up to the maximum, without a limit (Flink's defaults: 1 s, 1.5, 1 min)", () =>
    Effect.gen(function*() {
      const seen = yield* observe(RestartStrategy.exponentialDelay(plain), [0], 10 * minute)
      assert.deepStrictEqual(
        differences(seen.starts).slice(0, 13),
        [1000, 1500, 2250, 3375, 5062]
          .concat([7593, 11390, 17085, 25628, 38443, 57665, minute, minute])
      )
      assert.isFalse(seen.ended)
    }))

  it.effect("delays are cut to whole milliseconds (testBackoffMultiplier: 4, 9, 21)", () =>
    Effect.gen(function*() {
      const strategy = RestartStrategy.exponentialDelay({
        ...plain,
        initialBackoff: "4 millis",
        backoffMultiplier: 2.3
      })
      assert.deepStrictEqual(differences((yield* observe(strategy, [0], 40)).starts), [4, 9, 21])
    }))

  it.effect("canRestart: currentRestartAttempt <= attemptsBeforeResetBackoff", () =>
    Effect.gen(function*() {
      const strategy = RestartStrategy.exponentialDelay({ ...plain, attemptsBeforeReset: 3 })
      assert.deepStrictEqual(yield* observe(strategy, [0], day), {
        starts: [0, 1000, 2500, 4750],
        ended: true
      })
    }))

  it.effect("a run of the threshold resets backoff and attempts; one millisecond less does not (testResetBackoff)", () =>
    Effect.gen(function*() {
      const options = {
        ...plain,
        backoffMultiplier: 2,
        resetBackoffThreshold: "8 seconds",
        attemptsBeforeReset: 3
      } as const
      const strategy = RestartStrategy.exponentialDelay(options)
      const short = yield* observe(strategy, [0, 7999], day)
      assert.deepStrictEqual(differences(short.starts), [1000, 7999 + 2000, 7999 + 4000])
      assert.isTrue(short.ended)
      // From the restart on, not from the failure before it: the delay itself is no calm time.
      const calm = yield* observe(strategy, [0, 0, 8000, 0, 0, 0], day)
      assert.deepStrictEqual(differences(calm.starts), [1000, 2000, 8000 + 1000, 2000, 4000])
      assert.isTrue(calm.ended)
    }))

  it.effect("jitter keeps within its part of the backoff, the initial and the maximum (testJitter)", () =>
    Effect.gen(function*() {
      const strategy = RestartStrategy.exponentialDelay({
        initialBackoff: "2 millis",
        maxBackoff: "7 millis",
        backoffMultiplier: 2,
        jitterFactor: 0.25,
        attemptsBeforeReset: 4
      })
      const seen = [new Set<number>(), new Set<number>(), new Set<number>(), new Set<number>()]
      for (let i = 0; i < 200; i++) {
        const { starts } = yield* observe(strategy, [0], 100)
        differences(starts).forEach((delay, n) => seen[n]!.add(delay))
      }
      const sorted = seen.map((set) => [...set].toSorted((a, b) => a - b))
      assert.deepStrictEqual(sorted, [[2], [3, 4, 5], [6, 7], [7]])
    }))

  it.effect("jitter repeats under a seed", () =>
    Effect.gen(function*() {
      const run = (seed: string) =>
        observe(RestartStrategy.exponentialDelay({ jitterFactor: 1 }), [0], hour).pipe(
          Random.withSeed(seed),
          Effect.map((seen) => differences(seen.starts))
        )
      const one = yield* run("a")
      assert.deepStrictEqual(yield* run("a"), one)
      assert.notDeepEqual(yield* run("b"), one)
      for (const seed of ["a", "b", "c", "d", "e", "f"]) {
        assert.isTrue((yield* run(seed)).every((delay) => delay >= second && delay <= minute))
      }
    }))

  it.effect("a very long row of failures stays at the maximum", () =>
    Effect.gen(function*() {
      const strategy = RestartStrategy.exponentialDelay({
        backoffMultiplier: 1000,
        maxBackoff: "2 seconds",
        initialBackoff: "1 second"
      })
      const delays = differences((yield* observe(strategy, [0], hour)).starts)
      assert.isAbove(delays.length, 1700)
      assert.isTrue(delays.slice(1).every((delay) => delay === 2 * second))
    }))
})

describe("failureRate", () => {
  it.effect("the (maxFailures + 1)th failure in the interval ends the job (testFailuresExceedingRate)", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* observe(RestartStrategy.failureRate(), [0], day), {
        starts: [0, 30, 60, 90, 120, 150].map((seconds) => seconds * second),
        ended: true
      })
    }))

  it.effect("failures exactly one interval apart are within it (canRestart: now - earliest > interval)", () =>
    Effect.gen(function*() {
      const options = { maxFailures: 3, interval: "90 seconds" } as const
      const within = yield* observe(RestartStrategy.failureRate({ ...options, delay: "30 seconds" }), [0], day)
      assert.deepStrictEqual(within, { starts: [0, 30_000, 60_000, 90_000], ended: true })
      const beyond = yield* observe(RestartStrategy.failureRate({ ...options, delay: 30_001 }), [0], hour)
      assert.isFalse(beyond.ended)
      assert.strictEqual(beyond.starts.length, 1 + Math.floor(hour / 30_001))
    }))

  it.effect("the window slides: old failures are forgotten, a burst later on is not (testManyFailuresWithinRate)", () =>
    Effect.gen(function*() {
      const strategy = RestartStrategy.failureRate({ maxFailures: 2, interval: "1 minute", delay: "1 second" })
      const seen = yield* observe(strategy, [hour, hour, hour, 0], day)
      assert.deepStrictEqual(differences(seen.starts), [hour + second, hour + second, hour + second, second])
      assert.isTrue(seen.ended)
    }))
})

describe("fromConfig", () => {
  it.effect("builds the strategy of its kind", () =>
    Effect.gen(function*() {
      const count = Effect.fnUntraced(function*(config: RestartStrategy.RestartStrategyConfig) {
        const seen = yield* observe(RestartStrategy.fromConfig(config), [0], hour)
        return seen.ended ? seen.starts.length : "endless"
      })
      assert.strictEqual(yield* count({ kind: "none" }), 1)
      assert.strictEqual(yield* count({ kind: "fixed-delay", attempts: 6 }), 7)
      assert.strictEqual(yield* count({ kind: "exponential" }), "endless")
      assert.strictEqual(yield* count({ kind: "exponential", attemptsBeforeReset: 2 }), 3)
      assert.strictEqual(yield* count({ kind: "failure-rate", maxFailures: 1 }), 2)
    }))

  it("describes itself with its defaults", () => {
    assert.strictEqual(
      RestartStrategy.describe({ kind: "fixed-delay" }),
      "fixed delay: 3 restarts, 10s after each failure"
    )
    assert.strictEqual(
      RestartStrategy.describe({ kind: "exponential" }),
      "exponential delay: any number of restarts, 1s to 1m after each failure (times 1.5, jitter 0.1), " +
        "from the start again after 1h without one"
    )
    assert.strictEqual(
      RestartStrategy.describe({ kind: "failure-rate", maxFailures: 1 }),
      "failure rate: ends at more than 1 failure within 5m, restarts 30s after each"
    )
  })

  it("refuses what Flink's constructors refuse", () => {
    const refused: ReadonlyArray<readonly [RestartStrategy.RestartStrategyConfig, RegExp]> = [
      [{ kind: "fixed-delay", attempts: -1 }, /attempts must be a whole number of at least 0/],
      [{ kind: "fixed-delay", attempts: 1.5 }, /attempts/],
      [{ kind: "exponential", initialBackoff: 0 }, /initialBackoff must be at least 1 ms/],
      [{ kind: "exponential", initialBackoff: "2 minutes" }, /initialBackoff must be at most maxBackoff \(60000 ms\)/],
      [{ kind: "exponential", backoffMultiplier: 1 }, /backoffMultiplier must be greater than 1/],
      [{ kind: "exponential", jitterFactor: 1.1 }, /jitterFactor/],
      [{ kind: "exponential", attemptsBeforeReset: 0 }, /attemptsBeforeReset/],
      [{ kind: "failure-rate", maxFailures: 0 }, /maxFailures/],
      [{ kind: "failure-rate", interval: 0 }, /interval/],
      [{ kind: "failure-rate", delay: Infinity }, /delay must be at least 0 ms and finite/]
    ]
    for (const [config, message] of refused) {
      assert.throws(() => RestartStrategy.fromConfig(config), RangeError)
      assert.throws(() => RestartStrategy.describe(config), message)
    }
  })
})
