/**
 * How a file is read, as far as a position in it depends on it: read in another way, what is behind the same byte are other
 * records, or the same with other values. It stands in the position, so that a job is not gone on with in another way by mistake.
 *
 * @since 0.1.0
 */

/**
 * Values by option: `encoding`, and what the format has besides (`format`, `delimiter`, ...).
 *
 * @category models
 * @since 0.1.0
 */
export interface Reading {
  readonly [option: string]: string
}

/** As the command has them; any other is told by its name. */
const words: { readonly [option: string]: (value: string) => string } = {
  delimiter: (value) => `--delimiter ${JSON.stringify(value)}`,
  encoding: (value) => `--encoding ${value}`,
  format: (value) => `--format ${value}`,
  header: (value) => value === "true" ? "--header" : "--no-header",
  quote: (value) => value === "" ? "no quote" : `quote ${value}`,
  stage: (value) => value === "" ? "no --stage" : `--stage ${value}`
}

const wordsOf = (reading: Reading, options: ReadonlyArray<string>): string =>
  options.map((option) => words[option]?.(reading[option]!) ?? `${option} ${JSON.stringify(reading[option])}`)
    .join(" and ")

/**
 * What is different, and the way out, for an `InputChanged`; null if nothing is. An option that is not known from then is
 * none: positions have not always had them.
 *
 * @category guards
 * @since 0.1.0
 */
export const difference = (
  then: Reading | undefined,
  now: Reading
): { readonly what: string; readonly wayOut: string } | null => {
  if (then === undefined) return null
  const all = Object.keys(then).filter((option) => Object.hasOwn(now, option) && then[option] !== now[option])
  if (all.length === 0) return null
  // Another format has others of the rest as well.
  const options = all.includes("format") ? ["format"] : all.toSorted()
  return {
    what: `the job was begun with ${wordsOf(then, options)}, and now it is to be read with ${wordsOf(now, options)}: ` +
      "what was read of it would not fit what is read from here on",
    wayOut: `Give ${wordsOf(then, options)} again`
  }
}
