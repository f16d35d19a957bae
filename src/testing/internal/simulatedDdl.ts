/**
 * CREATE, DROP and TRUNCATE, and which kind of statement a text is.
 */
import { codes, invalid, Refusal, unsupported } from "./simulatedRefusal.ts"
import type { ColumnDefinition, Schema, Table } from "./simulatedSchema.ts"
import { compileSelect, type SelectPlan } from "./simulatedSelect.ts"
import { type Cursor, makeCursor, reading } from "./simulatedTerms.ts"
import { compileWrite, type WritePlan } from "./simulatedWrite.ts"

/**
 * A change of the schema. `run` gives the tables whose rows are gone.
 *
 * @internal
 */
export interface DdlPlan {
  readonly kind: "ddl"
  readonly cql: string
  readonly markers: readonly []
  readonly run: () => ReadonlyArray<Table>
}

/** @internal */
export type Plan = WritePlan | SelectPlan | DdlPlan

const ifNotExists = ({ needWord, takeWord }: Cursor): boolean => {
  if (!takeWord("if")) return false
  needWord("not")
  needWord("exists")
  return true
}

const ifExists = ({ needWord, takeWord }: Cursor): boolean => {
  if (!takeWord("if")) return false
  needWord("exists")
  return true
}

/** `{'a': 'b', ...}` */
const options = ({ needOperator, next, takeOperator }: Cursor): ReadonlyMap<string, string> => {
  const found = new Map<string, string>()
  needOperator("{")
  if (takeOperator("}")) return found
  do {
    const name = next().value
    needOperator(":")
    found.set(name, next().value)
  } while (takeOperator(","))
  needOperator("}")
  return found
}

const createKeyspace = (cursor: Cursor, schema: Schema): () => ReadonlyArray<Table> => {
  const { identifier, needOperator, needWord, next, takeWord } = cursor
  const isConditional = ifNotExists(cursor)
  const name = identifier("the name of a keyspace")
  let replication: ReadonlyMap<string, string> | null = null
  needWord("with")
  do {
    const option = identifier("an option")
    needOperator("=")
    if (option === "replication") replication = options(cursor)
    else next()
  } while (takeWord("and"))
  cursor.end()
  const given = replication ?? invalid("Missing mandatory option 'replication'")
  const strategy = given.get("class") ?? invalid("Missing replication strategy class")
  const stored = new Map(given)
  if (!strategy.includes(".")) stored.set("class", `org.apache.cassandra.locator.${strategy}`)
  return () => {
    schema.createKeyspace(name, stored, isConditional)
    return []
  }
}

const createTable = (
  cursor: Cursor,
  schema: Schema,
  defaultKeyspace: string | null
): () => ReadonlyArray<Table> => {
  const { identifier, isOperator, isWord, needOperator, needWord, next, peek, takeOperator, takeWord } = cursor
  const isConditional = ifNotExists(cursor)
  const [keyspace, name] = cursor.tableName(defaultKeyspace)
  if (keyspace === null) {
    return invalid("No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename")
  }
  const columns: Array<ColumnDefinition> = []
  const partitionKey: Array<string> = []
  const clustering: Array<string> = []
  const descending = new Set<string>()
  let defaultTtl = 0
  const names = (into: Array<string>): void => {
    do into.push(identifier("the name of a column"))
    while (takeOperator(","))
  }
  needOperator("(")
  do {
    if (isWord("primary") && isWord("key", 1)) {
      next()
      next()
      needOperator("(")
      if (takeOperator("(")) {
        names(partitionKey)
        needOperator(")")
      } else partitionKey.push(identifier("the name of a column"))
      if (takeOperator(",")) names(clustering)
      needOperator(")")
      continue
    }
    const column = identifier("the name of a column")
    const type = cursor.type()
    columns.push({ name: column, type, isStatic: takeWord("static") })
    if (takeWord("primary")) {
      needWord("key")
      partitionKey.push(column)
    }
  } while (takeOperator(","))
  needOperator(")")
  if (takeWord("with")) {
    do {
      if (takeWord("clustering")) {
        needWord("order")
        needWord("by")
        needOperator("(")
        do {
          const column = identifier("the name of a column")
          if (takeWord("desc")) descending.add(column)
          else takeWord("asc")
        } while (takeOperator(","))
        needOperator(")")
        continue
      }
      const option = identifier("an option")
      if (option === "compact") return unsupported("COMPACT STORAGE")
      needOperator("=")
      if (isOperator("{")) options(cursor)
      else {
        const { value } = next()
        if (option === "default_time_to_live") defaultTtl = Number(value)
      }
    } while (takeWord("and"))
  }
  if (peek().kind !== "end") cursor.end()
  return () => {
    schema.createTable({ keyspace, name, columns, partitionKey, clustering, descending, defaultTtl }, isConditional)
    return []
  }
}

/**
 * Reads any statement. Throws a `Refusal`.
 *
 * @internal
 */
export const compile = (cql: string, schema: Schema, defaultKeyspace: string | null): Plan =>
  reading(() => {
    const verb = /^\s*(\w+)/.exec(cql)?.[1]?.toLowerCase() ?? ""
    if (verb === "insert" || verb === "update" || verb === "delete") return compileWrite(cql, schema, defaultKeyspace)
    if (verb === "select") return compileSelect(cql, schema, defaultKeyspace)
    const cursor = makeCursor(cql)
    const ddl = (run: () => ReadonlyArray<Table>): DdlPlan => ({ kind: "ddl", cql, markers: [], run })
    if (cursor.takeWord("create")) {
      if (cursor.takeWord("keyspace")) return ddl(createKeyspace(cursor, schema))
      if (cursor.takeWord("table")) return ddl(createTable(cursor, schema, defaultKeyspace))
    } else if (cursor.takeWord("drop")) {
      if (cursor.takeWord("keyspace")) {
        const isConditional = ifExists(cursor)
        const name = cursor.identifier("the name of a keyspace")
        cursor.end()
        return ddl(() => schema.dropKeyspace(name, isConditional))
      }
      if (cursor.takeWord("table")) {
        const isConditional = ifExists(cursor)
        const [keyspace, name] = cursor.tableName(defaultKeyspace)
        cursor.end()
        return ddl(() => schema.dropTable(keyspace ?? schema.table(null, name).keyspace, name, isConditional))
      }
    } else if (cursor.takeWord("truncate")) {
      cursor.takeWord("table")
      const [keyspace, name] = cursor.tableName(defaultKeyspace)
      cursor.end()
      return ddl(() => [schema.table(keyspace, name)])
    }
    if (!/^(begin|alter|create|drop|use|grant|revoke|list|describe)$/.test(verb)) {
      throw new Refusal(codes.syntax, `line 1:0 no viable alternative at input '${verb}'`)
    }
    return unsupported(cql)
  })
