import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { type Environment, signalGroup } from "./command.ts"
import type { Watchdog } from "./watchdog.ts"

/** A long-lived child in a process group of its own, which a watchdog knows of. */
export interface ServerProcess {
  /** Also the number of its process group. */
  readonly pid: number
  /** `null` while it runs, then how it ended, as the end of a sentence: "exited with code 1". */
  readonly ended: Effect.Effect<string | null>
  readonly awaitEnd: Effect.Effect<void>
  /** Signals the whole group. */
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
}

// The shell becomes the server only when it is told to, which happens when the watchdog knows its number. If the owner
// is killed in between, the shell reads the end of the pipe and leaves.
const gate = `read -r go || exit 1; exec "$@" </dev/null`

export const startProcess = (options: {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly directory: string
  /** Output and errors are appended to this file; a pipe would be lost with the owner. */
  readonly logFile: string
  readonly environment: Environment
  readonly watchdog: Watchdog
}): Effect.Effect<ServerProcess, string> =>
  Effect.suspend(() => {
    const log = openSync(options.logFile, "a")
    const child = spawn("/bin/sh", ["-c", gate, "sh", options.command, ...options.args], {
      cwd: options.directory,
      env: options.environment,
      detached: true,
      stdio: ["pipe", log, log]
    })
    closeSync(log)
    let ended: string | null = null
    child.once("exit", (code, signal) => {
      ended = signal === null ? `exited with code ${code}` : `was ended by ${signal}`
    })
    child.on("error", () => undefined)
    const stdin = child.stdin
    if (stdin === null) return Effect.fail("/bin/sh could not be started")
    stdin.on("error", () => undefined)
    child.unref()
    const pid = child.pid
    if (pid === undefined) return Effect.fail("/bin/sh could not be started")
    const process: ServerProcess = {
      pid,
      ended: Effect.sync(() => ended),
      awaitEnd: Effect.callback<void>((resume) => {
        if (ended !== null) return resume(Effect.void)
        const onExit = () => resume(Effect.void)
        child.ref()
        child.once("exit", onExit)
        return Effect.sync(() => {
          child.off("exit", onExit)
          child.unref()
        })
      }),
      signal: (signal) => Effect.sync(() => void (ended === null && signalGroup(pid, signal)))
    }
    return options.watchdog.guardGroup(pid).pipe(
      Effect.andThen(Effect.sync(() => stdin.end("go\n"))),
      Effect.as(process)
    )
  })
