/**
 * Effect's `FileSystem` on a simulated disk, for one process. It behaves like Node's on Linux, errors included.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as PlatformError from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { DiskError } from "./diskError.ts"
import type { DiskFile } from "./diskFile.ts"
import type { DiskClient, Handle, Machine, Request } from "./diskMachine.ts"
import type { DiskOperation } from "./diskModel.ts"
import { below, shuffle } from "./diskRandom.ts"
import type { DiskDirectory, DiskNode } from "./diskTree.ts"
import { normalize } from "./diskTree.ts"

const badArgument = (method: string, description: string) =>
  PlatformError.badArgument({ module: "FileSystem", method, description })

const infoOf = (node: DiskNode): FileSystem.File.Info => {
  const size = node.kind === "File" ? node.size : 4096
  // The order of changes stands in for time: what was changed later has a later time, and a seed has one history.
  const time = Option.some(new Date(node.modified))
  return {
    type: node.kind,
    mtime: time,
    atime: time,
    birthtime: Option.none(),
    dev: 1n,
    ino: Option.some(BigInt(node.id + 2)),
    mode: node.kind === "File" ? 0o100644 : 0o40755,
    nlink: Option.some(BigInt(node.kind === "File" ? node.links : 2)),
    uid: Option.some(0),
    gid: Option.some(0),
    rdev: Option.some(0n),
    size: ByteSize.bytes(size),
    blksize: Option.some(ByteSize.bytes(4096)),
    blocks: Option.some(BigInt(Math.ceil(size / 512)))
  }
}

const isReadable = (flag: string): boolean => flag.startsWith("r") || flag.endsWith("+")
const isWritable = (flag: string): boolean => flag !== "r"

export const makeFileSystem = (machine: Machine, client: DiskClient): FileSystem.FileSystem => {
  const { tree } = machine

  const onPath = <A>(
    operation: DiskOperation,
    method: string,
    syscall: string,
    path: string,
    body: () => A
  ) => machine.run(client, { operation, path: normalize(path), method, subject: path, syscall }, body)

  /** Opens a file or directory; the caller closes it. */
  const acquire = (path: string, flag: string, method: string): Effect.Effect<Handle, PlatformError.PlatformError> =>
    onPath(flag.startsWith("r") ? "open" : "create", method, "open", path, () => {
      let node = tree.lookup(path, "open")
      if (node !== undefined && flag.includes("x")) throw new DiskError("EEXIST", "open", path)
      if (node === undefined) {
        if (flag.startsWith("r")) throw new DiskError("ENOENT", "open", path)
        node = tree.createFile(tree.place(path, "open"), normalize(path))
      } else if (node.kind === "Directory") {
        if (isWritable(flag)) throw new DiskError("EISDIR", "open", path)
      } else if (flag.startsWith("w")) {
        resize(node, 0)
      }
      const handle: Handle = {
        descriptor: ++machine.descriptors,
        node,
        path: normalize(path),
        flag,
        process: client.id,
        position: 0
      }
      if (node.kind === "File") node.handles++
      client.handles.add(handle)
      return handle
    })

  const release = (handle: Handle) => Effect.sync(() => machine.close(client, handle))

  const resize = (file: DiskFile, size: number): void => {
    const grows = size - file.size
    if (grows > Math.max(0, machine.capacity - tree.used)) throw new DiskError("ENOSPC", "ftruncate")
    tree.used += grows
    file.truncate(tree.at++, size)
  }

  /** A descriptor that was closed is no descriptor. */
  const assertOpen = (handle: Handle, syscall: string): void => {
    if (!client.handles.has(handle)) throw new DiskError("EBADF", syscall)
  }

  const requestOf = (handle: Handle, operation: DiskOperation, method: string, syscall: string): Request => ({
    operation,
    path: handle.path,
    method,
    subject: handle.descriptor,
    syscall
  })

  const readBytes = (handle: Handle, length: number, position: bigint | undefined): Buffer => {
    assertOpen(handle, "read")
    // Node answers this one itself.
    if (length === 0) return Buffer.alloc(0)
    if (!isReadable(handle.flag)) throw new DiskError("EBADF", "read")
    if (handle.node.kind === "Directory") throw new DiskError("EISDIR", "read")
    const found = handle.node.read(position === undefined ? handle.position : Number(position), length)
    if (!machine.shortReads || found.length < 2) return found
    const bytes = found.subarray(0, 1 + below(machine.random, found.length))
    if (bytes.length < found.length) machine.count("fault: short read")
    return bytes
  }

  const writeBytes = Effect.fnUntraced(function*(
    handle: Handle,
    bytes: Uint8Array,
    method: string,
    subject: string | number = handle.descriptor
  ): Effect.fn.Return<number, PlatformError.PlatformError> {
    const request = { ...requestOf(handle, "write", method, "write"), subject }
    const { node } = handle
    if (node.kind === "Directory" || !isWritable(handle.flag) || !client.handles.has(handle)) {
      return yield* machine.run(client, request, () => {
        throw new DiskError("EBADF", "write")
      })
    }
    const append = handle.flag.startsWith("a")
    const { failure, written } = yield* machine.write(
      client,
      request,
      node,
      () => append ? node.size : handle.position,
      bytes
    )
    if (!append) handle.position += written
    // The system tells of what was written first, and of the error at the next call.
    if (failure !== null && (method !== "write" || written === 0)) return yield* failure
    return written
  })

  const makeFile = (handle: Handle): FileSystem.File => ({
    [FileSystem.FileTypeId]: FileSystem.FileTypeId,
    stat: machine.run(client, requestOf(handle, "stat", "stat", "fstat"), () => {
      assertOpen(handle, "fstat")
      return infoOf(handle.node)
    }),
    sync: Effect.suspend(() => {
      const { node } = handle
      const operation = node.kind === "File" ? "sync" : "syncDirectory"
      return machine.run(client, requestOf(handle, operation, "sync", "fsync"), () => {
        assertOpen(handle, "fsync")
        if (node.kind === "File") node.sync()
        else tree.syncDirectory(node)
      })
    }),
    seek: (offset, from) =>
      Effect.suspend(() => {
        const position = from === "start" ? offset : BigInt(handle.position) + offset
        if (position < 0n) return Effect.fail(badArgument("seek", "Cannot seek before the start of the file"))
        handle.position = Number(position)
        return Effect.succeed(position)
      }),
    read: (buffer, options) =>
      options?.position !== undefined && options.position < 0n
        ? Effect.fail(badArgument("read", "Cannot read before the start of the file"))
        : machine.run(client, requestOf(handle, "read", "read", "read"), () => {
          const bytes = readBytes(handle, buffer.length, options?.position)
          buffer.set(bytes)
          if (options?.position === undefined) handle.position += bytes.length
          return bytes.length
        }),
    readAlloc: (size, options) =>
      !Number.isInteger(size) || size < 0
        ? Effect.fail(badArgument("readAlloc", "size must be a non-negative integer"))
        : options?.position !== undefined && options.position < 0n
        ? Effect.fail(badArgument("readAlloc", "Cannot read before the start of the file"))
        : machine.run(client, requestOf(handle, "read", "readAlloc", "read"), () => {
          const bytes = readBytes(handle, size, options?.position)
          if (options?.position === undefined) handle.position += bytes.length
          return bytes.length === 0 ? Option.none() : Option.some(Buffer.from(bytes))
        }),
    truncate: (length) =>
      machine.run(client, requestOf(handle, "truncate", "truncate", "ftruncate"), () => {
        assertOpen(handle, "ftruncate")
        const { node } = handle
        if (node.kind === "Directory" || !isWritable(handle.flag)) throw new DiskError("EINVAL", "ftruncate")
        const size = Math.max(0, length ?? 0)
        resize(node, size)
        if (!handle.flag.startsWith("a")) handle.position = Math.min(handle.position, size)
      }),
    write: (buffer) => writeBytes(handle, buffer, "write"),
    writeAll: (buffer) => buffer.length === 0 ? Effect.void : Effect.asVoid(writeBytes(handle, buffer, "writeAll"))
  })

  const directoryAt = (path: string): DiskDirectory => {
    const node = tree.get(path, "scandir")
    if (node.kind === "File") throw new DiskError("ENOTDIR", "scandir", path)
    return node
  }

  /** Names come in an order that no program may rely on. */
  const namesOf = (directory: DiskDirectory) => shuffle(machine.random, Array.from(directory.entries))

  const walk = (directory: DiskDirectory, prefix: string, found: Array<string>): Array<string> => {
    for (const [name, node] of namesOf(directory)) {
      found.push(prefix + name)
      if (node.kind === "Directory") walk(node, `${prefix}${name}/`, found)
    }
    return found
  }

  const stat = (method: string) => (path: string) =>
    onPath("stat", method, method, path, () => infoOf(tree.get(path, method)))

  const readFile = (path: string) =>
    onPath("read", "readFile", "read", path, () => {
      const node = tree.get(path, "open")
      if (node.kind === "Directory") throw new DiskError("EISDIR", "read")
      return Buffer.from(node.read(0, node.size))
    })

  const writeFile: FileSystem.FileSystem["writeFile"] = (path, data, options) =>
    Effect.acquireUseRelease(
      acquire(path, options?.flag ?? "w", "writeFile"),
      (handle) => Effect.asVoid(writeBytes(handle, data, "writeFile", path)),
      release
    )

  const missing = (method: string) => (): Effect.Effect<never> =>
    Effect.die(new Error(`SimulatedDisk has no FileSystem.${method}`))

  const open = (path: string, options?: {
    readonly flag?: FileSystem.OpenFlag | undefined
  }): Effect.Effect<FileSystem.File, PlatformError.PlatformError, Scope.Scope> =>
    Effect.map(Effect.acquireRelease(acquire(path, options?.flag ?? "r", "open"), release), makeFile)

  return FileSystem.make({
    access: (path) =>
      onPath("access", "access", "access", path, () => {
        tree.get(path, "access")
      }),
    chmod: missing("chmod"),
    chown: missing("chown"),
    copy: missing("copy"),
    copyFile: missing("copyFile"),
    link: missing("link"),
    lstat: stat("lstat"),
    makeDirectory: (path, options) =>
      onPath(
        "makeDirectory",
        "makeDirectory",
        "mkdir",
        path,
        () => tree.makeDirectory(path, options?.recursive ?? false)
      ),
    makeTempDirectory: missing("makeTempDirectory"),
    makeTempDirectoryScoped: missing("makeTempDirectoryScoped"),
    makeTempFile: missing("makeTempFile"),
    makeTempFileScoped: missing("makeTempFileScoped"),
    open,
    readDirectory: (path, options) =>
      onPath(
        "readDirectory",
        "readDirectory",
        "scandir",
        path,
        () =>
          options?.recursive === true
            ? walk(directoryAt(path), "", [])
            : namesOf(directoryAt(path)).map(([name]) => name)
      ),
    readDirectoryEntries: (path) =>
      onPath(
        "readDirectory",
        "readDirectoryEntries",
        "scandir",
        path,
        () => namesOf(directoryAt(path)).map(([name, node]) => ({ name, type: node.kind }))
      ),
    readFile,
    readLink: missing("readLink"),
    realPath: (path) =>
      onPath("stat", "realPath", "realpath", path, () => {
        tree.get(path, "realpath")
        return normalize(path)
      }),
    remove: (path, options) =>
      onPath(
        "remove",
        "remove",
        "rm",
        path,
        () => tree.remove(path, options?.recursive ?? false, options?.force ?? false)
      ),
    rename: (from, to) => onPath("rename", "rename", "rename", from, () => tree.rename(from, to)),
    stat: stat("stat"),
    symlink: missing("symlink"),
    truncate: (path, length) =>
      onPath("truncate", "truncate", "open", path, () => {
        const node = tree.get(path, "open")
        if (node.kind === "Directory") throw new DiskError("EISDIR", "open", path)
        resize(node, Math.max(0, length ?? 0))
      }),
    utimes: missing("utimes"),
    writeFile,
    watch: () => Stream.die(new Error("SimulatedDisk has no FileSystem.watch"))
  })
}
