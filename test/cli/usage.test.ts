import { assert, describe, it } from "@effect/vitest"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { run } from "./commandFixture.ts"

const query = ["--query", "INSERT INTO a.b (c) VALUES (?)"]
const base = ["load", "x.ndjson", ...query, "--job", "j"]

const mistakes: ReadonlyArray<{
  readonly name: string
  readonly args: ReadonlyArray<string>
  readonly words: RegExp
  readonly env?: NodeJS.ProcessEnv
}> = [
  { name: "an unknown flag", args: [...base, "--nope"], words: /--nope/ },
  { name: "an unknown verb", args: ["unload"], words: /unload/ },
  { name: "no file", args: ["load", ...query, "--job", "j"], words: /Missing required argument: file/ },
  { name: "no query", args: ["load", "x", "--job", "j"], words: /--query/ },
  { name: "a table and a query", args: [...base, "-t", "b"], words: /--table.*--query/ },
  { name: "a mapping and a query", args: [...base, "-m", "*=*"], words: /--mapping is for --table/ },
  { name: "a bad mapping", args: ["load", "x", "--job", "j", "-t", "b", "-m", "a=b=c"], words: /a=b=c.*character 4/ },
  { name: "a bad table", args: ["load", "x", "--job", "j", "-t", "a.b.c"], words: /a\.b\.c.*keyspace\.table/ },
  { name: "no header in NDJSON", args: [...base, "--no-header"], words: /--format csv/ },
  { name: "no job", args: ["load", "x", ...query], words: /--job/ },
  { name: "a job that can't be part of a table's name", args: [...base.slice(0, -1), "My-Job"], words: /My-Job/ },
  { name: "a bad time", args: [...base, "--checkpoint-interval", "10s"], words: /"10s".*"10 seconds"/ },
  { name: "a time of zero", args: [...base, "--checkpoint-timeout", "0 seconds"], words: /above 0/ },
  { name: "a bad number", args: [...base, "--parallelism", "0"], words: /at least 1/ },
  { name: "a data centre without copies", args: [...base, "--checkpoint-replication", "dc1:0"], words: /dc1:3,dc2:3/ },
  { name: "a data centre twice", args: [...base, "--checkpoint-replication", "a:1,a:2"], words: /dc1:3,dc2:3/ },
  { name: "a bad choice", args: [...base, "--restart", "often"], words: /fixed-delay/ },
  { name: "a bad consistency", args: [...base, "--consistency", "SOME"], words: /LOCAL_QUORUM/ },
  { name: "a delimiter for NDJSON", args: [...base, "--delimiter", ";"], words: /--format csv/ },
  {
    name: "a number of another strategy",
    args: [...base, "--restart-interval", "1 minute"],
    words: /exponential.*--restart-interval/
  },
  { name: "a number out of range", args: [...base, "--restart-jitter", "2"], words: /jitterFactor.*between 0 and 1/ },
  {
    name: "a user without a password",
    args: ["load", "FILE", ...base.slice(2), "--username", "me"],
    words: /CASSANDRA_PASSWORD/
  },
  {
    name: "a bad number in the environment",
    args: base,
    env: { EFFECT_CASSANDRA_PORT: "x" },
    words: /--port.*EFFECT_CASSANDRA_PORT/
  },
  {
    name: "a bad time in the environment",
    args: base,
    env: { EFFECT_CASSANDRA_SEND_RETRY: "x" },
    words: /EFFECT_CASSANDRA_SEND_RETRY/
  },
  {
    name: "a bad choice in the environment",
    args: base,
    env: { EFFECT_CASSANDRA_NULLS: "x" },
    words: /EFFECT_CASSANDRA_NULLS/
  },
  {
    name: "a bad boolean in the environment",
    args: base,
    env: { EFFECT_CASSANDRA_JSON: "x" },
    words: /EFFECT_CASSANDRA_JSON/
  },
  {
    name: "a bad option of the library",
    args: ["load", "FILE", ...base.slice(2)],
    env: { CASSANDRA_TLS: "x" },
    words: /CASSANDRA_TLS/
  }
]

describe.concurrent("usage", () => {
  it.each(mistakes)("$name", async ({ args, env = {}, words }) => {
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-usage-"))
    Fs.writeFileSync(`${directory}/here.ndjson`, "")
    const ended = await run(args.map((arg) => arg === "FILE" ? "here.ndjson" : arg), { env, cwd: directory })
    Fs.rmSync(directory, { recursive: true })
    assert.strictEqual(ended.code, 64, ended.stderr)
    assert.match(ended.stderr, words)
    assert.match(ended.stderr, /^error: /)
    assert.match(ended.stderr, /^See effect-cassandra.* --help\.\n$/m)
    assert.isBelow(ended.stderr.trim().split("\n").length, 4)
    assert.notMatch(ended.stderr, /^\s+at /m)
    assert.strictEqual(ended.stdout, "")
  })

  it("help shows the examples before the flags, and every default", async () => {
    const { code, stderr, stdout } = await run(["load", "--help"])
    assert.strictEqual(code, 0)
    assert.strictEqual(stderr, "")
    assert.isBelow(stdout.indexOf("EXAMPLES"), stdout.indexOf("FLAGS"))
    const flags = stdout.slice(stdout.indexOf("\nFLAGS"), stdout.indexOf("\nGLOBAL FLAGS")).split("\n").slice(2)
    for (const flag of flags.filter((text) => text.trim() !== "" && !text.startsWith("FLAGS"))) {
      assert.match(flag, /\(default: |\(required\)|--json|--take-over|--dry-run/)
    }
    const groups = flags.filter((text) => text.startsWith("FLAGS: "))
    assert.deepStrictEqual(groups.slice(0, 2), ["FLAGS: what is written", "FLAGS: the job"])
    assert.include(groups, "FLAGS: checkpoints")
    assert.strictEqual(stdout.match(/^ {2}--query,/gm)?.length, 1)
    const docs = Fs.readFileSync(new URL("../../docs/command.md", import.meta.url), "utf8")
    for (const flag of flags) {
      const name = /^ {2}(--[\w-]+)/.exec(flag)?.[1]
      if (name !== undefined) assert.include(docs, `\`${name}`)
    }
  })

  it.each(["bash", "zsh", "fish", "powershell"])("completions for %s know the verbs and their flags", async (shell) => {
    const { code, stdout } = await run(["--completions", shell])
    assert.strictEqual(code, 0)
    for (
      const word of [
        "load",
        "check",
        "verify",
        "status",
        "jobs",
        "log-file",
        "every",
        "mapping",
        "max-rows-per-second",
        "exact"
      ]
    ) {
      assert.include(stdout, word)
    }
    if (shell === "bash") assert.strictEqual(ChildProcess.spawnSync("bash", ["-n"], { input: stdout }).status, 0)
  })

  it("--version prints the package's", async () => {
    const { version } = JSON.parse(Fs.readFileSync(new URL("../../package.json", import.meta.url), "utf8"))
    const { code, stdout } = await run(["--version"])
    assert.strictEqual(code, 0)
    assert.strictEqual(stdout, `${version}\n`)
  })

  it("without a verb, it shows its help", async () => {
    const { code, stdout } = await run([])
    assert.strictEqual(code, 64)
    assert.match(stdout, /EXAMPLES\n[^]* {2}effect-cassandra load [^]*load +Load files/)
  })

  it("every verb's help begins with an example, in lines that fit", async () => {
    const verbs = [...(await run(["--help"])).stdout.matchAll(/^ {2}([a-z][a-z-]+) {2,}[A-Z]/gm)].map((
      [, verb]
    ) => [verb!])
    assert.isAbove(verbs.length, 10)
    await Promise.all([...verbs, ["savepoint", "list"], ["savepoint", "delete"]].map(async (verb) => {
      const { stdout } = await run([...verb, "--help"])
      const [about, ...more] = stdout.split("USAGE\n")[0]!.split(/^(?:EXAMPLES|DETAILS)$/m)
      assert.match(about!, /^DESCRIPTION\n[^]*[.]\n\n$/, verb.join(" "))
      assert.include(more[0], `effect-cassandra ${verb.join(" ")} `)
      for (const text of [about!, ...more].join("").split("\n")) assert.isAtMost(text.length, 128, text)
    }))
  }, 120_000)

  it("ddl prints what makes the ledger, with the copies that are asked for", async () => {
    const { code, stdout } = await run(["ddl", "--job", "j", "--checkpoint-replication", "dc1:3,dc2:2"])
    assert.strictEqual(code, 0)
    assert.match(
      stdout,
      /^CREATE KEYSPACE .* flink_auxiliary .*'NetworkTopologyStrategy', 'dc1': '3', 'dc2': '2'};\nCREATE TABLE .*checkpoints_j .*;\n$/
    )
  })
})
