import * as Effect from "effect/Effect"
import { join } from "node:path"
import { type Environment, findOnPath, lastLine, run } from "./command.ts"

/** The Java versions that Cassandra 5 runs on. */
const accepted: ReadonlyArray<number> = [11, 17]

export interface JavaRuntime {
  /** Absolute path of the `java` command. */
  readonly path: string
  /** As it calls itself: `17.0.15`. */
  readonly version: string
}

/**
 * The first of `$JAVA_HOME/bin/java` and the `java` on the `PATH` that Cassandra 5 accepts, or a sentence that says
 * which were looked at and why none fits.
 */
export const findJava = Effect.fnUntraced(
  function*(environment: Environment): Effect.fn.Return<JavaRuntime, string> {
    const home = environment["JAVA_HOME"]
    const inHome = home === undefined || home === "" ? null : findOnPath("java", { PATH: join(home, "bin") })
    const candidates = [inHome, findOnPath("java", environment)].filter((path) => path !== null)
    const refused: Array<string> = []
    for (const path of candidates) {
      const answer = yield* run(path, ["-version"], { environment, timeoutMillis: 20_000 })
      const version = /version "([^"]+)"/.exec(answer.stderr)?.[1]
      if (version !== undefined && accepted.includes(Number.parseInt(version, 10))) return { path, version }
      refused.push(version === undefined ? `${path} gives no version (${lastLine(answer)})` : `${path} is ${version}`)
    }
    return yield* Effect.fail(
      refused.length === 0
        ? "no java in JAVA_HOME or on the PATH"
        : `${refused.join(", ")}, and Cassandra 5 needs Java ${accepted.join(" or ")}`
    )
  }
)
