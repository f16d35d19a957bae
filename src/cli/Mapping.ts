/**
 * Which field of a record fills which column, in the language of DataStax's bulk loader (`dsbulk`):
 *
 *     origin=from_airport, delay=minutes     the field origin fills the column from_airport, ...
 *     0=id, 2=delay                          the same by number, for CSV without a header
 *     id, delay                              fields and columns of the same names (or the first columns of such CSV)
 *     *=*                                    every column from the field of its name
 *     *=-delay  *=[-delay,-date]             but these columns
 *     ident=id, *=*                          every column that is not named before it
 *     days=__ttl                             the row's time to live in seconds, USING TTL
 *
 * Names are taken as they are, in their case (also without quotes, as dsbulk does and CQL does not); one with other
 * characters than letters, digits and underscores is written "in quotes", and a quote inside them twice. `:` stands for
 * `=` as well.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/**
 * `column` is null for the time to live.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly field: string
  readonly column: string | null
}

/**
 * - `entries`: what is said of single fields.
 * - `columns`: instead of them, the columns of a list without fields; null for none.
 * - `rest`: whether each other column is filled from the field of its name, but `except`; null if not.
 *
 * @category models
 * @since 0.1.0
 */
export interface Mapping {
  readonly entries: ReadonlyArray<Entry>
  readonly columns: ReadonlyArray<string> | null
  readonly rest: { readonly except: ReadonlyArray<string> } | null
}

/**
 * What is meant where no mapping is given.
 *
 * @category constants
 * @since 0.1.0
 */
export const everything: Mapping = { entries: [], columns: null, rest: { except: [] } }

/**
 * The text is no mapping. `offset` is the place in it, 0 being the first character.
 *
 * @category errors
 * @since 0.1.0
 */
export class MappingError extends Schema.TaggedError<MappingError>("effect-cassandra/cli/MappingError")(
  "MappingError",
  { text: Schema.String, offset: Schema.Number, reason: Schema.String, instead: Schema.String }
) {
  override get message(): string {
    return `The mapping ${this.text} can't be used: ${this.reason} (character ${this.offset + 1}). ${this.instead}`
  }
}

/** Thrown inside `parse` only. */
class Mistake {
  readonly offset: number
  readonly reason: string
  readonly instead: string
  constructor(offset: number, reason: string, instead: string) {
    this.offset = offset
    this.reason = reason
    this.instead = instead
  }
}

interface Name {
  readonly text: string
  readonly isQuoted: boolean
  readonly offset: number
}

const token = /\s*(?:"((?:[^"]|"")*)"|([\p{L}\p{N}_]+)|([*=:,()[\]-]))/uy

const examples = `Write field=column, ..., or *=* for all columns; names with other characters "in quotes".`

const withoutFunctions = "A mapping only copies fields: compute the value before it is loaded, or write the function " +
  "into an INSERT of your own (--query)"

const makeReader = (text: string) => {
  let at = 0
  /** The next token, without taking it: a name, or one of the signs; null at the end. */
  const peek = (): { readonly name: Name | null; readonly sign: string | null; readonly end: number } | null => {
    if (text.slice(at).trim() === "") return null
    token.lastIndex = at
    const found = token.exec(text)
    const offset = at + text.slice(at).search(/\S/)
    if (found === null) {
      const [reason, instead] = text[offset] === "\""
        ? ["a quoted name is not closed", `A quote inside quotes is written twice.`] as const
        : [`${text[offset]} can't stand here`, examples] as const
      throw new Mistake(offset, reason, instead)
    }
    const [, quoted, plain, sign] = found
    const name = quoted !== undefined
      ? { text: quoted.replaceAll("\"\"", "\""), isQuoted: true, offset }
      : plain !== undefined
      ? { text: plain, isQuoted: false, offset }
      : null
    if (name?.text === "") throw new Mistake(offset, "a name is empty", examples)
    return { name, sign: sign ?? null, end: token.lastIndex }
  }
  const take = () => {
    const next = peek()
    if (next !== null) at = next.end
    return next
  }
  return {
    offset: () => at + Math.max(0, text.slice(at).search(/\S|$/)),
    isAtEnd: () => peek() === null,
    /** Takes the sign if it is next. */
    sign: (...signs: ReadonlyArray<string>): boolean => {
      const next = peek()
      if (next === null || next.sign === null || !signs.includes(next.sign)) return false
      at = next.end
      return true
    },
    name: (what: string): Name => {
      const offset = at + Math.max(0, text.slice(at).search(/\S|$/))
      const next = take()
      if (next === null || next.name === null) throw new Mistake(offset, `${what} is missing`, examples)
      return next.name
    }
  }
}

const refuseFunction = ({ offset, text }: Name, isField: boolean): never => {
  if (!isField && /^ttl$/i.test(text)) {
    throw new Mistake(offset, `${text}(...) is no column`, "Write field=__ttl for the time to live of the row.")
  }
  throw new Mistake(
    offset,
    /^(?:now|uuid|current)/i.test(text)
      ? `${text}() gives another value each time, so that a row that is sent again would change`
      : `${text}(...) is a function`,
    `${withoutFunctions}.`
  )
}

const readMapping = (text: string): Mapping => {
  const reader = makeReader(text)
  const entries: Array<Entry> = []
  const columns: Array<string> = []
  let rest: { readonly except: ReadonlyArray<string> } | null = null
  const filled = new Set<string | null>()
  const fill = (column: string | null, offset: number) => {
    if (filled.has(column)) {
      throw new Mistake(offset, `${column === null ? "the time to live" : `the column ${column}`} is filled twice`, "")
    }
    filled.add(column)
  }

  const excluded = (): ReadonlyArray<string> => {
    const except: Array<string> = []
    const one = () => {
      if (!reader.sign("-")) throw new Mistake(reader.offset(), "a minus sign is missing", "Write *=[-a,-b].")
      except.push(reader.name("the name of a column").text)
    }
    if (reader.sign("*")) return except
    if (!reader.sign("[")) {
      one()
      return except
    }
    do one()
    while (reader.sign(","))
    if (!reader.sign("]")) throw new Mistake(reader.offset(), "the bracket is not closed", "Write *=[-a,-b].")
    return except
  }

  const column = (): { readonly column: string | null; readonly offset: number } => {
    const name = reader.name("the name of a column")
    if (reader.sign("(")) refuseFunction(name, false)
    if (!name.isQuoted && name.text === "__timestamp") {
      throw new Mistake(
        name.offset,
        "the write timestamp is the sink's: it is decided once, when a row is logged, so that a row sent again is the " +
          "same write",
        "Leave it out: later records win over earlier ones. Or give a --query with USING TIMESTAMP :field, in microseconds."
      )
    }
    return { column: !name.isQuoted && name.text === "__ttl" ? null : name.text, offset: name.offset }
  }

  do {
    const offset = reader.offset()
    if (reader.sign("*")) {
      if (!reader.sign("=", ":")) throw new Mistake(reader.offset(), "= is missing", "Write *=*.")
      if (rest !== null) throw new Mistake(offset, "* stands twice on the left", "")
      rest = { except: excluded() }
      continue
    }
    const field = reader.name("the name of a field")
    if (reader.sign("(")) refuseFunction(field, true)
    if (reader.sign("=", ":")) {
      const target = column()
      fill(target.column, target.offset)
      entries.push({ field: field.text, column: target.column })
    } else {
      fill(field.text, field.offset)
      columns.push(field.text)
    }
  } while (reader.sign(","))
  if (!reader.isAtEnd()) throw new Mistake(reader.offset(), "a comma is missing", examples)
  if (columns.length > 0 && (entries.length > 0 || rest !== null)) {
    throw new Mistake(0, "some of it is field=column and some a list of columns", "Write one or the other.")
  }
  return { entries, columns: columns.length > 0 ? columns : null, rest }
}

/**
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string): Result.Result<Mapping, MappingError> => {
  try {
    return Result.succeed(readMapping(text))
  } catch (error) {
    if (!(error instanceof Mistake)) throw error
    const { instead, offset, reason } = error
    return Result.fail(new MappingError({ text, offset, reason, instead }))
  }
}

const nameOf = (text: string): string =>
  /^(?!__(?:ttl|timestamp)$)[\p{L}\p{N}_]+$/u.test(text) ? text : `"${text.replaceAll("\"", "\"\"")}"`

/**
 * The mapping as text that `parse` reads.
 *
 * @category formatting
 * @since 0.1.0
 */
export const print = ({ columns, entries, rest }: Mapping): string =>
  [
    ...(columns ?? []).map(nameOf),
    ...entries.map(({ column, field }) => `${nameOf(field)}=${column === null ? "__ttl" : nameOf(column)}`),
    ...(rest === null ? [] : [`*=${rest.except.length === 0 ? "*" : `[${rest.except.map((n) => `-${nameOf(n)}`)}]`}`])
  ].join(", ")
