/**
 * Virtual time and the order of fibers: one queue of ready tasks and one heap of sleepers, run by a plain loop.
 *
 * Nothing here waits for the machine that it runs on. When no fiber can go on, time moves to the next sleeper, so an hour
 * of waiting costs as much as a millisecond, and a run is a function of its program. (Effect's `TestClock` moves by amounts
 * that a test gives and waits for real turns of the event loop in between: good for tests, slow for a million of them.)
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import type * as Scheduler from "effect/Scheduler"

/** Whose fibers and sleepers these are: a process that can be frozen, and that leaves nothing behind when it ends. */
export class Owner {
  readonly name: string
  /** What its wall clock is ahead of (or behind) the true time. */
  readonly skewMillis: number
  readonly fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  readonly gate = Latch.makeUnsafe(true)
  sleeping = 0
  isFrozen = false
  isDead = false
  /** Sleepers whose time came while it was frozen. */
  readonly overdue: Array<Sleeper> = []

  constructor(name: string, skewMillis: number) {
    this.name = name
    this.skewMillis = skewMillis
  }
}

/** Null: of nobody, such as a server. */
export const CurrentOwner = Context.Reference<Owner | null>("simulation/Owner", { defaultValue: () => null })

interface Sleeper {
  readonly at: number
  readonly order: number
  readonly owner: Owner | null
  readonly wake: () => void
  isDone: boolean
}

const isBefore = (a: Sleeper, b: Sleeper): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** Tasks without time passing, after which something must be going round in circles. */
const tasksAtOnceMax = 3_000_000

export class Stuck extends Error {}

export class Timeline {
  readonly startMillis: number
  private nowMillis: number
  private readonly heap: Array<Sleeper> = []
  private tasks: Array<() => void> = []
  private next = 0
  private order = 0
  private tasksAtOnce = 0
  private lastFiber: unknown = null
  readonly scheduler: Scheduler.Scheduler

  constructor(startMillis: number) {
    this.startMillis = startMillis
    this.nowMillis = startMillis
    const dispatcher: Scheduler.SchedulerDispatcher = {
      scheduleTask: (task) => {
        this.tasks.push(task)
      },
      flush: () => this.drain(() => false)
    }
    this.scheduler = {
      executionMode: "async",
      // Called around each operation of each fiber, which is how it is known what fibers there are.
      shouldYield: (fiber) => {
        if (fiber !== this.lastFiber) {
          this.lastFiber = fiber
          fiber.getRef(CurrentOwner)?.fibers.add(fiber)
        }
        return fiber.currentOpCount >= 2048
      },
      makeDispatcher: () => dispatcher
    }
  }

  get now(): number {
    return this.nowMillis
  }

  get elapsedMillis(): number {
    return this.nowMillis - this.startMillis
  }

  readonly clock = (owner: Owner | null): Clock.Clock => {
    const skewMillis = owner?.skewMillis ?? 0
    const millis = () => Math.floor(this.nowMillis + skewMillis)
    const nanos = () => BigInt(millis()) * 1_000_000n
    const monotonic = () => BigInt(Math.floor(this.nowMillis * 1000)) * 1000n
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: monotonic,
      monotonicTimeNanos: Effect.sync(monotonic),
      sleep: (duration) => this.sleep(owner, Duration.toMillis(duration))
    }
  }

  private sleep(owner: Owner | null, millis: number): Effect.Effect<void> {
    if (millis === Number.POSITIVE_INFINITY) return Effect.never
    if (!(millis > 0)) return Effect.yieldNow
    return Effect.callback<void>((resume) => {
      const sleeper: Sleeper = {
        at: this.nowMillis + millis,
        order: this.order++,
        owner,
        wake: () => resume(Effect.void),
        isDone: false
      }
      if (owner !== null) owner.sleeping++
      this.push(sleeper)
      return Effect.sync(() => this.finish(sleeper))
    })
  }

  private finish(sleeper: Sleeper): boolean {
    if (sleeper.isDone) return false
    sleeper.isDone = true
    if (sleeper.owner !== null) sleeper.owner.sleeping--
    return true
  }

  /** Nothing of it goes on: its steps wait at the gate, and its timers are late. */
  freeze(owner: Owner): void {
    owner.isFrozen = true
    owner.gate.closeUnsafe()
  }

  /** As after SIGCONT: timers that are overdue fire in their order, between whatever else goes on. */
  thaw(owner: Owner): void {
    owner.isFrozen = false
    owner.gate.openUnsafe()
    for (const sleeper of owner.overdue.splice(0)) {
      this.tasks.push(() => {
        if (this.finish(sleeper)) sleeper.wake()
      })
    }
  }

  /** Runs what can run without time passing, until `isDone`. */
  private drain(isDone: () => boolean): boolean {
    while (this.next < this.tasks.length) {
      const task = this.tasks[this.next++]!
      if (this.next > 4096) {
        this.tasks = this.tasks.slice(this.next)
        this.next = 0
      }
      if (++this.tasksAtOnce > tasksAtOnceMax) throw new Stuck(`${tasksAtOnceMax} tasks ran and no time passed`)
      task()
      if (isDone()) return true
    }
    this.tasks.length = 0
    this.next = 0
    return isDone()
  }

  /** Runs everything until `isDone`. Throws `Stuck` if it can't be any more, or after `limitMillis`. */
  run(isDone: () => boolean, limitMillis: number): void {
    const limit = this.nowMillis + limitMillis
    while (!this.drain(isDone)) {
      const sleeper = this.pop()
      if (sleeper === undefined) throw new Stuck("everything waits, and nothing will ever happen again")
      if (sleeper.isDone || sleeper.owner?.isDead === true) continue
      if (sleeper.owner?.isFrozen === true) {
        sleeper.owner.overdue.push(sleeper)
        continue
      }
      if (sleeper.at > limit) {
        this.push(sleeper)
        throw new Stuck(`not done after ${limitMillis} ms of virtual time`)
      }
      if (sleeper.at > this.nowMillis) {
        this.nowMillis = sleeper.at
        this.tasksAtOnce = 0
      }
      this.finish(sleeper)
      sleeper.wake()
    }
  }

  /** Runs what can run now, without time passing. */
  rest(): void {
    this.drain(() => false)
  }

  private push(sleeper: Sleeper): void {
    const { heap } = this
    let at = heap.length
    heap.push(sleeper)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(sleeper, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = sleeper
  }

  private pop(): Sleeper | undefined {
    const { heap } = this
    const top = heap[0]
    const last = heap.pop()
    if (top === undefined || last === undefined || heap.length === 0) return top
    let at = 0
    while (true) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return top
  }
}
