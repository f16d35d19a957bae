/**
 * Where and with what the numbers were made.
 */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import { dsbulkVersion, flinkConnectorVersion, flinkVersion } from "./peers/peers.ts"

export interface Machine {
  readonly date: string
  readonly commit: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly system: string
  /** Of the last minute, when the suite began: anything well above 0 says that others were at work. */
  readonly loadBefore: number
  readonly versions: Readonly<Record<string, string>>
}

const root = new URL("../", import.meta.url)

const versionOf = (name: string): string =>
  (JSON.parse(Fs.readFileSync(new URL(`node_modules/${name}/package.json`, root), "utf8")) as { version: string })
    .version

const git = (...args: ReadonlyArray<string>): string | null => {
  const { status, stdout } = ChildProcess.spawnSync("git", args, { cwd: root, encoding: "utf8" })
  return status === 0 ? stdout.trim() : null
}

export const describe = (java: string | null): Machine => {
  const isChanged = (git("status", "--porcelain", "--", "src") ?? "") !== ""
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: `${git("rev-parse", "--short", "HEAD") ?? "unknown"}${isChanged ? ", with changes in src/" : ""}`,
    cpu: Os.cpus()[0]?.model.trim() ?? "unknown",
    cores: Os.availableParallelism(),
    memoryGiB: Math.round(Os.totalmem() / 1024 ** 3),
    system: `${Os.type()} ${Os.release()} ${Os.arch()}`,
    loadBefore: Os.loadavg()[0] ?? 0,
    versions: {
      node: process.version.slice(1),
      effect: versionOf("effect"),
      "cassandra-driver": versionOf("cassandra-driver"),
      ...(java === null ? undefined : {
        java,
        flink: flinkVersion,
        "flink-connector-cassandra": flinkConnectorVersion,
        dsbulk: dsbulkVersion
      })
    }
  }
}
