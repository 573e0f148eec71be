/** Ends connections when the server closes: those that wait for nothing at once, the others with their answer. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Node itself would wait for clients that keep a connection open, or never sent anything on it. */
export interface Connections {
  /** All of this server's are among them from now on. */
  of: (server: Server) => void
  /** A request has come whose answer takes a while: its connection is not ended before. */
  await: (request: IncomingMessage, response: ServerResponse) => void
  close: () => void
}

export function createConnections (): Connections {
  const underWay = new Map<Socket, number>()
  let closing = false

  function count (socket: Socket, change: number): void {
    const requests = (underWay.get(socket) ?? 0) + change
    if (underWay.has(socket)) underWay.set(socket, requests)
    if (closing && requests === 0) socket.end()
  }

  return {
    of (server) {
      server.on('connection', socket => {
        underWay.set(socket, 0)
        socket.once('close', () => { underWay.delete(socket) })
      })
    },
    await ({ socket }, response) {
      count(socket, 1)
      response.once('close', () => { count(socket, -1) })
    },
    close () {
      closing = true
      for (const [socket, requests] of underWay) if (requests === 0) endNow(socket)
    }
  }
}

/** What was answered may be on its way still. */
function endNow (socket: Socket): void {
  if (socket.writableLength > 0) socket.end()
  else socket.destroy()
}
