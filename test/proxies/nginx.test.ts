/** A real nginx with the very file that we hand out, in front of an API that says what reached it. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { nginxIsMissing, startNginx } from '../fakes/nginx.ts'
import { startService, type Service, type Teardown } from '../fakes/service.ts'
import { freePort } from '../fakes/shell.ts'

const CONFIGURATION = readFileSync(new URL('../../examples/nginx/mintmark.conf', import.meta.url), 'utf8')
const PAGE = readFileSync(new URL('../../docs/proxies.md', import.meta.url), 'utf8')
const NINE = ['user', 'email', 'groups', 'preferred-username', 'kind', 'roles', 'scopes', 'subject', 'issuer'].map(name => `x-auth-request-${name}`)
const skip = nginxIsMissing

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** What reached the API, if it did. */
  seen: Seen | null
}

interface Seen {
  method: string
  url: string
  headers: IncomingHttpHeaders
  body: string
}

interface Asking {
  method?: string
  headers?: Record<string, string | string[]>
  /** Chunks are sent without a Content-Length. */
  body?: string | string[]
}

interface Front {
  service: Service
  get: (path: string, token: string, asking?: Asking) => Promise<Answer>
  ask: (path: string, asking?: Asking) => Promise<Answer>
  /** How many requests have reached the API. */
  calls: () => number
  stopMintmark: () => Promise<void>
}

await t.test('the page shows the file as it is', async t => {
  t.ok(PAGE.includes(`\`\`\`nginx\n${CONFIGURATION}\`\`\``), 'docs/proxies.md quotes examples/nginx/mintmark.conf')
  for (const proxy of ['nginx', 'Traefik', 'Envoy', 'Caddy', 'HAProxy']) {
    const [section = ''] = PAGE.split(`\n## ${proxy}\n`)[1]?.split('\n## ') ?? []
    t.strictSame(NINE.filter(name => !section.toLowerCase().includes(name)), [], `${proxy}: names each header`)
  }
})

await t.test('who may pass', { skip }, async t => {
  const { service, ask, get, calls } = await startFront(t)
  const reader = await service.token(await service.bot('reader-bot', { email: 'reader@example.com', roles: ['Reader', 'A,B'] }))
  const writer = await service.token(await service.bot('writer-bot', { scopes: ['metadata:write', 'metadata:read'] }))

  await t.test('a good token passes, and the API is told whose it is', async t => {
    const { status, seen } = await get('/api/v1/tables?limit=10', reader)
    t.equal(status, 200)
    t.match(seen, { method: 'GET', url: '/api/v1/tables?limit=10' })
    t.match(seen?.headers, {
      host: /^127\.0\.0\.1:\d+$/,
      'x-auth-request-user': 'reader-bot',
      'x-auth-request-email': 'reader@example.com',
      'x-auth-request-kind': 'bot',
      'x-auth-request-roles': 'Reader,A%2CB',
      'x-auth-request-subject': 'reader-bot',
      'x-auth-request-issuer': service.parts.config.issuer
    })
  })

  await t.test('no token, a bad one, and another scheme do not', async t => {
    const before = calls()
    const none = await ask('/api/v1/tables')
    t.match(none, { status: 401, headers: { 'www-authenticate': 'Bearer realm="mintmark"' } })
    const bad = await get('/api/v1/tables', 'x.y.z')
    t.match(bad, { status: 401, headers: { 'www-authenticate': /^Bearer realm="mintmark", error="invalid_token", error_description="[^"]+"$/ } }, 'one challenge')
    t.match(await ask('/api/v1/tables', { headers: { authorization: `Basic ${reader}` } }), { status: 401 })
    t.equal(calls(), before, 'the API hears nothing of them')
  })

  await t.test('writing needs its scope, whatever the method is called', async t => {
    const before = calls()
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND', 'PURGE']) {
      const refused = await get('/api/v1/tables', reader, { method })
      t.match(refused, { status: 403, headers: { 'www-authenticate': /error="insufficient_scope"/ } }, `${method} without`)
    }
    t.equal(calls(), before, 'the API hears nothing of them')
    t.match(await get('/api/v1/tables', writer, { method: 'DELETE' }), { status: 200, seen: { method: 'DELETE' } })
    t.match((await get('/api/v1/tables', writer)).seen?.headers, { 'x-auth-request-scopes': 'metadata:write metadata:read' })
  })

  await t.test('the API\'s own refusals are its own', async t => {
    const { status, headers, text } = await get('/refuse', reader)
    t.match({ status, text }, { status: 403, text: 'not yours' })
    t.equal(headers['www-authenticate'], undefined)
  })

  await t.test('a client cannot choose what is asked of its token', async t => {
    const stray = await service.token(await service.bot('stray-bot', { audiences: ['another-api'] }))
    t.match(await get('/api/v1/tables?audience=another-api', stray), { status: 401 })
    t.match(await get('/_mintmark', reader), { status: 404 }, 'nor see how nginx asks')
  })
})

await t.test('what a client sends', { skip }, async t => {
  const { service, ask, get, calls } = await startFront(t)
  const token = await service.token(await service.bot('honest-bot', { scopes: ['metadata:write'] }))

  await t.test('no header of ours survives that mintmark did not send', async t => {
    const spoofed = Object.fromEntries(NINE.map(name => [name, 'admin']))
    const aliases = { X_Auth_Request_User: 'admin', 'X.Auth.Request.User': 'admin', 'X-AUTH-REQUEST-ROLES': ['admin', 'Admin'] }
    for (const sent of [spoofed, aliases, { ...spoofed, connection: NINE.join(', ') }]) {
      const { status, seen } = await get('/', token, { headers: sent })
      t.equal(status, 200)
      t.equal(seen?.headers['x-auth-request-user'], 'honest-bot')
      t.equal(seen?.headers['x-auth-request-groups'], undefined, 'what is blank is not sent')
      t.notMatch(JSON.stringify(seen?.headers).toLowerCase(), /"admin/)
    }
  })

  await t.test('any path is the API\'s business', async t => {
    for (const path of ['/a%20b/%ff%fe', '/v1/%2e%2e/auth?x=%zz', '/auth/../health?scope=none', '//x//y', `/${'a'.repeat(10_000)}`]) {
      t.match(await get(path, token), { status: 200, seen: { url: path } }, path.slice(0, 40))
      t.match(await ask(path), { status: 401 }, 'and none is a way around')
    }
    t.match(await get('/%zz', token), { status: 400, seen: null }, 'nginx itself refuses a path with a broken escape')
  })

  await t.test('a body reaches the API, and mintmark never waits for it', async t => {
    const body = JSON.stringify({ name: 'orders', padding: 'x'.repeat(200_000) })
    t.match(await get('/api/v1/tables', token, { method: 'POST', body }), { status: 200, seen: { method: 'POST', body } })
    t.match(await get('/api/v1/tables', token, { method: 'PUT', body: [body, body] }), { status: 200, seen: { body: body + body } }, 'in chunks')
    t.match(await get('/after', token), { status: 200, seen: { url: '/after', body: '' } }, 'the connections are in order afterwards')
  })

  await t.test('a large token is a bad token', async t => {
    const before = calls()
    t.match(await get('/', 'a'.repeat(20 * 1024)), { status: 401, headers: { 'www-authenticate': /error="invalid_token"/ } })
    t.match(await get('/', 'a'.repeat(40 * 1024)), { status: 400 }, 'until nginx itself will not have the line')
    t.match(await get('/', ''), { status: 401 })
    t.match(await ask('/', { headers: { authorization: [`Bearer ${token}`, 'Bearer x'] } }), { status: 400 }, 'of two tokens neither counts')
    t.equal(calls(), before)
    const headers = { cookie: 'x'.repeat(30_000), 'x-a': 'x'.repeat(30_000), 'x-b': 'x'.repeat(30_000) }
    t.match(await get('/', token, { headers }), { status: 200 }, 'other headers are the API\'s alone, more than mintmark takes too')
  })

  await t.test('many scopes fit through', async t => {
    const scopes = Array.from({ length: 250 }, (_, place) => `metadata:scope-${place}`)
    const rich = await service.token(await service.bot('rich-bot', { scopes }))
    t.match(await get('/', rich), { status: 200, seen: { headers: { 'x-auth-request-scopes': scopes.join(' ') } } })
  })
})

await t.test('while mintmark is away nobody passes', { skip }, async t => {
  const { service, get, calls, stopMintmark } = await startFront(t)
  const token = await service.token(await service.bot('early-bot'))
  t.match(await get('/', token), { status: 200 })
  await stopMintmark()
  t.match(await get('/', token), { status: 500 })
  t.equal(calls(), 1)
})

async function startFront (t: Teardown): Promise<Front> {
  const service = await startService(t)
  const mintmark = await service.app.listen({ port: 0, host: '127.0.0.1' })
  const api = await startApi(t)
  const port = await freePort()
  await startNginx(t, port, CONFIGURATION
    .replace('listen 8080;', `listen 127.0.0.1:${port};`)
    .replace('127.0.0.1:8590', new URL(mintmark).host)
    .replace('127.0.0.1:8585', `127.0.0.1:${api.port}`))

  const ask: Front['ask'] = async (path, { method = 'GET', headers = {}, body = [] } = {}) => {
    const request = httpRequest({ port, host: '127.0.0.1', path, method, headers, agent: false })
    const answered = once(request, 'response')
    if (typeof body === 'string') request.setHeader('content-length', Buffer.byteLength(body))
    for (const chunk of [body].flat()) request.write(chunk)
    request.end()
    const [response] = await answered as [NodeJS.ReadableStream & { statusCode: number, headers: IncomingHttpHeaders }]
    const text = await textOf(response)
    return { status: response.statusCode, headers: response.headers, text, seen: response.statusCode === 200 ? JSON.parse(text) as Seen : null }
  }
  const get: Front['get'] = async (path, token, asking = {}) => await ask(path, { ...asking, headers: { ...asking.headers, authorization: `Bearer ${token}` } })
  return { service, ask, get, calls: api.calls, stopMintmark: async () => { await service.app.close() } }
}

async function startApi (t: Teardown): Promise<{ port: number, calls: () => number }> {
  let calls = 0
  const server = createServer({ maxHeaderSize: 256 * 1024 }, (request, response) => {
    calls++
    void textOf(request).then(body => {
      if (request.url === '/refuse') response.writeHead(403).end('not yours')
      else response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body }))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, calls: () => calls }
}

async function textOf (stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
