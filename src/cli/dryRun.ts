/**
 * `effect-cassandra load --dry-run`: all that a load does with the files, and nothing that it does with the table.
 *
 * @since 0.1.0
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Session } from "../cassandra/CassandraSession.ts"
import type { Located } from "../checkpoint/Element.ts"
import { placeText } from "../checkpoint/Element.ts"
import * as RowEncoder from "../sink/RowEncoder.ts"
import * as ServerSize from "../sink/ServerSize.ts"
import type { SinkStatement } from "../sink/SinkStatement.ts"
import type { SourceError } from "../source/SourceError.ts"
import { WireBuffer } from "../wire/WireBuffer.ts"
import { valuesOf } from "../wire/WireValues.ts"
import { exitCodes } from "./exitCode.ts"
import type * as Input from "./input.ts"
import type { LoadOptions } from "./options.ts"
import { formatBytes, formatCount } from "./Progress.ts"
import { Exit, printable } from "./report.ts"
import { StatusLine } from "./StatusLine.ts"

/** How many records that can't be loaded, and how many risks, are shown one by one. */
const shownMax = 10

const units: { readonly [unit: string]: number } = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

const bytesOf = (text: unknown): number | null => {
  const [, count, unit] = /^(\d+)(B|KiB|MiB|GiB)$/.exec(String(text)) ?? []
  return count === undefined ? null : Number(count) * units[unit!]!
}

/** What the server refuses, as far as it tells; its defaults otherwise. */
const limits = (session: Session) =>
  session.query("SELECT name, value FROM system_views.settings").pipe(
    Effect.orElseSucceed(() => []),
    Effect.map((rows) => {
      const settings = new Map(rows.map((row) => [String(row["name"]), row["value"]]))
      return {
        rowBytesMax: bytesOf(settings.get("max_mutation_size")) ?? 16 * 1024 ** 2,
        valueBytesMax: bytesOf(settings.get("column_value_size_fail_threshold")) ?? Number.POSITIVE_INFINITY
      }
    })
  )

/**
 * Reads all records and encodes them, says what can't be loaded and what the server may refuse, and writes nothing.
 *
 * @category running
 * @since 0.1.0
 */
export const dryRun = Effect.fnUntraced(function*(
  options: Pick<LoadOptions, "json"> & RowEncoder.RowEncoderOptions<object> & {
    /** Of each statement. */
    readonly binds: ReadonlyArray<RowEncoder.RowEncoderOptions<object>["bind"]>
  },
  { source }: Input.Input,
  session: Session,
  statements: ReadonlyArray<SinkStatement>
) {
  const line = yield* StatusLine
  const { rowBytesMax, valueBytesMax } = yield* limits(session)
  const writers = statements.map(({ params }, i) => ({
    params,
    write: RowEncoder.writer<object>(params, { ...options, bind: options.binds[i] })
  }))
  const out = new WireBuffer(1024)
  const locate = source.locate ?? ((place: number): Located => ({ input: source.describe, place }))
  const found = { records: 0, refused: 0, risks: 0, largestRowBytes: 0 }
  const say = (count: number, place: number, what: string) => {
    if (count <= shownMax) line.print(printable(`${placeText(locate(place))}${what}`))
  }

  const lookAtRow = (place: number, { params }: typeof writers[number]) => {
    const values = valuesOf(out.bytes, 0, out.length)
    const bytes = ServerSize.ofValues(values.length, out.length)
    if (bytes > found.largestRowBytes) found.largestRowBytes = bytes
    if (bytes > rowBytesMax) {
      say(
        ++found.risks,
        place,
        `: Cassandra may refuse this row: it has about ${formatBytes(bytes)}, and max_mutation_size is ` +
          formatBytes(rowBytesMax)
      )
      return
    }
    for (let i = 0; i < values.length; i++) {
      const length = values[i]?.length ?? 0
      if (length <= valueBytesMax) continue
      say(
        ++found.risks,
        place,
        `, column ${params[i]!.name}: Cassandra refuses this value: it has ${formatBytes(length)}, and ` +
          `column_value_size_fail_threshold is ${formatBytes(valueBytesMax)}`
      )
    }
  }

  const look = (place: number, value: object) => {
    found.records++
    for (const one of writers) {
      try {
        out.length = 0
        one.write(value, out)
      } catch (error) {
        if (!(error instanceof RowEncoder.Misfit)) throw error
        // A record that does not fit one of its statements is refused whole.
        return say(++found.refused, place, `, column ${error.column}: ${error.problem}`)
      }
      lookAtRow(place, one)
    }
  }

  const ended = yield* Effect.result(
    Stream.runForEach(source.read(null), ({ records, rejected = [] }) =>
      Effect.sync(() => {
        for (const { place, value } of records) look(place, value)
        for (const { place, problem } of rejected) {
          found.records++
          say(++found.refused, place, `: ${problem}`)
        }
      }))
  )
  for (const [count, what] of [[found.refused, "records that can't be loaded"], [found.risks, "risks"]] as const) {
    if (count > shownMax) line.print(`... and ${formatCount(count - shownMax)} more ${what}`)
  }
  // What stands behind a record that can't be read is not known.
  const unread: SourceError | null = Result.isFailure(ended) ? ended.failure : null
  line.print(
    `dry run: ${formatCount(found.records)} records read${unread === null ? "" : " up to the error below"}, ` +
      `${formatCount(found.refused)} can't be loaded, ${
        formatCount(found.risks)
      } may be refused; the largest row has ` +
      `about ${formatBytes(found.largestRowBytes)}. Nothing was written.`
  )
  if (options.json) yield* Console.log(JSON.stringify({ ...found, isWhole: unread === null, outcome: "dry-run" }))
  if (unread !== null) return yield* unread
  if (found.refused + found.risks > 0) return yield* new Exit({ code: exitCodes.badRecords })
})
