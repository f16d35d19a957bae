/**
 * docs/log-format.md shows bytes that this program has written. They are made here again, with names and times that never
 * change, and read by a reader that knows only the page: a change of the format is a change of the page.
 *
 * `UPDATE_DOCS=1` writes the page anew.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FileSystem, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs"
import { ProcessTable } from "../../src/state/DirectoryLock.ts"
import * as FileStateBackend from "../../src/state/FileStateBackend.ts"
import type { EncodedRows } from "../../src/state/RowFrame.ts"
import { FrameWriter, stamp } from "../../src/state/RowFrame.ts"
import * as WalFormat from "../../src/state/WalFormat.ts"
import { dumpManifest, dumpSegment } from "./formatDump.ts"

const page = "docs/log-format.md"
const names = { jobId: "flights", uid: "flights-sink" }
const completedAt = Date.UTC(2026, 0, 1, 12)
const firstTimestamp = (completedAt - 500) * 1000

const header: WalFormat.SegmentHeader = {
  ...names,
  epoch: 3,
  attempt: 0,
  subtask: 1,
  number: 7,
  statements: [{
    query: "INSERT INTO demo.flights (id, delay, origin) VALUES (?, ?, ?)",
    columns: [{ name: "id", type: "bigint" }, { name: "delay", type: "int" }, { name: "origin", type: "text" }]
  }]
}

const int64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(value)
  return bytes
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const blocks: ReadonlyArray<ReadonlyArray<readonly [place: number, ...values: Array<Buffer | null | undefined>]>> = [
  [[41, int64(9007199254740993n), int32(-5), Buffer.from("SFO")], [42, int64(43n), null, undefined]],
  [[44, int64(44n), int32(120), Buffer.from("Zürich")]]
]

const position = {
  kind: "file",
  name: "flights.ndjson",
  byte: 4400,
  line: 44,
  crc: 2596996162,
  openEnd: false,
  size: 20_480,
  mtimeMillis: completedAt - 86_400_000,
  inode: "1311768",
  headCrc: 305419896
}

/** What the backend itself makes of this, and the lock before and after its release. */
const made = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped()
  const read = (name: string) => Effect.map(fs.readFile(`${directory}/${name}`), Buffer.from)
  yield* TestClock.setTime(completedAt - 60_000)
  const scope = yield* Scope.make()
  const backend = yield* Scope.provide(FileStateBackend.make({ directory, ...names }), scope)
  const writer = yield* Scope.provide(backend.createSegment(header), scope)
  let next = firstTimestamp
  for (const rows of blocks) {
    const frames = new FrameWriter()
    for (const [place, ...values] of rows) frames.add(place, 0, values)
    const encoded: EncodedRows = frames.take()
    const first = next
    next = stamp(encoded, first)
    yield* writer.append(encoded, first, next - 1)
  }
  const handle = yield* writer.seal(12)
  yield* backend.completeCheckpoint({
    ...names,
    epoch: 3,
    checkpointId: 12,
    parallelism: 2,
    completedAt,
    maxTimestamp: next - 1,
    position,
    finished: false,
    records: 44,
    pending: [handle],
    ledgerId: "1a2b3c4d5e6"
  })
  const held = yield* read("lock.1")
  const files = (yield* fs.readDirectory(directory, { recursive: true })).toSorted()
  yield* Scope.close(scope, Exit.void)
  return {
    files,
    handle,
    job: yield* read("job.json"),
    held,
    released: yield* read("lock.1"),
    segment: yield* read("segments/e3-a0-s1-n7.wal"),
    manifest: yield* read("checkpoints/e3-c12.manifest")
  }
}).pipe(
  Effect.scoped,
  Effect.provideService(ProcessTable, {
    self: { pid: 4711, host: "loader-1", started: "c1d8a4f0-5b1e-4c57-9f3e-0c8f3d2b6a11:184467" },
    held: new Set<string>(),
    isAlive: () => true
  }),
  Effect.provide(NodeServices.layer)
)

/** JSON as it is in the file but for the white space. */
const pretty = (json: string): string => JSON.stringify(JSON.parse(json), null, 2)

describe(page, () => {
  it.effect("shows each file as this program writes it", () =>
    Effect.gen(function*() {
      const { files, handle, held, job, manifest, released, segment } = yield* made
      assert.deepStrictEqual(files, [
        "checkpoints",
        "checkpoints/e3-c12.manifest",
        "job.json",
        "lock.1",
        "segments",
        "segments/e3-a0-s1-n7.wal"
      ])
      const ofSegment = dumpSegment(segment)
      const ofManifest = dumpManifest(manifest)
      // What the manifest repeats of the segment.
      assert.deepStrictEqual(
        [handle.bytes, handle.rows, handle.crc],
        [segment.length, ofSegment.rows, ofSegment.crc]
      )
      const shown = {
        "job.json": `${job}`,
        "lock.1": `${held}`,
        "lock.1, released": `${released}`,
        "segment": ofSegment.lines.join("\n"),
        "segment's JSON": pretty(ofSegment.json),
        "manifest": ofManifest.lines.join("\n"),
        "manifest's JSON": pretty(ofManifest.json)
      }
      const told = Fs.readFileSync(page, "utf8")
      let text = told
      for (const [name, content] of Object.entries(shown)) {
        const block = new RegExp(`(<!-- bytes: ${name} -->\n\`\`\`\\w*\n)[^]*?(\`\`\`)`)
        assert.match(text, block, `${page} does not show ${name}`)
        text = text.replace(block, (_, before: string, after: string) => `${before}${content}\n${after}`)
      }
      if (process.env["UPDATE_DOCS"] === "1") Fs.writeFileSync(page, text)
      else assert.strictEqual(told, text, `the format has changed: UPDATE_DOCS=1 writes ${page} anew`)
    }))

  it.effect("a member of a JSON that is not known is ignored, another version is refused", () =>
    Effect.scoped(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const backend = yield* FileStateBackend.make({ directory, ...names })
      const { manifest, segment } = yield* made
      const json = dumpManifest(manifest).json.replace("{", "{\"new\":{\"a\":1},")
      const path = `${directory}/checkpoints/e3-c12.manifest`
      const bytes = WalFormat.encodeJson("manifest", JSON.parse(json))
      yield* fs.writeFile(path, bytes)
      yield* fs.writeFile(`${directory}/segments/e3-a0-s1-n7.wal`, segment)
      assert.deepStrictEqual((yield* backend.latestCheckpoint)?.position, position)
      bytes.writeUInt32BE(WalFormat.formatVersion + 1, 8)
      yield* fs.writeFile(path, bytes)
      const error = yield* Effect.flip(backend.latestCheckpoint)
      assert.strictEqual(error._tag === "StateUnusable" && error.reason, "other-version")
    })).pipe(Effect.provide(NodeServices.layer)))

  it("names the version, and each name of a file as it is made", () => {
    const told = Fs.readFileSync(page, "utf8")
    assert.include(told, `The format version is ${WalFormat.formatVersion}.`)
    for (const pattern of ["e<epoch>-a<attempt>-s<subtask>-n<number>.wal", "e<epoch>-c<checkpoint>.manifest"]) {
      assert.include(told, pattern)
    }
  })
})
