/** Ends connections when the server closes: those that wait for nothing at once, the others with their answer. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** Node itself would wait for clients that keep a connection open, or never sent anything on it. */
export function endConnectionsOnClose (app: FastifyInstance): void {
  const underWay = new Map<Socket, number>()
  let closing = false

  function count (socket: Socket, change: number): void {
    const requests = (underWay.get(socket) ?? 0) + change
    if (underWay.has(socket)) underWay.set(socket, requests)
    if (closing && requests === 0) socket.end()
  }

  app.server.on('connection', (socket: Socket) => {
    underWay.set(socket, 0)
    socket.once('close', () => { underWay.delete(socket) })
  })
  app.server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    count(socket, 1)
    response.once('close', () => { count(socket, -1) })
  })
  app.addHook('preClose', async () => {
    closing = true
    for (const [socket, requests] of underWay) if (requests === 0) socket.destroy()
  })
}
