/**
 * The log against the file system it is on: the same bytes, in files of the same size, written and synced (or read) once
 * by the state backend and once by plain system calls.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import type { SegmentHandle } from "effect-cassandra/checkpoint/Manifest"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"
import type { EncodedRows } from "effect-cassandra/state/RowFrame"
import * as RowFrame from "effect-cassandra/state/RowFrame"
import type { StateBackend } from "effect-cassandra/state/StateBackend"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Zlib from "node:zlib"
import { makeRowAt, workloads } from "../rows.ts"
import { config, cpuSeconds, finish } from "./inside.ts"

export interface LogConfig {
  readonly mode: "append" | "raw-write" | "read" | "read-rows" | "raw-read" | "raw-read-crc"
  readonly bytes: number
  readonly directory: string
  /** Read from the disk, not from the page cache. */
  readonly isCold: boolean
}

const options = config<LogConfig>()

/** The library's default bound on an open segment; at rates over 8 MiB/s it makes the checkpoints, not the interval. */
const segmentBytes = Math.min(8 * 1024 * 1024, options.bytes)
const segments = Math.max(1, Math.floor(options.bytes / segmentBytes))
const writeBytes = 256 * 1024
const readBytes = 1024 * 1024

/** Chunks of 1024 rows of 100 bytes, as the source gives them. They differ, as one is overwritten while another waits. */
const makeChunks = (): ReadonlyArray<EncodedRows> => {
  const rowAt = makeRowAt(workloads[0]!)
  return Array.from({ length: 16 }, (_, chunk) => {
    const writer = new RowFrame.FrameWriter()
    for (let i = 0; i < 1024; i++) {
      const row = rowAt(chunk * 1024 + i)
      const id = Buffer.alloc(8)
      id.writeUInt32BE(row.id, 4)
      const kind = Buffer.alloc(4)
      kind.writeInt32BE(row.kind, 0)
      const value = Buffer.alloc(8)
      value.writeDoubleBE(row.value, 0)
      writer.add(i, 0, [id, kind, value, Buffer.from(row.payload)])
    }
    return writer.take()
  })
}

/** As a subtask does: one segment is sealed while the next is written. */
const appendAll = (backend: StateBackend["Service"], chunks: ReadonlyArray<EncodedRows>) =>
  Effect.gen(function*() {
    const handles: Array<SegmentHandle> = []
    let timestamp = 1_700_000_000_000_000
    let next = 0
    let sealing: Fiber.Fiber<SegmentHandle, unknown> | null = null
    for (let number = 0; number < segments; number++) {
      const header = { jobId: "bench", uid: "bench", epoch: 1, attempt: 0, subtask: 0, number, statements: [] }
      const writer = yield* backend.createSegment(header)
      for (let bytes = 0; bytes < segmentBytes;) {
        const chunk = chunks[next++ % chunks.length]!
        const first = timestamp
        timestamp = RowFrame.stamp(chunk, first)
        yield* writer.append(chunk, first, timestamp - 1)
        bytes += chunk.bytes.length
      }
      if (sealing !== null) handles.push(yield* Fiber.join(sealing))
      sealing = yield* Effect.forkChild(writer.seal(number + 1), { startImmediately: true })
    }
    if (sealing !== null) handles.push(yield* Fiber.join(sealing))
    return handles
  })

const raw = Buffer.alloc(writeBytes, "raw")

/** A new file of at least so many bytes, synced; gives how many they are. */
const writeSynced = (path: string, bytes: number): number => {
  const file = Fs.openSync(path, "wx")
  let written = 0
  while (written < bytes) written += Fs.writeSync(file, raw)
  Fs.fsyncSync(file)
  Fs.closeSync(file)
  return written
}

const rawWrite = (): number => {
  const directory = Path.join(options.directory, "raw")
  Fs.mkdirSync(directory, { recursive: true })
  const folder = Fs.openSync(directory, "r")
  let written = 0
  for (let number = 0; number < segments; number++) {
    written += writeSynced(Path.join(directory, `${number}.raw`), segmentBytes)
    Fs.fsyncSync(folder)
  }
  Fs.closeSync(folder)
  return written
}

/**
 * Has the kernel take the memory that the pages of a run need, which costs as much as writing them: whoever came first
 * after a server's runs would pay it for the others.
 */
const warmPages = (): void => {
  const path = Path.join(options.directory, "warm")
  writeSynced(path, options.bytes)
  Fs.unlinkSync(path)
}

const rawRead = (paths: ReadonlyArray<string>, isChecked: boolean): number => {
  const buffer = Buffer.allocUnsafeSlow(readBytes)
  let read = 0
  for (const path of paths) {
    const file = Fs.openSync(path, "r")
    let crc = 0
    for (let n = -1; n !== 0; read += n) {
      n = Fs.readSync(file, buffer)
      if (isChecked) crc = Zlib.crc32(buffer.subarray(0, n), crc)
    }
    Fs.closeSync(file)
  }
  return read
}

/** Has the kernel forget the files' pages. */
const evict = (paths: ReadonlyArray<string>): void => {
  for (const path of paths) {
    const args = [`of=${path}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]
    const { error, status, stderr } = ChildProcess.spawnSync("dd", args, { encoding: "utf8" })
    if (status !== 0) throw new Error(`dd could not drop ${path} from the page cache: ${error?.message ?? stderr}`)
  }
}

const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const cpuBefore = cpuSeconds()
    const startedAt = performance.now()
    return Effect.map(self, (value) => ({
      value,
      seconds: (performance.now() - startedAt) / 1000,
      cpu: cpuSeconds() - cpuBefore
    }))
  })

const program = Effect.gen(function*() {
  // What is read was written just before, by this process.
  if (options.mode === "append" || options.mode === "raw-write") yield* Effect.sync(warmPages)
  if (options.mode === "raw-write") return yield* timed(Effect.sync(rawWrite))
  const directory = Path.join(options.directory, "state")
  const backend = yield* FileStateBackend.make({ directory, jobId: "bench", uid: "bench" })
  const chunks = makeChunks()
  const appended = yield* timed(appendAll(backend, chunks))
  const handles = appended.value
  const bytes = handles.reduce((sum, handle) => sum + handle.bytes, 0)
  if (options.mode === "append") return { ...appended, value: bytes }
  const paths = handles.map((handle) => Path.join(directory, "segments", handle.name))
  if (options.isCold) yield* Effect.sync(() => evict(paths))
  if (options.mode === "raw-read" || options.mode === "raw-read-crc") {
    return yield* timed(Effect.sync(() => rawRead(paths, options.mode === "raw-read-crc")))
  }
  const inRows = options.mode === "read-rows"
  let rows = 0
  // As a subtask does: the next segment is opened while one is sent.
  const open = Effect.fnUntraced(function*(handle: SegmentHandle) {
    const scope = yield* Scope.make()
    const opening = Scope.provide(backend.openSegment(handle), scope)
    return { scope, opened: yield* Effect.forkChild(opening, { startImmediately: true }) }
  })
  const read = Effect.gen(function*() {
    let next = yield* open(handles[0]!)
    for (let i = 0; i < handles.length; i++) {
      const { opened, scope } = next
      const { blocks } = yield* Fiber.join(opened)
      if (i + 1 < handles.length) next = yield* open(handles[i + 1]!)
      yield* Stream.runForEachArray(blocks, (some) =>
        Effect.sync(() => {
          for (const block of some) {
            rows += inRows ? RowFrame.read(block.payload).length : block.rows
            block.release?.()
          }
        }))
      yield* Scope.close(scope, Exit.void)
    }
  })
  const result = yield* timed(read)
  const wanted = handles.reduce((sum, handle) => sum + handle.rows, 0)
  if (rows !== wanted) throw new Error(`${rows} rows were read back, not ${wanted}`)
  return { ...result, value: bytes }
})

const { cpu, seconds, value: bytes } = await Effect.runPromise(
  Effect.scoped(Effect.provide(program, NodeServices.layer)) as Effect.Effect<
    { readonly value: number; readonly seconds: number; readonly cpu: number },
    unknown
  >
)
finish({ seconds, bytes, mibPerSecond: bytes / 1024 / 1024 / seconds, cpuPerGib: cpu / bytes * 1024 ** 3 })
