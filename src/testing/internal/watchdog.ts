/**
 * A tiny shell process that outlives its owner: when the owner is gone without having released its server (a SIGKILL, a
 * crash, a plain `process.exit`), the pipe between them closes and the watchdog removes what was left.
 *
 * The owner writes lines to it:
 *
 *     group 4711    the server's process group, to be killed; 0 when there is none at the moment
 *     done          everything is released, leave without doing anything
 */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"

// Waits for the group to be gone before it removes the directory, since a dying server still writes; not for ever,
// since in a container without an init process a dead group can stay as a zombie.
const script = `
trap '' HUP INT TERM
group=0
while read -r word value; do
  case "$word" in
    group) group=$value ;;
    done) exit 0 ;;
  esac
done
if [ "$group" -gt 1 ]; then
  kill -KILL "-$group"
  tries=0
  while kill -0 "-$group" && [ "$tries" -lt 50 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
fi
if [ -n "$2" ]; then "$2" rm --force --volumes "$3"; fi
if [ -n "$1" ]; then rm -rf "$1"; fi
`

export interface Watchdog {
  /** Returns when the watchdog is sure to hear of it, whatever happens to this process from then on. */
  readonly guardGroup: (group: number) => Effect.Effect<void>
  readonly done: Effect.Effect<void>
}

export interface Guarded {
  /** Removed with all its content. */
  readonly directory?: string | undefined
  /** A container to be removed, and the absolute path of the `docker` command. */
  readonly container?: { readonly docker: string; readonly name: string } | undefined
}

/** Starts a watchdog at once (a synchronous call, so that nothing can come between it and what it guards). */
export const startWatchdog = (guarded: Guarded): Watchdog => {
  const child = spawn(
    "/bin/sh",
    [
      "-c",
      script,
      "effect-cassandra-watchdog",
      guarded.directory ?? "",
      guarded.container?.docker ?? "",
      guarded.container?.name ?? ""
    ],
    // Its own session: a Ctrl-C in the terminal must not reach it. Its own working directory: it must not hold one.
    { detached: true, cwd: "/", stdio: ["pipe", "ignore", "ignore"] }
  )
  child.on("error", () => undefined)
  child.stdin.on("error", () => undefined)
  // Neither may keep the owner's event loop alive.
  child.unref()
  ;(child.stdin as unknown as { unref?: () => void }).unref?.()
  const write = (line: string) =>
    Effect.callback<void>((resume) => {
      child.stdin.write(`${line}\n`, () => resume(Effect.void))
    })
  return {
    guardGroup: (group) => write(`group ${group}`),
    done: write("done")
  }
}
