/**
 * Flink and dsbulk, from Maven Central by the ordinary `mvn` client, kept in the cache where Cassandra's jars are.
 * A machine without Java or Maven has none, and the report says so.
 */
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

interface Artifact {
  readonly group: string
  readonly name: string
  readonly version: string
}

const artifacts = (group: string, version: string, names: ReadonlyArray<string>): ReadonlyArray<Artifact> =>
  names.map((name) => ({ group, name, version }))

export const flinkVersion = "1.20.1"
export const flinkConnectorVersion = "3.0.0-1.16"
export const dsbulkVersion = "1.10.0"

const needed = {
  flink: [
    ...artifacts("org.apache.flink", flinkVersion, [
      "flink-streaming-java",
      "flink-clients",
      "flink-streaming-scala_2.12"
    ]),
    ...artifacts("org.apache.flink", flinkConnectorVersion, ["flink-connector-cassandra_2.12"])
  ],
  dsbulk: artifacts("com.datastax.oss", dsbulkVersion, [
    "dsbulk-runner",
    "dsbulk-workflow-load",
    "dsbulk-connectors-csv",
    "dsbulk-codecs-text",
    "dsbulk-executor-reactor",
    "dsbulk-batcher-reactor"
  ])
} as const

/** A class path, or a sentence that says why there is none. */
export type Peer = { readonly classPath: string } | { readonly absent: string }

export interface Peers {
  readonly flink: Peer
  readonly dsbulk: Peer
  readonly java: string | null
}

export const classPathOf = (peer: Peer): string => {
  if ("absent" in peer) throw new Error(peer.absent)
  return peer.classPath
}

/** What Flink and its serializers want to look into, on Java 17. */
export const addOpens: ReadonlyArray<string> = [
  "java.base/java.lang",
  "java.base/java.lang.invoke",
  "java.base/java.math",
  "java.base/java.net",
  "java.base/java.io",
  "java.base/java.nio",
  "java.base/sun.nio.ch",
  "java.base/java.text",
  "java.base/java.time",
  "java.base/java.util",
  "java.base/java.util.concurrent",
  "java.base/java.util.concurrent.atomic"
].flatMap((name) => ["--add-opens", `${name}=ALL-UNNAMED`])

const cacheFolder = (): string => {
  const chosen = process.env["EFFECT_CASSANDRA_CACHE"]
  return chosen === undefined || chosen === ""
    ? fileURLToPath(new URL("../../node_modules/.cache/effect-cassandra", import.meta.url))
    : Path.resolve(chosen)
}

const run = (command: string, args: ReadonlyArray<string>): { readonly code: number | null; readonly text: string } => {
  const { error, status, stderr, stdout } = ChildProcess.spawnSync(command, args, { encoding: "utf8" })
  return { code: status, text: error === undefined ? `${stdout}${stderr}` : error.message }
}

const javaVersion = (): string | null => /version "([^"]+)"/.exec(run("java", ["-version"]).text)?.[1] ?? null

const pom = (of: ReadonlyArray<Artifact>): string =>
  `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>effect-cassandra</groupId><artifactId>benchmark-peer</artifactId><version>1</version>
  <dependencies>
${
    of.map(({ group, name, version }) =>
      `    <dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`
    ).join("\n")
  }
  </dependencies>
</project>
`

/** `make` fills a folder that gets its final name in one step: one that was interrupted is never taken for complete. */
const once = (complete: string, make: (partial: string) => void): void => {
  if (Fs.existsSync(complete)) return
  const partial = `${complete}.${Crypto.randomBytes(6).toString("hex")}.tmp`
  Fs.mkdirSync(partial, { recursive: true })
  try {
    make(partial)
    Fs.renameSync(partial, complete)
  } catch (error) {
    if (!Fs.existsSync(complete)) throw error
  } finally {
    Fs.rmSync(partial, { recursive: true, force: true })
  }
}

const fetchJars = (name: keyof typeof needed, say: (text: string) => void): string => {
  const version = name === "flink" ? `${flinkVersion}-${flinkConnectorVersion}` : dsbulkVersion
  const folder = Path.join(cacheFolder(), `bench-${name}-${version}`)
  if (!Fs.existsSync(folder)) say(`Fetching ${name} from Maven Central into ${folder}, once`)
  once(folder, (partial) => {
    const file = Path.join(Os.tmpdir(), `bench-${name}-${process.pid}.xml`)
    Fs.writeFileSync(file, pom(needed[name]))
    try {
      const { code, text } = run("mvn", [
        "-q",
        "-B",
        "-f",
        file,
        "dependency:copy-dependencies",
        `-DoutputDirectory=${partial}`
      ])
      if (code !== 0) throw new Error(`mvn did not fetch ${name}: ${text.trim().split("\n")[0]}`)
    } finally {
      Fs.rmSync(file, { force: true })
    }
  })
  return Path.join(folder, "*")
}

const source = fileURLToPath(new URL("./java/FlinkBench.java", import.meta.url))

const compileFlinkBench = (jars: string): string => {
  const hash = Crypto.createHash("sha256").update(Fs.readFileSync(source)).digest("hex").slice(0, 16)
  const folder = Path.join(cacheFolder(), `bench-flink-classes-${hash}`)
  once(folder, (partial) => {
    const { code, text } = run("javac", ["-nowarn", "-cp", jars, "-d", partial, source])
    if (code !== 0) throw new Error(`javac did not compile ${source}: ${text.trim()}`)
  })
  return folder
}

/** Fetches what is not there yet. Never fails: what can't be had is absent, with the reason. */
export const find = (
  wanted: ReadonlySet<"flink" | "dsbulk">,
  say: (text: string) => void
): Peers => {
  const java = javaVersion()
  const get = (name: "flink" | "dsbulk", make: () => string): Peer => {
    if (!wanted.has(name)) return { absent: `${name} was not asked for` }
    if (java === null) {
      return { absent: `${name} was left out: there is no java on the PATH (it needs Java 17 and Maven)` }
    }
    try {
      return { classPath: make() }
    } catch (error) {
      return { absent: `${name} was left out: ${error instanceof Error ? error.message : String(error)}` }
    }
  }
  return {
    java,
    flink: get("flink", () => {
      const jars = fetchJars("flink", say)
      return `${compileFlinkBench(jars)}${Path.delimiter}${jars}`
    }),
    dsbulk: get("dsbulk", () => fetchJars("dsbulk", say))
  }
}
