/** A dead letter, of the record at a place. */
import type { DeadLetter } from "../../src/sink/DeadLetters.ts"

export const letterOf = (place: number, more: Partial<DeadLetter> = {}): DeadLetter => ({
  id: `job/sink/0/3/${1_700_000_000_000_000 + place}@${place}`,
  jobId: "job",
  uid: "sink",
  checkpointId: 3,
  subtask: 0,
  stage: "encode",
  error: { tag: "RecordRefused", message: "it is no number", column: "v" },
  position: { input: "rows.ndjson", place },
  statement: "INSERT INTO t (v) VALUES (?)",
  attempts: 0,
  timestamp: 1_700_000_000_000_000 + place,
  record: `{"v":${9007199254740993n + BigInt(place)}}`,
  raw: null,
  ...more
})
