import * as Fs from "node:fs"

/**
 * Of this package.
 *
 * @category constants
 * @since 0.1.0
 */
export const version = (): string => {
  // The package's root, from src/cli as well as from dist/cli.
  const text = Fs.readFileSync(new URL("../../package.json", import.meta.url), "utf8")
  return (JSON.parse(text) as { readonly version: string }).version
}
