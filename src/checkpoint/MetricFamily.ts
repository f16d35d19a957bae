/**
 * Metrics with an attribute that has one of a few values, as `reason`: one metric for each value, made once. To attach an
 * attribute at each update (`Metric.withAttributes`) costs several times as much as the update.
 *
 * @since 0.1.0
 */

/**
 * `make` is called once for each value; the values have to be few.
 *
 * @category constructors
 * @since 0.1.0
 */
export const family = <M>(make: (value: string) => M): (value: string) => M => {
  const members = new Map<string, M>()
  return (value) => {
    const known = members.get(value)
    if (known !== undefined) return known
    const made = make(value)
    members.set(value, made)
    return made
  }
}
