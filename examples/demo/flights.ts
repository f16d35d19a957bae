/**
 * The input of the demo: real flights (US DOT, 2001), from the npm package vega-datasets, one JSON object a line.
 */
import * as Hyparquet from "hyparquet"
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"
import * as Zlib from "node:zlib"

export interface Flight {
  readonly id: number
  /** ISO 8601, UTC. */
  readonly date: string
  /** Minutes. */
  readonly delay: number
  /** Miles. */
  readonly distance: number
  readonly origin: string
  readonly destination: string
}

const parquet = fileURLToPath(new URL("../data/flights-3m.parquet", import.meta.resolve("vega-datasets")))

/** Writes the first `count` flights (at most 3 million) to `path`. */
export const write = async (path: string, count: number): Promise<void> => {
  const file = await Hyparquet.asyncBufferFromFile(parquet)
  const rows = await Hyparquet.parquetReadObjects({
    file,
    rowStart: 0,
    rowEnd: count,
    compressors: { ZSTD: (bytes) => Zlib.zstdDecompressSync(bytes) }
  })
  const lines = rows.map((row, id) =>
    JSON.stringify(
      {
        id,
        date: (row["date"] as Date).toISOString(),
        delay: Number(row["delay"]),
        distance: Number(row["distance"]),
        origin: String(row["origin"]),
        destination: String(row["destination"])
      } satisfies Flight
    )
  )
  Fs.writeFileSync(path, lines.join("\n") + "\n")
}

/** What the table has to hold, computed from the file alone. */
export const read = (path: string): Map<number, Flight> => {
  const flights = Fs.readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as Flight)
  return new Map(flights.map((flight) => [flight.id, flight]))
}
