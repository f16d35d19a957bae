/**
 * One property on two worlds: a program of the simulation leaves the same table, with write times that no replay changed,
 * on the simulated Cassandra and on a real cluster of three nodes with real processes and real signals. And a short soak,
 * in which the nodes die as well.
 */
import { assert, describe, layer } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as CassandraServer from "../../src/testing/CassandraServer.ts"
import * as Simulation from "../simulation/world.ts"
import { makeCluster } from "../soak/cluster.ts"
import { soak } from "../soak/endless.ts"
import type { Program } from "../soak/program.ts"
import { generate } from "../soak/program.ts"
import * as RealWorld from "../soak/realWorld.ts"
import { hasJava } from "../testing/hasJava.ts"
import { tempDirectory } from "../testing/tempDirectory.ts"

const has = (kind: string) => ({ runs }: Program) => runs.some(({ end }) => end.kind === kind)

/** What real programs must have, each the first seed from 0 on that no other has taken. */
const wanted: Readonly<Record<string, (program: Program) => boolean>> = {
  "a kill": has("kill"),
  "a zombie": (program) => program.runs.slice(0, -1).some(({ end }) => end.kind === "freeze" && end.thawAfter !== null),
  "a stop": has("stop"),
  "an outage": ({ cassandra }) => cassandra.outages.length > 0,
  "lost state": ({ runs }) => runs.some(({ machine }) => machine > 0),
  "a full disk": ({ runs }) => runs.some(({ capacity }) => capacity !== null)
}

const programs = (() => {
  const taken = new Set<number>()
  return Object.entries(wanted).map(([what, isWanted]) => {
    let seed = 0
    while (taken.has(seed) || !isWanted(generate(seed))) seed++
    taken.add(seed)
    return { what, program: generate(seed) }
  })
})()

describe.skipIf(!hasJava)("on three real nodes", () => {
  layer(CassandraServer.layer({ kinds: ["java"], nodes: 3, behindProxies: true }), {
    timeout: Duration.minutes(4),
    excludeTestServices: true
  })((it) => {
    for (const [number, { program, what }] of programs.entries()) {
      it.effect(
        `seed ${program.seed}, with ${what}: the same as in the simulation`,
        () =>
          Effect.scoped(Effect.gen(function*() {
            const events: Array<string> = []
            const simulated = Simulation.run(program)
            assert.deepStrictEqual(simulated.violations, [])
            const cluster = yield* makeCluster(yield* CassandraServer.CassandraServer)
            const directory = yield* tempDirectory
            const real = yield* RealWorld.run(program, { cluster, directory, number, say: (line) => events.push(line) })
            assert.deepStrictEqual(real.violations, [], events.join("\n"))
            assert.deepStrictEqual(
              [real.missing, real.different, real.writeTimesChanged, real.rows > 0],
              [0, 0, 0, program.chunks.some(({ keys }) => keys.length > 0)]
            )
          })),
        300_000
      )
    }

    it.effect("a minute of everything at once", () =>
      Effect.scoped(Effect.gen(function*() {
        const events: Array<string> = []
        const cluster = yield* makeCluster(yield* CassandraServer.CassandraServer)
        const directory = yield* tempDirectory
        const { counts, violations, ...rows } = yield* soak({
          cluster,
          directory,
          minutes: 1,
          seed: 7,
          firstNumber: 1000,
          say: (line) => events.push(line)
        })
        const log = events.join("\n")
        assert.deepStrictEqual(violations, [], log)
        assert.deepStrictEqual([rows.missing, rows.different, rows.writeTimesChanged], [0, 0, 0], log)
        assert.isAbove(rows.rows, 0, log)
        assert.isAbove(counts.kills, 2, log)
        assert.isAbove(counts.nodeKills + counts.nodePauses, 0, log)
        assert.isAbove(counts.cuts, 1, log)
        process.stdout.write(`soak: ${JSON.stringify({ ...rows, ...counts })}\n`)
      })), 300_000)
  })
})
