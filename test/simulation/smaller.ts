/**
 * Programs of jobs that are a little smaller than one that fails.
 */
import { withFewerFaults, without } from "../../src/testing/internal/minimise.ts"
import type { Chunk, Program } from "./program.ts"

const withChunk = (program: Program, at: number, change: Partial<Chunk>): Program => ({
  ...program,
  chunks: program.chunks.map((chunk, i) => i === at ? { ...chunk, ...change } : chunk)
})

/** The most promising first. */
export function* smaller(program: Program): Generator<Program> {
  const { checkpoint, chunks } = program
  for (let count = chunks.length >> 1; count >= 1; count >>= 1) {
    for (let i = 0; i + count <= chunks.length; i += count) yield { ...program, chunks: without(chunks, i, count) }
  }
  yield* withFewerFaults(program)
  for (const [i, { failures, keys, pause }] of chunks.entries()) {
    if (failures > 0) yield withChunk(program, i, { failures: failures - 1 })
    if (pause > 0) yield withChunk(program, i, { pause: 0 })
    for (let count = keys.length >> 1; count >= 1; count >>= 1) {
      for (let j = 0; j + count <= keys.length; j += count) {
        yield withChunk(program, i, { keys: without(keys, j, count) })
      }
    }
  }
  const plain: Partial<Program> = {
    isImpatient: false,
    isRouted: false,
    endPause: 0,
    retainedCheckpoints: 1,
    writeBufferBytes: 262_144,
    readBufferBytes: 1_048_576,
    segmentBytesMax: 8_000_000,
    sortBytesMax: 8_000_000,
    pendingBytesMax: 8_000_000
  }
  for (const [name, value] of Object.entries(plain)) {
    if (program[name as keyof Program] !== value) yield { ...program, [name]: value }
  }
  const plainCheckpoint: Partial<Program["checkpoint"]> = {
    timeoutMillis: 10_000,
    maxConcurrent: 1,
    tolerableFailures: 10,
    pendingCheckpointsMax: 8,
    minPauseMillis: 0
  }
  for (const [name, value] of Object.entries(plainCheckpoint)) {
    if (checkpoint[name as keyof Program["checkpoint"]] !== value) {
      yield { ...program, checkpoint: { ...checkpoint, [name]: value } }
    }
  }
}
