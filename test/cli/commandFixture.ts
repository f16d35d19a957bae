import type { Client } from "cassandra-driver"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as CassandraCommitter from "../../src/cassandra/CassandraCommitter.ts"
import { makeClient, makeKeyspace } from "../cassandra/cqlFixture.ts"
import { holdAfter } from "./heldServer.ts"

export const bin = fileURLToPath(new URL("../../src/bin.ts", import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Child {
  readonly pid: number
  readonly ended: Promise<Ended>
  readonly kill: (signal: NodeJS.Signals) => void
  /** What it has printed so far. */
  readonly stdout: () => string
  readonly stderr: () => string
}

export interface RunOptions {
  /** Over the test's own environment, of which only what the command does not read is passed on. */
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** Node's own. */
  readonly nodeFlags?: ReadonlyArray<string>
  /** Files can't grow beyond this many blocks of 512 bytes. */
  readonly fileBlocksMax?: number
  /** Nobody reads its stdout, as behind `| head` once it has its lines. */
  readonly isUnread?: boolean
}

const inherited = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) =>
      !/^(?:EFFECT_)?CASSANDRA_|^(?:NO_COLOR|FORCE_COLOR|NODE_OPTIONS|VITEST.*)$/.test(name)
    )
  )

export const server = {
  contactPoints: process.env["CASSANDRA_CONTACT_POINTS"] ?? "127.0.0.1:9042",
  localDc: process.env["CASSANDRA_LOCAL_DC"] ?? "datacenter1"
}

const wideName = (id: number) => `row ${id} `.padEnd(4000, "x")

/** Whether these are all rows of `lines` or `wideLines`, with every digit of `big`. */
export const areAll = (
  rows: ReadonlyArray<{ readonly id: number; readonly big: bigint; readonly name: string }>,
  count: number
): boolean =>
  rows.length === count &&
  rows.every(({ big, id, name }, i) =>
    id === i && big === 9007199254740993n + BigInt(i) && (name === `row ${i}` || name === wideName(i))
  )

/** Those of tests that ran out of time too: none outlives the tests. */
const children = new Set<ChildProcess>()

/** At most this many children at once. */
let free = 3
const waiting: Array<() => void> = []
const take = async () => {
  if (free > 0) free--
  else await new Promise<void>((resolve) => waiting.push(resolve))
}
const release = () => {
  const next = waiting.shift()
  if (next === undefined) free++
  else next()
}

export const start = async (args: ReadonlyArray<string>, options: RunOptions = {}): Promise<Child> => {
  await take()
  const command = [process.execPath, ...options.nodeFlags ?? [], bin, ...args]
  const [file, ...rest] = options.fileBlocksMax === undefined
    ? command
    : ["/bin/sh", "-c", `ulimit -f ${options.fileBlocksMax}; exec "$@"`, "sh", ...command]
  const child = spawn(file!, rest, {
    cwd: options.cwd,
    env: {
      ...inherited(),
      CASSANDRA_CONTACT_POINTS: server.contactPoints,
      CASSANDRA_LOCAL_DC: server.localDc,
      ...options.env
    },
    stdio: ["ignore", "pipe", "pipe"]
  })
  children.add(child)
  if (options.isUnread === true) child.stdout!.destroy()
  let stdout = ""
  let stderr = ""
  child.stdout!.on("data", (chunk) => stdout += chunk)
  child.stderr!.on("data", (chunk) => stderr += chunk)
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => {
      children.delete(child)
      release()
      resolve({ code, signal, stdout, stderr })
    })
  })
  return { pid: child.pid!, ended, kill: (signal) => child.kill(signal), stdout: () => stdout, stderr: () => stderr }
}

export const run = async (args: ReadonlyArray<string>, options?: RunOptions): Promise<Ended> =>
  (await start(args, options)).ended

/** A keyspace with the tables of the tests, and a directory, both gone after `close`. */
export const openFixture = async (keyspace: string) => {
  const client: Client = makeClient()
  await client.connect()
  await client.execute(`DROP KEYSPACE IF EXISTS ${keyspace}`)
  await makeKeyspace(client, keyspace)
  await client.execute(
    `CREATE TABLE ${keyspace}.items (job text, id int, big bigint, name text, tags list<text>, PRIMARY KEY (job, id))`
  )
  await client.execute(`CREATE TABLE ${keyspace}.hits (id int PRIMARY KEY, n counter)`)
  await client.execute(CassandraCommitter.ddl({ jobId: "cli", uid: "any", keyspace })[1]!)
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-cli-"))

  const insert = `INSERT INTO ${keyspace}.items (job, id, big, name) VALUES (?, ?, ?, ?)`
  const path = (name: string) => Path.join(directory, name)
  const line = (uid: string, id: number, name = `row ${id}`): string =>
    `{"job":"${uid}","id":${id},"big":${9007199254740993n + BigInt(id)},"name":"${name}"}`
  const lines = (uid: string, count: number): Array<string> => Array.from({ length: count }, (_, id) => line(uid, id))
  /** Four kilobytes each, so that a file has many chunks, between which checkpoints are taken. */
  const wideLines = (uid: string, count: number): Array<string> =>
    Array.from({ length: count }, (_, id) => line(uid, id, wideName(id)))
  const write = (name: string, content: ReadonlyArray<string>): string => {
    Fs.writeFileSync(path(name), content.join("\n") + "\n")
    return path(name)
  }
  /** One job with a sink for each test, so that one ledger table serves them all. It is quiet, and ends at a failure, unless `more` says otherwise. */
  const load = (uid: string, file: string, query = insert, ...more: ReadonlyArray<string>): Array<string> => [
    "load",
    file,
    "--job=cli",
    `--uid=${uid}`,
    `--query=${query}`,
    `--state=${path(`state-${uid}`)}`,
    `--checkpoint-keyspace=${keyspace}`,
    ...["--restart", "--progress"].filter((flag) => !more.some((own) => own.startsWith(`${flag}=`))).map((flag) =>
      `${flag}=none`
    ),
    ...more
  ]
  const rows = async (uid: string): Promise<Array<{ id: number; big: bigint; name: string }>> => {
    const query = `SELECT id, big, name FROM ${keyspace}.items WHERE job = ?`
    const { rows: found } = await client.execute(query, [uid], { prepare: true, fetchSize: 100_000 })
    return found as unknown as Array<{ id: number; big: bigint; name: string }>
  }
  const close = async () => {
    for (const child of children) child.kill("SIGKILL")
    // The server flushes what is in it first.
    await client.execute(`DROP KEYSPACE IF EXISTS ${keyspace}`, [], { readTimeout: 120_000 })
    await client.shutdown()
    Fs.rmSync(directory, { recursive: true, force: true })
  }
  return { client, keyspace, directory, insert, path, line, lines, wideLines, write, load, rows, close }
}

export type Fixture = Awaited<ReturnType<typeof openFixture>>

/** Many small checkpoints, and never far ahead of Cassandra. */
const inSteps = [
  "--segment-bytes=50000",
  "--pending-bytes=2000000",
  "--checkpoint-interval=100 millis",
  "--min-pause=0 seconds"
]

/** Four kilobytes a row: the log is full long before so many are read. */
export const many = 4000

/**
 * Starts to load `wideLines(uid, many)`, and waits until some of it is committed, some waits in the log, and nothing
 * goes on, as the server does not answer.
 */
export const startAndHold = async (fixture: Fixture, uid: string, file: string, ...more: ReadonlyArray<string>) => {
  const door = await holdAfter(3_000_000, server.contactPoints)
  const child = await start(fixture.load(uid, file, undefined, ...inSteps, ...more), { env: door.env })
  void child.ended.then(door.close)
  await until(child, "the server is held", door.isHeld)
  const state = fixture.path(`state-${uid}`)
  await until(child, "a checkpoint waits", () => (newestManifest(state)?.pending.length ?? 0) > 0)
  return { child, state, release: door.release }
}

export interface ManifestFile {
  readonly epoch: number
  readonly checkpointId: number
  readonly records: number
  readonly finished: boolean
  readonly pending: ReadonlyArray<{ readonly name: string; readonly subtask: number; readonly checkpointId: number }>
}

/** The newest checkpoint in a state directory. */
export const newestManifest = (state: string): ManifestFile | null => {
  const directory = Path.join(state, "checkpoints")
  if (!Fs.existsSync(directory)) return null
  const names = Fs.readdirSync(directory).filter((name) => name.endsWith(".manifest"))
  const number = (name: string) => Number(/-c(\d+)/.exec(name)![1]) + 1e6 * Number(/^e(\d+)/.exec(name)![1])
  const newest = names.toSorted((a, b) => number(b) - number(a))[0]
  if (newest === undefined) return null
  try {
    return JSON.parse(Fs.readFileSync(Path.join(directory, newest)).subarray(20).toString("utf8"))
  } catch {
    // It was removed in favour of a newer one.
    return null
  }
}

/** Waits until `probe` gives something; fails when the child ends before. */
export const until = async <A>(child: Child, what: string, probe: () => A | null | undefined | false): Promise<A> => {
  let over: Ended | null = null
  void child.ended.then((ended) => over = ended)
  while (true) {
    const found = probe()
    if (found) return found
    if (over !== null) throw new Error(`the command ended before ${what}: ${JSON.stringify(over)}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
