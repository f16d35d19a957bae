/**
 * A table of the library's own, beside the user's: a ledger, dead letters.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CassandraError } from "../CassandraError.ts"
import type { Session } from "../CassandraSession.ts"
import { untilHeardOf } from "../SchemaLag.ts"

/** Where it is, and how many copies its keyspace has when it is made. */
export interface OwnKeyspace {
  readonly keyspace?: string | undefined
  readonly replication?: { readonly [option: string]: string | number } | undefined
}

/**
 * A name that can't be part of a table's or keyspace's name, or a replication that can't be written down.
 *
 * @category errors
 * @since 0.1.0
 */
export class CommitterOptionError extends Schema.TaggedError<CommitterOptionError>(
  "effect-cassandra/CommitterOptionError"
)("CommitterOptionError", { option: Schema.String, value: Schema.String, rule: Schema.String }) {
  override get message(): string {
    return `${this.option} '${this.value}' can't be used: ${this.rule}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The keyspace of the ledger unless another is named: Flink's.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultKeyspace = "flink_auxiliary"

/** What is wrong with a keyspace's name or replication, before it becomes part of a statement. */
export const checkNames = (
  { keyspace = defaultKeyspace, replication = {} }: OwnKeyspace
): CommitterOptionError | null => {
  if (!/^[a-z][a-z0-9_]{0,47}$/.test(keyspace)) {
    return new CommitterOptionError({
      option: "The checkpoint keyspace",
      value: keyspace,
      rule: "1 to 48 lower case letters, digits and underscores, beginning with a letter"
    })
  }
  for (const [option, value] of Object.entries(replication)) {
    if (!/^[\w.-]+$/.test(option) || !/^[\w./-]+$/.test(String(value))) {
      return new CommitterOptionError({
        option: `The replication option ${option}`,
        value: String(value),
        rule: "letters, digits, '_', '.', '/' and '-' only"
      })
    }
  }
  return null
}

/** The statement that makes the keyspace of a ledger or of dead letters. */
export const createKeyspace = (options: OwnKeyspace): string => {
  const replication = Object.entries(options.replication ?? { class: "SimpleStrategy", replication_factor: 1 })
    .map(([option, value]) => `'${option}': '${value}'`).join(", ")
  return `CREATE KEYSPACE IF NOT EXISTS ${options.keyspace ?? defaultKeyspace} WITH replication = {${replication}}`
}

/**
 * Makes it with `ddl`, the statements of the keyspace and of the table, where it is not there. The keyspace is only made if
 * there is none: who may use one need not be allowed to make one.
 */
export const createOwnTable = Effect.fnUntraced(function*(
  session: Session,
  keyspace: string,
  table: string,
  [ofKeyspace, ofTable]: readonly [ofKeyspace: string, ofTable: string]
): Effect.fn.Return<void, CassandraError> {
  if ((yield* session.table(keyspace, table)) !== null) return
  const existing = yield* session.query(
    "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?",
    [keyspace]
  )
  if (existing.length === 0) yield* session.query(ofKeyspace)
  yield* untilHeardOf(session.query(ofTable))
})

/** Says so if the keyspace has a single copy of what the job can't do without, on a cluster that could hold more. */
export const warnAboutOneCopy = (session: Session, keyspace: string): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { nodes } = yield* session.clusterInfo
    if (nodes.length < 2) return
    const [row] = yield* session.query(
      "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?",
      [keyspace]
    )
    const replication = (row?.["replication"] ?? new Map()) as ReadonlyMap<string, string>
    const copies = [...replication].filter(([option]) => option !== "class")
      .reduce((sum, [, factor]) => sum + Number(String(factor).split("/")[0]), 0)
    if (copies === 1) {
      yield* Effect.logWarning(
        `The keyspace ${keyspace} has replication factor 1 on a cluster of ${nodes.length} nodes: while the node that ` +
          `holds a job's ledger is down, nothing can be committed. Give it a replication factor of 3.`
      )
    }
  }).pipe(Effect.ignore)
