/**
 * A state backend of one's own: the log and the checkpoints in a SQLite file instead of a directory. What a backend owes
 * is told in `StateBackend`; what another store needs beside it (a lock, say) is its own matter.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Schema, Stream } from "effect"
import {
  CassandraCommitter,
  CassandraConfig,
  CassandraSession,
  IterableSource,
  Job,
  Manifest,
  StateBackend,
  WalError
} from "effect-cassandra"
import { DatabaseSync } from "node:sqlite"
import { crc32 } from "node:zlib"

const fromJson = Schema.decodeUnknownSync(Schema.fromJsonString(Manifest.Manifest))

const make = Effect.fnUntraced(function*(file: string, job: { readonly jobId: string; readonly uid: string }) {
  const db = yield* Effect.acquireRelease(
    Effect.sync(() => new DatabaseSync(file)),
    (db) => Effect.sync(() => db.close())
  )
  db.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS segment (name TEXT PRIMARY KEY, epoch INT, header TEXT);
    CREATE TABLE IF NOT EXISTS block (segment TEXT, number INT, rows INT, payload BLOB, PRIMARY KEY (segment, number));
    CREATE TABLE IF NOT EXISTS manifest (epoch INT, checkpoint_id INT, json TEXT, PRIMARY KEY (epoch, checkpoint_id));
  `)

  /** All of it or nothing, and on the disk when it returns. */
  const transact = <A>(operation: string, body: () => A) =>
    Effect.try({
      try: () => {
        db.exec("BEGIN IMMEDIATE")
        try {
          const result = body()
          db.exec("COMMIT")
          return result
        } catch (error) {
          db.exec("ROLLBACK")
          throw error
        }
      },
      catch: (error) => new WalError.StateIoError({ path: file, operation, code: null, detail: String(error) })
    })

  const remove = (name: string) => {
    db.prepare("DELETE FROM segment WHERE name = ?").run(name)
    db.prepare("DELETE FROM block WHERE segment = ?").run(name)
  }
  const manifests = (): ReadonlyArray<Manifest.Manifest> =>
    db.prepare("SELECT json FROM manifest ORDER BY epoch DESC, checkpoint_id DESC").all()
      .map((row) => fromJson(row["json"]))

  return StateBackend.StateBackend.of({
    ...job,
    describe: file,
    // Rows wait in memory for their barrier: not more than `segmentBytesMax` of the sink, which asks for one then.
    createSegment: (header) =>
      Effect.sync(() => {
        const name = `e${header.epoch}-a${header.attempt}-s${header.subtask}-n${header.number}`
        const blocks: Array<{ readonly payload: Buffer; readonly rows: number }> = []
        let [rows, bytes, crc, first, last] = [0, 0, 0, 0, 0]
        return {
          append: (encoded, firstTimestamp, lastTimestamp) =>
            Effect.sync(() => {
              if (encoded.rows === 0) return
              if (rows === 0) first = firstTimestamp
              last = lastTimestamp
              rows += encoded.rows
              bytes += encoded.bytes.length
              crc = crc32(encoded.bytes, crc)
              blocks.push({ payload: encoded.bytes, rows: encoded.rows })
            }),
          seal: (checkpointId) =>
            transact("seal", () => {
              db.prepare("INSERT INTO segment VALUES (?, ?, ?)").run(name, header.epoch, JSON.stringify(header))
              const insert = db.prepare("INSERT INTO block VALUES (?, ?, ?, ?)")
              blocks.forEach((block, number) => insert.run(name, number, block.rows, block.payload))
              const { subtask } = header
              return { name, subtask, checkpointId, rows, bytes, crc, firstTimestamp: first, lastTimestamp: last }
            })
        }
      }),
    openSegment: (handle) =>
      Effect.flatMap(
        transact("read", () => ({
          header: db.prepare("SELECT header FROM segment WHERE name = ?").get(handle.name)?.["header"],
          blocks: db.prepare("SELECT rows, payload FROM block WHERE segment = ? ORDER BY number").all(handle.name)
        })),
        ({ blocks, header }) => {
          let offset = 0
          let crc = 0
          const found = blocks.map((block) => {
            const payload = Buffer.from(block["payload"] as Uint8Array)
            const at = offset
            offset += payload.length
            crc = crc32(payload, crc)
            return { payload, rows: Number(block["rows"]), offset: at }
          })
          // Never a shorter segment: what is not as it was sealed is an error.
          if (header !== undefined && crc === handle.crc && offset === handle.bytes) {
            return Effect.succeed({ header: JSON.parse(String(header)), blocks: Stream.fromIterable(found) })
          }
          const { checkpointId } = handle
          const detail = `segment ${handle.name} has ${offset} bytes with checksum ${crc}, ` +
            `sealed were ${handle.bytes} with ${handle.crc}`
          return Effect.fail(new WalError.StateCorrupt({ path: file, offset: 0, checkpointId, detail }))
        }
      ),
    // The next sweep removes what could not be removed now.
    holdsSegment: ({ name }) =>
      transact("look", () => db.prepare("SELECT 1 FROM segment WHERE name = ?").get(name) !== undefined),
    discardSegment: (handle) => Effect.ignore(transact("remove", () => remove(handle.name))),
    completeCheckpoint: (manifest) =>
      transact("complete a checkpoint", () => {
        const { checkpointId, epoch } = manifest
        db.prepare("INSERT OR REPLACE INTO manifest VALUES (?, ?, ?)").run(
          epoch,
          checkpointId,
          JSON.stringify(manifest)
        )
        // By (epoch, id): what a superseded process still completes is never the newest.
        const [newest] = manifests()
        db.prepare("DELETE FROM manifest WHERE NOT (epoch = ? AND checkpoint_id = ?)")
          .run(newest!.epoch, newest!.checkpointId)
      }),
    latestCheckpoint: transact("read the newest checkpoint", () => manifests()[0] ?? null),
    sweep: (keep, epoch) =>
      transact("sweep", () => {
        const kept = new Set([...keep, ...manifests().flatMap(({ pending }) => pending)].map(({ name }) => name))
        const names = db.prepare("SELECT name FROM segment WHERE epoch <= ?").all(epoch)
          .map((row) => String(row["name"])).filter((name) => !kept.has(name))
        names.forEach(remove)
        return { segments: names.length, manifests: 0, temporary: 0 }
      })
  })
})

const names = { jobId: "fourth_powers", uid: "table" }

const program = Effect.gen(function*() {
  const { committed, outcome, replayedCheckpoints } = yield* Job.run({
    source: IterableSource.fromIterable(Array.from({ length: 40_000 }, (_, n) => ({ n, power: BigInt(n) ** 4n }))),
    sink: { query: "INSERT INTO numbers.fourth_powers (n, power) VALUES (?, ?)", segmentBytesMax: 100_000 },
    checkpoint: { interval: "200 millis" },
    parallelism: 2
  })
  yield* Console.log(`${outcome}: ${committed} rows, ${replayedCheckpoints} checkpoints replayed`)
})

const Services = Layer.mergeAll(
  CassandraCommitter.layer(names),
  Layer.effect(StateBackend.StateBackend, make("./state.sqlite", names))
).pipe(
  Layer.provideMerge(CassandraSession.layerConfig(CassandraConfig.config)),
  Layer.provideMerge(NodeServices.layer)
)

NodeRuntime.runMain(Effect.provide(program, Services))
