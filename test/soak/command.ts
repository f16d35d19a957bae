/** One process of the real command, and the signals that it gets. */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as ChildProcess from "node:child_process"
import { fileURLToPath } from "node:url"
import type { RestartStrategyConfig } from "../../src/checkpoint/RestartStrategy.ts"
import type { Cluster } from "./cluster.ts"
import { ledgerKeyspace, table } from "./cluster.ts"
import type { Program, Run } from "./program.ts"

const bin = fileURLToPath(new URL("../../src/bin.ts", import.meta.url))
const query = `INSERT INTO ${table} (program, bucket, id, seq, rank) VALUES (?, ?, ?, ?, ?)`

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly summary: {
    readonly outcome: string
    readonly committed: number
    readonly replayedCheckpoints: number
    readonly restarts: number
  } | null
  readonly stdout: string
  readonly stderr: string
}

export interface Loading {
  readonly pid: number
  readonly ended: Effect.Effect<Ended>
  readonly end: () => Ended | null
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
}

const millis = (value: unknown) => `${Math.max(1, Math.round(Number(value)))} millis`

const restartFlags = (config: RestartStrategyConfig): ReadonlyArray<string> => {
  switch (config.kind) {
    case "none":
      return ["--restart", "none"]
    case "fixed-delay":
      return [
        ["--restart", "fixed-delay", "--restart-attempts", String(config.attempts)],
        ["--restart-delay", millis(config.delay)]
      ].flat()
    case "exponential":
      return [
        ["--restart", "exponential", "--restart-initial-backoff", millis(config.initialBackoff)],
        ["--restart-max-backoff", millis(config.maxBackoff)]
      ].flat()
    case "failure-rate":
      return [
        ["--restart", "failure-rate", "--restart-max-failures", String(config.maxFailures)],
        ["--restart-interval", millis(config.interval), "--restart-delay", millis(config.delay)]
      ].flat()
  }
}

/** Where a job is, under which name, and what it began with or is taken over from. */
export interface Home {
  readonly jobId: string
  readonly state: string
  readonly fromSavepoint?: string | undefined
  readonly takeOverFrom?: string | undefined
}

const ledgerFlags = ({ contactPoints }: Cluster): ReadonlyArray<string> => [
  "--contact-points",
  contactPoints.join(","),
  "--local-dc",
  "datacenter1",
  "--checkpoint-keyspace",
  ledgerKeyspace
]

/**
 * What the program says as flags. Bytes are `scale` times as many, as there are so many records for one of the program;
 * times of checkpoints grow less, as a real request takes a few milliseconds and not a few turns.
 */
export const flagsOf = (program: Program, run: Run, scale: number, options: {
  readonly cluster: Cluster
  readonly file: string
  readonly home: Home
  readonly uid: string
  readonly takeOver: boolean
}): ReadonlyArray<string> => {
  const { checkpoint } = program
  const { fromSavepoint, jobId, state, takeOverFrom } = options.home
  const bytes = (value: number) => String(Math.min(value * scale, 67_108_864))
  return [
    ["load", options.file, "--query", query, "--job", jobId, "--uid", options.uid, "--state", state],
    ledgerFlags(options.cluster),
    ["--consistency", "LOCAL_QUORUM", "--checkpoint-replication", "3"],
    ["--parallelism", String(run.parallelism), "--max-in-flight", String(program.requestsInFlightMax)],
    ["--segment-bytes", bytes(program.segmentBytesMax), "--pending-bytes", bytes(program.pendingBytesMax)],
    ["--checkpoint-interval", millis(checkpoint.intervalMillis * 10), "--min-pause", millis(checkpoint.minPauseMillis)],
    ["--checkpoint-timeout", millis(Math.max(2000, checkpoint.timeoutMillis))],
    ["--max-concurrent", String(checkpoint.maxConcurrent)],
    ["--tolerable-failures", String(checkpoint.tolerableFailures)],
    ["--retained-checkpoints", String(program.retainedCheckpoints)],
    ["--send-retry", program.isImpatient ? "1 second" : "1 minute", "--progress", "none", "--json"],
    restartFlags(program.restart),
    options.takeOver ? ["--take-over"] : [],
    fromSavepoint === undefined ? [] : ["--from-savepoint", fromSavepoint],
    takeOverFrom === undefined ? [] : ["--take-over-from", takeOverFrom]
  ].flat()
}

/** Of a state directory, whoever is at work there. */
export const savepointFlags = (cluster: Cluster, state: string, to: string): ReadonlyArray<string> => [
  "savepoint",
  "--state",
  state,
  "--to",
  to,
  ...ledgerFlags(cluster)
]

/** Starts the command. Nothing of it is left when the Scope closes. */
export const start = (args: ReadonlyArray<string>): Effect.Effect<Loading, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = ChildProcess.spawn(process.execPath, [bin, ...args], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, CASSANDRA_REQUEST_TIMEOUT: "2 seconds" }
      })
      let stdout = ""
      let stderr = ""
      let end: Ended | null = null
      child.stdout.on("data", (data) => stdout += data)
      // The end says why it ended; hours of warnings before do not matter.
      child.stderr.on("data", (data) => stderr = (stderr + data).slice(-20_000))
      const ended = new Promise<Ended>((resolve) =>
        child.on("close", (code, signal) => {
          end = { code, signal, summary: stdout.startsWith("{") ? JSON.parse(stdout) : null, stdout, stderr }
          resolve(end)
        })
      )
      return {
        pid: child.pid!,
        ended: Effect.promise(() => ended),
        end: () => end,
        signal: (signal: NodeJS.Signals) => Effect.sync(() => void child.kill(signal))
      }
    }),
    (loading) => loading.end() === null ? Effect.andThen(loading.signal("SIGKILL"), loading.ended) : Effect.void
  )

/** Whether a process of this number is there. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
