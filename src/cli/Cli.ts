/**
 * The command `effect-cassandra`: its verbs, its help, and its way to end.
 *
 * @since 0.1.0
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import type * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import type { HelpDoc } from "effect/cli/HelpDoc"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import Process from "node:process"
import { check } from "./check.ts"
import { commit, skip } from "./commit.ts"
import { ddl } from "./ddl.ts"
import { exitCodes, resumeAdvice } from "./exitCode.ts"
import { exportRows } from "./exportRows.ts"
import { inspect } from "./inspect.ts"
import { jobs } from "./jobs.ts"
import { load } from "./load.ts"
import * as Logger from "./logger.ts"
import * as Options from "./options.ts"
import { repair } from "./repair.ts"
import { replayDeadLetters } from "./replay.ts"
import { describeDefect } from "./report.ts"
import { savepoint } from "./savepoint.ts"
import { schema } from "./schema.ts"
import * as Signals from "./Signals.ts"
import { status } from "./status.ts"
import { make as makeStatusLine, StatusLine } from "./StatusLine.ts"
import { verify } from "./verify.ts"
import { version } from "./version.ts"

/**
 * @category commands
 * @since 0.1.0
 */
export const command = Command.make("effect-cassandra").pipe(
  Command.withDescription(
    `Exactly-once streams into Cassandra.

  effect-cassandra <subcommand> --help tells the flags of each, examples first. The same load again resumes, however the
  last one ended.`
  ),
  Command.withExamples([
    {
      command: "effect-cassandra check flights.ndjson -k demo -t flights --job flights",
      description: "Whether everything that a load needs is there"
    },
    {
      command: "effect-cassandra load flights.ndjson -k demo -t flights --job flights",
      description: "Load a file into a table; the same command again resumes it"
    },
    {
      command: "effect-cassandra verify flights.ndjson -k demo -t flights",
      description: "Compare the table with the file, cell by cell"
    },
    {
      command: "effect-cassandra status --job flights",
      description: "Whether the job is at work and well, and what is pending"
    }
  ]),
  Command.withSubcommands([
    load,
    check,
    verify,
    status,
    jobs,
    inspect,
    exportRows,
    savepoint,
    commit,
    skip,
    repair,
    replayDeadLetters,
    schema,
    ddl
  ])
)

/** The flags, begun anew where a group begins. */
const grouped = (
  flags: HelpDoc["flags"]
): ReadonlyArray<readonly [about: string, flags: Array<HelpDoc["flags"][number]>]> => {
  const found: Array<readonly [string, Array<HelpDoc["flags"][number]>]> = []
  for (const flag of flags) {
    const group = Options.groups.find(([, first]) => first === flag.name)
    if (group !== undefined || found.length === 0) found.push([group?.[0] ?? "", []])
    found.at(-1)![1].push(flag)
  }
  return found
}

/** The library's help, with what people look for first, the examples, and with long lists of flags in groups. */
const formatHelp = (doc: HelpDoc, colors: boolean): string => {
  const { examples = [], ...rest } = doc
  const format = (part: Partial<HelpDoc>) =>
    CliOutput.defaultFormatter({ colors }).formatHelpDoc({ ...rest, description: "", ...part })
  const groups = grouped(doc.flags)
  const standard = groups.length < 4 ? format({}) : format({ flags: [] }).replace(
    /(?=\S*GLOBAL FLAGS)/,
    groups.map(([about, flags]) => {
      const text = format({ flags, args: [], globalFlags: [] })
      return `${text.slice(text.search(/\S*FLAGS/)).replace("FLAGS", `FLAGS: ${about}`).trimEnd()}\n\n`
    }).join("")
  )
  const bold = (text: string) => colors ? `\u001b[1m${text}\u001b[0m` : text
  const [first, ...more] = doc.description.split("\n\n")
  const sections = [`${bold("DESCRIPTION")}\n  ${first}`]
  if (examples.length > 0) {
    const shown = examples.map((example) => `  # ${example.description ?? ""}\n  ${example.command}`)
    sections.push(`${bold("EXAMPLES")}\n${shown.join("\n\n")}`)
  }
  if (more.length > 0) sections.push(`${bold("DETAILS")}\n${more.join("\n\n")}`)
  return [...sections, standard].join("\n\n")
}

const presenter = (line: StatusLine): CliOutput.Presenter => ({
  present: Effect.fnUntraced(function*(event) {
    switch (event._tag) {
      case "Help": {
        const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
        return yield* Console.log(formatHelp(event.helpDoc, canColor))
      }
      case "InvalidInvocation": {
        const path = event.commandPath.join(" ")
        return line.print(`${event.errors.map(describeUsage).join("\n")}\nSee ${path} --help.`, "error")
      }
      case "Version":
        return yield* Console.log(event.version)
    }
  })
})

const describeUsage = (error: CliError.CliError): string => `error: ${error.message.replace(/\n\s*/g, " ").trim()}`

/** Waits for what was written, then ends, whatever may still hold the event loop. */
const end = (code: number): void => {
  Process.stdout.write("", () => Process.stderr.write("", () => Process.exit(code)))
  // A reader that does not read must not keep a finished process.
  setTimeout(() => Process.exit(code), 2000)
}

/**
 * Runs the command with these arguments and ends the process.
 *
 * @category running
 * @since 0.1.0
 */
export const main = (args: ReadonlyArray<string>): void => {
  const line = makeStatusLine(Process.stderr, Process.env)
  // A reader that went away (a closed terminal, `| head`) must not end the job without its last checkpoint.
  for (const stream of [Process.stdout, Process.stderr]) stream.on("error", () => {})
  const crash = (error: unknown) => {
    line.show(null)
    line.print(describeDefect(error, args.includes("debug")), "error")
    end(exitCodes.crashed)
  }
  Process.on("uncaughtException", crash)
  Process.on("unhandledRejection", crash)

  const giveUp = (detail: string) => {
    line.show(null)
    line.print(`stopped: ${detail}\n${resumeAdvice.yes}`, "warn")
    Process.exit(exitCodes.interrupted)
  }
  const signals = Signals.listen(giveUp)

  const services = Layer.mergeAll(
    NodeServices.layer,
    Logger.layer,
    CliOutput.layerPresenter(presenter(line)),
    Layer.succeed(Signals.Signals, signals)
  ).pipe(Layer.provideMerge(Layer.succeed(StatusLine, line)))

  Effect.runFork(
    Command.runWith(command, { version: version() })(args).pipe(
      Effect.as<number>(exitCodes.success),
      // A bare command shows its help, and that is still not what was asked for.
      Effect.catchTag("ShowHelp", () => Effect.succeed(exitCodes.usage)),
      Effect.catchTag("Exit", ({ code }) => Effect.succeed(code)),
      Effect.provide(services)
    )
  ).addObserver((exit) => {
    if (Exit.isSuccess(exit)) return end(exit.value)
    if (Cause.hasInterruptsOnly(exit.cause)) return end(exitCodes.interrupted)
    crash(Cause.squash(exit.cause))
  })
}
