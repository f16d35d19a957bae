/**
 * A state directory as it lies there, or a savepoint, for people who look at it: nothing is locked, claimed or changed, and
 * a job may be at work in it. What vanishes meanwhile was removed for something newer.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import type { Manifest, SegmentHandle } from "../checkpoint/Manifest.ts"
import type { Holder } from "./DirectoryLock.ts"
import * as DirectoryLock from "./DirectoryLock.ts"
import { ioError } from "./internal/files.ts"
import type { JobNames } from "./internal/jobFile.ts"
import { readJobFile, sameJob } from "./internal/jobFile.ts"
import type { ManifestName } from "./internal/manifestReader.ts"
import { listManifests, readManifest } from "./internal/manifestReader.ts"
import { openSegment } from "./internal/segmentReader.ts"
import { scanSegment } from "./internal/segmentScan.ts"
import * as Savepoint from "./Savepoint.ts"
import * as SegmentRows from "./SegmentRows.ts"
import type { OpenSegment } from "./StateBackend.ts"
import type { StateCorrupt, StateIoError, StateUnusable, WalError } from "./WalError.ts"

/**
 * A manifest that lies in the directory, and what it says if it can be read.
 *
 * @category models
 * @since 0.1.0
 */
export interface FoundCheckpoint extends ManifestName {
  readonly path: string
  readonly manifest: Result.Result<Manifest, StateCorrupt | StateUnusable>
}

/**
 * What is in the state directory of a job, at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface StateDirectory extends JobNames {
  readonly directory: string
  /** Null for the directory that a job works in. */
  readonly savepoint: { readonly id: string; readonly takenAt: number; readonly ledger: string | null } | null
  readonly owner: Holder | null
  /** The completed checkpoints that are kept, newest first. */
  readonly checkpoints: ReadonlyArray<FoundCheckpoint>
  /** Sizes of the files in `segments/`, by name. Those of no checkpoint are still being written, or left behind. */
  readonly files: ReadonlyMap<string, number>
}

/**
 * Something is not as it was written.
 *
 * @category models
 * @since 0.1.0
 */
export interface Damage {
  readonly path: string
  readonly offset: number
  readonly checkpointId: number | null
  readonly detail: string
}

const isGone = (error: WalError): boolean => error._tag === "StateIoError" && error.code === "ENOENT"

const orIfGone = <A, B, R>(
  self: Effect.Effect<A, StateIoError, R>,
  otherwise: B
): Effect.Effect<A | B, StateIoError, R> => Effect.catchIf(self, isGone, () => Effect.succeed(otherwise))

/** What is wrong with its bytes is told; that it can't be read at all is a failure. */
const tryManifest = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  directory: string,
  name: ManifestName
): Effect.fn.Return<FoundCheckpoint["manifest"], StateIoError> {
  const read = yield* Effect.result(readManifest(fs, directory, name))
  if (Result.isSuccess(read)) return Result.succeed(read.success)
  if (read.failure._tag === "StateIoError") return yield* read.failure
  return Result.fail(read.failure)
})

/**
 * For a directory in which `look` finds nothing.
 *
 * @category getters
 * @since 0.1.0
 */
export const describeNone = (directory: string): string =>
  `There is no state of a job in ${directory}: it has no job.json. Give the directory with --state, as it was given to load`

/**
 * Null if there is no state in the directory. Fails if it is another job's than `job` says.
 *
 * @category constructors
 * @since 0.1.0
 */
export const look = Effect.fnUntraced(function*(
  path: string,
  job: Partial<JobNames> = {}
): Effect.fn.Return<StateDirectory | null, WalError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const directory = path.length > 1 ? path.replace(/\/+$/, "") : path
  const names = yield* readJobFile(fs, directory)
  if (names === null) {
    const metadata = `${directory}/${Savepoint.metadataName}`
    return (yield* ioError("look at", metadata)(fs.exists(metadata))) ? yield* lookAtSavepoint(directory, job) : null
  }
  yield* sameJob(directory, names, job)
  const inCheckpoints = `${directory}/checkpoints`
  const checkpoints = yield* Effect.gen(function*() {
    const found: Array<FoundCheckpoint> = []
    for (const name of yield* orIfGone(listManifests(fs, inCheckpoints), [])) {
      const manifest = yield* tryManifest(fs, inCheckpoints, name)
      found.push({ ...name, path: `${inCheckpoints}/${name.name}`, manifest })
    }
    return found
    // One that was removed between listing and reading has made room for a newer one.
  }).pipe(Effect.retry({ times: 20, while: isGone }))
  const files = yield* sizes(fs, `${directory}/segments`)
  const owner = yield* DirectoryLock.holder(directory)
  return { ...names, directory, savepoint: null, owner, checkpoints, files }
})

const sizes = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  inSegments: string
): Effect.fn.Return<ReadonlyMap<string, number>, StateIoError> {
  const files = new Map<string, number>()
  for (const name of yield* orIfGone(ioError("list", inSegments)(fs.readDirectory(inSegments)), [])) {
    const file = `${inSegments}/${name}`
    const size = yield* orIfGone(Effect.map(ioError("look at", file)(fs.stat(file)), (info) => Number(info.size)), null)
    if (size !== null) files.set(name, size)
  }
  return files
})

/** A savepoint has one checkpoint; its segments lie as in a state directory. */
const lookAtSavepoint = Effect.fnUntraced(function*(
  directory: string,
  job: Partial<JobNames>
): Effect.fn.Return<StateDirectory, WalError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const { checkpoint, id, ledger, takenAt } = yield* Savepoint.read(directory)
  const { checkpointId, epoch, jobId, uid } = checkpoint
  yield* sameJob(directory, { jobId, uid }, job)
  const name = Savepoint.metadataName
  return {
    jobId,
    uid,
    directory,
    savepoint: { id, takenAt, ledger },
    owner: null,
    checkpoints: [{ name, epoch, checkpointId, path: `${directory}/${name}`, manifest: Result.succeed(checkpoint) }],
    files: yield* sizes(fs, `${directory}/segments`)
  }
})

/**
 * The newest checkpoint that can be read, null if there is none.
 *
 * @category getters
 * @since 0.1.0
 */
export const newest = ({ checkpoints }: StateDirectory): Manifest | null => {
  for (const { manifest } of checkpoints) if (Result.isSuccess(manifest)) return manifest.success
  return null
}

/**
 * The segments of all checkpoints that can be read, those of the newest first, each once.
 *
 * @category getters
 * @since 0.1.0
 */
export const segments = ({ checkpoints }: StateDirectory): ReadonlyArray<SegmentHandle> => {
  const found = new Map<string, SegmentHandle>()
  for (const { manifest } of checkpoints) {
    if (Result.isFailure(manifest)) continue
    for (const handle of manifest.success.pending) if (!found.has(handle.name)) found.set(handle.name, handle)
  }
  return [...found.values()].toSorted((a, b) => a.checkpointId - b.checkpointId || a.subtask - b.subtask)
}

/**
 * Opens a segment through the checks that recovery makes. One that has lost its end is read up to there, and fails then, where
 * recovery reads nothing of it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const open = Effect.fnUntraced(function*(state: StateDirectory, handle: SegmentHandle) {
  const fs = yield* FileSystem.FileSystem
  const opened: OpenSegment = yield* openSegment(fs, `${state.directory}/segments/${handle.name}`, handle, {
    jobId: state.jobId,
    uid: state.uid,
    isCutAllowed: true
  })
  return opened
})

/**
 * Reads all of a segment through the checks that recovery makes. All damage is told, not only the first; none for a
 * segment that is whole, null for one whose file is gone.
 *
 * @category combinators
 * @since 0.1.0
 */
export const verify = Effect.fnUntraced(function*(
  state: StateDirectory,
  handle: SegmentHandle
): Effect.fn.Return<ReadonlyArray<Damage> | null, StateIoError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const path = `${state.directory}/segments/${handle.name}`
  const { checkpointId } = handle
  const read = Effect.scoped(
    Effect.flatMap(
      open(state, handle),
      ({ blocks }) => SegmentRows.check(path, handle, blocks)
    )
  )
  const verdict = yield* Effect.result(read)
  if (Result.isSuccess(verdict)) return []
  const { failure } = verdict
  if (failure._tag === "StateIoError") return yield* failure
  if (!(yield* ioError("look at", path)(fs.exists(path)))) return null
  const offset = "offset" in failure ? failure.offset : 8
  const first: Damage = { path, offset, checkpointId, detail: failure.detail }
  // It may have been removed meanwhile: then it was needed no longer.
  const bytes = yield* orIfGone(ioError("read", path)(fs.readFile(path)), new Uint8Array(0))
  if (bytes.length === 0) return [first]
  const { damage } = scanSegment(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), handle)
  return damage.length === 0
    ? [first]
    : damage.map(({ detail, offset: at }) => ({ path, offset: at, checkpointId, detail }))
})
