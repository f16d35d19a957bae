/**
 * `effect-cassandra verify`: reads the files again, and compares the table with them cell by cell.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Located } from "../checkpoint/Element.ts"
import * as RowEncoder from "../sink/RowEncoder.ts"
import { RecordRefused } from "../sink/SinkError.ts"
import * as Checks from "./checks.ts"
import { exitCodes } from "./exitCode.ts"
import { withLogLevel } from "./flag.ts"
import type { VerifyOptions } from "./options.ts"
import * as Options from "./options.ts"
import { formatCount } from "./Progress.ts"
import { Exit, printable, report, untilSignal } from "./report.ts"
import * as Settings from "./settings.ts"
import { StatusLine } from "./StatusLine.ts"
import type { Verdict } from "./TableOracle.ts"
import * as TableOracle from "./TableOracle.ts"

/** How many differences are shown one by one. */
const shownMax = 10

interface Found extends Verdict {
  readonly records: number
  readonly isSame: boolean
}

const toText = ({ cells, different, missing, records, rows, timed, unknown, unordered }: Found): string =>
  [
    ["records", formatCount(records)],
    ["rows", formatCount(rows)],
    ["cells", formatCount(cells)],
    ["missing rows", formatCount(missing)],
    ["different cells", formatCount(different)],
    ["not in the files", unknown === null ? "not looked for (--exact)" : formatCount(unknown)],
    ["out of order", `${formatCount(unordered)} (of ${formatCount(timed)} write times)`]
  ].map(([name, value]) => `${name!.padEnd(18)} ${value}`).join("\n")

/** The partitions whose hash is `residue` by `modulus`. */
interface Part {
  readonly modulus: number
  readonly residue: number
}

const compare = Effect.fnUntraced(function*(options: VerifyOptions) {
  const line = yield* StatusLine
  const target = yield* Settings.target(options)
  const sessionOptions = yield* Settings.session(options)
  const { value: input } = yield* Checks.input(options)
  const { value: cluster } = yield* Checks.cluster(sessionOptions)
  const { value: { bind, notes, prepared, query }, warnings } = yield* Checks.statement(cluster, target, input, options)
  for (const text of [query, ...notes]) yield* Effect.logInfo(text)
  for (const warning of warnings) yield* Effect.logWarning(warning)
  const { source } = input
  const locate = source.locate ?? ((place: number): Located => ({ input: source.describe, place }))
  const encode = RowEncoder.make<object>(prepared.params, { ...options, bind })

  let shown = 0
  const onDifference: TableOracle.OnDifference = (place, what) => {
    if (++shown > shownMax) return
    const at = place === null ? null : locate(place)
    line.print(printable(at === null ? what : `${at.input}, record at ${at.place}: ${what}`))
  }
  const verdict: Verdict = {
    rows: 0,
    cells: 0,
    missing: 0,
    different: 0,
    unknown: options.exact ? 0 : null,
    timed: 0,
    unordered: 0
  }

  let records = 0
  // Parts that did not fit into memory wait here; each is read from the files anew.
  const parts: Array<Part> = [{ modulus: 1, residue: 0 }]
  while (parts.length > 0) {
    let { modulus, residue } = parts.pop()!
    const isMine = (hash: number) => hash % modulus === residue
    const made = TableOracle.make(prepared, isMine)
    if (Result.isFailure(made)) {
      return yield* new Checks.CheckFailed({ detail: `${query}\ncan't be verified: ${made.failure}` })
    }
    const oracle = made.success
    let ordinal = 0
    yield* Stream.runForEach(source.read(null), (chunk) =>
      Effect.suspend(() => {
        for (const { place, value } of chunk.records) {
          try {
            oracle.add(encode(value), ordinal++, place)
          } catch (error) {
            if (!(error instanceof RowEncoder.Misfit)) throw error
            const { column, problem } = error
            return Effect.fail(new RecordRefused({ ...locate(place), column, problem }))
          }
        }
        while (oracle.bytes() > options.memoryBytes && modulus < 2 ** 20) {
          parts.push({ modulus: modulus * 2, residue: residue + modulus })
          modulus *= 2
          oracle.keep(isMine)
        }
        return Effect.void
      }))
    records = ordinal
    const { exact, maxInFlight: concurrency } = options
    yield* oracle.compare(cluster.session, { concurrency, exact, onDifference, verdict })
  }
  const bad = verdict.missing + verdict.different + (verdict.unknown ?? 0) + verdict.unordered
  if (shown > shownMax) line.print(`... and ${formatCount(shown - shownMax)} more`)
  const found: Found = { records, ...verdict, isSame: bad === 0 }
  return found
})

const run = Effect.fnUntraced(function*(options: VerifyOptions) {
  const found = yield* Effect.scoped(compare(options))
  yield* Console.log(options.json ? JSON.stringify(found) : toText(found))
  if (!found.isSame) return yield* new Exit({ code: exitCodes.completedWithErrors })
})

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const verify = Command.make(
  "verify",
  Options.verify,
  (options) => withLogLevel(report("verify", untilSignal(run(options))))
).pipe(
  Command.withShortDescription("Compare a table with the files it was loaded from"),
  Command.withDescription(
    `Compare a table with the files it was loaded from: read them again, work out what each cell has to hold (the last
  record that set it wins, as it does when loading), and ask the table. Give the files and the table, mapping and nulls as
  they were given to load.

  Write times are compared as far as the server tells them: what one record set has one write time, and within a partition
  a later record has a later one. Rows that expire (a time to live) are missing when they have. Nothing is written.

  What differs is told on stderr with the place of the record, the first 10 of them, and counted on stdout; with --json as
  one line. Exit codes: 0 the table is as the files say; 1 it is not; others as of load.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra verify flights.ndjson -k demo -t flights",
      description: "After a load"
    },
    {
      command: "effect-cassandra verify \"flights-*.csv.gz\" -t demo.flights -m \"ident=id, *=*\" --exact --json",
      description: "Also that nothing else is in the table"
    }
  ])
)
