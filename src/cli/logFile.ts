/**
 * `--log-file`: what is logged, and what the command says, appended to a file besides.
 *
 *     timestamp=2025-11-25T19:20:00.000Z level=WARN fiber=#12 message="The job failed and starts again ..." run=3f9a1c42
 *
 * A line is written when it is logged. (`Logger.toFile` gathers what a window of time brings, and a process that dies would
 * take with it the lines that tell why.)
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import Process from "node:process"
import { CheckFailed } from "./CheckFailed.ts"
import { exitCodes } from "./exitCode.ts"
import { isPattern } from "./files.ts"
import type { Exit as Ended } from "./report.ts"
import { report } from "./report.ts"
import type { Level, StatusLine as Line } from "./StatusLine.ts"
import { StatusLine } from "./StatusLine.ts"
import { version } from "./version.ts"

const levels: { readonly [level in Level]: LogLevel.LogLevel } = { info: "Info", warn: "Warn", error: "Error" }

const reasons: { readonly [code: string]: string } = {
  ENOENT: "its directory does not exist: make it",
  ENOTDIR: "what should be its directory is a file: correct the path",
  EACCES: "this user may not write there: give the permission",
  EPERM: "this user may not write there: give the permission",
  EISDIR: "it is a directory: add the name of a file",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full: make room",
  ENXIO: "it is a pipe that nobody reads: begin to read it first"
}

/** One that is not there is made. A pipe without a reader is refused at once, and one that is full loses lines: nobody waits for it. */
const appending = Fs.constants.O_WRONLY | Fs.constants.O_APPEND | Fs.constants.O_CREAT | Fs.constants.O_NONBLOCK

const codeOf = (cause: unknown): string => (cause as NodeJS.ErrnoException).code ?? String(cause)

/** What appends a line to the file. That it can't any more is said once, and is no reason to end. */
const open = Effect.fnUntraced(function*(path: string, line: Line) {
  const descriptor = yield* Effect.acquireRelease(
    Effect.try({
      try: () => Fs.openSync(path, appending),
      catch: (cause) => {
        const code = codeOf(cause)
        const why = reasons[code]
        return new CheckFailed({
          detail: `The log file ${path} can't be written (${code})${why === undefined ? "" : `, ${why}`}` +
            `${why?.includes(":") ? ", or" : ":"} give another --log-file, or leave it out. Nothing was started`
        })
      }
    }),
    (descriptor) => Effect.sync(() => Fs.closeSync(descriptor))
  )
  let isBroken = false
  return (text: string): void => {
    try {
      Fs.writeSync(descriptor, `${text}\n`)
    } catch (cause) {
      if (isBroken) return
      isBroken = true
      line.print(`The log file ${path} can't be written any more (${codeOf(cause)}): lines are missing there`, "warn")
    }
  }
})

/** Which file it is, under whatever name; null if there is none. */
const identityOf = (path: string): string | null => {
  try {
    const stats = Fs.statSync(path)
    return stats.isFile() ? `${stats.dev} ${stats.ino}` : null
  } catch {
    return null
  }
}

/** Whether a file is one of a pattern, or would be if it were there. */
const isOf = (path: string, pattern: string): boolean =>
  Path.matchesGlob(
    Path.isAbsolute(pattern) ? Path.resolve(path) : Path.relative("", path),
    Path.normalize(pattern)
  )

/** The file of a log is not also one that is read, nor would it be one. */
const notAmong = (path: string, read: ReadonlyArray<string>): Effect.Effect<void, CliError.CliError> =>
  Effect.suspend(() => {
    const identity = identityOf(path)
    const names = identity === null ? [path] : [path, Fs.realpathSync(path)]
    for (const file of read) {
      if (Path.resolve(file) === Path.resolve(path)) return yours(path, "")
      if (identity !== null && identityOf(file) === identity) return yours(path, ` (that is ${file})`)
      // What names something that is there is no pattern.
      const isOne = isPattern(file) && !Fs.existsSync(file) && names.some((name) => isOf(name, file))
      if (isOne) return yours(path, ` (that is one of ${file})`)
    }
    return Effect.void
  })

const yours = (path: string, which: string) =>
  Effect.fail(
    new CliError.ValidationError({
      message: `The log can't be written to ${path}${which}, which is used: give another --log-file`
    })
  )

const logging = Effect.fnUntraced(function*<R>(
  verb: string,
  path: string,
  read: ReadonlyArray<string>,
  self: Effect.Effect<void, Ended, R>
) {
  const line = yield* StatusLine
  yield* notAmong(path, read)
  const write = yield* open(path, line)
  const logger = Logger.map(Logger.formatLogFmt, write)
  yield* Effect.withFiber((fiber) => {
    const say = (text: string, level: Level = "info") =>
      logger.log({ message: text, logLevel: levels[level], cause: Cause.empty, fiber, date: new Date() })
    return Effect.gen(function*() {
      line.mirror(say)
      yield* Effect.addFinalizer((exit) =>
        Effect.sync(() => {
          line.mirror(null)
          const ended = Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.findErrorOption(exit.cause))
          say(
            `${verb} ended with exit code ${
              Exit.isSuccess(exit) ? 0 : (ended as Ended | undefined)?.code ?? exitCodes.crashed
            }`
          )
        })
      )
      say(
        `${verb} began: effect-cassandra ${version()}, Node ${Process.versions.node}, process ${Process.pid} on ` +
          `${Os.hostname()}, in ${Process.cwd()}`
      )
    })
  })
  yield* Effect.provide(self, Logger.layer([logger], { mergeWithExisting: true }))
})

/**
 * `report`, with a log file if there is to be one. The file is opened before anything else is done; `read` are files that it
 * must not be. Each run has an id of its own, in each of its lines.
 *
 * @category combinators
 * @since 0.1.0
 */
export const reportTo = <R>(
  { logFile }: { readonly logFile: string | undefined },
  verb: string,
  self: Parameters<typeof report<R>>[1],
  read: ReadonlyArray<string> = []
): Effect.Effect<void, Ended, R> => {
  const reported = report(verb, self)
  if (logFile === undefined) return reported
  const run = randomBytes(4).toString("hex")
  return report(verb, Effect.scoped(logging(verb, logFile, read, reported))).pipe(Effect.annotateLogs({ run }))
}
