/**
 * The durable state backend: a directory of one job on a file system that keeps what was fsynced.
 *
 *     <directory>/job.json                                      whose state this is
 *     <directory>/lock.<n>                                      DirectoryLock
 *     <directory>/segments/e<epoch>-a<attempt>-s<subtask>-n<number>.wal
 *     <directory>/checkpoints/e<epoch>-c<checkpoint>.manifest
 *
 * The bytes are told in WalFormat. What makes them last: a segment is fsynced, and its directory, before its handle is
 * given out; a manifest is written beside its name, fsynced, renamed, and the directory fsynced, before the checkpoint
 * counts. A failed write or fsync closes its file for good. Written against Effect's `FileSystem`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as DirectoryLock from "./DirectoryLock.ts"
import { ioError, makeDirectory, removeQuietly, syncDirectory, writeDurably } from "./internal/files.ts"
import { encodeJobFile, readJobFile, sameJob } from "./internal/jobFile.ts"
import { listManifests, readManifest } from "./internal/manifestReader.ts"
import { ReadBuffers } from "./internal/readBuffers.ts"
import { openSegment } from "./internal/segmentReader.ts"
import { createSegment } from "./internal/segmentWriter.ts"
import { SpareBuffers } from "./internal/spareBuffers.ts"
import type { Sweep } from "./StateBackend.ts"
import { StateBackend } from "./StateBackend.ts"
import type { WalError } from "./WalError.ts"
import * as WalFormat from "./WalFormat.ts"

/**
 * Which directory, whose, and how much of it is kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileStateBackendOptions {
  /** Made if it does not exist. One job, one directory. */
  readonly directory: string
  readonly jobId: string
  readonly uid: string
  /** Completed checkpoints that are kept, the newest included. Default 1. */
  readonly retainedCheckpoints?: number | undefined
  /** Bytes gathered before a write to the open segment; a block of half as many is written by itself. Default 512 KiB. */
  readonly writeBufferBytes?: number | undefined
  /** Bytes of a read of a sealed segment; as many are read ahead. Default 2 MiB. */
  readonly readBufferBytes?: number | undefined
  /** Take the directory from a process that still holds it. Its epoch fences it; default false. */
  readonly takeOver?: boolean | undefined
}

/** For a few subtasks, each of which is written to while one more is gathered. */
const writeBuffersKept = 8

const epochOf = (name: string): number => Number(/^e(\d+)-/.exec(name)?.[1] ?? 0)

/**
 * Opens (or makes) the directory, locks it for this process, and checks that it belongs to this job.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: FileStateBackendOptions
): Effect.fn.Return<StateBackend["Service"], WalError, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const directory = options.directory.length > 1 ? options.directory.replace(/\/+$/, "") : options.directory
  const segments = `${directory}/segments`
  const checkpoints = `${directory}/checkpoints`
  const retained = Math.max(1, options.retainedCheckpoints ?? 1)
  const { jobId, uid } = options
  const reading = { jobId, uid, buffers: new ReadBuffers(options.readBufferBytes ?? 2 * 1024 * 1024) }
  const writing = new SpareBuffers(options.writeBufferBytes ?? 512 * 1024, writeBuffersKept)

  yield* makeDirectory(fs, directory)
  yield* DirectoryLock.acquire(directory, options.takeOver ?? false)
  yield* checkJob(fs, directory, options)
  yield* makeDirectory(fs, segments)
  yield* makeDirectory(fs, checkpoints)
  // Also what a process before left without having synced it (job.json).
  yield* syncDirectory(fs, directory)

  const manifestsNewestFirst = listManifests(fs, checkpoints)

  return StateBackend.of({
    describe: directory,
    jobId: options.jobId,
    uid: options.uid,
    createSegment: (header) => createSegment(fs, segments, header, writing),
    openSegment: (handle) => openSegment(fs, `${segments}/${handle.name}`, handle, reading),
    holdsSegment: ({ name }) => ioError("look at", `${segments}/${name}`)(fs.exists(`${segments}/${name}`)),
    discardSegment: (handle) => removeQuietly(fs, `${segments}/${handle.name}`),
    completeCheckpoint: Effect.fnUntraced(function*(manifest) {
      const name = `e${manifest.epoch}-c${manifest.checkpointId}.manifest`
      yield* writeDurably(fs, checkpoints, name, WalFormat.encodeJson("manifest", manifest))
      const manifests = yield* manifestsNewestFirst
      // A newer one is a successor's, and may not be durable yet: nothing goes before what makes it dispensable is there.
      if (manifests[0]?.name !== name) yield* syncDirectory(fs, checkpoints)
      for (const old of manifests.slice(retained)) yield* removeQuietly(fs, `${checkpoints}/${old.name}`)
    }),
    // One that is listed may be removed before it is read, by a process that does not know yet that it is superseded.
    latestCheckpoint: Effect.flatMap(
      manifestsNewestFirst,
      ([newest]) => newest === undefined ? Effect.succeed(null) : readManifest(fs, checkpoints, newest)
    ).pipe(
      Effect.retry({ times: 3, while: (error) => error._tag === "StateIoError" && error.code === "ENOENT" })
    ),
    sweep: Effect.fnUntraced(function*(keep, epoch) {
      const kept = new Set(keep.map((handle) => handle.name))
      const manifests = yield* manifestsNewestFirst
      for (const manifest of manifests.slice(0, retained)) {
        for (const handle of (yield* readManifest(fs, checkpoints, manifest)).pending) kept.add(handle.name)
      }
      const swept: { -readonly [key in keyof Sweep]: number } = { segments: 0, manifests: 0, temporary: 0 }
      for (const name of yield* ioError("list", segments)(fs.readDirectory(segments))) {
        if (kept.has(name) || epochOf(name) > epoch) continue
        swept.segments++
        yield* removeQuietly(fs, `${segments}/${name}`)
      }
      // The newest may have been renamed by a process that was killed before it was durable, or by a successor just now.
      if (manifests.length > retained) yield* syncDirectory(fs, checkpoints)
      for (const { epoch: ofManifest, name } of manifests.slice(retained)) {
        if (ofManifest > epoch) continue
        swept.manifests++
        yield* removeQuietly(fs, `${checkpoints}/${name}`)
      }
      for (const name of yield* ioError("list", checkpoints)(fs.readDirectory(checkpoints))) {
        if (!name.endsWith(".tmp") || epochOf(name) > epoch) continue
        swept.temporary++
        yield* removeQuietly(fs, `${checkpoints}/${name}`)
      }
      return swept
    })
  })
})

/** A directory belongs to the first job that uses it. */
const checkJob = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  directory: string,
  options: FileStateBackendOptions
): Effect.fn.Return<void, WalError> {
  const found = yield* readJobFile(fs, directory)
  yield* found === null
    ? writeDurably(fs, directory, "job.json", encodeJobFile(options))
    : sameJob(directory, found, options)
})

/**
 * `make` as a layer: the directory is locked until its Scope closes.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: FileStateBackendOptions
): Layer.Layer<StateBackend, WalError, FileSystem.FileSystem> => Layer.effect(StateBackend, make(options))
