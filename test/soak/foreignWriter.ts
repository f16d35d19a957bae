/** Somebody else, who writes other keys of the same partitions all the time, and finds them as he left them. */
import { Effect } from "effect"
import type { Cluster, Row } from "./cluster.ts"
import { buckets, patiently, table } from "./cluster.ts"
import type { Oracle } from "./oracle.ts"

const keys = 40
const pauseMillis = 20

export class ForeignWriter {
  readonly writes: Effect.Effect<never>
  private readonly acknowledged = new Map<number, number>()
  private readonly sent = new Map<number, number>()

  constructor(cluster: Cluster, program: number) {
    let seq = 0
    this.writes = Effect.forever(Effect.gen({ self: this }, function*() {
      seq++
      const id = -1 - seq % keys
      this.sent.set(id, seq)
      yield* patiently(cluster.session.query(
        `INSERT INTO ${table} (program, bucket, id, seq, rank) VALUES (?, ?, ?, ?, ?)`,
        [program, -id % buckets, id, seq, seq]
      ))
      this.acknowledged.set(id, seq)
      yield* Effect.sleep(pauseMillis)
    }))
  }

  /** Called when it has stopped. Its last write may have been cut short. */
  judge(rows: ReadonlyArray<Row>, oracle: Oracle): void {
    const found = new Map(rows.filter(({ id }) => id < 0).map((row) => [row.id, row]))
    for (const [id, seq] of this.acknowledged) {
      const row = found.get(id)
      if (row === undefined || row.rank !== row.seq || (row.seq !== seq && row.seq !== this.sent.get(id))) {
        oracle.violate(`the foreign row ${id} is ${JSON.stringify(row)}, not ${seq}`)
      }
    }
  }
}
