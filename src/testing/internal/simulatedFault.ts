/**
 * What can go wrong with a request, and who decides it: a program of the test, or one seeded source of chance.
 */
import type { Consistency } from "../../cassandra/CassandraConfig.ts"

/**
 * Where a write that failed has landed: on no replica, on some (each of its partitions on its own), on all, on those with
 * these numbers, or `late`: with one of the next requests, or at `flushLate`. For a conditional write, `some` is a
 * proposal that few replicas know: the next serial operation on the partition completes it, or it never happens. Numbers
 * mean that it was decided and these replicas have it; serial operations see it, others perhaps.
 *
 * @category models
 * @since 0.1.0
 */
export type Landing = "none" | "some" | "all" | "late" | ReadonlyArray<number>

/**
 * - `WriteTimeout`, `WriteFailure`, `ReadTimeout`, `Unavailable`, `Overloaded`, `ServerError`: the server's answers.
 *   Why: they leave open, some of them, whether the write is in
 * - `ConnectionLost`: before the write landed, or after. Why: the answer is lost, the write perhaps not
 * - `NoAnswer`: the client gives up after its timeout. Why: a request can be stuck in a node that pauses
 * - `Slow`: milliseconds of virtual time before it lands and after. Why: requests overtake each other
 * - `Lag`: acknowledged, but only as many replicas have it as the level asks for; the others get it late or never. Why:
 *   reads below QUORUM then miss it
 * - `Refused`: the server will never take it (not retryable)
 *
 * `applied` is `none` unless given; `timeout`s that hit a statement of the other kind become those of its kind.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault =
  | { readonly _tag: "WriteTimeout" | "WriteFailure" | "ConnectionLost" | "NoAnswer"; readonly applied?: Landing }
  | { readonly _tag: "ReadTimeout" | "Overloaded" | "ServerError" }
  | { readonly _tag: "Unavailable"; readonly applied?: Landing }
  | { readonly _tag: "Slow"; readonly beforeMillis?: number; readonly afterMillis?: number }
  | { readonly _tag: "Lag" }
  | { readonly _tag: "Refused"; readonly message?: string }

/**
 * Which fault it is, by its name alone: what `FaultRates` gives a rate to.
 *
 * @category models
 * @since 0.1.0
 */
export type FaultTag = Fault["_tag"]

/**
 * A request as the fault program sees it. `index` counts all requests of the cluster from 0.
 *
 * @category models
 * @since 0.1.0
 */
export interface SimulatedRequest {
  readonly index: number
  /** The number of the session, from 0. */
  readonly session: number
  readonly kind: "prepare" | "select" | "write" | "batch" | "lwt" | "ddl"
  /** The session's operation: `query`, `execute`, `stream`, `batch`, `prepare`, `clusterInfo`. */
  readonly operation: string
  readonly statements: ReadonlyArray<string>
  readonly consistency: Consistency
  /** Virtual milliseconds since 1970. */
  readonly nowMillis: number
}

/**
 * Numbers from 0 (in) to 1 (out), the same for the same seed.
 *
 * @internal
 */
export interface Chance {
  readonly next: () => number
  readonly below: (bound: number) => number
  /** In any order. */
  readonly shuffle: <A>(items: ReadonlyArray<A>) => Array<A>
}

/** @internal */
export const makeChance = (seed: number): Chance => {
  let state = seed | 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  const below = (bound: number): number => Math.floor(next() * bound)
  return {
    next,
    below,
    shuffle: (items) => {
      const shuffled = items.slice()
      for (let i = shuffled.length - 1; i > 0; i--) {
        const j = below(i + 1)
        const item = shuffled[i]!
        shuffled[i] = shuffled[j]!
        shuffled[j] = item
      }
      return shuffled
    }
  }
}

/** In a fixed order: chance must not depend on the order of an option's keys. */
const tags: ReadonlyArray<FaultTag> = [
  "WriteTimeout",
  "WriteFailure",
  "ReadTimeout",
  "Unavailable",
  "Overloaded",
  "ServerError",
  "ConnectionLost",
  "NoAnswer",
  "Slow",
  "Lag",
  "Refused"
]
const landings: ReadonlyArray<Landing> = ["none", "some", "all", "late"]

/**
 * How often each fault happens: the probability per request.
 *
 * @category options
 * @since 0.1.0
 */
export type FaultRates = { readonly [Tag in FaultTag]?: number | undefined }

/** @internal */
export const drawFault = (chance: Chance, rates: FaultRates, slowMillisMax: number): Fault | null => {
  let point = chance.next()
  for (const tag of tags) {
    const rate = rates[tag] ?? 0
    if (point >= rate) {
      point -= rate
      continue
    }
    switch (tag) {
      case "WriteTimeout":
      case "WriteFailure":
      case "ConnectionLost":
      case "NoAnswer":
        return { _tag: tag, applied: landings[chance.below(landings.length)]! }
      case "Unavailable":
        return { _tag: tag, applied: "none" }
      case "Slow":
        return {
          _tag: tag,
          beforeMillis: chance.below(slowMillisMax + 1),
          afterMillis: chance.below(slowMillisMax + 1)
        }
      default:
        return { _tag: tag }
    }
  }
  return null
}
