/**
 * What happens to the cluster and to the ways to it, whatever job runs: one of three nodes dies and comes back or stands
 * still, connections are cut, delayed, throttled, or fall silent. One thing at a time, so that there is a quorum.
 */
import { Effect } from "effect"
import type { CassandraServerError } from "../../src/testing/CassandraServer.ts"
import type { Faults } from "../../src/testing/FaultProxy.ts"
import type { Cluster } from "./cluster.ts"
import type { Dice } from "./program.ts"

export interface WeatherCounts {
  nodeKills: number
  nodePauses: number
  cuts: number
}

type Kind = "kill" | "pause" | "cut" | "delay" | "throttle" | "silent" | "no replies" | "refuse"

/** A node needs many seconds to start, in which nothing else happens: it is drawn less often. */
const kinds: ReadonlyArray<Kind> = [
  "kill",
  "pause",
  "cut",
  "cut",
  "delay",
  "throttle",
  "silent",
  "no replies",
  "refuse"
]

export const weather = (options: {
  readonly cluster: Cluster
  readonly dice: Dice
  readonly counts: WeatherCounts
  readonly say: (line: string) => void
  /** Between two events. */
  readonly pauseMillis: readonly [from: number, to: number]
}): Effect.Effect<never, CassandraServerError> => {
  const { cluster, counts, dice, say } = options
  const { network, server } = cluster

  const during = (node: number, faults: Faults, millis: number) =>
    network.set(node, faults).pipe(
      Effect.andThen(Effect.sleep(millis)),
      Effect.ensuring(network.set(node, {}))
    )

  const happen = (kind: Kind, node: number, millis: number): Effect.Effect<void, CassandraServerError> => {
    switch (kind) {
      case "kill":
        return Effect.gen(function*() {
          counts.nodeKills++
          say(`SIGKILL to node ${node}`)
          yield* server.nodes[node]!.kill
          yield* Effect.sleep(millis)
          yield* server.nodes[node]!.restart
          say(`node ${node} is back`)
        })
      case "pause":
        counts.nodePauses++
        say(`SIGSTOP to node ${node} for ${millis} ms`)
        return server.nodes[node]!.pause.pipe(
          Effect.andThen(Effect.sleep(millis)),
          Effect.ensuring(Effect.ignore(server.nodes[node]!.resume))
        )
      case "cut":
        return Effect.map(network.cut, (open) => {
          counts.cuts++
          say(`cut: ${open} connections`)
        })
      case "delay": {
        const latencyMillis = dice.between(10, 150)
        say(`node ${node} is ${latencyMillis} ms away for ${millis} ms`)
        return during(node, { latencyMillis }, millis)
      }
      case "throttle": {
        const bytesPerSecond = dice.between(4, 60) * 1000
        say(`node ${node} gets ${bytesPerSecond} bytes a second for ${millis} ms`)
        return during(node, { bytesPerSecond }, millis)
      }
      case "silent": {
        counts.cuts++
        const silentAfter = dice.below(20_000)
        say(`node ${node} is silent after ${silentAfter} bytes for ${millis} ms`)
        return during(node, { silentAfter }, millis)
      }
      case "no replies": {
        counts.cuts++
        const noRepliesAfter = dice.below(4000)
        say(`node ${node} does not answer after ${noRepliesAfter} bytes for ${millis} ms`)
        return during(node, { noRepliesAfter }, millis)
      }
      case "refuse":
        counts.cuts++
        say(`node ${node} refuses connections for ${millis} ms`)
        return network.set(node, { refuse: true }).pipe(
          Effect.andThen(network.cut),
          Effect.andThen(Effect.sleep(millis)),
          Effect.ensuring(network.set(node, {}))
        )
    }
  }

  return Effect.forever(Effect.suspend(() => {
    const wait = dice.between(...options.pauseMillis)
    const kind = dice.pick(kinds)
    const node = dice.below(network.nodes)
    const millis = dice.between(500, 4000)
    return Effect.andThen(Effect.sleep(wait), Effect.suspend(() => happen(kind, node, millis)))
  }))
}
