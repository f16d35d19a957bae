/**
 * JSON without loss: a number that JavaScript would round stays the text it was.
 */

import { isBeyondDouble } from "../../wire/DoubleRange.ts"
import * as JsonKeys from "../../wire/JsonKeys.ts"

/** The third argument of a reviver is newer than the language level this is compiled for. */
const keepDigits = (_: string, value: unknown, context?: { readonly source?: string }): unknown => {
  if (typeof value !== "number") return value
  const source = context?.source
  // Fifteen digits always survive. A longer number does if it is written back the same and stands for itself alone.
  if (source === undefined || (source.length < 16 && !isBeyondDouble(source))) return value
  if (String(value) === source && (Number.isSafeInteger(value) || !Number.isInteger(value))) return value
  return source
}

/**
 * The value of a JSON text, undefined if it is none.
 *
 * @internal
 */
export const parseJson = (text: string): unknown => {
  try {
    return JsonKeys.parse(text, keepDigits)
  } catch {
    return undefined
  }
}
