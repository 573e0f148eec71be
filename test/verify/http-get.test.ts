/** Bounded in time and size, never led elsewhere; and nothing left behind. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createHttpClient, type GetOptions, type HttpClient, type Page } from '../../src/verify/http-get.ts'

async function start (t: Test, answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<{ client: HttpClient, get: (options?: Partial<GetOptions>) => Promise<Page>, connections: () => number, closed: () => Promise<void> }> {
  let connections = 0
  let open = 0
  let onClosed = (): void => { /* nobody waits */ }
  const server = createServer(answer)
  server.on('connection', socket => {
    connections++
    open++
    socket.on('close', () => { if (--open === 0) onClosed() })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const client = createHttpClient()
  t.teardown(() => {
    client.close()
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/page`
  return {
    client,
    get: async options => await client.get(url, { accept: 'text/plain', timeoutMs: 10_000, largestBytes: 1_000, ...options }),
    connections: () => connections,
    closed: async () => { if (open > 0) await new Promise<void>(resolve => { onClosed = resolve }) }
  }
}

await t.test('a page, and whether it is still the same', async t => {
  const { get, connections } = await start(t, (request, response) => {
    if (request.headers['if-none-match'] === '"1"') response.writeHead(304, { etag: '"1"' }).end()
    else response.writeHead(200, { etag: '"1"' }).end(request.headers.accept)
  })
  t.strictSame(await get(), { status: 200, etag: '"1"', text: 'text/plain' })
  t.strictSame(await get({ etag: '"1"' }), { status: 304, etag: '"1"', text: '' })
  t.match(await get({ etag: null }), { status: 200 })
  t.equal(connections(), 1, 'over one connection')
})

await t.test('a redirect is an answer, and is not followed', async t => {
  let asked = 0
  const { get } = await start(t, (_request, response) => {
    asked++
    response.writeHead(302, { location: '/elsewhere' }).end()
  })
  t.match(await get(), { status: 302 })
  t.equal(asked, 1)
})

await t.test('it gives up on what is too large, or too slow, or nothing at all', async t => {
  const large = await start(t, (_request, response) => { response.end('x'.repeat(1_001)) })
  await t.rejects(large.get(), { message: /larger than 1000 bytes/ })
  const silent = await start(t, () => { /* never answers */ })
  await t.rejects(silent.get({ timeoutMs: 20 }))
  const slow = await start(t, (_request, response) => { response.write('x') })
  await t.rejects(slow.get({ timeoutMs: 20 }), 'in the middle of the answer, too')
  const rude = await start(t, request => { request.socket.destroy() })
  await t.rejects(rude.get())
})

await t.test('closing leaves nothing behind', async t => {
  const idle = await start(t, (_request, response) => { response.end('x') })
  await idle.get()
  idle.client.close()
  await idle.closed()
  t.pass('a connection that waited for the next time is closed')

  const asked = Promise.withResolvers<undefined>()
  const busy = await start(t, () => { asked.resolve(undefined) })
  const waiting = busy.get()
  await asked.promise
  busy.client.close()
  await t.rejects(waiting, 'and what is under way is given up')
  await busy.closed()
})
