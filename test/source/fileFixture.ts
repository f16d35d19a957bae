import { NodeFileSystem } from "@effect/platform-node"
import { Effect, type FileSystem, Stream } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import type { BadRecord, Record } from "../../src/checkpoint/Element.ts"
import type { Position } from "../../src/checkpoint/Position.ts"
import type * as CsvSource from "../../src/source/CsvSource.ts"
import type { FileOptions } from "../../src/source/FileFormat.ts"
import type * as NdjsonSource from "../../src/source/NdjsonSource.ts"
import type { Source, SourceChunk } from "../../src/source/Source.ts"
import type { SourceError } from "../../src/source/SourceError.ts"
import { tempDirectory } from "../testing/tempDirectory.ts"

export type FileSource<A> = Source<A, SourceError, FileSystem.FileSystem>

/** A file of these bytes in a directory of its own, removed with the scope. */
export const temporaryFile = (name: string, content: string | Buffer) =>
  Effect.map(
    tempDirectory,
    (directory) => {
      const file = path.join(directory, name)
      fs.writeFileSync(file, content)
      return file
    }
  )

export const chunksOf = <A, E>(source: Source<A, E, FileSystem.FileSystem>, from: Position | null = null) =>
  Effect.provide(Stream.runCollect(source.read(from)), NodeFileSystem.layer)

/** The chunks up to a failure, and the failure. */
export const readUntilFailure = Effect.fnUntraced(function*<A>(source: FileSource<A>, from: Position | null = null) {
  const chunks: Array<SourceChunk<A>> = []
  const error = yield* source.read(from).pipe(
    Stream.runForEach((chunk) => Effect.sync(() => chunks.push(chunk))),
    Effect.flip,
    Effect.provide(NodeFileSystem.layer)
  )
  return { records: recordsOf(chunks), chunks, error, reason: error.reason }
})

export const recordsOf = <A>(chunks: ReadonlyArray<SourceChunk<A>>) =>
  chunks.flatMap((chunk) => chunk.records.map((record) => [record.place, record.value] as const))

/** A source of some format, over a file. */
export type MakeSource = (
  path: string,
  options: FileOptions
) => ReturnType<typeof NdjsonSource.make> | ReturnType<typeof CsvSource.make>

/** Chunk by chunk what was read, and behind it what was rejected, each in the words of the test. */
export const told = (
  chunks: ReadonlyArray<SourceChunk<unknown>>,
  ofRecord: (record: Record<unknown>) => string,
  ofRejected: (record: BadRecord) => string
): ReadonlyArray<string> =>
  chunks.flatMap(({ records, rejected = [] }) => [...records.map(ofRecord), ...rejected.map(ofRejected)])

export const lastPosition = (chunks: ReadonlyArray<SourceChunk<unknown>>): Position | null =>
  chunks.length === 0 ? null : chunks[chunks.length - 1]!.position

/** The settings that may change how a file is cut into chunks, and nothing else. */
export const cuts = [
  { blockBytes: 1, maxRecords: 1 },
  { blockBytes: 2 },
  { blockBytes: 7, maxRecords: 2 },
  { blockBytes: 16 },
  { blockBytes: 64, maxRecords: 3 },
  { maxRecords: 2 },
  {}
] as const
