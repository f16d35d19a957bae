/**
 * `effect-cassandra ddl`: the statements that make the ledger, for whoever makes it by hand.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as CassandraCommitter from "../cassandra/CassandraCommitter.ts"
import { withLogLevel } from "./flag.ts"
import type { DdlOptions } from "./options.ts"
import * as Options from "./options.ts"
import { report } from "./report.ts"

const run = ({ checkpointKeyspace, checkpointReplication, job }: DdlOptions) =>
  Console.log(
    CassandraCommitter.ddl({ jobId: job, uid: "any", keyspace: checkpointKeyspace, replication: checkpointReplication })
      .map((statement) => `${statement};`).join("\n")
  )

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const ddl = Command.make("ddl", Options.ddl, (options) => withLogLevel(report("ddl", run(options)))).pipe(
  Command.withShortDescription("Print the CQL that makes the ledger of a job"),
  Command.withDescription(
    `Print the CQL that makes the ledger of a job: its keyspace and its table. A load makes them where they are missing; where
  its user may not, somebody else runs these, and the load uses what it finds.

  Nobody is asked, and nothing is made.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra ddl --job flights --checkpoint-replication dc1:3,dc2:3 | cqlsh 10.0.0.1",
      description: "A ledger with three copies in each of two data centres"
    }
  ])
)
