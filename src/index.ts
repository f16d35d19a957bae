/**
 * Everything that needs only stable modules of Effect. What reads and writes files has entry points of its own, since
 * Effect's `FileSystem` is not yet stable: `effect-cassandra/state/FileStateBackend`, `effect-cassandra/state/Savepoint`,
 * `effect-cassandra/state/FailureLog`, `effect-cassandra/source/NdjsonSource`, `effect-cassandra/source/CsvSource`,
 * `effect-cassandra/source/FilesSource`; so have the metrics' ways out (`effect-cassandra/observability/MetricsServer`,
 * `OtlpExport`) and the tools for tests (`effect-cassandra/testing`).
 *
 * @since 0.1.0
 */
export * as CassandraCommitter from "./cassandra/CassandraCommitter.ts"
export * as CassandraConfig from "./cassandra/CassandraConfig.ts"
export * as CassandraError from "./cassandra/CassandraError.ts"
export * as CassandraSession from "./cassandra/CassandraSession.ts"
export * as CqlStatement from "./cassandra/CqlStatement.ts"
export * as CqlValue from "./cassandra/CqlValue.ts"
export * as EncodedRows from "./cassandra/EncodedRows.ts"
export * as ReplicaSets from "./cassandra/ReplicaSets.ts"
export * as SessionMetrics from "./cassandra/SessionMetrics.ts"
export * as TableSchema from "./cassandra/TableSchema.ts"
export * as Barriers from "./checkpoint/Barriers.ts"
export * as CheckpointCommitter from "./checkpoint/CheckpointCommitter.ts"
export * as CheckpointConfig from "./checkpoint/CheckpointConfig.ts"
export * as CheckpointCoordinator from "./checkpoint/CheckpointCoordinator.ts"
export * as CheckpointMetrics from "./checkpoint/CheckpointMetrics.ts"
export * as Element from "./checkpoint/Element.ts"
export * as Manifest from "./checkpoint/Manifest.ts"
export * as Position from "./checkpoint/Position.ts"
export * as RestartStrategy from "./checkpoint/RestartStrategy.ts"
export * as Retry from "./checkpoint/Retry.ts"
export * as Job from "./job/Job.ts"
export * as JobMetrics from "./job/JobMetrics.ts"
export * as DeadLetters from "./sink/DeadLetters.ts"
export * as DeadLetterTable from "./sink/DeadLetterTable.ts"
export * as SinkError from "./sink/SinkError.ts"
export * as SinkMetrics from "./sink/SinkMetrics.ts"
export * as WriteAheadSink from "./sink/WriteAheadSink.ts"
export * as IterableSource from "./source/IterableSource.ts"
export * as Source from "./source/Source.ts"
export * as MemoryStateBackend from "./state/MemoryStateBackend.ts"
export * as StateBackend from "./state/StateBackend.ts"
export * as WalError from "./state/WalError.ts"
