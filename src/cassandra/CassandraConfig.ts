/**
 * How a session reaches Cassandra: the options, their defaults, and the same options read from the environment.
 *
 * @since 0.1.0
 */
import type { DseClientOptions } from "cassandra-driver"
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/**
 * Consistency levels, named as in CQL, in the order of their codes in the native protocol (`ANY` is 0). `SERIAL` and `LOCAL_SERIAL`
 * are for reads that must see every conditional write.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Consistency = Schema.Literals([
  "ANY",
  "ONE",
  "TWO",
  "THREE",
  "QUORUM",
  "ALL",
  "LOCAL_QUORUM",
  "EACH_QUORUM",
  "SERIAL",
  "LOCAL_SERIAL",
  "LOCAL_ONE"
])

/**
 * A consistency level.
 *
 * @category models
 * @since 0.1.0
 */
export type Consistency = typeof Consistency.Type

/**
 * Consistency levels of the conditional part of a conditional statement.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SerialConsistency = Schema.Literals(["SERIAL", "LOCAL_SERIAL"])

/**
 * A consistency level of the conditional part of a conditional statement.
 *
 * @category models
 * @since 0.1.0
 */
export type SerialConsistency = typeof SerialConsistency.Type

/**
 * TLS settings, a subset of Node's. Their presence (even `{}`) turns TLS on.
 *
 * @category options
 * @since 0.1.0
 */
export interface TlsOptions {
  /** Certificate authorities to trust, PEM. Default: Node's own list. */
  readonly ca?: string | Buffer | ReadonlyArray<string | Buffer> | undefined
  /** The client's certificate, PEM, where the server wants one. Default: none. */
  readonly cert?: string | Buffer | undefined
  /** The client's private key, PEM. Default: none. */
  readonly key?: Redacted.Redacted<string | Buffer> | undefined
  /** Certificate and key in one: the bytes of a PKCS#12 file (`.p12`, `.pfx`). Instead of `cert` and `key`. Default none. */
  readonly pfx?: Redacted.Redacted<Buffer> | undefined
  /** What `key` or `pfx` is encrypted with. Default: neither is. */
  readonly passphrase?: Redacted.Redacted | undefined
  /** Whether an untrusted server is refused. Default true (the driver's own default is false). */
  readonly rejectUnauthorized?: boolean | undefined
  /** The name the server's certificate must have. Default: the address connected to. */
  readonly servername?: string | undefined
}

/**
 * Options of a session. All are optional: without any, a node on this machine is used.
 *
 * @category options
 * @since 0.1.0
 */
export interface CassandraSessionOptions {
  /** Nodes to ask first, as `host`, `host:port` or `[ipv6]:port`. Default `["127.0.0.1"]`. */
  readonly contactPoints?: ReadonlyArray<string> | undefined
  /**
   * Port of every node without one of its own, and of those that the cluster names. Default: the port that all contact
   * points have, else 9042.
   */
  readonly port?: number | undefined
  /** The data centre whose nodes are used. Default: that of the contact point that answers first. */
  readonly localDataCenter?: string | undefined
  /** Keyspace of unqualified table names. It must exist. Default: none. */
  readonly keyspace?: string | undefined
  /** User name; needs `password`. Default: no authentication. */
  readonly username?: string | undefined
  /** Password; needs `username`. Default: none. */
  readonly password?: Redacted.Redacted | undefined
  /** Default: no TLS. */
  readonly tls?: TlsOptions | undefined
  /** Consistency of requests that name none. Default `LOCAL_QUORUM`. */
  readonly consistency?: Consistency | undefined
  /**
   * Consistency of conditions that name none. Default `SERIAL`, which is right whatever the data centres of the other
   * clients; `LOCAL_SERIAL` is faster across data centres, but safe only while all conditional writers of a row, and
   * all who read it at serial consistency, are in one data centre.
   */
  readonly serialConsistency?: SerialConsistency | undefined
  /** How long one request may take on one node. Default 12 seconds; must be positive and finite. */
  readonly requestTimeout?: Duration.Input | undefined
  /** How long opening the session may take in all. Default 5 seconds; must be positive and finite. */
  readonly connectTimeout?: Duration.Input | undefined
  /**
   * How long closing waits for requests in flight before it drops them. Default 10 seconds; must be finite, zero does
   * not wait.
   */
  readonly drainTimeout?: Duration.Input | undefined
  /** Connections to each node of the local data centre. Default 1. */
  readonly connectionsPerHost?: number | undefined
  /** Requests in flight on one connection, beyond which they fail as `Busy`. Default 2048; at most 32768. */
  readonly maxRequestsPerConnection?: number | undefined
  /**
   * Delays between attempts to reach a node that is down: doubled from `initial` (default 1 second) to `max` (default 10
   * seconds).
   */
  readonly reconnection?: {
    readonly initial?: Duration.Input | undefined
    readonly max?: Duration.Input | undefined
  } | undefined
  /** Name shown in the server's `system_views.clients`. Default `effect-cassandra`. */
  readonly applicationName?: string | undefined
  /** Attributes added to every span. Default: none. */
  readonly spanAttributes?: Record<string, unknown> | undefined
  /**
   * Options of the driver itself, merged section by section over what this module chose: the last word. Default: none.
   * Leave `encoding` alone: the session counts on it.
   */
  readonly driverOptions?: DseClientOptions | undefined
}

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)

const tls: Config.Config<TlsOptions | undefined> = Config.map(
  Config.all({
    enabled: optional(Config.Boolean("CASSANDRA_TLS")),
    ca: optional(Config.String("CASSANDRA_TLS_CA")),
    cert: optional(Config.String("CASSANDRA_TLS_CERT")),
    key: optional(Config.Redacted("CASSANDRA_TLS_KEY")),
    passphrase: optional(Config.Redacted("CASSANDRA_TLS_PASSPHRASE")),
    rejectUnauthorized: optional(Config.Boolean("CASSANDRA_TLS_REJECT_UNAUTHORIZED")),
    servername: optional(Config.String("CASSANDRA_TLS_SERVERNAME"))
  }),
  ({ enabled, ...options }) =>
    enabled ?? Object.values(options).some((value) => value !== undefined) ? options : undefined
)

/**
 * The options as found in the environment (or any other `ConfigProvider`). Nothing is required.
 *
 * **Details**
 *
 * `CASSANDRA_CONTACT_POINTS` (comma separated), `CASSANDRA_PORT`, `CASSANDRA_LOCAL_DC`, `CASSANDRA_KEYSPACE`,
 * `CASSANDRA_USERNAME`, `CASSANDRA_PASSWORD`, `CASSANDRA_CONSISTENCY`, `CASSANDRA_SERIAL_CONSISTENCY`,
 * `CASSANDRA_REQUEST_TIMEOUT`, `CASSANDRA_CONNECT_TIMEOUT`, `CASSANDRA_DRAIN_TIMEOUT` (durations, as "12 seconds"),
 * `CASSANDRA_CONNECTIONS_PER_HOST`, `CASSANDRA_MAX_REQUESTS_PER_CONNECTION`, `CASSANDRA_APPLICATION_NAME`,
 * `CASSANDRA_TLS` (true or false) and `CASSANDRA_TLS_CA`, `_CERT`, `_KEY` (PEM text), `_PASSPHRASE`,
 * `_REJECT_UNAUTHORIZED`, `_SERVERNAME`; any of the latter turns TLS on unless `CASSANDRA_TLS` is false.
 *
 * @category config
 * @since 0.1.0
 */
export const config: Config.Config<CassandraSessionOptions> = Config.all({
  contactPoints: Config.map(
    optional(Config.NonEmptyString("CASSANDRA_CONTACT_POINTS")),
    (text) => text?.split(",").map((point) => point.trim()).filter((point) => point !== "")
  ),
  port: optional(Config.Port("CASSANDRA_PORT")),
  localDataCenter: optional(Config.NonEmptyString("CASSANDRA_LOCAL_DC")),
  keyspace: optional(Config.NonEmptyString("CASSANDRA_KEYSPACE")),
  username: optional(Config.NonEmptyString("CASSANDRA_USERNAME")),
  password: optional(Config.Redacted("CASSANDRA_PASSWORD")),
  consistency: optional(Config.schema(Consistency, "CASSANDRA_CONSISTENCY")),
  serialConsistency: optional(Config.schema(SerialConsistency, "CASSANDRA_SERIAL_CONSISTENCY")),
  requestTimeout: optional(Config.Duration("CASSANDRA_REQUEST_TIMEOUT")),
  connectTimeout: optional(Config.Duration("CASSANDRA_CONNECT_TIMEOUT")),
  drainTimeout: optional(Config.Duration("CASSANDRA_DRAIN_TIMEOUT")),
  connectionsPerHost: optional(Config.Int("CASSANDRA_CONNECTIONS_PER_HOST")),
  maxRequestsPerConnection: optional(Config.Int("CASSANDRA_MAX_REQUESTS_PER_CONNECTION")),
  applicationName: optional(Config.NonEmptyString("CASSANDRA_APPLICATION_NAME")),
  tls
})
