/**
 * Writes a segment. What was handed over last is written while the caller makes the next: nobody waits for the disk as long
 * as it keeps up, and never more than one write is under way.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as FileSystem from "effect/FileSystem"
import * as Scope from "effect/Scope"
import type { SegmentWriter } from "../StateBackend.ts"
import type { WalError } from "../WalError.ts"
import { StateIoError } from "../WalError.ts"
import * as WalFormat from "../WalFormat.ts"
import { ioError, removeQuietly, syncDirectory } from "./files.ts"
import type { SpareBuffers } from "./spareBuffers.ts"

export const createSegment = Effect.fnUntraced(function*(
  fs: FileSystem.FileSystem,
  directory: string,
  header: WalFormat.SegmentHeader,
  /** Where blocks are gathered that are too short to be written by themselves; used by one segment after another. */
  buffers: SpareBuffers
): Effect.fn.Return<SegmentWriter, WalError, Scope.Scope> {
  const name = `e${header.epoch}-a${header.attempt}-s${header.subtask}-n${header.number}.wal`
  const path = `${directory}/${name}`
  const scope = yield* Scope.fork(yield* Effect.scope)
  const file = yield* ioError("create", path)(Scope.provide(fs.open(path, { flag: "wx" }), scope))
  /** Short blocks that wait to be written, in the first `gathered` bytes. */
  let gathering: Buffer | null = null
  let gathered = 0
  let bytes = 0
  let rows = 0
  let crc = 0
  let first = 0
  let last = 0
  let failed: WalError | null = null
  let isSealed = false
  const end = (): WalError =>
    failed ??= new StateIoError({ path, operation: "seal", code: null, detail: "its run has ended" })

  // Nobody knows of a segment that was never sealed; what a failed run leaves must not keep a full disk full. From here
  // on it can't be sealed any more: a handle of a file that is being removed must not be given out.
  yield* Scope.addFinalizer(
    scope,
    Effect.suspend(() => {
      if (isSealed) return Effect.void
      end()
      return removeQuietly(fs, path)
    })
  )

  /**
   * No retry on the same handle: after a failed write or fsync the state of the file is unknown, and after an interrupted
   * append that of the writer.
   */
  const orClose = <A>(self: Effect.Effect<A, WalError>): Effect.Effect<A, WalError> =>
    Effect.suspend(() => failed === null ? self : Effect.fail(failed)).pipe(
      Effect.onInterrupt(() => Effect.sync(end)),
      Effect.tapError((error) => {
        failed = error
        return Scope.close(scope, Exit.void)
      })
    )

  let writing: Fiber.Fiber<void> | null = null
  /** Of the last write; null for one that is under way, or never began because the Scope was closed. */
  let outcome: Exit.Exit<void, WalError> | null = null

  /** Fails as the write before it failed. */
  const written = Effect.suspend(() =>
    writing === null ? Effect.void : Effect.flatMap(Fiber.await(writing), () => {
      writing = null
      if (outcome !== null) return outcome
      return Effect.fail(end())
    })
  )

  /**
   * Begins a write, after the one before it. It can't be interrupted: the file must not be closed under it, nor its bytes be
   * written over. `done` is called when they may be, which is never, if it fails.
   */
  const write = (some: Buffer, done: () => void) =>
    Effect.andThen(
      written,
      Effect.suspend(() => {
        outcome = null
        const whole = Effect.map(Effect.exit(ioError("write", path)(file.writeAll(some))), (exit) => {
          outcome = exit
          if (Exit.isSuccess(exit)) done()
        })
        return Effect.map(Effect.forkIn(Effect.uninterruptible(whole), scope, { startImmediately: true }), (fiber) => {
          writing = fiber
        })
      })
    )

  const writeGathered = Effect.suspend(() => {
    if (gathering === null) return Effect.void
    const [buffer, length] = [gathering, gathered]
    gathering = null
    gathered = 0
    return write(buffer.subarray(0, length), () => buffers.give(buffer))
  })

  const add = (block: Buffer, release: () => void): Effect.Effect<void, WalError> => {
    bytes += block.length
    // A long one is written from where it is.
    if (block.length > buffers.bytes / 2) return Effect.andThen(writeGathered, write(block, release))
    if (gathered + block.length > buffers.bytes) {
      return Effect.andThen(writeGathered, Effect.sync(() => gather(block, release)))
    }
    gather(block, release)
    return Effect.void
  }

  const gather = (block: Buffer, release: () => void): void => {
    gathering ??= buffers.take()
    block.copy(gathering, gathered)
    gathered += block.length
    release()
  }

  yield* add(WalFormat.encodeJson("segment", header), () => {})

  return {
    append: (encoded, firstTimestamp, lastTimestamp) =>
      orClose(Effect.suspend(() => {
        if (encoded.rows === 0) return Effect.void
        const block = WalFormat.encodeBlock(encoded.withHeadroom, encoded.bytes.length, encoded.rows, crc)
        crc = block.crc
        if (rows === 0) first = firstTimestamp
        last = lastTimestamp
        rows += encoded.rows
        return add(block.block, () => encoded.release?.())
      })),
    seal: (checkpointId) =>
      orClose(Effect.gen(function*() {
        yield* writeGathered
        yield* written
        yield* ioError("sync", path)(file.sync)
        if (failed !== null) return yield* failed
        isSealed = true
        yield* Scope.close(scope, Exit.void)
        yield* syncDirectory(fs, directory)
        return {
          name,
          subtask: header.subtask,
          checkpointId,
          rows,
          bytes,
          crc,
          firstTimestamp: first,
          lastTimestamp: last
        }
      }))
  }
})
