/**
 * The state of a simulated disk and the way every operation takes through it: counted, shown to the hook, met by a
 * fault, done, shown again; and nothing of it once the process that asked for it is dead.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as PlatformError from "effect/PlatformError"
import { DiskError, platformError } from "./diskError.ts"
import type { DiskFile } from "./diskFile.ts"
import type { DiskFault, DiskOperation, DiskStep, StepHook } from "./diskModel.ts"
import { changesDisk, DiskFaults } from "./diskModel.ts"
import type { Random } from "./diskRandom.ts"
import { below } from "./diskRandom.ts"
import type { DiskNode, DiskTree } from "./diskTree.ts"

export interface Handle {
  readonly descriptor: number
  readonly node: DiskNode
  readonly path: string
  readonly flag: string
  readonly process: number
  position: number
}

/** A process that has the disk open. */
export class DiskClient {
  readonly id: number
  readonly handles = new Set<Handle>()
  readonly died = Deferred.makeUnsafe<void>()
  alive = true

  constructor(id: number) {
    this.id = id
  }
}

/** What is asked for: its name for hooks and faults, and what its errors say. */
export interface Request {
  readonly operation: DiskOperation
  readonly path: string
  readonly method: string
  /** A path or the number of a descriptor, as in the errors of Node. */
  readonly subject: string | number
  readonly syscall: string
}

/**
 * What an operation of a dead process does. Interruptible even where it stands in for an acquisition or in a finalizer,
 * so that what is left behind can be cleared away.
 */
const stale: Effect.Effect<never> = Effect.interruptible(Effect.never)

export class Machine {
  readonly tree: DiskTree
  readonly random: Random
  readonly faults = new DiskFaults()
  readonly coverage: Map<string, number>
  readonly clients = new Set<DiskClient>()
  readonly shortReads: boolean
  clientsBooted: number
  descriptors = 2
  steps = 0
  capacity: number
  hook: StepHook | null = null

  constructor(options: {
    readonly tree: DiskTree
    readonly random: Random
    readonly coverage: Map<string, number>
    readonly shortReads: boolean
    readonly clientsBooted: number
    readonly capacity: number
  }) {
    this.tree = options.tree
    this.random = options.random
    this.coverage = options.coverage
    this.shortReads = options.shortReads
    this.clientsBooted = options.clientsBooted
    this.capacity = options.capacity
  }

  readonly count = (event: string): void => {
    this.coverage.set(event, (this.coverage.get(event) ?? 0) + 1)
  }

  kill(client: DiskClient): void {
    if (!client.alive) return
    client.alive = false
    this.clients.delete(client)
    for (const handle of client.handles) this.close(client, handle)
    Deferred.doneUnsafe(client.died, Effect.void)
  }

  close(client: DiskClient, handle: Handle): void {
    if (!client.handles.delete(handle) || handle.node.kind !== "File") return
    handle.node.handles--
    this.tree.release(handle.node)
  }

  /** One operation. `body` throws DiskError, and is called at most once. */
  run<A>(client: DiskClient, request: Request, body: () => A): Effect.Effect<A, PlatformError.PlatformError> {
    return Effect.suspend(() => {
      if (!client.alive) return stale
      const step = this.begin(client, request)
      if (this.hook === null) return this.attempt(request, body)
      return this.hook({ ...step, phase: "before" }).pipe(
        Effect.flatMap(() => client.alive ? this.finish(client, step, this.attempt(request, body)) : stale)
      )
    })
  }

  /** A write of all bytes, or of as many as there is room for. Returns how many were written before `failure`. */
  write(
    client: DiskClient,
    request: Request,
    file: DiskFile,
    offset: () => number,
    bytes: Uint8Array
  ): Effect.Effect<{ readonly written: number; readonly failure: PlatformError.PlatformError | null }> {
    const put = (at: number, from: number, to: number) => {
      if (to <= from) return
      if (file.links > 0 || file.handles > 0) this.tree.used += file.growth(at + from, to - from)
      file.write(this.tree.at++, at + from, bytes.subarray(from, to))
    }
    const failed = (error: DiskError) => platformError(error, request.method, request.subject)
    /** How far it gets, and what stops it there. */
    const meet = (at: number): { readonly end: number; readonly failure: PlatformError.PlatformError | null } => {
      const fault = this.meet(request)
      if (fault !== null) {
        const end = fault.outcome === "done"
          ? bytes.length
          : fault.outcome === "none"
          ? 0
          : below(this.random, bytes.length)
        return { end, failure: failed(new DiskError(fault.code, request.syscall)) }
      }
      const room = Math.max(0, this.capacity - this.tree.used)
      if (file.growth(at, bytes.length) <= room) return { end: bytes.length, failure: null }
      this.count("fault: disk full")
      return {
        end: Math.max(0, Math.min(bytes.length, file.size + room - at)),
        failure: failed(new DiskError("ENOSPC", request.syscall))
      }
    }
    return Effect.suspend(() => {
      if (!client.alive) return stale
      const step = this.begin(client, request)
      const { hook } = this
      if (hook === null) {
        const at = offset()
        const { end, failure } = meet(at)
        put(at, 0, end)
        return Effect.succeed({ written: end, failure })
      }
      return hook({ ...step, phase: "before" }).pipe(Effect.flatMap(() => {
        if (!client.alive) return stale
        const at = offset()
        const { end, failure } = meet(at)
        const result = Effect.succeed({ written: end, failure })
        if (end < 2) {
          put(at, 0, end)
          return this.finish(client, step, result)
        }
        const middle = 1 + below(this.random, end - 1)
        put(at, 0, middle)
        return hook({ ...step, phase: "during" }).pipe(Effect.flatMap(() => {
          if (!client.alive) return stale
          put(at, middle, end)
          return this.finish(client, step, result)
        }))
      }))
    })
  }

  private begin(client: DiskClient, { operation, path }: Request): Omit<DiskStep, "phase"> {
    this.steps++
    this.count(`operation: ${operation}`)
    return { index: this.steps, operation, path, changes: changesDisk(operation), process: client.id }
  }

  private finish<A, E>(
    client: DiskClient,
    step: Omit<DiskStep, "phase">,
    result: Effect.Effect<A, E>
  ): Effect.Effect<A, E> {
    return this.hook === null
      ? result
      : Effect.flatMap(this.hook({ ...step, phase: "after" }), () => client.alive ? result : stale)
  }

  private meet({ operation, path }: Request): DiskFault | null {
    const fault = this.faults.meet(operation, path, this.random)
    if (fault !== null) this.count(`fault: ${fault.code} at ${operation}`)
    return fault
  }

  private attempt<A>(request: Request, body: () => A): Effect.Effect<A, PlatformError.PlatformError> {
    try {
      const fault = this.meet(request)
      if (fault === null) return Effect.succeed(body())
      if (fault.outcome === "done") body()
      else if (fault.outcome !== "none") this.failSync(request)
      throw new DiskError(
        fault.code,
        request.syscall,
        typeof request.subject === "string" ? request.subject : undefined
      )
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      return Effect.fail(platformError(error, request.method, request.subject))
    }
  }

  private failSync(request: Request): void {
    if (request.operation !== "sync" && request.operation !== "syncDirectory") return
    for (const client of this.clients) {
      for (const { descriptor, node } of client.handles) {
        if (descriptor !== request.subject) continue
        if (node.kind === "File") node.dropUnsynced()
        else this.tree.dropUnsynced(node)
      }
    }
  }
}
