/**
 * Runs one contender as a process of its own and watches it from outside: wall time, CPU time, resident memory.
 *
 * A process tells what it knows itself in lines on stdout that begin with `@bench ` and go on with JSON; the last one is
 * `{ "result": { ... } }`. Everything else it prints is kept for the message, should it fail.
 */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import type { Sample } from "./sample.ts"

const samplePeriodMillis = 200
const outputKept = 4000

/** Clock ticks a second: 100 on every Linux there is. */
const ticks = 100

export const mebibyte = 1024 * 1024

interface ProcSample {
  readonly rssBytes: number
  readonly peakRssBytes: number
  readonly cpuSeconds: number
}

/** What the kernel says about a process; null where there is no /proc, or no such process (any more). */
export const readProc = (pid: number | "self"): ProcSample | null => {
  try {
    const status = Fs.readFileSync(`/proc/${pid}/status`, "utf8")
    const stat = Fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? Number.NaN)
    // The second field is the command in parentheses and may hold spaces; utime and stime are the 14th and 15th.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    const sample = {
      rssBytes: kib("VmRSS") * 1024,
      // Not ru_maxrss: that one begins with what the parent had before exec.
      peakRssBytes: kib("VmHWM") * 1024,
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticks
    }
    return Number.isFinite(sample.rssBytes) ? sample : null
  } catch {
    return null
  }
}

export interface ProcessOptions {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env?: NodeJS.ProcessEnv | undefined
  readonly cwd?: string | undefined
  /** Seconds until it counts as hung and is killed. */
  readonly timeoutSeconds?: number | undefined
  readonly onStart?: ((child: RunningProcess) => void) | undefined
  /** A line `@bench {...}` other than the result. `at` is `performance.now()`. */
  readonly onEvent?: ((event: Readonly<Record<string, unknown>>, child: RunningProcess, at: number) => void) | undefined
  /** It is killed on purpose, so it may end by a signal. */
  readonly mayBeKilled?: boolean | undefined
}

export interface RunningProcess {
  readonly pid: number
  readonly kill: (signal: NodeJS.Signals) => void
}

export interface Finished {
  readonly result: Readonly<Record<string, unknown>>
  readonly stdout: string
  readonly output: string
  readonly wallSeconds: number
  /** `performance.now()` at the spawn. */
  readonly startedAt: number
  readonly cpuSeconds: number | null
  readonly peakRssMiB: number | null
  readonly samples: ReadonlyArray<Sample>
}

const largest = (a: number | null, b: unknown): number | null =>
  typeof b === "number" && Number.isFinite(b) ? Math.max(a ?? 0, b) : a

/** Ours that still run: an interrupted suite leaves none behind. */
const children = new Set<ChildProcess.ChildProcess>()
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL")
})

export const run = (options: ProcessOptions): Promise<Finished> =>
  new Promise((resolve, reject) => {
    const startedAt = performance.now()
    const child = ChildProcess.spawn(options.command, options.args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"]
    })
    children.add(child)
    const running: RunningProcess = { pid: child.pid ?? -1, kill: (signal) => void child.kill(signal) }
    options.onStart?.(running)
    const samples: Array<Sample> = []
    let last: ProcSample | null = null
    const observe = () => {
      const now = readProc(running.pid)
      if (now === null) return
      last = now
      samples.push({ t: (performance.now() - startedAt) / 1000, rssMiB: now.rssBytes / mebibyte })
    }
    const sampling = setInterval(observe, samplePeriodMillis)
    let timedOut = false
    const limit = options.timeoutSeconds ?? 900
    const hanging = setTimeout(() => {
      timedOut = true
      child.kill("SIGKILL")
    }, limit * 1000)

    let result: Record<string, unknown> = {}
    let stdout = ""
    let output = ""
    let partial = ""
    const keep = (text: string) => output = (output + text).slice(-outputKept)
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (partial + text).split("\n")
      partial = lines.pop()!
      for (const line of lines) {
        if (!line.startsWith("@bench ")) {
          stdout += `${line}\n`
          keep(`${line}\n`)
          continue
        }
        const event = JSON.parse(line.slice(7)) as Record<string, unknown>
        if ("result" in event) result = event["result"] as Record<string, unknown>
        else options.onEvent?.(event, running, performance.now())
      }
    })
    child.stderr.setEncoding("utf8").on("data", keep)

    const clear = () => {
      clearInterval(sampling)
      clearTimeout(hanging)
      children.delete(child)
    }
    child.on("error", (error) => {
      clear()
      reject(new Error(`${options.command} could not be started: ${error.message}`))
    })
    child.on("close", (code, signal) => {
      clear()
      const wallSeconds = (performance.now() - startedAt) / 1000
      if (timedOut) return reject(new Error(`it did not end within ${limit} s\n${output}`))
      if (code !== 0 && !(options.mayBeKilled === true && signal !== null)) {
        return reject(new Error(`it ended with ${signal ?? `exit code ${code}`}\n${output}`))
      }
      const peak = largest(last === null ? null : last.peakRssBytes, result["peakRssBytes"])
      resolve({
        result,
        stdout: stdout + partial,
        output,
        wallSeconds,
        startedAt,
        cpuSeconds: largest(last === null ? null : last.cpuSeconds, result["cpuSeconds"]),
        peakRssMiB: peak === null ? null : peak / mebibyte,
        samples
      })
    })
  })

/** A program of ours, on the Node that runs this; `config` is its only argument. */
export const runNode = (
  program: string,
  config: object,
  options: Omit<ProcessOptions, "command" | "args"> & {
    readonly profiles?: string | null
    /** Node's own. */
    readonly flags?: ReadonlyArray<string>
  } = {}
): Promise<Finished> =>
  run({
    ...options,
    command: process.execPath,
    args: [
      ...(options.flags ?? []),
      ...(options.profiles == null ? [] : ["--cpu-prof", `--cpu-prof-dir=${options.profiles}`]),
      program,
      JSON.stringify(config)
    ]
  })

/** A number that a program must have given. */
export const numberOf = (finished: Finished, key: string): number => {
  const value = finished.result[key]
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new TypeError(`the program gave no number '${key}': ${JSON.stringify(finished.result).slice(0, 300)}`)
  }
  return value
}
