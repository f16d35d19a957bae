/**
 * Why a job failed, the last times: lines of JSON in its state directory, for people who ask later.
 *
 *     {"at":1764098400000,"pid":4711,"host":"loader-1","epoch":3,"attempt":2,"error":"SendFailed","message":"...",
 *      "restartsInMillis":1500}
 *
 * Nothing depends on them: they are not synced, what can't be written is left, and a line that can't be read is passed
 * over. There are two files at most, of which the older one goes when the newer one is full.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ProcessTable } from "./DirectoryLock.ts"

/**
 * A run of a job that failed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  /** Milliseconds since 1970. */
  readonly at: number
  /** That the run had claimed; null if it did not come so far. */
  readonly epoch: number | null
  /** Which run of its process it was, from 1; 0 if it failed before the first one began. */
  readonly attempt: number
  /** The kind of the error: its `_tag`, or its name. */
  readonly error: string
  readonly message: string
  /** Milliseconds until the next run; null where none follows, and the job is over. */
  readonly restartsInMillis: number | null
}

/**
 * A failure as it was kept, with the process that had it.
 *
 * @category models
 * @since 0.1.0
 */
export const KeptFailure = Schema.Struct({
  at: Schema.Int,
  pid: Schema.Int,
  host: Schema.String,
  epoch: Schema.NullOr(Schema.Int),
  attempt: Schema.Int,
  error: Schema.String,
  message: Schema.String,
  restartsInMillis: Schema.NullOr(Schema.Finite)
})

/**
 * @category models
 * @since 0.1.0
 */
export type KeptFailure = typeof KeptFailure.Type

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(KeptFailure))

const pathIn = (directory: string): string => `${directory}/failures.ndjson`
const olderIn = (directory: string): string => `${directory}/failures.1.ndjson`

/** Over which the file becomes the older one: some tens of failures, or hundreds of short ones. */
const fileBytesMax = 32 * 1024

/** Longer ones are cut: a message may hold a whole statement. */
const messageCharactersMax = 2000

/** A disk that hangs must not hold up the restart of a job. */
const writeTimeout = "2 seconds"

/**
 * What keeps the failures of a job in its state directory: for `onFailure` of a job. It never fails, and takes two seconds
 * at most.
 *
 * @category constructors
 * @since 0.1.0
 */
export const recorder = Effect.fnUntraced(function*(
  directory: string
): Effect.fn.Return<(failure: Failure) => Effect.Effect<void>, never, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const { host, pid } = (yield* ProcessTable).self
  const path = pathIn(directory)
  return (failure) => {
    const { at, attempt, epoch, error, message, restartsInMillis } = failure
    const kept: KeptFailure = {
      at,
      pid,
      host,
      epoch,
      attempt,
      error,
      message: message.slice(0, messageCharactersMax),
      restartsInMillis
    }
    const size = Effect.orElseSucceed(Effect.map(fs.stat(path), (info) => Number(info.size)), () => 0)
    return Effect.flatMap(size, (bytes) => bytes > fileBytesMax ? fs.rename(path, olderIn(directory)) : Effect.void)
      .pipe(
        Effect.andThen(fs.writeFileString(path, `${JSON.stringify(kept)}\n`, { flag: "a" })),
        Effect.timeout(writeTimeout),
        Effect.catch((cause) => Effect.logDebug(`The failure could not be kept in ${path}: ${cause.message}`))
      )
  }
})

/**
 * The failures that are kept in a state directory, the last one first; none if there is no such file.
 *
 * @category getters
 * @since 0.1.0
 */
export const read = Effect.fnUntraced(function*(
  directory: string
): Effect.fn.Return<ReadonlyArray<KeptFailure>, never, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const found: Array<KeptFailure> = []
  for (const path of [olderIn(directory), pathIn(directory)]) {
    const text = yield* Effect.orElseSucceed(fs.readFileString(path), () => "")
    for (const line of text.split("\n")) {
      const failure = decode(line)
      if (Option.isSome(failure)) found.push(failure.value)
    }
  }
  return found.toReversed()
})
