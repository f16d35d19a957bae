/**
 * Files in another encoding than UTF-8, which is what formats read.
 *
 * They are made UTF-8 block by block, in whole lines, so that where a record ends is told in the bytes of the file by counting
 * line feeds: positions stay those of the file.
 *
 * @since 0.1.0
 */
import type { Format, Split, Window } from "./FileFormat.ts"
import { Malformed } from "./FileFormat.ts"
import { SourceError } from "./SourceError.ts"
import type { TextEncoding } from "./TextEncoding.ts"
import { lastLineEnd, lineEnd, toUtf8 } from "./TextEncoding.ts"

/**
 * A window onto the beginning of another, up to `end`, in UTF-8.
 *
 * @category combinators
 * @since 0.1.0
 */
export const asUtf8 = (encoding: TextEncoding, window: Window, end: number): Window => {
  const { byte, final, line, start } = window
  if (encoding.isUtf8) return window
  const buffer = toUtf8(encoding, window.buffer, start, end)
  return { buffer, start: 0, end: buffer.length, byte, line, final }
}

/** Bytes that are looked at behind a bad record: where there are many, not all of a block is made UTF-8 for each. */
const reachMin = 4096

const splitIn = <A>(encoding: TextEncoding, split: Split<A>): Split<A> => {
  /** Doubled by each look that finds nothing bad. */
  let reach = Number.POSITIVE_INFINITY
  return (window, maxRecords) => {
    const { end, start } = window
    const near = start + reach < end ? splitUpTo(encoding, split, window, start + reach, maxRecords) : null
    const taken = near ?? splitUpTo(encoding, split, window, end, maxRecords)
    reach = taken instanceof Malformed ? reachMin : 2 * reach
    return taken
  }
}

/** As if the window ended at `limit`. */
const splitUpTo = <A>(
  encoding: TextEncoding,
  split: Split<A>,
  window: Window,
  limit: number,
  maxRecords: number
): ReturnType<Split<A>> => {
  const { buffer, start } = window
  const final = window.final && limit === window.end
  const to = final ? limit : lastLineEnd(encoding, buffer, start, limit)
  if (to === start) return null
  const read = { ...asUtf8(encoding, window, to), final }
  const taken = split(read, maxRecords)
  if (taken === null || taken instanceof SourceError) return taken
  let behind = taken.end === read.end ? to : start
  if (behind === start) { for (let i = 0; i < taken.lines; i++) behind = lineEnd(encoding, buffer, behind, to) }
  return taken instanceof Malformed
    ? new Malformed(taken.error, behind, taken.lines, taken.csv)
    : { ...taken, end: behind }
}

/**
 * A format that reads UTF-8, for a file in this encoding.
 *
 * @category combinators
 * @since 0.1.0
 */
export const formatIn = <A>(encoding: TextEncoding, format: Format<A>): Format<A> =>
  encoding.isUtf8 ? format : {
    ...format,
    header: format.header === null ? null : splitIn(encoding, format.header),
    ...format.first === undefined ? {} : { first: splitIn(encoding, format.first) },
    split: splitIn(encoding, format.split)
  }
