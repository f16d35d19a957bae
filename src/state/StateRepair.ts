/**
 * What can be done about damage in a state directory without guessing. Only looks; `repair` of the command does it.
 *
 * Going back to an older checkpoint that is kept loses nothing: the input is read again from its position. It has to be
 * one that led to the newer: of the same epoch, or the very checkpoint that the newer epoch began with; what a superseded
 * process or repair completed beside its successor is neither. Where there is none, a damaged segment is cut at its first damaged
 * block, and it is told which rows that loses.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import type { Manifest, SegmentHandle } from "../checkpoint/Manifest.ts"
import { ioError } from "./internal/files.ts"
import type { SegmentScan } from "./internal/segmentScan.ts"
import { scanSegment } from "./internal/segmentScan.ts"
import type { FoundCheckpoint, StateDirectory } from "./StateDirectory.ts"
import { verify } from "./StateDirectory.ts"
import type { StateIoError } from "./WalError.ts"

/**
 * A segment, what of it is whole, and what is lost with the rest.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cut {
  readonly handle: SegmentHandle
  readonly scan: SegmentScan
  readonly offset: number
  readonly lostRows: number
  /** The lost records lie behind this place, null: anywhere from the checkpoint's first record. */
  readonly after: number | null
  /** And not behind this one, null: up to the checkpoint's last record. */
  readonly upTo: number | null
}

/**
 * What can be done about the damage of a directory.
 *
 * @category models
 * @since 0.1.0
 */
export type Plan =
  | { readonly kind: "nothing" }
  | Feasible
  | { readonly kind: "refused"; readonly why: string }

/**
 * A plan that there is something to carry out of.
 *
 * @category models
 * @since 0.1.0
 */
export type Feasible =
  /** `to` becomes the newest; `aside` are the manifests that are moved away. */
  | { readonly kind: "back"; readonly to: Manifest; readonly aside: ReadonlyArray<FoundCheckpoint> }
  | {
    readonly kind: "cut"
    readonly manifest: Manifest
    readonly cuts: ReadonlyArray<Cut>
    readonly aside: ReadonlyArray<FoundCheckpoint>
  }

const isDamaged = ({ manifest }: FoundCheckpoint): boolean => Result.isFailure(manifest)

/**
 * Whether `older` is a checkpoint that `newer` came from. The first of an epoch lists what the one that it began with lists,
 * or less; one of the same id that does not have all of that is what a superseded repair has cut beside it. (Where one of
 * them can't be read, only the ids tell.)
 */
const ledTo = (older: FoundCheckpoint, newer: FoundCheckpoint): boolean => {
  if (older.epoch === newer.epoch) return true
  if (older.checkpointId !== newer.checkpointId) return false
  if (isDamaged(older) || isDamaged(newer)) return true
  const names = new Set(Result.getOrThrow(older.manifest).pending.map(({ name }) => name))
  return Result.getOrThrow(newer.manifest).pending.every(({ name }) => names.has(name))
}

const cutOf = Effect.fnUntraced(function*(
  state: StateDirectory,
  handle: SegmentHandle
): Effect.fn.Return<Cut | string, StateIoError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const path = `${state.directory}/segments/${handle.name}`
  if (!state.files.has(handle.name)) return `${path} is gone, and with it all of its ${handle.rows} rows`
  const bytes = yield* ioError("read", path)(fs.readFile(path))
  const scan = scanSegment(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), handle)
  if (scan.whole === null || scan.damage.length === 0) {
    return `${path} does not say for which statement its ${handle.rows} rows are`
  }
  return {
    handle,
    scan,
    offset: scan.damage[0]!.offset,
    lostRows: handle.rows - scan.whole.rows,
    after: scan.lastBefore?.place ?? null,
    upTo: scan.isEndWhole ? scan.lastOfAll!.place : null
  }
})

/**
 * Reads everything that is not committed, and finds the way that loses least.
 *
 * @category constructors
 * @since 0.1.0
 */
export const plan = Effect.fnUntraced(function*(
  state: StateDirectory,
  committed: ReadonlyMap<number, number>
): Effect.fn.Return<Plan, StateIoError, FileSystem.FileSystem> {
  const { checkpoints } = state
  const newest = checkpoints[0]
  if (newest === undefined) return { kind: "nothing" }
  const damagedIn = Effect.fnUntraced(function*({ pending }: Manifest) {
    const damaged: Array<SegmentHandle> = []
    for (const handle of pending) {
      if (handle.checkpointId <= (committed.get(handle.subtask) ?? 0)) continue
      const found = yield* verify(state, handle)
      if (found === null || found.length > 0) damaged.push(handle)
    }
    return damaged
  })
  let strange: FoundCheckpoint | null = null
  for (const [i, found] of checkpoints.entries()) {
    if (i > 0 && !ledTo(found, checkpoints[i - 1]!)) {
      strange = found
      break
    }
    if (Result.isFailure(found.manifest)) continue
    if ((yield* damagedIn(found.manifest.success)).length > 0) continue
    const aside = checkpoints.filter((other, j) => j < i || isDamaged(other))
    return aside.length === 0 ? { kind: "nothing" } : { kind: "back", to: found.manifest.success, aside }
  }
  if (Result.isFailure(newest.manifest)) {
    return {
      kind: "refused",
      why: `${newest.path} is damaged, and ` + (strange === null
        ? "no older checkpoint that is whole is kept (--retained-checkpoints keeps some)"
        : `${strange.path} is not known to be a checkpoint that led to it`)
    }
  }
  const manifest = newest.manifest.success
  const cuts: Array<Cut> = []
  for (const handle of yield* damagedIn(manifest)) {
    const cut = yield* cutOf(state, handle)
    if (typeof cut === "string") return { kind: "refused", why: `${cut}. No older checkpoint that is whole is kept` }
    cuts.push(cut)
  }
  return { kind: "cut", manifest, cuts, aside: checkpoints.filter(isDamaged) }
})
