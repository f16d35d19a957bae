/**
 * JSON in which no digit gets lost: a number too long for a double, or beyond what one holds, is given as the string of its
 * digits.
 *
 * @since 0.1.0
 */
import { isBeyondDouble } from "../wire/DoubleRange.ts"
import * as JsonKeys from "../wire/JsonKeys.ts"

/** A number needs help if it has a run of this many digits and dots; a shorter one survives a double. */
const runLength = 16

const risky = /\d[\d.]{15}/

/** Less than 16 digits are beyond a double only with an exponent of three. */
const exponent = /[\d.][eE][+-]?\d{3}/g

/**
 * Strings, which are skipped whole (so that digits inside them are never touched), or anything number-like of sixteen
 * characters and more, or with an exponent of three digits.
 */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]{15,}|-?\d[\d.]*[eE][+-]?\d{3,}/g

const number = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

// What only looks like a number stays as it is, for JSON.parse to complain about.
const quote = (match: string): string =>
  match.charCodeAt(0) !== 0x22 && number.test(match) && (risky.test(match) || isBeyondDouble(match))
    ? `"${match}"`
    : match

const isDigitOrDot = (code: number): boolean => (code >= 0x30 && code <= 0x39) || code === 0x2e

/** Hex digits look much the same, but do not stand where a number may begin. */
const mayExceedDouble = (text: string): boolean => {
  exponent.lastIndex = 0
  for (let found = exponent.exec(text); found !== null; found = exponent.exec(text)) {
    let from = found.index
    while (from > 0 && isDigitOrDot(text.charCodeAt(from - 1))) from--
    if (from > 0 && text[from - 1] === "-") from--
    if (from === 0 || text.charCodeAt(from - 1) <= 0x20 || ":,[".includes(text[from - 1]!)) return true
  }
  return false
}

/**
 * Whether a text may hold a number that needs `parse`; where this is false, `JSON.parse` gives the same value. It is
 * cheap (0.2 us for 200 characters): ask it once for many lines.
 *
 * @category guards
 * @since 0.1.0
 */
export const mayLoseDigits = (text: string): boolean => {
  // A run of sixteen cannot hide between two places that are sixteen apart.
  for (let probe = runLength - 1; probe < text.length; probe += runLength) {
    if (isDigitOrDot(text.charCodeAt(probe))) {
      let from = probe
      let to = probe + 1
      while (from > 0 && isDigitOrDot(text.charCodeAt(from - 1))) from--
      while (to < text.length && isDigitOrDot(text.charCodeAt(to))) to++
      if (to - from >= runLength) return true
    }
  }
  return mayExceedDouble(text)
}

/**
 * `JSON.parse`, except that a number written with sixteen or more digits (dots counted), and one that is too large or too small
 * for a double, becomes a string of exactly the characters written: `{"id": 1234567890123456789}` gives
 * `{ id: "1234567890123456789" }`, and `1e400` is not Infinity.
 *
 * That is what an encoder for `bigint`, `varint`, `counter`, `decimal` or `time` wants; for `double` it is `Number(text)`.
 * Keys with escapes in them are read as `JsonKeys` tells. A `text` column cannot tell `1234567890123456` from `"1234567890123456"`. Throws a `SyntaxError` as `JSON.parse` does.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string): unknown => JsonKeys.parse(mayLoseDigits(text) ? text.replace(token, quote) : text)

/**
 * The parser for the lines of a text: `JSON.parse` where that loses nothing, which is asked once for all of them.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parserFor = (text: string, lossless: boolean): (line: string) => unknown =>
  lossless && mayLoseDigits(text) ? parse : text.includes("\\") ? (line) => JsonKeys.parse(line) : JSON.parse
