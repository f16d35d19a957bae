/**
 * One process per state directory.
 *
 * The lock is a file `lock.<n>` that is only ever created exclusively; who holds the greatest n holds the directory.
 * A lock whose process is gone is taken over by creating `lock.<n + 1>`, which at most one of several takers can do.
 * The greatest one stays when it is released (marked so), and n never falls. This keeps two commands of one person
 * apart; what keeps two machines apart is the epoch, which every write is checked against.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Process from "node:process"
import { ioError } from "./internal/files.ts"
import { metadataName } from "./Savepoint.ts"
import { StateUnusable } from "./WalError.ts"
import type { StateIoError, WalError } from "./WalError.ts"

/**
 * A process as a lock names it. `started` tells a process from a later one with the same pid.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProcessIdentity {
  readonly pid: number
  readonly host: string
  readonly started: string
}

const startTime = (pid: number): string | null => {
  try {
    const boot = Fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    const stat = Fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    // The second field is the command in parentheses and may hold spaces; starttime is the 22nd field.
    return `${boot}:${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`
  } catch {
    return null
  }
}

const signalReaches = (pid: number): boolean => {
  try {
    Process.kill(pid, 0)
    return true
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM"
  }
}

/**
 * Who this process is and whether another one still lives. A reference, so that a simulation can bring its own.
 *
 * @category references
 * @since 0.1.0
 */
export const ProcessTable = Context.Reference<{
  readonly self: ProcessIdentity
  /** Whether that very process, and not a later one of its pid, runs on this machine. */
  readonly isAlive: (other: ProcessIdentity) => boolean
  /**
   * Paths of the locks that this process holds. One of its own that is not among these was left by an attempt that
   * failed to write or to release it, and must not keep the process out when it tries again.
   */
  readonly held: Set<string>
}>("effect-cassandra/ProcessTable", {
  defaultValue: () => {
    const self = { pid: Process.pid, host: Os.hostname(), started: startTime(Process.pid) ?? "" }
    return {
      self,
      held: new Set(),
      isAlive: (other) => {
        if (other.pid === self.pid) return other.started === self.started
        if (!signalReaches(other.pid)) return false
        const started = startTime(other.pid)
        return started === null || other.started === "" || started === other.started
      }
    }
  }
})

const LockFile = Schema.fromJsonString(Schema.Struct({
  pid: Schema.Int,
  host: Schema.String,
  started: Schema.String,
  since: Schema.Int,
  released: Schema.Boolean
}))

const decodeLock = Schema.decodeUnknownOption(LockFile)

const lockNumber = (name: string): number => {
  const match = /^lock\.(\d+)$/.exec(name)
  return match ? Number(match[1]) : 0
}

const highestOf = (names: ReadonlyArray<string>): number => names.reduce((n, name) => Math.max(n, lockNumber(name)), 0)

const highestLock = (fs: FileSystem.FileSystem, directory: string): Effect.Effect<number, StateIoError> =>
  Effect.map(ioError("list", directory)(fs.readDirectory(directory)), highestOf)

const readLock = (fs: FileSystem.FileSystem, path: string) =>
  Effect.map(Effect.option(fs.readFileString(path)), Option.flatMap(decodeLock))

/**
 * Who has a directory. Whether a process of another host lives can't be seen from here: null.
 *
 * @category models
 * @since 0.1.0
 */
export interface Holder extends ProcessIdentity {
  /** Milliseconds since 1970. */
  readonly since: number
  readonly isAlive: boolean | null
}

/**
 * The process whose lock was not released, null if there is none. Only looks.
 *
 * @category getters
 * @since 0.1.0
 */
export const holder = Effect.fnUntraced(function*(
  directory: string
): Effect.fn.Return<Holder | null, WalError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const { isAlive, self } = yield* ProcessTable
  const lock = yield* readLock(fs, `${directory}/lock.${yield* highestLock(fs, directory)}`)
  if (Option.isNone(lock) || lock.value.released) return null
  const { released: _, ...identity } = lock.value
  return { ...identity, isAlive: identity.host === self.host ? isAlive(identity) : null }
})

/**
 * Holds `directory` (which must exist) until the Scope closes. `takeOver` ignores a living holder on purpose: it will
 * be fenced by the epoch at its next commit. A savepoint is refused: it must stay what it is, so nobody works in one.
 *
 * @category resource management
 * @since 0.1.0
 */
export const acquire = Effect.fnUntraced(function*(
  directory: string,
  takeOver: boolean
): Effect.fn.Return<void, WalError, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const processes = yield* ProcessTable
  const path = (n: number) => `${directory}/lock.${n}`
  const highest = highestLock(fs, directory)
  const read = (n: number) => readLock(fs, path(n))
  const locked = (n: number, holder: ProcessIdentity | null, since: number) =>
    new StateUnusable({
      path: path(n),
      reason: "locked",
      detail: `The state directory ${directory} is in use` +
        (holder === null ? "" : ` by process ${holder.pid} on ${holder.host} since ${new Date(since).toISOString()}`) +
        `. Only one process may work on a job: wait for it or stop it, or use another --job with its own --state.`
    })

  const names = yield* ioError("list", directory)(fs.readDirectory(directory))
  if (names.includes(metadataName)) {
    return yield* new StateUnusable({
      path: `${directory}/${metadataName}`,
      reason: "is-savepoint",
      detail:
        `${directory} is a savepoint, and no job works in one: restore it into a state directory of the job, with ` +
        `--from-savepoint ${directory}.`
    })
  }
  const before = highestOf(names)
  if (before > 0 && !takeOver) {
    let holder = yield* read(before)
    // An unreadable lock may be one that is being written at this moment.
    for (let i = 0; Option.isNone(holder) && i < 3; i++) {
      yield* Effect.sleep("100 millis")
      holder = yield* read(before)
    }
    if (Option.isSome(holder)) {
      const { released, since, ...identity } = holder.value
      // Another host's processes can't be seen from here; after a crash its lock must not stop a successor for ever.
      const isOwn = identity.pid === processes.self.pid && identity.started === processes.self.started
      const isHeld = isOwn ? processes.held.has(path(before)) : processes.isAlive(identity)
      if (!released && identity.host === processes.self.host && isHeld) {
        return yield* locked(before, identity, since)
      }
    }
  }
  const mine = before + 1
  const since = yield* Clock.currentTimeMillis
  const content = (released: boolean) =>
    JSON.stringify({ ...processes.self, since, released } satisfies typeof LockFile.Type)
  yield* Effect.acquireRelease(
    fs.writeFileString(path(mine), content(false), { flag: "wx" }).pipe(
      Effect.catch((error): Effect.Effect<never, WalError> =>
        error.reason._tag === "AlreadyExists"
          ? Effect.fail(locked(mine, null, since))
          : ioError("lock", directory)(Effect.fail(error))
      ),
      Effect.tap(() => Effect.sync(() => processes.held.add(path(mine))))
    ),
    () =>
      Effect.andThen(
        Effect.sync(() => processes.held.delete(path(mine))),
        Effect.ignore(fs.writeFileString(path(mine), content(true)))
      )
  )
  if ((yield* highest) !== mine) return yield* locked(mine + 1, null, since)
  for (const name of yield* ioError("list", directory)(fs.readDirectory(directory))) {
    const n = lockNumber(name)
    if (n > 0 && n < mine) yield* Effect.ignore(fs.remove(`${directory}/${name}`))
  }
})
