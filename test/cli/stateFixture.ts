import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Stream } from "effect"
import * as Fs from "node:fs"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import type { SegmentHandle } from "../../src/checkpoint/Manifest.ts"
import { DeadLetters, layerMemory } from "../../src/sink/DeadLetters.ts"
import * as RowEncoder from "../../src/sink/RowEncoder.ts"
import * as SetAside from "../../src/sink/SetAside.ts"
import * as SinkStatement from "../../src/sink/SinkStatement.ts"
import * as NdjsonSource from "../../src/source/NdjsonSource.ts"
import * as FileStateBackend from "../../src/state/FileStateBackend.ts"
import { FrameWriter, stamp } from "../../src/state/RowFrame.ts"
import type { Fixture } from "./commandFixture.ts"
import { server } from "./commandFixture.ts"

export interface PendingOptions {
  /** Checkpoints that are complete and not sent. Default 3. */
  readonly checkpoints?: number
  /** Blocks of ten rows in each segment. Default 4. */
  readonly blocks?: number
  /** Default 1. */
  readonly parallelism?: number
  /** Default 1. */
  readonly retained?: number
  readonly query?: string
  /** Default "cli". */
  readonly job?: string
  /** Default `state-` and the uid, in the directory of the fixture. */
  readonly directory?: string
  /** Default that of the uid, in the same place. */
  readonly fileName?: string
  /** Lines of the file; those behind the last checkpoint are not read yet. */
  readonly lines?: ReadonlyArray<string>
}

export const perBlock = 10

/**
 * What a load leaves that was killed when Cassandra had taken nothing yet: a file, and a state in which the first lines
 * of it are logged, checkpointed and published. The parts are the real ones; row by row it is known what is where.
 */
export const pendingState = (fixture: Fixture, uid: string, options: PendingOptions = {}) =>
  Effect.gen(function*() {
    const { blocks = 4, checkpoints = 3, parallelism = 1, query = fixture.insert, retained } = options
    const perCheckpoint = blocks * perBlock * parallelism
    const jobId = options.job ?? "cli"
    const file = fixture.write(
      options.fileName ?? `${uid}.ndjson`,
      options.lines ?? fixture.lines(uid, perCheckpoint * checkpoints + 50)
    )
    const directory = options.directory ?? fixture.path(`state-${uid}`)
    const [host, port] = server.contactPoints.split(",")[0]!.split(":")
    const session = yield* CassandraSession.make({
      contactPoints: [`${host}:${port ?? 9042}`],
      localDataCenter: server.localDc
    })
    const statement = yield* Effect.provideService(
      SinkStatement.make(query),
      CassandraSession.CassandraSession,
      session
    )
    const { logged, params } = statement
    const encode = RowEncoder.make<object>(params, { missing: "unset" })
    const locate = (place: number) => ({ input: file, place })
    const setAside = SetAside.make(yield* Effect.provide(DeadLetters, layerMemory()), [statement], locate)
    const committer = yield* CassandraCommitter.make(session, { jobId, uid, keyspace: fixture.keyspace })
    const backend = yield* FileStateBackend.make({ directory, jobId, uid, retainedCheckpoints: retained })
    const { epoch } = yield* committer.claimEpoch(null)
    const source = yield* NdjsonSource.make(file, { maxRecords: perCheckpoint })
    const chunks = yield* Stream.runCollect(Stream.take(source.read(null), checkpoints))
    const pending: Array<SegmentHandle> = []
    let timestamp = Date.now() * 1000
    let records = 0
    for (const [i, { position, records: found }] of chunks.entries()) {
      for (let subtask = 0; subtask < parallelism; subtask++) {
        const header = { jobId, uid, epoch, attempt: 0, subtask, number: i, statements: [logged] }
        const segment = yield* backend.createSegment(header)
        const mine = found.filter((_, n) => n % parallelism === subtask)
        for (let at = 0; at < mine.length; at += perBlock) {
          const writer = new FrameWriter()
          for (const { place, value } of mine.slice(at, at + perBlock)) {
            try {
              writer.add(place, 0, encode(value))
            } catch (error) {
              if (!(error instanceof RowEncoder.Misfit)) throw error
              setAside.misfit(value, place, error, writer, 0)
            }
          }
          const rows = writer.take()
          const next = stamp(rows, timestamp)
          yield* segment.append(rows, timestamp, next - 1)
          timestamp = next
        }
        pending.push(yield* segment.seal(i + 1))
      }
      records += found.length
      yield* backend.completeCheckpoint({
        jobId,
        uid,
        epoch,
        checkpointId: i + 1,
        parallelism,
        completedAt: Date.now(),
        maxTimestamp: timestamp - 1,
        position,
        finished: false,
        records,
        pending: [...pending]
      })
      yield* committer.publishCheckpoint(i + 1, timestamp - 1)
    }
    return {
      directory,
      file,
      pending,
      records,
      epoch,
      total: Fs.readFileSync(file, "utf8").trimEnd().split("\n").length
    }
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer), Effect.runPromise)

export const segmentPath = (directory: string, { name }: { readonly name: string }) => `${directory}/segments/${name}`

/** Where the blocks of a segment begin. */
export const blocksOf = (path: string): Array<number> => {
  const bytes = Fs.readFileSync(path)
  const found: Array<number> = []
  for (let at = 20 + bytes.readUInt32BE(12); at < bytes.length; at += 12 + bytes.readUInt32BE(at)) found.push(at)
  return found
}

export const flip = (path: string, byte: number): void => {
  const bytes = Fs.readFileSync(path)
  bytes[byte]! ^= 1
  Fs.writeFileSync(path, bytes)
}

/** Everything in a directory, to see that looking changes nothing. */
export const contentsOf = (directory: string): ReadonlyArray<string> =>
  Fs.readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => {
    const path = `${entry.parentPath}/${entry.name}`
    return `${path} ${Fs.statSync(path).mtimeMs} ${Fs.readFileSync(path).toString("latin1")}`
  }).toSorted()
