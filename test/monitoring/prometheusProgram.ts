/**
 * Gets a real Prometheus: from the PATH, or Debian's package unpacked beside the dependencies. Nothing is installed, and
 * no service is started.
 */
import { execFile, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { promisify } from "node:util"

const exec = promisify(execFile)

export interface PrometheusProgram {
  readonly prometheus: string
  readonly promtool: string
}

const unpacked = Path.resolve("node_modules/.cache/effect-cassandra/prometheus")

const works = async (program: string): Promise<boolean> => exec(program, ["--version"]).then(() => true, () => false)

const programIn = async (directory: string): Promise<PrometheusProgram | null> => {
  const program = {
    prometheus: Path.join(directory, "prometheus"),
    promtool: Path.join(directory, "promtool")
  }
  return (await works(program.prometheus)) && (await works(program.promtool)) ? program : null
}

const download = async (directory: string): Promise<void> => {
  const get = () => exec("apt-get", ["download", "prometheus"], { cwd: directory, timeout: 60_000 })
  // Without lists there is nothing to download; they can be fetched by root alone.
  await get().catch(() => exec("apt-get", ["update"], { timeout: 60_000 }).then(get))
  const name = Fs.readdirSync(directory).find((name) => name.endsWith(".deb"))
  if (name === undefined) throw new Error("apt-get downloaded nothing")
  await exec("dpkg", ["-x", Path.join(directory, name), Path.join(directory, "root")])
  Fs.mkdirSync(Path.dirname(unpacked), { recursive: true })
  Fs.rmSync(unpacked, { recursive: true, force: true })
  Fs.cpSync(Path.join(directory, "root"), unpacked, { recursive: true })
}

/** Null with the reason where it can't be had. */
export const findPrometheus = async (): Promise<PrometheusProgram | { readonly why: string }> => {
  for (const directory of (process.env["PATH"] ?? "").split(Path.delimiter)) {
    if (!Fs.existsSync(Path.join(directory, "prometheus"))) continue
    const found = await programIn(directory)
    if (found !== null) return found
  }
  const bin = Path.join(unpacked, "usr/bin")
  const before = await programIn(bin)
  if (before !== null) return before
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-prometheus-"))
  try {
    await download(directory)
    return (await programIn(bin)) ?? { why: "Debian's package does not run here" }
  } catch (error) {
    return { why: error instanceof Error ? error.message.split("\n")[0]! : String(error) }
  } finally {
    Fs.rmSync(directory, { recursive: true, force: true })
  }
}

export const freePort = async (): Promise<number> => {
  const probe = Net.createServer()
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve))
  const { port } = probe.address() as Net.AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}

/** `promtool`'s verdict: its output, and whether it is content. */
export const promtool = async (program: PrometheusProgram, ...args: ReadonlyArray<string>) =>
  exec(program.promtool, [...args], { cwd: "monitoring" }).then(
    ({ stderr, stdout }) => ({ ok: true, output: stdout + stderr }),
    (error) => ({ ok: false, output: `${error.stdout}${error.stderr}` })
  )

/** Runs a server with this configuration; `ask` calls its API. */
export const startPrometheus = async (program: PrometheusProgram, config: string) => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-prometheus-"))
  const file = Path.join(directory, "prometheus.yml")
  Fs.writeFileSync(file, config)
  const port = await freePort()
  const child = spawn(program.prometheus, [
    `--config.file=${file}`,
    `--storage.tsdb.path=${Path.join(directory, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`
  ], { stdio: ["ignore", "ignore", "pipe"] })
  let log = ""
  child.stderr.on("data", (chunk) => log += chunk)
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()))
  const ask = async (path: string): Promise<any> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    const body: any = await response.json()
    if (body.status !== "success") throw new Error(`${path}: ${JSON.stringify(body)}`)
    return body.data
  }
  const stop = async () => {
    child.kill("SIGKILL")
    await ended
    Fs.rmSync(directory, { recursive: true, force: true })
  }
  for (let i = 0; i < 200; i++) {
    const ready = await fetch(`http://127.0.0.1:${port}/-/ready`).then(({ ok }) => ok, () => false)
    if (ready) return { ask, stop }
    if (child.exitCode !== null) break
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await stop()
  throw new Error(`Prometheus did not start:\n${log}`)
}
