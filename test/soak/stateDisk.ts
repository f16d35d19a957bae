/**
 * A small file system of its own for state directories, which can be filled up and freed again. It takes a tmpfs, which
 * only root can mount: without, there is a directory that is never full.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

const sizeBytes = 96 * 1024 * 1024

export interface StateDisk {
  readonly directory: string
  /** Whether it can be filled. */
  readonly isBounded: boolean
  /** Leaves room for so many bytes. */
  readonly fill: (bytesLeft: number) => Effect.Effect<void>
  readonly free: Effect.Effect<void>
}

const isMounted = (directory: string): boolean =>
  process.platform === "linux" && process.getuid?.() === 0 &&
  ChildProcess.spawnSync("mount", ["-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", directory]).status === 0

export const makeStateDisk = (directory: string): Effect.Effect<StateDisk, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      Fs.mkdirSync(directory, { recursive: true })
      const isBounded = isMounted(directory)
      const filler = Path.join(directory, "filler")
      return {
        directory,
        isBounded,
        fill: (bytesLeft: number) =>
          Effect.sync(() => {
            if (!isBounded) return
            const { bavail, bsize } = Fs.statfsSync(directory)
            const file = Fs.openSync(filler, "a")
            const zeros = Buffer.alloc(1 << 16)
            try {
              for (let left = bavail * bsize - bytesLeft; left > 0;) {
                left -= Fs.writeSync(file, zeros, 0, Math.min(zeros.length, left))
              }
            } catch (error) {
              // Somebody else was faster: it is full, which is what was asked for.
              if ((error as NodeJS.ErrnoException).code !== "ENOSPC") {
                throw error
              }
            } finally {
              Fs.closeSync(file)
            }
          }),
        free: Effect.sync(() => Fs.rmSync(filler, { force: true }))
      }
    }),
    ({ isBounded }) =>
      Effect.sync(() => {
        if (isBounded) ChildProcess.spawnSync("umount", ["-l", directory])
      })
  )
