/**
 * `job.json`: whose state a directory holds.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import type { WalError } from "../WalError.ts"
import { StateCorrupt, StateUnusable } from "../WalError.ts"
import * as WalFormat from "../WalFormat.ts"
import { ioError } from "./files.ts"

export interface JobNames {
  readonly jobId: string
  readonly uid: string
}

const JobFile = Schema.fromJsonString(Schema.Struct({ format: Schema.Int, jobId: Schema.String, uid: Schema.String }))

export const encodeJobFile = ({ jobId, uid }: JobNames): Buffer =>
  Buffer.from(JSON.stringify({ format: WalFormat.formatVersion, jobId, uid }))

/** Null if the directory is nobody's yet. */
export const readJobFile = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  directory: string
): Effect.fn.Return<JobNames | null, WalError> {
  const path = `${directory}/job.json`
  if (!(yield* ioError("look at", path)(fs.exists(path)))) return null
  const text = yield* ioError("read", path)(fs.readFileString(path))
  const job = Schema.decodeUnknownOption(JobFile)(text)
  if (job._tag === "None") {
    return yield* new StateCorrupt({ path, offset: 0, checkpointId: null, detail: "it is not what names a job" })
  }
  if (job.value.format !== WalFormat.formatVersion) {
    return yield* new StateUnusable({
      path,
      reason: "other-version",
      detail: `${directory} has format version ${job.value.format}, this program reads ${WalFormat.formatVersion}.`
    })
  }
  return { jobId: job.value.jobId, uid: job.value.uid }
})

/** Fails if the directory is another job's. A name that is not given is any. */
export const sameJob = (
  directory: string,
  found: JobNames,
  { jobId = found.jobId, uid = found.uid }: Partial<JobNames>
): Effect.Effect<void, StateUnusable> =>
  found.jobId === jobId && found.uid === uid ? Effect.void : Effect.fail(
    new StateUnusable({
      path: `${directory}/job.json`,
      reason: "other-job",
      detail: `The state directory ${directory} belongs to job '${found.jobId}' (uid '${found.uid}'), not to ` +
        `job '${jobId}' (uid '${uid}'). Give this job a directory of its own with --state, or go on ` +
        `under the job's own names.`
    })
  )
