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

export interface ProfileSummary {
  /** By where the code is from. */
  readonly origins: ReadonlyArray<ProfileLine>
  /** The functions on top. */
  readonly functions: ReadonlyArray<ProfileLine>
}

const functionsShown = 25

/** `file:///.../dist/sink/BatchPlan.js` to `dist/sink/BatchPlan.js`, `.../node_modules/effect/dist/x.js` to `effect/dist/x.js`. */
const shorten = (url: string): string => {
  const inModules = url.lastIndexOf("/node_modules/")
  if (inModules >= 0) return url.slice(inModules + "/node_modules/".length)
  return /\/((?:dist|benchmarks)\/.*)$/.exec(url)?.[1] ?? url
}

/** What stands for starting is told apart: Node compiles and loads modules only once, however many rows there are. */
const originOf = (functionName: string, url: string): string => {
  if (url === "") return functionName.startsWith("(") ? functionName : "native code"
  if (/^node:internal\/(modules|bootstrap|deps\/(amaro|cjs-module-lexer)|process|url)/.test(url)) {
    return "Node, loading modules"
  }
  if (url.startsWith("node:")) return "Node, the rest"
  const [first, second] = shorten(url).split("/")
  return first === "dist" ? `this library, ${second}` : first!.startsWith("@") ? `${first}/${second}` : first!
}

/** The profiles that are there now, so that those of a later run can be told from them. */
export const present = (directory: string): ReadonlySet<string> =>
  new Set(Fs.existsSync(directory) ? Fs.readdirSync(directory).filter((name) => name.endsWith(".cpuprofile")) : [])

/** Self time over all profiles of the directory but those in `before`, without idle time. */
export const summarize = (directory: string, before: ReadonlySet<string>): ProfileSummary => {
  const functions = new Map<string, number>()
  const origins = new Map<string, number>()
  let total = 0
  const add = (to: Map<string, number>, name: string, micros: number) => to.set(name, (to.get(name) ?? 0) + micros)
  for (const file of present(directory)) {
    if (before.has(file)) continue
    const profile = JSON.parse(Fs.readFileSync(Path.join(directory, file), "utf8")) as CpuProfile
    const frames = new Map(profile.nodes.map(({ callFrame, id }) => [id, callFrame]))
    profile.samples.forEach((id, i) => {
      const { functionName, lineNumber, url } = frames.get(id)!
      if (functionName === "(idle)") return
      const micros = profile.timeDeltas[i]!
      const name = functionName === "" ? "(anonymous)" : functionName
      add(functions, url === "" ? name : `${name}  ${shorten(url)}:${lineNumber + 1}`, micros)
      add(origins, originOf(functionName, url), micros)
      total += micros
    })
  }
  const lines = (of: ReadonlyMap<string, number>, shown: number): ReadonlyArray<ProfileLine> =>
    [...of].toSorted(([, a], [, b]) => b - a).slice(0, shown)
      .map(([where, micros]) => ({ where, percent: micros / total * 100 }))
  return { origins: lines(origins, functionsShown), functions: lines(functions, functionsShown) }
}
