/**
 * The program's chunks as a source that fails where the program says so.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Record } from "../../src/checkpoint/Element.ts"
import type { Source } from "../../src/source/Source.ts"
import type { Chunk } from "./program.ts"

export interface Row {
  readonly id: number
  readonly seq: number
  readonly rank: number
}

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
  const whole = chunks.map(({ failures, keys, pause }) => ({
    pause,
    failuresLeft: failures,
    records: keys.map((id) => {
      seq++
      return { id, seq, rank: -seq }
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
              records: records.map((record) => new Record(record, record.seq)),
              position: { next: records[records.length - 1]!.seq }
            }
          })
        ),
        Stream.concat(endPause === 0 ? Stream.empty : Stream.drain(Stream.fromEffect(Effect.sleep(endPause))))
      )
    }
  }
}
