/**
 * A job is moved with a savepoint by two people at once, who do not know of each other and give it different names: one
 * has it from then on, and the other is told so. Then somebody starts it under its old name, which is refused as well, and
 * maybe takes it over from the one that has it, by name.
 *
 * Both are killed now and then, and started again as a supervisor does, on a cluster whose nodes die.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Manifest } from "../../src/checkpoint/Manifest.ts"
import { newestFirst } from "../../src/checkpoint/Manifest.ts"
import { preambleBytes } from "../../src/state/WalFormat.ts"
import type { Cluster } from "./cluster.ts"
import type { Ended, Home, Loading } from "./command.ts"
import { savepointFlags, start } from "./command.ts"
import type { Dice } from "./program.ts"

const supervisorMillis = 500
const startsMax = 100
const contenderMillisMax = 240_000
const killMillisMax = 4000

export interface Race {
  readonly cluster: Cluster
  readonly dice: Dice
  /** The job as it is: nobody works on it any more who was not superseded, or will be by this. */
  readonly home: Home
  /** Where the savepoint and the new states are made. */
  readonly directory: string
  readonly spawn: (home: Home) => Effect.Effect<Loading, never, Scope.Scope>
  /** Called before anybody takes the job over from where it is. */
  readonly onMove: (from: Home) => Effect.Effect<void, never, Scope.Scope>
  readonly violate: (what: string) => void
  readonly say: (line: string) => void
}

/** The job that an error names as the one which has taken over, null if it is another error. */
export const takenOverBy = ({ code, stderr }: Ended): string | null =>
  code !== 7 ? null : /was taken over by job '(\w+)'/.exec(stderr)?.[1] ?? null

const newestCheckpoint = ({ state }: Home): Manifest | null => {
  const checkpoints = Path.join(state, "checkpoints")
  const names = Fs.existsSync(checkpoints) ? Fs.readdirSync(checkpoints) : []
  const [newest] = names.filter((name) => name.endsWith(".manifest")).map((name): Manifest =>
    JSON.parse(Fs.readFileSync(Path.join(checkpoints, name)).subarray(preambleBytes).toString())
  ).toSorted(newestFirst)
  return newest ?? null
}

/** Where the job is afterwards; null if there was nothing to take a savepoint of. */
export const race = Effect.fnUntraced(function*(
  { cluster, dice, directory, home, onMove, say, spawn, violate }: Race
): Effect.fn.Return<Home | null, never, Scope.Scope> {
  if (newestCheckpoint(home) === null) return null

  /** Starts a process again that was killed, or could not go on. */
  const supervised = Effect.fnUntraced(function*(home: Home, killAfter: number | null) {
    for (let starts = 1;; starts++) {
      const loading = yield* spawn(home)
      if (starts === 1 && killAfter !== null) {
        yield* Effect.forkScoped(Effect.andThen(Effect.sleep(killAfter), loading.signal("SIGKILL")))
      }
      const ended = yield* loading.ended
      if ((ended.code !== 3 && ended.signal !== "SIGKILL") || starts === startsMax) return ended
      yield* Effect.sleep(supervisorMillis)
    }
  })
  const patiently = (home: Home, killAfter: number | null = null) =>
    Effect.timeoutOrElse(Effect.scoped(supervised(home, killAfter)), {
      duration: contenderMillisMax,
      orElse: () => Effect.sync(() => violate(`job ${home.jobId} did not end within ${contenderMillisMax / 1000} s`))
    })
  const refused = Effect.fnUntraced(function*(home: Home, owner: string) {
    const ended = yield* patiently(home)
    if (ended === undefined) return
    const isDone = newestCheckpoint(home)?.finished === true && ended.summary?.outcome === "nothing-to-do"
    if (takenOverBy(ended) === owner) say(`job ${home.jobId} was refused, as ${owner} has it`)
    else if (isDone) say(`job ${home.jobId} was done already`)
    else violate(`job ${home.jobId} was started when ${owner} had it, and ended with ${told(ended)}`)
  })

  const target = Path.join(directory, "savepoints")
  const taken = yield* takeSavepoint(cluster, home.state, target)
  if (taken.code !== 0) {
    violate(`no savepoint could be taken of ${home.state}: ${told(taken)}`)
    return null
  }
  const fromSavepoint = taken.stdout.trim()
  say(`two restore ${fromSavepoint} at once`)
  yield* onMove(home)
  const rivals = ["soak_a", "soak_b"].map((jobId): Home => ({
    jobId,
    state: Path.join(directory, jobId),
    fromSavepoint
  }))
  const ends = yield* Effect.forEach(
    rivals,
    (rival) => patiently(rival, dice.chance(0.4) ? dice.below(killMillisMax) : null),
    { concurrency: 2 }
  )
  const winners = rivals.filter((_, i) => ends[i]?.code === 0)
  const [winner] = winners
  for (const [i, { jobId }] of rivals.entries()) {
    const ended = ends[i]
    if (ended === undefined || ended.code === 0) continue
    if (winner !== undefined && takenOverBy(ended) === winner.jobId) {
      say(`${winner.jobId} has it, and ${jobId} was refused`)
    } else violate(`job ${jobId} restored a savepoint beside another one, and ended with ${told(ended)}`)
  }
  if (winner === undefined || winners.length > 1) {
    violate(`${winners.length} of two jobs have gone on from ${fromSavepoint}`)
    return null
  }
  yield* refused(home, winner.jobId)
  if (dice.chance(0.5) || newestCheckpoint(home)?.finished === true) return winner
  const back: Home = { ...home, takeOverFrom: winner.jobId }
  say(`it is taken over from ${winner.jobId} by its old name`)
  yield* onMove(winner)
  const ended = yield* patiently(back)
  if (ended !== undefined && ended.code !== 0) violate(`job ${home.jobId} took over, and ended with ${told(ended)}`)
  return back
})

const takeSavepoint = Effect.fnUntraced(function*(cluster: Cluster, state: string, target: string) {
  for (let starts = 1;; starts++) {
    const ended = yield* Effect.scoped(
      Effect.flatMap(start(savepointFlags(cluster, state, target)), ({ ended }) => ended)
    )
    if (ended.code === 0 || starts === startsMax) return ended
    yield* Effect.sleep(supervisorMillis)
  }
})

const told = ({ code, signal, stderr }: Ended): string =>
  `${signal ?? `exit code ${code}`}: ${stderr.trimEnd().split("\n").slice(-6).join("\n    ")}`
