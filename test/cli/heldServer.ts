import * as Net from "node:net"

/** The server behind a door. */
export interface HeldServer {
  readonly env: NodeJS.ProcessEnv
  /** Whether the door has closed: nothing that a client sends gets through, and nobody is told. */
  readonly isHeld: () => boolean
  /** Opens the door for good. */
  readonly release: () => void
  readonly close: () => void
}

/**
 * A way to the first contact point that closes after so many bytes from the clients: what loads through it is then in
 * the middle of its work for as long as the test likes, as with a server that has stopped to answer.
 */
export const holdAfter = async (bytes: number, contactPoints: string): Promise<HeldServer> => {
  const [host, port = "9042"] = contactPoints.split(",")[0]!.trim().split(":")
  const sockets = new Set<Net.Socket>()
  let left = bytes
  let released = false
  const proxy = Net.createServer((client) => {
    const server = Net.connect(Number(port), host)
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => {
        client.destroy()
        server.destroy()
      })
    }
    server.on("data", (chunk) => client.write(chunk))
    client.on("data", (chunk) => {
      left -= chunk.length
      server.write(chunk)
      if (!released && left <= 0) { for (const socket of sockets) socket.pause() }
    })
    if (!released && left <= 0) client.pause()
  })
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
  return {
    env: { CASSANDRA_CONTACT_POINTS: `127.0.0.1:${(proxy.address() as Net.AddressInfo).port}` },
    isHeld: () => left <= 0,
    release: () => {
      released = true
      for (const socket of sockets) socket.resume()
    },
    close: () => {
      proxy.close()
      for (const socket of sockets) socket.destroy()
    }
  }
}
