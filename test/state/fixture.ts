import * as Effect from "effect/Effect"
import * as FileStateBackend from "../../src/state/FileStateBackend.ts"
import type { EncodedRows } from "../../src/state/RowFrame.ts"
import { FrameWriter, stamp } from "../../src/state/RowFrame.ts"
import type { StateBackend } from "../../src/state/StateBackend.ts"

export const statement = { query: "INSERT INTO t (k, v) VALUES (?, ?)", columns: [{ name: "k", type: "int" }] }

export const rows = (count: number, firstPlace = 0, bytes = 20): EncodedRows => {
  const writer = new FrameWriter()
  for (let i = 0; i < count; i++) {
    const place = firstPlace + i
    writer.add(place, 0, [Buffer.from(`key-${place}`), Buffer.alloc(bytes, place), null, undefined])
  }
  return writer.take()
}

export const open = (directory: string, options: Partial<FileStateBackend.FileStateBackendOptions> = {}) =>
  FileStateBackend.make({ directory, jobId: "job", uid: "sink", ...options })

export const header = (number: number, subtask = 0) => ({
  jobId: "job",
  uid: "sink",
  epoch: 1,
  attempt: 0,
  subtask,
  number,
  statements: [statement]
})

/** A sealed segment of `blocks` blocks with `perBlock` rows each. */
export const sealed = Effect.fnUntraced(function*(
  backend: StateBackend["Service"],
  number: number,
  blocks: number,
  perBlock: number,
  checkpointId = number + 1
) {
  const writer = yield* backend.createSegment(header(number))
  let timestamp = 1_700_000_000_000_000 + number * 1_000_000
  for (let i = 0; i < blocks; i++) {
    const block = rows(perBlock, i * perBlock)
    const next = stamp(block, timestamp)
    yield* writer.append(block, timestamp, next - 1)
    timestamp = next
  }
  return yield* writer.seal(checkpointId)
})

export const manifest = (checkpointId: number, pending: ReadonlyArray<any> = [], epoch = 1) => ({
  jobId: "job",
  uid: "sink",
  epoch,
  checkpointId,
  parallelism: 1,
  completedAt: 0,
  maxTimestamp: 0,
  position: null,
  finished: false,
  records: 0,
  pending
})
