import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Clock, Effect, Exit, Fiber, FileSystem, Option, Schema, Scope, Stream } from "effect"
import type { PlatformError } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { Manifest, SegmentHandle } from "../../src/checkpoint/Manifest.ts"
import * as FileStateBackend from "../../src/state/FileStateBackend.ts"
import { FrameWriter } from "../../src/state/RowFrame.ts"
import type { StateBackend } from "../../src/state/StateBackend.ts"
import type { CrashMode, DiskFault, DiskOperation } from "../../src/testing/SimulatedDisk.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"

type Fs = FileSystem.FileSystem

const bytesOf = (text: string) => Buffer.from(text)
const codeOf = (error: PlatformError.PlatformError) => {
  const cause = error.reason.cause
  return cause instanceof Error && "code" in cause ? cause.code : null
}

// ----------------------------------------------------------------------------------------------------------------
// The same programs on a real file system
// ----------------------------------------------------------------------------------------------------------------

/** Few names, so that commands meet each other. */
const Name = Schema.Literals(["a", "b", "a/b", "a/b/c", "b/a", "./a"])
const Text = Schema.Literals(["", "x", "hello", "0123456789"])
const Flag = Schema.Literals(["r", "r+", "w", "wx", "w+", "wx+", "a", "ax", "a+", "ax+"])
const Slot = Schema.Literals([0, 1])
const Small = Schema.Literals([0, 1, 3, 7, 12])

const Command = Schema.Union([
  Schema.TaggedStruct("makeDirectory", { name: Name, recursive: Schema.Boolean }),
  Schema.TaggedStruct("writeFile", { name: Name, text: Text, flag: Flag }),
  Schema.TaggedStruct("readFile", { name: Name }),
  Schema.TaggedStruct("rename", { from: Name, to: Name }),
  Schema.TaggedStruct("rename", { from: Name, to: Name }),
  Schema.TaggedStruct("remove", { name: Name, recursive: Schema.Boolean, force: Schema.Boolean }),
  Schema.TaggedStruct("list", { name: Name, recursive: Schema.Boolean }),
  Schema.TaggedStruct("exists", { name: Name }),
  Schema.TaggedStruct("stat", { name: Name }),
  Schema.TaggedStruct("truncate", { name: Name, size: Small }),
  Schema.TaggedStruct("open", { slot: Slot, name: Name, flag: Flag }),
  Schema.TaggedStruct("write", { slot: Slot, text: Text }),
  Schema.TaggedStruct("writeAll", { slot: Slot, text: Text }),
  Schema.TaggedStruct("read", { slot: Slot, size: Small }),
  Schema.TaggedStruct("readAlloc", { slot: Slot, size: Small }),
  Schema.TaggedStruct("readAt", { slot: Slot, size: Small, position: Small }),
  Schema.TaggedStruct("seek", {
    slot: Slot,
    offset: Schema.Literals([-2, 0, 4]),
    from: Schema.Literals(["start", "current"])
  }),
  Schema.TaggedStruct("truncateHandle", { slot: Slot, size: Small }),
  Schema.TaggedStruct("sync", { slot: Slot }),
  Schema.TaggedStruct("statHandle", { slot: Slot }),
  Schema.TaggedStruct("close", { slot: Slot })
])
type Command = typeof Command.Type

const commands = Arbitrary.array(Arbitrary.schema(Command), { minLength: 20, maxLength: 60 })

const statOf = (info: FileSystem.File.Info) => [info.type, info.type === "File" ? Number(info.size) : null]

/** Runs commands below `base` and tells each one's outcome. */
const outcomes = Effect.fnUntraced(function*(fs: Fs, base: string, program: ReadonlyArray<Command>) {
  const slots: Array<{ readonly file: FileSystem.File; readonly scope: Scope.Closeable } | null> = [null, null]
  const at = (name: string) => `${base}/${name}`
  const close = Effect.fnUntraced(function*(slot: number) {
    const open = slots[slot]
    slots[slot] = null
    if (open) yield* Scope.close(open.scope, Exit.void)
  })
  const onFile = <A>(
    slot: number,
    use: (file: FileSystem.File) => Effect.Effect<A, PlatformError.PlatformError>
  ): Effect.Effect<A | string, PlatformError.PlatformError> =>
    slots[slot] ? use(slots[slot].file) : Effect.succeed("closed")

  const run = (command: Command): Effect.Effect<unknown, PlatformError.PlatformError> => {
    switch (command._tag) {
      case "makeDirectory":
        return Effect.asVoid(fs.makeDirectory(at(command.name), { recursive: command.recursive }))
      case "writeFile":
        return fs.writeFileString(at(command.name), command.text, { flag: command.flag })
      case "readFile":
        return fs.readFileString(at(command.name))
      case "rename":
        return fs.rename(at(command.from), at(command.to))
      case "remove":
        return fs.remove(at(command.name), { recursive: command.recursive, force: command.force })
      case "list":
        return Effect.map(
          fs.readDirectory(at(command.name), { recursive: command.recursive }),
          (names) => names.toSorted()
        )
      case "exists":
        return fs.exists(at(command.name))
      case "stat":
        return Effect.map(fs.stat(at(command.name)), statOf)
      case "truncate":
        return fs.truncate(at(command.name), command.size)
      case "open":
        return Effect.gen(function*() {
          yield* close(command.slot)
          const scope = yield* Scope.make()
          const file = yield* Scope.provide(fs.open(at(command.name), { flag: command.flag }), scope)
          slots[command.slot] = { file, scope }
        })
      case "write":
        return onFile(command.slot, (file) => file.write(bytesOf(command.text)))
      case "writeAll":
        return onFile(command.slot, (file) => file.writeAll(bytesOf(command.text)))
      case "read":
        return onFile(command.slot, (file) => {
          const buffer = Buffer.alloc(command.size)
          return Effect.map(file.read(buffer), (n) => [n, buffer.toString("latin1")])
        })
      case "readAlloc":
        return onFile(command.slot, (file) =>
          Effect.map(
            file.readAlloc(command.size),
            Option.match({
              onNone: () => null,
              onSome: (bytes) => Buffer.from(bytes).toString("latin1")
            })
          ))
      case "readAt":
        return onFile(command.slot, (file) => {
          const buffer = Buffer.alloc(command.size)
          return Effect.map(
            file.read(buffer, { position: BigInt(command.position) }),
            (n) => [n, buffer.toString("latin1")]
          )
        })
      case "seek":
        return onFile(command.slot, (file) => Effect.map(file.seek(BigInt(command.offset), command.from), Number))
      case "truncateHandle":
        return onFile(command.slot, (file) => file.truncate(command.size))
      case "sync":
        return onFile(command.slot, (file) => file.sync)
      case "statHandle":
        return onFile(command.slot, (file) => Effect.map(file.stat, statOf))
      case "close":
        return close(command.slot)
    }
  }

  const told: Array<unknown> = []
  for (const command of program) {
    told.push([
      command._tag,
      yield* Effect.match(run(command), {
        onSuccess: (value) => ({ value }),
        onFailure: ({ reason }) => {
          const cause = reason.cause as NodeJS.ErrnoException | undefined
          return reason._tag === "BadArgument"
            ? { tag: reason._tag, description: reason.description }
            : {
              tag: reason._tag,
              method: reason.method,
              code: cause?.code,
              errno: cause?.errno,
              message: cause?.message,
              path: typeof reason.pathOrDescriptor === "number" ? "descriptor" : reason.pathOrDescriptor
            }
        }
      })
    ])
  }
  for (const slot of [0, 1]) yield* close(slot)
  const end = (yield* fs.readDirectory(base, { recursive: true })).toSorted()
  for (const name of end) {
    const info = yield* fs.stat(at(name))
    told.push([name, statOf(info), info.type === "File" ? yield* fs.readFileString(at(name)) : null])
  }
  return told
})

const onBoth = Effect.fnUntraced(function*(program: ReadonlyArray<Command>) {
  const node = yield* FileSystem.FileSystem
  const base = fs.mkdtempSync(path.join(os.tmpdir(), "disk-"))
  const disk = SimulatedDisk.make()
  const simulated = disk.boot().fileSystem
  yield* simulated.makeDirectory(base, { recursive: true })
  const here = yield* outcomes(simulated, base, program)
  const there = yield* outcomes(node, base, program).pipe(
    Effect.ensuring(Effect.sync(() => fs.rmSync(base, { recursive: true, force: true })))
  )
  assert.deepStrictEqual(disk.openHandles(), [])
  const used = Array.from(disk.files().values()).reduce((sum, bytes) => sum + bytes.length, 0)
  assert.strictEqual(disk.usedBytes(), used)
  return { here, there }
})

describe("SimulatedDisk: as the real file system", () => {
  it.live("gives the same results and the same errors for any program", () =>
    Effect.gen(function*() {
      const result = yield* Arbitrary.checkEffect(
        commands,
        (program) => Effect.map(onBoth(program), ({ here, there }) => JSON.stringify(here) === JSON.stringify(there)),
        { runs: 400, size: 60 }
      )
      if (result._tag === "Falsified") {
        const { here, there } = yield* onBoth(result.shrunkInput)
        assert.deepStrictEqual(here, there)
      }
      assert.strictEqual(Arbitrary.formatCheckFailure(result), undefined)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

// ----------------------------------------------------------------------------------------------------------------
// What a crash leaves
// ----------------------------------------------------------------------------------------------------------------

const randomModes: ReadonlyArray<CrashMode> = ["cut", "scattered", "mixed"]
const certainModes: ReadonlyArray<CrashMode> = ["kill", "lost", "kept"]

const sync = (fs: Fs, name: string) => Effect.scoped(Effect.flatMap(fs.open(name, { flag: "r" }), (file) => file.sync))
const textOf = (disk: SimulatedDisk.SimulatedDisk, name: string) => disk.files().get(name)?.toString("latin1")

/** All there is on a disk: contents of files, and names of directories. */
const imageOf = Effect.fnUntraced(function*(disk: SimulatedDisk.SimulatedDisk) {
  const names = yield* disk.boot().fileSystem.readDirectory("/", { recursive: true })
  const files = disk.files()
  return names.toSorted().map((name) => [name, files.get(`/${name}`)?.toString("latin1") ?? null])
})

/** What is left in how many of 200 crashes of the same moment. */
const leftOf = (
  disk: SimulatedDisk.SimulatedDisk,
  mode: CrashMode,
  tell: (after: SimulatedDisk.SimulatedDisk) => string
) => {
  const left = new Map<string, number>()
  for (let seed = 0; seed < 200; seed++) {
    const after = disk.fork(seed)
    after.crash({ mode })
    const told = tell(after)
    left.set(told, (left.get(told) ?? 0) + 1)
  }
  return left
}

describe("SimulatedDisk: crashes", () => {
  it.effect("keep what was synced with its directory, and lose the rest when asked to", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const fs = disk.boot().fileSystem
      yield* fs.writeFileString("/synced", "one")
      yield* sync(fs, "/synced")
      yield* fs.writeFileString("/unsynced", "two")
      yield* sync(fs, "/")
      yield* fs.writeFileString("/nameless", "three")
      yield* sync(fs, "/nameless")
      yield* fs.writeFileString("/synced", "changed")
      yield* fs.rename("/synced", "/renamed")
      assert.deepStrictEqual(Array.from(disk.files().keys()).toSorted(), ["/nameless", "/renamed", "/unsynced"])
      const kept = disk.fork()
      kept.crash({ mode: "kept" })
      assert.deepStrictEqual(kept.files(), disk.files())
      const killed = disk.fork()
      killed.crash({ mode: "kill" })
      assert.deepStrictEqual(killed.files(), disk.files())
      // A killed process leaves what it did not sync as unsynced as before.
      killed.crash({ mode: "lost" })
      const lost = new Map([["/synced", bytesOf("one")], ["/unsynced", bytesOf("")]])
      assert.deepStrictEqual(killed.files(), lost)
      const report = disk.crash({ mode: "lost" })
      assert.deepStrictEqual(disk.files(), lost)
      assert.deepStrictEqual(report.undone, ["rename /synced to /renamed", "create /nameless"])
      // What is left is durable.
      disk.crash({ mode: "lost" })
      assert.deepStrictEqual(disk.files(), lost)
    }))

  it.effect("tear writes between sectors, and reorder them", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const fs = disk.boot().fileSystem
      yield* fs.writeFileString("/file", "-".repeat(1024))
      yield* sync(fs, "/file")
      yield* sync(fs, "/")
      yield* Effect.scoped(Effect.gen(function*() {
        const file = yield* fs.open("/file", { flag: "r+" })
        yield* file.writeAll(bytesOf("1".repeat(512)))
        yield* file.writeAll(bytesOf("2".repeat(512)))
      }))
      const sectors = (after: SimulatedDisk.SimulatedDisk) => {
        const text = textOf(after, "/file")!
        assert.strictEqual(text.length, 1024)
        for (const at of [0, 512]) assert.strictEqual(new Set(text.slice(at, at + 512)).size, 1)
        return text[0]! + text[512]!
      }
      assert.deepStrictEqual(Array.from(leftOf(disk, "scattered", sectors).keys()).toSorted(), ["--", "-2", "1-", "12"])
      assert.deepStrictEqual(Array.from(leftOf(disk, "mixed", sectors).keys()).toSorted(), ["--", "-2", "1-", "12"])
      assert.deepStrictEqual(Array.from(leftOf(disk, "cut", sectors).keys()).toSorted(), ["--", "1-", "12"])
    }))

  it.effect("cut the last write at any sector", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const fs = disk.boot().fileSystem
      yield* fs.writeFileString("/file", "")
      yield* sync(fs, "/")
      yield* fs.writeFileString("/file", "x".repeat(1100))
      const left = leftOf(disk, "cut", (after) => String(textOf(after, "/file")!.length))
      assert.deepStrictEqual(Array.from(left.keys()).toSorted(), ["0", "1024", "1100", "512"])
    }))

  it.effect("leave zeros where a file was cut and grew again", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const fs = disk.boot().fileSystem
      yield* fs.writeFileString("/file", "aaaa")
      yield* sync(fs, "/file")
      yield* sync(fs, "/")
      yield* fs.truncate("/file", 1)
      yield* fs.truncate("/file", 4)
      assert.strictEqual(textOf(disk, "/file"), "a\0\0\0")
      disk.crash({ mode: "kept" })
      assert.strictEqual(textOf(disk, "/file"), "a\0\0\0")
    }))

  it.effect("never leave a directory or a file in two places", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const fs = disk.boot().fileSystem
      yield* fs.makeDirectory("/a")
      yield* fs.writeFileString("/a/x", "x")
      for (const name of ["/a/x", "/a", "/"]) yield* sync(fs, name)
      yield* fs.rename("/a", "/b")
      yield* fs.rename("/b/x", "/y")
      yield* fs.rename("/y", "/z")
      yield* fs.rename("/b", "/c")
      const left = leftOf(disk, "scattered", (after) => Array.from(after.files().keys()).join())
      assert.deepStrictEqual(Array.from(left.keys()).toSorted(), ["/a/x", "/b/x", "/c/x", "/y", "/z"])
    }))

  it.effect("never leave a sector with a later write and without an earlier one", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const fs = disk.boot().fileSystem
      yield* Effect.scoped(Effect.gen(function*() {
        const file = yield* fs.open("/file", { flag: "w" })
        yield* file.writeAll(bytesOf("a".repeat(100)))
        yield* file.writeAll(bytesOf("b".repeat(100)))
      }))
      yield* sync(fs, "/")
      const left = leftOf(disk, "scattered", (after) => textOf(after, "/file")!.replace(/(.)\1*/gs, "$1"))
      assert.deepStrictEqual(Array.from(left.keys()).toSorted(), ["", "\0", "a", "a\0", "ab"])
    }))

  it.effect("let a rename come before the content, and a removed file come back", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const fs = disk.boot().fileSystem
      yield* fs.writeFileString("/a", "old")
      yield* sync(fs, "/a")
      yield* sync(fs, "/")
      yield* fs.writeFileString("/a.tmp", "new")
      yield* fs.rename("/a.tmp", "/a")
      const left = leftOf(disk, "scattered", (after) => JSON.stringify(textOf(after, "/a")))
      assert.deepStrictEqual(
        Array.from(left.keys()).toSorted(),
        [`"\\u0000\\u0000\\u0000"`, `""`, `"new"`, `"old"`].toSorted()
      )
      yield* fs.remove("/a")
      const removed = leftOf(disk, "scattered", (after) => String(after.files().has("/a")))
      assert.deepStrictEqual(Array.from(removed.keys()).toSorted(), ["false", "true"])
      yield* sync(fs, "/")
      assert.deepStrictEqual(leftOf(disk, "mixed", (after) => String(after.files().size)), new Map([["0", 200]]))
    }))

  it.effect("move a renamed file between directories as a whole", () =>
    Effect.gen(function*() {
      for (const synced of ["/", "/from", "/to"]) {
        const disk = SimulatedDisk.make()
        const fs = disk.boot().fileSystem
        yield* fs.makeDirectory("/from")
        yield* fs.makeDirectory("/to")
        yield* sync(fs, "/")
        yield* fs.writeFileString("/from/file", "x")
        yield* sync(fs, "/from/file")
        yield* fs.rename("/from/file", "/to/file")
        yield* sync(fs, synced)
        const left = leftOf(disk, "scattered", (after) => Array.from(after.files().keys()).join())
        assert.deepStrictEqual(
          Array.from(left.keys()).toSorted(),
          synced === "/" ? ["", "/from/file", "/to/file"] : ["/to/file"]
        )
      }
    }))

  it.effect("leave nothing of a directory whose name was not durable, whatever was synced in it", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const fs = disk.boot().fileSystem
      yield* fs.makeDirectory("/a/b", { recursive: true })
      yield* fs.writeFileString("/a/b/c", "x")
      for (const name of ["/a/b/c", "/a/b", "/a"]) yield* sync(fs, name)
      disk.crash({ mode: "lost" })
      assert.isFalse(yield* disk.boot().fileSystem.exists("/a"))
    }))

  it.effect("take nothing that was synced, and nothing at all when everything is kept, after any program", () =>
    Effect.gen(function*() {
      const modes: ReadonlyArray<CrashMode> = [...certainModes, ...randomModes]
      const result = yield* Arbitrary.checkEffect(
        commands,
        Effect.fnUntraced(function*(program) {
          const disk = SimulatedDisk.make()
          const fs = disk.boot().fileSystem
          yield* fs.makeDirectory("/base")
          yield* outcomes(fs, "/base", program)
          const before = yield* imageOf(disk)
          const kept = disk.fork()
          assert.deepStrictEqual(yield* imageOf(kept), before)
          kept.crash({ mode: "kept" })
          assert.deepStrictEqual(yield* imageOf(kept), before)
          const lost = disk.fork()
          lost.crash({ mode: "lost" })
          const left = yield* imageOf(lost)
          for (const mode of modes) {
            const after = disk.fork()
            after.crash({ mode })
            const once = yield* imageOf(after)
            const nodes = new Set<unknown>()
            for (const [name] of once) {
              nodes.add(Option.getOrThrow((yield* after.boot().fileSystem.stat(`/${name}`)).ino))
            }
            assert.strictEqual(nodes.size, once.length, "something stands in two places")
            after.crash({ mode: mode === "kill" ? "kept" : "lost" })
            assert.deepStrictEqual(yield* imageOf(after), once)
          }
          // What happens to a fork or to what is left does not reach the disk itself.
          const again = disk.fork()
          again.crash({ mode: "lost" })
          assert.deepStrictEqual(yield* imageOf(again), left)
          assert.deepStrictEqual(yield* imageOf(disk), before)
          for (const name of ["", ...(yield* fs.readDirectory("/", { recursive: true }))]) yield* sync(fs, `/${name}`)
          for (const mode of modes) {
            const after = disk.fork()
            after.crash({ mode })
            assert.deepStrictEqual(yield* imageOf(after), before, mode)
          }
          return true
        }),
        { runs: 300, size: 60 }
      )
      assert.strictEqual(Arbitrary.formatCheckFailure(result), undefined)
    }))

  it.effect("are the same for the same seed", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const fs = disk.boot().fileSystem
      for (let i = 0; i < 20; i++) yield* fs.writeFileString(`/${i}`, "x".repeat(i * 300))
      const after = (seed: number) => {
        const fork = disk.fork(seed)
        fork.crash()
        return fork.files()
      }
      for (let seed = 0; seed < 20; seed++) assert.deepStrictEqual(after(seed), after(seed))
      assert.notDeepEqual(after(1), after(2))
    }))

  it.effect("end every process and its handles for good", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make({
        onStep: (step, disk) =>
          step.operation === "sync" && step.phase === "before" ? Effect.sync(() => disk.crash()) : Effect.void
      })
      const process = disk.boot()
      let reached = false
      const exit = yield* process.run(Effect.scoped(Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const file = yield* fs.open("/file", { flag: "w" })
        yield* file.writeAll(bytesOf("x"))
        yield* file.sync
        reached = true
      })))
      assert.isNull(exit)
      assert.isFalse(reached)
      assert.isFalse(process.isAlive())
      assert.deepStrictEqual(disk.openHandles(), [])
      yield* process.died

      // Neither its fibers nor their finalizers change the disk, and they can be interrupted all the same.
      const before = disk.files()
      const late = yield* process.fileSystem.writeFileString("/late", "x").pipe(
        Effect.ensuring(Effect.ignore(process.fileSystem.writeFileString("/finalized", "x"))),
        Effect.forkChild({ startImmediately: true })
      )
      for (let i = 0; i < 10; i++) yield* Effect.yieldNow
      assert.isUndefined(late.pollUnsafe())
      assert.deepStrictEqual(disk.files(), before)
      yield* Fiber.interrupt(late)
      yield* disk.boot().fileSystem.writeFileString("/next", "x")
      assert.deepStrictEqual(disk.files(), new Map([...before, ["/next", bytesOf("x")]]))
    }))

  it.effect("of one process leave the others alive", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const [one, two] = [disk.boot(), disk.boot()]
      yield* one.fileSystem.writeFileString("/a", "x")
      yield* one.run(
        Effect.flatMap(Scope.make(), (scope) => Scope.provide(one.fileSystem.open("/a", { flag: "r" }), scope))
      )
      yield* two.fileSystem.rename("/a", "/b")
      yield* two.fileSystem.writeFileString("/a", "yz")
      yield* two.fileSystem.remove("/b")
      assert.deepStrictEqual(disk.openHandles(), [{ path: "/a", flag: "r", process: 1 }])
      assert.strictEqual(disk.usedBytes(), 3)
      one.kill()
      assert.deepStrictEqual(disk.openHandles(), [])
      assert.strictEqual(disk.usedBytes(), 2)
      assert.strictEqual(yield* two.fileSystem.readFileString("/a"), "yz")
      assert.deepStrictEqual([one.isAlive(), two.isAlive()], [false, true])
    }))
})

describe("SimulatedDisk: faults", () => {
  it.effect("fail as Node fails", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make({ faults: [{ operation: "write", path: /seg/, code: "EIO", skip: 1, times: 2 }] })
      const fs = disk.boot().fileSystem
      const write = (name: string) => Effect.flip(Effect.asVoid(fs.writeFileString(name, "x"))).pipe(Effect.option)
      assert.isTrue(Option.isNone(yield* write("/segment")))
      assert.isTrue(Option.isNone(yield* write("/other")))
      for (let i = 0; i < 2; i++) {
        const error = Option.getOrThrow(yield* write("/segment"))
        assert.strictEqual(error.reason._tag, "Unknown")
        assert.strictEqual(codeOf(error), "EIO")
        assert.strictEqual((error.reason.cause as Error).message, "EIO: i/o error, write")
      }
      assert.isTrue(Option.isNone(yield* write("/segment")))
      assert.strictEqual(disk.coverage.get("fault: EIO at write"), 2)
    }))

  it.effect("write a part of a write that fails, all of it, or nothing", () =>
    Effect.gen(function*() {
      const lengths = Effect.fnUntraced(function*(outcome: DiskFault["outcome"]) {
        const disk = SimulatedDisk.make()
        const fs = disk.boot().fileSystem
        const seen = new Set<number>()
        for (let i = 0; i < 100; i++) {
          disk.inject({ operation: "write", code: "EIO", outcome })
          yield* Effect.flip(fs.writeFileString("/file", "xxx"))
          seen.add(textOf(disk, "/file")!.length)
        }
        return Array.from(seen).toSorted()
      })
      assert.deepStrictEqual(yield* lengths(undefined), [0, 1, 2])
      assert.deepStrictEqual(yield* lengths("none"), [0])
      assert.deepStrictEqual(yield* lengths("done"), [3])
    }))

  it.effect("lose the data of a failed fsync, though it is read and the next fsync succeeds", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const fs = disk.boot().fileSystem
      yield* fs.writeFileString("/file", "before")
      yield* sync(fs, "/file")
      yield* sync(fs, "/")
      disk.inject({ operation: "sync", code: "EIO" })
      yield* Effect.scoped(Effect.gen(function*() {
        const file = yield* fs.open("/file", { flag: "a" })
        yield* file.writeAll(bytesOf(" dropped"))
        assert.strictEqual(codeOf(yield* Effect.flip(file.sync)), "EIO")
        yield* file.sync
        yield* file.writeAll(bytesOf(" after"))
        yield* file.sync
      }))
      assert.strictEqual(yield* fs.readFileString("/file"), "before dropped after")
      disk.crash({ mode: "kept" })
      assert.strictEqual(textOf(disk, "/file"), "before\0\0\0\0\0\0\0\0 after")
    }))

  it.effect("fill the disk: the last write is cut, and space comes back", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make({ capacity: 10 })
      const fs = disk.boot().fileSystem
      yield* fs.writeFileString("/a", "123456")
      const error = yield* Effect.flip(fs.writeFileString("/b", "123456"))
      assert.strictEqual(codeOf(error), "ENOSPC")
      assert.strictEqual(textOf(disk, "/b"), "1234")
      yield* fs.writeFileString("/a", "abcd")
      assert.strictEqual(disk.usedBytes(), 8)
      yield* Effect.scoped(Effect.gen(function*() {
        const file = yield* fs.open("/b", { flag: "r" })
        yield* fs.remove("/b")
        assert.strictEqual(disk.usedBytes(), 8)
        assert.strictEqual(Number((yield* file.stat).size), 4)
      }))
      assert.strictEqual(disk.usedBytes(), 4)
      disk.setCapacity(null)
      yield* fs.writeFileString("/b", "1234567890")
    }))

  it.effect("do an operation and report failure, or do nothing, as asked", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const fs = disk.boot().fileSystem
      yield* fs.writeFileString("/a", "x")
      disk.inject({ operation: "rename", code: "EIO" })
      yield* Effect.flip(fs.rename("/a", "/b"))
      assert.deepStrictEqual(Array.from(disk.files().keys()), ["/a"])
      disk.inject({ operation: "rename", code: "EIO", outcome: "done" })
      yield* Effect.flip(fs.rename("/a", "/b"))
      assert.deepStrictEqual(Array.from(disk.files().keys()), ["/b"])
    }))
})

// ----------------------------------------------------------------------------------------------------------------
// The state backend on it
// ----------------------------------------------------------------------------------------------------------------

const job = { directory: "/var/state", jobId: "job", uid: "uid", writeBufferBytes: 700 }

/** Sleeps return at once: only the wait for a half-written lock file uses them here. */
const now: Clock.Clock = {
  currentTimeMillisUnsafe: () => 1_000_000,
  currentTimeMillis: Effect.succeed(1_000_000),
  currentTimeNanosUnsafe: () => 0n,
  currentTimeNanos: Effect.succeed(0n),
  monotonicTimeNanosUnsafe: () => 0n,
  monotonicTimeNanos: Effect.succeed(0n),
  sleep: () => Effect.void
}

const open = FileStateBackend.make(job)

/** What a job has been told is safe, and what it was about to be told. */
interface Promises {
  acknowledged: Manifest | null
  attempted: Manifest | null
  readonly rows: Map<string, Buffer>
}

const writeSegment = Effect.fnUntraced(function*(
  backend: StateBackend["Service"],
  promises: Promises,
  checkpointId: number,
  blocks: number
) {
  const header = {
    jobId: job.jobId,
    uid: job.uid,
    epoch: 1,
    attempt: 0,
    subtask: 0,
    number: checkpointId,
    statements: []
  }
  const writer = yield* backend.createSegment(header)
  const rows: Array<Buffer> = []
  for (let i = 0; i < blocks; i++) {
    const frames = new FrameWriter()
    frames.add(i, 0, [Buffer.alloc(120 + i * 130, `${checkpointId}.${i} `)])
    const encoded = frames.take()
    rows.push(Buffer.from(encoded.bytes))
    yield* writer.append(encoded, i, i)
  }
  const handle = yield* writer.seal(checkpointId)
  promises.rows.set(handle.name, Buffer.concat(rows))
  return handle
})

const complete = Effect.fnUntraced(function*(
  backend: StateBackend["Service"],
  promises: Promises,
  checkpointId: number,
  pending: ReadonlyArray<SegmentHandle>,
  epoch = 1
) {
  const manifest: Manifest = {
    jobId: job.jobId,
    uid: job.uid,
    epoch,
    checkpointId,
    parallelism: 1,
    completedAt: 1,
    maxTimestamp: 1,
    position: { line: checkpointId },
    finished: false,
    records: checkpointId,
    pending
  }
  promises.attempted = manifest
  yield* backend.completeCheckpoint(manifest)
  promises.acknowledged = manifest
})

/** Three checkpoints; segments are created, sealed, published, discarded. */
const program = (promises: Promises) =>
  Effect.scoped(Effect.gen(function*() {
    const backend = yield* open
    const one = yield* writeSegment(backend, promises, 1, 4)
    yield* complete(backend, promises, 1, [one])
    const two = yield* writeSegment(backend, promises, 2, 6)
    yield* complete(backend, promises, 2, [one, two])
    yield* complete(backend, promises, 3, [two])
    yield* backend.discardSegment(one)
    yield* backend.sweep([], Number.MAX_SAFE_INTEGER)
  }))

const makePromises = (): Promises => ({ acknowledged: null, attempted: null, rows: new Map() })

/** Opens the state of a crashed disk as a new process, and says in what a promise was broken. */
const brokenPromise = (disk: SimulatedDisk.SimulatedDisk, promises: Promises) => {
  const allowed = [promises.acknowledged, promises.attempted].map((manifest) => JSON.stringify(manifest))
  const check = Effect.scoped(Effect.gen(function*() {
    const backend = yield* open
    const latest = yield* backend.latestCheckpoint
    if (!allowed.includes(JSON.stringify(latest))) {
      return `checkpoint ${latest?.checkpointId} in place of ${allowed.join(" or ")}`
    }
    const read = Effect.fnUntraced(function*() {
      for (const handle of latest?.pending ?? []) {
        const segment = yield* backend.openSegment(handle)
        const blocks = yield* Stream.runCollect(segment.blocks)
        const rows = Buffer.concat(blocks.map((block) => block.payload))
        if (!rows.equals(promises.rows.get(handle.name)!)) return `other rows in ${handle.name}`
      }
      return null
    })
    const wrong = yield* read()
    if (wrong !== null) return wrong
    yield* backend.sweep([], Number.MAX_SAFE_INTEGER)
    const swept = yield* read()
    if (swept !== null) return `${swept} after a sweep`
    yield* complete(backend, { ...promises }, 9, latest?.pending ?? [], 2)
    return (yield* backend.latestCheckpoint)?.checkpointId === 9 ? null : "the next checkpoint is not the latest"
  }))
  return Effect.map(
    Effect.exit(disk.boot().run(Effect.provideService(check, Clock.Clock, now))),
    (exit) =>
      Exit.isFailure(exit)
        ? String(exit.cause)
        : exit.value === null
        ? "it died"
        : Exit.isFailure(exit.value)
        ? String(exit.value.cause)
        : exit.value.value
  )
}

/** Crashes the program at each of its steps in each way, and gives the promises that were broken. */
const explore = Effect.fnUntraced(function*(choices: number, planted: (fs: Fs) => Fs = (fs) => fs) {
  const promises = makePromises()
  const disk = SimulatedDisk.make()
  const broken: Array<string> = []
  let crashes = 0
  const crash = Effect.fnUntraced(function*(where: string, mode: CrashMode, seed: number) {
    const after = disk.fork(seed)
    after.crash({ mode })
    crashes++
    const problem = yield* brokenPromise(after, promises)
    if (problem !== null) broken.push(`${where}, ${mode} ${seed}: ${problem}`)
  })
  const crashAll = Effect.fnUntraced(function*(where: string) {
    for (const mode of certainModes) yield* crash(where, mode, 0)
    for (const mode of randomModes) for (let seed = 0; seed < choices; seed++) yield* crash(where, mode, seed)
  })
  const process = disk.boot()
  disk.observe((step) =>
    step.changes && step.phase !== "after"
      ? crashAll(`${step.phase} step ${step.index} (${step.operation} ${step.path})`)
      : Effect.void
  )
  const exit = yield* Effect.exit(
    program(promises).pipe(
      Effect.provideService(FileSystem.FileSystem, planted(process.fileSystem)),
      Effect.provideService(Clock.Clock, now)
    )
  )
  assert.isTrue(Exit.isSuccess(exit), String(exit))
  disk.observe(null)
  yield* crashAll("at the end")
  return { broken, crashes, coverage: disk.coverage }
})

/** A file system whose open files are changed. */
const withFiles = (fs: Fs, change: (file: FileSystem.File, path: string) => Partial<FileSystem.File>): Fs => ({
  ...fs,
  open: (path, options) => Effect.map(fs.open(path, options), (file) => ({ ...file, ...change(file, path) }))
})

const isDirectory = (path: string) => !/\.(wal|manifest|json|tmp)$/.test(path)

const planted: { readonly [bug: string]: (fs: Fs) => Fs } = {
  "files are not synced": (fs) => withFiles(fs, (_, path) => isDirectory(path) ? {} : { sync: Effect.void }),
  "segments are not synced": (fs) => withFiles(fs, (_, path) => path.endsWith(".wal") ? { sync: Effect.void } : {}),
  "directories are not synced": (fs) => withFiles(fs, (_, path) => isDirectory(path) ? { sync: Effect.void } : {}),
  "the directory of the segments is not synced": (fs) =>
    withFiles(fs, (_, path) => path.endsWith("/segments") ? { sync: Effect.void } : {}),
  "the directory of the checkpoints is not synced": (fs) =>
    withFiles(fs, (_, path) => path.endsWith("/checkpoints") ? { sync: Effect.void } : {}),
  "the state directory's own name is not synced": (fs) =>
    withFiles(fs, (_, path) => path === "/var" ? { sync: Effect.void } : {}),
  "the rename comes before the sync": (fs) => ({
    ...withFiles(fs, (_, path) => path.endsWith(".tmp") ? { sync: Effect.void } : {}),
    rename: (from, to) => Effect.andThen(fs.rename(from, to), sync(fs, to))
  }),
  "manifests are written in place": (fs) => ({
    ...fs,
    open: (path, options) => fs.open(path.replace(/\.tmp$/, ""), options),
    rename: () => Effect.void
  })
}

describe("SimulatedDisk: the state backend", () => {
  it.live("keeps its promises whatever crash comes at whatever step", () =>
    Effect.gen(function*() {
      const { broken, coverage, crashes } = yield* explore(50)
      assert.deepStrictEqual(broken, [])
      assert.isAbove(crashes, 5_000)
      for (
        const event of [
          ...certainModes,
          ...randomModes,
          "write lost",
          "write torn",
          "write kept",
          "zeros in place of data",
          "later write kept without an earlier one",
          "create undone",
          "rename undone",
          "remove undone",
          "later name change kept without an earlier one"
        ]
      ) assert.isAbove(coverage.get(`crash: ${event}`) ?? 0, 0, event)
    }), 180_000)

  for (const [bug, plant] of Object.entries(planted)) {
    it.live(`finds a planted bug: ${bug}`, () =>
      Effect.gen(function*() {
        const { broken } = yield* explore(10, plant)
        assert.isAbove(broken.length, 0)
      }))
  }

  it.live("keeps its promises when any operation fails, and crashes afterwards", () =>
    Effect.gen(function*() {
      const operations: ReadonlyArray<DiskOperation> = [
        "create",
        "makeDirectory",
        "open",
        "read",
        "readDirectory",
        "remove",
        "rename",
        "stat",
        "sync",
        "syncDirectory",
        "write"
      ]
      let failures = 0
      for (const operation of operations) {
        for (const outcome of ["partial", "none", "done"] as const) {
          for (let skip = 0, met = true; met; skip++) {
            const fault: DiskFault = { operation, code: "EIO", skip, outcome }
            const disk = SimulatedDisk.make({ seed: skip, faults: [fault] })
            const promises = makePromises()
            const exit = yield* disk.boot().run(Effect.provideService(program(promises), Clock.Clock, now))
            met = disk.coverage.has(`fault: EIO at ${operation}`)
            if (exit !== null && Exit.isFailure(exit)) failures++
            for (const mode of [...certainModes, ...randomModes]) {
              const after = disk.fork(skip)
              after.crash({ mode })
              assert.isNull(yield* brokenPromise(after, promises), `${operation} ${outcome} ${skip} ${mode}`)
            }
          }
        }
      }
      assert.isAbove(failures, 50)
    }))

  it.live("fails with ENOSPC on a full disk, loses nothing, and goes on when there is space", () =>
    Effect.gen(function*() {
      const whole = SimulatedDisk.make()
      let most = 0
      whole.observe(() => Effect.sync(() => void (most = Math.max(most, whole.usedBytes()))))
      yield* whole.boot().run(Effect.provideService(program(makePromises()), Clock.Clock, now))
      for (let capacity = 0; capacity < most; capacity += 37) {
        const disk = SimulatedDisk.make({ capacity })
        const promises = makePromises()
        const exit = yield* disk.boot().run(Effect.provideService(program(promises), Clock.Clock, now))
        assert(exit !== null && Exit.isFailure(exit), `${capacity}`)
        assert.include(String(exit.cause), "ENOSPC")
        disk.setCapacity(null)
        disk.crash({ mode: "mixed" })
        assert.isNull(yield* brokenPromise(disk, promises), `${capacity}`)
      }
    }))

  it.live("stops loudly at a flipped bit, or is not touched by it", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make({ seed: 1 })
      const promises = makePromises()
      yield* disk.boot().run(Effect.provideService(program(promises), Clock.Clock, now))
      disk.crash({ mode: "lost" })
      let stopped = 0
      const needed = ["checkpoints/e1-c3.manifest", "segments/e1-a0-s0-n2.wal"].map((name) =>
        `${job.directory}/${name}`
      )
      for (const [name, bytes] of disk.files()) {
        for (let byte = 0; byte < bytes.length; byte++) {
          const bit = byte * 8 + (byte % 8)
          const rotten = disk.fork(1)
          rotten.flipBit(name, bit)
          const problem = yield* brokenPromise(rotten, promises)
          if (problem !== null) {
            assert.match(problem, /StateCorrupt|StateUnusable/, `${name} ${bit}`)
            stopped++
          } else {
            // Else it was in no segment and no manifest that counts.
            assert.notInclude(needed, name, `${name} ${bit}`)
          }
        }
      }
      assert.isAtLeast(stopped, needed.reduce((sum, name) => sum + disk.files().get(name)!.length, 0))
    }))

  it.live("reads the same through short reads", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make({ shortReads: true })
      const promises = makePromises()
      yield* disk.boot().run(Effect.provideService(program(promises), Clock.Clock, now))
      disk.crash({ mode: "lost" })
      assert.isNull(yield* brokenPromise(disk, promises))
      assert.isAbove(disk.coverage.get("fault: short read") ?? 0, 0)
    }))

  it.live("locks out a second process while the first one lives", () =>
    Effect.gen(function*() {
      const disk = SimulatedDisk.make()
      const [one, two] = [disk.boot(), disk.boot()]
      const scope = yield* Scope.make()
      yield* one.run(Scope.provide(open, scope))
      const exit = yield* two.run(Effect.scoped(open))
      assert(exit !== null && Exit.isFailure(exit))
      assert.include(String(exit.cause), "in use by process 1 on simulated")
      one.kill()
      const next = yield* two.run(Effect.scoped(open))
      assert(next !== null && Exit.isSuccess(next))
    }))
})
