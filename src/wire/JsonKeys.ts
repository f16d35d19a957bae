/**
 * JSON whose keys have escapes in them, read as it is written.
 *
 * V8 misreads such keys (Node 22 to 26, https://github.com/nodejs/node/issues/63785): after `{"a\\":1}`, `JSON.parse` takes the
 * key of `{"a\n":1}` for `a\` as well, since it compares the text as it is written with the key that it expects. In a value
 * of a map a key is anybody's text, so a text with an escaped key is given other keys before it is parsed.
 *
 * @since 0.1.0
 */

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a

/** Strings, each with the colon that makes a key of it. */
const strings = /"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?/g

/**
 * Whether `JSON.parse` may misread a key of this text.
 *
 * @category guards
 * @since 0.1.0
 */
export const hasEscapedKey = (text: string): boolean => {
  let at = text.indexOf("\\")
  while (at >= 0) {
    // Only strings have backslashes: this is the end of one.
    let end = at
    while (end < text.length && text.charCodeAt(end) !== quote) end += text.charCodeAt(end) === backslash ? 2 : 1
    let after = end + 1
    while (text.charCodeAt(after) <= 0x20) after++
    if (text.charCodeAt(after) === colon) return true
    at = text.indexOf("\\", after)
  }
  return false
}

type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown

const parseWith = JSON.parse as (text: string, reviver?: Reviver) => unknown

/** The same with the keys that `names` has instead. The later of two with one name wins, as in JSON. */
const renamed = (value: unknown, names: ReadonlyMap<string, string>): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map((element) => renamed(element, names))
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [names.get(key) ?? key, renamed(inner, names)]))
}

/**
 * `JSON.parse`, without that mistake. The keys that the reviver sees are not those of the text.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string, reviver?: Reviver): unknown => {
  if (!hasEscapedKey(text)) return parseWith(text, reviver)
  let prefix = "\ue000"
  while (text.includes(prefix)) prefix += "\ue000"
  const names = new Map<string, string>()
  const plain = text.replace(strings, (whole, inside: string, after: string | undefined) => {
    if (after === undefined || !inside.includes("\\")) return whole
    const name = `${prefix}${names.size}`
    // What is no string is for the parser below to complain about, in its own words.
    names.set(name, JSON.parse(`"${inside}"`) as string)
    return `"${name}"${after}`
  })
  return renamed(parseWith(plain, reviver), names)
}
