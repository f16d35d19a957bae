/**
 * What of the log is written to a file before the log forgets it: all of it, on stable storage, or no file.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Stream from "effect/Stream"
import * as Path from "node:path"
import type { SegmentHandle } from "../checkpoint/Manifest.ts"
import type * as StateDirectory from "../state/StateDirectory.ts"
import { CheckFailed } from "./CheckFailed.ts"
import { ndjson } from "./loggedRows.ts"
import { formatCount } from "./Progress.ts"

/**
 * Fails if the file is there already.
 *
 * @category guards
 * @since 0.1.0
 */
export const mustBeNew = Effect.fnUntraced(function*(to: string) {
  const fs = yield* FileSystem.FileSystem
  if (yield* Effect.orElseSucceed(fs.exists(to), () => false)) {
    return yield* new CheckFailed({ detail: `${to} is there already; give another file with --to` })
  }
})

/**
 * All rows of the segments.
 *
 * @category combinators
 * @since 0.1.0
 */
export const writeRows = (
  to: string,
  state: StateDirectory.StateDirectory,
  segments: ReadonlyArray<SegmentHandle>
) => write(to, segments, (handle) => ndjson(state, handle))

/** As far as they can be read: a checkpoint whose rows are in the table by other means may be damaged. */
const setAside = (state: StateDirectory.StateDirectory, handle: SegmentHandle) =>
  Stream.catchTag(ndjson(state, handle, "set-aside"), "StateCorrupt", () => Stream.empty)

/**
 * How many records of the segments were set aside, and in words what can't be read of them. No table has these records,
 * and as long as no load has written their letters, only the log has them: fails if there are some, and no file for them.
 *
 * @category getters
 * @since 0.1.0
 */
export const countSetAside = Effect.fnUntraced(function*(
  to: string | undefined,
  state: StateDirectory.StateDirectory,
  segments: ReadonlyArray<SegmentHandle>
) {
  let records = 0
  const damage: Array<string> = []
  for (const handle of segments) {
    yield* ndjson(state, handle, "set-aside").pipe(
      Stream.runForEach(({ rows }) =>
        Effect.sync(() => {
          records += rows
        })
      ),
      Effect.scoped,
      Effect.catchTag("StateCorrupt", (error) => Effect.sync(() => damage.push(error.message)))
    )
  }
  if (records > 0 && to === undefined) {
    return yield* new CheckFailed({
      detail: `${describeSetAside(records)} in checkpoint ${segments[0]!.checkpointId}: no table has ` +
        `${records === 1 ? "it" : "them"}, and maybe nothing but the log. Give --to with a new file, to which ` +
        `${records === 1 ? "it is" : "they are"} exported before the checkpoint is recorded`
    })
  }
  return { records, damage }
})

/**
 * @category formatting
 * @since 0.1.0
 */
export const describeSetAside = (records: number): string =>
  `${formatCount(records)} record${records === 1 ? " was" : "s were"} set aside`

/**
 * Writes the records among the segments' rows that were set aside; if there are none, there is no file.
 *
 * @category combinators
 * @since 0.1.0
 */
export const writeSetAside = Effect.fnUntraced(function*(
  to: string | undefined,
  state: StateDirectory.StateDirectory,
  segments: ReadonlyArray<SegmentHandle>
) {
  const { records } = yield* countSetAside(to, state, segments)
  if (records > 0) yield* write(to!, segments, (handle) => setAside(state, handle))
})

const write = <E, R>(
  to: string,
  segments: ReadonlyArray<SegmentHandle>,
  lines: (handle: SegmentHandle) => Stream.Stream<{ readonly text: string }, E, R>
) =>
  Effect.scoped(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const unwritable = ({ message }: { readonly message: string }) =>
      new CheckFailed({ detail: `${to} could not be written, so nothing was recorded: ${message}` })
    const file = yield* Effect.mapError(fs.open(to, { flag: "wx" }), unwritable)
    yield* Effect.forEach(
      segments,
      (handle) =>
        Effect.scoped(Stream.runForEach(
          lines(handle),
          ({ text }) => Effect.mapError(file.writeAll(Buffer.from(text)), unwritable)
        )),
      { discard: true }
    ).pipe(
      Effect.andThen(Effect.mapError(file.sync, unwritable)),
      Effect.andThen(
        Effect.scoped(
          Effect.flatMap(fs.open(Path.dirname(to), { flag: "r" }), (directory) => directory.sync)
        ).pipe(Effect.mapError(unwritable))
      ),
      Effect.onError(() => Effect.ignore(fs.remove(to)))
    )
  }))
