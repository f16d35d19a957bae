/**
 * monitoring/ against what a running job really says, and, where Prometheus can be had, against a real Prometheus.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { promisify } from "node:util"
import type { Child, Fixture } from "../cli/commandFixture.ts"
import { areAll, many, openFixture, server, start, until } from "../cli/commandFixture.ts"
import { openDoor } from "./door.ts"
import { findPrometheus, freePort, promtool, startPrometheus } from "./prometheusProgram.ts"

let fixture: Fixture
let program: Awaited<ReturnType<typeof findPrometheus>>
beforeAll(async () => {
  program = await findPrometheus()
  fixture = await openFixture("monitoring_test")
})
afterAll(() => fixture?.close())

const read = (name: string) => Fs.readFileSync(`monitoring/${name}`, "utf8")
const rules = read("prometheus-alerts.yml")
const dashboard = JSON.parse(read("grafana-dashboard.json"))
const operations = Fs.readFileSync("docs/operations.md", "utf8")

const alerts = [...rules.matchAll(/- alert: (\w+)\n([^]*?)(?=\n\n|$)/g)].map(([, name, body]) => ({
  name: name!,
  expr: /expr: (?:>-\n)?([^]*?)\n\s+(?:for|labels):/.exec(body!)![1]!.replace(/\s+/g, " ").trim(),
  runbook: /runbook_url: (\S+)/.exec(body!)?.[1]
}))

const panels: ReadonlyArray<{ title: string; description?: string; targets?: ReadonlyArray<{ expr: string }> }> =
  dashboard.panels
const queries = panels.flatMap(({ targets = [], title }) => targets.map(({ expr }) => ({ title, expr })))

/** Names of metrics in an expression: words before a selector or an operator that are no functions and no labels. */
const metricsIn = (expr: string): ReadonlyArray<string> => {
  const plain = expr.replace(/\{[^}]*\}/g, "").replace(/\bby \([^)]*\)/g, "").replace(/\[[^\]]*\]/g, "")
  return [...plain.matchAll(/[a-z_]\w*(?!\w*\s*\()/g)].map(([word]) => word).filter((word) =>
    word.includes("_") &&
    !/^(?:max_over_time|min_over_time|histogram_quantile)$/.test(word)
  )
}

/** Its series are there once something has failed for their reason. */
const isPerReason = (name: string): boolean => name === "effect_cassandra_sink_send_retries_total"

const waitFor = async <A>(
  what: string,
  seconds: number,
  probe: () => Promise<A | null | false | undefined>
): Promise<A> => {
  const end = Date.now() + seconds * 1000
  while (Date.now() < end) {
    const found = await probe().catch(() => null)
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  throw new Error(`${what} did not happen within ${seconds} s`)
}

/** A load that Cassandra is taken from in its middle. */
const startWatched = async (uid: string) => {
  const door = await openDoor(3_000_000, server.contactPoints)
  const port = await freePort()
  const file = fixture.write(`${uid}.ndjson`, fixture.wideLines(uid, many))
  const args = fixture.load(
    uid,
    file,
    undefined,
    "--segment-bytes=50000",
    "--pending-bytes=2000000",
    "--checkpoint-interval=1 second",
    "--min-pause=0 seconds",
    `--metrics-port=${port}`
  )
  const child = await start(args, { env: door.env })
  void child.ended.then(door.close)
  return { child, door, port }
}

const textOf = async (child: Child, port: number): Promise<string> => {
  await until(child, "metrics are served", () => child.stderr().includes("Metrics at"))
  return (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
}

describe("monitoring/", () => {
  it("each alert has an entry in the runbook, and says where", () => {
    assert.isAtLeast(alerts.length, 9)
    assert.strictEqual(alerts[0]!.name, "EffectCassandraCheckpointsStale", "the age of the last success comes first")
    for (const { name, runbook } of alerts) {
      assert.strictEqual(runbook, `docs/operations.md#${name.toLowerCase()}`)
      const entry = new RegExp(`^### ${name}\n([^]*?)(?=\n### |$(?![^]))`, "m").exec(operations)?.[1] ?? ""
      for (const part of ["What it means.", "What to look at.", "What to do."]) assert.include(entry, part, name)
    }
    const entries = [...operations.matchAll(/^### (\w+)$/gm)].map(([, name]) => name)
    assert.deepStrictEqual(entries, alerts.map(({ name }) => name))
  })

  it("the program of docs/operations.md is the one in examples/, and runs", async () => {
    const shown = /<!-- (examples\/\S+) -->\n```ts\n([^]*?)```/.exec(operations)
    const text = Fs.readFileSync(shown![1]!, "utf8")
    assert.strictEqual(shown![2], text.slice(text.indexOf("import")))
    const { client, directory } = fixture
    await client.execute(
      "CREATE KEYSPACE IF NOT EXISTS numbers WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    await client.execute("DROP TABLE IF EXISTS numbers.cubes")
    await client.execute("DROP TABLE IF EXISTS flink_auxiliary.checkpoints_cubes").catch(() => {})
    await client.execute("CREATE TABLE numbers.cubes (n int PRIMARY KEY, cube bigint)")
    const { stdout } = await promisify(execFile)(process.execPath, [Path.resolve("examples/watched.ts"), "0"], {
      cwd: directory
    })
    assert.match(stdout, /^Metrics at http:\/\/127\.0\.0\.1:\d+\/metrics$/m)
    assert.match(stdout, /^finished: 10000 rows$/m)
  })

  it("links of docs lead somewhere", () => {
    for (const page of ["operations.md", "metrics.md"]) {
      for (const [, link] of Fs.readFileSync(`docs/${page}`, "utf8").matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
        const [file, anchor] = link!.split("#") as [string, string | undefined]
        const target = file === "" ? `docs/${page}` : `docs/${file}`
        assert.isTrue(Fs.existsSync(target), link)
        if (anchor === undefined) continue
        const headings = [...Fs.readFileSync(target, "utf8").matchAll(/^#+ (.*)$/gm)]
          .map(([, text]) => text!.toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-"))
        assert.include(headings, anchor, link)
      }
    }
  })

  it("every panel of the dashboard has a title, a description and a query for the chosen jobs", () => {
    assert.isAtLeast(queries.length, 25)
    for (const { description, targets, title } of panels) {
      assert.isNotEmpty(title)
      if (targets === undefined) continue
      assert.isNotEmpty(description ?? "", title)
      for (const { expr } of targets) assert.include(expr, `job_id=~"$job_id"`, title)
    }
  })

  it(
    "rules and dashboard hold in a running job, and an alert fires when Cassandra is away and ends when it is back",
    async () => {
      const { child, door, port } = await startWatched("watched")
      try {
        await until(child, "Cassandra is away", door.isDown)
        await waitFor("a failed request", 20, async () => (await textOf(child, port)).includes("error_type="))

        // Always: what rules and dashboard ask for is what the job serves.
        const served = new Set(
          [...(await textOf(child, port)).matchAll(/^([a-z_]\w*)[{ ]/gm)].map(([, name]) => name!)
        )
        const asked = [...alerts, ...queries].flatMap(({ expr }) => metricsIn(expr))
        assert.isAtLeast(new Set(asked).size, 25)
        for (const name of asked) if (!isPerReason(name)) assert.isTrue(served.has(name), name)

        if ("why" in program) {
          process.stdout.write(
            `Prometheus could not be had (${program.why}): names of metrics were checked, rules were not run.\n`
          )
        } else {
          for (
            const args of [
              ["check", "config", "prometheus.yml"],
              ["check", "rules", "prometheus-alerts.yml"],
              ["test", "rules", "prometheus-alerts.test.yml"]
            ]
          ) {
            const { ok, output } = await promtool(program, ...args)
            assert.isTrue(ok, `promtool ${args.join(" ")}:\n${output}`)
          }
          await watchWith(program, port, door)
        }
        door.setDown(false)
        const ended = await child.ended
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.isTrue(areAll(await fixture.rows("watched"), many))
      } finally {
        child.kill("SIGKILL")
        door.close()
      }
    },
    120_000
  )

  const watchWith = async (
    program: Exclude<Awaited<ReturnType<typeof findPrometheus>>, { why: string }>,
    port: number,
    door: Awaited<ReturnType<typeof openDoor>>
  ) => {
    // The very rules, but for their patience.
    const file = fixture.path("alerts.yml")
    Fs.writeFileSync(file, rules.replace(/for: \d+m/g, "for: 1s"))
    const prometheus = await startPrometheus(
      program,
      `global: { scrape_interval: 500ms, evaluation_interval: 500ms }\n` +
        `rule_files: ["${file}"]\n` +
        `scrape_configs: [{ job_name: effect-cassandra, static_configs: [{ targets: ["127.0.0.1:${port}"] }] }]\n`
    )
    const alertNames = async (): Promise<ReadonlyArray<string>> =>
      (await prometheus.ask("/api/v1/alerts")).alerts
        .filter((alert: any) => alert.state === "firing").map((alert: any) => alert.labels.alertname)
    try {
      const firing = await waitFor("the alert", 30, async () => {
        const { alerts } = await prometheus.ask("/api/v1/alerts")
        return alerts.find((alert: any) =>
          alert.labels.alertname === "EffectCassandraCheckpointsStale" && alert.state === "firing"
        )
      })
      assert.strictEqual(firing.labels.job_id, "cli")
      assert.strictEqual(firing.labels.uid, "watched")
      assert.match(firing.annotations.summary, /^cli: no checkpoint has completed for \d/)
      await waitFor("the other alert", 30, async () => (await alertNames()).includes("EffectCassandraRowsUncommitted"))

      const { groups } = await prometheus.ask("/api/v1/rules")
      for (const rule of groups[0].rules) assert.strictEqual(rule.health, "ok", `${rule.name}: ${rule.lastError}`)
      for (const { expr, title } of queries) {
        const filled = expr.replaceAll("$__rate_interval", "5s").replaceAll("$job_id", ".*")
        const { result } = await prometheus.ask(`/api/v1/query?query=${encodeURIComponent(filled)}`)
        if (!metricsIn(expr).some(isPerReason)) assert.isNotEmpty(result, `${title}: ${filled}`)
      }

      door.setDown(false)
      await waitFor(
        "the end of the alert",
        30,
        async () => !(await alertNames()).includes("EffectCassandraRowsUncommitted")
      )
    } finally {
      await prometheus.stop()
    }
  }
})
