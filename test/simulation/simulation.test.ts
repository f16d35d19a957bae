/**
 * The simulator as a test: two thousand seeds, and a bug planted to see that it looks. The whole catalogue of
 * planted bugs, and as many seeds as there is time for, are `npm run simulate`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ChildProcess from "node:child_process"

const simulate = (...args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly last: any; readonly stdout: string }>((resolve) => {
    const child = ChildProcess.spawn(process.execPath, ["test/simulation/simulate.ts", ...args], {
      stdio: ["ignore", "pipe", "ignore"]
    })
    let stdout = ""
    child.stdout.on("data", (data) => stdout += data)
    child.on("close", (code) => resolve({ code, stdout, last: JSON.parse(stdout.trimEnd().split("\n").at(-1)!) }))
  })

describe("simulation", () => {
  it("2,000 seeds of crashes, freezes, faults and lost state: no violation", async () => {
    const { code, last, stdout } = await simulate("--seeds", "2000")
    assert.deepStrictEqual([code, last.violations, last.runs], [0, 0, 2000], stdout)
    assert.isAbove(last.crashes, 2000)
    process.stdout.write(`simulation: ${JSON.stringify(last)}\n`)
  }, 600_000)

  it("small scopes: whatever can happen once, enumerated", async () => {
    const { code, last, stdout } = await simulate("--exhaustive", "quick")
    assert.deepStrictEqual([code, last.violations], [0, 0], stdout)
    assert.isAbove(last.runs, 8000)
    process.stdout.write(stdout)
  }, 900_000)

  it("the small scopes find a bug that is planted", async () => {
    const { last, stdout } = await simulate("--planted", "--exhaustive", "segment-not-synced")
    assert.match(stdout, /segment-not-synced\s+found in death 1x2/)
    assert.strictEqual(last.violations, 1)
  }, 600_000)

  it("finds a bug that is planted, and says so", async () => {
    const { last, stdout } = await simulate("--planted", "late-acknowledgement")
    assert.match(stdout, /late-acknowledgement\s+found after\s+\d+ runs/)
    assert.strictEqual(last.violations, 1)
  }, 120_000)
})
