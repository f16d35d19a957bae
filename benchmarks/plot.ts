/**
 * The report's plots, as SVG.
 */
import * as Vega from "vega"
import type { TopLevelSpec } from "vega-lite"
import * as VegaLite from "vega-lite"
import { contenders } from "./contenders/endToEnd.ts"
import * as Curves from "./curves.ts"
import type { Measurement } from "./model.ts"
import { workloads } from "./rows.ts"
import { spreadOf } from "./stats.ts"

const toSvg = (spec: TopLevelSpec): Promise<string> =>
  new Vega.View(Vega.parse(VegaLite.compile(spec).spec), { renderer: "none" }).toSVG()

const common = {
  $schema: "https://vega.github.io/schema/vega-lite/v6.json",
  background: "white",
  config: { font: "sans-serif", axis: { labelLimit: 0 }, legend: { labelLimit: 0 } }
} as const

const kindOf = (name: string): string => name.startsWith("own") ? "effect-cassandra" : name.split("-")[0]!

const kinds = {
  domain: ["effect-cassandra", "driver", "flink", "dsbulk"],
  range: ["#d62728", "#1f77b4", "#8c8c8c", "#c7a252"]
}

interface Bar {
  readonly workload: string
  readonly title: string
  readonly kind: string
  readonly median: number
  readonly min: number
  readonly max: number
}

const bars = (measurements: ReadonlyArray<Measurement>): ReadonlyArray<Bar> =>
  workloads.flatMap(({ name: workload }) =>
    contenders.flatMap(({ name, title }): ReadonlyArray<Bar> => {
      const found = spreadOf(measurements, `${name}@${workload}`, "rowsPerSecond")
      return found === null ? [] : [{ workload, title, kind: kindOf(name), ...found }]
    })
  )

const throughput = (measurements: ReadonlyArray<Measurement>): TopLevelSpec | null => {
  const values = bars(measurements)
  if (values.length === 0) return null
  const panels = workloads.flatMap(({ name }) => {
    const of = values.filter(({ workload }) => workload === name).toSorted((a, b) => b.median - a.median)
    if (of.length === 0) return []
    const y = { field: "title", type: "nominal", sort: of.map(({ title }) => title), title: null }
    return [{
      title: name,
      width: 560,
      data: { values: of },
      layer: [
        {
          mark: "bar",
          encoding: {
            y,
            x: { field: "median", type: "quantitative", title: "rows/s" },
            color: { field: "kind", type: "nominal", scale: kinds, title: null }
          }
        },
        {
          mark: { type: "rule", color: "black" },
          encoding: { y, x: { field: "min", type: "quantitative" }, x2: { field: "max" } }
        }
      ]
    }]
  })
  return {
    ...common,
    title: "Rows a second: median, and from the slowest to the fastest round",
    vconcat: panels
  } as TopLevelSpec
}

const lineShown = new Set([
  "own-1s",
  "own-10s",
  "driver-tuned",
  "driver-batch",
  "flink-wal-heap",
  "flink-wal-files",
  "dsbulk"
])

interface Point {
  readonly title: string
  readonly t: number
  readonly value: number
}

/** Of each contender the run that is nearest to its median. */
const pointsOf = (
  measurements: ReadonlyArray<Measurement>,
  toPoints: (run: Measurement) => ReadonlyArray<{ readonly t: number; readonly value: number }>
): ReadonlyArray<Point> =>
  contenders.filter(({ name }) => lineShown.has(name)).flatMap(({ name, title }) => {
    const run = Curves.medianRun(measurements, `${name}@unique-100`, "rowsPerSecond")
    return run === null ? [] : toPoints(run).map(({ t, value }) => ({ title, t, value }))
  })

const lines = (values: ReadonlyArray<Point>, title: string, unit: string, isLog: boolean): TopLevelSpec | null =>
  values.length === 0 ? null : {
    ...common,
    title,
    width: 720,
    height: 320,
    data: { values: values.slice() },
    mark: { type: "line", interpolate: "linear", point: { size: 12 } },
    encoding: {
      x: { field: "t", type: "quantitative", title: "seconds since the start" },
      y: {
        field: "value",
        type: "quantitative",
        title: unit,
        scale: isLog ? { type: "log" } : { zero: true }
      },
      color: {
        field: "title",
        type: "nominal",
        title: null,
        sort: null,
        legend: { orient: "bottom", columns: 1 }
      }
    }
  }

const latency = (measurements: ReadonlyArray<Measurement>) =>
  lines(
    pointsOf(measurements, ({ samples = [] }) =>
      Curves.latencies(samples).map(({ seconds, t }) => ({ t, value: Math.max(0.001, seconds) }))),
    "unique-100: from reading a row to its commit (or its answer, without a log), the oldest row each time",
    "seconds",
    true
  )

const memory = (measurements: ReadonlyArray<Measurement>) =>
  lines(
    pointsOf(measurements, ({ samples = [] }) =>
      samples.flatMap(({ rssMiB, t }) => rssMiB === undefined ? [] : [{ t, value: rssMiB }])),
    "unique-100: resident memory of the process",
    "MiB",
    false
  )

const scaling = (measurements: ReadonlyArray<Measurement>): TopLevelSpec | null => {
  const values = ["unique-100", "shared-100"].flatMap((workload) =>
    ["1s", "10s"].flatMap((interval) =>
      [1, 2, 4].flatMap((parallelism) => {
        const name = `own-${interval}${parallelism === 1 ? "" : `-p${parallelism}`}@${workload}`
        const found = spreadOf(measurements, name, "rowsPerSecond")
        return found === null ? [] : [{ series: `${workload}, checkpoint ${interval}`, parallelism, ...found }]
      })
    )
  )
  if (values.length === 0) return null
  const x = { field: "parallelism", type: "ordinal", title: "parallelism", axis: { labelAngle: 0 } } as const
  const color = { field: "series", type: "nominal", title: null } as const
  return {
    ...common,
    title: "effect-cassandra: rows a second by parallelism",
    width: 420,
    height: 280,
    data: { values },
    layer: [
      {
        mark: { type: "line", point: true },
        encoding: { x, y: { field: "median", type: "quantitative", title: "rows/s", scale: { zero: true } }, color }
      },
      { mark: "rule", encoding: { x, y: { field: "min", type: "quantitative" }, y2: { field: "max" }, color } }
    ]
  } as TopLevelSpec
}

export interface Plot {
  readonly file: string
  readonly title: string
  readonly svg: string
}

/** Those for which there is something to show. */
export const plots = async (measurements: ReadonlyArray<Measurement>): Promise<ReadonlyArray<Plot>> => {
  const specs: ReadonlyArray<readonly [file: string, title: string, spec: TopLevelSpec | null]> = [
    ["throughput.svg", "Throughput", throughput(measurements)],
    ["latency.svg", "Latency over time", latency(measurements)],
    ["rss.svg", "Resident memory over time", memory(measurements)],
    ["scaling.svg", "Scaling", scaling(measurements)]
  ]
  const made: Array<Plot> = []
  for (const [file, title, spec] of specs) {
    if (spec !== null) made.push({ file, title, svg: await toSvg(spec) })
  }
  return made
}
