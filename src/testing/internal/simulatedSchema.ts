/**
 * Keyspaces and tables of the simulation, and its view of `system_schema`.
 */
import { types } from "cassandra-driver"
import type { CqlType } from "../../cassandra/CqlValue.ts"
import { encoder } from "../../cassandra/CqlValue.ts"
import { codes, invalid, Refusal, unsupported } from "./simulatedRefusal.ts"
import { addCell, addMarker, keyText, makePartition, type Partition, rowOf } from "./simulatedStorage.ts"
import { type Comparator, comparatorOf, makeType, type ParsedType } from "./simulatedType.ts"

/** @internal */
export interface Column {
  readonly name: string
  readonly text: string
  readonly type: CqlType
  readonly kind: "partition_key" | "clustering" | "regular" | "static"
  readonly position: number
  /** A set or map of which each element is a cell. */
  readonly complex: { readonly width: 1 | 2; readonly path: CqlType; readonly value: CqlType | null } | null
  /** Why it can't be written or read here, although the table may have it. */
  readonly refused: string | null
  readonly compare: Comparator
}

/** @internal */
export interface Table {
  readonly keyspace: string
  readonly name: string
  readonly partitionKey: ReadonlyArray<Column>
  readonly clustering: ReadonlyArray<Column>
  /** Partition key, clustering columns, the others by name. */
  readonly columns: ReadonlyMap<string, Column>
  readonly defaultTtl: number
}

/** @internal */
export interface Keyspace {
  readonly name: string
  readonly replication: ReadonlyMap<string, string>
  readonly tables: Map<string, Table>
}

/** @internal */
export interface ColumnDefinition {
  readonly name: string
  readonly type: ParsedType
  readonly isStatic: boolean
}

/** @internal */
export interface TableDefinition {
  readonly keyspace: string
  readonly name: string
  readonly columns: ReadonlyArray<ColumnDefinition>
  readonly partitionKey: ReadonlyArray<string>
  readonly clustering: ReadonlyArray<string>
  readonly descending: ReadonlySet<string>
  readonly defaultTtl: number
}

const { dataTypes } = types

const makeColumn = (definition: ColumnDefinition, table: TableDefinition): Column => {
  const { isStatic, name } = definition
  const { isFrozen, text, type } = definition.type
  const partition = table.partitionKey.indexOf(name)
  const clustering = table.clustering.indexOf(name)
  const isKey = partition >= 0 || clustering >= 0
  if (isKey && !isFrozen) invalid(`Invalid non-frozen collection type ${text} for PRIMARY KEY column '${name}'`)
  const ascending = comparatorOf(type)
  if (clustering >= 0 && ascending === null) unsupported(`the type ${text} as a clustering column`)
  const isSet = type.code === dataTypes.set
  const isMap = type.code === dataTypes.map
  const info = type.info as CqlType & ReadonlyArray<CqlType>
  const complex = isFrozen || !(isSet || isMap) ? null : {
    width: isMap ? 2 as const : 1 as const,
    path: isMap ? info[0]! : info,
    value: isMap ? info[1]! : null
  }
  if (complex !== null && comparatorOf(complex.path) === null) unsupported(`the elements of ${text}`)
  return {
    name,
    text,
    type,
    kind: partition >= 0 ? "partition_key" : clustering >= 0 ? "clustering" : isStatic ? "static" : "regular",
    position: isKey ? Math.max(partition, clustering) : -1,
    complex,
    refused: isStatic
      ? `the static column ${name}`
      : type.code === dataTypes.counter
      ? `the counter ${name}`
      : !isFrozen && complex === null
      ? `the non-frozen list ${name}`
      : null,
    compare: ascending === null
      ? Buffer.compare
      : table.descending.has(name)
      ? (a, b) => ascending(b, a)
      : ascending
  }
}

/** @internal */
export const makeTable = (definition: TableDefinition): Table => {
  const { clustering, columns, defaultTtl, keyspace, name, partitionKey } = definition
  const byName = new Map(columns.map((column) => [column.name, makeColumn(column, definition)]))
  if (byName.size < columns.length) invalid(`Duplicate column in the definition of ${name}`)
  const key = (column: string): Column =>
    byName.get(column) ?? invalid(`Unknown column '${column}' referenced in PRIMARY KEY for table '${name}'`)
  if (partitionKey.length === 0) {
    invalid(`No PRIMARY KEY specified for table '${keyspace}.${name}' (exactly one required)`)
  }
  const keys = { partitionKey: partitionKey.map(key), clustering: clustering.map(key) }
  const others = [...byName.values()].filter(({ kind }) => kind === "regular" || kind === "static")
    .toSorted((a, b) => a.kind === b.kind ? a.name < b.name ? -1 : 1 : a.kind === "static" ? -1 : 1)
  return {
    keyspace,
    name,
    ...keys,
    columns: new Map([...keys.partitionKey, ...keys.clustering, ...others].map((column) => [column.name, column])),
    defaultTtl
  }
}

/** How many replicas hold a keyspace's rows, if there are so many. */
export const copies = (keyspace: Keyspace): number => {
  let sum = 0
  for (const [option, factor] of keyspace.replication) {
    if (option !== "class") sum += Number(factor.split("/")[0])
  }
  return Number.isFinite(sum) && sum > 0 ? sum : 1
}

/** @internal */
export class Schema {
  readonly keyspaces = new Map<string, Keyspace>()
  /** Grows with every change: what was compiled before is compiled anew. */
  version = 0

  createKeyspace(name: string, replication: ReadonlyMap<string, string>, ifNotExists: boolean): void {
    if (this.keyspaces.has(name) || name.startsWith("system")) {
      if (ifNotExists) return
      throw new Refusal(codes.alreadyExists, `Cannot add existing keyspace "${name}"`, { keyspace: name, table: "" })
    }
    this.keyspaces.set(name, { name, replication, tables: new Map() })
    this.version++
  }

  createTable(definition: TableDefinition, ifNotExists: boolean): void {
    const { keyspace, name } = definition
    const owner = this.keyspaces.get(keyspace) ?? invalid(`Keyspace '${keyspace}' doesn't exist`)
    if (owner.tables.has(name)) {
      if (ifNotExists) return
      throw new Refusal(codes.alreadyExists, `Cannot add already existing table "${name}" to keyspace "${keyspace}"`, {
        keyspace,
        table: name
      })
    }
    owner.tables.set(name, makeTable(definition))
    this.version++
  }

  dropKeyspace(name: string, ifExists: boolean): ReadonlyArray<Table> {
    const keyspace = this.keyspaces.get(name)
    if (keyspace === undefined) return ifExists ? [] : invalid(`Keyspace '${name}' doesn't exist`)
    this.keyspaces.delete(name)
    this.version++
    return [...keyspace.tables.values()]
  }

  dropTable(keyspace: string, name: string, ifExists: boolean): ReadonlyArray<Table> {
    const table = this.keyspaces.get(keyspace)?.tables.get(name)
    if (table === undefined) return ifExists ? [] : invalid(`Table '${keyspace}.${name}' doesn't exist`)
    this.keyspaces.get(keyspace)!.tables.delete(name)
    this.version++
    return [table]
  }

  table(keyspace: string | null, name: string): Table {
    if (keyspace === null) {
      return invalid("No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename")
    }
    const system = systemTables.get(`${keyspace}.${name}`)
    if (system !== undefined) return system
    if (keyspace.startsWith("system")) return unsupported(`the table ${keyspace}.${name}`)
    const owner = this.keyspaces.get(keyspace) ?? invalid(`keyspace ${keyspace} does not exist`)
    return owner.tables.get(name) ?? invalid(`table ${name} does not exist`)
  }

  /** The rows of a system table as partitions, made anew each time; null for a table that is stored. */
  systemPartitions(table: Table): Map<string, Partition> | null {
    switch (`${table.keyspace}.${table.name}`) {
      case "system_schema.keyspaces":
        return partitionsOf(
          table,
          [...this.keyspaces.values()].map(({ name, replication }) => ({
            keyspace_name: name,
            durable_writes: true,
            replication
          }))
        )
      case "system_schema.tables":
        return partitionsOf(
          table,
          [...this.keyspaces.values()].flatMap(({ name, tables }) =>
            [...tables.keys()].map((table) => ({ keyspace_name: name, table_name: table }))
          )
        )
      case "system_schema.columns":
        return partitionsOf(
          table,
          [...this.keyspaces.values()].flatMap(({ name, tables }) =>
            [...tables.values()].flatMap((owner) =>
              [...owner.columns.values()].map((column) => ({
                keyspace_name: name,
                table_name: owner.name,
                column_name: column.name,
                kind: column.kind,
                position: column.position,
                type: column.text
              }))
            )
          )
        )
      default:
        return null
    }
  }
}

const system = (name: string, columns: Record<string, string>, keys: ReadonlyArray<string>): Table =>
  makeTable({
    keyspace: "system_schema",
    name,
    columns: Object.entries(columns).map(([column, type]) => ({
      name: column,
      isStatic: false,
      type: type === "map"
        ? makeType("frozen", [makeType("map", [makeType("text", []), makeType("text", [])])])
        : makeType(type, [])
    })),
    partitionKey: keys.slice(0, 1),
    clustering: keys.slice(1),
    descending: new Set(),
    defaultTtl: 0
  })

const systemTables = new Map(
  [
    system("keyspaces", { keyspace_name: "text", durable_writes: "boolean", replication: "map" }, ["keyspace_name"]),
    system("tables", { keyspace_name: "text", table_name: "text" }, ["keyspace_name", "table_name"]),
    system("columns", {
      keyspace_name: "text",
      table_name: "text",
      column_name: "text",
      kind: "text",
      position: "int",
      type: "text"
    }, ["keyspace_name", "table_name", "column_name"])
  ].map((table) => [`system_schema.${table.name}`, table])
)

const partitionsOf = (
  table: Table,
  rows: ReadonlyArray<Readonly<Record<string, unknown>>>
): Map<string, Partition> => {
  const partitions = new Map<string, Partition>()
  for (const values of rows) {
    const bytes = (column: Column): Buffer => encoder(column.type)(values[column.name])
    const key = table.partitionKey.map(bytes)
    const text = keyText(key)
    const partition = partitions.get(text) ?? makePartition(key)
    partitions.set(text, partition)
    const row = rowOf(partition, table.clustering.map(bytes))
    addMarker(row, { timestamp: 0n, ttl: 0, expiresAt: 0 })
    for (const column of table.columns.values()) {
      if (column.kind !== "regular") continue
      addCell(row, column.name, { timestamp: 0n, ttl: 0, expiresAt: 0, value: bytes(column) })
    }
  }
  return partitions
}
