/**
 * The disk of the model: names and contents, and what of them is durable.
 *
 * A file system without promises: what was not synced is there after a power loss or is not, each name and each content
 * for itself, in no order. Creating, renaming and removing a name is durable once its directory is synced, which makes
 * everything in it durable at once, whoever did it. A kill takes nothing.
 *
 * Scopes without power losses need none of this: there every change is durable at once (`isVolatile` false).
 */
import type { Disk, Manifest, ManifestFile, Segment, SegmentFile, Unsent } from "./state.ts"

export type Order = (a: Manifest, b: Manifest) => number

export const newestFirst: Order = (a, b) => b.e - a.e || b.checkpoint - a.checkpoint
export const greatestIdFirst: Order = (a, b) => b.checkpoint - a.checkpoint || b.e - a.e

export const isSame = (a: Segment, b: Segment): boolean => a.e === b.e && a.s === b.s && a.n === b.n

export const bySegment = (a: Segment, b: Segment): number =>
  a.checkpoint - b.checkpoint || a.s - b.s || a.e - b.e || a.n - b.n

export const copySegment = ({ checkpoint, e, n, rows, s, ts }: Segment): Segment => ({ e, s, n, checkpoint, rows, ts })

export const asUnsent = ({ checkpoint, e, n, rows, s, ts }: Segment, restored: number): Unsent => ({
  e,
  s,
  n,
  checkpoint,
  rows,
  ts,
  restored
})

const byManifest = (a: ManifestFile, b: ManifestFile): number => newestFirst(a, b) || a.seen - b.seen

export const createSegment = (disk: Disk, segment: Segment, isVolatile: boolean): void => {
  disk.segments.push({ ...copySegment(segment), content: 0, seen: 1, kept: isVolatile ? 0 : 1 })
  disk.segments.sort(bySegment)
}

export const findSegment = (disk: Disk, segment: Segment): SegmentFile | undefined =>
  disk.segments.find((file) => file.seen === 1 && isSame(file, segment))

/** A name that never was durable is gone for good: nobody would miss the file, it is in no manifest that counts. */
const drop = <A extends { seen: number; kept: number }>(
  files: Array<A>,
  isDropped: (file: A) => boolean,
  v: boolean
) => {
  for (const file of files) if (isDropped(file)) file.seen = 0
  return files.filter((file) => file.seen === 1 || (v && file.kept === 1))
}

export const removeSegments = (disk: Disk, isRemoved: (file: Segment) => boolean, isVolatile: boolean): void => {
  disk.segments = drop(disk.segments, isRemoved, isVolatile)
}

/** A segment whose rows are committed: whether its file is there, or comes back, is seen by nobody who asks the ledger. */
export const forgetSegment = (disk: Disk, segment: Segment): void => {
  disk.segments = disk.segments.filter((file) => !isSame(file, segment))
}

export const syncSegmentNames = (disk: Disk): void => {
  disk.segments = disk.segments.filter(({ seen }) => seen === 1)
  for (const file of disk.segments) file.kept = 1
}

/** What is listed, newest first. */
export const manifests = (disk: Disk, order: Order): Array<ManifestFile> =>
  disk.manifests.filter(({ seen }) => seen === 1).toSorted(order)

/** The new name takes the place of an old one with the same name. */
export const renameManifest = (disk: Disk, manifest: Manifest, content: number, isVolatile: boolean): void => {
  const isReplaced = (file: Manifest) => file.e === manifest.e && file.checkpoint === manifest.checkpoint
  disk.manifests = drop(disk.manifests, isReplaced, isVolatile)
  disk.manifests.push({
    ...manifest,
    pending: manifest.pending.map(copySegment),
    content,
    seen: 1,
    kept: isVolatile ? 0 : 1
  })
  disk.manifests.sort(byManifest)
}

export const syncManifestNames = (disk: Disk): void => {
  disk.manifests = disk.manifests.filter(({ seen }) => seen === 1)
  for (const file of disk.manifests) file.kept = 1
}

export const removeManifests = (disk: Disk, isRemoved: (file: Manifest) => boolean, isVolatile: boolean): void => {
  disk.manifests = drop(disk.manifests, isRemoved, isVolatile)
}

/**
 * Files of no manifest, when no process is left that could still list them, are of no use to anybody but a sweep, and
 * their names never come back: they are taken away at once.
 */
export const dropOrphans = (disk: Disk): void => {
  const listed = disk.manifests.flatMap(({ pending }) => pending)
  disk.segments = disk.segments.filter((file) => listed.some((segment) => isSame(segment, file)))
}

export const hasUnsynced = (disk: Disk): boolean =>
  disk.segments.some((file) => file.seen !== file.kept || file.content === 1) ||
  disk.manifests.some((file) => file.seen !== file.kept || file.content === 1)

/** One thing that a power loss may take or leave; `choose` does it. */
interface Choice {
  readonly options: number
  readonly choose: (disk: Disk, option: number) => void
}

const choicesOf = (disk: Disk): Array<Choice> => {
  const choices: Array<Choice> = []
  const listed = disk.manifests.flatMap(({ pending }) => pending)
  for (const file of disk.segments) {
    const { content, e, kept, n, s, seen } = file
    // Orphans are dropped in any case.
    if (!listed.some((segment) => isSame(segment, file))) continue
    const find = (disk: Disk) => disk.segments.find((file) => file.e === e && file.s === s && file.n === n)!
    if (seen !== kept) choices.push({ options: 2, choose: (disk, option) => find(disk).seen = option })
    if (content === 1) choices.push({ options: 2, choose: (disk, option) => find(disk).content = option * 2 })
  }
  const names = new Set(disk.manifests.map(({ checkpoint, e }) => e * 256 + checkpoint))
  for (const name of names) {
    const find = (disk: Disk) => disk.manifests.filter(({ checkpoint, e }) => e * 256 + checkpoint === name)
    const versions = find(disk)
    if (versions.some((file) => file.seen !== file.kept)) {
      choices.push({
        options: 2,
        choose: (disk, option) => {
          for (const file of find(disk)) file.seen = option === 0 ? file.kept : file.seen
        }
      })
    }
    if (versions.some((file) => file.content === 1)) {
      choices.push({
        options: 2,
        choose: (disk, option) => {
          for (const file of find(disk)) if (file.content === 1) file.content = option * 2
        }
      })
    }
  }
  return choices
}

export const powerLosses = (disk: Disk): number =>
  choicesOf(disk).reduce((product, { options }) => product * options, 1)

/** The power is gone and comes back; `which` of the possible outcomes it was. */
export const losePower = (disk: Disk, which: number): void => {
  let rest = which
  for (const { choose, options } of choicesOf(disk)) {
    choose(disk, rest % options)
    rest = Math.floor(rest / options)
  }
  syncSegmentNames(disk)
  syncManifestNames(disk)
  dropOrphans(disk)
}
