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
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as DirectoryLock from "./DirectoryLock.ts"
import { ioError, makeDirectory, syncDirectory, writeDurably } from "./internal/files.ts"
import { encodeJobFile, readJobFile, sameJob } from "./internal/jobFile.ts"
import { listManifests, readManifest } from "./internal/manifestReader.ts"
import { openSegment } from "./internal/segmentReader.ts"
import type { SegmentWriter, Sweep } from "./StateBackend.ts"
import { StateBackend } from "./StateBackend.ts"
import type { WalError } from "./WalError.ts"
import { StateIoError } from "./WalError.ts"
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
  /** Bytes gathered before a write to the open segment; a block of half as many is written by itself. Default 256 KiB. */
  readonly writeBufferBytes?: number | undefined
  /** Bytes of a read of a sealed segment; as many are read ahead. Default 1 MiB. */
  readonly readBufferBytes?: number | undefined
  /** Take the directory from a process that still holds it. Its epoch fences it; default false. */
  readonly takeOver?: boolean | undefined
}

/** A long block is written as it is; short ones that follow each other are copied into one write. */
const joinSmall = (blocks: ReadonlyArray<Buffer>, smallBelow: number): Array<Buffer> => {
  const writes: Array<Buffer> = []
  let small: Array<Buffer> = []
  const join = () => {
    if (small.length > 0) writes.push(small.length === 1 ? small[0]! : Buffer.concat(small))
    small = []
  }
  for (const block of blocks) {
    if (block.length < smallBelow) {
      small.push(block)
    } else {
      join()
      writes.push(block)
    }
  }
  join()
  return writes
}

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
  const writeBufferBytes = options.writeBufferBytes ?? 256 * 1024

  yield* makeDirectory(fs, directory)
  yield* DirectoryLock.acquire(directory, options.takeOver ?? false)
  yield* checkJob(fs, directory, options)
  yield* makeDirectory(fs, segments)
  yield* makeDirectory(fs, checkpoints)
  // Also what a process before left without having synced it (job.json).
  yield* syncDirectory(fs, directory)

  const createSegment = Effect.fnUntraced(function*(
    header: WalFormat.SegmentHeader
  ): Effect.fn.Return<SegmentWriter, WalError, Scope.Scope> {
    const name = `e${header.epoch}-a${header.attempt}-s${header.subtask}-n${header.number}.wal`
    const path = `${segments}/${name}`
    const scope = yield* Scope.fork(yield* Effect.scope)
    const file = yield* ioError("create", path)(Scope.provide(fs.open(path, { flag: "wx" }), scope))
    let buffered: Array<Buffer> = [WalFormat.encodeJson("segment", header)]
    let bufferedBytes = buffered[0]!.length
    let releases: Array<() => void> = []
    let written = 0
    let rows = 0
    let crc = 0
    let first = 0
    let last = 0
    let failed: WalError | null = null
    let isSealed = false
    // Nobody knows of a segment that was never sealed; what a failed run leaves must not keep a full disk full. From here
    // on it can't be sealed any more: a handle of a file that is being removed must not be given out.
    yield* Scope.addFinalizer(
      scope,
      Effect.suspend(() => {
        if (isSealed) return Effect.void
        failed ??= new StateIoError({ path, operation: "seal", code: null, detail: "its run has ended" })
        return removeQuietly(path)
      })
    )

    /** No retry on the same handle: after a failed write or fsync the state of the file is unknown. */
    const orClose = <A>(self: Effect.Effect<A, WalError>): Effect.Effect<A, WalError> =>
      Effect.suspend(() => failed === null ? self : Effect.fail(failed)).pipe(
        Effect.tapError((error) => {
          failed = error
          return Scope.close(scope, Exit.void)
        })
      )
    const flush = Effect.suspend(() => {
      if (bufferedBytes === 0) return Effect.void
      const writes = joinSmall(buffered, writeBufferBytes / 2)
      const done = releases
      buffered = []
      releases = []
      written += bufferedBytes
      bufferedBytes = 0
      return Effect.forEach(writes, (bytes) => ioError("write", path)(file.writeAll(bytes)), { discard: true }).pipe(
        // Only now: a write that failed or was interrupted may still be reading from them.
        Effect.andThen(Effect.sync(() => done.forEach((release) => release())))
      )
    })

    return {
      append: (encoded, firstTimestamp, lastTimestamp) =>
        orClose(Effect.suspend(() => {
          if (encoded.rows === 0) return Effect.void
          const block = WalFormat.encodeBlock(encoded.withHeadroom, encoded.bytes.length, encoded.rows, crc)
          crc = block.crc
          if (rows === 0) first = firstTimestamp
          last = lastTimestamp
          rows += encoded.rows
          buffered.push(block.block)
          bufferedBytes += block.block.length
          if (encoded.release !== undefined) releases.push(encoded.release)
          return bufferedBytes < writeBufferBytes ? Effect.void : flush
        })),
      seal: (checkpointId) =>
        orClose(Effect.gen(function*() {
          yield* flush
          yield* ioError("sync", path)(file.sync)
          if (failed !== null) return yield* failed
          isSealed = true
          yield* Scope.close(scope, Exit.void)
          yield* syncDirectory(fs, segments)
          return {
            name,
            subtask: header.subtask,
            checkpointId,
            rows,
            bytes: written,
            crc,
            firstTimestamp: first,
            lastTimestamp: last
          }
        }))
    }
  })

  const manifestsNewestFirst = listManifests(fs, checkpoints)

  const removeQuietly = (path: string) =>
    Effect.catch(
      fs.remove(path),
      (error) =>
        error.reason._tag === "NotFound"
          ? Effect.void
          : Effect.logWarning(`Could not remove ${path} (${error.message}); the next start tries again`)
    )

  return StateBackend.of({
    describe: directory,
    jobId: options.jobId,
    uid: options.uid,
    createSegment,
    openSegment: (handle) => openSegment(fs, `${segments}/${handle.name}`, handle, options),
    discardSegment: (handle) => removeQuietly(`${segments}/${handle.name}`),
    completeCheckpoint: Effect.fnUntraced(function*(manifest) {
      const name = `e${manifest.epoch}-c${manifest.checkpointId}.manifest`
      yield* writeDurably(fs, checkpoints, name, WalFormat.encodeJson("manifest", manifest))
      const manifests = yield* manifestsNewestFirst
      // A newer one is a successor's, and may not be durable yet: nothing goes before what makes it dispensable is there.
      if (manifests[0]?.name !== name) yield* syncDirectory(fs, checkpoints)
      for (const old of manifests.slice(retained)) yield* removeQuietly(`${checkpoints}/${old.name}`)
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
        yield* removeQuietly(`${segments}/${name}`)
      }
      // The newest may have been renamed by a process that was killed before it was durable, or by a successor just now.
      if (manifests.length > retained) yield* syncDirectory(fs, checkpoints)
      for (const { epoch: ofManifest, name } of manifests.slice(retained)) {
        if (ofManifest > epoch) continue
        swept.manifests++
        yield* removeQuietly(`${checkpoints}/${name}`)
      }
      for (const name of yield* ioError("list", checkpoints)(fs.readDirectory(checkpoints))) {
        if (!name.endsWith(".tmp") || epochOf(name) > epoch) continue
        swept.temporary++
        yield* removeQuietly(`${checkpoints}/${name}`)
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
