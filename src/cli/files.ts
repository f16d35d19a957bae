/**
 * The files that a command line names: as they are written, or by patterns.
 *
 * @since 0.1.0
 */
import * as CliError from "effect/cli/CliError"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"

const usage = (message: string) => new CliError.ValidationError({ message })

/**
 * Whether a text may name several files. One that names something that is there does not.
 *
 * @category guards
 * @since 0.1.0
 */
export const isPattern = (text: string): boolean => /[*?[\]{}]/.test(text)

const kindOf = (path: string): Effect.Effect<"file" | "directory" | "other" | null> =>
  Effect.promise(() =>
    Fs.promises.stat(path).then(
      (stats) => stats.isFile() ? "file" : stats.isDirectory() ? "directory" : "other",
      () => null
    )
  )

const matches = (pattern: string) =>
  Effect.tryPromise({
    try: async () => {
      const paths: Array<string> = []
      for await (const path of Fs.promises.glob(pattern)) paths.push(path)
      return paths
    },
    catch: (error) =>
      usage(`${pattern}: can't be looked for: ${error instanceof Error ? error.message : String(error)}`)
  })

/** Code units and not the locale, so that no setting of the machine changes the order. */
const byCodeUnits = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0

/**
 * The files, each once, in the order of their names. A text that names something that is there is no pattern. What is not
 * there at all is left to who opens it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const expand = Effect.fnUntraced(function*(
  texts: ReadonlyArray<string>
): Effect.fn.Return<ReadonlyArray<string>, CliError.CliError> {
  const found = new Map<string, string>()
  const add = (path: string) => {
    const key = Path.resolve(path)
    if (!found.has(key)) found.set(key, Path.normalize(path))
  }
  for (const text of texts) {
    if (text === "-") {
      return yield* usage(
        "Standard input can't be read again after a crash, so it can't be loaded exactly once: write it to a file first"
      )
    }
    const kind = yield* kindOf(text)
    if (kind === "directory") {
      return yield* usage(`${text} is a directory: name its files, as in "${Path.join(text, "*.ndjson")}"`)
    }
    if (kind !== null || !isPattern(text)) {
      add(text)
      continue
    }
    let files = 0
    for (const path of yield* matches(text)) {
      if ((yield* kindOf(path)) !== "file") continue
      files++
      add(path)
    }
    if (files === 0) return yield* usage(`No file matches ${text}`)
  }
  return [...found.values()].toSorted(byCodeUnits)
})
