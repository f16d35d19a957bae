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
import { placeText } from "../checkpoint/Element.ts"
import * as RowEncoder from "../sink/RowEncoder.ts"
import { CheckFailed } from "./CheckFailed.ts"
import * as Checks from "./checks.ts"
import { exitCodes } from "./exitCode.ts"
import { withLogLevel } from "./flag.ts"
import * as KnownLetters from "./knownLetters.ts"
import { reportTo } from "./logFile.ts"
import type { VerifyOptions } from "./options.ts"
import * as Options from "./options.ts"
import { formatCount } from "./Progress.ts"
import { Exit, printable, untilSignal } from "./report.ts"
import * as Settings from "./settings.ts"
import { StatusLine } from "./StatusLine.ts"
import type { Verdict } from "./TableOracle.ts"
import * as TableOracle from "./TableOracle.ts"

/** How many differences are shown one by one. */
const shownMax = 10

interface Found extends Verdict {
  readonly records: number
  /** Records that are in the dead letters. */
  readonly setAside: number
  /** Records that can't be loaded, and are not known to be set aside. */
  readonly leftOut: number
  readonly isSame: boolean
}

const toText = (found: Found): string => {
  const { cells, different, leftOut, missing, records, rows, setAside, timed, unknown, unordered } = found
  return [
    ["records", formatCount(records)],
    ["set aside", formatCount(setAside)],
    ["left out", formatCount(leftOut)],
    ["rows", formatCount(rows)],
    ["cells", formatCount(cells)],
    ["missing rows", formatCount(missing)],
    ["different cells", formatCount(different)],
    ["not in the files", unknown === null ? "not looked for (--exact)" : formatCount(unknown)],
    ["out of order", `${formatCount(unordered)} (of ${formatCount(timed)} write times)`]
  ].map(([name, value]) => `${name!.padEnd(18)} ${value}`).join("\n")
}

/** The partitions whose hash is `residue` by `modulus`. */
interface Part {
  readonly modulus: number
  readonly residue: number
}

const bytesOf = (oracles: ReadonlyArray<TableOracle.TableOracle>): number =>
  oracles.reduce((sum, { bytes }) => sum + bytes(), 0)

const cantBeVerified = (query: string, why: string) =>
  Effect.fail(new CheckFailed({ detail: `${query}\ncan't be verified: ${why}` }))

const compare = Effect.fnUntraced(function*(options: VerifyOptions) {
  const line = yield* StatusLine
  const target = yield* Settings.target(options)
  const sessionOptions = yield* Settings.session(options)
  const { value: input } = yield* Checks.input(options, { malformed: "reject" })
  const { value: cluster } = yield* Checks.cluster(sessionOptions)
  const { value: { binds, notes, prepared, queries }, warnings } = yield* Checks.statement(
    cluster,
    target,
    input,
    options
  )
  for (const text of [...queries, ...notes]) yield* Effect.logInfo(text)
  for (const warning of warnings) yield* Effect.logWarning(warning)
  const tables = prepared.map(({ table: { keyspace, name } }) => `${keyspace}.${name}`)
  const twice = tables.find((table, i) => tables.indexOf(table) !== i)
  if (twice !== undefined) {
    return yield* cantBeVerified(
      queries.join("\n"),
      `several of them write ${twice}, and what each cell has to hold is only worked out for one statement a table`
    )
  }
  const { source } = input
  const locate = source.locate ?? ((place: number): Located => ({ input: source.describe, place }))
  const encoders = prepared.map(({ params }, i) => RowEncoder.make<object>(params, { ...options, bind: binds[i] }))
  const letters = yield* KnownLetters.open(options, cluster.session)
  const hasLetters = letters.count > 0
  const isSetAside = (place: number) => hasLetters && letters.has(locate(place))

  let shown = 0
  const onDifference: TableOracle.OnDifference = (place, what) => {
    if (++shown > shownMax) return
    const at = place === null ? null : locate(place)
    line.print(printable(at === null ? what : `${placeText(at)}: ${what}`))
  }
  const counts = { records: 0, setAside: 0, leftOut: 0 }
  const leaveOut = (place: number, what: string) => {
    if (++counts.leftOut <= shownMax) line.print(printable(`${placeText(locate(place))}${what} (left out)`))
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

  // Parts that did not fit into memory wait here; each is read from the files anew.
  const parts: Array<Part> = [{ modulus: 1, residue: 0 }]
  let isFirst = true
  while (parts.length > 0) {
    let { modulus, residue } = parts.pop()!
    const isMine = (hash: number) => hash % modulus === residue
    const oracles = yield* Effect.forEach(prepared, (one) => {
      const made = TableOracle.make(one, isMine)
      return Result.isSuccess(made) ? Effect.succeed(made.success) : cantBeVerified(one.query, made.failure)
    })
    let ordinal = 0
    yield* Stream.runForEach(source.read(null), ({ records, rejected = [] }) =>
      Effect.sync(() => {
        for (const { place, value } of records) {
          const isAside = isSetAside(place)
          ordinal++
          if (isFirst && isAside) counts.setAside++
          try {
            // A record that does not fit one of its statements is refused whole.
            const rows = encoders.map((encode) => encode(value))
            for (let i = 0; i < rows.length; i++) oracles[i]!.add(rows[i]!, ordinal, place, isAside)
          } catch (error) {
            if (!(error instanceof RowEncoder.Misfit)) throw error
            if (isFirst && !isAside) leaveOut(place, `, column ${error.column}: ${error.problem}`)
          }
        }
        for (const { place, problem } of isFirst ? rejected : []) {
          if (isSetAside(place)) counts.setAside++
          else leaveOut(place, `: ${problem}`)
        }
        if (isFirst) counts.records += records.length + rejected.length
        while (bytesOf(oracles) > options.memoryBytes && modulus < 2 ** 20) {
          parts.push({ modulus: modulus * 2, residue: residue + modulus })
          modulus *= 2
          for (const oracle of oracles) oracle.keep(isMine)
        }
      }))
    isFirst = false
    const { exact, maxInFlight: concurrency } = options
    for (const oracle of oracles) {
      yield* oracle.compare(cluster.session, { concurrency, exact, onDifference, verdict })
    }
  }
  const { leftOut, setAside } = counts
  if (leftOut > shownMax) line.print(`... and ${formatCount(leftOut - shownMax)} more that are left out`)
  if (letters.count > setAside) {
    yield* Effect.logWarning(
      `${formatCount(letters.count - setAside)} of ${formatCount(letters.count)} dead letters are of no record of ` +
        `these files`
    )
  }
  const bad = leftOut + verdict.missing + verdict.different + (verdict.unknown ?? 0) + verdict.unordered
  if (shown > shownMax) line.print(`... and ${formatCount(shown - shownMax)} more`)
  const found: Found = { ...counts, ...verdict, isSame: bad === 0 }
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
  (options) => withLogLevel(reportTo(options, "verify", untilSignal(run(options)), options.files))
).pipe(
  Command.withShortDescription("Compare a table with the files it was loaded from"),
  Command.withDescription(
    `Compare a table with the files it was loaded from: read them again, work out what each cell has to hold (the last
  record that set it wins, as it does when loading), and ask the table. Give the files and the table, mapping and nulls as
  they were given to load.

  Write times are compared as far as the server tells them: what one record set has one write time, and within a partition
  a later record has a later one. Rows that expire (a time to live) are missing when they have. Nothing is written.

  A record that can't be read or encoded is left out, told and counted, and so is what it would have changed. With
  --dead-letters (or --job) the records in there are counted as set aside, and are neither missing nor left out: the table
  may have their rows, if they were loaded since, or not.

  What differs is told on stderr with the place of the record, the first 10 of them, and counted on stdout; with --json as
  one line. Exit codes: 0 the table is as the files say, but for what was set aside; 1 it is not, or
  records were left out; others as of load.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra verify flights.ndjson -k demo -t flights",
      description: "After a load"
    },
    {
      command: "effect-cassandra verify \"flights-*.csv.gz\" -t demo.flights -m \"ident=id, *=*\" --exact --json",
      description: "Also that nothing else is in the table"
    },
    {
      command: "effect-cassandra verify flights.ndjson -k demo -t flights --job flights",
      description: "After a load that has set bad records aside, where it does by itself"
    }
  ])
)
