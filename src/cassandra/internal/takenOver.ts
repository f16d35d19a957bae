/**
 * Which job goes on with what another one has begun: kept in that one's ledger, and followed from ledger to ledger.
 *
 * A job that is restored from another's savepoint writes its name into the other's ledger, in the batch that claims the
 * epoch there. So the ledgers lead from a job, by those that have taken it over, to the one that has it now: the first in
 * whose ledger nobody is named. It is there that the next name is written. A job that comes back to a name which it had
 * before clears that name's own entry last; broken off before, it is found to lead in a circle to itself, and goes on.
 *
 * With the name stands how many records of the job were behind the point from which the other one goes on. What that one writes
 * of later records has newer timestamps: whoever takes over from it must not have read further, or older values would stay.
 */
import * as Effect from "effect/Effect"
import type { Claim, CommitterError, Fenced, Heir, JobName, Origin } from "../../checkpoint/CheckpointCommitter.ts"
import { TakenOver } from "../../checkpoint/CheckpointCommitter.ts"
import type { Ledger } from "./ledgerRows.ts"

const isSame = (a: JobName, b: JobName): boolean => a.jobId === b.jobId && a.uid === b.uid

interface Link {
  readonly job: JobName
  readonly ledger: Ledger
}

/** Behind how many records of the first job all have gone on that come after it; 0 if one of them has not gone on from a point of it. */
const pointOf = (links: ReadonlyArray<Link>): number => {
  const [first, ...rest] = links.flatMap(({ ledger: { takenOverBy } }) =>
    takenOverBy === null ? [] : [takenOverBy.records]
  )
  return rest.includes(0) ? 0 : first ?? 0
}

/** What a committer gives for it. */
export interface Ledgers {
  readonly own: JobName
  readonly checkEpoch: Effect.Effect<void, CommitterError | Fenced>
  /** Null where no ledger can have that name. */
  readonly ledgerOf: (job: JobName) => Effect.Effect<Ledger | null, CommitterError>
  /** Claims the ledger of `job` from the epoch that was found there, and names `heir` in it. */
  readonly claim: (
    job: JobName,
    found: number,
    heir: Heir | null
  ) => Effect.Effect<Claim, CommitterError | Fenced>
  /** Nobody has taken the own job over any more; its rows are to be above this timestamp. */
  readonly comeBack: (maxTimestamp: number) => Effect.Effect<void, CommitterError | Fenced>
}

/** `supersede` and `takenOverBy` of a committer. */
export const make = ({ checkEpoch, claim, comeBack, ledgerOf, own }: Ledgers) => {
  const follow = Effect.fnUntraced(function*(job: JobName) {
    const links: Array<Link> = []
    let next: JobName | null = job
    const known = (name: JobName) => links.find((link) => isSame(link.job, name))
    while (next !== null && known(next) === undefined) {
      const ledger: Ledger | null = yield* ledgerOf(next)
      if (ledger === null) break
      links.push({ job: next, ledger })
      next = ledger.takenOverBy
    }
    const first = links[0]
    if (first === undefined || first.ledger.epoch === null) return null
    const isCircle = next !== null && known(next) !== undefined
    const owner = isCircle && known(own) !== undefined ? own : links.at(-1)!.job
    const names = links.find(({ ledger: { takenOverBy } }) => takenOverBy !== null && isSame(takenOverBy, owner))
    const refusal = isSame(owner, own) || names === undefined
      ? null
      : new TakenOver({ job, by: owner, ledger: names.ledger.describe, upTo: pointOf(links) })
    return { links, first: { job, ledger: first.ledger, epoch: first.ledger.epoch }, owner, refusal }
  })

  /**
   * Claimed as a start of those jobs would, but only as they were found while this process was known to be the newest of its
   * own job: one that was frozen in between must not fence whoever has brought the job back under its first name.
   */
  const supersede = Effect.fnUntraced(function*(
    job: Origin,
    takeOverFrom?: string
  ): Effect.fn.Return<Claim | null, CommitterError | Fenced | TakenOver> {
    let maxTimestamp = 0
    const seen = <A extends { readonly maxTimestamp: number }>(told: A): A => {
      maxTimestamp = Math.max(maxTimestamp, told.maxTimestamp)
      return told
    }
    const attempt = Effect.gen(function*() {
      const found = yield* follow(job)
      if (found === null) return null
      const { first, links, owner, refusal } = found
      const records = job.records ?? 0
      const refused = refusal?.refuses(takeOverFrom, records) ?? null
      if (refused !== null) return yield* refused
      yield* checkEpoch
      for (const { ledger } of links) seen(ledger)
      // The last that has a ledger, whoever is named there.
      const last = links.findLast(({ ledger }) => ledger.epoch !== null)!
      const isOwn = isSame(owner, own)
      const isLast = isSame(last.job, job)
      if (!isOwn && !isSame(last.job, own) && !isLast) {
        seen(yield* claim(last.job, last.ledger.epoch!, { ...own, records: 0 }))
      }
      if (isSame(job, own)) {
        const { committed, ledgerId, publishedCheckpointId, publishedEpoch } = first.ledger
        return { epoch: first.epoch, publishedCheckpointId, publishedEpoch, maxTimestamp, ledger: committed, ledgerId }
      }
      const { takenOverBy: before } = first.ledger
      const heir = !isOwn && isLast
        ? { ...own, records }
        : before !== null && records < before.records
        ? { ...before, records }
        : null
      return seen(yield* claim(job, first.epoch, heir))
    })
    while (true) {
      const claimed = yield* attempt.pipe(
        // Somebody has claimed one of them in between; and where it is the own job, this ends here.
        Effect.catchTag("Fenced", () => Effect.as(checkEpoch, undefined))
      )
      if (claimed === undefined) continue
      if (claimed === null) return null
      yield* comeBack(maxTimestamp)
      return { ...claimed, maxTimestamp }
    }
  })

  return {
    supersede,
    takenOverBy: (job: JobName) => Effect.map(follow(job), (found) => found === null ? null : found.refusal)
  }
}
