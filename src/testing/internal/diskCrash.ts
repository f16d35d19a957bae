/**
 * What a power loss leaves on a simulated disk.
 */
import type { Fate, Unsynced } from "./diskFile.ts"
import type { Random } from "./diskRandom.ts"
import { below, chance } from "./diskRandom.ts"
import type { DiskTree, NameChange } from "./diskTree.ts"

/**
 * - `kill`: the process dies, the machine does not. Nothing that was written is lost, and nothing becomes durable.
 * - `lost`: power loss, and nothing unsynced survives.
 * - `kept`: power loss, and everything unsynced had reached the disk.
 * - `cut`: power loss; the disk holds what was synced, and the rest up to a moment before, its last write torn.
 * - `scattered`: power loss; each unsynced write (each of its sectors) and each change of names survives or does not,
 *   independently of the others.
 * - `mixed`: power loss; each file and each directory has a fate of its own.
 */
export type CrashMode = "kill" | "lost" | "kept" | "cut" | "scattered" | "mixed"

interface Judge {
  readonly write: (file: number) => (change: Unsynced) => Fate
  readonly name: (change: NameChange) => boolean
}

const judgeOf = (mode: Exclude<CrashMode, "kill">, tree: DiskTree, random: Random): Judge => {
  switch (mode) {
    case "lost":
      return { write: () => () => "lost", name: () => false }
    case "kept":
      return { write: () => () => "kept", name: () => true }
    case "cut": {
      const order = tree.changes.map((change) => change.at)
      for (const [, file] of tree.files()) for (const change of file.unsynced) order.push(change.at)
      order.sort((a, b) => a - b)
      const moment = order[below(random, order.length + 1)] ?? Infinity
      return {
        write: () => (change) => change.at < moment ? "kept" : change.at === moment ? "torn" : "lost",
        name: (change) => change.at < moment
      }
    }
    case "scattered":
      return { write: () => () => anyFate(random), name: () => chance(random, 0.5) }
    case "mixed": {
      const names = new Map<number, number>()
      return {
        write: () => {
          const drawn = random()
          return drawn < 0.25
            ? () => "lost"
            : drawn < 0.5
            ? () => "kept"
            : drawn < 0.75
            ? () => "scattered"
            : () => anyFate(random)
        },
        name: (change) => {
          const directory = change.edits[0]!.directory.id
          if (!names.has(directory)) names.set(directory, [0, 0.2, 0.5, 0.8, 1][below(random, 5)]!)
          return chance(random, names.get(directory)!)
        }
      }
    }
  }
}

const fates: ReadonlyArray<Fate> = ["kept", "lost", "torn", "scattered"]
const anyFate = (random: Random): Fate => fates[below(random, fates.length)]!

/**
 * Renames of one node survive in their order, and so do renames of directories: else a directory could stand in two
 * places at once, which no file system allows.
 */
const survivors = (tree: DiskTree, keep: (change: NameChange) => boolean): Set<NameChange> => {
  const kept = new Set<NameChange>()
  const needed = new Set<number | "directories">()
  for (let i = tree.changes.length - 1; i >= 0; i--) {
    const change = tree.changes[i]!
    const chain = change.node.kind === "Directory" ? "directories" : change.node.id
    const survives = keep(change)
    if (survives || (change.what === "rename" && needed.has(chain))) {
      kept.add(change)
      if (change.what === "rename") needed.add(chain)
    }
  }
  return kept
}

/** Cuts the power. Returns the changes of names that were undone, newest first. */
export const powerLoss = (
  tree: DiskTree,
  mode: Exclude<CrashMode, "kill">,
  random: Random,
  count: (event: string) => void
): Array<string> => {
  const judge = judgeOf(mode, tree, random)
  const kept = survivors(tree, judge.name)
  const undone: Array<string> = []
  let lostBefore = false
  for (const change of tree.changes) {
    if (kept.has(change)) {
      count(`${change.what} kept`)
      if (lostBefore) count("later name change kept without an earlier one")
    } else {
      lostBefore = true
      count(`${change.what} undone`)
      undone.push(change.label)
    }
  }
  tree.restart(tree.changes.filter((change) => kept.has(change)))
  for (const [, file] of tree.files()) file.powerLoss(judge.write(file.id), random, count)
  tree.countUsed()
  return undone.toReversed()
}
