/**
 * What a job of the library needs, with places to watch it from.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CassandraCommitter from "effect-cassandra/cassandra/CassandraCommitter"
import type { Session } from "effect-cassandra/cassandra/CassandraSession"
import * as CassandraSession from "effect-cassandra/cassandra/CassandraSession"
import { CheckpointCommitter } from "effect-cassandra/checkpoint/CheckpointCommitter"
import * as FileStateBackend from "effect-cassandra/state/FileStateBackend"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export interface JobConfig {
  readonly contactPoint: string
  readonly localDataCenter: string
  readonly jobId: string
  /** Keyspace of the ledger. */
  readonly ledger: string
  readonly state: string
}

export const uid = "bench"

const identity = <A>(self: A): A => self

export const layer = (config: JobConfig, watch: {
  readonly session?: (session: Session) => Session
  readonly committer?: (committer: CheckpointCommitter["Service"]) => CheckpointCommitter["Service"]
} = {}) => {
  const names = { jobId: config.jobId, uid }
  const session = Effect.map(
    CassandraSession.make({ contactPoints: [config.contactPoint], localDataCenter: config.localDataCenter }),
    watch.session ?? identity
  )
  const committer = Effect.flatMap(
    CassandraSession.CassandraSession,
    (session) =>
      Effect.map(
        CassandraCommitter.make(session, { ...names, keyspace: config.ledger }),
        watch.committer ?? identity
      )
  )
  return Layer.mergeAll(
    Layer.effect(CheckpointCommitter, committer),
    FileStateBackend.layer({ ...names, directory: config.state })
  ).pipe(
    Layer.provideMerge(Layer.effect(CassandraSession.CassandraSession, session)),
    Layer.provideMerge(NodeServices.layer)
  )
}
