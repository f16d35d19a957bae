/**
 * The upper half of the grammar: the three write statements and their clauses, after Cassandra's own `Parser.g`. It keeps
 * what a sink has to know (markers, assignments, functions, conditions, where a timestamp goes) and drops the rest.
 */
import type { Assignment, CqlStatement, TermKind } from "../CqlStatement.ts"
import { argument, makeReader, type Place } from "./cqlTerms.ts"
import { CqlSyntax } from "./cqlTokens.ts"

const relationOperators = new Set(["=", "<", "<=", ">", ">=", "!="])

/**
 * Reads one write statement. Throws `CqlSyntax`.
 *
 * @internal
 */
export const parseStatement = (cql: string): CqlStatement => {
  const {
    expected,
    functions,
    identifier,
    isColumn,
    isMarker,
    isOperator,
    isWord,
    list,
    marker,
    markers,
    needOperator,
    needWord,
    next,
    peek,
    previous,
    shown,
    takeOperator,
    takeWord,
    term
  } = makeReader(cql)
  const assignments: Array<Assignment> = []
  let condition: CqlStatement["condition"] = null
  let timestamp: CqlStatement["timestamp"] = null
  let hasTtl = false

  const tableName = (): { keyspace: string | null; table: string } => {
    const name = identifier("the name of a table")
    return takeOperator(".")
      ? { keyspace: name, table: identifier("the name of a table") }
      : { keyspace: null, table: name }
  }

  const usingClause = (): void => {
    if (!takeWord("using")) return
    do {
      const { end, start } = peek()
      if (takeWord("timestamp")) timestamp = { offset: start, end }
      else if (takeWord("ttl")) hasTtl = true
      else expected("TIMESTAMP or TTL")
      const usage = cql.slice(start, end).toLowerCase() as "timestamp" | "ttl"
      if (isMarker()) marker({ column: null, usage })
      else if (peek().kind === "constant") next()
      else expected("a number or a marker")
    } while (takeWord("and"))
  }

  const assignment = (): void => {
    const offset = peek().start
    const column = identifier("the name of a column")
    const add = (kind: Assignment["kind"], term: TermKind): void => {
      assignments.push({ column, kind, term, offset })
    }
    if (takeOperator("[")) {
      term({ column, usage: "element" })
      needOperator("]")
      needOperator("=")
      return add("element", term({ column, usage: "element" }))
    }
    if (takeOperator(".")) {
      identifier("the name of a field")
      needOperator("=")
      return add("field", term({ column, usage: "element" }))
    }
    if (takeOperator("+=")) return add("add", term({ column, usage: "operand" }))
    if (takeOperator("-=")) return add("subtract", term({ column, usage: "operand" }))
    needOperator("=")
    const own = (): void => {
      const place = peek().start
      if (identifier("the name of a column") !== column) {
        throw new CqlSyntax(
          `A column can only be computed from itself, and this is not ${column}`,
          place,
          "Compute the value in the program and bind it to a marker."
        )
      }
    }
    if (isColumn(0)) {
      own()
      // `c = c -1` reaches the parser as c and the number -1.
      if (peek().kind === "constant" && cql[peek().start] === "-") {
        next()
        return add("subtract", "constant")
      }
      if (takeOperator("+")) return add("add", term({ column, usage: "operand" }))
      if (takeOperator("-")) return add("subtract", term({ column, usage: "operand" }))
      expected("+ or -")
    }
    const first = markers.length
    const kind = term({ column, usage: "value" })
    if (!takeOperator("+")) return add("replace", kind)
    for (const operand of markers.slice(first)) operand.usage = operand.usage === "value" ? "operand" : operand.usage
    own()
    add("prepend", kind)
  }

  const keys = (column: string | null): void => {
    if (isMarker()) return marker({ column, usage: "in" })
    needOperator("(")
    list(")", () => term({ column, usage: "key" }))
  }

  /** The right side of `(c, d) = ...`, whose markers belong to the columns by position. */
  const tuple = (columns: ReadonlyArray<string>): void => {
    if (isMarker()) return marker({ column: null, usage: "key" })
    let position = 0
    needOperator("(")
    list(")", () => term({ column: columns[position++] ?? null, usage: "key" }))
  }

  const comparison = (right: () => void): void => {
    if (takeWord("between")) {
      right()
      needWord("and")
      return right()
    }
    if (peek().kind !== "operator" || !relationOperators.has(peek().value)) expected("a comparison")
    next()
    right()
  }

  const relation = (): void => {
    if (isWord("token") && isOperator("(", 1)) {
      next()
      next()
      list(")", () => identifier("the name of a column"))
      return comparison(() => term(argument))
    }
    if (takeOperator("(")) {
      if (!isOperator(",", 1) && !isOperator(")", 1)) {
        relation()
        return needOperator(")")
      }
      const columns: Array<string> = []
      list(")", () => columns.push(identifier("the name of a column")))
      takeWord("not")
      if (!takeWord("in")) return comparison(() => tuple(columns))
      if (isMarker()) return marker({ column: null, usage: "in" })
      needOperator("(")
      return list(")", () => tuple(columns))
    }
    const column = identifier("the name of a column")
    if (takeOperator("[")) {
      term({ column, usage: "element" })
      needOperator("]")
      return comparison(() => term({ column, usage: "element" }))
    }
    if (takeWord("is")) {
      needWord("not")
      return needWord("null")
    }
    takeWord("not")
    if (takeWord("in")) return keys(column)
    if (takeWord("contains")) {
      takeWord("key")
      return void term({ column, usage: "element" })
    }
    if (takeWord("like")) return void term({ column, usage: "key" })
    comparison(() => term({ column, usage: "key" }))
  }

  const whereClause = (): void => {
    needWord("where")
    do relation()
    while (takeWord("and"))
  }

  const conditionOn = (): void => {
    const column = identifier("the name of a column")
    const place: Place = { column, usage: "condition" }
    if (takeOperator("[")) {
      term(place)
      needOperator("]")
    } else if (takeOperator(".")) identifier("the name of a field")
    if (takeWord("in")) {
      if (isMarker()) return marker(place)
      needOperator("(")
      return list(")", () => term(place))
    }
    if (takeWord("contains")) {
      takeWord("key")
      return void term(place)
    }
    comparison(() => term(place))
  }

  const ifClause = (): void => {
    const offset = peek().start
    if (!takeWord("if")) return
    if (isWord("exists") && (peek(1).kind === "end" || isOperator(";", 1))) {
      next()
      condition = { text: "IF EXISTS", offset }
      return
    }
    condition = { text: "IF", offset }
    do conditionOn()
    while (takeWord("and"))
  }

  const insert = () => {
    needWord("into")
    const target = tableName()
    if (isWord("json")) {
      throw new CqlSyntax(
        "INSERT JSON hides from the sink which columns it writes, so it cannot be checked for repeatability",
        peek().start,
        "Name the columns: INSERT INTO t (a, b) VALUES (?, ?); a decoder can turn JSON text into columns."
      )
    }
    const columns: Array<{ name: string; offset: number }> = []
    needOperator("(")
    list(")", () => columns.push({ offset: peek().start, name: identifier("the name of a column") }))
    needWord("values")
    needOperator("(")
    let position = 0
    list(")", () => {
      const column = columns[position++]
      if (column === undefined) return expected(`) because the statement names ${columns.length} columns`)
      const kind = term({ column: column.name, usage: "value" })
      assignments.push({ column: column.name, kind: "replace", term: kind, offset: column.offset })
    })
    if (position < columns.length) {
      throw new CqlSyntax(
        `The statement names ${columns.length} columns and gives ${position} values`,
        previous().start,
        "Give one value for each column."
      )
    }
    const offset = peek().start
    if (takeWord("if")) {
      needWord("not")
      needWord("exists")
      condition = { text: "IF NOT EXISTS", offset }
    }
    usingClause()
    return { ...target, verb: "INSERT" as const, usingOffset: previous().end }
  }

  const update = () => {
    const target = tableName()
    usingClause()
    const usingOffset = previous().end
    needWord("set")
    do assignment()
    while (takeOperator(","))
    whereClause()
    ifClause()
    return { ...target, verb: "UPDATE" as const, usingOffset }
  }

  const deletion = (): void => {
    const offset = peek().start
    const column = identifier("the name of a column")
    if (takeOperator("[")) {
      term({ column, usage: "element" })
      needOperator("]")
      assignments.push({ column, kind: "deleteElement", term: "null", offset })
    } else if (takeOperator(".")) {
      identifier("the name of a field")
      assignments.push({ column, kind: "deleteField", term: "null", offset })
    } else assignments.push({ column, kind: "delete", term: "null", offset })
  }

  const remove = () => {
    if (!isWord("from")) {
      do deletion()
      while (takeOperator(","))
    }
    needWord("from")
    const target = tableName()
    usingClause()
    const usingOffset = previous().end
    whereClause()
    ifClause()
    return { ...target, verb: "DELETE" as const, usingOffset }
  }

  const statement = () => {
    if (takeWord("insert")) return insert()
    if (takeWord("update")) return update()
    if (takeWord("delete")) return remove()
    if (isWord("begin")) {
      throw new CqlSyntax(
        "A BATCH is several statements, and a sink is opened with one",
        peek().start,
        "Give the one INSERT, UPDATE or DELETE; the sink groups rows into batches itself."
      )
    }
    const what = peek().kind === "end" ? "There is no statement" : `${shown(peek()).toUpperCase()} writes no rows`
    throw new CqlSyntax(what, peek().start, "Give an INSERT, an UPDATE or a DELETE with a marker for each value.")
  }

  const parts = statement()
  const end = previous().end
  while (takeOperator(";")) continue
  if (peek().kind !== "end") {
    if (previous().value === ";") {
      throw new CqlSyntax("Here a second statement begins", peek().start, "Give one statement; open a sink for each.")
    }
    expected("the end of the statement")
  }
  return { cql: cql.slice(0, end), markers, assignments, functions, condition, timestamp, hasTtl, ...parts }
}
