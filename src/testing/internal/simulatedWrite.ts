/**
 * INSERT, UPDATE and DELETE: compiled once against the table, then made into mutations with the values of a request.
 */
import { types } from "cassandra-driver"
import * as Result from "effect/Result"
import * as CqlStatement from "../../cassandra/CqlStatement.ts"
import type { CqlType } from "../../cassandra/CqlValue.ts"
import { codes, invalid, Refusal, unsupported } from "./simulatedRefusal.ts"
import type { Column, Schema, Table } from "./simulatedSchema.ts"
import {
  addCell,
  addDeletion,
  addElement,
  addMarker,
  type Cell,
  complexOf,
  deleteComplex,
  keyText,
  type Partition,
  rowOf
} from "./simulatedStorage.ts"
import { columnOf, makeCursor, type MarkerSpec, type Term } from "./simulatedTerms.ts"
import { collectionParts, validate } from "./simulatedType.ts"

const { dataTypes } = types

type Operation =
  | { readonly kind: "put" | "add" | "remove"; readonly column: Column; readonly term: Term }
  | { readonly kind: "putElement"; readonly column: Column; readonly key: Term; readonly term: Term }
  | { readonly kind: "delete"; readonly column: Column }
  | { readonly kind: "deleteElement"; readonly column: Column; readonly key: Term }

/** @internal */
export type Condition =
  | { readonly kind: "notExists" }
  | { readonly kind: "exists" }
  | {
    readonly kind: "columns"
    readonly tests: ReadonlyArray<{ readonly column: Column; readonly operator: string; readonly term: Term }>
  }

/** @internal */
export interface WritePlan {
  readonly kind: "write"
  readonly cql: string
  readonly verb: "INSERT" | "UPDATE" | "DELETE"
  readonly table: Table
  readonly markers: ReadonlyArray<MarkerSpec>
  readonly keys: ReadonlyMap<string, Term>
  readonly operations: ReadonlyArray<Operation>
  readonly timestamp: Term | null
  readonly ttl: Term | null
  readonly condition: Condition | null
}

const bigint: CqlType = { code: dataTypes.bigint }
const int: CqlType = { code: dataTypes.int }

/** @internal */
export const compileWrite = (cql: string, schema: Schema, defaultKeyspace: string | null): WritePlan => {
  const parsed = CqlStatement.parse(cql)
  if (Result.isFailure(parsed)) {
    throw new Refusal(codes.syntax, `line 1:${parsed.failure.offset} ${parsed.failure.reason}`)
  }
  const statement = parsed.success
  if (statement.functions.length > 0) unsupported(`the function ${statement.functions[0]!.name}()`)
  const table = schema.table(statement.keyspace ?? defaultKeyspace, statement.table)
  if (table.keyspace === "system_schema") invalid("system keyspace is not user-modifiable.")
  const cursor = makeCursor(cql)
  const { identifier, isWord, needOperator, needWord, peek, shown, tableName, takeOperator, takeWord, term } = cursor
  const keys = new Map<string, Term>()
  const operations: Array<Operation> = []
  let timestamp: Term | null = null
  let ttl: Term | null = null
  let condition: Condition | null = null

  const using = (): void => {
    if (!takeWord("using")) return
    do {
      if (takeWord("timestamp")) timestamp = term(bigint, "[timestamp]", "[timestamp]")
      else {
        needWord("ttl")
        ttl = term(int, "[ttl]", "[ttl]")
      }
    } while (takeWord("and"))
  }

  const writable = (name: string): Column => {
    const column = columnOf(table, name)
    if (column.kind === "partition_key" || column.kind === "clustering") {
      return invalid(
        statement.verb === "DELETE"
          ? `Invalid identifier ${name} for deletion (should not be a PRIMARY KEY part)`
          : `PRIMARY KEY part ${name} found in SET part`
      )
    }
    return column.refused === null ? column : unsupported(column.refused)
  }

  const key = (column: Column): void => {
    const isPartition = column.kind === "partition_key"
    if (keys.has(column.name)) {
      invalid(`${column.name} cannot be restricted by more than one relation if it includes an Equal`)
    }
    keys.set(column.name, term(column.type, column.name, column.name, isPartition ? column.name : null))
  }

  const where = (): void => {
    needWord("where")
    do {
      if (peek().kind !== "word" && peek().kind !== "name") unsupported(`${shown(peek())} in WHERE`)
      const column = columnOf(table, identifier("the name of a column"))
      if (column.kind === "regular" || column.kind === "static") {
        invalid(`Non PRIMARY KEY columns found in where clause: ${column.name} `)
      }
      if (!takeOperator("=")) unsupported(`${shown(peek())} in WHERE of ${statement.verb}`)
      key(column)
    } while (takeWord("and"))
  }

  const conditions = (): void => {
    if (!takeWord("if")) return
    if (isWord("exists") && (peek(1).kind === "end" || peek(1).value === ";")) {
      takeWord("exists")
      condition = { kind: "exists" }
      return
    }
    const tests: Array<{ column: Column; operator: string; term: Term }> = []
    do {
      const column = columnOf(table, identifier("the name of a column"))
      if (column.position >= 0) invalid(`PRIMARY KEY column '${column.name}' cannot have IF conditions`)
      if (column.refused !== null) unsupported(column.refused)
      if (column.complex !== null) unsupported(`a condition on the collection ${column.name}`)
      const operator = ["=", "<", "<=", ">", ">=", "!="].find((text) => takeOperator(text)) ??
        unsupported(`${shown(peek())} in IF`)
      tests.push({ column, operator, term: term(column.type, column.name, column.name) })
    } while (takeWord("and"))
    condition = { kind: "columns", tests }
  }

  const elementKey = (column: Column): Term => {
    if (column.complex === null) return invalid(`Invalid element access on ${column.name} of type ${column.text}`)
    const isMap = column.complex.value !== null
    const found = term(column.complex.path, column.name, `${isMap ? "key" : "value"}(${column.name})`)
    needOperator("]")
    return found
  }

  const operand = (kind: "add" | "remove", column: Column): void => {
    const { complex } = column
    if (complex === null) return void unsupported(`arithmetic on ${column.name} of type ${column.text}`)
    const type = kind === "remove" ? { code: dataTypes.set, info: complex.path } : column.type
    operations.push({ kind, column, term: term(type, column.name, column.name) })
  }

  const assignment = (): void => {
    const column = writable(identifier("the name of a column"))
    if (takeOperator("[")) {
      const element = elementKey(column)
      needOperator("=")
      const value = column.complex?.value ?? invalid(`Invalid operation (${column.name}[..] = ..) for set column`)
      const put = term(value, column.name, `value(${column.name})`)
      return void operations.push({ kind: "putElement", column, key: element, term: put })
    }
    if (takeOperator("+=")) return operand("add", column)
    if (takeOperator("-=")) return operand("remove", column)
    needOperator("=")
    if (peek().kind === "word" && peek().value === column.name && (peek(1).value === "+" || peek(1).value === "-")) {
      identifier("the name of a column")
      return operand(takeOperator("+") ? "add" : (needOperator("-"), "remove"), column)
    }
    operations.push({ kind: "put", column, term: term(column.type, column.name, column.name) })
    if (peek().value === "+" || peek().value === "-") unsupported("arithmetic in SET")
  }

  switch (statement.verb) {
    case "INSERT": {
      needWord("insert")
      needWord("into")
      tableName(null)
      const columns: Array<Column> = []
      needOperator("(")
      do columns.push(columnOf(table, identifier("the name of a column")))
      while (takeOperator(","))
      needOperator(")")
      needWord("values")
      needOperator("(")
      columns.forEach((column, index) => {
        if (index > 0) needOperator(",")
        if (column.position >= 0) return key(column)
        writable(column.name)
        operations.push({ kind: "put", column, term: term(column.type, column.name, column.name) })
      })
      needOperator(")")
      if (takeWord("if")) {
        needWord("not")
        needWord("exists")
        condition = { kind: "notExists" }
      }
      using()
      break
    }
    case "UPDATE":
      needWord("update")
      tableName(null)
      using()
      needWord("set")
      do assignment()
      while (takeOperator(","))
      where()
      conditions()
      break
    case "DELETE":
      needWord("delete")
      if (!isWord("from")) {
        do {
          const column = writable(identifier("the name of a column"))
          operations.push(
            takeOperator("[") ? { kind: "deleteElement", column, key: elementKey(column) } : { kind: "delete", column }
          )
        } while (takeOperator(","))
      }
      needWord("from")
      tableName(null)
      using()
      where()
      conditions()
  }
  cursor.end()
  const { markers } = cursor
  if (markers.length !== statement.markers.length) unsupported(`the markers of ${cql}`)
  if (condition !== null && timestamp !== null) invalid("Cannot provide custom timestamp for conditional updates")
  checkKeys({ table, keys, verb: statement.verb, operations, condition })
  return { kind: "write", cql, verb: statement.verb, table, markers, keys, operations, timestamp, ttl, condition }
}

const checkKeys = (plan: Pick<WritePlan, "table" | "keys" | "verb" | "operations" | "condition">): void => {
  const { condition, keys, operations, table, verb } = plan
  const missing = (columns: ReadonlyArray<Column>): string =>
    columns.filter(({ name }) => !keys.has(name)).map(({ name }) => name).join(", ")
  const partition = missing(table.partitionKey)
  if (partition !== "") invalid(`Some partition key parts are missing: ${partition}`)
  const clustering = missing(table.clustering)
  if (clustering === "") return
  if (verb !== "DELETE") invalid(`Some clustering keys are missing: ${clustering}`)
  if (operations.length > 0) invalid("Range deletions are not supported for specific columns")
  if (condition !== null) invalid("DELETE statements must restrict all PRIMARY KEY columns with equality relations")
  const given = table.clustering.findIndex(({ name }) => !keys.has(name))
  if (table.clustering.slice(given).some(({ name }) => keys.has(name))) {
    invalid(`PRIMARY KEY column "${clustering.split(", ")[0]}" must be restricted before those behind it`)
  }
}

/**
 * A value of a request: bytes, null, or undefined for one that was not set.
 *
 * @internal
 */
export type Value = Buffer | null | undefined

/** @internal */
export const valueOf = (term: Term, values: ReadonlyArray<Value>): Value => {
  if (term.kind === "bytes") return term.bytes
  const value = values[term.index]
  if (value) validate(term.type, value)
  return value
}

/**
 * The bytes of the parts of a key.
 *
 * @internal
 */
export const keyOf = (
  columns: ReadonlyArray<Column>,
  keys: ReadonlyMap<string, Term>,
  values: ReadonlyArray<Value>
): ReadonlyArray<Buffer> => {
  const parts: Array<Buffer> = []
  for (const { kind, name } of columns) {
    const term = keys.get(name)
    if (term === undefined) break
    const value = valueOf(term, values)
    if (value === null) return invalid(`Invalid null value in condition for column ${name}`)
    if (value === undefined) return invalid(`Invalid unset value for column ${name}`)
    if (kind === "partition_key" && columns.length === 1 && value.length === 0) return invalid("Key may not be empty")
    // the sender may use its buffer again
    parts.push(Buffer.from(value))
  }
  return parts
}

/** @internal */
export interface WriteTime {
  /** For statements that have none of their own. */
  readonly timestamp: bigint
  readonly nowSeconds: number
}

const maxTtl = 630720000

const ttlOf = (plan: WritePlan, values: ReadonlyArray<Value>): number => {
  const { defaultTtl } = plan.table
  if (plan.ttl === null) return defaultTtl
  const value = valueOf(plan.ttl, values)
  if (value === undefined) return defaultTtl
  if (value === null) return defaultTtl === 0 ? 0 : unsupported("a null TTL on a table with a default one")
  const ttl = value.length === 0 ? invalid("Invalid value of ttl") : value.readInt32BE(0)
  if (ttl < 0) invalid(`A TTL must be greater or equal to 0, but was ${ttl}`)
  if (ttl > maxTtl) invalid(`ttl is too large. requested (${ttl}) maximum (${maxTtl})`)
  return ttl
}

/** @internal */
export const timestampOf = (plan: WritePlan, values: ReadonlyArray<Value>, fallback: bigint): bigint => {
  if (plan.timestamp === null) return fallback
  const value = valueOf(plan.timestamp, values)
  if (value === undefined) return fallback
  if (value === null) return invalid("Invalid null value of timestamp")
  const timestamp = value.length === 0 ? invalid("Invalid value of timestamp") : value.readBigInt64BE(0)
  if (timestamp === -(2n ** 63n)) invalid("The minimum timestamp can't be used")
  return timestamp
}

/**
 * Adds what the statement does with these values to `partition`, whose key is that of the values.
 *
 * @internal
 */
export const addWrite = (
  partition: Partition,
  plan: WritePlan,
  values: ReadonlyArray<Value>,
  time: WriteTime
): void => {
  const timestamp = timestampOf(plan, values, time.timestamp)
  const ttl = ttlOf(plan, values)
  const expiresAt = ttl === 0 ? 0 : time.nowSeconds + ttl
  const clustering = keyOf(plan.table.clustering, plan.keys, values)
  if (plan.verb === "DELETE" && plan.operations.length === 0) {
    return addDeletion(partition, keyText(clustering), timestamp)
  }
  const row = rowOf(partition, clustering)
  const cell = (value: Buffer | null): Cell =>
    value === null
      ? { timestamp, value, ttl: 0, expiresAt: 0 }
      : { timestamp, value: Buffer.from(value), ttl, expiresAt }
  if (plan.verb === "INSERT") addMarker(row, { timestamp, ttl, expiresAt })
  const add = (column: Column, bytes: Buffer, width: 1 | 2): void => {
    const { path, value } = column.complex!
    const complex = complexOf(row, column.name)
    const parts = collectionParts(bytes, width)
    for (let i = 0; i < parts.length; i += width) {
      validate(path, parts[i]!)
      if (width === 2) validate(value!, parts[i + 1]!)
      addElement(complex, Buffer.from(parts[i]!), cell(width === 2 ? parts[i + 1]! : empty))
    }
  }
  for (const operation of plan.operations) {
    const { column, kind } = operation
    if (kind === "delete") {
      if (column.complex === null) addCell(row, column.name, cell(null))
      else deleteComplex(complexOf(row, column.name), timestamp)
      continue
    }
    if (kind === "deleteElement" || kind === "putElement") {
      const isMap = column.complex!.value !== null
      const key = valueOf(operation.key, values)
      if (key === null) return invalid(`Invalid null ${isMap ? "map key" : "set element"}`)
      if (key === undefined) return invalid(`Invalid unset ${isMap ? "map key" : "set element"}`)
      const value = kind === "putElement" ? valueOf(operation.term, values) : null
      if (value !== undefined) addElement(complexOf(row, column.name), Buffer.from(key), cell(value))
      continue
    }
    const value = valueOf(operation.term, values)
    if (value === undefined) continue
    if (column.complex === null) addCell(row, column.name, cell(value))
    else {
      // as on the server: the elements that are written stay, older ones go; one microsecond lies between
      if (kind === "put") deleteComplex(complexOf(row, column.name), timestamp - 1n)
      if (value === null) continue
      if (kind !== "remove") add(column, value, column.complex.width)
      else for (const path of collectionParts(value, 1)) addElement(complexOf(row, column.name), path, cell(null))
    }
  }
}

const empty = Buffer.alloc(0)
