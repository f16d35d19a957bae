/** Short-lived helper programs (`docker info`, `java -version`, `mvn`): run to the end, output captured. */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { accessSync, constants, statSync } from "node:fs"
import { delimiter, join } from "node:path"

export type Environment = Readonly<Record<string, string | undefined>>

export interface Finished {
  /** The exit code, or `null` when it was ended by a signal, did not start, or took too long. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The last line that says something: what a person should read first of a failed program's output. */
export const lastLine = (finished: Finished): string =>
  `${finished.stdout}\n${finished.stderr}`.split("\n").map((line) => line.trim()).findLast((line) => line !== "") ??
    `exit code ${finished.code}`

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** The absolute path of a program on the `PATH` of `environment`, or `null`. */
export const findOnPath = (name: string, environment: Environment): string | null =>
  (environment["PATH"] ?? "").split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find(isExecutable) ?? null

/** Never fails: a program that cannot be started or takes too long is a `Finished` whose `stderr` says so. */
export const run = (
  path: string,
  args: ReadonlyArray<string>,
  options: {
    readonly environment: Environment
    readonly timeoutMillis: number
    readonly directory?: string | undefined
  }
): Effect.Effect<Finished> =>
  Effect.callback<Finished>((resume) => {
    const stdout: Array<Buffer> = []
    const stderr: Array<Buffer> = []
    const finish = (code: number | null, note = "") =>
      resume(Effect.succeed({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr) + note }))
    // In a group of its own, so that a wrapper script (mvn) and what it started end together.
    const child = spawn(path, args, {
      cwd: options.directory,
      env: options.environment,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"]
    })
    const end = () => {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
        signalGroup(child.pid, "SIGKILL")
      }
    }
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk))
    child.on("error", (error) => finish(null, `\n${error.message}`))
    child.on("close", (code) => finish(code))
    return Effect.sync(end)
  }).pipe(
    Effect.timeoutOrElse({
      duration: options.timeoutMillis,
      orElse: () =>
        Effect.succeed({ code: null, stdout: "", stderr: `no answer within ${options.timeoutMillis / 1000} s` })
    })
  )

/** Signals a whole process group; false when none of it is left. */
export const signalGroup = (group: number, signal: NodeJS.Signals | 0): boolean => {
  try {
    process.kill(-group, signal)
    return true
  } catch {
    return false
  }
}
