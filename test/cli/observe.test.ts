/**
 * A running command, looked at from outside: Prometheus' endpoint, health, and the export to OpenTelemetry.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as AllMetrics from "../../src/observability/AllMetrics.ts"
import { prometheusName } from "../../src/observability/MetricNames.ts"
import type { Child, Fixture } from "./commandFixture.ts"
import { areAll, many, openFixture, run, startAndHold, until } from "./commandFixture.ts"

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture("cli_observe_test")
})
afterAll(() => fixture?.close())

const addressOf = (child: Child) =>
  until(child, "it serves metrics", () => /Metrics at (http:\S+)\/metrics/.exec(child.stderr())?.[1])

const get = async (url: string) => {
  const response = await fetch(url)
  return { status: response.status, type: response.headers.get("content-type"), text: await response.text() }
}

const eventually = async <A>(child: Child, what: string, probe: () => Promise<A | null | false>): Promise<A> => {
  let found: A | null | false = null
  const timer = setInterval(() => void probe().then((answer) => found ||= answer, () => null), 50)
  try {
    return await until(child, what, () => found)
  } finally {
    clearInterval(timer)
  }
}

/** The value of a series: the first whose labels contain `label`. */
const valueIn = (text: string, name: string, label = ""): number => {
  const line = text.split("\n").find((line) => line.startsWith(`${name}{`) && line.includes(label))
  assert.isDefined(line, `${name} {${label}}`)
  return Number(line!.slice(line!.lastIndexOf(" ")))
}

interface Received {
  readonly path: string
  readonly body: any
}

/** A collector: an HTTP server that keeps what it is sent. */
const openCollector = async () => {
  const received: Array<Received> = []
  const http = Http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk) => chunks.push(chunk))
    request.on("end", () => {
      received.push({ path: request.url!, body: JSON.parse(Buffer.concat(chunks).toString()) })
      response.writeHead(200, { "content-type": "application/json" }).end("{}")
    })
  })
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
  return {
    endpoint: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    of: (path: string) => received.filter((one) => one.path === path).map(({ body }) => body),
    close: () => {
      http.closeAllConnections()
      http.close()
    }
  }
}

describe.concurrent("a command that is watched", () => {
  it("serves metrics, is alive, is not ready while Cassandra does not answer, and ends well", async () => {
    const file = fixture.write("watched.ndjson", fixture.wideLines("watched", many))
    const { child, release } = await startAndHold(fixture, "watched", file, "--metrics-port=0")
    const address = await addressOf(child)

    const { status, text, type } = await get(`${address}/metrics`)
    assert.strictEqual(status, 200)
    assert.match(type ?? "", /^text\/plain; version=0\.0\.4/)
    for (const metric of AllMetrics.all) {
      const name = prometheusName(metric.id)
      if (name.endsWith("send_retries_total")) continue
      assert.include(text, `# TYPE ${name} ${metric.type.toLowerCase()}\n`)
    }
    const labels = "job_id=\"cli\",uid=\"watched\""
    assert.isAbove(valueIn(text, "effect_cassandra_sink_pending_rows", labels), 0)
    assert.isAbove(valueIn(text, "effect_cassandra_sink_pending_oldest_age_seconds", labels), 0)
    assert.isAbove(valueIn(text, "effect_cassandra_source_records_read_total", labels), 0)
    assert.isAbove(valueIn(text, "effect_cassandra_session_in_flight", labels), 0)
    assert.strictEqual(valueIn(text, "effect_cassandra_sink_pending_limit_bytes", labels), 2_000_000)
    assert.strictEqual(valueIn(text, "effect_cassandra_job_state", "state=\"running\""), 1)
    assert.strictEqual(valueIn(text, "effect_cassandra_info", "version=\"0.1.0\""), 1)
    assert.isAbove(valueIn(text, "checkpoint_latency_seconds_count", labels), 0)
    assert.isAbove(
      valueIn(text, "db_client_operation_duration_seconds_count", `db_operation_name="BATCH INSERT"`),
      0
    )

    assert.strictEqual((await get(`${address}/live`)).status, 200)
    const health = await get(`${address}/ready`)
    assert.strictEqual(health.status, 503)
    const { ready, reasons } = JSON.parse(health.text)
    assert.isFalse(ready)
    assert.include(reasons.join(), "Cassandra does not answer: ")
    assert.strictEqual((await get(`${address}/nothing`)).status, 404)

    release()
    const ended = await child.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.isTrue(areAll(await fixture.rows("watched"), many))
  })

  it("is ready while it runs and checkpoints complete", async () => {
    // A file that somebody else still writes would be slow enough; a slow reader of the log is: one request at once.
    const file = fixture.write("ready.ndjson", fixture.wideLines("ready", many))
    const { child, release } = await startAndHold(fixture, "ready", file, "--metrics-port=0", "--max-in-flight=1")
    const address = await addressOf(child)
    release()
    const body = await eventually(child, "it is ready", async () => {
      const { status, text } = await get(`${address}/ready`)
      return status === 200 && text
    })
    assert.deepStrictEqual(JSON.parse(body), { ready: true, reasons: [] })
    assert.strictEqual((await child.ended).code, 0)
  })

  it("a port that is taken, or an address that is not this machine's, is said before anything is claimed", async () => {
    const file = fixture.write("taken.ndjson", fixture.lines("taken", 3))
    const taken = Http.createServer()
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve))
    const { port } = taken.address() as AddressInfo
    try {
      const first = await run(fixture.load("taken", file, undefined, `--metrics-port=${port}`))
      assert.strictEqual(first.code, 3)
      assert.strictEqual(
        first.stderr.trim(),
        `error: Metrics can't be served at 127.0.0.1:${port}: another process listens there. ` +
          "Choose another port, or 0 for a free one."
      )
      const second = await run(fixture.load("taken", file, undefined, "--metrics-port=0", "--metrics-host=192.0.2.1"))
      assert.strictEqual(second.code, 3)
      assert.include(second.stderr, "the host is no address of this machine")
      assert.isFalse(Fs.existsSync(fixture.path("state-taken")), "nothing was claimed")
    } finally {
      taken.close()
    }
    const variable = await run(fixture.load("taken", file), { env: { EFFECT_CASSANDRA_METRICS_PORT: "70000" } })
    assert.strictEqual(variable.code, 64)
    assert.include(variable.stderr, "EFFECT_CASSANDRA_METRICS_PORT")
  })

  it("metrics, spans and logs arrive at a collector, the last ones too", async () => {
    const collector = await openCollector()
    try {
      const file = fixture.write("otlp.ndjson", fixture.lines("otlp", 300))
      const ended = await run(fixture.load("otlp", file, undefined, `--otlp-endpoint=${collector.endpoint}`))
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.include(ended.stderr, "info  Job cli", "logs are still printed")

      const { resource, scopeMetrics } = collector.of("/v1/metrics").at(-1).resourceMetrics[0]
      const attributes = Object.fromEntries(resource.attributes.map((one: any) => [one.key, one.value.stringValue]))
      assert.strictEqual(attributes["service.name"], "effect-cassandra")
      assert.strictEqual(attributes["service.version"], "0.1.0")
      const metrics = new Map<string, any>(scopeMetrics[0].metrics.map((metric: any) => [metric.name, metric]))
      // The same series as Prometheus gets, by the names that a collector turns into Prometheus'.
      for (const { id } of AllMetrics.all) {
        if (!id.endsWith("send.retries")) assert.isTrue(metrics.has(id), id)
      }
      const committed = metrics.get("effect_cassandra.sink.rows.committed")
      assert.strictEqual(committed.unit, "{row}")
      assert.isTrue(committed.sum.isMonotonic)
      assert.strictEqual(committed.sum.dataPoints[0].asDouble, 300)
      assert.strictEqual(metrics.get("checkpoint_latency").unit, "s")
      assert.isAtLeast(Number(metrics.get("checkpoint_commits").sum.dataPoints[0].asDouble), 1)

      const spans = collector.of("/v1/traces").flatMap(({ resourceSpans }) => resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans).flatMap(({ spans }) => spans)
      assert.include(spans.map(({ name }) => name).join("; "), "BATCH cli_observe_test.checkpoints_cli")
      const logs = JSON.stringify(collector.of("/v1/logs"))
      assert.include(logs, "Job cli (uid otlp)")
    } finally {
      collector.close()
    }
  })

  it("a collector that is not there costs nothing but its data; a variable that can't be used is named", async () => {
    const file = fixture.write("deaf.ndjson", fixture.lines("deaf", 300))
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT: "500" }
    const ended = await run(fixture.load("deaf", file), { env })
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.isTrue(areAll(await fixture.rows("deaf"), 300))
    const wrong = await run(fixture.load("deaf", file), { env: { ...env, OTEL_EXPORTER_OTLP_TIMEOUT: "soon" } })
    assert.strictEqual(wrong.code, 64)
    assert.include(wrong.stderr, "OTEL_EXPORTER_OTLP_TIMEOUT: Expected a string representing a finite number")
    assert.notMatch(wrong.stderr, /^\s+at /m)
  })
})
