import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { gzipSync } from "node:zlib"
import { run } from "./commandFixture.ts"

const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-taken-"))
afterAll(() => Fs.rmSync(directory, { recursive: true, force: true }))

/** A file that is not what its name says, and what is to be said of it: all before a server is asked. */
const files: ReadonlyArray<{
  readonly name: string
  readonly holds: string | Buffer
  readonly flags?: ReadonlyArray<string>
  readonly words: RegExp
}> = [
  {
    name: "csv.txt",
    holds: "id,delay\n1,2\n",
    words: /line 1 .*this is not JSON.*If the file is CSV, add --format csv/
  },
  { name: "tabs.txt", holds: "id\tdelay\n1\t2\n", words: /add --format csv/ },
  {
    name: "array.json",
    holds: "[\n{\"id\":1},\n{\"id\":2}\n]\n",
    words: /one array, .*: jq -c '\.\[\]' array\.json >array\.ndjson\. Otherwise: Correct or remove it/
  },
  { name: "line.json", holds: "[{\"id\":1},{\"id\":2}]\n", words: /found an array.*jq -c '\.\[\]' line\.json/ },
  { name: "pretty.json", holds: "{\n  \"id\": 1\n}\n", words: /several lines.*jq -c \. pretty\.json >pretty\.ndjson/ },
  { name: "packed.json.gz", holds: gzipSync("[\n1\n]\n"), words: /unpack it, and run jq -c '\.\[\]'/ },
  {
    name: "wide.csv",
    holds: Buffer.from("\ufeffid,delay\n1,2\n", "utf16le"),
    words: /the header is not valid UTF-8.*If the file is UTF-16, add --encoding utf-16le\./
  },
  { name: "wide.ndjson", holds: Buffer.from("{\"id\":1}\n", "utf16le"), words: /add --encoding utf-16le\./ },
  { name: "big.ndjson", holds: Buffer.from("{\"id\":1}\n", "utf16le").swap16(), words: /add --encoding utf-16be\./ },
  { name: "bare.csv", holds: "1,SFO,1\n2,JFK,2\n", words: /two columns are named 1.*add --no-header/ }
]

describe.concurrent("a file that is something else", () => {
  it.each(files)("$name", async ({ flags = [], holds, name, words }) => {
    Fs.writeFileSync(Path.join(directory, name), holds)
    const { code, stderr } = await run(["load", name, "-t", "a.b", "--job", "j", ...flags], { cwd: directory })
    assert.strictEqual(code, 2, stderr)
    assert.match(stderr, words)
  })

  it("UTF-16 in the other order than was said", async () => {
    Fs.writeFileSync(Path.join(directory, "other.ndjson"), Buffer.from("\ufeff{\"id\":1}\n", "utf16le").swap16())
    const { code, stderr } = await run(
      ["load", "other.ndjson", "-t", "a.b", "--job", "j", "--encoding=utf-16"],
      { cwd: directory }
    )
    assert.strictEqual(code, 64, stderr)
    assert.match(
      stderr,
      /the option encoding is utf-16le, and the file begins with the byte order mark of utf-16be: give/
    )
  })

  it("what is only a bad line says nothing else", async () => {
    Fs.writeFileSync(Path.join(directory, "bad.ndjson"), "{\"id\":1\n{\"id\":2}\n")
    const { stderr } = await run(["load", "bad.ndjson", "-t", "a.b", "--job", "j"], { cwd: directory })
    assert.match(stderr, /line 1 .* -- Correct or remove it/)
  })
})
