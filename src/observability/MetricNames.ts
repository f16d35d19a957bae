/**
 * Names for Prometheus, as the OpenTelemetry Collector makes them: dots become underscores, the unit is appended in
 * words unless the name has it already, and counters end in `_total`. So a dashboard works with both ways out.
 *
 * @since 0.1.0
 */
import type * as Metric from "effect/Metric"
import { all } from "./AllMetrics.ts"

/** Units in braces (`{row}`) are annotations and do not appear. */
const units: { readonly [unit: string]: string } = { s: "seconds", By: "bytes" }

/**
 * The name of a metric in Prometheus: its unit behind it, `_total` behind a counter.
 *
 * @category combinators
 * @since 0.1.0
 */
export const toPrometheus = (metric: {
  readonly id: string
  readonly type: Metric.Metric.Type
  readonly attributes: Metric.Metric.AttributeSet | undefined
}): string => {
  const words = metric.id.replace(/\W/g, "_").split("_")
  const unit = units[metric.attributes?.["unit"] ?? ""]
  if (unit !== undefined && !words.includes(unit)) words.push(unit)
  if (metric.type === "Counter" && !words.includes("total")) words.push("total")
  return words.join("_")
}

const names = new Map(all.map((metric) => [metric.id, toPrometheus(metric)]))

/**
 * The `metricNameMapper` of Effect's `PrometheusMetrics`. Metrics that are not of effect-cassandra keep their names.
 *
 * @category combinators
 * @since 0.1.0
 */
export const prometheusName = (id: string): string => names.get(id) ?? id
