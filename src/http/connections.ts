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
  /** The last one of each, since answers go out in the order of their requests: to be told of the end of each would cost more. */
  const lastAnswers = new Map<Socket, ServerResponse | null>()
  let closing = false

  return {
    of (server) {
      server.on('connection', socket => {
        lastAnswers.set(socket, null)
        socket.once('close', () => { lastAnswers.delete(socket) })
      })
    },
    await ({ socket }, response) {
      if (closing) endAfter(response, socket)
      else if (lastAnswers.has(socket)) lastAnswers.set(socket, response)
    },
    close () {
      closing = true
      for (const [socket, answer] of lastAnswers) {
        if (answer && !answer.writableFinished) endAfter(answer, socket)
        else endNow(socket)
      }
    }
  }
}

function endAfter (answer: ServerResponse, socket: Socket): void {
  answer.once('close', () => { socket.end() })
}

/** What was answered may be on its way still. */
function endNow (socket: Socket): void {
  if (socket.writableLength > 0) socket.end()
  else socket.destroy()
}
