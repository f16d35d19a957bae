import * as Os from "node:os"
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/globalSetup.ts"],
    // Not about speed: only a test that hangs meets these, on however slow and busy a machine.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    // By itself Vitest leaves one core out, of two one: but most tests wait for a server or a clock most of the time.
    maxWorkers: Math.max(2, Os.availableParallelism() - 1)
  }
})
