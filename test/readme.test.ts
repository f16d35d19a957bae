/**
 * The README shows what is there: its programs are files that compile and run, its commands exist.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { inDirectory, keyspace, run, withClient } from "./exampleFixture.ts"

const readme = Fs.readFileSync("README.md", "utf8")
const scripts = JSON.parse(Fs.readFileSync("package.json", "utf8")).scripts as { readonly [name: string]: string }

describe("README", () => {
  it("shows the two commands, and package.json has them", () => {
    assert.include(readme, "    npm ci && npm run demo\n")
    assert.include(readme, "    npm ci && npm test\n")
    assert.isString(scripts["demo"])
    assert.isString(scripts["test"])
  })

  it("the demo tells its flags, and what is none, without a stack trace", () => {
    const demo = (...args: ReadonlyArray<string>) =>
      spawnSync(process.execPath, ["examples/demo/demo.ts", ...args], { encoding: "utf8" })
    const help = demo("--help")
    assert.strictEqual(help.status, 0, help.stderr)
    assert.match(help.stdout, /^ {2}--rows N .*\(default: 200000\)$/m)
    for (const args of [["--row=3"], ["--kills=some"], ["flights"]]) {
      const { status, stderr } = demo(...args)
      assert.strictEqual(status, 64, stderr)
      assert.match(stderr, /^error: .*\n\nLoads flights/)
      assert.notMatch(stderr, /^\s+at /m)
    }
  })

  it("shows its programs as they are in examples/", () => {
    const blocks = [...readme.matchAll(/<!-- (examples\/\S+) -->\n```ts\n([^]*?)```/g)]
    assert.isAtLeast(blocks.length, 2)
    for (const [, file, code] of blocks) {
      const text = Fs.readFileSync(file!, "utf8")
      assert.strictEqual(code, text.slice(text.indexOf("import")), file)
    }
  })

  it("links to files that are there", () => {
    for (const [, link] of readme.matchAll(/\]\((?!https?:|#)([^)]+)\)/g)) {
      assert.isTrue(Fs.existsSync(link!.split("#")[0]!), link)
    }
  })

  it("the job runs, and finds nothing to do when it is run again", () =>
    inDirectory((directory) =>
      withClient(async (client) => {
        await client.execute(keyspace("weather"))
        await client.execute("DROP TABLE IF EXISTS weather.by_station")
        await client.execute("DROP TABLE IF EXISTS flink_auxiliary.checkpoints_measurements").catch(() => {})
        await client.execute(
          "CREATE TABLE weather.by_station (station text, at timestamp, celsius double, PRIMARY KEY (station, at))"
        )
        const lines = Array.from({ length: 1000 }, (_, i) =>
          JSON.stringify({ station: `s${i % 7}`, time: 1_700_000_000_000 + i * 1000, fahrenheit: 32 + 1.8 * (i % 40) }))
        Fs.writeFileSync(Path.join(directory, "measurements.ndjson"), lines.join("\n"))
        const first = await run("job.ts", directory)
        assert.strictEqual(first.code, 0, first.output)
        assert.include(first.output, "finished: 1000 rows")
        const again = await run("job.ts", directory)
        assert.include(again.output, "nothing-to-do: 0 rows")
        const { rows } = await client.execute("SELECT count(*) AS n FROM weather.by_station")
        assert.strictEqual(Number(rows[0]!["n"]), 1000)
      })
    ))

  it("the typed sink runs: the ships that are left, and all of their changes", () =>
    inDirectory((directory) =>
      withClient(async (client) => {
        await client.execute(keyspace("fleet"))
        await client.execute("CREATE TYPE IF NOT EXISTS fleet.position (lat double, lon double)")
        for (const table of ["fleet.ships", "fleet.changes", "flink_auxiliary.checkpoints_ships"]) {
          await client.execute(`DROP TABLE IF EXISTS ${table}`).catch(() => {})
        }
        await client.execute(
          "CREATE TABLE fleet.ships (imo bigint PRIMARY KEY, position frozen<position>, seen timestamp)"
        )
        await client.execute("CREATE TABLE fleet.changes (imo bigint, at timestamp, type text, PRIMARY KEY (imo, at))")
        const first = await run("typed.ts", directory)
        assert.strictEqual(first.code, 0, first.output)
        assert.include(first.output, "finished: 900 changes, 1800 rows")
        const count = async (table: string) =>
          Number((await client.execute(`SELECT count(*) AS n FROM ${table}`)).rows[0]!["n"])
        assert.strictEqual(await count("fleet.changes"), 900)
        // The last change of each of the 33 ships decides.
        const left = Array.from({ length: 33 }, (_, i) => 899 - i).filter((i) => i % 10 !== 9).length
        assert.strictEqual(await count("fleet.ships"), left)
      })
    ))

  it("the stream runs, and goes on where it was", () =>
    inDirectory((directory) =>
      withClient(async (client) => {
        await client.execute(keyspace("numbers"))
        await client.execute("DROP TABLE IF EXISTS numbers.squares")
        await client.execute("DROP TABLE IF EXISTS flink_auxiliary.checkpoints_squares").catch(() => {})
        await client.execute("CREATE TABLE numbers.squares (n int PRIMARY KEY, square bigint)")
        const first = await run("stream.ts", directory)
        assert.strictEqual(first.code, 0, first.output)
        assert.include(first.output, "{\"next\":10000}")
        const { rows } = await client.execute("SELECT count(*) AS n FROM numbers.squares")
        assert.strictEqual(Number(rows[0]!["n"]), 10_000)
        const again = await run("stream.ts", directory)
        assert.strictEqual(again.code, 0, again.output)
      })
    ))
})
