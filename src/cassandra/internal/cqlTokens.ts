/**
 * CQL text to tokens, as the server's lexer sees them: comments and white space are gone, every token knows its place.
 */

/**
 * `word` is an unquoted identifier or keyword (its `value` is folded to lower case), `name` a quoted one. `constant` is
 * a number, uuid, blob or duration, `operator` everything else; `end` closes the list and stands behind the last token.
 *
 * @internal
 */
export interface Token {
  readonly kind: "word" | "name" | "string" | "constant" | "operator" | "end"
  readonly value: string
  readonly start: number
  readonly end: number
}

/**
 * A place in the text where it is not the CQL that is understood here, and what would help. Thrown inside the parser only.
 *
 * @internal
 */
export class CqlSyntax {
  readonly reason: string
  readonly offset: number
  readonly instead: string
  constructor(reason: string, offset: number, instead: string) {
    this.reason = reason
    this.offset = offset
    this.instead = instead
  }
}

const skipped = /(?:[ \t\r\n\f\u00a0\ufeff]+|(?:--|\/\/)[^\r\n]*|\/\*[\s\S]*?\*\/)+/y
const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/iy
const blob = /0x[0-9a-f]*/iy
const duration = /-?\d+(?:y|mo|ms|m|w|d|h|s|us|\u00b5s|ns)(?:\d+(?:y|mo|ms|m|w|d|h|s|us|\u00b5s|ns))*(?![a-z0-9_])/iy
// Upper case only, as on the server; it comes before words, as there.
const isoDuration =
  /-?P(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d|\d+W|(?=\d|T\d)(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)(?![A-Za-z0-9_])/y
const number = /-?\d+(?:\.\d*)?(?:e[+-]?\d+)?/iy
const word = /[a-z][a-z0-9_]*/iy
const constants = [uuid, blob, duration, isoDuration, number]
const operator = /\+=|-=|<=|>=|!=|[+\-*/%=<>()[\]{},.:;?]/y

const matchAt = (pattern: RegExp, cql: string, offset: number): number => {
  pattern.lastIndex = offset
  return pattern.test(cql) ? pattern.lastIndex : -1
}

/** The end of a text in `quote`s, in which a doubled quote stands for one. */
const quotedEnd = (cql: string, start: number, quote: string): number => {
  let at = start + 1
  while (true) {
    const close = cql.indexOf(quote, at)
    if (close < 0) {
      throw new CqlSyntax(
        quote === "'" ? "This text is never closed" : "This quoted name is never closed",
        start,
        `Close it with ${quote}; inside it, write ${quote} twice for one of them.`
      )
    }
    if (cql[close + 1] !== quote) return close + 1
    at = close + 2
  }
}

/**
 * All tokens of `cql`, the last of them of kind `end`. Throws `CqlSyntax`.
 *
 * @internal
 */
export const tokenize = (cql: string): ReadonlyArray<Token> => {
  const tokens: Array<Token> = []
  let offset = 0
  while (true) {
    const behind = matchAt(skipped, cql, offset)
    if (behind > 0) offset = behind
    if (offset >= cql.length) break
    const start = offset
    const char = cql[start]!
    if (cql.startsWith("/*", start)) {
      throw new CqlSyntax("This comment is never closed", start, "Close it with */.")
    }
    if (char === "'") {
      offset = quotedEnd(cql, start, char)
      tokens.push({
        kind: "string",
        value: cql.slice(start + 1, offset - 1).replaceAll("''", "'"),
        start,
        end: offset
      })
      continue
    }
    if (cql.startsWith("$$", start)) {
      const close = cql.indexOf("$$", start + 2)
      if (close < 0) throw new CqlSyntax("This text is never closed", start, "Close it with $$.")
      offset = close + 2
      tokens.push({ kind: "string", value: cql.slice(start + 2, close), start, end: offset })
      continue
    }
    if (char === "\"") {
      offset = quotedEnd(cql, start, char)
      tokens.push({
        kind: "name",
        value: cql.slice(start + 1, offset - 1).replaceAll("\"\"", "\""),
        start,
        end: offset
      })
      continue
    }
    let end = -1
    for (const pattern of constants) {
      end = matchAt(pattern, cql, start)
      if (end > 0) break
    }
    if (end > 0) {
      tokens.push({ kind: "constant", value: cql.slice(start, end), start, end })
      offset = end
      continue
    }
    end = matchAt(word, cql, start)
    if (end > 0) {
      tokens.push({ kind: "word", value: cql.slice(start, end).toLowerCase(), start, end })
      offset = end
      continue
    }
    end = matchAt(operator, cql, start)
    if (end < 0) {
      throw new CqlSyntax(
        `${JSON.stringify(char)} means nothing in CQL here`,
        start,
        "Remove it, or put it into a quoted text."
      )
    }
    tokens.push({ kind: "operator", value: cql.slice(start, end), start, end })
    offset = end
  }
  tokens.push({ kind: "end", value: "", start: cql.length, end: cql.length })
  return tokens
}
