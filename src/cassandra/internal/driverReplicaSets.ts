/**
 * Who has which rows, as the driver knows it, for `Session.replicaSets`.
 */
import type { Client, token } from "cassandra-driver"
import type { RangeEnd, ReplicaSets } from "../ReplicaSets.ts"
import * as Sets from "../ReplicaSets.ts"
import { ringOf } from "./driverInternals.ts"

type Ring = NonNullable<ReturnType<typeof ringOf>>

interface Known {
  readonly ring: Ring
  readonly sets: ReplicaSets | null
}

const find = (client: Client, keyspace: string, { localDataCenter, tokens }: Ring): ReplicaSets | null => {
  const numbers = new Map<string, number>()
  const ends: Array<RangeEnd> = []
  for (const end of tokens) {
    const replicas = client.metadata.getReplicas(keyspace, end as unknown as token.Token)
    // Of another data centre there is no request: the coordinator there sends its rows on in any case.
    const near = (replicas ?? []).filter(({ datacenter }) =>
      localDataCenter === undefined || datacenter === localDataCenter
    )
    const name = near.map(({ address }) => address).toSorted().join(" ")
    const set = numbers.get(name) ?? numbers.size
    numbers.set(name, set)
    const value = BigInt(end.getValue().toString())
    ends.push({ high: Number(value >> 32n), low: Number(value & 0xffff_ffffn), set })
  }
  return Sets.make(ends)
}

/** Asked for each list of rows: computed anew only when the ring or the keyspace has changed. */
export const replicaSetsOf = (client: Client): (keyspace: string) => ReplicaSets | null => {
  const known = new Map<string, Known>()
  return (keyspace) => {
    const ring = ringOf(client, keyspace)
    if (ring === null) return null
    const before = known.get(keyspace)
    const isSame = before?.ring.tokens === ring.tokens && before.ring.keyspace === ring.keyspace
    if (isSame) return before.sets
    const sets = find(client, keyspace, ring)
    known.set(keyspace, { ring, sets })
    return sets
  }
}
