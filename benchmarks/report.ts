/**
 * The report: tables in Markdown, plots beside it, and the raw data that both come from.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { all, groups } from "./catalogue.ts"
import { thin } from "./curves.ts"
import type { Machine } from "./machine.ts"
import type { Benchmark, Failure, Measurement, Quantity } from "./model.ts"
import type { Plot } from "./plot.ts"
import * as Plots from "./plot.ts"
import type { ProfileLine, ProfileSummary } from "./profile.ts"
import { rowCount, workloads } from "./rows.ts"
import type { Spread } from "./stats.ts"
import { ratio, spreadOf } from "./stats.ts"
import { judge } from "./targets.ts"

export interface RawData {
  readonly machine: Machine
  readonly server: string | null
  readonly rows: number
  readonly rounds: number
  /** Peers that were left out, each with the reason. */
  readonly absent: ReadonlyArray<string>
  readonly measurements: ReadonlyArray<Measurement>
  readonly failures: ReadonlyArray<Failure>
  readonly profile: ProfileSummary | null
}

const number = (value: number, digits: number): string =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })

const cell = (found: Spread | null, digits: number): string => {
  if (found === null) return "–"
  const median = number(found.median, digits)
  return found.count === 1 ? median : `${median} (${number(found.min, digits)}–${number(found.max, digits)})`
}

const table = (head: ReadonlyArray<string>, body: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map((_, i) => i === 0 ? "---" : "---:"), ...body].map((row) => `| ${row.join(" | ")} |`).join("\n")

const reference = "own-1s"

const endToEnd = (data: RawData): string =>
  workloads.flatMap((workload) => {
    const ran = all.filter(({ group, name }) =>
      group === "end-to-end" && name.endsWith(`@${workload.name}`) &&
      data.measurements.some(({ benchmark }) => benchmark === name)
    )
    if (ran.length === 0) return []
    const own = `${reference}@${workload.name}`
    const rows = ran.map(({ name, quantities, title }) => [
      title,
      ...quantities.slice(0, 1).map(({ digits, key }) => cell(spreadOf(data.measurements, name, key), digits)),
      name === own ? "1" : cell(ratio(data.measurements, [own, "rowsPerSecond"], [name, "rowsPerSecond"]), 2),
      ...quantities.slice(1).map(({ digits, key }) => cell(spreadOf(data.measurements, name, key), digits))
    ])
    const [first, ...rest] = ran[0]!.quantities
    return [
      `### ${workload.name}: ${rowCount(workload, data.rows).toLocaleString("en")} rows of ` +
      `${workload.rowBytes.toLocaleString("en")} bytes, ` +
      (workload.shape === "unique" ? "a partition each" : "100 a partition"),
      "",
      table(["", first!.label, `${reference} ÷ this`, ...rest.map(({ label }) => label)], rows),
      ""
    ]
  }).join("\n")

/** Benchmarks with the same quantities share a table. */
const parts = (data: RawData, ran: ReadonlyArray<Benchmark>): string => {
  const tables = new Map<string, { readonly quantities: ReadonlyArray<Quantity>; readonly of: Array<Benchmark> }>()
  for (const benchmark of ran) {
    const key = benchmark.quantities.map(({ label }) => label).join("|")
    const found = tables.get(key)
    if (found === undefined) tables.set(key, { quantities: benchmark.quantities, of: [benchmark] })
    else found.of.push(benchmark)
  }
  return [...tables.values()].map(({ of, quantities }) =>
    table(
      ["", ...quantities.map(({ label }) => label)],
      of.map(({ name, title }) => [
        `${title} \`${name}\``,
        ...quantities.map(({ digits, key }) => cell(spreadOf(data.measurements, name, key), digits))
      ])
    )
  ).join("\n\n")
}

const verdicts = (data: RawData): string =>
  table(
    ["", "goal", "measured", "met"],
    judge(data.measurements).filter(({ measured }) => measured !== null).map((
      { goal, isMet, measured, text, unit }
    ) => [
      text,
      goal,
      `${cell(measured, 2)} ${unit}`,
      isMet === true ? "yes" : "**no**"
    ])
  )

const where = ({ machine, rounds, rows, server }: RawData): string => {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`).join(", ")
  return [
    `${machine.date}, commit ${machine.commit}. ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ` +
    `${machine.system}; load when it began: ${machine.loadBefore.toFixed(2)}. ${versions}.`,
    server === null ? "No server was needed." : `${server}, on the same machine.`,
    `${rows.toLocaleString("en")} rows (those of 10 KiB are a tenth as many), ${rounds} ` +
    `${
      rounds === 1 ? "round" : "rounds"
    }, interleaved. Each number is the median, with the least and the greatest in ` +
    `brackets; a ratio is computed within each round. Differences under 15% mean nothing on a machine whose server takes ` +
    `part in every number.`
  ].join("\n")
}

const method =
  `How it is timed: this library from the start of the job, session connected, to the end of its last commit;
raw loops from the first request to the last answer; Flink and dsbulk from their first row in the table to their last
commit (or row), which leaves their start, and Flink's first checkpoint, out. After each run every key of the table was
read back, and the contents of 200 rows; a run that had left anything else behind would be listed as failed, without a
number.`

export const markdown = (data: RawData, plots: ReadonlyArray<Plot>): string => {
  const sections: Array<string> = ["# Benchmarks", "", where(data), ""]
  for (const sentence of data.absent) sections.push(`**${sentence}**`, "")
  if (data.failures.length > 0) {
    sections.push("## Runs without a number", "")
    for (const { benchmark, message, round } of data.failures) {
      sections.push(`- ${benchmark}, round ${round}: ${message.split("\n")[0]}`)
    }
    sections.push("")
  }
  if (judge(data.measurements).some(({ measured }) => measured !== null)) {
    sections.push("## Targets", "", verdicts(data), "")
  }
  for (const [group, title] of groups) {
    const ran = all.filter(({ name, ...benchmark }) =>
      benchmark.group === group && data.measurements.some(({ benchmark }) => benchmark === name)
    )
    if (ran.length === 0) continue
    sections.push(`## ${title}`, "")
    if (group !== "end-to-end") {
      sections.push(parts(data, ran), "")
      continue
    }
    sections.push(method, "")
    for (const plot of plots) sections.push(`![${plot.title}](${plot.file})`, "")
    sections.push(endToEnd(data))
  }
  if (data.profile !== null) {
    const lines = (head: string, of: ReadonlyArray<ProfileLine>) =>
      table([head, "%"], of.map(({ percent, where }) => [`\`${where}\``, number(percent, 1)]))
    sections.push("## Profile", "", "Self time over all Node processes of the run, their start included.", "")
    sections.push(lines("where the code is from", data.profile.origins), "")
    sections.push(lines("function", data.profile.functions), "")
  }
  return `${sections.join("\n").trimEnd()}\n`
}

/** A measurement a line, samples thinned and rounded: it is committed. */
const rawJson = ({ measurements, ...head }: RawData): string => {
  const lines = measurements.map(({ samples, ...run }) =>
    JSON.stringify(
      { ...run, ...(samples === undefined ? undefined : { samples: thin(samples) }) },
      (_, value) => typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value
    )
  )
  return `${JSON.stringify(head).slice(0, -1)},"measurements":[\n${lines.join(",\n")}\n]}\n`
}

export const write = async (directory: string, data: RawData): Promise<void> => {
  Fs.mkdirSync(directory, { recursive: true })
  const plots = await Plots.plots(data.measurements)
  for (const { file, svg } of plots) Fs.writeFileSync(Path.join(directory, file), svg)
  Fs.writeFileSync(Path.join(directory, "raw.json"), rawJson(data))
  Fs.writeFileSync(Path.join(directory, "report.md"), markdown(data, plots))
}
