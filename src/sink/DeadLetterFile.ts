/**
 * Dead letters as lines of JSON in a file, appended and fsynced.
 *
 *     {"id":"flights/sink/0/3/1764098400000017@18","stage":"encode",
 *      "error":{"tag":"RecordRefused","message":"...","column":"delay"},
 *      "position":{"input":"flights.ndjson","place":18,"unit":"line"},"record":{"id":17,"delay":"late"},
 *      "statement":"INSERT INTO ...","attempts":0,"timestamp":1764098400000017,"at":"2025-11-25T19:20:00.000Z",
 *      "job":"flights","uid":"sink","checkpoint":3,"subtask":0}
 *
 * A record that could not be read has `line` (its text) or `bytes` (base64, where it is not UTF-8) in place of `record`, and
 * of CSV also `csv`, its columns and delimiter. A line that a crash cut off is followed by the whole of it; an id that
 * stands there twice is one letter.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Path from "node:path"
import type { Stage } from "../checkpoint/Element.ts"
import { letterBytesMax } from "../source/DeadLetterSource.ts"
import * as NdjsonSource from "../source/NdjsonSource.ts"
import { ioError, makeDirectory, syncDirectory } from "../state/internal/files.ts"
import type { DeadLetter, MaxErrors } from "./DeadLetters.ts"
import { DeadLetterError, DeadLetters, maxErrorsDefault, toLine, toStage } from "./DeadLetters.ts"

const lineFeed = 0x0a

/**
 * Where the file of the dead letters is, and how many there may be.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeadLetterFileOptions {
  /** Made, with its directory, when the first letter is written. Jobs may share one. */
  readonly path: string
  /** Default 100. */
  readonly maxErrors?: MaxErrors | undefined
}

/**
 * Dead letters in a file, for a program that provides the service itself. What is kept is durable when `write` returns.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: DeadLetterFileOptions
): Effect.fn.Return<DeadLetters["Service"], never, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const { path } = options
  const directory = Path.dirname(path)
  const alone = yield* Semaphore.make(1)
  let isDurable = false

  const failed = (operation: string) => (error: { readonly message: string; readonly isRetryable: boolean }) =>
    new DeadLetterError({
      where: path,
      operation,
      detail: error.message.replace(/\.$/, ""),
      isRetryable: error.isRetryable
    })

  const known = Effect.fnUntraced(function*(jobId: string, uid: string) {
    const found = new Map<string, Stage | null>()
    const source = yield* NdjsonSource.make(path, { malformed: "reject", maxRecordBytes: letterBytesMax }).pipe(
      Effect.catchIf(({ reason }) => reason._tag === "InputNotFound", () => Effect.succeed(null))
    )
    if (source === null) return found
    yield* Stream.runForEach(source.read(null), ({ records }) =>
      Effect.sync(() => {
        for (const { value } of records) {
          if (typeof value["id"] === "string" && value["job"] === jobId && value["uid"] === uid) {
            found.set(value["id"], toStage(value["stage"]))
          }
        }
      }))
    return found
  })

  /** The file may end in the middle of a line: one that a crash has cut off, maybe of another process, or that was edited. */
  const isOpenEnded = ioError("read", path)(Effect.scoped(Effect.gen(function*() {
    if (!(yield* fs.exists(path))) return false
    const file = yield* fs.open(path, { flag: "r" })
    const { size } = yield* file.stat
    if (BigInt(size) === 0n) return false
    yield* file.seek(BigInt(size) - 1n, "start")
    const last = yield* file.readAlloc(1)
    return Option.isSome(last) && last.value[0] !== lineFeed
  })))

  // What is written again is not looked for first: a line that can be read need not be on the disk yet.
  const write = Effect.fnUntraced(function*(letters: ReadonlyArray<DeadLetter>) {
    if (!isDurable) yield* makeDirectory(fs, directory)
    const endsOpen = yield* isOpenEnded
    const text = (endsOpen ? "\n" : "") + letters.map((letter) => `${toLine(letter)}\n`).join("")
    yield* ioError("write", path)(Effect.scoped(Effect.gen(function*() {
      const file = yield* fs.open(path, { flag: "a" })
      yield* file.writeAll(Buffer.from(text))
      yield* file.sync
    })))
    if (!isDurable) yield* syncDirectory(fs, directory)
    isDurable = true
  })

  return DeadLetters.of({
    describe: path,
    maxErrors: options.maxErrors ?? maxErrorsDefault,
    known: (jobId, uid) =>
      Semaphore.withPermits(alone, 1)(known(jobId, uid)).pipe(
        Effect.provideService(FileSystem.FileSystem, fs),
        Effect.mapError(failed("read"))
      ),
    write: (letters) => Semaphore.withPermits(alone, 1)(write(letters)).pipe(Effect.mapError(failed("written")))
  })
})

/**
 * `make` as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: DeadLetterFileOptions): Layer.Layer<DeadLetters, never, FileSystem.FileSystem> =>
  Layer.effect(DeadLetters, make(options))
