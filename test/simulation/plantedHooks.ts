/**
 * Changes sources while they are loaded: `node --import ./plantedHooks.ts`, with the edits in `SIMULATION_EDITS` (JSON). A
 * planted bug lives here only, never in the sources; one whose place is not there any more stops the process.
 */
import * as Module from "node:module"
import Process from "node:process"
import type { Edit } from "./planted.ts"

const edits: ReadonlyArray<Edit> = JSON.parse(Process.env["SIMULATION_EDITS"] ?? "[]")
const left = new Set(edits)

Module.registerHooks({
  load: (url, context, next) => {
    const loaded = next(url, context)
    const own = edits.filter(({ file }) => url.endsWith(`/src/${file}`))
    if (own.length === 0) return loaded
    let source = String(loaded.source)
    for (const edit of own) {
      const at = source.indexOf(edit.find)
      if (at < 0 || source.indexOf(edit.find, at + 1) >= 0) {
        throw new Error(`the planted bug's place is not (or not only once) in src/${edit.file}: ${edit.find}`)
      }
      source = source.slice(0, at) + edit.replace + source.slice(at + edit.find.length)
      left.delete(edit)
    }
    return { ...loaded, source }
  }
})

Process.on("exit", (code) => {
  const [first] = left
  if (first === undefined || code !== 0) return
  Process.stderr.write(`src/${first.file} was not loaded, and the bug not planted\n`)
  Process.exitCode = 1
})
