/**
 * What a program of the simulation says of the cluster, in real time: outages are refused and reset connections, rates of
 * faults are weather in the proxies.
 */
import { Effect } from "effect"
import type { Network } from "./cluster.ts"
import type { Dice, Program } from "./program.ts"

const outageMillisMax = 4000

export const programWeather = ({ counts, dice, network, program, say, startupMillis }: {
  readonly network: Network
  readonly program: Program
  readonly dice: Dice
  readonly counts: { cuts: number; outages: number }
  readonly say: (line: string) => void
  /** Until a process gets to work. */
  readonly startupMillis: number
}): Effect.Effect<unknown> => {
  const { faults, outages, slowMillisMax } = program.cassandra

  const inTurn = Effect.gen(function*() {
    let now = 0
    for (const { fromMillis, toMillis } of outages.toSorted((a, b) => a.fromMillis - b.fromMillis)) {
      const from = startupMillis + fromMillis
      yield* Effect.sleep(Math.max(0, from - now))
      const millis = Math.min(toMillis - fromMillis, outageMillisMax)
      now = Math.max(now, from) + millis
      counts.outages++
      say(`nobody can reach the cluster for ${millis} ms`)
      yield* network.outage(true)
      yield* Effect.sleep(millis)
      yield* network.outage(false)
    }
  })

  /** What the rates of faults amount to in half a second of many requests. */
  const rates = Effect.gen(function*() {
    if (Object.keys(faults).length === 0) return
    while (true) {
      yield* Effect.sleep(500)
      const node = dice.below(network.nodes)
      if (dice.chance((faults.ConnectionLost ?? 0) * 2)) {
        counts.cuts++
        say(`cut: ${yield* network.cut} connections`)
      }
      if (dice.chance(((faults.NoAnswer ?? 0) + (faults.WriteTimeout ?? 0)) * 2)) {
        counts.cuts++
        const noRepliesAfter = dice.below(4000)
        say(`node ${node} does not answer after ${noRepliesAfter} bytes`)
        yield* network.set(node, { noRepliesAfter })
      } else if (dice.chance((faults.Slow ?? 0) * 2)) {
        yield* network.set(node, { latencyMillis: slowMillisMax / 20 })
      } else {
        yield* network.set(node, {})
      }
    }
  })

  return Effect.all([inTurn, rates], { concurrency: 2 })
}

/** The network as it was before. */
export const calm = (network: Network): Effect.Effect<void> =>
  Effect.andThen(
    network.outage(false),
    Effect.forEach(
      Array.from({ length: network.nodes }, (_, node) => node),
      (node) => network.set(node, {}),
      { discard: true }
    )
  )
