/**
 * The errors of a simulated disk, as Node's file system gives them to Effect.
 */
import * as PlatformError from "effect/PlatformError"
import * as Os from "node:os"

const described = {
  EBADF: "bad file descriptor",
  EDQUOT: "disk quota exceeded",
  EEXIST: "file already exists",
  EINVAL: "invalid argument",
  EACCES: "permission denied",
  EIO: "i/o error",
  EISDIR: "illegal operation on a directory",
  EMFILE: "too many open files",
  ENOENT: "no such file or directory",
  ENOSPC: "no space left on device",
  ENOTDIR: "not a directory",
  ENOTEMPTY: "directory not empty",
  EPERM: "operation not permitted",
  EROFS: "read-only file system"
} as const

/** The system's codes that a simulated disk knows. */
export type ErrorCode = keyof typeof described

/** Thrown inside the disk, and never leaves it: the file system turns it into a PlatformError. */
export class DiskError {
  readonly code: ErrorCode | "ERR_FS_EISDIR"
  readonly syscall: string
  readonly path: string | undefined
  readonly destination: string | undefined
  constructor(code: ErrorCode | "ERR_FS_EISDIR", syscall: string, path?: string, destination?: string) {
    this.code = code
    this.syscall = syscall
    this.path = path
    this.destination = destination
  }
}

const nodeError = (error: DiskError): NodeJS.ErrnoException => {
  const { code, destination, path, syscall } = error
  const places = (path === undefined ? "" : ` '${path}'`) + (destination === undefined ? "" : ` -> '${destination}'`)
  const cause: NodeJS.ErrnoException = new Error(
    code === "ERR_FS_EISDIR"
      ? `Path is a directory: ${syscall} returned EISDIR (is a directory) ${path}`
      : `${code}: ${described[code]}, ${syscall}${places}`
  )
  cause.code = code
  cause.syscall = syscall
  cause.errno = code === "ERR_FS_EISDIR" ? Os.constants.errno.EISDIR : -Os.constants.errno[code]
  if (path !== undefined) cause.path = path
  return cause
}

/** The same mapping as that of `@effect/platform-node`: what it has no tag for is `Unknown`. */
const tagOf = (code: string): PlatformError.SystemErrorTag => {
  switch (code) {
    case "ENOENT":
      return "NotFound"
    case "EACCES":
    case "EPERM":
      return "PermissionDenied"
    case "EEXIST":
      return "AlreadyExists"
    case "EISDIR":
    case "ENOTDIR":
      return "BadResource"
    default:
      return "Unknown"
  }
}

export const platformError = (
  error: DiskError,
  method: string,
  pathOrDescriptor: string | number
): PlatformError.PlatformError =>
  PlatformError.systemError({
    _tag: tagOf(error.code),
    module: "FileSystem",
    method,
    pathOrDescriptor,
    syscall: error.syscall,
    cause: nodeError(error)
  })
