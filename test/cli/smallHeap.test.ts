import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"

const smallHeap = new URL("../../src/cli/smallHeap.ts", import.meta.url).href

/** MiB that V8 has for young objects, while it loads and afterwards, in a process in which many of them live for a while. */
const youngMiB = (program: string, nodeFlags: ReadonlyArray<string> = [], options = "") => {
  const script = `
    import { getHeapSpaceStatistics } from "node:v8"
    import { setImmediate } from "node:timers/promises"
    import { keepHeapSmall } from ${JSON.stringify(smallHeap)}
    const young = () => getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space").space_size / 1024 ** 2
    const live = []
    const churn = async () => {
      const sizes = []
      for (let i = 0; i < 3_000_000; i++) {
        live[i % 200_000] = { i, of: [i] }
        if (i % 5000 === 0) {
          await setImmediate()
          sizes.push(young())
        }
      }
      // Most of the time: a collection may take a few pages more for a moment.
      return sizes.toSorted((a, b) => a - b)[sizes.length >> 1]
    }
    ${program}
  `
  const { stderr, stdout } = spawnSync(process.execPath, [...nodeFlags, "--input-type=module", "-e", script], {
    encoding: "utf8",
    env: { ...process.env, NODE_OPTIONS: options }
  })
  // A flag that V8 no longer knows would be told here.
  assert.strictEqual(stderr, "")
  return JSON.parse(stdout) as ReadonlyArray<number>
}

const inTwoParts =
  "const loaded = keepHeapSmall(); const a = await churn(); loaded(); console.log(JSON.stringify([a, await churn()]))"

describe("keepHeapSmall", () => {
  // On a busy machine a collection may take long, and V8 more meanwhile.
  it("V8 takes 2 MiB for young objects while the program loads, and 16 afterwards", { retry: 3 }, () => {
    const [loading, running] = youngMiB(inTwoParts)
    assert.isAtMost(loading!, 2)
    assert.isAtMost(running!, 16)
    assert.isAtLeast(running!, 8)
  })

  it("by itself V8 takes more", () => {
    assert.isAbove(youngMiB("console.log(JSON.stringify([await churn()]))")[0]!, 30)
  })

  it("whoever gives Node such a flag is left alone", () => {
    assert.isAbove(youngMiB(inTwoParts, ["--max-semi-space-size=16"])[1]!, 30)
    assert.isAbove(youngMiB(inTwoParts, [], "--max-semi-space-size=16")[1]!, 30)
  })
})
