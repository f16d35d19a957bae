import { Client } from "cassandra-driver"

/** A client for the server that the environment names (`CASSANDRA_CONTACT_POINTS`), or for the one on this machine. */
export const makeClient = (): Client => {
  const first = (process.env["CASSANDRA_CONTACT_POINTS"] ?? "127.0.0.1:9042").split(",")[0]!.trim()
  return new Client({
    contactPoints: [first.includes(":") ? first : `${first}:9042`],
    localDataCenter: process.env["CASSANDRA_LOCAL_DC"] ?? "datacenter1",
    encoding: { map: Map, set: Set, useBigIntAsLong: true, useBigIntAsVarint: true }
  })
}

export const makeKeyspace = async (client: Client, keyspace: string): Promise<void> => {
  await client.connect()
  await client.execute(
    `CREATE KEYSPACE IF NOT EXISTS ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`
  )
}
