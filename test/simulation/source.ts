/**
 * The program's chunks as a source that fails where the program says so.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { BadRecord, Record } from "../../src/checkpoint/Element.ts"
import type { Source } from "../../src/source/Source.ts"
import type { Bad, Chunk } from "./program.ts"

export interface Row {
  readonly id: number
  readonly seq: number
  readonly rank: number
}

/** A record as it comes: `rank` of one that does not fit is no number. */
interface Given extends Omit<Row, "rank"> {
  readonly rank: number | string
  readonly bad: Bad
}

const toRecord = ({ id, rank, seq }: Given): Record<Row> => new Record({ id, seq, rank } as Row, seq)

const toBadRecord = ({ seq }: Given): BadRecord =>
  new BadRecord(seq, "MalformedRecord", "this is no record", { text: `record ${seq}`, bytes: null, csv: null })

export class SourceFailed extends Error {
  readonly _tag = "SourceFailed"
  readonly isRetryable = true
}

/** The position is the number of records read. Failures are spent once, by whichever process comes there. */
export const sourceOf = (
  chunks: ReadonlyArray<Chunk>,
  endPause: number,
  onFailure: () => void
): Source<Row, SourceFailed> => {
  let seq = 0
  const whole = chunks.map(({ bad = [], failures, keys, pause }) => ({
    pause,
    failuresLeft: failures,
    records: keys.map((id, i): Given => {
      seq++
      return { id, seq, rank: bad[i] === "misfit" ? `rank ${seq}` : -seq, bad: bad[i] ?? "" }
    })
  }))
  return {
    describe: "the program",
    total: seq,
    progress: (position) => Number(position["next"]),
    read: (from) => {
      const next = Number(from?.["next"] ?? 0)
      return Stream.fromIterable(whole.filter(({ records }) => records.some((record) => record.seq > next))).pipe(
        Stream.rechunk(1),
        Stream.mapEffect((chunk) =>
          Effect.gen(function*() {
            if (chunk.pause > 0) yield* Effect.sleep(chunk.pause)
            if (chunk.failuresLeft > 0) {
              chunk.failuresLeft--
              onFailure()
              return yield* Effect.fail(new SourceFailed("the source failed"))
            }
            const records = chunk.records.filter((record) => record.seq > next)
            return {
              records: records.filter(({ bad }) => bad !== "malformed").map(toRecord),
              rejected: records.filter(({ bad }) => bad === "malformed").map(toBadRecord),
              position: { next: records[records.length - 1]!.seq }
            }
          })
        ),
        Stream.concat(endPause === 0 ? Stream.empty : Stream.drain(Stream.fromEffect(Effect.sleep(endPause))))
      )
    }
  }
}
