/**
 * Why a load ended before there was a job to tell of it, kept where a job keeps why its runs failed.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import Process from "node:process"
import * as FailureLog from "../state/FailureLog.ts"
import * as StateDirectory from "../state/StateDirectory.ts"
import type { LoadError } from "./exitCode.ts"
import { exitCodes, verdict } from "./exitCode.ts"
import type { LoadOptions } from "./options.ts"
import type { Exit } from "./report.ts"
import * as Settings from "./settings.ts"

/** A command line that is wrong, a signal, and another process that works on the job: what says nothing of the job. */
const notOfTheJob: ReadonlySet<number> = new Set([exitCodes.usage, exitCodes.interrupted, exitCodes.fenced])

/**
 * Keeps it in the state directory, for `status`. Nothing is made for it, so that a file that is not there leaves no directory
 * behind, and nothing is written where another process works.
 *
 * @category combinators
 * @since 0.1.0
 */
export const keepFailure = Effect.fnUntraced(function*(options: LoadOptions, error: LoadError | Exit) {
  if (error._tag === "Exit" || notOfTheJob.has(verdict(error).code)) return
  const { job: jobId, uid } = options
  const directory = Settings.stateDirectory(options)
  const state = yield* Effect.orElseSucceed(StateDirectory.look(directory, { jobId, uid }), () => null)
  if (state === null || state.savepoint !== null) return
  const { owner } = state
  const isFree = owner === null || owner.isAlive === false
  if (!isFree && !(owner.isAlive === true && owner.pid === Process.pid)) return
  const record = yield* FailureLog.recorder(directory)
  yield* record({
    at: yield* Clock.currentTimeMillis,
    epoch: null,
    attempt: 0,
    error: error._tag,
    message: error.message,
    restartsInMillis: null
  })
})
