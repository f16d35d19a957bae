/**
 * A source of one's own: the pages of an HTTP API, `GET <url>?after=<id>`, an array of readings in the order of their ids,
 * empty at the end. A position is the id of the last reading, so a run that died goes on behind its last checkpoint.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Data, Effect, Layer, Option, Schedule, Schema, Stream } from "effect"
import { CassandraCommitter, CassandraConfig, CassandraSession, Element, Job } from "effect-cassandra"
import type { Source } from "effect-cassandra"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"

const names = { jobId: "readings_api", uid: "by_id" }

const Reading = Schema.Struct({ id: Schema.Int, sensor: Schema.String, celsius: Schema.Number })
type Reading = typeof Reading.Type
const decode = Schema.decodeUnknownEffect(Schema.Array(Reading))

/** `isRetryable` tells the job whether to start again. */
class ApiError extends Data.TaggedError("ApiError")<{ readonly message: string; readonly isRetryable: boolean }> {}

const fetchPage = (url: string, after: number): Effect.Effect<ReadonlyArray<Reading>, ApiError> =>
  Effect.tryPromise({
    try: async (signal) => {
      const response = await fetch(`${url}?after=${after}`, { signal })
      if (!response.ok) throw new Error(`status ${response.status}`)
      return await response.json() as unknown
    },
    catch: (cause) => new ApiError({ message: `${url} after ${after}: ${String(cause)}`, isRetryable: true })
  }).pipe(
    Effect.retry({ schedule: Schedule.spaced("200 millis"), times: 10 }),
    Effect.flatMap((page) =>
      Effect.mapError(
        decode(page),
        (error) => new ApiError({ message: `${url} after ${after}: ${error.message}`, isRetryable: false })
      )
    )
  )

const pagesOf = (url: string): Source.Source<Reading, ApiError> => ({
  describe: url,
  total: null,
  progress: (position) => Number(position["after"]),
  read: (from) =>
    Stream.paginate(from === null ? 0 : Number(from["after"]), (after) =>
      Effect.map(fetchPage(url, after), (page) => {
        const last = page.at(-1)?.id
        if (last === undefined) return [[], Option.none<number>()] as const
        const chunk: Source.SourceChunk<Reading> = {
          // The place of a record is what errors about it say.
          records: page.map((reading) => new Element.Record(reading, reading.id)),
          position: { after: last }
        }
        return [[chunk], Option.some(last)] as const
      }))
})

const program = Effect.gen(function*() {
  const { committed, outcome } = yield* Job.run({
    source: pagesOf(process.argv[2] ?? "http://127.0.0.1:8080/readings"),
    sink: { query: "INSERT INTO weather.readings (id, sensor, celsius) VALUES (?, ?, ?)" },
    checkpoint: { interval: "200 millis" }
  })
  yield* Console.log(`${outcome}: ${committed} rows`)
})

const Services = Layer.mergeAll(
  CassandraCommitter.layer(names),
  FileStateBackend.layer({ ...names, directory: "./state" })
).pipe(
  Layer.provideMerge(CassandraSession.layerConfig(CassandraConfig.config)),
  Layer.provideMerge(NodeServices.layer)
)

NodeRuntime.runMain(Effect.provide(program, Services))
