/**
 * The ledger and the table of the model, with what must hold at each change of them.
 *
 * A conditional batch is one step: sending it depends on nothing that others change, and its answer on nothing that
 * happens behind it, so that both can be moved to where it takes effect. A batch whose answer does not come is another
 * step: it stays in the network, takes effect later or never, and its sender repeats it.
 */
import type { Model } from "./scope.ts"
import { recordsOf, timestampOf, violate } from "./scope.ts"
import type { LateWrite, Process, Segment, State } from "./state.ts"

/** What a batch found. */
export type Answer = "applied" | "as-high-already" | "fenced"

const nameOf = (record: number) => `record ${record + 1}`

/** Raises rows of the ledger, if the epoch is still `epoch`. */
export const raise = ({ bug }: Model, { ledger }: State, write: LateWrite): Answer => {
  const { committed, maxTs, published } = write
  const isHigh = ledger.published >= published && ledger.maxTs >= maxTs &&
    committed.every((id, s) => ledger.committed[s]! >= id)
  if (bug === "ledger-without-conditions") {
    if (published > 0 && published < ledger.published) violate(`the published checkpoint goes back to ${published}`)
    for (const [s, id] of committed.entries()) {
      if (id > 0 && id < ledger.committed[s]!) violate(`the ledger of subtask ${s} goes back to ${id}`)
    }
  } else if (write.epoch !== ledger.epoch && (bug !== "no-epoch-check" || isHigh)) return "fenced"
  if (isHigh) return "as-high-already"
  if (write.epoch !== ledger.epoch) {
    violate(`the ledger is written under epoch ${write.epoch}, which was superseded by ${ledger.epoch}`)
  }
  ledger.published = Math.max(ledger.published, published)
  ledger.maxTs = Math.max(ledger.maxTs, maxTs)
  for (const [s, id] of committed.entries()) ledger.committed[s] = Math.max(ledger.committed[s]!, id)
  return "applied"
}

/** The claim: read, conditional batch, read; a batch that is refused goes round, and comes to the same. */
export const claim = ({ bug }: Model, { ledger }: State, process: Process): "claimed" | "fenced" => {
  const isOwn = (ledger.owner === process.id || bug === "claim-without-owner") &&
    ledger.epoch > Math.max(process.previous, process.epoch)
  const previous = bug === "restart-claims-anew" ? 0 : process.previous
  if (!isOwn) {
    if (previous !== 0 && ledger.epoch !== previous && ledger.owner !== process.id) return "fenced"
    if (ledger.owner > process.id) {
      violate(`process ${process.id} takes the job back from its successor, process ${ledger.owner}`)
    }
    ledger.epoch++
    ledger.owner = process.id
  } else if (ledger.owner !== process.id) {
    violate(`process ${process.id} works under epoch ${ledger.epoch}, which process ${ledger.owner} claimed`)
  }
  process.epoch = ledger.epoch
  process.claimPublished = ledger.published
  process.claimMaxTs = ledger.maxTs
  process.claimCommitted = ledger.committed.slice()
  if (bug !== "stale-cache" || process.hasCache === 0) process.cache = ledger.committed.slice()
  process.hasCache = 1
  return "claimed"
}

/** A row takes effect in the table, as Cassandra has it: the greater timestamp wins. */
export const land = (
  { scope }: Model,
  { ledger, sent, table }: State,
  machine: number,
  record: number,
  ts: number,
  checkpoint: number
): void => {
  const name = `${nameOf(record)} (machine ${machine})`
  if (ts > ledger.maxTs || checkpoint > ledger.published) {
    violate(
      `${name} of checkpoint ${checkpoint} is sent with timestamp ${ts}, when the ledger knows none above ` +
        `${ledger.published} and ${ledger.maxTs}`
    )
  }
  const own = sent[machine]!
  if (own[record] === 0) own[record] = ts
  else if (own[record] !== ts) violate(`${name} is sent with timestamp ${ts}, and was with ${own[record]}`)
  for (const [other, at] of own.entries()) {
    if (at === 0 || other === record || scope.keys[other] !== scope.keys[record]) continue
    if (other < record ? at >= ts : at <= ts) {
      violate(`${name} has timestamp ${ts}, and ${nameOf(other)} of the same key has ${at}`)
    }
  }
  for (const [elsewhere, times] of sent.entries()) {
    for (const [other, at] of times.entries()) {
      if (at === 0 || elsewhere === machine) continue
      if (elsewhere < machine ? at >= ts : at <= ts) {
        violate(`${name} has timestamp ${ts}, and ${nameOf(other)} of machine ${elsewhere} has ${at}`)
      }
    }
  }
  const cell = table[scope.keys[record]!]!
  if (ts > cell.ts) {
    cell.record = record + 1
    cell.ts = ts
  }
}

/** What the ledger says to be in the table is in it, or something newer of the same key. */
export const mustBeIn = (model: Model, { table }: State, segment: Segment, says: string): void => {
  for (const record of recordsOf(segment.rows)) {
    if (table[model.scope.keys[record]!]!.ts < timestampOf(model, segment, record)) {
      violate(
        `${says} that checkpoint ${segment.checkpoint} of subtask ${segment.s} is in, and ${nameOf(record)} is not`
      )
    }
  }
}

/** The end that a process reports as success: the last record of each key is in, as it or as something newer. */
export const mustBeAll = ({ scope }: Model, { sent, table }: State, process: Process): void => {
  for (const [record, key] of scope.keys.entries()) {
    if (scope.keys.lastIndexOf(key) !== record) continue
    const ts = sent[process.machine]![record]!
    if (ts === 0 || table[key]!.ts < ts) violate(`process ${process.id} has finished, and ${nameOf(record)} is not in`)
  }
}
