/** Rows that come one after another on the test clock. */
import { Effect, Stream } from "effect"
import { Record } from "../../src/checkpoint/Element.ts"
import type { Source } from "../../src/source/Source.ts"

export interface Row {
  readonly id: number
  readonly v: number
}

/** `count` rows, each after so many milliseconds, with the values from 0 on; of `keys` keys by turns. */
export const timedRows = (count: number, millis: number, keys = Number.POSITIVE_INFINITY): Source<Row> => ({
  describe: "rows",
  total: null,
  progress: () => 0,
  read: (from) =>
    Stream.range(Number(from?.["next"] ?? 0), count - 1).pipe(
      Stream.rechunk(1),
      Stream.tap(() => Effect.sleep(millis)),
      Stream.map((v) => ({ records: [new Record({ id: v % keys, v }, v)], position: { next: v + 1 } }))
    )
})
