import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as AdaptiveLimit from "../../src/sink/AdaptiveLimit.ts"

const millis = (value: number): bigint => BigInt(Math.round(value * 1e6))

interface Server {
  /** Requests that it works on at once; the others wait. */
  readonly workers: number
  readonly serviceMillis: number
  /** It refuses a request when so many wait. */
  readonly queueMax: number
}

/** Whoever may send, sends, for so long: what a server made of it, and the limit over time. */
const load = (limit: AdaptiveLimit.AdaptiveLimit, server: Server, forMillis: number, from = 0) => {
  const answers: Array<{ readonly at: number; readonly startedAt: number; readonly isRefused: boolean }> = []
  const busyUntil = Array.from({ length: server.workers }, () => from)
  let [now, done, refused] = [from, 0, 0]
  const values: Array<number> = []
  while (now < from + forMillis) {
    while (answers.length < limit.value) {
      busyUntil.sort((a, b) => a - b)
      const waiting = answers.filter(({ at, isRefused }) => !isRefused && at > now).length - server.workers
      const isRefused = waiting >= server.queueMax
      const at = isRefused ? now + 0.1 : Math.max(now, busyUntil[0]!) + server.serviceMillis
      if (!isRefused) busyUntil[0] = at
      answers.push({ at, startedAt: now, isRefused })
    }
    answers.sort((a, b) => a.at - b.at)
    const { at, isRefused, startedAt } = answers.shift()!
    now = Math.max(now, at)
    if (isRefused) {
      refused++
      limit.failed(millis(startedAt), millis(now))
    } else {
      done++
      limit.succeeded(millis(startedAt), millis(now), 1)
    }
    values.push(limit.value)
  }
  return { done, refused, values, now }
}

const last = (values: ReadonlyArray<number>) => values.slice(-200)
const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length

describe("AdaptiveLimit", () => {
  it("stays at the maximum while the server takes it", () => {
    const limit = AdaptiveLimit.make(64)
    const { refused, values } = load(limit, { workers: 8, serviceMillis: 2, queueMax: 1000 }, 5000)
    assert.strictEqual(refused, 0)
    assert.deepStrictEqual([...new Set(values)], [64])
  })

  it("is halved once for all that was under way when the server refused", () => {
    const limit = AdaptiveLimit.make(64)
    for (let i = 0; i < 64; i++) limit.failed(0n, millis(1) + BigInt(i))
    assert.strictEqual(limit.value, 32)
    limit.failed(millis(2), millis(3))
    assert.strictEqual(limit.value, 16)
  })

  it("finds what a server takes that refuses more, and keeps it busy", () => {
    const limit = AdaptiveLimit.make(256)
    const server = { workers: 4, serviceMillis: 1, queueMax: 16 }
    const { done, now, refused, values } = load(limit, server, 10_000)
    const [least, most] = [Math.min(...last(values)), Math.max(...last(values))]
    assert.isAtLeast(least, 5)
    assert.isAtMost(most, 24)
    assert.isAbove(done / (now / server.serviceMillis * server.workers), 0.95)
    assert.isBelow(refused / (done + refused), 0.02)
  })

  it("falls to one in an outage, and is back at the maximum soon after it", () => {
    const limit = AdaptiveLimit.make(64)
    let now = 0
    for (let i = 0; i < 100; i++) limit.failed(millis(now), millis(now += 100))
    assert.strictEqual(limit.value, 1)
    const { values } = load(limit, { workers: 16, serviceMillis: 1, queueMax: 1000 }, 2000, now)
    assert.strictEqual(limit.value, 64)
    assert.isBelow(values.indexOf(64), 3000)
  })

  it("asks for less when answers take much longer than usual, and for all when they don't any more", () => {
    const limit = AdaptiveLimit.make(64)
    const fast = { workers: 64, serviceMillis: 2, queueMax: 1000 }
    const usual = load(limit, fast, 2000)
    assert.strictEqual(limit.value, 64)
    const slow = load(limit, { ...fast, serviceMillis: 20 }, 400, usual.now)
    assert.isBelow(Math.min(...slow.values), 20)
    load(limit, fast, 2000, slow.now)
    assert.strictEqual(limit.value, 64)
  })

  it("takes a latency that stays for the usual one", () => {
    const limit = AdaptiveLimit.make(32)
    const before = load(limit, { workers: 32, serviceMillis: 1, queueMax: 1000 }, 500)
    const { values } = load(limit, { workers: 32, serviceMillis: 30, queueMax: 1000 }, 20_000, before.now)
    assert.isAbove(mean(last(values)), 30)
  })

  it.prop("is never below one or above its maximum", {
    max: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: -3, maximum: 100 }))),
    events: Arbitrary.array(
      Arbitrary.schema(Schema.Struct({
        fails: Schema.Boolean,
        latency: Schema.Literals([0, 1, 20, 5000]),
        times: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 }))
      })),
      { maxLength: 40 }
    )
  }, ({ events, max }) => {
    const limit = AdaptiveLimit.make(max)
    let now = 0
    for (const { fails, latency, times } of events) {
      for (let i = 0; i < times; i++) {
        const startedAt = now
        now += latency
        const before = limit.value
        const changed = limit[fails ? "failed" : "succeeded"](millis(startedAt), millis(now), 1 + latency % 7)
        assert.strictEqual(changed, before !== limit.value)
        assert.isAtLeast(limit.value, 1)
        assert.isAtMost(limit.value, Math.max(1, max))
        assert.isTrue(Number.isInteger(limit.value))
      }
    }
  })
})
