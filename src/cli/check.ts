/**
 * `effect-cassandra check`: the checks that `load` makes at its start, all of them, with nothing loaded.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Checks from "./checks.ts"
import type { LoadError } from "./exitCode.ts"
import { exitCodes, verdict } from "./exitCode.ts"
import { withLogLevel } from "./flag.ts"
import { reportTo } from "./logFile.ts"
import type { LoadOptions } from "./options.ts"
import * as Options from "./options.ts"
import * as Progress from "./Progress.ts"
import { Exit, printable, untilSignal } from "./report.ts"
import * as Settings from "./settings.ts"

interface Line {
  readonly check: string
  readonly outcome: "ok" | "warn" | "fail" | "skip"
  readonly detail: string
}

const show = ({ check, detail, outcome }: Line): string =>
  `${outcome.padEnd(5)} ${check.padEnd(14)} ${printable(detail).replaceAll("\n", `\n${" ".repeat(21)}`)}`

const run = Effect.fnUntraced(function*(options: LoadOptions) {
  const lines: Array<Line> = []
  let code: number = exitCodes.success
  const say = (line: Line) => {
    lines.push(line)
    return options.json ? Effect.void : Console.log(show(line))
  }
  /** Null where the check failed. */
  const make = <A, E extends LoadError, R>(check: string, self: Effect.Effect<Checks.Checked<A>, E, R>) =>
    Effect.gen(function*() {
      const result = yield* Effect.result(self)
      if (Result.isFailure(result)) {
        if (code === exitCodes.success) code = verdict(result.failure).code
        yield* say({ check, outcome: "fail", detail: result.failure.message })
        return null
      }
      const { detail, value, warnings } = result.success
      yield* say({ check, outcome: warnings.length === 0 ? "ok" : "warn", detail: [detail, ...warnings].join("\n") })
      return { value }
    })
  const skip = (check: string, because: string) =>
    say({ check, outcome: "skip", detail: `can't be checked without ${because}` })

  const configured = yield* make("configuration", Checks.configuration(options))
  const setAside = yield* Effect.orElseSucceed(Settings.setAside(options), () => null)
  const input = yield* make("input", Checks.input(options, { malformed: setAside === null ? "fail" : "reject" }))
  yield* make("disk", Checks.disk(options))
  yield* make("state", Checks.writable(options))
  if (options.fromSavepoint !== undefined) yield* make("savepoint", Checks.savepoint(options))
  yield* Effect.scoped(Effect.gen(function*() {
    const connected = configured === null ? null : yield* make("cluster", Checks.cluster(configured.value.session))
    const rest = ["clock", "statement", "permissions", "replication", "ledger"]
    if (configured === null) return yield* Effect.forEach(["cluster", ...rest], (name) => skip(name, "configuration"))
    if (connected === null) return yield* Effect.forEach(rest, (name) => skip(name, "a cluster"))
    const cluster = connected.value
    yield* make("clock", Checks.clock(cluster))
    const stated = input === null
      ? yield* Effect.as(skip("statement", "input"), null)
      : yield* make("statement", Checks.statement(cluster, configured.value.target, input.value, options))
    yield* stated === null
      ? skip("permissions", "a statement")
      : make("permissions", Checks.permissions(cluster, configured.value.session, stated.value.prepared))
    yield* stated === null
      ? skip("replication", "a statement")
      : make("replication", Checks.replication(cluster, stated.value.prepared))
    const ledger = options.checkpointContactPoints === undefined ? connected : yield* make(
      "ledger cluster",
      Checks.cluster(Settings.checkpointSession(options, configured.value.session))
    )
    yield* ledger === null ? skip("ledger", "its cluster") : make(
      "ledger",
      Checks.ledger(options, ledger.value, configured.value.session)
    )
  }))
  if (options.json) yield* Console.log(JSON.stringify({ ok: code === exitCodes.success, checks: lines }))
  if (code !== exitCodes.success) return yield* new Exit({ code })
})

/**
 * The verb.
 *
 * @category commands
 * @since 0.1.0
 */
export const check = Command.make(
  "check",
  Options.load,
  (options) =>
    withLogLevel(Effect.andThen(
      Progress.speak(options.progress),
      reportTo(options, "check", untilSignal(run(options)), options.files)
    ))
).pipe(
  Command.withShortDescription("Check all that a load needs, and load nothing"),
  Command.withDescription(
    `Check all that a load needs, and load nothing: configuration, input, room on the disk, state directory, cluster and
  data centre, clock, statement against the table, permissions of the user, replication of the data and of the ledger.
  Write it in place of load, with the same flags; load makes the same checks at its start.

  One line a check on stdout: ok, warn, fail or skip; with --json all of them as one line of JSON. The exit code is 0 if
  none failed, otherwise the one that load would end with.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra check flights.ndjson -k demo -t flights --job flights --contact-points 10.0.0.1",
      description: "Before the first load"
    }
  ])
)
