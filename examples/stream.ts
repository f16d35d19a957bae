/**
 * The sink in a Stream pipeline of one's own, without a Job: elements in, committed checkpoints out.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Stream } from "effect"
import {
  Barriers,
  CassandraCommitter,
  CassandraConfig,
  CassandraSession,
  CheckpointCoordinator,
  WriteAheadSink
} from "effect-cassandra"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"

const names = { jobId: "squares", uid: "table" }

const program = Effect.gen(function*() {
  const coordinator = yield* CheckpointCoordinator.CheckpointCoordinator
  const from = Number(coordinator.restored?.position?.["next"] ?? 0)
  yield* Stream.range(from, 9_999).pipe(
    Stream.map((n) => ({ n, square: n * n })),
    Stream.rechunk(500),
    Barriers.fromStream({ position: ({ n }) => ({ next: n + 1 }) }),
    Barriers.inject,
    WriteAheadSink.transform({ query: "INSERT INTO numbers.squares (n, square) VALUES (?, ?)" }),
    // Whatever the input is, this is where it may be acknowledged: these rows are in the table.
    Stream.runForEach(({ checkpointId, position, rows }) =>
      Console.log(`checkpoint ${checkpointId}: ${rows} rows up to ${JSON.stringify(position)}`)
    )
  )
})

const Services = WriteAheadSink.layerCoordinator({ interval: "1 second" }).pipe(
  Layer.provideMerge(CassandraCommitter.layer(names)),
  Layer.provideMerge(FileStateBackend.layer({ ...names, directory: "./state" })),
  Layer.provideMerge(CassandraSession.layerConfig(CassandraConfig.config)),
  Layer.provideMerge(NodeServices.layer)
)

NodeRuntime.runMain(Effect.provide(program, Services))
