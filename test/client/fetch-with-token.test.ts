/** `fetchWithToken`: tokens of the real service, at an API that refuses those that it is told to. */
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { fetchWithToken, TokenUnavailable, type TokenSource } from '../../src/client.ts'
import { openToken } from '../fakes/pool-forge.ts'
import { startService } from '../fakes/service.ts'
import { openSource, type SourceUnderTest } from './source.ts'

interface Seen { authorization: string | undefined, body: string, url: string }

interface Api {
  origin: string
  seen: Seen[]
  refuses: (token: string) => boolean
}

async function startApi (t: Test): Promise<Api> {
  const app = Fastify({ forceCloseConnections: true })
  const api: Api = { origin: '', seen: [], refuses: () => false }
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_, body, done) => { done(null, body) })
  app.all<{ Body: string | undefined, Querystring: { to?: string } }>('/*', async (request, reply) => {
    if (request.query.to !== undefined) return await reply.redirect(request.query.to)
    const { authorization } = request.headers
    api.seen.push({ authorization, body: request.body ?? '', url: request.url })
    if (authorization === undefined || api.refuses(authorization.replace('Bearer ', ''))) return await reply.code(401).send('refused')
    return `${request.method} ${String(request.headers['x-other'] ?? '')}`
  })
  api.origin = await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(async () => { await app.close() })
  return api
}

interface Town { api: Api, source: SourceUnderTest, origin: string }

async function startTown (t: Test): Promise<Town> {
  const service = await startService(t)
  const url = await service.app.listen({ port: 0, host: '127.0.0.1' })
  const source = await openSource({ url, ...await service.bot('ingestion-bot') }, service)
  const api = await startApi(t)
  return { api, source, origin: api.origin }
}

await t.test('it sets the header, and leaves the rest as it is', async t => {
  const { api, source, origin } = await startTown(t)
  const fetch = fetchWithToken(source, { origin })
  const token = await source.token()
  t.match(openToken(token).payload, { sub: 'ingestion-bot' })
  const answers = [
    await fetch('/path?query=1', { headers: { 'x-other': 'kept' } }),
    await fetch(`${origin}/absolute`, { method: 'PUT', body: 'x', headers: [['X-Other', 'kept']] }),
    await fetch(new URL('/url', origin), { headers: new Headers({ 'x-other': 'kept', authorization: 'Bearer another' }) }),
    await fetch(new Request(`${origin}/request`, { method: 'DELETE', headers: { 'x-other': 'kept' } }))
  ]
  t.strictSame(await Promise.all(answers.map(async answer => await answer.text())), ['GET kept', 'PUT kept', 'GET kept', 'DELETE kept'])
  t.strictSame(api.seen.map(({ url }) => url), ['/path?query=1', '/absolute', '/url', '/request'])
  t.ok(api.seen.every(({ authorization }) => authorization === `Bearer ${token}`))
  t.equal(source.requests(), 1)
})

await t.test('on a 401 it takes a new token, and sends the same once more', async t => {
  const { api, source, origin } = await startTown(t)
  const fetch = fetchWithToken(source, { origin })
  const form = new FormData()
  form.set('a', 'b')
  const bodies: Array<[body: NonNullable<RequestInit['body']> | null, seen: RegExp]> = [
    [null, /^$/], ['text', /^text$/], [new URLSearchParams({ a: 'b c' }), /^a=b\+c$/], [new TextEncoder().encode('bytes'), /^bytes$/],
    [new TextEncoder().encode('buffer').buffer, /^buffer$/], [new Blob(['blob']), /^blob$/], [form, /name="a"\r\n\r\nb\r\n/]
  ]
  for (const [body, seen] of bodies) {
    const refused = await source.token()
    api.refuses = token => token === refused
    api.seen.length = 0
    t.equal((await fetch('/', { method: 'POST', body })).status, 200)
    t.equal(api.seen.length, 2)
    for (const { body } of api.seen) t.match(body, seen)
    t.strictSame(api.seen.map(({ authorization }) => authorization), [`Bearer ${refused}`, `Bearer ${await source.token()}`])
  }
  t.equal(source.requests(), 1 + bodies.length)
})

await t.test('many that are refused together take one new token', async t => {
  const { api, source, origin } = await startTown(t)
  const fetch = fetchWithToken(source, { origin })
  const refused = await source.token()
  api.refuses = token => token === refused
  const answers = await Promise.all(Array.from({ length: 10 }, async () => await fetch('/')))
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(source.requests(), 2)
})

await t.test('a stream cannot be sent twice: the answer is the 401, and a later call has the new token', async t => {
  const { api, source, origin } = await startTown(t)
  const fetch = fetchWithToken(source, { origin })
  const refused = await source.token()
  api.refuses = token => token === refused
  const stream = (): ReadableStream => new Blob(['streamed']).stream()
  const once = await fetch('/', { method: 'POST', body: stream(), duplex: 'half' })
  t.strictSame([once.status, await once.text(), api.seen.length], [401, 'refused', 1])
  await source.settled()
  t.equal((await fetch('/', { method: 'POST', body: stream(), duplex: 'half' })).status, 200)

  const second = await source.token()
  api.refuses = token => token === second
  t.equal((await fetch(new Request(origin, { method: 'POST', body: 'in a request' }))).status, 401)
  await source.settled()
  t.equal((await fetch(new Request(origin, { method: 'POST', body: 'in a request' }))).status, 200)
  t.strictSame(api.seen.map(({ body }) => body), ['streamed', 'streamed', 'in a request', 'in a request'])
})

await t.test('an API that refuses new tokens, too, is believed until it takes one', async t => {
  const { api, source, origin } = await startTown(t)
  const fetch = fetchWithToken(source, { origin })
  api.refuses = () => true
  const first = await fetch('/')
  t.strictSame([first.status, await first.text()], [401, 'refused'])
  t.strictSame([api.seen.length, source.requests()], [2, 2], 'tried with two tokens')
  for (let call = 0; call < 5; call++) t.equal((await fetch('/')).status, 401)
  t.strictSame([api.seen.length, source.requests()], [7, 2], 'and then with no more')

  api.refuses = () => false
  t.equal((await fetch('/')).status, 200)
  const taken = await source.token()
  api.refuses = token => token === taken
  t.equal((await fetch('/')).status, 200, 'after it took one, a 401 is worth another try')
})

await t.test('no new token: the answer is the 401', async t => {
  const { api, source, origin } = await startTown(t)
  const fetch = fetchWithToken(source, { origin })
  await source.token()
  api.refuses = () => true
  source.away = true
  const answer = await fetch('/')
  t.strictSame([answer.status, await answer.text(), api.seen.length], [401, 'refused', 1])
})

await t.test('no token at all: the call fails with the reason, and nothing is sent', async t => {
  const { api, source, origin } = await startTown(t)
  source.away = true
  await t.rejects(fetchWithToken(source, { origin })('/'), TokenUnavailable)
  t.strictSame(api.seen, [])
})

await t.test('the token goes to its origin only', async t => {
  const { api, source, origin } = await startTown(t)
  const elsewhere = await startApi(t)
  const fetch = fetchWithToken(source, { origin })

  for (const target of [elsewhere.origin, new URL(elsewhere.origin), new Request(elsewhere.origin), '//example.com/', origin.replace('127.0.0.1', 'localhost')]) {
    await t.rejects(fetch(target), { name: 'TypeError', message: `this fetch carries a token for ${origin}` })
  }
  t.strictSame([elsewhere.seen.length, source.requests()], [0, 0])

  const answer = await fetch(`/?to=${elsewhere.origin}/there`)
  t.strictSame([answer.status, answer.url], [401, `${elsewhere.origin}/there`], 'a redirect is followed')
  t.strictSame(elsewhere.seen, [{ authorization: undefined, body: '', url: '/there' }], 'without the token, and once')
  t.equal(source.requests(), 1, 'so that its 401 says nothing of the token')

  t.equal((await fetch('/?to=/there')).status, 200, 'within the origin the token goes along')
  t.match(api.seen.at(-1), { authorization: /^Bearer /, url: '/there' })
})

await t.test('whoever gives up does not wait for a token', async t => {
  const { api, origin } = await startTown(t)
  const never: TokenSource = { token: async () => await new Promise(() => { /* never */ }), renew: async () => await new Promise(() => { /* never */ }) }
  const reason = new Error('given up')
  const fetch = fetchWithToken(never, { origin })
  await t.rejects(fetch('/', { signal: AbortSignal.abort(reason) }), reason)
  const controller = new AbortController()
  setImmediate(() => { controller.abort(reason) })
  await t.rejects(fetch(new Request(origin, { signal: controller.signal })), reason)
  t.strictSame(api.seen, [])
})

await t.test('plain http is for this machine, or has to be allowed', async t => {
  const { source } = await startTown(t)
  t.throws(() => fetchWithToken(source, { origin: 'http://metadata.example.com' }), { name: 'TypeError', message: /origin takes an https address/ })
  t.throws(() => fetchWithToken(source, { origin: 'metadata.example.com' }), { name: 'TypeError' })
  fetchWithToken(source, { origin: 'http://metadata.internal', allowHttp: true })
})
