/**
 * SELECT: compiled once, then run on the merged partitions of the replicas that answer.
 */
import { types } from "cassandra-driver"
import type { Row } from "../../cassandra/CassandraSession.ts"
import type { CqlType } from "../../cassandra/CqlValue.ts"
import { invalid, unsupported } from "./simulatedRefusal.ts"
import type { Column, Schema, Table } from "./simulatedSchema.ts"
import { type LiveRow, liveRow, type Partition } from "./simulatedStorage.ts"
import { columnOf, makeCursor, type MarkerSpec, type Term } from "./simulatedTerms.ts"
import { codec, comparatorOf, joinParts, tokenOf } from "./simulatedType.ts"
import { keyOf, type Value, valueOf } from "./simulatedWrite.ts"

interface Item {
  readonly name: string
  readonly kind: "column" | "writetime" | "ttl"
  readonly column: Column
}

interface Restriction {
  readonly column: Column
  readonly operator: string
  readonly term: Term
}

/** @internal */
export interface SelectPlan {
  readonly kind: "select"
  readonly cql: string
  readonly table: Table
  readonly markers: ReadonlyArray<MarkerSpec>
  /** The name of the column that counts the rows, null if there is none. */
  readonly count: string | null
  readonly items: ReadonlyArray<Item>
  /** Equalities on the partition key: all of it, or none for a scan. */
  readonly keys: ReadonlyMap<string, Term>
  readonly restrictions: ReadonlyArray<Restriction>
  readonly limit: Term | null
}

const int: CqlType = { code: types.dataTypes.int }
const filtering = "Cannot execute this query as it might involve data filtering and thus may have unpredictable " +
  "performance. If you want to execute this query despite the performance unpredictability, use ALLOW FILTERING"

/** @internal */
export const compileSelect = (cql: string, schema: Schema, defaultKeyspace: string | null): SelectPlan => {
  const cursor = makeCursor(cql)
  const { identifier, isOperator, needOperator, needWord, peek, shown, takeOperator, takeWord, term } = cursor
  const selected: Array<{ kind: string; column: string; alias: string | null }> = []
  needWord("select")
  if (!takeOperator("*")) {
    do {
      const name = identifier("the name of a column")
      let item = { kind: "column", column: name }
      if (takeOperator("(")) {
        const isCount = name === "count" && takeOperator("*")
        if (!isCount && name !== "writetime" && name !== "ttl") unsupported(`the function ${name}()`)
        item = { kind: name, column: isCount ? "*" : identifier("the name of a column") }
        needOperator(")")
      }
      selected.push({ ...item, alias: takeWord("as") ? identifier("a name") : null })
    } while (takeOperator(","))
  }
  needWord("from")
  const table = schema.table(...cursor.tableName(defaultKeyspace))
  const keys = new Map<string, Term>()
  const restrictions: Array<Restriction> = []
  if (takeWord("where")) {
    do {
      if (isOperator("(")) unsupported("a tuple in WHERE")
      const column = columnOf(table, identifier("the name of a column"))
      const operator = ["=", "<=", "<", ">=", ">"].find((text) => takeOperator(text)) ??
        unsupported(`${shown(peek())} in WHERE`)
      const isPartition = column.kind === "partition_key"
      const right = term(column.type, column.name, column.name, isPartition ? column.name : null)
      if (column.position < 0) invalid(filtering)
      if (isPartition && operator !== "=") unsupported(`${operator} on the partition key`)
      if (isPartition) {
        if (keys.has(column.name)) invalid(`${column.name} cannot be restricted by more than one relation`)
        keys.set(column.name, right)
      } else restrictions.push({ column, operator, term: right })
    } while (takeWord("and"))
  }
  if (keys.size > 0 && keys.size < table.partitionKey.length) invalid(filtering)
  const limit = takeWord("limit") ? term(int, "[limit]", "[limit]") : null
  if (takeWord("allow")) needWord("filtering")
  else {
    if (keys.size === 0 && restrictions.length > 0) invalid(filtering)
    const positions = new Set(restrictions.map(({ column }) => column.position))
    const equal = new Set(
      restrictions.filter(({ operator }) => operator === "=").map(({ column }) => column.position)
    )
    for (const position of positions) {
      for (let before = 0; before < position; before++) if (!equal.has(before)) invalid(filtering)
    }
  }
  cursor.end()

  let count: string | null = null
  const items: Array<Item> = []
  for (const { alias, column: name, kind } of selected) {
    if (name === "*") {
      if (selected.length > 1) unsupported("count(*) beside columns")
      count = alias ?? "count"
      continue
    }
    const column = columnOf(table, name)
    if (column.refused !== null) unsupported(column.refused)
    if (kind === "column") items.push({ name: alias ?? name, kind, column })
    else {
      if (column.position >= 0) invalid(`Cannot use selection function ${kind} on PRIMARY KEY part ${name}`)
      if (column.complex !== null) unsupported(`${kind} of the collection ${name}`)
      items.push({ name: alias ?? `${kind}(${name})`, kind: kind as "writetime" | "ttl", column })
    }
  }
  if (selected.length === 0) {
    for (const column of table.columns.values()) {
      if (column.refused !== null) unsupported(column.refused)
      items.push({ name: column.name, kind: "column", column })
    }
  }
  return { kind: "select", cql, table, markers: cursor.markers, count, items, keys, restrictions, limit }
}

/**
 * The value of a column as a session gives it.
 *
 * @internal
 */
export const decodeColumn = (column: Column, partition: Partition, row: LiveRow): unknown => {
  if (column.kind === "partition_key") return decode(partition.key[column.position]!, column.type)
  if (column.kind === "clustering") return decode(row.clustering[column.position]!, column.type)
  const { complex } = column
  if (complex === null) {
    const value = row.cells.get(column.name)?.value
    return value === undefined || value === null ? null : decode(value, column.type)
  }
  const elements = row.complex.get(column.name)
  if (elements === undefined) return null
  const compare = comparatorOf(complex.path)!
  const parts = elements.toSorted((a, b) => compare(a.path, b.path))
    .flatMap(({ cell, path }) => complex.width === 1 ? [path] : [path, cell.value!])
  return decode(joinParts(parts, complex.width), column.type)
}

const decode = (bytes: Buffer, type: CqlType): unknown =>
  // the driver gives views on what it decodes: nobody shall change a stored value
  type.code === types.dataTypes.blob ? Buffer.from(bytes) : codec.decode(bytes, type)

/** @internal */
export const compareClustering = (table: Table, a: ReadonlyArray<Buffer>, b: ReadonlyArray<Buffer>): number => {
  for (let i = 0; i < table.clustering.length; i++) {
    const order = table.clustering[i]!.compare(a[i]!, b[i]!)
    if (order !== 0) return order
  }
  return 0
}

/** A row's place in a scan. */
interface Position {
  readonly key: ReadonlyArray<Buffer>
  readonly clustering: ReadonlyArray<Buffer>
}

const comparePartitions = (a: ReadonlyArray<Buffer>, b: ReadonlyArray<Buffer>): number => {
  const order = tokenOf(a).compare(tokenOf(b))
  return order === 0 ? Buffer.compare(Buffer.concat(a), Buffer.concat(b)) : order
}

/** @internal */
export interface Found {
  readonly partition: Partition
  readonly row: LiveRow
}

/**
 * The live rows of these partitions, in the order of a scan.
 *
 * @internal
 */
export const liveRows = (table: Table, partitions: ReadonlyArray<Partition>, nowSeconds: number): Array<Found> => {
  const found: Array<Found> = []
  const inOrder = partitions.length < 2 ? partitions : partitions.toSorted((a, b) => comparePartitions(a.key, b.key))
  for (const partition of inOrder) {
    const rows: Array<LiveRow> = []
    for (const stored of partition.rows.values()) {
      const row = liveRow(partition, stored, nowSeconds)
      if (row !== null) rows.push(row)
    }
    rows.sort((a, b) => compareClustering(table, a.clustering, b.clustering))
    for (const row of rows) found.push({ partition, row })
  }
  return found
}

const writePosition = ({ partition, row }: Found): string =>
  Buffer.from(JSON.stringify([partition.key, row.clustering].map((parts) => parts.map((part) => part.toString("hex")))))
    .toString("hex")

const readPosition = (pageState: string): Position => {
  try {
    const [key, clustering] = JSON.parse(Buffer.from(pageState, "hex").toString()) as [Array<string>, Array<string>]
    return {
      key: key.map((part) => Buffer.from(part, "hex")),
      clustering: clustering.map((p) => Buffer.from(p, "hex"))
    }
  } catch {
    return invalid("Invalid value for the paging state")
  }
}

/** @internal */
export const partitionKeyOf = (plan: SelectPlan, values: ReadonlyArray<Value>): ReadonlyArray<Buffer> | null =>
  plan.keys.size === 0 ? null : keyOf(plan.table.partitionKey, plan.keys, values)

const limitOf = (plan: SelectPlan, values: ReadonlyArray<Value>): number => {
  const value = plan.limit === null ? undefined : valueOf(plan.limit, values)
  if (value === undefined) return Infinity
  const limit = value === null || value.length === 0 ? invalid("Invalid null value of limit") : value.readInt32BE(0)
  return limit > 0 ? limit : invalid("LIMIT must be strictly positive")
}

/** @internal */
export const runSelect = (
  plan: SelectPlan,
  values: ReadonlyArray<Value>,
  partitions: ReadonlyArray<Partition>,
  options: { readonly nowSeconds: number; readonly pageSize: number; readonly pageState: string | undefined }
): { readonly rows: ReadonlyArray<Row>; readonly pageState: string | null } => {
  const { restrictions, table } = plan
  const bounds = restrictions.map(({ column, operator, term }) => {
    const value = valueOf(term, values)
    if (value === null) return invalid(`Invalid null value in condition for column ${column.name}`)
    if (value === undefined) return invalid(`Invalid unset value for column ${column.name}`)
    const ascending = comparatorOf(column.type)!
    return (row: LiveRow): boolean => holds(ascending(row.clustering[column.position]!, value), operator)
  })
  const limit = limitOf(plan, values)
  let found = liveRows(table, partitions, options.nowSeconds)
    .filter(({ row }) => bounds.every((holdsFor) => holdsFor(row)))
  if (found.length > limit) found = found.slice(0, limit)
  if (plan.count !== null) {
    return { rows: [{ [plan.count]: BigInt(found.length) }], pageState: null }
  }
  if (options.pageState !== undefined) {
    if (limit !== Infinity) unsupported("pages of a SELECT with LIMIT")
    const last = readPosition(options.pageState)
    found = found.filter(({ partition, row }) => {
      const order = comparePartitions(partition.key, last.key)
      return order > 0 || (order === 0 && compareClustering(table, row.clustering, last.clustering) > 0)
    })
  }
  let pageState: string | null = null
  if (found.length > options.pageSize) {
    if (limit !== Infinity) unsupported("pages of a SELECT with LIMIT")
    found = found.slice(0, options.pageSize)
    pageState = writePosition(found.at(-1)!)
  }
  return { rows: found.map((one) => toRow(plan.items, one, options.nowSeconds)), pageState }
}

/**
 * Whether two values that compare as `order` stand in the relation `operator`.
 *
 * @internal
 */
export const holds = (order: number, operator: string): boolean => {
  switch (operator) {
    case "=":
      return order === 0
    case "!=":
      return order !== 0
    case "<":
      return order < 0
    case "<=":
      return order <= 0
    case ">":
      return order > 0
    default:
      return order >= 0
  }
}

const toRow = (items: ReadonlyArray<Item>, { partition, row }: Found, nowSeconds: number): Row => {
  const values: Record<string, unknown> = {}
  for (const { column, kind, name } of items) {
    if (kind === "column") values[name] = decodeColumn(column, partition, row)
    else {
      const cell = row.cells.get(column.name)
      values[name] = cell === undefined
        ? null
        : kind === "writetime"
        ? cell.timestamp
        : cell.expiresAt === 0
        ? null
        : cell.expiresAt - nowSeconds
    }
  }
  return values
}
