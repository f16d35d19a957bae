import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/globalSetup.ts"],
    // Not about speed: only a test that hangs meets these, on however slow and busy a machine.
    testTimeout: 240_000,
    hookTimeout: 240_000
  }
})
