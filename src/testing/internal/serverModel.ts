import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Environment } from "./command.ts"
import type { CassandraServerError } from "./serverError.ts"

/**
 * Where a server comes from: a cluster that somebody else runs, a container, or a Java process.
 *
 * @category models
 * @since 0.1.0
 */
export type CassandraServerKind = "external" | "docker" | "java"

/**
 * A running server, and the hands to hurt it with.
 *
 * `contactPoints` (`host:port`) and `localDataCenter` are what a session needs. `startMillis` is the time in
 * milliseconds from the launch of the server to its first answered query, without any download before it.
 *
 * - `kill` ends the process at once (SIGKILL): what a crash or a power cut of the database looks like.
 * - `stop` ends it gracefully (drained, everything on disk); one that is not gone after 30 seconds is killed.
 * - `restart` starts it again on the same data and the same port, and returns when it answers queries. One that still
 *   runs is stopped first.
 * - `pause` freezes it (SIGSTOP) so that connections stay open and nothing answers, `resume` thaws it.
 * - `log` is what it wrote most recently, up to 500 lines, oldest first.
 *
 * An external server is not ours to control: there each of `kill`, `stop`, `restart`, `pause` and `resume` fails, and
 * `log` is empty.
 *
 * @category models
 * @since 0.1.0
 */
export interface CassandraServerControls {
  readonly contactPoints: ReadonlyArray<string>
  readonly port: number
  readonly localDataCenter: string
  readonly kind: CassandraServerKind
  readonly startMillis: number
  readonly kill: Effect.Effect<void, CassandraServerError>
  readonly stop: Effect.Effect<void, CassandraServerError>
  readonly restart: Effect.Effect<void, CassandraServerError>
  readonly pause: Effect.Effect<void, CassandraServerError>
  readonly resume: Effect.Effect<void, CassandraServerError>
  readonly log: Effect.Effect<ReadonlyArray<string>>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface CassandraServerOptions {
  /**
   * The ways to get a server, tried in this order. Default `["external", "docker", "java"]`. A test that stops, kills
   * or configures its server wants a private one: `["docker", "java"]`.
   */
  readonly kinds?: ReadonlyArray<CassandraServerKind> | undefined
  /** Release to start: the version of `cassandra-all` and the tag of the image. Default `"5.0.5"`. */
  readonly version?: string | undefined
  /** Java heap, as in `-Xmx`. Default `"512M"`. */
  readonly heap?: string | undefined
  /** Settings of `cassandra.yaml`, over those of this module; `null` takes a setting away. Default none. */
  readonly yaml?: Readonly<Record<string, unknown>> | undefined
  /** Further arguments for the JVM. Default none. */
  readonly jvmOptions?: ReadonlyArray<string> | undefined
  /** How long a start, or a restart, may take until a query is answered. Default 120 seconds. */
  readonly startupTimeout?: Duration.Input | undefined
  /**
   * Where the data lives. A folder given here is made if need be, survives the Scope, and can be started on again.
   * Default: a temporary one, removed with the Scope.
   */
  readonly dataDirectory?: string | undefined
  /** The environment variables that are looked at and handed on. Default `process.env`. */
  readonly environment?: Environment | undefined
}

/** The options with all defaults filled in. */
export interface ServerSettings {
  readonly kinds: ReadonlyArray<CassandraServerKind>
  readonly version: string
  readonly heap: string
  readonly yaml: Readonly<Record<string, unknown>>
  readonly jvmOptions: ReadonlyArray<string>
  readonly startupTimeoutMillis: number
  readonly dataDirectory: string | undefined
  readonly environment: Environment
}

/** How many lines `log` returns at most. */
export const logLinesMax = 500

/** The data centre of every server that this module starts. */
export const startedDataCenter = "datacenter1"
