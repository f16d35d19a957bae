/** One connection through a proxy: two sockets, and what happens to the bytes between them. */
import type * as Net from "node:net"
import type { Faults } from "../FaultProxy.ts"

/** Bytes on the way in one direction, above which the sender has to wait. */
const onTheWayMax = 1 << 20
/** A limited connection passes its bytes in portions, so many a second. */
const portionsPerSecond = 20

/** Of all connections of a proxy: what has passed, and the totals at which faults begin that begin after some bytes. */
export interface Totals {
  fromClients: number
  fromServer: number
  silentAt: number
  noRepliesAt: number
}

interface Portion {
  readonly bytes: Buffer
  readonly at: number
}

/** Bytes in one direction, in order, each not before its time. */
class Direction {
  private readonly from: Net.Socket
  private readonly to: Net.Socket
  private readonly queue: Array<Portion> = []
  private onTheWay = 0
  private busyUntil = 0
  private timer: NodeJS.Timeout | null = null
  private isEnded = false

  constructor(from: Net.Socket, to: Net.Socket) {
    this.from = from
    this.to = to
    to.on("drain", () => this.deliver())
  }

  push(bytes: Buffer, faults: Faults): void {
    const now = performance.now()
    const { bytesPerSecond = Infinity, latencyMillis = 0 } = faults
    const size = bytesPerSecond === Infinity
      ? bytes.length
      : Math.max(1, Math.floor(bytesPerSecond / portionsPerSecond))
    for (let start = 0; start < bytes.length; start += size) {
      const part = bytes.subarray(start, start + size)
      this.busyUntil = Math.max(this.busyUntil, now) + part.length * 1000 / bytesPerSecond
      this.queue.push({ bytes: part, at: this.busyUntil + latencyMillis })
    }
    this.onTheWay += bytes.length
    if (this.onTheWay > onTheWayMax) this.from.pause()
    this.deliver()
  }

  end(): void {
    this.isEnded = true
    this.deliver()
  }

  /** What was delayed by a fault that is over goes at once. */
  hurry(): void {
    this.busyUntil = 0
    for (const [i, { bytes }] of this.queue.entries()) this.queue[i] = { bytes, at: 0 }
    this.deliver()
  }

  stop(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.queue.length = 0
  }

  private deliver(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    while (this.queue.length > 0) {
      const { at, bytes } = this.queue[0]!
      const millis = at - performance.now()
      if (millis > 0) {
        this.timer = setTimeout(() => this.deliver(), millis)
        return
      }
      if (this.to.destroyed || this.to.writableNeedDrain) return
      this.queue.shift()
      this.onTheWay -= bytes.length
      this.to.write(bytes)
      if (this.onTheWay <= onTheWayMax / 2) this.from.resume()
    }
    if (this.isEnded && !this.to.destroyed) this.to.end()
  }
}

export class Link {
  onClose: () => void = () => {}
  private readonly client: Net.Socket
  private readonly server: Net.Socket
  private readonly toServer: Direction
  private readonly toClient: Direction
  private readonly totals: Totals
  private faults: Faults
  private hasHole = false

  constructor(client: Net.Socket, server: Net.Socket, faults: Faults, totals: Totals) {
    this.client = client
    this.server = server
    this.totals = totals
    this.faults = faults
    this.toServer = new Direction(client, server)
    this.toClient = new Direction(server, client)
    client.on("data", (bytes: Buffer) => {
      totals.fromClients += bytes.length
      if (totals.fromClients > totals.silentAt) this.hasHole = true
      else this.toServer.push(bytes, this.faults)
    })
    server.on("data", (bytes: Buffer) => {
      totals.fromServer += bytes.length
      if (this.isSilent || totals.fromServer > totals.noRepliesAt) this.hasHole = true
      else this.toClient.push(bytes, this.faults)
    })
    // Who is not told of bytes is not told of the end either.
    client.on("end", () => this.isSilent || this.toServer.end())
    server.on("end", () => this.isSilent || this.toClient.end())
    for (const [socket, other] of [[client, server], [server, client]] as const) {
      socket.setNoDelay(true)
      socket.on("error", () => {
        if (!this.isSilent) other.resetAndDestroy()
      })
      socket.on("close", () => {
        if (client.destroyed && server.destroyed) this.close()
      })
    }
  }

  set(faults: Faults): void {
    // Bytes, or the news that one side has gone.
    if (this.hasHole || this.client.destroyed || this.server.destroyed) return this.reset()
    this.faults = faults
    this.toServer.hurry()
    this.toClient.hurry()
  }

  reset(): void {
    this.toServer.stop()
    this.toClient.stop()
    this.client.resetAndDestroy()
    this.server.resetAndDestroy()
    this.close()
  }

  private get isSilent(): boolean {
    return this.totals.fromClients >= this.totals.silentAt
  }

  private close(): void {
    this.toServer.stop()
    this.toClient.stop()
    this.onClose()
  }
}
