/** A wire to a server that can be cut so that neither end hears of it: as by a firewall that forgets connections, or a machine that is gone. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Teardown } from './service.ts'

export interface Wire {
  /** The server's address, by this wire. */
  url: string
  /** Nothing passes any more on the connections that there are; new ones work. */
  cut: () => void
}

/** @param to address of the server */
export async function layWire (t: Teardown, to: string): Promise<Wire> {
  const url = new URL(to)
  const { hostname, port } = url
  const whole = new Set<[Socket, Socket]>()
  const everyone = new Set<Socket>()

  const server = createServer(near => {
    const far = connect(Number(port), hostname)
    const ends: [Socket, Socket] = [near, far]
    near.pipe(far).pipe(near)
    whole.add(ends)
    for (const end of ends) {
      everyone.add(end)
      end.on('error', () => { /* close follows */ })
      end.on('close', () => { if (whole.delete(ends)) for (const other of ends) other.destroy() })
    }
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => {
    for (const socket of everyone) socket.destroy()
    server.close()
  })
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    cut () {
      for (const end of [...whole].flat()) end.unpipe().pause()
      whole.clear()
    }
  }
}
