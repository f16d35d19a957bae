/**
 * `effect-cassandra replay-dead-letters`: loads the records of dead letters, exactly once.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import { reported } from "./load.ts"
import type { LoadOptions, ReplayOptions } from "./options.ts"
import * as Options from "./options.ts"

const toLoad = ({ file, timestamps, ...options }: ReplayOptions): LoadOptions => ({
  ...options,
  files: [file],
  format: undefined,
  delimiter: undefined,
  header: true,
  encoding: "utf-8",
  skipRecords: 0,
  maxRecords: undefined,
  dryRun: false,
  replay: timestamps
})

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const replayDeadLetters = Command.make(
  "replay-dead-letters",
  Options.replay,
  (options) => reported("replay-dead-letters", toLoad(options))
).pipe(
  Command.withShortDescription("Load the records that a load has set aside"),
  Command.withDescription(
    `Load the records that a load has set aside as dead letters: after the table was made to take them, or after they were
  corrected in the file, in "record" or in "line". It is a load whose input are the letters, with its own --job and the
  same --table, --mapping or --query as the first; killed, the same command goes on.

  Each row has the write timestamp that it would have had if it had been good: what was written to its key since then
  stays. --timestamps now makes the rows win over that.

  What is still bad is set aside again, in --dead-letters, unless --on-bad-record fail says to end there. The file is not
  changed. Exit code 0: all letters are in the table; 1: some are still bad; the others are those of load.`
  ),
  Command.withExamples([
    {
      command:
        "effect-cassandra replay-dead-letters flights.dead-letters.ndjson -k demo -t flights --job flights_replay",
      description: "After a column was given another type, or the letters were corrected"
    }
  ])
)
