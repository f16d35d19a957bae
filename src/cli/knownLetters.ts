/**
 * Which records of an input a load has set aside: the places in its dead letters.
 *
 * @since 0.1.0
 */
import * as CliError from "effect/cli/CliError"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Stream from "effect/Stream"
import * as Path from "node:path"
import type { CassandraError } from "../cassandra/CassandraError.ts"
import type { Session } from "../cassandra/CassandraSession.ts"
import type { Located } from "../checkpoint/Element.ts"
import { letterBytesMax, placeOf } from "../source/DeadLetterSource.ts"
import * as NdjsonSource from "../source/NdjsonSource.ts"
import type { SourceError } from "../source/SourceError.ts"
import { CheckFailed } from "./CheckFailed.ts"
import type { VerifyOptions } from "./options.ts"
import * as Settings from "./settings.ts"
import { noTable } from "./statement.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface KnownLetters {
  /** Records that have a letter, wherever they are. */
  readonly count: number
  /** Whether the record at this place has one. */
  readonly has: (at: Located) => boolean
}

const makeLetters = () => {
  const places = new Map<string, Set<number>>()
  /** Inputs as they are named, by their whole paths: a load may have been started elsewhere. */
  const resolved = new Map<string, string>()
  const pathOf = (input: string) => {
    let path = resolved.get(input)
    if (path === undefined) resolved.set(input, path = Path.resolve(input))
    return path
  }
  const add = ({ input, place }: Located) => {
    const path = pathOf(input)
    const known = places.get(path)
    if (known === undefined) places.set(path, new Set([place]))
    else known.add(place)
  }
  const letters: KnownLetters = {
    get count() {
      return [...places.values()].reduce((sum, { size }) => sum + size, 0)
    },
    has: ({ input, place }) => places.get(pathOf(input))?.has(place) === true
  }
  return { add, letters }
}

const fromFile = Effect.fnUntraced(function*(
  path: string,
  isOurs: (job: unknown, uid: unknown) => boolean
): Effect.fn.Return<KnownLetters | null, SourceError, FileSystem.FileSystem> {
  const source = yield* NdjsonSource.make(path, { malformed: "reject", maxRecordBytes: letterBytesMax }).pipe(
    Effect.catchIf(({ reason }) => reason._tag === "InputNotFound", () => Effect.succeed(null))
  )
  if (source === null) return null
  const { add, letters } = makeLetters()
  // A line that a crash has cut off is followed by the whole of it.
  yield* Stream.runForEach(source.read(null), ({ records }) =>
    Effect.sync(() => {
      for (const { value } of records) {
        const at = placeOf(value)
        if (at !== null && isOurs(value["job"], value["uid"])) add(at)
      }
    }))
  return letters
})

const fromTable = Effect.fnUntraced(function*(
  session: Session,
  keyspace: string,
  job: string,
  uid: string
): Effect.fn.Return<KnownLetters, CassandraError | CheckFailed> {
  if ((yield* session.table(keyspace, "dead_letters")) === null) {
    const why = yield* noTable(session, keyspace, "dead_letters")
    return yield* new CheckFailed({
      detail: `The dead letters can't be looked at: ${why}. Correct --dead-letters-keyspace`
    })
  }
  const { add, letters } = makeLetters()
  yield* Stream.runForEachArray(
    session.stream(`SELECT input, place FROM ${keyspace}.dead_letters WHERE job_id = ? AND uid = ?`, [job, uid]),
    (rows) =>
      Effect.sync(() => {
        for (const row of rows) add({ input: String(row["input"]), place: Number(row["place"]) })
      })
  )
  return letters
})

/**
 * Those that the options name; with a job alone, the file that `load` would write. A file that is not there holds none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = Effect.fnUntraced(function*(
  { deadLetters, deadLettersKeyspace, job, uid }: VerifyOptions,
  session: Session
): Effect.fn.Return<
  KnownLetters,
  CassandraError | CheckFailed | CliError.CliError | SourceError,
  FileSystem.FileSystem
> {
  if (deadLettersKeyspace !== undefined) {
    if (job !== undefined && deadLetters === undefined) {
      return yield* fromTable(session, deadLettersKeyspace, job, uid)
    }
    return yield* new CliError.ValidationError({
      message: deadLetters === undefined
        ? "--dead-letters-keyspace has the dead letters of many jobs: add --job (and --uid)"
        : "--dead-letters is a file and --dead-letters-keyspace has a table: leave one of them out"
    })
  }
  const path = deadLetters ?? (job === undefined ? null : Settings.deadLettersFile({ job, uid, state: undefined }))
  if (path === null) return makeLetters().letters
  const found = yield* fromFile(path, (ofJob, ofUid) => job === undefined || (ofJob === job && ofUid === uid))
  if (found !== null) return found
  if (deadLetters !== undefined) {
    yield* Effect.logWarning(`There is no file ${path}: no record is known to be set aside`)
  }
  return makeLetters().letters
})
