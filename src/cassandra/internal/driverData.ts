/**
 * Between the session's plain data and the driver's: options on the way out, rows on the way back.
 */
import type { QueryOptions as DriverOptions } from "cassandra-driver"
import { types } from "cassandra-driver"
import * as Duration from "effect/Duration"
import type { ClusterInfo, ColumnInfo, QueryOptions, QueryResult, Row } from "../CassandraSession.ts"
import { consistencyCodes } from "./driverClient.ts"

/** @internal */
export const toDriverOptions = (options: QueryOptions | undefined, prepare: boolean, read: boolean): DriverOptions => {
  const driver: DriverOptions = { prepare, isIdempotent: options?.idempotent ?? read }
  if (options === undefined) return driver
  if (options.consistency !== undefined) driver.consistency = consistencyCodes[options.consistency]
  if (options.serialConsistency !== undefined) driver.serialConsistency = consistencyCodes[options.serialConsistency]
  if (options.pageSize !== undefined) driver.fetchSize = options.pageSize
  if (options.pageState !== undefined) driver.pageState = options.pageState
  if (options.timeout !== undefined) driver.readTimeout = timeoutMillis(options.timeout)
  if (options.timestamp !== undefined) {
    driver.timestamp = types.Long.fromBits(
      Number(BigInt.asIntN(32, options.timestamp)),
      Number(BigInt.asIntN(32, options.timestamp >> 32n))
    )
  }
  return driver
}

/** The driver takes zero for "never", and a timer of Infinity would fire at once. */
const timeoutMillis = (input: Duration.Input): number =>
  Math.min(2 ** 31 - 1, Math.max(1, Math.ceil(Duration.toMillis(input))))

/**
 * Whether there is another page. The page at hand may be empty all the same.
 *
 * @internal
 */
export const hasMore = (result: types.ResultSet): boolean => typeof result.pageState === "string"

/** @internal */
export const toRows = (result: types.ResultSet): Array<Row> =>
  result.rows === undefined ? [] : result.rows.map((row) => ({ ...row }) as unknown as Row)

/** @internal */
export const toResult = (result: types.ResultSet): QueryResult => {
  const rows = toRows(result)
  const applied = rows[0]?.["[applied]"]
  return {
    rows,
    applied: typeof applied === "boolean" ? applied : null,
    warnings: result.info.warnings ?? [],
    pageState: hasMore(result) ? result.pageState : null
  }
}

/** @internal */
export const emptyResult: QueryResult = { rows: [], applied: null, warnings: [], pageState: null }

/** @internal */
export const toColumn = (row: Row): ColumnInfo => ({
  name: String(row["column_name"]),
  type: String(row["type"]),
  kind: row["kind"] as ColumnInfo["kind"],
  position: Number(row["position"])
})

const kinds = ["partition_key", "clustering", "static", "regular"]

/**
 * The order of a table's columns.
 *
 * @internal
 */
export const byKind = (a: ColumnInfo, b: ColumnInfo): number =>
  kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || a.position - b.position || (a.name < b.name ? -1 : 1)

/** @internal */
export const toClusterInfo = (local: types.ResultSet, peers: types.ResultSet): ClusterInfo => {
  const self = toRows(local)[0] ?? {}
  const port = local.info.queriedHost.slice(local.info.queriedHost.lastIndexOf(":") + 1)
  return {
    clusterName: String(self["cluster_name"]),
    releaseVersion: String(self["release_version"]),
    nodes: [
      { address: local.info.queriedHost, dataCenter: String(self["data_center"]), rack: String(self["rack"]) },
      ...toRows(peers).map((row) => ({
        address: `${String(row["native_address"])}:${String(row["native_port"] ?? port)}`,
        dataCenter: String(row["data_center"]),
        rack: String(row["rack"])
      }))
    ]
  }
}
