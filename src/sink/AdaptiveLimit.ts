/**
 * How many requests Cassandra is given at once: as many as it answers without getting slower, and half as many when it says,
 * or shows by not answering, that these are too many.
 *
 * Additive increase and multiplicative decrease (as in TCP: Chiu and Jain, 1989), with latency as an early sign, as in the
 * gradient limit of Netflix's concurrency-limits: the mean of one window of answers against the mean of many. A window has
 * at least as many answers as there may be requests, so that it saw all of them. Plain numbers, once a request.
 *
 * @since 0.1.0
 */

/**
 * The limit as it is now, and what it is told of each request.
 *
 * @category models
 * @since 0.1.0
 */
export interface AdaptiveLimit {
  /** Requests at once, from 1 to the maximum. */
  readonly value: number
  /**
   * So many requests, sent together, were answered. Times are nanoseconds of one monotonic clock; gives whether the limit
   * has changed.
   */
  readonly succeeded: (startedAt: bigint, now: bigint, requests: number) => boolean
  /** A request failed in a way that fewer at once may mend; gives whether the limit has changed. */
  readonly failed: (startedAt: bigint, now: bigint) => boolean
}

/** Answers in a window, at least. */
const windowMin = 16
/** How much slower than usual a window may be without a consequence: batches differ, and collectors of garbage pause. */
const tolerance = 2
/** What a new window counts in the usual latency. */
const weight = 0.05

class Limit implements AdaptiveLimit {
  private readonly max: number
  /** Not rounded. */
  private exact: number
  /** What was sent before the last halving says nothing about what is right after it. */
  private halvedAt = -1n
  private count = 0
  private sum = 0
  /** Mean latency of many windows, in nanoseconds; 0 before the first. */
  private usual = 0

  constructor(max: number) {
    this.max = max
    this.exact = max
  }

  get value(): number {
    return Math.floor(this.exact)
  }

  private become(exact: number): boolean {
    const before = this.value
    this.exact = Math.min(this.max, Math.max(1, exact))
    this.count = 0
    this.sum = 0
    return this.value !== before
  }

  succeeded(startedAt: bigint, now: bigint, requests: number): boolean {
    if (startedAt < this.halvedAt) return false
    this.sum += Number(now - startedAt) * requests
    this.count += requests
    if (this.count < windowMin || this.count < this.value) return false
    const latency = Math.max(1, this.sum / this.count)
    this.usual += this.usual === 0 ? latency : weight * (latency - this.usual)
    // After a slow time the usual is too high for long, and would let pass what should be seen.
    if (this.usual > 2 * latency) this.usual = Math.max(latency, this.usual * 0.9)
    const gradient = Math.max(0.5, Math.min(1, tolerance * this.usual / latency))
    return this.become(gradient < 1 ? this.exact * gradient : this.exact + 1)
  }

  failed(startedAt: bigint, now: bigint): boolean {
    if (startedAt < this.halvedAt) return false
    this.halvedAt = now
    return this.become(this.exact / 2)
  }
}

/**
 * Begins at `max`, which it never exceeds: a server that takes them has them from the start.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (max: number): AdaptiveLimit => new Limit(Math.max(1, Math.trunc(max)))
