/**
 * What a job measures as a whole.
 *
 * Series have no attribute that names the job. Where several run in one process, tell them apart with
 * `Effect.provideService(Metric.CurrentMetricAttributes, { job_id, uid })` around each (Prometheus keeps the label `job`
 * for itself).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { family } from "../checkpoint/MetricFamily.ts"
import type { Position } from "../checkpoint/Position.ts"
import type { Source } from "../source/Source.ts"

/**
 * - `starting`: it claims its epoch and restores its last checkpoint.
 * - `running`
 * - `restarting`: a run failed, and the next one has not begun.
 * - `finished`, `stopped`, `failed`: its ends.
 *
 * @category models
 * @since 0.1.0
 */
export type JobState = "starting" | "running" | "restarting" | "finished" | "stopped" | "failed"

/**
 * Every state that a job can be in.
 *
 * @category constants
 * @since 0.1.0
 */
export const jobStates: ReadonlyArray<JobState> = [
  "starting",
  "running",
  "restarting",
  "finished",
  "stopped",
  "failed"
]

/**
 * By state: 1 for the one it is in, 0 for the others.
 *
 * @category metrics
 * @since 0.1.0
 */
export const jobState = family((state) =>
  Metric.gauge("effect_cassandra.job.state", {
    description: "1 for the state the job is in, 0 for the others",
    attributes: { state }
  })
)

/**
 * Sets the gauge of this state to 1, and those of the others to 0.
 *
 * @category combinators
 * @since 0.1.0
 */
export const setJobState = (current: JobState): Effect.Effect<void> =>
  Effect.forEach(jobStates, (state) => Metric.update(jobState(state), state === current ? 1 : 0), { discard: true })

/**
 * How often the job was started again in this process.
 *
 * @category metrics
 * @since 0.1.0
 */
export const jobRestarts = Metric.counter("effect_cassandra.job.restarts", {
  description: "Runs that failed and were started again",
  attributes: { unit: "{restart}" },
  incremental: true
})

/**
 * Records read from the source; those behind the last checkpoint of a failed run count again.
 *
 * @category metrics
 * @since 0.1.0
 */
export const recordsRead = Metric.counter("effect_cassandra.source.records.read", {
  description: "Records read from the source; those behind the last checkpoint of a failed run count again",
  attributes: { unit: "{record}" },
  incremental: true
})

/**
 * How much of the input is not read yet, where its size is known. 0 for an input without an end.
 *
 * @category metrics
 * @since 0.1.0
 */
export const sourceLag = Metric.gauge("effect_cassandra.source.lag", {
  description: "What of the input is not read yet, in the unit of its source: bytes for files, elements for an iterable"
})

/**
 * Sets the gauge, for a position that the source is at.
 *
 * @category combinators
 * @since 0.1.0
 */
export const setSourceLag = (
  { progress, total }: Pick<Source<unknown>, "total" | "progress">,
  position: Position | null
): Effect.Effect<void> =>
  total === null
    ? Effect.void
    : Metric.update(sourceLag, Math.max(0, total - (position === null ? 0 : progress(position))))

/**
 * Always 1: which program, of which version, reports here.
 *
 * @category metrics
 * @since 0.1.0
 */
export const info = family((version) =>
  Metric.gauge("effect_cassandra.info", {
    description: "1, with the version of effect-cassandra",
    attributes: { version }
  })
)
