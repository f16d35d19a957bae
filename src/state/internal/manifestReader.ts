/**
 * Manifests as they lie in a directory: which there are, and what one says.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Manifest, newestFirst } from "../../checkpoint/Manifest.ts"
import type { StateIoError, WalError } from "../WalError.ts"
import { StateCorrupt, StateUnusable } from "../WalError.ts"
import * as WalFormat from "../WalFormat.ts"
import { ioError } from "./files.ts"

export interface ManifestName {
  readonly name: string
  readonly epoch: number
  readonly checkpointId: number
}

const decode = Schema.decodeUnknownResult(Manifest)
const manifestName = /^e(\d+)-c(\d+)\.manifest$/

/** Newest first. */
export const listManifests = (
  fs: FileSystem.FileSystem,
  checkpoints: string
): Effect.Effect<Array<ManifestName>, StateIoError> =>
  Effect.map(
    ioError("list", checkpoints)(fs.readDirectory(checkpoints)),
    (names) =>
      names.flatMap((name) => {
        const match = manifestName.exec(name)
        return match ? [{ name, epoch: Number(match[1]), checkpointId: Number(match[2]) }] : []
      }).toSorted(newestFirst)
  )

export const readManifest = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  checkpoints: string,
  { checkpointId, name }: ManifestName
): Effect.fn.Return<Manifest, WalError> {
  const path = `${checkpoints}/${name}`
  const bytes = Buffer.from(yield* ioError("read", path)(fs.readFile(path)))
  const corrupt = (offset: number, detail: string) => new StateCorrupt({ path, offset, checkpointId, detail })
  const json = WalFormat.decodeJson("manifest", bytes)
  if (Result.isFailure(json)) {
    return yield* json.failure.version === undefined
      ? corrupt(json.failure.offset, json.failure.detail)
      : new StateUnusable({ path, reason: "other-version", detail: `${path} has ${json.failure.detail}` })
  }
  const manifest = decode(json.success)
  if (Result.isFailure(manifest)) return yield* corrupt(WalFormat.preambleBytes, manifest.failure.message)
  return manifest.success
})
