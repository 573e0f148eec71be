import { request as httpRequest, METHODS } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { startService, type Service } from '../fakes/service.ts'

const IDENTITY = ['user', 'email', 'groups', 'preferred-username', 'kind', 'roles', 'scopes', 'subject', 'issuer'].map(name => `x-auth-request-${name}`)

interface Raw { status: number, headers: Record<string, string | string[] | undefined>, body: string }

/** Over a real socket: inject would normalise what is tested here. */
async function send (service: Service, method: string, path: string, headers: Record<string, string> = {}, body?: string): Promise<Raw> {
  const { port } = service.app.server.address() as AddressInfo
  return await new Promise((resolve, reject) => {
    const request = httpRequest({ port, host: '127.0.0.1', method, path, headers, agent: false }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => { resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() }) })
    })
    request.on('error', reject)
    request.end(body)
  })
}

async function sendTwice (service: Service, authorization: string): Promise<Raw> {
  const { port } = service.app.server.address() as AddressInfo
  return await new Promise((resolve, reject) => {
    httpRequest({ port, host: '127.0.0.1', path: '/auth', agent: false, headers: ['Host', 'x', 'Authorization', authorization, 'Authorization', 'Bearer other'] as never }, response => {
      response.resume()
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: '' })
    }).on('error', reject).end()
  })
}

await t.test('/auth', async t => {
  const service = await startService(t, { MINTMARK_MAX_STALENESS: '5m' })
  await service.app.listen({ port: 0, host: '127.0.0.1' })
  const client = await service.bot('ingestion-bot', { scopes: ['metadata:write', 'a'], roles: ['Röle, one', 'two%'], displayName: 'x' })
  const authorization = `Bearer ${await service.token(client)}`

  await t.test('lets a good token pass with every identity header, empty', async t => {
    const { status, headers, body } = await send(service, 'GET', '/auth', { authorization })
    t.equal(status, 200)
    t.equal(body, '')
    t.same(Object.fromEntries(IDENTITY.map(name => [name, headers[name]])), {
      'x-auth-request-user': 'ingestion-bot',
      'x-auth-request-email': 'ingestion-bot@open-metadata.org',
      'x-auth-request-groups': '',
      'x-auth-request-preferred-username': 'ingestion-bot',
      'x-auth-request-kind': 'bot',
      'x-auth-request-roles': 'R%C3%B6le%2C%20one,two%25',
      'x-auth-request-scopes': 'metadata:write a',
      'x-auth-request-subject': 'ingestion-bot',
      'x-auth-request-issuer': service.parts.config.issuer
    })
  })

  await t.test('answers every method but CONNECT, any path below, bodies unread', async t => {
    for (const method of METHODS.filter(method => method !== 'CONNECT')) {
      t.equal((await send(service, method, '/auth/api/v1/tables', { authorization })).status, 200, method)
    }
    for (const path of ['/auth/', 'http://h/auth/x/%', '/auth/%zz', '/auth/a%00b', '/auth//x/../y', '/auth/?x=%', `/auth/${'x'.repeat(9_000)}`]) {
      t.equal((await send(service, 'GET', path, { authorization })).status, 200, path.slice(0, 30))
    }
    for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'nonsense', '']) {
      t.equal((await send(service, 'POST', '/auth/x', { authorization, 'content-type': type }, '{"not json')).status, 200, `body of type ${type}`)
    }
    t.equal((await send(service, 'POST', '/auth', { authorization, 'content-type': 'application/json' }, 'x'.repeat(300_000))).status, 200, 'a body larger than any that is read')
  })

  await t.test('says 401 for no token, a bad one, a bad request; 403 for one that lacks a right', async t => {
    const none = await send(service, 'GET', '/auth')
    t.match(none, { status: 401, body: '', headers: { 'www-authenticate': 'Bearer realm="mintmark"' } })
    t.match(await send(service, 'GET', '/auth', { authorization: 'Bearer a b' }), { status: 401, headers: { 'www-authenticate': /error="invalid_request"/ } })
    t.match(await send(service, 'GET', '/auth', { authorization: 'Basic eA==' }), { status: 401 })
    t.match(await send(service, 'GET', '/auth', { authorization: `Bearer ${'x'.repeat(20_000)}` }), { status: 401, headers: { 'www-authenticate': /larger than 8192 bytes/ } })
    t.match(await send(service, 'GET', '/auth?scope=admin', { authorization }), { status: 403, body: '', headers: { 'www-authenticate': /error="insufficient_scope"/ } })
    t.match(await send(service, 'GET', '/auth?role=three', { authorization }), { status: 403 })
    t.match(await send(service, 'GET', '/auth?audience=another', { authorization }), { status: 401, headers: { 'www-authenticate': /error="invalid_token"/ } })
    const twice = await sendTwice(service, authorization)
    t.match(twice, { status: 401, headers: { 'www-authenticate': /Send one Authorization header/ } }, 'which of two is the one that the API will read?')
    for (const name of IDENTITY) t.notOk(none.headers[name], `${name} only on 200`)
  })

  await t.test('demands what the query asks for, at /auth itself only', async t => {
    t.equal((await send(service, 'GET', '/auth?scope=metadata:write&scope=a&role=two%25&audience=x&audience=metadata-api', { authorization })).status, 200)
    t.equal((await send(service, 'GET', '/auth/api?scope=admin&role=none', { authorization })).status, 200)
    t.equal((await send(service, 'GET', '/auth?unknown=1', { authorization })).status, 200)
  })

  await t.test('is not what only looks like it', async t => {
    for (const path of ['/authority', '/Auth', '//auth', '/x/auth']) t.equal((await send(service, 'GET', path, { authorization })).status, 404, path)
  })

  await t.test('knows nothing but 401 where others say 503', async t => {
    service.advance(service.parts.config.maxStalenessSeconds + 1)
    t.match(await send(service, 'GET', '/auth', { authorization }), { status: 401, headers: { 'www-authenticate': 'Bearer realm="mintmark"' } })
    t.match((await service.app.inject({ method: 'POST', url: '/verify', headers: { authorization } })).json(), { code: 'state_stale', status: 503 })
    await service.parts.changes.catchUp()
    t.equal((await send(service, 'GET', '/auth', { authorization })).status, 200, 'and heals')
  })
})
