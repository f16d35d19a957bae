/**
 * The programs of examples/ as a user runs them: each a process of its own, in a directory of its own.
 */
import { Client } from "cassandra-driver"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const contactPoints = (): string => process.env["CASSANDRA_CONTACT_POINTS"]!

export const withClient = async <A>(body: (client: Client) => Promise<A>, points = contactPoints()): Promise<A> => {
  const client = new Client({
    contactPoints: points.split(","),
    localDataCenter: process.env["CASSANDRA_LOCAL_DC"] ?? "datacenter1"
  })
  try {
    return await body(client)
  } finally {
    await client.shutdown()
  }
}

export interface ExampleOptions {
  readonly args?: ReadonlyArray<string>
  readonly env?: { readonly [name: string]: string }
}

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly output: string
}

/** Starts an example; `kill` is SIGKILL. */
export const start = (
  example: string,
  cwd: string,
  { args = [], env = {} }: ExampleOptions = {}
): { readonly ended: Promise<Ended>; readonly kill: () => void } => {
  const file = fileURLToPath(new URL(`../examples/${example}`, import.meta.url))
  const child = ChildProcess.spawn(process.execPath, [file, ...args], { cwd, env: { ...process.env, ...env } })
  let output = ""
  child.stdout.on("data", (data) => output += data)
  child.stderr.on("data", (data) => output += data)
  return {
    ended: new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal, output }))),
    kill: () => void child.kill("SIGKILL")
  }
}

export const run = (example: string, cwd: string, options?: ExampleOptions): Promise<Ended> =>
  start(example, cwd, options).ended

export const inDirectory = async <A>(body: (directory: string) => Promise<A>): Promise<A> => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-example-"))
  try {
    return await body(directory)
  } finally {
    Fs.rmSync(directory, { recursive: true })
  }
}

export const keyspace = (name: string): string =>
  `CREATE KEYSPACE IF NOT EXISTS ${name} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`
