/**
 * The session of one simulated process.
 */
import { types } from "cassandra-driver"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Consistency } from "../../cassandra/CassandraConfig.ts"
import type { CassandraError } from "../../cassandra/CassandraError.ts"
import type {
  BatchOptions,
  BatchStatement,
  ClusterInfo,
  Params,
  PreparedStatement,
  QueryOptions,
  QueryResult,
  Row,
  Session
} from "../../cassandra/CassandraSession.ts"
import { eachBatch, toStatements } from "../../cassandra/EncodedRows.ts"
import { byKind, emptyResult, toColumn } from "../../cassandra/internal/driverData.ts"
import type { PreparedMeta } from "../../cassandra/internal/driverInternals.ts"
import { areBound, bind } from "../../cassandra/internal/preparedStatement.ts"
import type { BoundWrite, Data } from "./simulatedData.ts"
import { checkConditional } from "./simulatedData.ts"
import type { Plan } from "./simulatedDdl.ts"
import { compile } from "./simulatedDdl.ts"
import { invalid } from "./simulatedRefusal.ts"
import type { Network, Process, Work } from "./simulatedRequest.ts"
import type { SelectPlan } from "./simulatedSelect.ts"
import { partitionKeyOf, runSelect } from "./simulatedSelect.ts"
import { timestampOf, type Value } from "./simulatedWrite.ts"

/** @internal */
export interface SessionOptions {
  readonly keyspace: string | null
  readonly consistency: Consistency
  readonly batchBytesMax: number
  readonly clusterInfo: ClusterInfo
  /** Called for each write before anything happens to it; throws a `Refusal` for what is refused whatever is tried. */
  readonly onWrite: ((write: BoundWrite, timestamp: bigint) => void) | undefined
}

const defaultPageSize = 5000
const selectColumns =
  "SELECT column_name, type, kind, position FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?"

interface Compiled {
  readonly version: number
  readonly plan: Plan
  readonly meta: PreparedMeta
}

/** @internal */
export const makeSession = (data: Data, network: Network, process: Process, options: SessionOptions): Session => {
  const known = new Map<string, Compiled>()
  const prepared = new Set<string>()

  const compiled = (cql: string): Compiled => {
    let found = known.get(cql)
    if (found === undefined || found.version !== data.schema.version) {
      const { version } = data.schema
      const plan = compile(cql, data.schema, options.keyspace)
      found = { version, plan, meta: { columns: plan.markers } }
      known.set(cql, found)
    }
    return found
  }

  const valuesOf = ({ meta }: Compiled, params: Params | undefined): ReadonlyArray<Value> => {
    const count = meta.columns.length
    if (params === undefined) return count === 0 ? [] : invalid("Invalid amount of bind variables")
    const values = areBound(params) ? params : bind(meta, params)
    if (values.length !== count) {
      return invalid(`there were ${count} markers(?) in CQL but ${values.length} bound variables`)
    }
    return values.map((value) => value === types.unset ? undefined : value as Value)
  }

  const writes = (
    operation: string,
    bound: ReadonlyArray<BoundWrite>,
    nowMillis: number,
    options_: BatchOptions | undefined
  ): Work<QueryResult> => {
    const consistency = options_?.consistency ?? options.consistency
    const isBatch = operation === "batch"
    const statements = bound.map(({ plan }) => plan.cql)
    const isConditional = bound.some(({ plan }) => plan.condition !== null)
    const timestamp = options_?.timestamp ?? data.stamp(nowMillis)
    if (consistency === "SERIAL" || consistency === "LOCAL_SERIAL") {
      invalid(
        isConditional
          ? `${consistency} is not supported as conditional update commit consistency.`
          : "You must use conditional updates for serializable writes"
      )
    }
    for (const { plan } of bound) {
      if (data.schema.table(plan.table.keyspace, plan.table.name) !== plan.table) invalid("unconfigured table")
    }
    const mutations = data.mutations(bound, { timestamp, nowSeconds: Math.floor(nowMillis / 1000) })
    if (isConditional) checkConditional(bound)
    if (isBatch) checkSize(bound, options.batchBytesMax)
    if (options.onWrite !== undefined) {
      for (const write of bound) options.onWrite(write, timestampOf(write.plan, write.values, timestamp))
    }
    const common = {
      operation,
      statements,
      consistency,
      table: bound[0]!.plan.table,
      timeout: options_?.timeout,
      writeType: isBatch ? options_?.logged === true ? "BATCH" : "UNLOGGED_BATCH" : "SIMPLE",
      isUncertain: bound.length > 1 || isConditional || options_?.idempotent === true
    }
    return isConditional
      ? {
        ...common,
        kind: "lwt",
        land: (landing, nowMillis) => {
          data.required(common.table, consistency)
          const { applied, rows } = data.conditional(bound, isBatch, nowMillis, landing)
          return { ...emptyResult, rows, applied }
        }
      }
      : {
        ...common,
        kind: isBatch ? "batch" : "write",
        land: (landing) => {
          for (const { table } of mutations) data.required(table, consistency)
          data.land(mutations, landing)
          return emptyResult
        }
      }
  }

  const select = (
    operation: string,
    plan: SelectPlan,
    values: ReadonlyArray<Value>,
    options_: QueryOptions | undefined
  ): Work<QueryResult> => {
    const consistency = options_?.consistency ?? options.consistency
    const isSerial = consistency === "SERIAL" || consistency === "LOCAL_SERIAL"
    const key = partitionKeyOf(plan, values)
    if (consistency === "ANY") invalid("ANY ConsistencyLevel is only supported for writes")
    if (isSerial && key === null) {
      invalid("SERIAL/LOCAL_SERIAL consistency may only be requested for one partition at a time")
    }
    return {
      kind: "select",
      operation,
      statements: [plan.cql],
      consistency,
      table: plan.table,
      timeout: options_?.timeout,
      writeType: "",
      isUncertain: false,
      land: (_, nowMillis) => {
        const partitions = isSerial
          ? data.serialRead(plan.table, key!)
          : data.read(plan.table, key, requiredFor(plan, consistency))
        const page = {
          nowSeconds: Math.floor(nowMillis / 1000),
          pageSize: options_?.pageSize ?? defaultPageSize,
          pageState: options_?.pageState
        }
        return { ...emptyResult, applied: null, ...runSelect(plan, values, partitions, page) }
      }
    }
  }

  /** A node answers for its own tables alone. */
  const requiredFor = (plan: SelectPlan, consistency: Consistency): number =>
    plan.table.keyspace === "system_schema" ? 1 : data.required(plan.table, consistency)

  const single = (
    operation: string,
    cql: string,
    params: Params | undefined,
    options_: QueryOptions | undefined
  ): Effect.Effect<QueryResult, CassandraError> =>
    network.perform(process, (nowMillis) => {
      const statement = compiled(cql)
      const { plan } = statement
      const values = valuesOf(statement, params)
      switch (plan.kind) {
        case "select":
          return select(operation, plan, values, options_)
        case "write":
          return writes(operation, [{ plan, values }], nowMillis, options_)
        case "ddl":
          return {
            kind: "ddl",
            operation,
            statements: [cql],
            consistency: options_?.consistency ?? options.consistency,
            table: null,
            timeout: options_?.timeout,
            writeType: "",
            isUncertain: false,
            land: () => {
              for (const table of plan.run()) data.forget(table)
              return emptyResult
            }
          }
      }
    }, { operation, statement: cql })

  const query: Session["query"] = (cql, params, options_) => {
    const page = (
      pageState: string | undefined,
      before: ReadonlyArray<Row>
    ): Effect.Effect<ReadonlyArray<Row>, CassandraError> =>
      Effect.flatMap(single("query", cql, params, { ...options_, pageState }), (result) => {
        const rows = before.length === 0 ? result.rows : before.concat(result.rows)
        return result.pageState === null ? Effect.succeed(rows) : page(result.pageState, rows)
      })
    return page(undefined, [])
  }

  const prepare: Session["prepare"] = (cql) => {
    const result = (): PreparedStatement => {
      const { plan } = compiled(cql)
      const table = plan.kind === "ddl" || plan.markers.length === 0 ? null : plan.table
      const indexes =
        table?.partitionKey.map(({ name }) => plan.markers.findIndex(({ partitionKey }) => partitionKey === name)) ?? []
      return {
        cql,
        keyspace: table?.keyspace ?? null,
        table: table?.name ?? null,
        params: plan.markers.map(({ name, type }) => ({ name, type: { code: type.code, info: type.info } })),
        partitionKeys: indexes.includes(-1) ? [] : indexes
      }
    }
    return Effect.suspend(() => {
      const { version } = data.schema
      const isKnown = prepared.has(`${version} ${cql}`)
      if (isKnown && !process.isKilled) return Effect.succeed(result())
      return Effect.tap(
        network.perform(process, () => {
          compiled(cql)
          return {
            kind: "prepare",
            operation: "prepare",
            statements: [cql],
            consistency: options.consistency,
            table: null,
            timeout: undefined,
            writeType: "",
            isUncertain: false,
            land: result
          }
        }, { operation: "prepare", statement: cql }),
        () => Effect.sync(() => prepared.add(`${version} ${cql}`))
      )
    })
  }

  const batch: Session["batch"] = (statements, options_) =>
    statements.length === 0 ? Effect.succeed(emptyResult) : network.perform(
      process,
      (nowMillis) => writes("batch", statements.map(boundOf), nowMillis, options_),
      { operation: "batch", statement: statements.length === 1 ? statements[0]!.cql : undefined }
    )

  const boundOf = ({ cql, params }: BatchStatement): BoundWrite => {
    const statement = compiled(cql)
    const { plan } = statement
    if (plan.kind !== "write") {
      return invalid("Invalid statement in batch: only UPDATE, INSERT and DELETE statements are allowed.")
    }
    return { plan, values: valuesOf(statement, params) }
  }

  return {
    describe: process.describe,
    keyspace: options.keyspace,
    query,
    execute: (statement, params, options_) =>
      single("execute", typeof statement === "string" ? statement : statement.cql, params, options_),
    stream: (cql, params, options_) =>
      Stream.paginate(undefined as string | undefined, (pageState) =>
        Effect.map(
          single("stream", cql, params, { ...options_, pageState }),
          ({ pageState, rows }) => [rows, Option.fromNullOr(pageState)] as const
        )),
    prepare,
    batch,
    batchesEncoded: eachBatch((rows, options_) =>
      batch(toStatements(rows), { ...options_, logged: false, idempotent: true })
    ),
    table: (keyspace, name) =>
      Effect.map(
        query(selectColumns, [keyspace, name]),
        (rows) => rows.length === 0 ? null : { keyspace, name, columns: rows.map(toColumn).toSorted(byKind) }
      ),
    clusterInfo: network.perform(process, () => ({
      kind: "select",
      operation: "clusterInfo",
      statements: [],
      consistency: "ONE",
      table: null,
      timeout: undefined,
      writeType: "",
      isUncertain: false,
      land: () => options.clusterInfo
    }), { operation: "clusterInfo", statement: undefined })
  }
}

/** The server counts a little more than the values, so what is refused here is refused there. */
const checkSize = (bound: ReadonlyArray<BoundWrite>, bytesMax: number): void => {
  let bytes = 0
  for (const { values } of bound) for (const value of values) bytes += value?.length ?? 0
  if (bytes <= bytesMax) return
  const { plan, values } = bound[0]!
  const isOnePartition = bound.every((other) =>
    other.plan.table === plan.table && plan.markers.every(({ partitionKey }, index) => {
      if (partitionKey === null) return true
      const at = other.plan.markers.findIndex((marker) => marker.partitionKey === partitionKey)
      const [a, b] = [values[index], other.values[at]]
      return a != null && b != null && a.equals(b)
    })
  )
  if (!isOnePartition) invalid("Batch too large")
}
