/**
 * What a write statement is: its verb, its table, what each marker fills, whether writing it twice is the same as
 * writing it once, and where its write timestamp goes. Pure analysis of the text; no server is asked.
 *
 * A sink repeats writes after a failure, so it takes only statements whose repetition, with the same values and the
 * same timestamp, changes nothing. `checkIdempotent` is that rule.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { parseStatement } from "./internal/cqlGrammar.ts"
import { CqlSyntax } from "./internal/cqlTokens.ts"

/**
 * A `?` or `:name` of a statement. Every occurrence is a marker of its own, in text order, as in the server's prepared
 * metadata.
 *
 * - `value`: the whole value of `column`
 * - `operand`: what is added to or taken from `column` (`m = m + ?`)
 * - `element`: a part of `column`, or the index or key of one (`m[?] = ?`, `u.field = ?`)
 * - `key`: what `column` is compared with in WHERE; `column` is null for a tuple of several columns
 * - `in`: the list of values of `column IN ?`
 * - `argument`: inside a function or an arithmetic expression; the server gives it a type of its own
 * - `ttl`, `timestamp`: in USING
 * - `condition`: in IF
 *
 * `column` is null where the marker belongs to no single column. `offset` is its place in the text.
 *
 * @category models
 * @since 0.1.0
 */
export interface Marker {
  readonly index: number
  readonly name: string | null
  readonly column: string | null
  readonly usage: "value" | "operand" | "element" | "key" | "in" | "argument" | "ttl" | "timestamp" | "condition"
  readonly offset: number
}

/**
 * What stands on the right of an assignment: `constant` is any literal that is no list, `empty` is `[]` or `{}`,
 * `array` a list or vector literal, `computed` a function call or arithmetic.
 *
 * @category models
 * @since 0.1.0
 */
export type TermKind = "marker" | "null" | "constant" | "empty" | "array" | "computed"

/**
 * How a statement changes a column.
 *
 * @category models
 * @since 0.1.0
 */
export interface Assignment {
  readonly column: string
  readonly kind:
    | "replace"
    | "add"
    | "subtract"
    | "prepend"
    | "element"
    | "field"
    | "delete"
    | "deleteElement"
    | "deleteField"
  readonly term: TermKind
  readonly offset: number
}

/**
 * A function that a statement calls, and where: `offset` characters into its text. `keyspace` is null for one that is
 * not qualified.
 *
 * @category models
 * @since 0.1.0
 */
export interface FunctionCall {
  readonly keyspace: string | null
  readonly name: string
  readonly offset: number
}

/**
 * A parsed write statement. `cql` is the text as given, without what follows its last token (`;`, comments). Names are
 * as the server stores them: without quotes, in lower case unless they were quoted. `usingOffset` is where a USING
 * clause ends or would stand.
 *
 * @category models
 * @since 0.1.0
 */
export interface CqlStatement {
  readonly cql: string
  readonly verb: "INSERT" | "UPDATE" | "DELETE"
  readonly keyspace: string | null
  readonly table: string
  readonly markers: ReadonlyArray<Marker>
  readonly assignments: ReadonlyArray<Assignment>
  readonly functions: ReadonlyArray<FunctionCall>
  readonly condition: { readonly text: "IF NOT EXISTS" | "IF EXISTS" | "IF"; readonly offset: number } | null
  readonly timestamp: { readonly offset: number; readonly end: number } | null
  readonly hasTtl: boolean
  readonly usingOffset: number
}

const excerpt = (cql: string, offset: number): string => {
  const lineStart = cql.lastIndexOf("\n", offset - 1) + 1
  const lineEnd = cql.indexOf("\n", offset)
  const from = Math.max(lineStart, offset - 50)
  const to = Math.min(lineEnd < 0 ? cql.length : lineEnd, offset + 50)
  const line = cql.slice(from, to).replaceAll(/[\t\r]/g, " ")
  return `  ${line}\n  ${" ".repeat(offset - from)}^`
}

/**
 * The text is no statement that a sink can write with. `offset` is the place in `cql` (0 is the first character); the
 * message shows it under its line.
 *
 * @category errors
 * @since 0.1.0
 */
export class StatementError extends Schema.TaggedError<StatementError>("effect-cassandra/StatementError")(
  "StatementError",
  {
    cql: Schema.String,
    offset: Schema.Number,
    reason: Schema.String,
    instead: Schema.String
  }
) {
  override get message(): string {
    return `${this.reason} (character ${this.offset + 1}):\n${excerpt(this.cql, this.offset)}\n${this.instead}`
  }
}

/**
 * Reads one INSERT, UPDATE or DELETE. Fails on everything else: other statements, batches, `INSERT ... JSON`, several
 * statements, and text that is no CQL.
 *
 * @category constructors
 * @since 0.1.0
 */
export const parse = (cql: string): Result.Result<CqlStatement, StatementError> => {
  try {
    return Result.succeed(parseStatement(cql))
  } catch (error) {
    if (!(error instanceof CqlSyntax)) throw error
    const { instead, offset, reason } = error
    return Result.fail(new StatementError({ cql, offset, reason, instead }))
  }
}

/**
 * Something in a statement that makes its repetition differ from the first time: `what` names it, `why` says what goes
 * wrong, `instead` what to write. `offset` is its place in the statement.
 *
 * @category models
 * @since 0.1.0
 */
export interface Violation {
  readonly what: string
  readonly why: string
  readonly instead: string
  readonly offset: number
}

const words = (text: string): Array<string> => text.trim().split(/\s+/)

const clocks = new Set(words(`
  now uuid currenttimestamp current_timestamp currentdate current_date currenttime current_time currenttimeuuid
  current_timeuuid
`))

const nativeTypes = words(`
  ascii bigint boolean counter date decimal double duration float inet int smallint text time timestamp timeuuid tinyint
  uuid varchar varint
`)

/** The server's own functions whose result depends on their arguments alone, as the server stores their names. */
const deterministic = new Set(
  words(`
    todate to_date totimestamp to_timestamp tounixtimestamp to_unix_timestamp floor
    mintimeuuid min_timeuuid maxtimeuuid max_timeuuid dateof unixtimestampof
    token cast abs exp log log10 round tojson to_json fromjson from_json map_keys map_values
    collection_count collection_min collection_max collection_sum collection_avg
    similarity_cosine similarity_euclidean similarity_dot_product
    mask_null mask_default mask_replace mask_inner mask_outer mask_hash
  `).concat(
    nativeTypes.flatMap((name) => [`${name}asblob`, `${name}_as_blob`, `blobas${name}`, `blob_as_${name}`])
  )
)

const functionViolation = ({ keyspace, name, offset }: FunctionCall): Violation | null => {
  const isNative = keyspace === null || keyspace === "system"
  if (isNative && deterministic.has(name)) return null
  if (isNative && clocks.has(name)) {
    return {
      what: `${name}()`,
      why: "it gives another value each time, so a repeated write would change the row",
      instead: "compute the value in the program, from the record, and bind it to a marker",
      offset
    }
  }
  return {
    what: `the function ${keyspace === null ? "" : `${keyspace}.`}${name}()`,
    why: "it is not known to give the same value each time",
    instead: "compute the value in the program and bind it to a marker",
    offset
  }
}

const isMulticell = (type: string, kind: string): boolean => type.replaceAll(/\s/g, "").toLowerCase().startsWith(kind)

const arithmetic: Record<string, string> = {
  add: "+ appends",
  subtract: "- removes by value what was there when it ran",
  prepend: "+ prepends",
  element: "[] counts from what is there when it runs",
  deleteElement: "[] counts from what is there when it runs"
}

const assignmentViolation = (
  { column, kind, offset, term }: Assignment,
  type: string | null
): Violation | null => {
  const changes = kind in arithmetic
  if (type === null) {
    // A literal that is no list cannot be the value of one, and no other value depends on the type.
    if (!changes && term !== "marker" && term !== "array" && term !== "computed") return null
    return {
      what: `the unknown column ${column}`,
      why: "whether a repeated write changes it depends on its type, and the table has no such column",
      instead: "correct the name of the column, or add the column to the table first",
      offset
    }
  }
  if (isMulticell(type, "counter")) {
    return {
      what: `the counter ${column}`,
      why: "a counter adds what it is given, so a repeated write counts twice, and counters take no timestamp",
      instead: "keep one row for each record and count them when reading, or write totals into a bigint",
      offset
    }
  }
  if (isMulticell(type, "list<")) {
    const instead = `make ${column} a frozen<${type}>, a set or a map<int, ...>, and write it as a whole or by key`
    if (changes) {
      return {
        what: `${column} ${arithmetic[kind]!.split(" ")[0]} of a list`,
        why: `on a list ${arithmetic[kind]}, so a repeated write changes it again`,
        instead,
        offset
      }
    }
    if (term === "null" || term === "empty") return null
    return {
      what: `the list ${column}`,
      why:
        "each write of a non-frozen list creates its elements anew, and with the same timestamp it does not remove those " +
        "of the first write: a repeated write of [1, 2] leaves [1, 2, 1, 2]",
      instead,
      offset
    }
  }
  if (!changes || isMulticell(type, "set<") || isMulticell(type, "map<")) return null
  return {
    what: `the arithmetic on ${column}`,
    why: `its new value would depend on what is there when the write runs, and ${column} is a ${type}`,
    instead: "compute the value in the program and bind it to a marker",
    offset
  }
}

/**
 * Why a statement must not be written twice; empty if it may. `columnType` gives the CQL type of a column of the target
 * table (`counter`, `list<text>`, `frozen<list<int>>`, `int`), null for a column that the table does not have.
 *
 * Refused are conditions (IF), counters, non-frozen lists in any form that leaves elements, functions that are not known
 * to be deterministic, arithmetic on anything but sets and maps, and a timestamp of the user's own.
 *
 * A TTL is allowed: a repeated write carries the same timestamp, and the later expiration of the two stays.
 *
 * @category getters
 * @since 0.1.0
 */
export const checkIdempotent = (
  statement: CqlStatement,
  columnType: (column: string) => string | null
): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  if (statement.condition !== null) {
    violations.push({
      what: statement.condition.text,
      why: "a repeated conditional write meets what the first one left, and conditional writes take no timestamp",
      instead: "leave the condition out: the newest timestamp wins, and the sink's timestamps follow the source",
      offset: statement.condition.offset
    })
  }
  if (statement.timestamp !== null) {
    violations.push({
      what: "USING TIMESTAMP",
      why: "the sink decides each row's timestamp when it logs the row, so that a repeated write is the same write",
      instead: "leave USING TIMESTAMP out; the sink adds it",
      offset: statement.timestamp.offset
    })
  }
  for (const call of statement.functions) {
    const violation = functionViolation(call)
    if (violation !== null) violations.push(violation)
  }
  for (const assignment of statement.assignments) {
    const violation = assignmentViolation(assignment, columnType(assignment.column))
    if (violation !== null) violations.push(violation)
  }
  return violations.toSorted((a, b) => a.offset - b.offset)
}

/**
 * The name of the timestamp's marker in a statement with named markers.
 *
 * @category constants
 * @since 0.1.0
 */
export const timestampMarker = "effect_cassandra_timestamp"

/**
 * The statement with `USING TIMESTAMP ?` in its place, and the position (0 is the first) of the new marker among all
 * its markers. Only for statements without a timestamp and without a condition: `checkIdempotent` finds both.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withTimestamp = (
  statement: CqlStatement
): { readonly cql: string; readonly timestampIndex: number } => {
  const { condition, cql, hasTtl, markers, timestamp, usingOffset } = statement
  if (timestamp !== null || condition !== null) {
    throw new Error("A statement with a timestamp or a condition cannot be given a timestamp: see checkIdempotent")
  }
  const marker = markers.some(({ name }) => name !== null) ? `:"${timestampMarker}"` : "?"
  const clause = ` ${hasTtl ? "AND" : "USING"} TIMESTAMP ${marker}`
  const rest = cql.slice(usingOffset)
  const space = rest === "" || /^\s/.test(rest) ? "" : " "
  return {
    cql: cql.slice(0, usingOffset) + clause + space + rest,
    timestampIndex: markers.filter(({ offset }) => offset < usingOffset).length
  }
}
