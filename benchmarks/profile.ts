/**
 * What was on top in the CPU profiles of a run.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"

interface CpuProfile {
  readonly nodes: ReadonlyArray<{
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }>
  readonly samples: ReadonlyArray<number>
  readonly timeDeltas: ReadonlyArray<number>
}

export interface ProfileLine {
  readonly where: string
  readonly percent: number
}

const shown = 25

/** `file:///.../src/sink/BatchPlan.ts` to `src/sink/BatchPlan.ts`, `.../node_modules/effect/dist/x.js` to `effect/dist/x.js`. */
const shorten = (url: string): string => {
  const inModules = url.lastIndexOf("/node_modules/")
  if (inModules >= 0) return url.slice(inModules + "/node_modules/".length)
  return /\/((?:src|benchmarks)\/.*)$/.exec(url)?.[1] ?? url
}

/** Self time by function over all profiles of the directory, without idle time. */
export const summarize = (directory: string): ReadonlyArray<ProfileLine> => {
  const self = new Map<string, number>()
  let total = 0
  const files = Fs.existsSync(directory) ? Fs.readdirSync(directory).filter((name) => name.endsWith(".cpuprofile")) : []
  for (const file of files) {
    const profile = JSON.parse(Fs.readFileSync(Path.join(directory, file), "utf8")) as CpuProfile
    const names = new Map(profile.nodes.map(({ callFrame: { functionName, lineNumber, url }, id }) => [
      id,
      url === "" ? functionName : `${functionName || "(anonymous)"}  ${shorten(url)}:${lineNumber + 1}`
    ]))
    profile.samples.forEach((id, i) => {
      const name = names.get(id) ?? "(unknown)"
      if (name === "(idle)") return
      const micros = profile.timeDeltas[i]!
      self.set(name, (self.get(name) ?? 0) + micros)
      total += micros
    })
  }
  return [...self].toSorted(([, a], [, b]) => b - a).slice(0, shown)
    .map(([where, micros]) => ({ where, percent: micros / total * 100 }))
}
