/** `createTokenSource` against the real service, on one clock with it. */
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createTokenSource, TokenRefused, TokenUnavailable, type TokenSourceOptions } from '../../src/client.ts'
import { waitSeconds } from '../../src/client/backoff.ts'
import { startTokenSource } from '../../src/client/token-source.ts'
import { movableClock } from '../fakes/clock.ts'
import { openToken } from '../fakes/pool-forge.ts'
import { startService, type Service } from '../fakes/service.ts'
import { freePort } from '../fakes/shell.ts'
import { openSource, type SourceUnderTest } from './source.ts'

const HOUR = 3_600

interface Town { service: Service, url: string, client: { clientId: string, clientSecret: string } }

async function startTown (t: Test): Promise<Town> {
  const service = await startService(t)
  const url = await service.app.listen({ port: 0, host: '127.0.0.1' })
  return { service, url, client: await service.bot('ingestion-bot', { scopes: ['metadata:read', 'metadata:write'], audiences: ['metadata-api', 'other-api'] }) }
}

async function openTown (t: Test, options: Partial<TokenSourceOptions> = {}): Promise<Town & { source: SourceUnderTest }> {
  const town = await startTown(t)
  return { ...town, source: await openSource({ url: town.url, ...town.client, ...options } as TokenSourceOptions, town.service) }
}

/** A token endpoint that answers as it is told. */
async function startEndpoint (t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const TOKEN = JSON.stringify({ access_token: 'abc', token_type: 'bearer', expires_in: HOUR })
const SOMEONE = { clientId: 'a-bot', clientSecret: 'its secret' }

await t.test('one token for all who ask, by one request', async t => {
  const { source, service } = await openTown(t)
  t.equal(source.requests(), 0, 'nothing is fetched before it is needed')
  const tokens = await Promise.all([source.token(), source.token(), source.token()])
  t.equal(new Set(tokens).size, 1)
  t.equal(await source.token(), tokens[0])
  t.equal(source.requests(), 1)
  t.match(openToken(tokens[0]).payload, { sub: 'ingestion-bot', scope: 'metadata:read metadata:write', aud: ['metadata-api', 'other-api'] })
  t.equal((await service.app.inject({ method: 'POST', url: '/verify', payload: { token: tokens[0] } })).statusCode, 200, 'it is a good one')
})

await t.test('a subset of scopes and audiences', async t => {
  const { source } = await openTown(t, { scopes: ['metadata:read'], audiences: ['other-api'] })
  t.match(openToken(await source.token()).payload, { scope: 'metadata:read', aud: 'other-api' })
})

await t.test('renewed at 80 % of its life, and nobody waits for it', async t => {
  const { source, service } = await openTown(t)
  const first = await source.token()
  service.advance(0.8 * HOUR - 1)
  t.equal(await source.token(), first)
  t.equal(source.requests(), 1)

  service.advance(1)
  t.strictSame(await Promise.all([source.token(), source.token()]), [first, first], 'the one that is held, at once')
  t.equal(source.requests(), 2, 'and one request for the next')
  await source.settled()
  const second = await source.token()
  t.not(second, first)
  t.equal(source.requests(), 2)
  t.match(openToken(second).payload, { iat: service.clock().getTime() / 1000 })
})

await t.test('while the service is away, the token that is held serves until its end', async t => {
  const { source, service } = await openTown(t)
  const first = await source.token()
  source.away = true
  service.advance(0.8 * HOUR)
  for (let second = 0; second < 0.2 * HOUR; second++) {
    if (await source.token() !== first) t.fail(`another token after ${second} s`)
    await source.settled()
    service.advance(1)
  }
  t.ok(source.failures.length > 20 && source.failures.length < 40, `it has tried now and then: ${source.failures.length} times in 12 minutes`)
  t.ok(source.failures.every(error => error instanceof TokenUnavailable))

  await t.rejects(source.token(), { name: 'TokenUnavailable', message: /\/oauth\/token cannot be reached: .*ECONNREFUSED/ }, 'then there is none')
  t.ok(source.waits.reduce((sum, wait) => sum + wait, 0) <= 30, 'after half a minute\'s patience')

  source.away = false
  service.advance(60)
  t.not(await source.token(), first)
})

await t.test('a refusal behind the back of the callers takes no good token from them', async t => {
  const { source, service } = await openTown(t)
  const first = await source.token()
  await service.parts.bots.update('ingestion-bot', bot => ({ ...bot, enabled: false }), { actor: { kind: 'system', name: 'test' }, action: 'test', target: null })
  await service.parts.changes.catchUp()
  service.advance(0.9 * HOUR)
  t.equal(await source.token(), first)
  await source.settled()
  t.match(source.failures, [{ name: 'TokenRefused', code: 'invalid_client' }])
  t.equal(await source.token(), first)
  t.equal(source.requests(), 2, 'nor is it asked again at once')
  service.advance(0.1 * HOUR)
  await t.rejects(source.token(), { code: 'invalid_client' })
})

await t.test('what waiting mends is tried again: later each time, and not before the service wants it', async t => {
  const time = movableClock()
  const answers: Array<[status: number, headers: Record<string, string>, body: string]> = [
    [503, { 'retry-after': '7' }, JSON.stringify({ error: 'temporarily_unavailable', error_description: 'soon' })],
    [429, { 'retry-after': 'Sun, 22 Nov 2026 10:00:09 GMT', date: 'Sun, 22 Nov 2026 10:00:00 GMT' }, '{}'],
    [502, {}, '<html>'],
    [200, {}, TOKEN]
  ]
  const url = await startEndpoint(t, (_, response) => {
    const [status, headers, body] = answers.shift() ?? [500, {}, '']
    response.writeHead(status, headers).end(body)
  })
  const source = await openSource({ url, ...SOMEONE }, time)
  t.equal(await source.token(), 'abc')
  t.strictSame(source.waits, [7 + 0.25, 9 + 0.5, 2 + 1])
  t.match(source.failures, [{ message: /answered 503: temporarily_unavailable, soon$/, retryAfterSeconds: 7 }, { retryAfterSeconds: 9 }, { message: /answered 502$/, retryAfterSeconds: null }])
})

await t.test('the waits: doubled up to half a minute, half of it by chance, never less than was asked for', async t => {
  t.strictSame([0, 1, 2, 3, 10].map(failures => [waitSeconds(failures, null, 0), waitSeconds(failures, null, 0.999)]), [[0.5, 0.9995], [1, 1.999], [2, 3.998], [4, 7.996], [15, 29.985]])
  t.equal(waitSeconds(0, 60, 0), 60)
  t.ok(waitSeconds(0, 60, 0.9) > 60, 'those who were told the same come apart')
  t.equal(waitSeconds(5, 86_400 * 365, 0), 60)
})

await t.test('several who wait ask together', async t => {
  const { source } = await openTown(t)
  source.away = true
  await Promise.all([1, 2, 3].map(async () => { await t.rejects(source.token(), { name: 'TokenUnavailable' }) }))
  t.ok(source.requests() < 10, `${source.requests()} requests for all three`)
})

await t.test('whoever waits longer than another takes the token that the other was given', async t => {
  const { url, client, service } = await startTown(t)
  const sleepers: Array<() => void> = []
  let requests = 0
  const source = startTokenSource({
    url,
    ...client,
    fetch: async (input, init) => requests++ === 0 ? new Response('', { status: 503 }) : await fetch(input, init)
  }, { clock: service.clock, random: () => 0, sleep: async () => { await new Promise<void>(resolve => { sleepers.push(resolve) }) } })
  const [one, other] = [source.token(), source.token()]
  while (sleepers.length < 2) await new Promise(resolve => { setImmediate(resolve) })
  service.advance(1)
  sleepers[0]?.()
  const token = await one
  sleepers[1]?.()
  t.equal(await other, token)
  t.equal(requests, 2)
})

await t.test('after a success, earlier failures hold up no renewal', async t => {
  const time = movableClock()
  let answered = 0
  const url = await startEndpoint(t, (_, response) => {
    if (++answered <= 6) response.writeHead(401).end('{"error":"invalid_client"}')
    else response.end(TOKEN.replace(String(HOUR), '10'))
  })
  const source = await openSource({ url, ...SOMEONE }, time)
  for (let call = 0; call < 6; call++) await t.rejects(source.token(), { code: 'invalid_client' })
  await source.token()
  time.advance(8)
  await source.token()
  t.equal(source.requests(), 8)
  await source.settled()
})

await t.test('what waiting does not mend is said at once', async t => {
  const { url, client, service } = await startTown(t)
  const refusals: Array<[why: string, options: Partial<TokenSourceOptions>, expected: { code: string, status: number, message: RegExp }]> = [
    ['a wrong secret', { clientSecret: 'mmk_wrong' }, { code: 'invalid_client', status: 401, message: /refused: invalid_client, / }],
    ['a scope that the bot does not have', { scopes: ['admin'] }, { code: 'invalid_scope', status: 400, message: /admin/ }],
    ['an audience that the bot does not have', { audiences: ['elsewhere'] }, { code: 'invalid_target', status: 400, message: /elsewhere/ }],
    ['another address', { url: `${url}/elsewhere/` }, { code: 'unexpected_answer', status: 404, message: /elsewhere\/oauth\/token answered 404.*is this the address of the service\?/ }]
  ]
  for (const [why, options, expected] of refusals) {
    const source = await openSource({ url, ...client, ...options } as TokenSourceOptions, service)
    const error: unknown = await source.token().then(() => null, (error: unknown) => error)
    t.ok(error instanceof TokenRefused, why)
    t.match(error, expected, why)
    t.notMatch(String((error as Error).stack), client.clientSecret, 'the secret is not repeated')
    t.strictSame([source.requests(), source.waits], [1, []])
  }
})

await t.test('an answer that is no token is none', async t => {
  const bodies = ['', 'null', '[]', '<html>', '{"access_token":"abc","token_type":"bearer"}', '{"access_token":"a\\r\\nb","token_type":"bearer","expires_in":60}', '{"access_token":"abc","token_type":"mac","expires_in":60}', '{"access_token":"abc","token_type":"bearer","expires_in":-1}']
  const left = [...bodies]
  const url = await startEndpoint(t, (_, response) => { response.end(left.shift()) })
  for (const body of bodies) await t.rejects(createTokenSource({ url, ...SOMEONE }).token(), { code: 'unexpected_answer', status: 200 }, body)
})

await t.test('a credential is not taken along by a redirect', async t => {
  let stolen = false
  const thief = await startEndpoint(t, (_, response) => {
    stolen = true
    response.end(TOKEN)
  })
  const url = await startEndpoint(t, (_, response) => { response.writeHead(307, { location: thief }).end() })
  await t.rejects(createTokenSource({ url, ...SOMEONE }).token(), { code: 'unexpected_answer', status: 307, message: new RegExp(thief) })
  t.notOk(stolen)
})

await t.test('a secret may be a function, asked anew for each request', async t => {
  const { url, client, service } = await startTown(t)
  let secret = 'mmk_old'
  const source = await openSource({ url, clientId: client.clientId, clientSecret: async () => secret }, service)
  await t.rejects(source.token(), { code: 'invalid_client' })
  secret = client.clientSecret
  t.match(openToken(await source.token()).payload, { sub: 'ingestion-bot' })
})

await t.test('id and secret are encoded as RFC 6749 says', async t => {
  let header: string | undefined
  const url = await startEndpoint(t, (request, response) => {
    header = request.headers.authorization
    response.end(TOKEN)
  })
  await createTokenSource({ url, clientId: 'a:b', clientSecret: 'ü:% +' }).token()
  t.equal(Buffer.from(header?.replace('Basic ', '') ?? '', 'base64').toString(), 'a%3Ab:%C3%BC%3A%25%20%2B')
})

await t.test('any other credential: form parameters, which may replace the grant, and headers', async t => {
  const { url, client, service } = await startTown(t)
  const byForm = await openSource({ url, credential: () => ({ form: { client_id: client.clientId, client_secret: client.clientSecret } }) }, service)
  t.match(openToken(await byForm.token()).payload, { sub: 'ingestion-bot' })

  let body = ''
  const endpoint = await startEndpoint(t, (request, response) => {
    request.on('data', (chunk: Buffer) => { body += chunk.toString() })
    request.on('end', () => { response.end(TOKEN) })
  })
  const exchange = createTokenSource({ url: endpoint, credential: async () => ({ form: { grant_type: 'exchange', subject_token: 'x y' } }), audiences: ['one', 'two'], pipeline: 'nightly', run: '42' })
  t.equal(await exchange.token(), 'abc')
  t.equal(body, 'audience=one&audience=two&mintmark_pipeline=nightly&mintmark_run=42&grant_type=exchange&subject_token=x+y')
})

await t.test('what a credential throws is thrown on, and not tried again', async t => {
  const { url, service } = await startTown(t)
  const gone = new Error('the secret file is gone')
  const source = await openSource({ url, credential: () => { throw gone } }, service)
  await t.rejects(source.token(), gone)
  t.strictSame([source.requests(), source.waits], [0, []])
})

await t.test('a service that does not answer is given up', async t => {
  const url = await startEndpoint(t, () => { /* never */ })
  await t.rejects(createTokenSource({ url, ...SOMEONE, timeoutSeconds: 0.05, patienceSeconds: 0 }).token(), { name: 'TokenUnavailable', message: /did not answer within 0.05 s/ })
})

await t.test('a signal ends the request, and the waiting for the next', async t => {
  const reason = new Error('closing')
  const slow = new AbortController()
  const url = await startEndpoint(t, () => { slow.abort(reason) })
  await t.rejects(createTokenSource({ url, ...SOMEONE, signal: slow.signal }).token(), reason)

  const away = new AbortController()
  const nobody = `http://127.0.0.1:${await freePort()}`
  const source = createTokenSource({ url: nobody, ...SOMEONE, signal: away.signal, patienceSeconds: Infinity, onFailure: () => { setImmediate(() => { away.abort(reason) }) } })
  await t.rejects(source.token(), reason)
  await t.rejects(source.token(), reason, 'and it stays so')
})

await t.test('renew: another in any case, but one for all who were refused together', async t => {
  const { source, service } = await openTown(t)
  const first = await source.renew()
  t.match(first, { renewAt: new Date(service.clock().getTime() + 0.8 * HOUR * 1000), expiresAt: new Date(service.clock().getTime() + HOUR * 1000) })
  const [second, same] = await Promise.all([source.renew(first.token), source.renew(first.token)])
  t.not(second.token, first.token)
  t.equal(same.token, second.token)
  t.equal((await source.renew(first.token)).token, second.token)
  t.equal(source.requests(), 2)
  t.not((await source.renew()).token, second.token)
  t.equal(source.requests(), 3)
})

await t.test('options that cannot be right do not start', async t => {
  const url = 'https://tokens.example.com'
  const wrong: Array<[options: object, message: RegExp]> = [
    [{ ...SOMEONE }, /url takes an https address/],
    [{ ...SOMEONE, url: 'http://tokens.example.com' }, /url takes an https address \(http on loopback, or with allowHttp\)/],
    [{ ...SOMEONE, url: 'https://me:secret@tokens.example.com' }, /without user and password/],
    [{ ...SOMEONE, url: 'ftp://localhost' }, /url takes/],
    [{ url, clientSecret: 'x' }, /clientId takes/],
    [{ url, clientId: 'x' }, /clientSecret takes/],
    [{ url, clientId: 'x', clientSecret: '' }, /clientSecret takes/]
  ]
  for (const [options, message] of wrong) t.throws(() => createTokenSource(options as TokenSourceOptions), { name: 'TypeError', message })
  createTokenSource({ ...SOMEONE, url: 'http://tokens.internal', allowHttp: true })
  createTokenSource({ ...SOMEONE, url: 'http://[::1]:8590' })
})
