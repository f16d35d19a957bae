/**
 * The few file operations that durability is made of.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as PlatformError from "effect/PlatformError"
import { StateIoError } from "../WalError.ts"

const codeOf = (error: PlatformError.PlatformError): string | null => {
  const cause = error.reason.cause
  return typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : null
}

/** Names operation and path in place of the platform's error. */
export const ioError =
  (operation: string, path: string) =>
  <A, R>(self: Effect.Effect<A, PlatformError.PlatformError, R>): Effect.Effect<A, StateIoError, R> =>
    Effect.mapError(self, (error) => {
      const code = codeOf(error)
      const detail = error.reason.cause instanceof Error ? error.reason.cause.message : error.message
      return new StateIoError({ path, operation, code, detail })
    })

/** A created, renamed or removed name is only durable once its directory is. */
export const syncDirectory = Effect.fnUntraced(function*(fs: FileSystem.FileSystem, directory: string) {
  yield* ioError("sync", directory)(
    Effect.scoped(Effect.flatMap(fs.open(directory, { flag: "r" }), (file) => file.sync))
  )
})

/** What can't be removed now is removed by the next start. */
export const removeQuietly = (fs: FileSystem.FileSystem, path: string): Effect.Effect<void> =>
  Effect.catch(
    fs.remove(path),
    (error) =>
      error.reason._tag === "NotFound"
        ? Effect.void
        : Effect.logWarning(`Could not remove ${path} (${error.message}); the next start tries again`)
  )

/** After this, `path` holds `bytes`, whatever happened in between: old content or new, never a part of either. */
export const writeDurably = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  directory: string,
  name: string,
  bytes: Uint8Array
) {
  const path = `${directory}/${name}`
  const temporary = `${path}.tmp`
  yield* ioError("write", path)(Effect.scoped(Effect.gen(function*() {
    const file = yield* fs.open(temporary, { flag: "w" })
    yield* file.writeAll(bytes)
    yield* file.sync
  })))
  yield* ioError("rename", path)(fs.rename(temporary, path))
  yield* syncDirectory(fs, directory)
})

/** The parent of `/` is `/`, of `a` is `.`, and of `.` is `.`: both are where the way up ends. */
const parentOf = (path: string): string => {
  const at = path.lastIndexOf("/")
  return at < 0 ? "." : at === 0 ? "/" : path.slice(0, at)
}

/**
 * Makes a directory and what is missing above it, and makes each name durable. One that is there already is synced as
 * well: a process that made it may have died before it did so, and everything below would go with it at a power loss.
 */
export const makeDirectory: (
  fs: FileSystem.FileSystem,
  directory: string
) => Effect.Effect<void, StateIoError> = Effect.fnUntraced(function*(fs, directory) {
  const parent = parentOf(directory)
  if (yield* ioError("look at", directory)(fs.exists(directory))) {
    // Directories far above may not be readable; those are not made by this library.
    if (directory === parent) return
    return yield* Effect.ignore(Effect.andThen(makeDirectory(fs, parent), syncDirectory(fs, parent)))
  }
  yield* makeDirectory(fs, parent)
  // Another process may be making the same one. (Not `recursive`, which would not mind: where a file system refuses new
  // names with ENOENT, as /proc does, Node's recursive creation never returns.)
  yield* fs.makeDirectory(directory).pipe(
    Effect.catchIf((error) => error.reason._tag === "AlreadyExists", () => Effect.void),
    ioError("create", directory)
  )
  yield* syncDirectory(fs, parent)
})
