/**
 * The lower half of the grammar: a place in the tokens of a statement, and the terms (values, literals, function calls,
 * arithmetic) that may stand there. It collects the markers and the functions that it meets.
 */
import type { FunctionCall, Marker, TermKind } from "../CqlStatement.ts"
import { CqlSyntax, type Token, tokenize } from "./cqlTokens.ts"

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/**
 * What the markers of a term that is being read fill.
 *
 * @internal
 */
export interface Place {
  readonly column: string | null
  readonly usage: Marker["usage"]
}

/** @internal */
export const argument: Place = { column: null, usage: "argument" }

const constantWords = new Set(["true", "false", "null", "nan", "infinity"])
const arithmeticOperators = new Set(["+", "-", "*", "/", "%"])

/**
 * A reader at the start of `cql`. Its methods take what they are named after or throw `CqlSyntax`; those that return a
 * boolean take it only if it is there.
 *
 * @internal
 */
export const makeReader = (cql: string) => {
  const tokens = tokenize(cql)
  const markers: Array<Mutable<Marker>> = []
  const functions: Array<FunctionCall> = []
  let at = 0

  const peek = (ahead = 0): Token => tokens[Math.min(at + ahead, tokens.length - 1)]!
  const previous = (): Token => tokens[at - 1]!
  const isWord = (value: string, ahead = 0): boolean => peek(ahead).kind === "word" && peek(ahead).value === value
  const isOperator = (value: string, ahead = 0): boolean =>
    peek(ahead).kind === "operator" && peek(ahead).value === value
  const takeWord = (value: string): boolean => isWord(value) && ++at > 0
  const takeOperator = (value: string): boolean => isOperator(value) && ++at > 0
  const shown = (token: Token): string =>
    token.kind === "end" ? "the end of the statement" : cql.slice(token.start, Math.min(token.end, token.start + 30))

  const expected = (what: string): never => {
    throw new CqlSyntax(
      `Expected ${what}, found ${shown(peek())}`,
      peek().start,
      "Correct the statement; it follows CQL's own grammar."
    )
  }
  const needWord = (value: string): void => {
    if (!takeWord(value)) expected(value.toUpperCase())
  }
  const needOperator = (value: string): void => {
    if (!takeOperator(value)) expected(value)
  }
  const identifier = (what: string): string => {
    const token = peek()
    if (token.kind !== "word" && token.kind !== "name") return expected(what)
    at++
    return token.value
  }

  const marker = (place: Place): void => {
    const start = peek().start
    const name = takeOperator("?") ? null : (needOperator(":"), identifier("the name of a marker"))
    markers.push({ index: markers.length, name, column: place.column, usage: place.usage, offset: start })
  }
  const isMarker = (): boolean => isOperator("?") || isOperator(":")
  const next = (): Token => tokens[at++]!

  const list = (close: string, item: () => void): void => {
    if (takeOperator(close)) return
    do item()
    while (takeOperator(","))
    needOperator(close)
  }

  /** `name(...)` or `keyspace.name(...)`. */
  const isFunction = (): boolean => {
    const { kind } = peek()
    if (kind !== "word" && kind !== "name") return false
    return isOperator("(", 1) || (isOperator(".", 1) && isOperator("(", 3))
  }
  const functionCall = (): TermKind => {
    const offset = peek().start
    const isCast = isWord("cast") && isOperator("(", 1)
    let keyspace: string | null = null
    let name = identifier("a function")
    if (takeOperator(".")) {
      keyspace = name
      name = identifier("a function")
    }
    functions.push({ keyspace, name, offset })
    needOperator("(")
    if (isCast) {
      simpleTerm(argument)
      needWord("as")
      identifier("a type")
      needOperator(")")
    } else {
      list(")", () => term(argument))
    }
    return "computed"
  }

  /** After `(`: a type, as in `(int) ?`, and not the first value of a tuple. */
  const isType = (): boolean => peek().kind === "word" && !constantWords.has(peek().value) && !isFunction()
  const skipType = (): void => {
    let depth = 0
    while (!(depth === 0 && isOperator(")"))) {
      if (peek().kind === "end") expected(")")
      if (isOperator("<")) depth++
      if (isOperator(">")) depth--
      at++
    }
    at++
  }

  const simpleTerm = (place: Place): TermKind => {
    const token = peek()
    const element: Place = { column: place.column, usage: place.usage === "argument" ? "argument" : "element" }
    if (isMarker()) {
      marker(place)
      return "marker"
    }
    if (token.kind === "string" || token.kind === "constant") {
      at++
      return "constant"
    }
    if (isFunction()) return functionCall()
    if (token.kind === "word" && constantWords.has(token.value)) {
      at++
      return token.value === "null" ? "null" : "constant"
    }
    if (takeOperator("(")) {
      if (isType()) {
        skipType()
        return simpleTerm(place)
      }
      list(")", () => term(element))
      return "constant"
    }
    if (takeOperator("[")) {
      const isEmpty = isOperator("]")
      list("]", () => term(element))
      return isEmpty ? "empty" : "array"
    }
    if (takeOperator("{")) {
      const isEmpty = isOperator("}")
      list("}", () => {
        const isField = (peek().kind === "word" || peek().kind === "name") && isOperator(":", 1)
        if (isField) at++
        else term(element)
        if (takeOperator(":")) term(element)
      })
      return isEmpty ? "empty" : "constant"
    }
    return expected("a value")
  }

  const signedTerm = (place: Place): TermKind => {
    if (!takeOperator("-")) return simpleTerm(place)
    return simpleTerm(isWord("nan") || isWord("infinity") ? place : argument) === "constant" ? "constant" : "computed"
  }

  const isColumn = (ahead: number): boolean => {
    const { kind, value } = peek(ahead)
    if (kind === "name") return !isOperator("(", ahead + 1) && !isOperator(".", ahead + 1)
    return kind === "word" && !constantWords.has(value) && !isOperator("(", ahead + 1) && !isOperator(".", ahead + 1)
  }

  const term = (place: Place): TermKind => {
    const first = markers.length
    let kind = signedTerm(place)
    while (peek().kind === "operator" && arithmeticOperators.has(peek().value)) {
      // `? + l`: the column itself as the last operand is a prepend, which is the caller's.
      if (isOperator("+") && isColumn(1)) return kind
      at++
      signedTerm(argument)
      for (const operand of markers.slice(first)) Object.assign(operand, argument)
      kind = "computed"
    }
    return kind
  }

  return {
    markers,
    functions,
    peek,
    previous,
    next,
    isWord,
    isOperator,
    takeWord,
    takeOperator,
    needWord,
    needOperator,
    expected,
    shown,
    identifier,
    isMarker,
    marker,
    isColumn,
    list,
    term
  }
}
