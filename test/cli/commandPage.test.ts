/**
 * docs/command.md has the flags of every verb, in the words of its help.
 *
 * `UPDATE_DOCS=1` writes them anew.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import { run } from "./commandFixture.ts"

const page = "docs/command.md"
const begin = "<!-- flags -->\n"
const end = "<!-- end of flags -->"

interface Flag {
  /** As it is given: `--table, -t name`. */
  readonly usage: string
  readonly what: string
}

interface Group {
  /** Empty where the help has only one. */
  readonly title: string
  readonly flags: ReadonlyArray<Flag>
}

const help = async (...verb: ReadonlyArray<string>): Promise<string> => {
  const { code, stdout } = await run([...verb, "--help"], {})
  assert.strictEqual(code, 0)
  // oxlint-disable-next-line no-control-regex
  return stdout.replace(/\x1b\[[0-9;]*m/g, "")
}

const groupsOf = (text: string): ReadonlyArray<Group> =>
  [...text.matchAll(/^FLAGS(?:: (.*))?\n((?: {2}.*\n?)+)/gm)].map(([, title = "", lines]) => ({
    title,
    flags: [...lines!.matchAll(/^ {2}(--.*?) {2,}(.*)$/gm)].map(([, usage, what]) => ({ usage: usage!, what: what! }))
  }))

const escape = (text: string): string => text.replace(/[|*<]/g, "\\$&")

const table = (flags: ReadonlyArray<Flag>): string =>
  ["| flag | what it does |", "|---|---|"]
    .concat(flags.map(({ usage, what }) => `| \`${usage.replaceAll("|", "\\|")}\` | ${escape(what)} |`)).join("\n")

const capital = (text: string): string => text[0]!.toUpperCase() + text.slice(1)

/** Lines of at most 120 characters. */
const wrap = (words: ReadonlyArray<string>): string => {
  let text = ""
  let length = 0
  for (const word of words) {
    const fits = length > 0 && length + 1 + word.length <= 120
    text += length === 0 ? word : fits ? ` ${word}` : `\n${word}`
    length = fits ? length + 1 + word.length : word.length
  }
  return text
}

/** Those of load in full, of the others what differs. */
const flagsOf = (verb: string, groups: ReadonlyArray<Group>, load: ReadonlyArray<Flag>): string => {
  if (verb === "load") {
    return ["## All flags of load"].concat(
      groups.map(({ flags, title }) => `### ${capital(title)}\n\n${table(flags)}`)
    ).join("\n\n")
  }
  const flags = groups.flatMap(({ flags }) => flags)
  const isAsLoad = (flag: Flag) => load.some(({ usage, what }) => usage === flag.usage && what === flag.what)
  const own = flags.filter((flag) => !isAsLoad(flag))
  const names = flags.filter(isAsLoad).map(({ usage }) => `\`${/^--[\w-]+/.exec(usage)![0]}\``)
  const same = own.length === 0 && names.length === load.length
    ? "All flags of `load`."
    : names.length === 0
    ? ""
    : wrap(`And, as for \`load\`: ${names.join(", ")}.`.split(" "))
  return [`## Flags of ${verb}`, own.length === 0 ? "" : table(own), same].filter((part) => part !== "").join("\n\n")
}

/** Commands that a page shows in a block of its own, a line or with a backslash at its end several. */
const commandsOf = (text: string): ReadonlyArray<string> =>
  [...text.replaceAll("\\\n", " ").matchAll(/^ {4,}(?:npx )?effect-cassandra (.*)$/gm)].map(([, command]) => command!)

const pages = [
  "README.md",
  ...Fs.readdirSync("docs").filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`)
]

const verbs = new Map<string, ReadonlyArray<Group>>()

beforeAll(async () => {
  const addAll = async (text: string, ...above: ReadonlyArray<string>): Promise<void> => {
    const listed = /^SUBCOMMANDS\n((?: {2}.*\n?)+)/m.exec(text)?.[1] ?? ""
    for (const [, name] of listed.matchAll(/^ {2}([\w-]+)/gm)) {
      const own = await help(...above, name!)
      const verb = [...above, name!].join(" ")
      verbs.set(verb, groupsOf(own))
      assert.isAbove(verbs.get(verb)!.length, 0, verb)
      await addAll(own, ...above, name!)
    }
  }
  await addAll(await help())
  assert.containsAllKeys(verbs, ["load", "verify", "inspect"])
  // A process for each verb, one after the other.
}, 120_000)

describe("commands that the documents show", () => {
  const shown = pages.flatMap((name) => commandsOf(Fs.readFileSync(name, "utf8")).map((command) => ({ name, command })))

  it("are many", () => assert.isAbove(shown.length, 15))

  for (const { command, name } of shown) {
    it(`${name}: ${command}`, () => {
      const two = /^\S+ \S+/.exec(command)?.[0] ?? ""
      const verb = verbs.has(two) ? two : /^\S+/.exec(command)![0]
      const rest = command.slice(verb.length)
      const groups = verbs.get(verb!)
      if (groups === undefined) return assert.match(command, /^(?:<verb> --help|--completions \w+)$/)
      const usages = groups.flatMap(({ flags }) => flags.map(({ usage }) => usage)).join("\n")
      const known = new Set([...usages.matchAll(/(?:^|, )(--?[\w-]+)/gm)].map(([, flag]) => flag!))
      // What stands in quotes is no flag.
      for (const [, flag] of rest.replace(/"[^"]*"/g, "").matchAll(/\s(--?[a-z][\w-]*)/g)) {
        assert.isTrue(known.has(flag!) || flag === "--help" || flag === "--log-level", `${verb} has no ${flag}`)
      }
    })
  }
})

describe(page, () => {
  it("has the flags of every verb, in the words of its help", () => {
    const parts: Array<string> = []
    const load = verbs.get("load")!.flatMap(({ flags }) => flags)
    for (const [verb, groups] of verbs) parts.push(flagsOf(verb, groups, load))
    const text = Fs.readFileSync(page, "utf8")
    const from = text.indexOf(begin) + begin.length
    const expected = `${text.slice(0, from)}\n${parts.join("\n\n")}\n\n${text.slice(text.indexOf(end))}`
    if (process.env["UPDATE_DOCS"] === "1") Fs.writeFileSync(page, expected)
    else assert.strictEqual(text, expected, `the help has changed: UPDATE_DOCS=1 writes ${page} anew`)
  })
})
