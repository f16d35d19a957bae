/**
 * The package as npm makes it, in a fresh project that has what package.json says it needs and nothing else.
 */
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { promisify } from "node:util"
import { publint } from "publint"

const run = promisify(execFile)

interface PackageJson {
  readonly version: string
  readonly exports: { readonly [subpath: string]: string | null }
  readonly dependencies: { readonly [name: string]: string }
  readonly peerDependencies: { readonly [name: string]: string }
}

const manifest: PackageJson = JSON.parse(Fs.readFileSync("package.json", "utf8"))
const project = Fs.mkdtempSync(Path.join(Os.tmpdir(), "effect-cassandra-package-"))
let tarball = Buffer.alloc(0)
const installed = Path.join(project, "node_modules", "effect-cassandra")

/** Every module that can be imported, of each pattern those that are there. */
const specifiers = (): ReadonlyArray<string> =>
  Object.entries(manifest.exports).flatMap(([subpath, target]) => {
    if (target === null) return []
    const name = `effect-cassandra${subpath.slice(1)}`
    if (!subpath.includes("*")) return [name]
    return Fs.readdirSync(Path.join(installed, Path.dirname(target))).filter((file) => file.endsWith(".js"))
      .map((file) => name.replace("*", file.slice(0, -".js".length)))
  })

const isCode = (specifier: string): boolean => !specifier.endsWith(".json")

beforeAll(async () => {
  // Without scripts: `dist` is what `npm run check` has just made.
  const { stdout } = await run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", project])
  const [{ filename }] = JSON.parse(stdout) as [{ readonly filename: string }]
  tarball = Fs.readFileSync(Path.join(project, filename))
  Fs.mkdirSync(installed, { recursive: true })
  await run("tar", ["-xzf", Path.join(project, filename), "-C", installed, "--strip-components=1"])
  // cassandra-driver brings Node's types.
  for (
    const name of [...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies), "@types/node"]
  ) {
    const link = Path.join(project, "node_modules", name)
    Fs.mkdirSync(Path.dirname(link), { recursive: true })
    Fs.symlinkSync(Path.resolve("node_modules", name), link, "dir")
  }
  Fs.writeFileSync(Path.join(project, "package.json"), JSON.stringify({ private: true, type: "module" }))
})

afterAll(() => Fs.rmSync(project, { recursive: true, force: true }))

describe("the package", () => {
  it("has every module that it exports, and each can be imported", async () => {
    const modules = specifiers().filter(isCode)
    assert.isAbove(modules.length, 50)
    Fs.writeFileSync(
      Path.join(project, "imports.js"),
      `const failed = []
for (const name of ${JSON.stringify(modules)}) {
  const exported = await import(name).then((module) => Object.keys(module).length, (error) => String(error))
  if (typeof exported === "string") failed.push(name + ": " + exported)
}
console.log(JSON.stringify(failed))
`
    )
    const { stdout } = await run(process.execPath, ["imports.js"], { cwd: project })
    assert.deepStrictEqual(JSON.parse(stdout), [])
  })

  it("does not give out what is internal", async () => {
    const dist = Path.join(installed, "dist")
    const rooms = Fs.readdirSync(dist).filter((room) => Fs.existsSync(Path.join(dist, room, "internal")))
    assert.includeMembers(rooms, ["cassandra", "checkpoint", "job", "state", "testing"])
    for (const room of rooms) {
      const [file] = Fs.readdirSync(Path.join(dist, room, "internal"))
      const name = `effect-cassandra/${room}/internal/${file!.replace(/\..*$/, "")}`
      const { stdout } = await run(process.execPath, [
        "--input-type=module",
        "-e",
        `await import(${JSON.stringify(name)}).catch((error) => console.log(error.code))`
      ], { cwd: project })
      assert.strictEqual(stdout.trim(), "ERR_PACKAGE_PATH_NOT_EXPORTED", name)
    }
  })

  // What TypeDoc needs is the oldest TypeScript that is promised to work.
  const compilers = ["node_modules/typescript/lib/tsc.js", "api-docs/node_modules/typescript/lib/tsc.js"].map((
    tsc
  ) => ({
    tsc: Path.resolve(tsc),
    version: JSON.parse(Fs.readFileSync(Path.resolve(tsc, "../../package.json"), "utf8")).version as string
  }))

  for (const { tsc, version } of compilers) {
    it(`has types for every module, which check in a strict project with TypeScript ${version}`, async () => {
      const modules = specifiers().filter(isCode)
      Fs.writeFileSync(
        Path.join(project, "types.ts"),
        `${modules.map((name, i) => `import * as m${i} from "${name}"`).join("\n")}
export default [${modules.map((_, i) => `m${i}`).join(", ")}]
`
      )
      // The examples are programs of users: what they import has to be there, and of the types that they take it for.
      for (const name of Fs.readdirSync("examples").filter((name) => name.endsWith(".ts"))) {
        Fs.copyFileSync(Path.join("examples", name), Path.join(project, name))
      }
      const flags = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--types", "node"]
      const files = Fs.readdirSync(project).filter((name) => name.endsWith(".ts"))
      assert.isAbove(files.length, 8)
      const failure = await run(process.execPath, [tsc, ...flags, ...files], { cwd: project }).then(
        () => "",
        (error) => String(error.stdout)
      )
      assert.strictEqual(failure, "")
    })
  }

  it("is compiled by a TypeScript 5 and a TypeScript 7", () => {
    assert.deepStrictEqual(compilers.map(({ version }) => version.replace(/\.\d+$/, "")).toSorted(), ["5.9", "7.0"])
  })

  it("is what publint and Are the Types Wrong want a package of ES modules to be", async () => {
    const { messages } = await publint({ pack: { tarball: new Uint8Array(tarball).buffer }, strict: true })
    assert.deepStrictEqual(messages, [])
    const entrypoints = specifiers().map((name) => name.replace("effect-cassandra", "."))
    const analysis = await checkPackage(createPackageFromTarballData(new Uint8Array(tarball)), { entrypoints })
    assert.isAbove(entrypoints.length, 50)
    // A package of ES modules alone: not for the resolution of Node 10, which knows no `exports`, and imported from CommonJS
    // as an ES module.
    const problems = analysis.types === false ?
      [{ kind: "no types" }] :
      analysis.problems.filter((problem) =>
        problem.kind !== "CJSResolvesToESM" && !("resolutionKind" in problem && problem.resolutionKind === "node10")
      )
    assert.deepStrictEqual(problems, [])
  })

  it("has the command, with its own version", async () => {
    const { stdout } = await run(process.execPath, [Path.join(installed, "dist", "bin.js"), "--version"], {
      cwd: project
    })
    assert.include(stdout, manifest.version)
  })
})
