/**
 * The places of the planted bugs are still there: a catalogue that can't be planted finds nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import { plantedBugs } from "./planted.ts"

describe("planted bugs", () => {
  for (const { edits, name } of plantedBugs) {
    it(`${name} has its place in the sources`, () => {
      for (const { file, find } of edits) {
        assert.strictEqual(Fs.readFileSync(`src/${file}`, "utf8").split(find).length - 1, 1, `${file}: ${find}`)
      }
    })
  }
})
