/**
 * The API reference: everything that the package exports has a sentence that says what it is for, functions among the members
 * as well, and what a comment links to is there.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { promisify } from "node:util"

describe("npm run docs:api", () => {
  it("has nothing to warn of", async () => {
    const told = await promisify(execFile)(process.execPath, [
      "api-docs/node_modules/typedoc/bin/typedoc",
      "--options",
      "api-docs/typedoc.json",
      "--logLevel",
      "Warn",
      "--emit",
      "none"
    ]).then(({ stderr, stdout }) => stdout + stderr, ({ message, stderr, stdout }) => stdout + stderr || message)
    assert.strictEqual(told, "")
  })
})
