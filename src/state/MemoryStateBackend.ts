/**
 * A state backend in the memory of the process: gone with it. For tests, and for pipelines that may start over.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { Manifest, SegmentHandle } from "../checkpoint/Manifest.ts"
import { newestFirst } from "../checkpoint/Manifest.ts"
import type { SegmentBlock } from "./StateBackend.ts"
import { StateBackend } from "./StateBackend.ts"
import { StateCorrupt } from "./WalError.ts"
import type { SegmentHeader } from "./WalFormat.ts"

/**
 * What outlives one `StateBackend`: give the same store to the next to see it restart.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryStore {
  readonly segments: Map<string, { readonly header: SegmentHeader; readonly blocks: Array<SegmentBlock> }>
  readonly manifests: Array<Manifest>
}

/**
 * A store with nothing in it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeStore = (): MemoryStore => ({ segments: new Map(), manifests: [] })

/**
 * A backend over a store, its own if none is given.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: {
  readonly jobId: string
  readonly uid: string
  readonly store?: MemoryStore | undefined
  /** Completed checkpoints that are kept. Default 1. */
  readonly retainedCheckpoints?: number | undefined
}): StateBackend["Service"] => {
  const store = options.store ?? makeStore()
  const retained = Math.max(1, options.retainedCheckpoints ?? 1)
  const discard = (name: string) => store.segments.delete(name)
  return StateBackend.of({
    describe: "memory",
    jobId: options.jobId,
    uid: options.uid,
    createSegment: (header) =>
      Effect.sync(() => {
        const name = `e${header.epoch}-a${header.attempt}-s${header.subtask}-n${header.number}`
        const blocks: Array<SegmentBlock> = []
        let bytes = 0
        let rows = 0
        let first = 0
        let last = 0
        return {
          append: (encoded, firstTimestamp, lastTimestamp) =>
            Effect.sync(() => {
              if (encoded.rows === 0) return
              if (rows === 0) first = firstTimestamp
              last = lastTimestamp
              blocks.push({ payload: encoded.bytes, rows: encoded.rows, offset: bytes })
              rows += encoded.rows
              bytes += encoded.bytes.length
            }),
          seal: (checkpointId) =>
            Effect.sync((): SegmentHandle => {
              store.segments.set(name, { header, blocks })
              const { subtask } = header
              return { name, subtask, checkpointId, rows, bytes, crc: 0, firstTimestamp: first, lastTimestamp: last }
            })
        }
      }),
    openSegment: (handle) =>
      Effect.suspend(() => {
        const segment = store.segments.get(handle.name)
        return segment === undefined
          ? Effect.fail(
            new StateCorrupt({
              path: handle.name,
              offset: 0,
              checkpointId: handle.checkpointId,
              detail: "the segment is gone"
            })
          )
          : Effect.succeed({ header: segment.header, blocks: Stream.fromIterable(segment.blocks) })
      }),
    holdsSegment: ({ name }) => Effect.sync(() => store.segments.has(name)),
    discardSegment: (handle) => Effect.sync(() => discard(handle.name)),
    completeCheckpoint: (manifest) =>
      Effect.sync(() => {
        const { checkpointId, epoch } = manifest
        const same = store.manifests.findIndex((old) => old.epoch === epoch && old.checkpointId === checkpointId)
        if (same >= 0) store.manifests.splice(same, 1)
        store.manifests.push(manifest)
        store.manifests.sort(newestFirst)
        store.manifests.length = Math.min(store.manifests.length, retained)
      }),
    latestCheckpoint: Effect.sync(() => store.manifests[0] ?? null),
    sweep: (keep) =>
      Effect.sync(() => {
        const kept = new Set([...keep, ...store.manifests.flatMap((manifest) => manifest.pending)].map((h) => h.name))
        const gone = [...store.segments.keys()].filter((name) => !kept.has(name))
        gone.forEach(discard)
        return { segments: gone.length, manifests: 0, temporary: 0 }
      })
  })
}

/**
 * `make` as a layer; without a store, each time it is built it begins anew.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Parameters<typeof make>[0]): Layer.Layer<StateBackend> =>
  Layer.sync(StateBackend, () => make(options))
