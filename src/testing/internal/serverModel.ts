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
 * The hands to hurt a node with, or all nodes of a server.
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
export interface CassandraControls {
  readonly kill: Effect.Effect<void, CassandraServerError>
  readonly stop: Effect.Effect<void, CassandraServerError>
  readonly restart: Effect.Effect<void, CassandraServerError>
  readonly pause: Effect.Effect<void, CassandraServerError>
  readonly resume: Effect.Effect<void, CassandraServerError>
  readonly log: Effect.Effect<ReadonlyArray<string>>
}

/**
 * One node of a server. It listens on `contactPoint` and tells clients to look for it at `advertised`, both `host:port`;
 * they differ for a server that is `behindProxies`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CassandraNodeControls extends CassandraControls {
  readonly contactPoint: string
  readonly advertised: string
}

/**
 * A running server.
 *
 * `contactPoints` (`host:port`, one a node), `port` (of every node) and `localDataCenter` are what a session needs.
 * `startMillis` is the time in milliseconds from the launch of the server to its first answered query, without any
 * download before it; with several nodes, until each knows that the others are there.
 *
 * Its own controls are for all `nodes` at once: `kill`, `stop`, `pause` and `resume` reach those that run and fail when
 * there is none, `restart` ends when all answer, and `log` is that of one node after the other.
 *
 * @category models
 * @since 0.1.0
 */
export interface CassandraServerControls extends CassandraControls {
  readonly contactPoints: ReadonlyArray<string>
  readonly port: number
  readonly localDataCenter: string
  readonly kind: CassandraServerKind
  readonly startMillis: number
  readonly nodes: ReadonlyArray<CassandraNodeControls>
}

/**
 * Which server, of what kind, with which settings.
 *
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
  /**
   * How many nodes the cluster has, 1 or 3. Default 1. Three of them need the kind `java`, on a system where all of
   * 127.0.0.0/8 is this machine (Linux), or an external cluster of as many.
   */
  readonly nodes?: 1 | 3 | undefined
  /**
   * Each node tells clients to look for it at an address where nobody listens yet: `FaultProxy.ofServer` does. So all
   * traffic of a client goes through the proxies, also to nodes that it finds by itself. Needs the kind `java` on Linux.
   * Default false.
   */
  readonly behindProxies?: boolean | undefined
  /** Java heap of each node, as in `-Xmx`. Default `"512M"`, and `"384M"` for each of three. */
  readonly heap?: string | undefined
  /** Settings of `cassandra.yaml`, over those of this module; `null` takes a setting away. Default none. */
  readonly yaml?: Readonly<Record<string, unknown>> | undefined
  /** Further arguments for the JVM. Default none. */
  readonly jvmOptions?: ReadonlyArray<string> | undefined
  /** How long a start, or a restart, may take until a query is answered. Default 120 seconds. */
  readonly startupTimeout?: Duration.Input | undefined
  /**
   * Where the data lives. A folder given here is made if need be, survives the Scope, and can be started on again.
   * Default: a temporary one, removed with the Scope. Only for one node.
   */
  readonly dataDirectory?: string | undefined
  /** The environment variables that are looked at and handed on. Default `process.env`. */
  readonly environment?: Environment | undefined
}

/** The options with all defaults filled in. */
export interface ServerSettings {
  readonly kinds: ReadonlyArray<CassandraServerKind>
  readonly version: string
  readonly nodes: number
  readonly behindProxies: boolean
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
