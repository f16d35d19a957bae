/**
 * What a file probably is, where its first lines are not what it was taken for: the mistakes of somebody who loads a file
 * for the first time.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { MalformedRecord } from "../source/SourceError.ts"
import * as SourceErrors from "../source/SourceError.ts"
import type { Format } from "./settings.ts"

/** The command that makes the file what is wanted. */
const by = (command: string, input: string, extension: string): string =>
  /\.(?:gz|zst)$/i.test(input)
    ? `unpack it, and run ${command}`
    : `${command} ${input} >${input.replace(/\.\w+$/, "")}${extension}`

const ofNdjson = ({ excerpt, input }: MalformedRecord): string | undefined =>
  excerpt.startsWith("[")
    ? `If the file is one array, this makes a line of each object: ${by("jq -c '.[]'", input, ".ndjson")}`
    : /^\{(?:.*[,:[{])?$/.test(excerpt.trimEnd())
    ? `If its objects go over several lines, this makes a line of each: ${by("jq -c .", input, ".ndjson")}`
    : /[,;\t|]|\\t/.test(excerpt)
    ? "If the file is CSV, add --format csv"
    : undefined

const hintFor = (error: MalformedRecord, format: Format): string | undefined => {
  const { excerpt, line, problem } = error
  if (line > 1) return undefined
  // The mark of UTF-16 is no UTF-8, and every other byte of plain text in it is zero.
  if (/^\ufffd\ufffd|^(?:\\u0000)?.\\u0000/.test(excerpt)) {
    return `If the file is UTF-16, add --encoding utf-16${/^(?:\ufffd\ufffd)?\\u0000/.test(excerpt) ? "be" : "le"}`
  }
  if (format.kind === "ndjson") return ofNdjson(error)
  return format.header && problem.startsWith("in the header") && !problem.includes("line break")
    ? "If the first line is a record already, add --no-header"
    : undefined
}

/**
 * Adds to an error about the first line what to do if the file is of another kind.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withHint = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  format: Format
): Effect.Effect<A, E | SourceErrors.SourceError, R> =>
  Effect.mapError(self, (error) => {
    if (!(error instanceof SourceErrors.SourceError) || error.reason._tag !== "MalformedRecord") return error
    const hint = hintFor(error.reason, format)
    return hint === undefined ? error : new SourceErrors.SourceError({
      reason: new SourceErrors.MalformedRecord({ ...error.reason, hint })
    })
  })
