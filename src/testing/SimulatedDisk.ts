/**
 * A disk in memory that crashes, fails and lies as real ones do, behind Effect's `FileSystem`.
 *
 * A program runs on it unchanged. Files keep what was written apart from what was fsynced, directories keep the names
 * that programs see apart from the names that an fsync of the directory made durable, and `crash` decides what is
 * left. All chance comes from one seed, and there is no timer and no thread: a failure is a seed and a step.
 *
 * The faults, and what a correct program does about each:
 *
 * - **Death of the process** (`kill`): everything written stays, also the first part of a write that was going on.
 *   Must be survived: half-written files must be told from whole ones.
 * - **Power loss** (`lost`, `kept`, `cut`, `scattered`, `mixed`): of what was not fsynced, anything may be left. A
 *   write is torn between sectors of 512 bytes, a later write is there and an earlier one is not, a file has its new
 *   length and zeros in it. Names are as free: a file that was synced vanishes when its directory was not, a rename is
 *   undone or comes before the content of the file, a removed file is back. Must be survived, as nothing was promised.
 *   What is never undone is what was fsynced; a single sector is never torn, and a rename is whole or not at all, also
 *   between two directories (so it is on journaling and copy-on-write file systems).
 * - **A full disk** (`setCapacity`): the write that meets the end is done in part and fails with ENOSPC. The operation
 *   must fail; nothing durable may be lost, and after space was made a new attempt must succeed.
 * - **A failed write** (`inject`, EIO): a part of it was written. The file must not be used further.
 * - **A failed fsync** (`inject`): what it should have made durable is dropped, stays readable, and the next fsync of
 *   the same file succeeds without it (what Linux does). To sync again and go on loses data; the program must start
 *   a new file or stop.
 * - **An operation that is done and reports failure** (`inject` with `outcome: "done"`). Must be survived: to try again
 *   must not depend on the first try having had no effect.
 * - **A flipped bit** (`flipBit`): durable content is no longer what was synced. No program can survive this without a
 *   copy elsewhere; it must stop loudly instead of using what it reads.
 * - **A lost end** (`cutEnd`): the same, of the last bytes of a file.
 * - **A short read** (`shortReads`): fewer bytes than asked for, as POSIX allows anywhere. Must be survived.
 * - **Unordered directories**: names are listed in another order each time. Must be survived.
 *
 * Left out: symbolic and hard links, permissions, owners, copying, `watch` and temporary files of the system (they
 * die). Paths are absolute, or relative to the root; `..` is resolved by name.
 *
 * After TigerBeetle's `src/testing/storage.zig` and ALICE (Pillai et al., "All File Systems Are Not Created Equal",
 * OSDI 2014); failed fsyncs after Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type { ProcessIdentity } from "../state/DirectoryLock.ts"
import { ProcessTable } from "../state/DirectoryLock.ts"
import type { CrashMode } from "./internal/diskCrash.ts"
import { powerLoss } from "./internal/diskCrash.ts"
import type { ErrorCode } from "./internal/diskError.ts"
import { makeFileSystem } from "./internal/diskFileSystem.ts"
import { DiskClient, Machine } from "./internal/diskMachine.ts"
import type { DiskFault, DiskOperation, DiskStep } from "./internal/diskModel.ts"
import type { Random } from "./internal/diskRandom.ts"
import { makeRandom, randomFrom } from "./internal/diskRandom.ts"
import { DiskTree } from "./internal/diskTree.ts"

export type { CrashMode, DiskFault, DiskOperation, DiskStep, ErrorCode, Random }

/**
 * What the chance of a disk is drawn from, and how much it holds.
 *
 * @category models
 * @since 0.1.0
 */
export interface SimulatedDiskOptions {
  /** A seed, or a source of numbers in [0, 1). Default: seed 0. */
  readonly seed?: number | Random | undefined
  /** Bytes that all files together may have. Default: no limit. Directories cost nothing. */
  readonly capacity?: number | undefined
  /** Whether reads from open files return fewer bytes than there are, at random. Default false. */
  readonly shortReads?: boolean | undefined
  /** See `SimulatedDisk.inject`. Default: none. */
  readonly faults?: ReadonlyArray<DiskFault> | undefined
  /** See `SimulatedDisk.observe`. Default: nobody observes. */
  readonly onStep?: ((step: DiskStep, disk: SimulatedDisk) => Effect.Effect<void>) | undefined
}

/**
 * How a disk crashes.
 *
 * @category models
 * @since 0.1.0
 */
export interface CrashOptions {
  /** Default `mixed`. */
  readonly mode?: CrashMode | undefined
  /** Decides what is left. Default: the disk's own source. */
  readonly seed?: number | Random | undefined
}

/**
 * What a crash has undone.
 *
 * @category models
 * @since 0.1.0
 */
export interface CrashReport {
  readonly mode: CrashMode
  /** The disk's steps so far. */
  readonly steps: number
  /** Changes of names that the crash undid, newest first: "rename /a.tmp to /a". */
  readonly undone: ReadonlyArray<string>
}

/**
 * A process that runs on the disk, until it is killed or the disk crashes.
 *
 * @category models
 * @since 0.1.0
 */
export interface DiskProcess {
  readonly id: number
  /** False from the moment it is killed. */
  readonly isAlive: () => boolean
  /** Once the process is dead, no operation returns or changes anything; fibers that wait for one can be interrupted. */
  readonly fileSystem: FileSystem.FileSystem
  /** The file system, and a `ProcessTable` that knows which processes of this disk are alive. */
  readonly layer: Layer.Layer<FileSystem.FileSystem>
  /** Ends this process only; what it wrote stays as it is, synced or not. */
  readonly kill: () => void
  /** Returns when the process is dead. */
  readonly died: Effect.Effect<void>
  /**
   * Runs a program as this process: its Exit, or null if the process died before it ended. Its fiber is then left
   * where it was, finalizers and all, as nothing of a dead process runs.
   */
  readonly run: <A, E, R>(
    program: Effect.Effect<A, E, R>
  ) => Effect.Effect<Exit.Exit<A, E> | null, never, Exclude<R, FileSystem.FileSystem>>
}

/**
 * A disk in memory that keeps what was synced, and loses of the rest what chance says.
 *
 * @category models
 * @since 0.1.0
 */
export interface SimulatedDisk {
  /** A new process. Several may live at once; after a crash this is the restart. */
  readonly boot: () => DiskProcess
  /** Ends all processes; for modes other than `kill`, cuts the power. Then what is left is durable. */
  readonly crash: (options?: CrashOptions) => CrashReport
  /**
   * The disk as it is at this moment, unsynced changes included, as a disk of its own without processes, hook and
   * faults; it counts into the same `coverage`. So one run can be crashed at each step in as many ways as one likes.
   */
  readonly fork: (seed?: number | Random) => SimulatedDisk
  /** Adds a fault; what it returns takes it away again. */
  readonly inject: (fault: DiskFault) => () => void
  /** Called around every operation; it may crash or fork the disk, wait, or fail with a defect. null: no more. */
  readonly observe: (hook: ((step: DiskStep, disk: SimulatedDisk) => Effect.Effect<void>) | null) => void
  /** Bytes that all files together may have; null: no limit. */
  readonly setCapacity: (bytes: number | null) => void
  /** Flips a bit of a file, counted from its beginning, where it is read from and on the disk. */
  readonly flipBit: (path: string, bit: number) => void
  /** Leaves the first `bytes` bytes of a file, where it is read from and on the disk. */
  readonly cutEnd: (path: string, bytes: number) => void
  /** Absolute path and content of each file, as programs see them. */
  readonly files: () => Map<string, Buffer>
  /** Files that were opened and not yet closed, of all processes. */
  readonly openHandles: () => Array<{ readonly path: string; readonly flag: string; readonly process: number }>
  /** Bytes of all files together, which `capacity` bounds. */
  readonly usedBytes: () => number
  /** Operations so far. */
  readonly steps: () => number
  /** How often each operation, each fault and each effect of a crash happened, to see that a test met them. */
  readonly coverage: ReadonlyMap<string, number>
}

/**
 * An empty disk. `random` of a seed is mulberry32.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: SimulatedDiskOptions = {}): SimulatedDisk => {
  const disk = fromMachine(
    new Machine({
      tree: new DiskTree(),
      random: randomFrom(options.seed, () => makeRandom(0)),
      coverage: new Map(),
      shortReads: options.shortReads ?? false,
      clientsBooted: 0,
      capacity: options.capacity ?? Infinity
    })
  )
  for (const fault of options.faults ?? []) disk.inject(fault)
  disk.observe(options.onStep ?? null)
  return disk
}

const fromMachine = (machine: Machine): SimulatedDisk => {
  const disk: SimulatedDisk = {
    boot: () => bootOn(machine),
    crash: (options = {}) => {
      const mode = options.mode ?? "mixed"
      for (const client of machine.clients) machine.kill(client)
      machine.count(`crash: ${mode}`)
      const undone = mode === "kill"
        ? []
        : powerLoss(
          machine.tree,
          mode,
          randomFrom(options.seed, () => machine.random),
          (event) => machine.count(`crash: ${event}`)
        )
      return { mode, steps: machine.steps, undone }
    },
    fork: (seed) =>
      fromMachine(
        new Machine({
          tree: machine.tree.clone(),
          random: randomFrom(seed, () => makeRandom(Math.floor(machine.random() * 0x1_0000_0000))),
          coverage: machine.coverage,
          shortReads: machine.shortReads,
          clientsBooted: machine.clientsBooted,
          capacity: machine.capacity
        })
      ),
    inject: (fault) => machine.faults.add(fault),
    observe: (hook) => {
      machine.hook = hook === null ? null : (step) => hook(step, disk)
    },
    setCapacity: (bytes) => {
      machine.capacity = bytes ?? Infinity
    },
    flipBit: (path, bit) => {
      const node = machine.tree.get(path, "open")
      if (node.kind === "Directory" || !node.flipBit(bit)) throw new RangeError(`${path} has no bit ${bit}`)
      machine.count("fault: flipped bit")
    },
    cutEnd: (path, bytes) => {
      const node = machine.tree.get(path, "open")
      if (node.kind === "Directory" || bytes > node.size) throw new RangeError(`${path} has no ${bytes} bytes`)
      node.truncate(machine.steps, bytes)
      node.sync()
      machine.count("fault: lost end")
    },
    files: () => new Map(machine.tree.files().map(([path, file]) => [path, Buffer.from(file.read(0, file.size))])),
    openHandles: () =>
      Array.from(machine.clients).flatMap((client) =>
        Array.from(client.handles, ({ flag, path, process }) => ({ path, flag, process }))
      ),
    usedBytes: () => machine.tree.used,
    steps: () => machine.steps,
    coverage: machine.coverage
  }
  return disk
}

const bootOn = (machine: Machine): DiskProcess => {
  const client = new DiskClient(++machine.clientsBooted)
  machine.clients.add(client)
  const fileSystem = makeFileSystem(machine, client)
  const self: ProcessIdentity = { pid: client.id, host: "simulated", started: String(client.id) }
  const table = {
    self,
    held: new Set<string>(),
    isAlive: (other: ProcessIdentity) => Array.from(machine.clients).some((client) => client.id === other.pid)
  }
  return {
    id: client.id,
    isAlive: () => client.alive,
    fileSystem,
    layer: Layer.mergeAll(
      Layer.succeed(FileSystem.FileSystem)(fileSystem),
      Layer.succeed(ProcessTable)(table)
    ),
    kill: () => machine.kill(client),
    died: Deferred.await(client.died),
    run: Effect.fnUntraced(function*<A, E, R>(program: Effect.Effect<A, E, R>) {
      const fiber = yield* program.pipe(
        Effect.provideService(FileSystem.FileSystem, fileSystem),
        Effect.provideService(ProcessTable, table),
        Effect.forkDetach({ startImmediately: true })
      )
      return yield* Effect.raceFirst(Fiber.await(fiber), Effect.as(Deferred.await(client.died), null)).pipe(
        Effect.onInterrupt(() => Fiber.interrupt(fiber))
      )
    })
  }
}
