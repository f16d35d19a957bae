/**
 * The small scopes of the model with exactly as many states as are written down, and every bug that is planted in it.
 * The larger ones are `npm run model`.
 */
import { assert, describe, it } from "@effect/vitest"
import { plantedBugs } from "../simulation/planted.ts"
import { bugs, notInTheModel } from "./bugs.ts"
import { scopes } from "./scopes.ts"
import type { Found } from "./search.ts"
import { explore } from "./search.ts"

const told = (found: Found | null) => found === null ? null : [...found.trace, found.violation].join("\n")

describe("every state of small programs", () => {
  for (const scope of scopes.filter(({ isQuick }) => isQuick)) {
    it(`${scope.name}: ${scope.states.toLocaleString("en")} states, no violation`, () => {
      const { found, states } = explore({ scope, bug: null })
      assert.isNull(told(found))
      assert.strictEqual(states, scope.states)
    }, 300_000)
  }
})

describe("a bug that is planted in the model", () => {
  for (const { bug, scope } of bugs) {
    it(`${bug} is found`, () => {
      assert.isNotNull(explore({ scope, bug }).found)
    }, 300_000)
  }

  it("is each of the simulation's, or it is said why not", () => {
    const names = bugs.map(({ bug }): string => bug)
    assert.deepStrictEqual(
      [...names, ...Object.keys(notInTheModel)].toSorted(),
      plantedBugs.map(({ name }) => name).toSorted()
    )
  })
})
