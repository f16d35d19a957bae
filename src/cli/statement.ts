/**
 * The statements that a command writes with: the user's own, or the INSERT for the table, with what is to be said of it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import type { Session } from "../cassandra/CassandraSession.ts"
import * as CqlStatement from "../cassandra/CqlStatement.ts"
import type { Fields } from "./inferInsert.ts"
import { inferInsert } from "./inferInsert.ts"
import type { Mapping } from "./Mapping.ts"
import { didYouMean, someOf } from "./nearest.ts"

/**
 * The input, the mapping and the table don't fit together. Every reason is listed.
 *
 * @category errors
 * @since 0.1.0
 */
export class FieldsRefused extends Schema.TaggedError<FieldsRefused>("effect-cassandra/cli/FieldsRefused")(
  "FieldsRefused",
  { input: Schema.String, target: Schema.String, problems: Schema.Array(Schema.String) }
) {
  override get message(): string {
    return `${this.input} can't be loaded into ${this.target}:\n` +
      this.problems.map((problem) => `- ${problem}`).join("\n")
  }
}

/**
 * What the user asked for.
 *
 * @category models
 * @since 0.1.0
 */
export type Target =
  | { readonly kind: "query"; readonly queries: ReadonlyArray<string> }
  | {
    readonly kind: "table"
    readonly keyspace: string | null
    readonly table: string
    readonly mapping: Mapping
  }

/**
 * `notes` are worth a line, `warnings` a look.
 *
 * @category models
 * @since 0.1.0
 */
export interface Chosen {
  /** Each record is written with all of them. */
  readonly queries: ReadonlyArray<string>
  readonly notes: ReadonlyArray<string>
  readonly warnings: ReadonlyArray<string>
}

const namesOf = (session: Session, column: string, table: string, where: string, params: ReadonlyArray<string>) =>
  Effect.map(
    session.query(`SELECT ${column} FROM system_schema.${table}${where}`, params),
    (rows) => rows.map((row) => String(row[column])).toSorted()
  )

/**
 * Why there is no such table, as the end of a sentence.
 *
 * @category getters
 * @since 0.1.0
 */
export const noTable = Effect.fnUntraced(function*(session: Session, keyspace: string, table: string) {
  const tables = yield* namesOf(session, "table_name", "tables", " WHERE keyspace_name = ?", [keyspace])
  if (tables.length > 0) {
    return `there is no table ${keyspace}.${table}${didYouMean(table, tables)}; ${keyspace} has ${someOf(tables)}`
  }
  const keyspaces = yield* keyspacesOf(session)
  return keyspaces.includes(keyspace)
    ? `there is no table ${keyspace}.${table}: ${keyspace} has no tables`
    : unknownKeyspace(keyspace, keyspaces)
})

const keyspacesOf = (session: Session) => namesOf(session, "keyspace_name", "keyspaces", "", [])

const unknownKeyspace = (keyspace: string, keyspaces: ReadonlyArray<string>): string => {
  // Whoever loads a table does not mean one of the server's own.
  const theirs = keyspaces.filter((name) => !/^system(?:_|$)/.test(name))
  return `there is no keyspace ${keyspace}${didYouMean(keyspace, theirs)}; there ${
    theirs.length === 1 ? "is" : "are"
  } ${someOf(theirs)}`
}

/**
 * That there is no such keyspace, and which one may be meant, as the end of a sentence.
 *
 * @category getters
 * @since 0.1.0
 */
export const noKeyspace = (session: Session, keyspace: string) =>
  Effect.map(keyspacesOf(session), (keyspaces) => unknownKeyspace(keyspace, keyspaces))

const unfilled = (field: string, { input, names }: Fields): string =>
  `the field ${field} is in no record of ${input} so far${
    didYouMean(field, names)
  }: what it fills is left unset where ` +
  `it stays away (--missing error stops there); the fields are ${someOf(names)}`

const forTable = Effect.fnUntraced(function*(
  session: Session,
  target: Target & { readonly kind: "table" },
  fields: Fields,
  isNumbered: boolean
) {
  const keyspace = target.keyspace ?? session.keyspace
  const refuse = (problems: ReadonlyArray<string>) =>
    new FieldsRefused({
      input: fields.input,
      target: keyspace === null ? target.table : `${keyspace}.${target.table}`,
      problems
    })
  if (keyspace === null) return yield* refuse([`the table has no keyspace: give --keyspace, or --table ks.table`])
  const table = yield* session.table(keyspace, target.table)
  if (table === null) return yield* refuse([yield* noTable(session, keyspace, target.table)])
  const inferred = inferInsert(table, target.mapping, fields, isNumbered)
  if (Result.isFailure(inferred)) return yield* refuse(inferred.failure)
  const { absent, left, query } = inferred.success
  const chosen: Chosen = {
    queries: [query],
    notes: left.length === 0 ? [] : [`Fields that no column is filled from: ${someOf(left)}`],
    warnings: absent.map((field) => unfilled(field, fields))
  }
  return chosen
})

/** A mistake in the statement itself is told by the sink that opens it. */
const warningsOf = Effect.fnUntraced(function*(query: string, fields: Fields) {
  const parsed = CqlStatement.parse(query)
  if (Result.isFailure(parsed) || fields.names.length === 0) return []
  const wanted = new Set(
    parsed.success.markers.flatMap(({ column, name, usage }) =>
      name ?? (usage === "value" || usage === "key" ? column : null) ?? []
    )
  )
  const absent = [...wanted].filter((name) => !fields.names.includes(name))
  if (fields.isComplete && absent.length > 0) {
    return yield* new FieldsRefused({
      input: fields.input,
      target: parsed.success.table,
      problems: absent.map((field) =>
        `a marker needs the field ${field}, which no record has${didYouMean(field, fields.names)}; ` +
        `the fields are ${someOf(fields.names)}`
      )
    })
  }
  return absent.map((field) => unfilled(field, fields))
})

const forQueries = (queries: ReadonlyArray<string>, fields: Fields): Effect.Effect<Chosen, FieldsRefused> =>
  Effect.map(
    Effect.forEach(queries, (query) => warningsOf(query, fields)),
    (warnings) => ({ queries, notes: [], warnings: [...new Set(warnings.flat())] })
  )

/**
 * @category constructors
 * @since 0.1.0
 */
export const choose = (
  session: Session,
  target: Target,
  fields: Fields,
  isNumbered: boolean
): Effect.Effect<Chosen, CassandraError | FieldsRefused> =>
  target.kind === "table" ? forTable(session, target, fields, isNumbered) : forQueries(target.queries, fields)
