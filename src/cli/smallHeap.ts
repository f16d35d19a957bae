/**
 * Keeps V8's heap small while little lives in it. By itself V8 takes for a command that streams what it takes for a page that
 * keeps everything: in Node 24 the part for young objects grows to 128 MiB, and up to 64 MiB of buffers wait to be noticed as
 * garbage.
 *
 * Both flags are read by V8 at each collection, in Node 22 and 24 alike, so that they count although it runs by now;
 * `--max-semi-space-size` is only read at its start. Only what Node itself brings is imported here: it comes before all else.
 *
 * @since 0.1.0
 */
import { PerformanceObserver } from "node:perf_hooks"
import Process from "node:process"
import * as V8 from "node:v8"

/** A half of the part for young objects, in bytes. Of less, too many objects live to the next collection and become old. */
const semiSpaceBytes = 8 * 1024 ** 2

/** By how much the old part, and the buffers it refers to, may grow over what lived at the last collection. */
const growthPercent = 60

/** Whoever sets one of these knows better. */
const ownFlag =
  /--(?:max|min)[-_]semi[-_]space[-_]size|--semi[-_]space[-_]growth[-_]factor|--heap[-_]growing[-_]percent/

const hasOwnFlags = (): boolean => ownFlag.test([Process.env["NODE_OPTIONS"] ?? "", ...Process.execArgv].join(" "))

const youngBytes = (): number =>
  V8.getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space")?.space_size ?? 0

/**
 * From here on the heap is kept small; the part for young objects does not grow before the function that is given back is
 * called, when the program is loaded. (Loading is one burst of objects that live, which would make it large for good.)
 * Nothing happens where `NODE_OPTIONS` or the command line of Node has a flag of its own for any of this.
 *
 * @category running
 * @since 0.1.0
 */
export const keepHeapSmall = (): () => void => {
  if (hasOwnFlags()) return () => {}
  let growthFactor = 0
  const setGrowthFactor = (factor: number): void => {
    if (factor === growthFactor) return
    growthFactor = factor
    V8.setFlagsFromString(`--semi-space-growth-factor=${factor}`)
  }
  const adjust = () => setGrowthFactor(youngBytes() < 2 * semiSpaceBytes ? 2 : 1)
  V8.setFlagsFromString(`--heap-growing-percent=${growthPercent}`)
  setGrowthFactor(1)
  return () => {
    adjust()
    // It also becomes smaller again, when there is little to do for long.
    new PerformanceObserver(adjust).observe({ entryTypes: ["gc"] })
  }
}
