/** What a Cassandra process is started with: its settings, its logging, its JVM flags. */
import { join } from "node:path"
import type { ServerSettings } from "./serverModel.ts"
import type { TlsMaterial } from "./tlsMaterial.ts"

export interface Ports {
  readonly native: number
  readonly storage: number
}

/** Where a node is in its cluster. */
export interface Place {
  readonly address: string
  /** The address that clients are told; undefined for its own. */
  readonly advertised: string | undefined
  readonly ports: Ports
  /** Addresses of all nodes: each is a seed, so that it starts whoever else is up. */
  readonly seeds: ReadonlyArray<string>
  /** Its part of the ring; undefined for all of it. */
  readonly tokens: ReadonlyArray<bigint> | undefined
  /** Null without TLS. */
  readonly tls: TlsMaterial | null
}

/** Names of the stores of certificates, in the node's directory. */
export const storeNames = { server: "server.p12", trusted: "trusted.p12" }

/** Who may come in, and how. `directory` is where the stores are; null for a server without TLS. */
export const guard = (
  { authentication, tls }: Pick<ServerSettings, "authentication" | "tls">,
  stores: { readonly directory: string; readonly password: string } | null
): YamlOverrides => ({
  ...authentication
    ? {
      authenticator: "PasswordAuthenticator",
      authorizer: "CassandraAuthorizer",
      role_manager: "CassandraRoleManager",
      // What a test has just granted or taken is so at once.
      permissions_validity: "0ms",
      roles_validity: "0ms",
      credentials_validity: "0ms"
    }
    : {},
  ...tls === false || stores === null ? {} : {
    client_encryption_options: {
      enabled: true,
      optional: false,
      keystore: join(stores.directory, storeNames.server),
      keystore_password: stores.password,
      store_type: "PKCS12",
      ...tls === "client-certificate"
        ? {
          require_client_auth: true,
          truststore: join(stores.directory, storeNames.trusted),
          truststore_password: stores.password
        }
        : {}
    }
  }
})

/** `count` tokens for each of `nodes` nodes, in turns around the ring. Nodes that start at once can't agree on any. */
export const tokensOf = (node: number, nodes: number, count: number): ReadonlyArray<bigint> => {
  const step = (1n << 64n) / BigInt(nodes * count)
  return Array.from({ length: count }, (_, i) => BigInt(i * nodes + node) * step - (1n << 63n) + 1n)
}

export type YamlOverrides = Readonly<Record<string, unknown>>

/** What differs from Cassandra's own defaults and does not depend on addresses or folders. */
const settings = {
  cluster_name: "effect-cassandra",
  // One token instead of 16 makes the first start about a tenth faster.
  num_tokens: 1,
  partitioner: "org.apache.cassandra.dht.Murmur3Partitioner",
  endpoint_snitch: "SimpleSnitch",
  auto_bootstrap: false,
  // A snapshot at each DROP or TRUNCATE takes time and space that no test wants.
  auto_snapshot: false,
  hinted_handoff_enabled: false,
  dynamic_snitch: false
}

/**
 * A write is acknowledged when it is on disk. With Cassandra's own default, a sync each 10 seconds, a killed server
 * loses the last tenth of a second of what it acknowledged, and a test that kills it would fail now and then. Whoever
 * sets one of these sets all: they exclude each other.
 */
const durable = { commitlog_sync: "batch", commitlog_sync_period: "0ms" }

const durability = (overrides: YamlOverrides): YamlOverrides =>
  Object.keys(overrides).some((name) => name.startsWith("commitlog_sync")) ? {} : durable

/** `null` or `undefined` in the overrides takes a setting away. */
const mergeSettings = (base: YamlOverrides, overrides: YamlOverrides): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries({ ...base, ...overrides }).filter(([, value]) => value !== null && value !== undefined)
  )

/** The text of a cassandra.yaml. It is written as JSON, which every YAML reader reads. */
export const cassandraYaml = (dataDirectory: string, place: Place, overrides: YamlOverrides): string =>
  JSON.stringify(
    mergeSettings({
      ...settings,
      ...durability(overrides),
      ...place.tokens === undefined
        ? {}
        : { num_tokens: place.tokens.length, initial_token: place.tokens.join(",") },
      listen_address: place.address,
      rpc_address: place.address,
      broadcast_rpc_address: place.advertised,
      native_transport_port: place.ports.native,
      storage_port: place.ports.storage,
      seed_provider: [{
        class_name: "org.apache.cassandra.locator.SimpleSeedProvider",
        parameters: [{ seeds: place.seeds.map((address) => `${address}:${place.ports.storage}`).join(",") }]
      }],
      data_file_directories: [join(dataDirectory, "data")],
      commitlog_directory: join(dataDirectory, "commitlog"),
      saved_caches_directory: join(dataDirectory, "saved_caches"),
      hints_directory: join(dataDirectory, "hints"),
      cdc_raw_directory: join(dataDirectory, "cdc_raw")
    }, overrides),
    null,
    2
  )

/**
 * Settings for an image that brings a cassandra.yaml: lines to be appended to it (of two with one name the last counts),
 * and the names of those to be taken away.
 */
export const yamlChanges = (overrides: YamlOverrides): { readonly lines: string; readonly without: Array<string> } => ({
  lines: Object.entries(mergeSettings({ auto_snapshot: settings.auto_snapshot, ...durability(overrides) }, overrides))
    .map(([name, value]) => `${name}: ${JSON.stringify(value)}\n`)
    .join(""),
  without: Object.keys(overrides).filter((name) => overrides[name] === null && /^\w+$/.test(name))
})

export const logbackXml = `<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level %date{ISO8601} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
`

/** System properties without which a single node waits for others that do not exist. */
export const impatience: ReadonlyArray<string> = [
  "-Dcassandra.ring_delay_ms=0",
  "-Dcassandra.skip_wait_for_gossip_to_settle=0",
  "-Dcassandra.superuser_setup_delay_ms=0"
]

const exported: ReadonlyArray<string> = [
  "java.base/jdk.internal.misc",
  "java.base/jdk.internal.ref",
  "java.base/sun.nio.ch",
  "java.base/java.lang.ref",
  "java.management.rmi/com.sun.jmx.remote.internal.rmi",
  "java.rmi/sun.rmi.registry",
  "java.rmi/sun.rmi.server",
  "java.sql/java.sql",
  "jdk.unsupported/sun.misc"
]

const opened: ReadonlyArray<string> = [
  "java.base/java.lang",
  "java.base/java.lang.module",
  "java.base/java.lang.reflect",
  "java.base/java.io",
  "java.base/java.nio",
  "java.base/java.util",
  "java.base/java.util.concurrent",
  "java.base/java.util.concurrent.atomic",
  "java.base/sun.nio.ch",
  "java.base/jdk.internal.loader",
  "java.base/jdk.internal.ref",
  "java.base/jdk.internal.reflect",
  "java.base/jdk.internal.math",
  "java.base/jdk.internal.module",
  "java.base/jdk.internal.util.jar",
  "jdk.management/com.sun.management.internal"
]

/** The arguments of `java` for a server whose settings, logs and scratch files are in `directory`. */
export const javaArguments = (options: {
  readonly directory: string
  readonly dataDirectory: string
  readonly jars: string
  readonly heap: string
  readonly jvmOptions: ReadonlyArray<string>
}): ReadonlyArray<string> => {
  const scratch = join(options.directory, "tmp")
  return [
    `-Xms${options.heap}`,
    `-Xmx${options.heap}`,
    // The collector with the least overhead on the one or two cores that a test machine has to spare.
    "-XX:+UseSerialGC",
    // The jars are as trusted as the JDK: not verifying their byte code saves a tenth of the start.
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-BytecodeVerificationRemote",
    // No file in the system's temporary folder that a SIGKILL would leave there.
    "-XX:+PerfDisableSharedMem",
    `-Djava.io.tmpdir=${scratch}`,
    `-Djna.tmpdir=${scratch}`,
    "-Djdk.attach.allowAttachSelf=true",
    ...exported.flatMap((name) => ["--add-exports", `${name}=ALL-UNNAMED`]),
    ...opened.flatMap((name) => ["--add-opens", `${name}=ALL-UNNAMED`]),
    `-Dcassandra.config=file://${encodeURI(join(options.directory, "cassandra.yaml"))}`,
    `-Dcassandra.storagedir=${options.dataDirectory}`,
    "-Dcassandra-foreground=yes",
    ...impatience,
    `-Dlogback.configurationFile=file://${encodeURI(join(options.directory, "logback.xml"))}`,
    ...options.jvmOptions,
    "-cp",
    join(options.jars, "*"),
    "org.apache.cassandra.service.CassandraDaemon"
  ]
}
