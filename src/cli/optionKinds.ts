/**
 * What the values of flags may be, where it is not told by their type.
 *
 * @since 0.1.0
 */
import type { MaxErrors } from "../sink/DeadLetters.ts"
import * as TextEncoding from "../source/TextEncoding.ts"
import * as Flag from "./flag.ts"

/**
 * Of a job: it becomes part of the name of a table.
 *
 * @category kinds
 * @since 0.1.0
 */
export const jobIds = Flag.text(
  "name",
  /^[a-z0-9_]{1,36}$/,
  "1 to 36 lower case letters, digits and underscores (it becomes part of a table's name)"
)

/**
 * Of a keyspace that can be written without quotes.
 *
 * @category kinds
 * @since 0.1.0
 */
export const keyspaces = Flag.text(
  "keyspace",
  /^[a-z][a-z0-9_]{0,47}$/,
  "1 to 48 lower case letters, digits and underscores, beginning with a letter"
)

/**
 * Of TCP.
 *
 * @category kinds
 * @since 0.1.0
 */
export const ports = Flag.count(1, 65_535)

/**
 * Of a table, with or without its keyspace.
 *
 * @category kinds
 * @since 0.1.0
 */
export const tables = Flag.text(
  "name",
  /^(?:(?:"(?:[^"]|"")+"|[^".]+)\.)?(?:"(?:[^"]|"")+"|[^".]+)$/,
  "the name of a table, or keyspace.table"
)

/**
 * A number, or a part of the records; `none` for no bound.
 *
 * @category kinds
 * @since 0.1.0
 */
export const errorBounds: Flag.Kind<MaxErrors> = {
  metavar: "N|N%|none",
  expected: "a whole number, a percentage from 0% to 100%, or the word none",
  parse: (text) => {
    if (/^(?:none|-1)$/i.test(text)) return Number.POSITIVE_INFINITY
    if (/^\d{1,15}$/.test(text)) return Number(text)
    return /^\d+(?:\.\d+)?%$/.test(text) && Number.parseFloat(text) <= 100 ? text as `${number}%` : undefined
  }
}

/**
 * A factor, or one for each data centre.
 *
 * @category kinds
 * @since 0.1.0
 */
export const replications: Flag.Kind<{ readonly [option: string]: string | number }> = {
  metavar: "number|dc:number,...",
  expected: "a whole number of at least 1, or one for each data centre, as dc1:3,dc2:3",
  parse: (text) => {
    if (/^[1-9]\d{0,3}$/.test(text)) return { class: "SimpleStrategy", replication_factor: Number(text) }
    const centres = text.split(",").map((part) => /^\s*([\w.-]+)\s*:\s*(\d{1,4})\s*$/.exec(part))
    const factors = centres.flatMap((match) => match === null ? [] : [[match[1]!, Number(match[2])] as const])
    const isWhole = factors.length === centres.length && new Set(factors.map(([name]) => name)).size === factors.length
    // A data centre of this name can't be told from the option.
    return isWhole && factors.some(([, factor]) => factor > 0) && factors.every(([name]) => name !== "class")
      ? { class: "NetworkTopologyStrategy", ...Object.fromEntries(factors) }
      : undefined
  }
}

/**
 * Of a server that metrics go to.
 *
 * @category kinds
 * @since 0.1.0
 */
export const urls: Flag.Kind<string> = {
  metavar: "URL",
  expected: "a URL as http://127.0.0.1:4318",
  parse: (text) => /^https?:\/\//.test(text) && URL.canParse(text) ? text : undefined
}

/**
 * Of text.
 *
 * @category kinds
 * @since 0.1.0
 */
export const encodings: Flag.Kind<string> = {
  metavar: "name",
  expected: TextEncoding.expectedNames,
  parse: (text) => TextEncoding.make(text)?.name.toLowerCase()
}

/**
 * Between the fields of CSV.
 *
 * @category kinds
 * @since 0.1.0
 */
export const delimiters: Flag.Kind<string> = {
  metavar: "character",
  expected: "one ASCII character that is not a double quote, or the word tab",
  parse: (text) =>
    /^(?:tab|\\t)$/i.test(text) ? "\t" : /^[\t\u0020-\u007e]$/.test(text) && text !== "\"" ? text : undefined
}
