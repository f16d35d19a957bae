/**
 * Whether a job does its work, and if not, why, in words.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Session } from "../cassandra/CassandraSession.ts"
import type { JobHandle, JobStatus } from "../job/Job.ts"

/**
 * Whether the job does its work, and why not.
 *
 * @category models
 * @since 0.1.0
 */
export interface Readiness {
  readonly ready: boolean
  /** What is wrong, one sentence each; empty when ready. */
  readonly reasons: ReadonlyArray<string>
}

/**
 * What still counts as healthy.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobHealthOptions {
  /**
   * A last checkpoint older than this is a reason not to be ready. The time before this process started the job does not
   * count. Default 60 seconds; three intervals are a good choice when they are longer.
   */
  readonly checkpointAgeMax?: Duration.Input | undefined
  /** How long Cassandra may take to answer. Default 2 seconds. */
  readonly answerTimeout?: Duration.Input | undefined
}

/**
 * A job, and the session by which Cassandra is asked whether it answers.
 *
 * @category models
 * @since 0.1.0
 */
export interface Watched {
  readonly job: Pick<JobHandle<never>, "status">
  readonly session: Session
}

/**
 * Whether the watched job does its work.
 *
 * @category services
 * @since 0.1.0
 */
export class JobHealth extends Context.Service<JobHealth, {
  /** From now on this is the job. Before, it is not ready because it has not started. */
  readonly watch: (watched: Watched) => Effect.Effect<void>
  /** Asks Cassandra each time; calls at the same time share one question, and its answer holds for a second. */
  readonly readiness: Effect.Effect<Readiness>
}>()("effect-cassandra/JobHealth") {}

const states: { readonly [State in JobStatus["state"]]: string | null } = {
  starting: "The job is starting.",
  running: null,
  restarting: "The last run failed, and the next one has not begun",
  finished: "The job is finished.",
  stopped: "The job was stopped.",
  failed: "The job has failed"
}

const seconds = (millis: number): string => Duration.format(Duration.seconds(Math.round(millis / 1000)))

const ofState = ({ lastFailure, state }: JobStatus): string | null => {
  const sentence = states[state]
  if (sentence === null || sentence.endsWith(".")) return sentence
  return lastFailure === null ? `${sentence}.` : `${sentence}: ${lastFailure}`
}

/**
 * Watches nothing yet: `watch` says which job.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: JobHealthOptions = {}
): Effect.fn.Return<JobHealth["Service"]> {
  const ageMaxMillis = Duration.toMillis(Duration.fromInputUnsafe(options.checkpointAgeMax ?? "60 seconds"))
  const answerTimeout = Duration.fromInputUnsafe(options.answerTimeout ?? "2 seconds")
  let watched: Watched | null = null

  const ofCassandra = (session: Session): Effect.Effect<string | null> =>
    session.clusterInfo.pipe(
      Effect.withTracerEnabled(false),
      Effect.as(null),
      Effect.catch((error) => Effect.succeed(`Cassandra does not answer: ${error.message}`)),
      Effect.timeoutOrElse({
        duration: answerTimeout,
        orElse: () =>
          Effect.succeed(
            `Cassandra does not answer: nothing came from ${session.describe} within ${Duration.format(answerTimeout)}.`
          )
      })
    )

  const ofCheckpoints = (status: JobStatus, now: number): string | null => {
    const age = now - Math.max(status.lastCompletedAt ?? 0, status.startedAt)
    if (age <= ageMaxMillis) return null
    const pending = status.oldestPendingAt === null
      ? ""
      : ` Rows have been waiting for Cassandra for ${seconds(now - status.oldestPendingAt)}.`
    return `No checkpoint has completed for ${seconds(age)} (at most ${seconds(ageMaxMillis)} are expected).${pending}`
  }

  const readiness = yield* Effect.cachedWithTTL(
    Effect.suspend(() => {
      if (watched === null) return Effect.succeed(["The job has not started: it is still connecting."])
      const { job, session } = watched
      return Effect.gen(function*() {
        const answer = yield* ofCassandra(session)
        const status = yield* job.status
        const now = yield* Clock.currentTimeMillis
        const isRunning = status.state === "running" || status.state === "restarting"
        const reasons = [ofState(status), answer, isRunning ? ofCheckpoints(status, now) : null]
        return reasons.filter((reason) => reason !== null)
      })
    }).pipe(Effect.map((reasons): Readiness => ({ ready: reasons.length === 0, reasons }))),
    "1 second"
  )

  return JobHealth.of({
    watch: (job) =>
      Effect.sync(() => {
        watched = job
      }),
    readiness
  })
})

/**
 * `make` as a layer, of which `MetricsServer` serves `/ready`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: JobHealthOptions): Layer.Layer<JobHealth> => Layer.effect(JobHealth, make(options))
