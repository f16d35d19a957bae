import * as Net from "node:net"

/** Cassandra as it is seen through a door that can be shut: then every connection is lost, and none can be made. */
export interface Door {
  readonly env: NodeJS.ProcessEnv
  readonly isDown: () => boolean
  readonly setDown: (isDown: boolean) => void
  readonly close: () => void
}

/** Shuts by itself after so many bytes from the clients: in the middle of their work. */
export const openDoor = async (bytes: number, contactPoints: string): Promise<Door> => {
  const [host, port = "9042"] = contactPoints.split(",")[0]!.trim().split(":")
  const sockets = new Set<Net.Socket>()
  let left = bytes
  let down = false
  const setDown = (isDown: boolean) => {
    down = isDown
    if (!isDown) left = Number.POSITIVE_INFINITY
    else for (const socket of sockets) socket.destroy()
  }
  const proxy = Net.createServer((client) => {
    if (down) return void client.destroy()
    const server = Net.connect(Number(port), host)
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => {
        sockets.delete(socket)
        client.destroy()
        server.destroy()
      })
    }
    server.on("data", (chunk) => client.write(chunk))
    client.on("data", (chunk) => {
      left -= chunk.length
      if (left <= 0) setDown(true)
      else server.write(chunk)
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
  return {
    env: { CASSANDRA_CONTACT_POINTS: `127.0.0.1:${(proxy.address() as Net.AddressInfo).port}` },
    isDown: () => down,
    setDown,
    close: () => {
      proxy.close()
      for (const socket of sockets) socket.destroy()
    }
  }
}
