/** `private_key_jwt` (contract 5, RFC 7523): bots that sign who they are, and every way in which that is refused. */
import { createHmac } from 'node:crypto'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import type { ClientKey } from '../../../src/bots/bot.ts'
import { StoreUnavailable } from '../../../src/store/database.ts'
import { askAs, postForm } from '../../fakes/asking.ts'
import { openToken } from '../../fakes/pool-forge.ts'
import { startService, type Service } from '../../fakes/service.ts'
import { assertionClaims, handmade, makeSigner, type Signer } from '../../fakes/signers.ts'

const TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const BOT = 'ingestion-bot'

const signer = await makeSigner()
const stranger = await makeSigner()

const keysOf = (...signers: Signer[]): ClientKey[] => signers.map(({ jwk }) => jwk)

async function show ({ app }: Service, assertion: string, more: Record<string, string> = {}, url = '/oauth/token'): Promise<LightMyRequestResponse> {
  return await postForm(app, url, { grant_type: 'client_credentials', client_assertion_type: TYPE, client_assertion: assertion, ...more })
}

interface Failure { error: string, error_description: string }

function refused (t: Test, answer: LightMyRequestResponse, error: string, told: RegExp | string, message: string): void {
  const status = { invalid_client: 401, temporarily_unavailable: 503 }[error] ?? 400
  t.match({ status: answer.statusCode, ...answer.json<Failure>() }, { status, error, error_description: told }, message)
  if (status === 401) t.match(answer.headers['www-authenticate'], /^Basic /, `${message}: challenge`)
}

async function serviceWithBot (t: Test, signers = [signer]): Promise<Service & { claims: (changes?: Record<string, unknown>) => Record<string, unknown> }> {
  const service = await startService(t)
  await service.bot(BOT, { scopes: ['metadata:write', 'introspect'], jwks: keysOf(...signers) })
  return { ...service, claims: (changes = {}) => ({ ...assertionClaims(BOT, service.clock()), ...changes }) }
}

await t.test('a token for an assertion, with each algorithm', async t => {
  for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']) {
    const one = await makeSigner(alg)
    const service = await serviceWithBot(t, [one])
    const answer = await show(service, await one.sign(service.claims()))
    t.match({ status: answer.statusCode, cached: answer.headers['cache-control'], ...answer.json<object>() }, { status: 200, cached: 'no-store', token_type: 'Bearer', expires_in: 3600, scope: 'metadata:write introspect' }, alg)
    t.match(openToken(answer.json<{ access_token: string }>().access_token).payload, { sub: BOT, client_id: BOT }, alg)
    t.equal((await show(service, await one.sign(service.claims()), { scope: 'introspect', client_id: BOT })).json<{ scope: string }>().scope, 'introspect', `${alg}: narrowed, with a client_id that agrees`)
  }
})

await t.test('a key that names neither itself nor an algorithm will do, while it is the only one that fits', async t => {
  const rsa = await makeSigner('RS256')
  const { kid: _, alg: __, ...bare } = signer.jwk
  const { kid: ___, alg: ____, ...bareRsa } = rsa.jwk
  const service = await startService(t)
  await service.bot(BOT, { jwks: [bare, bareRsa] })
  for (const one of [signer, rsa]) t.equal((await show(service, await one.sign(assertionClaims(BOT, service.clock()), { kid: undefined }))).statusCode, 200)
  t.equal((await show(service, await signer.sign(assertionClaims(BOT, service.clock())))).statusCode, 401, 'a kid that the registered key does not have is another key\'s')
})

await t.test('several keys side by side: by kid, or it is said why not', async t => {
  const second = await makeSigner('ES256', 'second')
  const { claims, ...service } = await serviceWithBot(t, [signer, second])
  for (const one of [signer, second]) t.equal((await show(service, await one.sign(claims()))).statusCode, 200)
  refused(t, await show(service, await second.sign(claims(), { kid: undefined })), 'invalid_client', /several registered keys fit.*kid/, 'without a kid')
  refused(t, await show(service, await stranger.sign(claims(), { kid: undefined })), 'invalid_client', 'Client or client_assertion is wrong', 'a stranger does not learn of them')
  refused(t, await show(service, await second.sign(claims(), { kid: signer.kid })), 'invalid_client', 'Client or client_assertion is wrong', 'the kid of the other key')
})

await t.test('keys change without an outage', async t => {
  const second = await makeSigner('ES256', 'second')
  const { claims, ...service } = await serviceWithBot(t)
  const asAdmin = askAs(service.app, await service.adminToken())
  const put = async (...signers: Signer[]): Promise<number> => (await asAdmin('PUT', `/admin/bots/${BOT}/jwks`, { keys: keysOf(...signers) })).statusCode
  t.equal(await put(signer, second), 200)
  for (const one of [signer, second]) t.equal((await show(service, await one.sign(claims()))).statusCode, 200, 'both for a while')
  t.equal(await put(second), 200)
  t.equal((await show(service, await second.sign(claims()))).statusCode, 200)
  t.equal((await show(service, await signer.sign(claims()))).statusCode, 401, 'then the new one only, at once')
})

await t.test('whoever is not authentic learns nothing', async t => {
  const { claims, ...service } = await serviceWithBot(t)
  await service.bot('disabled-bot', { enabled: false, jwks: keysOf(signer) })
  await service.bot('keyless-bot')
  const rsa = await makeSigner('RS256')
  const good = await signer.sign(claims())
  const [header = '', payload = '', signature = ''] = good.split('.')
  const wrong: Array<[string, string]> = [
    ['an unknown client', await signer.sign(claims({ iss: 'nobody', sub: 'nobody' }))],
    ['a client that is no name', await signer.sign(claims({ iss: '\u0000', sub: '\u0000' }))],
    ['a bot without keys', await signer.sign(claims({ iss: 'keyless-bot', sub: 'keyless-bot' }))],
    ['a disabled bot', await signer.sign(claims({ iss: 'disabled-bot', sub: 'disabled-bot' }))],
    ['an unknown key', await signer.sign(claims(), { kid: 'another' })],
    ['an unknown key of another kind', await rsa.sign(claims())],
    ['a key of that name that is another', await stranger.sign(claims())],
    ['a stranger\'s, and expired', await stranger.sign(claims({ exp: 1 }))],
    ['another payload under the signature', `${header}.${Buffer.from(JSON.stringify(claims({ exp: 2_000_000_000 }))).toString('base64url')}.${signature}`],
    ['a signature cut short', good.slice(0, -4)],
    ['a key in the header', await stranger.sign(claims(), { jwk: stranger.jwk })],
    ['an address of keys in the header', await stranger.sign(claims(), { jku: 'http://127.0.0.1:9/jwks', x5u: 'http://127.0.0.1:9/x' })],
    ['a kid that is no text', handmade({ alg: 'ES256', kid: ['es256-key'] }, claims(), signature)],
    ['a kid that is a path', handmade({ alg: 'ES256', kid: '../../../dev/null' }, JSON.parse(Buffer.from(payload, 'base64url').toString()), signature)]
  ]
  for (const [message, assertion] of wrong) refused(t, await show(service, assertion), 'invalid_client', 'Client or client_assertion is wrong', message)
  t.equal((await show(service, good)).statusCode, 200, 'and the good one still is')
})

await t.test('nor by how long it takes: one signature is verified, whether or not there is a client with such a key', async t => {
  const { claims, ...service } = await serviceWithBot(t)
  const verified = t.capture(crypto.subtle, 'verify', crypto.subtle.verify.bind(crypto.subtle))
  const work = async (assertion: string): Promise<number> => {
    verified()
    refused(t, await show(service, assertion), 'invalid_client', 'Client or client_assertion is wrong', 'a stranger')
    return verified().length
  }
  const { kid } = signer
  for (const header of [{ kid }, { kid: 'another' }, { kid: undefined }]) {
    t.equal(await work(await stranger.sign(claims(), header)), 1, `a bot's name, and kid ${header.kid ?? 'left out'}`)
    t.equal(await work(await stranger.sign(claims({ iss: 'nobody', sub: 'nobody' }), header)), 1, `nobody's name, and kid ${header.kid ?? 'left out'}`)
  }
})

await t.test('what can be said of an assertion without knowing the client is said', async t => {
  const { claims, ...service } = await serviceWithBot(t)
  const { jwk } = signer
  const hmac = (key: string): string => {
    const input = handmade({ alg: 'HS256', kid: signer.kid }, claims()).split('.').slice(0, 2).join('.')
    return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
  }
  const wrong: Array<[string, string]> = [
    ['no signature', handmade({ alg: 'none' }, claims(), '')],
    ['none, as text', handmade({ alg: 'none', kid: signer.kid }, claims())],
    ['an HMAC by the public key', hmac(JSON.stringify(jwk))],
    ['an algorithm that is not taken', await (await makeSigner('ES384')).sign(claims())],
    ['RS512', await (await makeSigner('RS512')).sign(claims())],
    ['an extension that must be understood', handmade({ alg: 'ES256', crit: ['exp'], exp: 1 }, claims())],
    ['no JWS', 'an assertion'],
    ['five parts', 'a.b.c.d.e'],
    ['a payload that is a list', handmade({ alg: 'ES256' }, [])],
    ['no sub', await signer.sign(claims({ sub: undefined }))],
    ['a sub that is no text', await signer.sign(claims({ sub: 7 }))],
    ['a huge one', await signer.sign(claims({ padding: 'x'.repeat(8_192) }))]
  ]
  for (const [message, assertion] of wrong) refused(t, await show(service, assertion), 'invalid_client', /^client_assertion takes a JWT/, message)
})

await t.test('an assertion whose signature is good is told what else is wrong with it', async t => {
  const { claims, ...service } = await serviceWithBot(t)
  const now = service.clock().getTime() / 1000
  const wrong: Array<[string, Record<string, unknown>, RegExp]> = [
    ['another iss', { iss: 'other-bot' }, /iss and sub/],
    ['no iss', { iss: undefined }, /iss and sub/],
    ['another audience', { aud: 'https://elsewhere.example' }, /aud takes http:\/\/localhost:8590 or http:\/\/localhost:8590\/oauth\/token/],
    ['no audience', { aud: undefined }, /aud takes/],
    ['an empty list of audiences', { aud: [] }, /aud takes/],
    ['somebody else\'s audience, too', { aud: ['http://localhost:8590', 'https://elsewhere.example'] }, /nobody else/],
    ['an audience that only begins like ours', { aud: 'http://localhost:8590.evil.example' }, /aud takes/],
    ['our issuer with a slash', { aud: 'http://localhost:8590/' }, /aud takes/],
    ['expired', { exp: now - 6 }, /expired.*clocks/],
    ['no exp', { exp: undefined }, /exp is missing/],
    ['an exp that is text', { exp: String(now + 60) }, /exp is missing/],
    ['an exp too far ahead', { exp: now + 306 }, /at most 300 seconds/],
    ['an exp for ever', { exp: 1e300 }, /at most 300 seconds/],
    ['issued in the future', { iat: now + 6 }, /not valid yet.*iat/],
    ['an iat that is text', { iat: 'now' }, /iat takes/],
    ['valid later', { nbf: now + 6 }, /not valid yet.*nbf/],
    ['no jti', { jti: undefined }, /jti is missing/],
    ['an empty jti', { jti: '' }, /jti is missing/],
    ['a jti that is a number', { jti: 7 }, /jti is missing/],
    ['an endless jti', { jti: 'x'.repeat(257) }, /jti is missing/]
  ]
  for (const [message, changes, told] of wrong) refused(t, await show(service, await signer.sign(claims(changes))), 'invalid_client', told, message)
  const right: Array<[string, Record<string, unknown>]> = [
    ['meant for the token endpoint', { aud: 'http://localhost:8590/oauth/token' }],
    ['meant for both of ours', { aud: ['http://localhost:8590', 'http://localhost:8590/oauth/token'] }],
    ['as long as may be', { exp: now + 300 }],
    ['by a clock that is ahead within the tolerance', { iat: now + 5, nbf: now + 5, exp: now + 305 }],
    ['by a clock that lags within the tolerance', { exp: now - 4 }],
    ['without iat', { iat: undefined }],
    ['a jti with anything in it', { jti: '\u0000 é \'' }]
  ]
  for (const [message, changes] of right) t.equal((await show(service, await signer.sign(claims(changes)))).statusCode, 200, message)
})

await t.test('an assertion is good once', async t => {
  const { claims, ...service } = await serviceWithBot(t)
  await service.bot('other-bot', { jwks: keysOf(signer) })
  const assertion = await signer.sign(claims())
  t.equal((await show(service, assertion)).statusCode, 200)
  for (const url of ['/oauth/token', '/oauth/introspect', '/oauth/revoke']) refused(t, await show(service, assertion, { token: 'x' }, url), 'invalid_client', /used before \(jti\)/, url)
  refused(t, await show(service, await signer.sign(claims({ jti: openToken(assertion).payload.jti, exp: service.clock().getTime() / 1000 + 90 }))), 'invalid_client', /used before/, 'nor another with its jti')
  t.equal((await show(service, await signer.sign({ ...assertionClaims('other-bot', service.clock()), jti: openToken(assertion).payload.jti }))).statusCode, 200, 'another bot\'s jti is another')

  const fresh = await signer.sign(claims())
  const answers = await Promise.all(Array.from({ length: 5 }, async () => await show(service, fresh)))
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, 401, 401, 401, 401], 'all at once')

  service.advance(3_600 + 60)
  await service.parts.assertions.sweep()
  refused(t, await show(service, assertion), 'invalid_client', /expired/, 'forgotten only when it is over')
})

await t.test('one that asks in the second of revoke-tokens need not sign twice', async t => {
  const { claims, ...service } = await serviceWithBot(t)
  const asAdmin = askAs(service.app, await service.adminToken())
  await asAdmin('POST', `/admin/bots/${BOT}/revoke-tokens`, {})
  const answer = await show(service, await signer.sign(claims()))
  t.equal(answer.statusCode, 200, answer.body)
})

await t.test('at every endpoint that clients authenticate at', async t => {
  const { claims, ...service } = await serviceWithBot(t)
  const token = (await show(service, await signer.sign(claims()))).json<{ access_token: string }>().access_token
  t.match((await show(service, await signer.sign(claims()), { token }, '/oauth/introspect')).json<object>(), { active: true, client_id: BOT })
  t.equal((await show(service, await signer.sign(claims()), { token }, '/oauth/revoke')).statusCode, 200)
  t.match((await show(service, await signer.sign(claims()), { token }, '/oauth/introspect')).json<object>(), { active: false })
})

await t.test('one way at a time, and whole', async t => {
  const service = await startService(t)
  const client = await service.bot(BOT, { scopes: ['introspect'], jwks: keysOf(signer) })
  const sign = async (): Promise<string> => await signer.sign(assertionClaims(BOT, service.clock()))
  const form = async (more: Record<string, string>): Promise<Record<string, string>> => ({ grant_type: 'client_credentials', client_assertion_type: TYPE, client_assertion: await sign(), ...more })
  const bearer = { authorization: `Bearer ${await service.adminToken()}` }
  for (const [message, answer] of [
    ['header and assertion', await postForm(service.app, '/oauth/token', await form({}), client)],
    ['secret and assertion', await postForm(service.app, '/oauth/token', await form({ client_id: BOT, client_secret: client.clientSecret }))],
    ['bearer and assertion', await postForm(service.app, '/oauth/introspect', await form({ token: 'x' }), undefined, bearer)],
    ['another client_id', await postForm(service.app, '/oauth/token', await form({ client_id: 'other-bot' }))],
    ['no type', await postForm(service.app, '/oauth/token', await form({ client_assertion_type: '' }))],
    ['no assertion', await postForm(service.app, '/oauth/token', await form({ client_assertion: '' }))]
  ] as const) refused(t, answer, 'invalid_request', /./, message)
  refused(t, await postForm(service.app, '/oauth/token', await form({ client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' })), 'invalid_client', /client_assertion_type takes/, 'SAML')
  const twice = await service.app.inject({ method: 'POST', url: '/oauth/token', headers: { 'content-type': 'application/x-www-form-urlencoded' }, payload: `${new URLSearchParams(await form({})).toString()}&client_assertion=x` })
  refused(t, twice, 'invalid_request', /more than once/, 'twice')
})

await t.test('while the database is away, an assertion cannot be told from one that was used', async t => {
  const { claims, ...service } = await serviceWithBot(t)
  service.parts.assertions.use = async () => { throw new StoreUnavailable(new Error('disk I/O error')) }
  refused(t, await show(service, await signer.sign(claims())), 'temporarily_unavailable', /database is away/, 'away')
})

await t.test('failures count as those of secrets do', async t => {
  const service = await startService(t, { MINTMARK_FAILED_LOGINS_PER_MINUTE: '2' })
  const client = await service.bot(BOT, { jwks: keysOf(signer) })
  const forged = async (): Promise<LightMyRequestResponse> => await show(service, await stranger.sign(assertionClaims(BOT, service.clock())))
  t.equal((await forged()).statusCode, 401)
  t.equal((await postForm(service.app, '/oauth/token', { grant_type: 'client_credentials' }, { ...client, clientSecret: 'mmk_wrong' })).statusCode, 401)
  t.match({ status: (await forged()).statusCode, ...(await forged()).json<object>() }, { status: 429, error: 'slow_down' })
  t.equal((await show(service, await signer.sign(assertionClaims(BOT, service.clock())))).statusCode, 200, 'who is right gets in')
})

await t.test('the metadata document says so', async t => {
  const { app } = await startService(t)
  const metadata = (await app.inject('/.well-known/oauth-authorization-server')).json<Record<string, string[]>>()
  for (const endpoint of ['token', 'introspection', 'revocation']) {
    t.ok(metadata[`${endpoint}_endpoint_auth_methods_supported`]?.includes('private_key_jwt'), endpoint)
    t.same(metadata[`${endpoint}_endpoint_auth_signing_alg_values_supported`], ['RS256', 'PS256', 'ES256', 'EdDSA'], endpoint)
  }
})
