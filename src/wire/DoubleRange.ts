/**
 * Which numbers a double can't hold at all.
 *
 * @since 0.1.0
 */

/** Below it a double has fewer digits. */
const normalMin = 2 ** -1022

/**
 * Whether this number, as JSON writes it, is so large that it would be an infinity, or so small that digits of it would be
 * lost, or all of it.
 *
 * @category guards
 * @since 0.1.0
 */
export const isBeyondDouble = (text: string): boolean => {
  const size = Math.abs(Number(text))
  return size === Number.POSITIVE_INFINITY || (size < normalMin && /^[^e]*[1-9]/i.test(text))
}
