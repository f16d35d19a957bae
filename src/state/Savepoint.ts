/**
 * Savepoints: a completed checkpoint as a directory of its own, that nobody but its owner removes. Flink's word, and its
 * file:
 *
 *     <target>/savepoint-<job>-<id>/_metadata        SavepointFile, checksummed; without it there is no savepoint
 *     <target>/savepoint-<job>-<id>/segments/*.wal   the rows that were not yet known to be in Cassandra, as in the log
 *
 * It refers to nothing outside of itself, so it may be copied and moved by any means that keep bytes. Each segment is read
 * through the checks that recovery makes, written, fsynced and read again before `_metadata`, which is written last and as
 * manifests are: what is not whole has none. Opening one reads all of it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { CommitterError, Fenced } from "../checkpoint/CheckpointCommitter.ts"
import type { SegmentHandle } from "../checkpoint/Manifest.ts"
import { Manifest } from "../checkpoint/Manifest.ts"
import { ioError, makeDirectory, syncDirectory, writeDurably } from "./internal/files.ts"
import { copySegment } from "./internal/segmentCopy.ts"
import { openSegment } from "./internal/segmentReader.ts"
import * as SegmentRows from "./SegmentRows.ts"
import type { Savepoint, Snapshot } from "./Snapshot.ts"
import type { WalError } from "./WalError.ts"
import { StateCorrupt, StateUnusable } from "./WalError.ts"
import * as WalFormat from "./WalFormat.ts"

export type { Savepoint, Snapshot } from "./Snapshot.ts"

/**
 * The file that makes a directory a savepoint.
 *
 * @category constants
 * @since 0.1.0
 */
export const metadataName = "_metadata"

/**
 * What `_metadata` holds. The names of its checkpoint's segments are those of the copies.
 *
 * @category models
 * @since 0.1.0
 */
export const SavepointFile = Schema.Struct({
  id: Schema.String,
  /** Milliseconds since 1970. */
  takenAt: Schema.Int,
  ledger: Schema.NullOr(Schema.String),
  statements: Schema.Array(WalFormat.LoggedStatement),
  checkpoint: Manifest
})

/**
 * @category models
 * @since 0.1.0
 */
export type SavepointFile = typeof SavepointFile.Type

const decode = Schema.decodeUnknownResult(SavepointFile)

const advice =
  "Nothing was claimed and nothing was changed. Copy the savepoint again from where it was taken, or restore " +
  "another one"

const withoutSlash = (path: string): string => path.length > 1 ? path.replace(/\/+$/, "") : path

const withAdvice = <A, R>(self: Effect.Effect<A, WalError, R>): Effect.Effect<A, WalError, R> =>
  Effect.mapError(
    self,
    (error) => error._tag === "StateCorrupt" ? error.withAdvice(advice) : error
  )

/**
 * What a directory says it is, without reading its segments. Fails if it is no savepoint.
 *
 * @category getters
 * @since 0.1.0
 */
export const read = Effect.fnUntraced(function*(
  directory: string
): Effect.fn.Return<SavepointFile, WalError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const path = `${withoutSlash(directory)}/${metadataName}`
  if (!(yield* ioError("look at", path)(fs.exists(path)))) {
    const isThere = yield* ioError("look at", directory)(fs.exists(directory))
    return yield* new StateUnusable({
      path,
      reason: "no-savepoint",
      detail: isThere
        ? `${directory} is no savepoint: it has no ${metadataName}, which is written last. It was not finished, or not ` +
          `copied whole; or it holds savepoints: give one of those (effect-cassandra savepoint list ${directory})`
        : `There is no savepoint ${directory}. (A state that was restored from it goes on without it.)`
    })
  }
  const bytes = Buffer.from(yield* ioError("read", path)(fs.readFile(path)))
  const corrupt = (offset: number, detail: string) =>
    new StateCorrupt({ path, offset, checkpointId: null, detail, advice })
  const json = WalFormat.decodeJson("savepoint", bytes)
  if (Result.isFailure(json)) {
    const { detail, offset, version } = json.failure
    return yield* version === undefined ? corrupt(offset, detail) : new StateUnusable({
      path,
      reason: "other-version",
      detail: `${path} has ${detail}. Restore it with the version that took it, or a newer one`
    })
  }
  const file = decode(json.success)
  if (Result.isFailure(file)) return yield* corrupt(WalFormat.preambleBytes, file.failure.message)
  return file.success
})

/** Every block of a segment, and every row in it. */
const verify = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  path: string,
  handle: SegmentHandle,
  job: { readonly jobId: string; readonly uid: string }
): Effect.fn.Return<void, WalError> {
  yield* Effect.scoped(Effect.flatMap(
    openSegment(fs, path, handle, job),
    ({ blocks }) => SegmentRows.check(path, handle, blocks)
  ))
})

/**
 * A savepoint, all of which was read and found to be whole.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<Savepoint, WalError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const directory = withoutSlash(path)
  const { checkpoint, ...file } = yield* read(directory)
  const inSegments = (handle: SegmentHandle) => `${directory}/segments/${handle.name}`
  for (const handle of checkpoint.pending) {
    yield* withAdvice(verify(fs, inSegments(handle), handle, checkpoint))
  }
  return {
    ...file,
    describe: directory,
    checkpoint,
    openSegment: (handle) => withAdvice(openSegment(fs, inSegments(handle), handle, checkpoint))
  }
})

/** Null for a segment that can't be read any more, because its rows are in the table. */
const copy = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  directory: string,
  handle: SegmentHandle,
  snapshot: Snapshot,
  statements: Map<string, WalFormat.LoggedStatement>
): Effect.fn.Return<SegmentHandle | null, WalError | CommitterError> {
  const path = `${directory}/segments/${handle.name.replace(/(?:\.wal)?$/, ".wal")}`
  return yield* Effect.scoped(Effect.gen(function*() {
    const opened = yield* snapshot.openSegment(handle)
    const copied = yield* copySegment(fs, path, handle, opened)
    yield* verify(fs, path, copied, snapshot.checkpoint)
    for (const statement of opened.header.statements) statements.set(JSON.stringify(statement), statement)
    return copied
  })).pipe(
    Effect.catchTag("StateCorrupt", (error) =>
      Effect.gen(function*() {
        if (!(yield* snapshot.isCommitted(handle))) return yield* error
        yield* ioError("remove", path)(fs.remove(path, { force: true }))
        return null
      }))
  )
})

/**
 * Writes a savepoint into a new directory below `target`, which is made if it is not there. It is durable, and was read
 * again, when this returns; after a failure nothing of it is left.
 *
 *     const { describe } = yield* handle.savepoint(Savepoint.writeTo("/backup/savepoints"))
 *
 * @category constructors
 * @since 0.1.0
 */
export const writeTo = (target: string) =>
  Effect.fnUntraced(function*(
    snapshot: Snapshot
  ): Effect.fn.Return<Savepoint, WalError | CommitterError | Fenced, FileSystem.FileSystem> {
    const fs = yield* FileSystem.FileSystem
    const { checkpoint, ledger } = snapshot
    const random = yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)
    const takenAt = Math.floor(yield* Clock.currentTimeMillis)
    // Sorted by name they are sorted by time, as long as the clock goes on.
    const id = `${takenAt.toString(36)}-${random.toString(36).padStart(11, "0")}`
    const parent = withoutSlash(target)
    const directory = `${parent}/savepoint-${checkpoint.jobId}-${id}`
    yield* makeDirectory(fs, parent)
    return yield* Effect.gen(function*() {
      yield* makeDirectory(fs, directory)
      yield* makeDirectory(fs, `${directory}/segments`)
      const statements = new Map<string, WalFormat.LoggedStatement>()
      const pending: Array<SegmentHandle> = []
      for (const handle of checkpoint.pending) {
        const copied = yield* copy(fs, directory, handle, snapshot, statements)
        if (copied !== null) pending.push(copied)
      }
      yield* syncDirectory(fs, `${directory}/segments`)
      yield* snapshot.stillOwned
      const file: SavepointFile = {
        id,
        takenAt,
        ledger,
        statements: [...statements.values()],
        checkpoint: { ...checkpoint, pending }
      }
      yield* writeDurably(fs, directory, metadataName, WalFormat.encodeJson("savepoint", file))
      const { checkpoint: copied, ...rest } = file
      return {
        ...rest,
        describe: directory,
        checkpoint: copied,
        openSegment: (handle: SegmentHandle) =>
          withAdvice(openSegment(fs, `${directory}/segments/${handle.name}`, handle, copied))
      }
    }).pipe(Effect.onError(() => Effect.ignore(removeAll(fs, directory))))
  })

/** What makes it a savepoint goes first, durably: a part of one must not look like one. */
const removeAll = Effect.fnUntraced(function*(fs: FileSystem.FileSystem, directory: string) {
  const metadata = `${directory}/${metadataName}`
  yield* ioError("remove", metadata)(fs.remove(metadata, { force: true }))
  yield* syncDirectory(fs, directory)
  yield* ioError("remove", directory)(fs.remove(directory, { recursive: true }))
})

/**
 * Deletes a savepoint, or what is left of one. Any other directory is refused.
 *
 * @category combinators
 * @since 0.1.0
 */
export const remove = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<void, WalError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const directory = withoutSlash(path)
  const names = yield* Effect.catchIf(
    ioError("list", directory)(fs.readDirectory(directory)),
    (error) => error.code === "ENOENT" || error.code === "ENOTDIR",
    () => Effect.succeed<Array<string>>([])
  )
  const known = new Set([metadataName, `${metadataName}.tmp`, "segments"])
  const isOne = names.includes(metadataName) || /(?:^|\/)savepoint-[^/]+$/.test(directory)
  if (names.length === 0 || !isOne || names.some((name) => !known.has(name))) {
    return yield* new StateUnusable({
      path: directory,
      reason: "no-savepoint",
      detail: names.length === 0
        ? `There is no savepoint ${directory}`
        : `${directory} is no savepoint, or has more in it than one, so it was not deleted`
    })
  }
  yield* removeAll(fs, directory)
})

/**
 * A directory that is, or began to be, a savepoint.
 *
 * @category models
 * @since 0.1.0
 */
export interface Found {
  readonly path: string
  /** A failure that says what is wrong with its `_metadata`, or that there is none. Segments are not read. */
  readonly file: Result.Result<SavepointFile, StateCorrupt | StateUnusable>
}

/**
 * The savepoints in a directory, oldest first; or the one that it is itself.
 *
 * @category getters
 * @since 0.1.0
 */
export const list = Effect.fnUntraced(function*(
  target: string
): Effect.fn.Return<ReadonlyArray<Found>, WalError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const parent = withoutSlash(target)
  const names = yield* ioError("list", parent)(fs.readDirectory(parent))
  const paths = names.includes(metadataName)
    ? [parent]
    : names.filter((name) => name.startsWith("savepoint-")).map((name) => `${parent}/${name}`)
  const found: Array<Found> = []
  for (const path of paths) {
    const file = yield* Effect.result(read(path))
    if (Result.isSuccess(file)) found.push({ path, file: Result.succeed(file.success) })
    else if (file.failure._tag === "StateIoError") return yield* file.failure
    else found.push({ path, file: Result.fail(file.failure) })
  }
  const at = ({ file, path }: Found): string =>
    Result.isSuccess(file) ? `${String(file.success.takenAt).padStart(16, "0")} ${path}` : `0 ${path}`
  return found.toSorted((a, b) => at(a) < at(b) ? -1 : 1)
})
