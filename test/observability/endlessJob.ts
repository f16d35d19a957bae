/**
 * A row a second, for ever, into a table of a simulated cluster: what there is to watch.
 */
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Record } from "../../src/checkpoint/Element.ts"
import type { Source } from "../../src/source/Source.ts"
import * as SimulatedCassandra from "../../src/testing/SimulatedCassandra.ts"

export const query = "INSERT INTO sim.t (id, v) VALUES (?, ?)"

export const endless: Source<{ readonly id: number; readonly v: number }> = {
  describe: "endless",
  total: null,
  progress: () => 0,
  read: (from) =>
    Stream.iterate(Number(from?.["next"] ?? 0), (id) => id + 1).pipe(
      Stream.rechunk(1),
      Stream.mapEffect((id) => Effect.as(Effect.sleep("1 second"), id)),
      Stream.map((id) => ({ records: [new Record({ id, v: id }, id)], position: { next: id + 1 } }))
    )
}

/** Time passes in small steps, so that what is set up on the way is on time. */
export const pass = (seconds: number) =>
  Effect.forEach(Array.from({ length: seconds * 10 }), () => TestClock.adjust("100 millis"), { discard: true })

/** A cluster that has the table of `query`. */
export const makeCluster = Effect.fnUntraced(function*(options: SimulatedCassandra.ClusterOptions = {}) {
  const cluster = SimulatedCassandra.makeCluster(options)
  const setup = cluster.session()
  yield* setup.query("CREATE KEYSPACE sim WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
  yield* setup.query("CREATE TABLE sim.t (id int PRIMARY KEY, v int)")
  return cluster
})
