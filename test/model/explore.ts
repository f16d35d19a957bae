/**
 * The model checker as a command:
 *
 *     node test/model/explore.ts                        every state of every scope of scopes.ts
 *     node test/model/explore.ts --quick                of the small ones only
 *     node test/model/explore.ts --scope "2 kills"      of one
 *     node test/model/explore.ts --planted [name]       whether each planted bug is found; of one, with its trace
 *
 * What is explored is the protocol as this library does it, written down a second time: the states of up to two
 * processes (source, subtasks, coordinator, start), their disk, the ledger, the table, and requests that may still take
 * effect. Every order of steps is taken, and every crash between two, with every outcome of a power loss.
 *
 * *Grain.* A step is what others can see: a manifest is renamed, made durable, old ones are removed; a segment is
 * sealed; a claim, a publication, a commit, a row takes effect; a sweep. What nobody else can see goes with the step
 * before or behind it; each module says what and why this loses no behaviour. Two arguments are used again and again. A
 * step that reads or changes nothing which another changes can be moved next to it. And what only an earlier start of a
 * successor could see may be one step while a process is alone: the successor can as well be started, and do nothing,
 * before. (The steps of a start that follows a death can come directly behind the death in the same way.)
 *
 * *Left out.* Time (a timeout or a clock is a choice: expiries, restarts and clocks that are ahead or stand still happen
 * whenever they are allowed), bytes (damage, torn records, bounds and back-pressure, batches), the directory's lock, a
 * lost ledger, more than one retained checkpoint, a stop on request, dead letters, a claim whose answer is lost. A
 * tolerated failure and one that is not are both taken wherever one can happen. test/simulation has these.
 *
 * *Checked*, at each step: a record has one timestamp for ever on one machine, a later record of a key and a later
 * machine greater ones; nothing is sent before the ledger knows its checkpoint and timestamp; the ledger never goes back,
 * moves only under its newest epoch, and never says that something is in which is not; a superseded process never takes
 * the job back; no segment or manifest that is looked for is gone or damaged; success is only reported when all is in.
 * At the end: the table, the newest manifest. And that there is an end: see search.ts.
 *
 * What random seeds (test/simulation) find of these, a scope finds too, if it is within: the scopes are in scopes.ts, and
 * bugs.ts says which planted bugs are not and why. Exit code 1 for a violation, another number of states than the table
 * has, or a bug that is not found; 2 for wrong arguments.
 */
import Process from "node:process"
import * as Util from "node:util"
import { bugs } from "./bugs.ts"
import { scopes } from "./scopes.ts"
import type { Found } from "./search.ts"
import { explore } from "./search.ts"

// A reader that went away (`| head`) is no failure.
Process.stdout.on("error", () => {})

const out = (line: string) => Process.stdout.write(`${line}\n`)

const row = (name: string, ...cells: ReadonlyArray<string | number>) =>
  out(name.padEnd(44) + cells.map((cell) => cell.toLocaleString("en").padStart(12)).join(""))

const tell = ({ trace, violation }: Found) => {
  for (const [i, step] of trace.entries()) out(`${String(i + 1).padStart(5)}  ${step}`)
  out(`       VIOLATION: ${violation}`)
}

const exploreAll = (only: string | undefined, isQuick: boolean): boolean => {
  const chosen = scopes.filter((scope) => only === undefined ? !isQuick || scope.isQuick : scope.name === only)
  if (chosen.length === 0) {
    throw new TypeError(`there is no scope ${only}: ${scopes.map(({ name }) => name).join("; ")}`)
  }
  const totals = { scopes: chosen.length, states: 0, transitions: 0, violations: 0, cpuSeconds: 0 }
  let isAsKnown = true
  row("scope", "states", "transitions", "depth", "ends", "cpu seconds")
  for (const scope of chosen) {
    const { depth, finals, found, seconds, states, transitions } = explore({ scope, bug: null })
    row(scope.name, states, transitions, depth, finals, seconds.toFixed(1))
    totals.states += states
    totals.transitions += transitions
    totals.cpuSeconds += seconds
    if (found !== null) {
      totals.violations++
      tell(found)
    } else if (states !== scope.states) {
      isAsKnown = false
      out(`  the table in scopes.ts has ${scope.states.toLocaleString("en")} states`)
    }
  }
  out(JSON.stringify({ ...totals, cpuSeconds: Math.round(totals.cpuSeconds) }))
  return totals.violations === 0 && isAsKnown
}

const explorePlanted = (only: string | undefined): boolean => {
  const chosen = bugs.filter(({ bug }) => only === undefined || bug === only)
  if (chosen.length === 0) throw new TypeError(`there is no bug ${only}: ${bugs.map(({ bug }) => bug).join(", ")}`)
  let notFound = 0
  row("planted bug", "states", "steps", "cpu seconds")
  for (const { bug, scope } of chosen) {
    const { found, seconds, states } = explore({ scope, bug })
    row(bug, states, found?.trace.length ?? "NOT FOUND", seconds.toFixed(1))
    if (found === null) notFound++
    else if (only === undefined) out(`    ${found.violation}`)
    else tell(found)
  }
  out(JSON.stringify({ planted: chosen.length, notFound }))
  return notFound === 0
}

const main = (args: ReadonlyArray<string>): boolean => {
  const { positionals, values } = Util.parseArgs({
    args: args.slice(),
    allowPositionals: true,
    options: { quick: { type: "boolean" }, scope: { type: "string" }, planted: { type: "boolean" } }
  })
  if (values.planted === true) return explorePlanted(positionals[0])
  if (positionals.length > 0) throw new TypeError(`what is ${positionals.join(" ")}?`)
  return exploreAll(values.scope, values.quick === true)
}

try {
  Process.exitCode = main(Process.argv.slice(2)) ? 0 : 1
} catch (error) {
  if (!(error instanceof TypeError)) throw error
  Process.stderr.write(`${error.message}\nSee the head of test/model/explore.ts.\n`)
  Process.exitCode = 2
}
