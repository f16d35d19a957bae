/**
 * `effect-cassandra schema`: the TypeScript of a table's rows.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as TableSchema from "../cassandra/TableSchema.ts"
import { CheckFailed } from "./CheckFailed.ts"
import { connect } from "./checks.ts"
import { withLogLevel } from "./flag.ts"
import type { SchemaOptions } from "./options.ts"
import * as Options from "./options.ts"
import { report, untilSignal } from "./report.ts"
import * as Settings from "./settings.ts"
import { noTable } from "./statement.ts"

const run = Effect.fnUntraced(function*(options: SchemaOptions) {
  const target = yield* Settings.target({ ...options, query: undefined, mapping: undefined })
  const sessionOptions = yield* Settings.session({ ...options, consistency: undefined })
  yield* Effect.scoped(Effect.gen(function*() {
    const session = yield* connect(sessionOptions)
    const table = target.kind === "table" ? target.table : ""
    const keyspace = (target.kind === "table" ? target.keyspace : null) ?? session.keyspace
    if (keyspace === null) {
      return yield* new CheckFailed({ detail: "The table has no keyspace: give --keyspace, or --table ks.table" })
    }
    const made = yield* TableSchema.make(session, keyspace, table)
    if (made === null) {
      const why = yield* noTable(session, keyspace, table)
      return yield* new CheckFailed({ detail: why[0]!.toUpperCase() + why.slice(1) })
    }
    yield* Console.log(made.source.trimEnd())
  }))
})

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const schema = Command.make(
  "schema",
  Options.schema,
  (options) => withLogLevel(report("schema", untilSignal(run(options))))
).pipe(
  Command.withShortDescription("Print the Schema of a table's rows as TypeScript"),
  Command.withDescription(
    `Print the Schema of a table's rows as TypeScript, for effect/Schema: what a typed sink encodes its records with, and
  what is compared with the table each time the sink opens.

  Columns of the primary key are needed, the others may be null. It is yours from then on: name and narrow what you like.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra schema -k weather -t readings >src/Readings.ts",
      description: "A module for the rows of a table"
    }
  ])
)
