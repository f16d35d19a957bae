/**
 * Several inputs as one: each is read to its end, in a fixed order, and a position says in which of them it is.
 *
 * A position holds the last one of each input before it too. When resuming, they must all be as they were when they were
 * read, in number, order and content; inputs may only be added behind the one that the position is in.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Located } from "../checkpoint/Element.ts"
import { Position } from "../checkpoint/Position.ts"
import { changed } from "./FilePosition.ts"
import type { Source, SourceChunk } from "./Source.ts"
import { sizeOf } from "./Source.ts"
import { excerpt, InvalidOption, SourceError } from "./SourceError.ts"

/** One of several inputs. `at` is null before the first record of an input, and for one that has none. */
const At = Schema.Struct({ path: Schema.String, at: Schema.NullOr(Position) })

/**
 * The place behind what was read: `done` were read to their ends, then `path` up to `at`.
 *
 * @category models
 * @since 0.1.0
 */
export const FilesPosition = Schema.Struct({
  kind: Schema.Literal("files"),
  done: Schema.Array(At),
  path: Schema.String,
  at: Schema.NullOr(Position)
})

const decodePosition = Schema.decodeUnknownResult(FilesPosition)

/**
 * How many inputs there may be: each makes every checkpoint some 300 bytes larger.
 *
 * @category constants
 * @since 0.1.0
 */
export const filesMax = 10_000

/** A record's place is its line and this times the number of its input, so that the place alone says where it is. */
const linesMax = 2 ** 32

const inputAt = (place: number): { readonly index: number; readonly line: number } => {
  const index = Math.floor(place / linesMax)
  return { index, line: place - index * linesMax }
}

/**
 * What a record's place stood for when this position was taken: a line of one of its files. Null for a position that is none in
 * files. The files themselves are not needed.
 *
 * @category getters
 * @since 0.1.0
 */
export const locateIn = (position: Position | null, place: number): Located | null => {
  if (position === null) return null
  if (position["kind"] === "file") {
    const name = position["name"]
    return { input: typeof name === "string" ? name : "the input", place, unit: "line" }
  }
  const decoded = decodePosition(position)
  if (Result.isFailure(decoded)) return null
  const { done, path } = decoded.success
  const { index, line } = inputAt(place)
  const input = done[index]?.path ?? (index === done.length ? path : null)
  return input === null ? null : { input, place: line, unit: "line" }
}

/** What is wrong with the inputs now, seen from those that were read. */
const listProblem = (
  paths: ReadonlyArray<string>,
  read: ReadonlyArray<string>
): readonly [path: string, what: string] | null => {
  const missing = read.find((path) => !paths.includes(path))
  if (missing !== undefined) return [missing, "it was read, and now it is not among the files to read"]
  for (let i = 0; i < read.length; i++) {
    if (paths[i] !== read[i]) {
      return [
        paths[i]!,
        `it comes before ${read[i]}, which was read without it: files are read in the order of their names`
      ]
    }
  }
  return null
}

/**
 * The inputs named by `paths`, in that order. `open` makes the source of one; it is to add `placeOffset` to the places
 * of its records, which `locate` of the whole turns back into path and line.
 *
 * Fails with `InvalidOption` without a path, with one given twice, and with more than 10,000; with `InputChanged` when
 * resumed on inputs that are not those that were read.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*<A, R, R2>(
  paths: ReadonlyArray<string>,
  open: (path: string, placeOffset: number) => Effect.Effect<Source<A, SourceError, R>, SourceError, R2>
): Effect.fn.Return<Source<A, SourceError, R>, SourceError, R2> {
  const describe = `${paths.length} files (${paths[0]} ... ${paths.at(-1)})`
  const problem = paths.length === 0
    ? "names none"
    : paths.length > filesMax
    ? `names ${paths.length}, and at most ${filesMax} can be read by one job`
    : new Set(paths).size < paths.length
    ? "names one twice"
    : null
  if (problem !== null) {
    return yield* new SourceError({ reason: new InvalidOption({ input: describe, option: "files", problem }) })
  }
  const sources = yield* Effect.forEach(paths, (path, i) => open(path, i * linesMax), { concurrency: 8 })
  let total: number | null = 0
  for (const source of sources) total = total === null || source.total === null ? null : total + source.total

  const verify = Effect.fnUntraced(function*(from: Position) {
    if (from["kind"] === "file") {
      const name = typeof from["name"] === "string" ? from["name"] : "that file"
      return yield* changed(
        describe,
        `the job was begun with one file, ${name}, and now there are several, or a pattern`,
        `Give ${name} alone`
      )
    }
    const decoded = decodePosition(from)
    if (Result.isFailure(decoded)) {
      const found = excerpt(JSON.stringify(from))
      return yield* changed(describe, `the position in the checkpoint is not one in several files: ${found}`)
    }
    const position = decoded.success
    const problem = listProblem(paths, [...position.done.map(({ path }) => path), position.path])
    if (problem !== null) return yield* changed(...problem)
    yield* Effect.forEach(position.done, ({ at, path }, i) =>
      sources[i]!.read(at).pipe(
        Stream.filter((chunk) => sizeOf(chunk) > 0),
        Stream.runHead,
        Effect.flatMap((more) =>
          Option.isNone(more)
            ? Effect.void
            : Effect.fail(
              changed(
                path,
                "it has grown since it was read to its end (or --max-records was raised), and files behind it were read"
              )
            )
        )
      ), { concurrency: 8, discard: true })
    return position
  })

  const read = Effect.fnUntraced(function*(from: Position | null) {
    const start = from === null ? null : yield* verify(from)
    let done = start?.done ?? []
    let at = start?.at ?? null
    const first = done.length
    const readOne = (i: number): Stream.Stream<SourceChunk<A>, SourceError, R> =>
      Stream.suspend(() => {
        const path = paths[i]!
        if (i > first) {
          done = [...done, { path: paths[i - 1]!, at }]
          at = null
        }
        const before = done
        return Stream.map(sources[i]!.read(at), (chunk): SourceChunk<A> => {
          at = chunk.position
          return { ...chunk, position: { kind: "files", done: before, path, at: chunk.position } }
        })
      })
    return Stream.flatMap(Stream.range(first, paths.length - 1), readOne)
  })

  return {
    describe,
    total,
    progress: (from) => {
      if (from["kind"] !== "files") return 0
      const { at, done } = from as unknown as typeof FilesPosition.Type
      let bytes = at === null ? 0 : sources[done.length]?.progress(at) ?? 0
      for (let i = 0; i < done.length; i++) bytes += sources[i]?.total ?? 0
      return bytes
    },
    locate: (place) => {
      const { index, line } = inputAt(place)
      const unit = sources[index]?.locate?.(place).unit
      return { input: paths[index] ?? describe, place: line, ...unit === undefined ? {} : { unit } }
    },
    read: (from) => Stream.unwrap(read(from))
  }
})
