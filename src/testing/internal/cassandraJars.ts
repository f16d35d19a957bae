/** The jars of a Cassandra release, fetched once from Maven Central by the ordinary `mvn` client and kept in a cache. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { type Environment, findOnPath, lastLine, run } from "./command.ts"

const downloadTimeoutMillis = 10 * 60 * 1000

/** A download in progress is never this old; one that is was killed. */
const staleMillis = 60 * 60 * 1000

const packageRoot = (from: string): string => {
  for (let folder = from;; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json"))) return folder
    if (dirname(folder) === folder) return from
  }
}

const cacheFolder = (environment: Environment): string => {
  const chosen = environment["EFFECT_CASSANDRA_CACHE"]
  return chosen === undefined || chosen === ""
    ? join(packageRoot(process.cwd()), "node_modules", ".cache", "effect-cassandra")
    : resolve(chosen)
}

const pom = (version: string): string =>
  `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>effect-cassandra</groupId><artifactId>cassandra-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId><version>${version}</version>
    </dependency>
  </dependencies>
</project>
`

const sweepStale = (cache: string, prefix: string, now: number): void => {
  for (const name of readdirSync(cache)) {
    const path = join(cache, name)
    if (name.startsWith(prefix) && now - statSync(path).mtimeMs > staleMillis) {
      rmSync(path, { recursive: true, force: true })
    }
  }
}

/**
 * The folder with all jars of Cassandra `version`, or a sentence that says why it cannot be had.
 *
 * A download happens in a folder of its own that gets its final name in one step: a killed download is never taken for
 * a complete one, and of two processes that download at once one wins and both use its copy.
 */
export const cassandraJars = Effect.fnUntraced(
  function*(version: string, environment: Environment): Effect.fn.Return<string, string> {
    if (!/^[0-9A-Za-z.-]+$/.test(version)) return yield* Effect.fail(`"${version}" is no Cassandra version`)
    const cache = cacheFolder(environment)
    const complete = join(cache, `cassandra-${version}`)
    const jars = join(complete, "lib")
    if (existsSync(jars)) return jars
    const maven = findOnPath("mvn", environment)
    if (maven === null) return yield* Effect.fail(`no mvn on the PATH to fetch Cassandra ${version} with`)
    yield* Effect.logInfo(`Fetching Cassandra ${version} (about 66 MB) from Maven Central into ${complete}, once`)
    const prefix = `.download-${version}-`
    const partial = join(cache, `${prefix}${randomBytes(6).toString("hex")}`)
    const now = yield* Clock.currentTimeMillis
    return yield* Effect.acquireUseRelease(
      Effect.try({
        try: () => {
          mkdirSync(partial, { recursive: true })
          sweepStale(cache, prefix, now)
          writeFileSync(join(partial, "pom.xml"), pom(version))
        },
        catch: (error) => `${cache} cannot be written: ${String(error)}`
      }),
      Effect.fnUntraced(function*() {
        const finished = yield* run(
          maven,
          [
            "-q",
            "-B",
            "-f",
            join(partial, "pom.xml"),
            "dependency:copy-dependencies",
            `-DoutputDirectory=${join(partial, "lib")}`
          ],
          { environment, timeoutMillis: downloadTimeoutMillis, directory: partial }
        )
        if (finished.code !== 0 || !existsSync(join(partial, "lib", `cassandra-all-${version}.jar`))) {
          const firstError = finished.stdout.split("\n").find((line) => line.startsWith("[ERROR]"))
          return yield* Effect.fail(
            `mvn did not fetch org.apache.cassandra:cassandra-all:${version}: ${firstError ?? lastLine(finished)}`
          )
        }
        return yield* Effect.try({
          try: () => moveIntoPlace(partial, complete),
          catch: (error) => `${complete} cannot be written: ${String(error)}`
        })
      }),
      () => Effect.sync(() => rmSync(partial, { recursive: true, force: true }))
    ).pipe(Effect.as(jars))
  }
)

const moveIntoPlace = (partial: string, complete: string): void => {
  try {
    renameSync(partial, complete)
  } catch (error) {
    // Somebody else was first: theirs is as good as ours.
    if (!existsSync(complete)) throw error
  }
}
