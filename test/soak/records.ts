/**
 * The file that the processes load: many records for each one of the program.
 */
import * as Fs from "node:fs"
import { buckets } from "./cluster.ts"
import type { Program } from "./program.ts"

/** Updates of one key come in turns with those of others of the same kind. */
const keysOfKind = 50

/** The keys of all records of the file in their order. */
export const keysOf = (program: Program, records: number): { readonly scale: number; readonly keys: Array<number> } => {
  const own = program.chunks.reduce((sum, { keys }) => sum + keys.length, 0)
  const scale = own === 0 ? 1 : Math.max(1, Math.round(records / own))
  const keys: Array<number> = []
  for (const chunk of program.chunks) {
    for (let i = 0; i < scale; i++) {
      for (const key of chunk.keys) keys.push(key * 1000 + i % keysOfKind)
    }
  }
  return { scale, keys }
}

/** The later of two rows with one timestamp would not win: its rank is less. */
export const writeFile = (path: string, number: number, keys: ReadonlyArray<number>) => {
  const lines = keys.map((id, i) =>
    `{"program":${number},"bucket":${id % buckets},"id":${id},"seq":${i + 1},"rank":${-i - 1}}\n`
  )
  Fs.writeFileSync(path, lines.join(""))
}
