/**
 * The programs that are measured. They run as a user's would: compiled, and on the compiled library. Node can run the
 * TypeScript as it is, but compiling it at each start takes a third of a second and tens of megabytes.
 */
import * as ChildProcess from "node:child_process"
import { fileURLToPath } from "node:url"
import { UsageError } from "./usage.ts"

const root = new URL("../", import.meta.url)
const pathOf = (path: string) => fileURLToPath(new URL(path, root))

export type Program = "committer" | "idle" | "log" | "own" | "rawDriver" | "recovery" | "stub"

export const program = (name: Program): string => pathOf(`.cache/benchmarks/processes/${name}.js`)

/** The command of the library. */
export const command = pathOf("dist/bin.js")

/** Compiles the programs. The library itself is compiled by `npm run bench` before the suite starts. */
export const build = (): void => {
  const { status, stdout } = ChildProcess.spawnSync(
    process.execPath,
    [pathOf("node_modules/typescript/bin/tsc"), "-p", pathOf("benchmarks/tsconfig.json")],
    { encoding: "utf8" }
  )
  if (status !== 0) {
    throw new UsageError(
      `the measured programs do not compile; npm run bench builds the library first. ${stdout.split("\n")[0]}`
    )
  }
}
