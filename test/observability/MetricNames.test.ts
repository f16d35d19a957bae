/**
 * Names are a contract: what the code registers, what docs/metrics.md lists, and what Prometheus gets are the same.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Fs from "node:fs"
import * as CheckpointMetrics from "../../src/checkpoint/CheckpointMetrics.ts"
import * as AllMetrics from "../../src/observability/AllMetrics.ts"
import { prometheusName, toPrometheus } from "../../src/observability/MetricNames.ts"

describe("names of metrics", () => {
  it("docs/metrics.md lists each metric with its type, unit and name in Prometheus", () => {
    const rows = [
      ...Fs.readFileSync("docs/metrics.md", "utf8").matchAll(/^\| `([^`]+)` \| (\w+), (\S+) \| `([^`]+)` \| /gm)
    ]
    const documented = rows.map(([, id, type, unit, name]) => [id, type, unit, name].join(" "))
    const inCode = AllMetrics.all.map((metric) =>
      [metric.id, metric.type.toLowerCase(), metric.attributes?.["unit"] ?? "–", prometheusName(metric.id)].join(" ")
    )
    assert.deepStrictEqual(documented.toSorted(), inCode.toSorted())
  })

  it("are made as a collector makes them", () => {
    const name = (id: string, type: Metric.Metric.Type, unit?: string) =>
      toPrometheus({ id, type, attributes: unit === undefined ? undefined : { unit } })
    assert.strictEqual(name("db.client.operation.duration", "Histogram", "s"), "db_client_operation_duration_seconds")
    assert.strictEqual(name("a.rows.sent", "Counter", "{row}"), "a_rows_sent_total")
    assert.strictEqual(name("a.pending.bytes", "Gauge", "By"), "a_pending_bytes", "a unit that is there already")
    assert.strictEqual(name("a.pending.limit", "Gauge", "By"), "a_pending_limit_bytes")
    assert.strictEqual(name("a.state", "Gauge"), "a_state")
    assert.strictEqual(prometheusName("somebody.elses"), "somebody.elses")
  })

  it("ids are OpenTelemetry's: dotted, without total, under one prefix", () => {
    const published = new Set(["checkpoint_commits", "checkpoint_latency", "db.client.operation.duration"])
    for (const { description, id } of AllMetrics.all) {
      assert.isTrue(published.has(id) || /^effect_cassandra(?:\.[a-z]+(?:_[a-z]+)*)+$/.test(id), id)
      assert.notMatch(id, /total/)
      assert.match(description ?? "", /^[A-Z0-9].*[^.]$/, id)
    }
  })

  it.effect("all known series are there before anything happens, at 0", () =>
    Effect.gen(function*() {
      yield* Effect.provide(
        Effect.gen(function*() {
          const text = yield* PrometheusMetrics.format({ metricNameMapper: prometheusName })
          assert.include(text, "\ncheckpoint_commits_total 0\n")
          assert.include(text, "# TYPE checkpoint_latency_seconds histogram\n")
          assert.include(text, "\neffect_cassandra_checkpoint_failed_total{reason=\"not-written\"} 0\n")
          assert.include(text, "\neffect_cassandra_job_state{state=\"running\"} 0\n")
          assert.include(text, "\neffect_cassandra_sink_dead_letters_total{stage=\"write\"} 0\n")
          assert.include(text, "\neffect_cassandra_checkpoint_last_completed_age_seconds 0\n")
        }),
        AllMetrics.layer
      )
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.live("ages grow without an update, and are gone with their layer", () =>
    Effect.gen(function*() {
      const age = Effect.map(
        Metric.snapshot,
        (all) => all.find(({ id }) => id === "effect_cassandra.checkpoint.last_completed.age")?.state
      )
      yield* Effect.provide(
        Effect.gen(function*() {
          yield* Metric.update(CheckpointMetrics.lastCompletedTimestamp, Date.now() / 1000 - 5)
          const first = (yield* age) as Metric.GaugeState<number>
          assert.isAtLeast(first.value, 5)
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
          assert.isAbove(((yield* age) as Metric.GaugeState<number>).value, first.value)
        }),
        AllMetrics.layer
      )
      assert.isUndefined(yield* age)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})
