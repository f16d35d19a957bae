/**
 * The procedures of docs/recovery.md, done: the commands are taken from the page, run by a shell in the order in which they stand
 * there, and the steps between them are done as they are told.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync, spawn } from "node:child_process"
import * as Fs from "node:fs"
import type { Ended } from "./commandFixture.ts"
import { bin, openFixture, server } from "./commandFixture.ts"
import { blocksOf, flip, pendingState, segmentPath } from "./stateFixture.ts"

/** The commands under each heading that has some. */
const commands = (() => {
  const found = new Map<string, Array<string>>()
  let heading = ""
  let open = false
  for (const line of Fs.readFileSync("docs/recovery.md", "utf8").split("\n")) {
    heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading
    // Four behind the margin of the text, which is that of a list or none.
    const command: string | undefined = open ? line.trim() : /^(?: {4}| {6}| {7})(\S.*)$/.exec(line)?.[1]
    if (command === undefined) continue
    const all = found.get(heading) ?? []
    found.set(heading, all)
    if (open) all[all.length - 1] = all.at(-1)!.replace(/\\$/, "") + command
    else all.push(command)
    open = command.endsWith("\\")
  }
  return found
})()

const hasJq = (() => {
  try {
    execFileSync("jq", ["--version"])
    return true
  } catch {
    return false
  }
})()

const line = (id: number) => `{"id":"${id}","delay":${id % 7},"origin":"from ${id}"}`
const lines = (count: number) => Array.from({ length: count }, (_, id) => line(id))
const total = 170

/** A job `flights`, its table, and a shell beside its files, in which the command is found. */
const openProcedure = async (name: string, headings: ReadonlyArray<string>) => {
  const keyspace = `recovery_${name}`
  const fixture = await openFixture(keyspace)
  await fixture.client.execute(`CREATE TABLE ${keyspace}.flights (id text PRIMARY KEY, delay int, origin text)`)
  const { directory: cwd, path } = fixture
  Fs.mkdirSync(path("bin"))
  Fs.writeFileSync(path("bin/effect-cassandra"), `#!/bin/sh\nexec "${process.execPath}" "${bin}" "$@"\n`, {
    mode: 0o755
  })
  const env = {
    PATH: `${path("bin")}:${process.env["PATH"]}`,
    CASSANDRA_CONTACT_POINTS: server.contactPoints,
    CASSANDRA_LOCAL_DC: server.localDc,
    EFFECT_CASSANDRA_CHECKPOINT_KEYSPACE: keyspace
  }
  const waiting = headings.flatMap((heading) => commands.get(heading)!)
  const savepoint = () => path(`savepoints/${Fs.readdirSync(path("savepoints")).toSorted().at(-1)}`)
  /** As somebody writes it who has this job, these places, and this checkpoint pending. */
  const own = (command: string) =>
    command.replace("-k demo", `-k ${keyspace}`).replace("10.0.0.1", server.contactPoints.split(",")[0]!)
      .replace("--checkpoint 12", "--checkpoint 1")
      .replace("flights.ndjson ...", `flights.ndjson -k ${keyspace} -t flights --job flights`)
      .replace(/\/backup\/savepoints\/savepoint-flights-\.\.\./, () => savepoint())
      .replace("/backup/savepoints", path("savepoints"))
  const shell = async (command: string, code: number): Promise<Ended> => {
    const child = spawn("/bin/bash", ["-o", "pipefail", "-c", own(command)], {
      cwd,
      env,
      stdio: ["ignore", "pipe", "pipe"]
    })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (chunk) => stdout += chunk)
    child.stderr.on("data", (chunk) => stderr += chunk)
    const ended = await new Promise<Ended>((resolve) =>
      child.on("close", (status, signal) => resolve({ code: status, signal, stdout, stderr }))
    )
    assert.strictEqual(ended.code, code, `${own(command)}\n${stderr}`)
    return ended
  }
  return {
    ...fixture,
    shell,
    /** The next command of the page, which is to begin like this. */
    next: (beginning: string, code = 0) => {
      const command = waiting.shift() ?? ""
      assert.isTrue(command.startsWith(beginning), `the page has: ${command}`)
      return shell(command, code)
    },
    /** "Run the same load again." */
    load: (code = 0, ...more: ReadonlyArray<string>) =>
      shell(["effect-cassandra load flights.ndjson -k demo -t flights --job flights", ...more].join(" "), code),
    state: path(".effect-cassandra/flights-sink"),
    pending: (options: { readonly lines?: ReadonlyArray<string>; readonly directory?: string } = {}) =>
      pendingState(fixture, "sink", {
        job: "flights",
        directory: path(".effect-cassandra/flights-sink"),
        fileName: "flights.ndjson",
        query: `INSERT INTO ${keyspace}.flights (id, delay, origin) VALUES (?, ?, ?)`,
        lines: lines(total),
        ...options
      }),
    ids: async () => {
      const { rows } = await fixture.client.execute(`SELECT id FROM ${keyspace}.flights`, [], { fetchSize: 10_000 })
      return rows.map((row) => Number(row["id"])).toSorted((a, b) => a - b)
    },
    /** All of the input is in the table, and nothing else: by the command itself. */
    verified: async () => {
      const { stdout } = await shell("effect-cassandra verify flights.ndjson -k demo -t flights --json", 0)
      assert.strictEqual(JSON.parse(stdout).rows, total)
    },
    close: fixture.close,
    waiting
  }
}

type Procedure = Awaited<ReturnType<typeof openProcedure>>

const procedures: ReadonlyArray<{
  readonly name: string
  readonly headings: ReadonlyArray<string>
  readonly needsJq?: boolean
  readonly run: (procedure: Procedure) => Promise<void>
}> = [
  {
    name: "by_other_means",
    headings: ["Look first", "Rows of a checkpoint are in the table by other means"],
    run: async ({ client, keyspace, load, next, path, pending, shell, verified }) => {
      await pending()
      const looked = await next("effect-cassandra inspect")
      assert.match(looked.stdout, /^state +/m)
      assert.match(looked.stdout, /^ledger +.*epoch 1, /m)
      assert.match(looked.stdout, / pending/)
      assert.notMatch(looked.stdout, /DAMAGE|OUTDATED/)
      await shell("cp -a .effect-cassandra/flights-sink copy && effect-cassandra inspect --state copy --verify", 0)

      await next("effect-cassandra export")
      const rows = Fs.readFileSync(path("checkpoint-12.ndjson"), "utf8").trimEnd().split("\n").map((row) =>
        JSON.parse(row)
      )
      assert.lengthOf(rows, 40)
      for (const { timestamp, values } of rows) {
        await client.execute(
          `INSERT INTO ${keyspace}.flights (id, delay, origin) VALUES (?, ?, ?) USING TIMESTAMP ${timestamp}`,
          [values.id, values.delay, values.origin],
          { prepare: true }
        )
      }
      await next("effect-cassandra commit --job flights --checkpoint 12", 64)
      assert.match((await next("effect-cassandra commit")).stderr, /^committed: checkpoint 1/m)
      assert.match((await load()).stderr, /Resuming from checkpoint 3: .* 80 rows are still to be sent/)
      await verified()
    }
  },
  {
    name: "hold_up",
    headings: ["A checkpoint that can't be sent must not hold up the rest"],
    needsJq: true,
    run: async ({ ids, load, next, path, pending, verified }) => {
      const tooLong = "9".repeat(70_000)
      const all = lines(total)
      all[19] = all[19]!.replace(`"id":"19"`, `"id":"${tooLong}"`)
      await pending({ lines: all })
      assert.match((await load(2)).stderr, /flights\.ndjson, line 20/)
      await next("effect-cassandra skip", 64)
      assert.match(
        (await next("effect-cassandra skip")).stderr,
        /^skipped: checkpoint 1, its rows are in skipped-12\.ndjson/m
      )
      await load()
      assert.isAtLeast((await ids()).length, total - 40)
      for (const name of ["skipped-12.ndjson", "flights.ndjson"]) {
        Fs.writeFileSync(path(name), Fs.readFileSync(path(name), "utf8").replace(tooLong, "19"))
      }
      await next("jq")
      await next("effect-cassandra load again.ndjson")
      await verified()
    }
  },
  {
    name: "set_aside",
    headings: ["Records that were set aside"],
    needsJq: true,
    run: async ({ client, keyspace, load, next, path, verified, write }) => {
      const all = lines(total)
      all[4] = `{"id":"4",`
      all[8] = all[8]!.replace(`"delay":1`, `"delay":"late"`)
      write("flights.ndjson", all)
      const set = await load(1, "--max-errors 10 --dead-letters flights.dead-letters.ndjson")
      assert.match(
        set.stderr,
        /2 bad records were set aside, .* in flights\.dead-letters\.ndjson\. By stage: read 1, encode 1\./
      )
      const counted = (await next("jq -r")).stdout
      assert.match(counted, /^ +1 MalformedRecord -$/m)
      assert.match(counted, /^ +1 \S+ delay$/m)
      const shown = (await next("jq -c")).stdout.trimEnd().split("\n").map((letter) => JSON.parse(letter))
      assert.deepStrictEqual(shown.map(({ line, place, record }) => [place.place, record?.id ?? line]), [
        [5, `{"id":"4",`],
        [9, "8"]
      ])
      for (const { message } of shown) assert.isNotEmpty(message)
      await next("cp")
      const mended = Fs.readFileSync(path("mended.ndjson"), "utf8").replace(
        `"line":${JSON.stringify(all[4])}`,
        () => `"line":${JSON.stringify(line(4))}`
      ).replace(`"late"`, "1")
      Fs.writeFileSync(path("mended.ndjson"), mended)
      await next("effect-cassandra replay-dead-letters")
      write("flights.ndjson", lines(total))
      await verified()
      Fs.rmSync(path("mended.ndjson"))
      await client.execute(`DROP TABLE ${keyspace}.checkpoints_flights_replay`)
    }
  },
  {
    name: "damaged",
    headings: ["Damaged files", "The rows that a cut has lost"],
    run: async ({ ids, load, next, path, pending, shell, state, verified }) => {
      const { pending: [, second] } = await pending()
      const damaged = segmentPath(state, second!)
      flip(damaged, blocksOf(damaged)[2]! + 50)
      assert.match((await load(7)).stderr, /is corrupt at byte/)
      assert.match((await shell("effect-cassandra inspect --job flights --verify", 7)).stdout, /DAMAGE/)
      await shell("cp -a .effect-cassandra/flights-sink copy", 0)
      const planned = await next("effect-cassandra repair", 64)
      assert.match(planned.stderr, /20 ARE LOST\. .* line 60 of .*flights\.ndjson, up to the record at line 80\./)
      await next("effect-cassandra repair")
      assert.isTrue(Fs.existsSync(path(`.effect-cassandra/flights-sink/${second!.name}.broken`)))
      await load()
      assert.deepStrictEqual(
        await ids(),
        Array.from({ length: total }, (_, id) => id).filter((id) => id < 60 || id >= 80)
      )
      await next("tail")
      await next("effect-cassandra load rest.ndjson")
      await verified()
    }
  },
  {
    name: "moved",
    headings: ["To another machine, or under another name"],
    run: async ({ load, next, path, pending, shell, verified, waiting }) => {
      await pending()
      await next("effect-cassandra savepoint --job flights")
      assert.match((await next("effect-cassandra savepoint list")).stdout, / whole$/m)
      const going = waiting[0]!
      assert.match(
        (await next("effect-cassandra load flights.ndjson")).stderr,
        /^finished: 50 rows read, 170 committed/m
      )
      await verified()
      assert.match((await shell(going, 0)).stderr, /^nothing to do/m)
      // The old name is not started any more.
      assert.match((await load(7)).stderr, /was taken over by job 'flights_2'/)
      await next("effect-cassandra savepoint delete")
      assert.deepStrictEqual(Fs.readdirSync(path("savepoints")), [])
      const without = going.replace(/ --from-savepoint \S+/, "")
      assert.match((await shell(without, 0)).stderr, /^nothing to do/m)
    }
  },
  {
    name: "taken_over",
    headings: ["Taken over by another job"],
    run: async ({ load, next, pending, shell, verified }) => {
      await pending()
      await shell("effect-cassandra savepoint --job flights --to /backup/savepoints", 0)
      const moved = "effect-cassandra load flights.ndjson -k demo -t flights --job flights_2"
      await shell(`${moved} --from-savepoint /backup/savepoints/savepoint-flights-...`, 0)
      assert.match(
        (await load(7)).stderr,
        /Job 'flights' \(uid 'sink'\) was taken over by job 'flights_2' .*--take-over-from/
      )
      const back = await next("effect-cassandra load")
      assert.match(back.stderr, /Resuming from checkpoint 3: 120 records were read/)
      await verified()
      assert.match((await shell(moved, 7)).stderr, /was taken over by job 'flights'/)
      // It stays in the command of a supervisor.
      assert.match((await load(0, "--take-over-from flights_2")).stderr, /^nothing to do/m)
      await next("mv")
      assert.match((await next("effect-cassandra load")).stderr, /^finished: 50 rows read, 170 committed/m)
      await verified()
    }
  },
  {
    name: "left_behind",
    headings: ["A state that was left behind"],
    run: async ({ ids, load, next, path, pending, verified, write }) => {
      await pending({ directory: path("old-state") })
      // Begun anew elsewhere, with the first lines of it; then that state is lost as well.
      write("flights.ndjson", lines(30))
      await load(0, "--state new-state")
      write("flights.ndjson", lines(total))
      assert.match((await load(7, "--state old-state")).stderr, /is not the newest of job 'flights'/)
      Fs.rmSync(path("new-state"), { recursive: true })
      assert.lengthOf(await ids(), 30)
      await next("effect-cassandra savepoint --state old-state")
      await next("effect-cassandra load")
      await verified()
    }
  },
  {
    name: "another_ledger",
    headings: ["Another ledger"],
    run: async ({ client, keyspace, load, next, verified, write }) => {
      write("flights.ndjson", lines(120))
      await load()
      await client.execute(`DROP TABLE ${keyspace}.checkpoints_flights`)
      assert.match((await load(7)).stderr, /made with another ledger than .* is now.* after 120 records/)
      write("flights.ndjson", lines(total))
      const { stderr } = await next("effect-cassandra load")
      assert.match(stderr, /is a new one.*goes on in it from checkpoint \d+, after 120 records/)
      assert.match(stderr, /^finished: 50 rows read, 50 committed/m)
      await verified()
      assert.match((await load()).stderr, /^nothing to do/m)
    }
  }
]

describe("docs/recovery.md", { timeout: 240_000 }, () => {
  it("each heading with commands has a test that runs them", () => {
    assert.sameMembers([...commands.keys()], procedures.flatMap(({ headings }) => headings))
  })

  for (const { headings, name, needsJq = false, run } of procedures) {
    it(headings.join(", "), async (context) => {
      if (needsJq && !hasJq) return context.skip("needs jq, as the page does")
      const procedure = await openProcedure(name, headings)
      try {
        await run(procedure)
        assert.deepStrictEqual(procedure.waiting, [], "commands of the page that were not run")
      } finally {
        await procedure.close()
      }
    })
  }
})
