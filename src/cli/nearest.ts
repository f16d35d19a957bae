/**
 * The name that somebody may have meant.
 *
 * @since 0.1.0
 */

/** How many letters are to be changed, added, taken away or swapped with their neighbour. */
const distance = (a: string, b: string): number => {
  let before: Array<number> = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1)
      row.push(best)
    }
    before = last
    last = row
  }
  return last[b.length]!
}

/**
 * The nearest of `names` by spelling, whatever its case and separators; undefined if none is near.
 *
 * @category combinators
 * @since 0.1.0
 */
export const nearest = (name: string, names: Iterable<string>): string | undefined => {
  const plain = (text: string) => text.slice(0, 64).toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, "")
  const wanted = plain(name)
  let found: string | undefined
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of names) {
    const away = distance(wanted, plain(candidate))
    if (away < least) {
      least = away
      found = candidate
    }
  }
  return found
}

/**
 * ` (did you mean b?)`, or nothing.
 *
 * @category formatting
 * @since 0.1.0
 */
export const didYouMean = (name: string, names: Iterable<string>): string => {
  const found = nearest(name, names)
  return found === undefined ? "" : ` (did you mean ${found}?)`
}

/**
 * At most a dozen names, for a message.
 *
 * @category formatting
 * @since 0.1.0
 */
export const someOf = (names: ReadonlyArray<string>): string =>
  names.length === 0 ? "none" : names.slice(0, 12).join(", ") + (names.length > 12 ? ", ..." : "")
