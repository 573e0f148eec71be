/** The revocation feed (contract 6.6): what it says, and how it is served. When it is rendered: test/tokens/revocation-feed.test.ts. */
import { createLocalJWKSet, decodeJwt, jwtVerify, type JSONWebKeySet, type JWTHeaderParameters } from 'jose'
import t from 'tap'
import type { FeedClaims } from '../../src/tokens/claims.ts'
import { askAs } from '../fakes/asking.ts'
import { LEGACY_ISSUER, legacyServer } from '../fakes/legacy-server.ts'
import { ask, faultsOfRefusal, verifyInHeader } from '../fakes/pool-answers.ts'
import { startService, TEST_EVENT, type Service } from '../fakes/service.ts'

const url = '/.well-known/token-revocations'
const secondsOf = (date: Date): number => Math.floor(date.getTime() / 1000)

/** Verified by the JWKS of the same moment. */
async function readFeed ({ app, clock }: Service): Promise<FeedClaims & { header: JWTHeaderParameters }> {
  const keys = createLocalJWKSet((await app.inject('/.well-known/jwks.json')).json<JSONWebKeySet>())
  const { payload, protectedHeader: header } = await jwtVerify<FeedClaims>((await ask(app, { url })).text, keys, { typ: 'revocations+jwt', algorithms: ['RS256'], currentDate: clock() })
  return { ...payload, header }
}

await t.test('nothing has been taken back', async t => {
  const service = await startService(t, { MINTMARK_MAX_STALENESS: '5m' })
  const now = secondsOf(service.clock())
  const { version, ...rest } = await readFeed(service)
  t.type(version, 'number')
  t.strictSame(rest, {
    iss: 'http://localhost:8590',
    iat: now,
    exp: now + 300,
    keys: [],
    bots: {},
    disabled: [],
    runs: [],
    tokens: {},
    legacy: [],
    header: { alg: 'RS256', typ: 'revocations+jwt', kid: service.parts.ring.signing()?.kid }
  })
})

await t.test('each act is in the feed when it is answered, under a higher version', async t => {
  const service = await startService(t)
  const admin = askAs(service.app, await service.adminToken())
  const now = secondsOf(service.clock())
  const clients = { a: await service.bot('a-bot'), b: await service.bot('b-bot'), c: await service.bot('c-bot'), d: await service.bot('d-bot') }
  const revoked = await service.token(clients.a)
  const { jti = '', exp = 0 } = decodeJwt(revoked)
  let version = (await readFeed(service)).version

  const act = async (what: string, method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<FeedClaims & { header: JWTHeaderParameters }> => {
    const answer = await admin(method, path, body)
    t.ok(answer.statusCode < 300, `${what}: ${answer.body}`)
    const feed = await readFeed(service)
    t.ok(feed.version > version, `${what}: the version rises`)
    version = feed.version
    return feed
  }
  await service.app.inject({ method: 'POST', url: '/oauth/revoke', headers: { authorization: `Basic ${Buffer.from(`${clients.a.clientId}:${clients.a.clientSecret}`).toString('base64')}`, 'content-type': 'application/x-www-form-urlencoded' }, payload: new URLSearchParams({ token: revoked }).toString() })
  t.strictSame((await readFeed(service)).tokens, { [jti]: exp })
  t.strictSame((await act('all of a bot\'s', 'POST', '/admin/bots/b-bot/revoke-tokens', {})).bots, { 'b-bot': now + 1 })
  t.strictSame((await act('switched off', 'PATCH', '/admin/bots/c-bot', { enabled: false })).disabled, ['c-bot'])
  t.strictSame((await act('switched on', 'PATCH', '/admin/bots/c-bot', { enabled: true })).disabled, [])
  t.strictSame((await act('deleted', 'DELETE', '/admin/bots/d-bot')).bots, { 'b-bot': now + 1, 'd-bot': now + 1 })

  const om = legacyServer(service.clock)
  const key = om.publicKey.export({ format: 'jwk' })
  const imported = await act('a legacy key', 'POST', '/admin/keys/import', { publicKey: om.publicKey.export({ format: 'pem', type: 'spki' }).toString(), kid: om.kid, issuer: LEGACY_ISSUER })
  t.strictSame(imported.legacy, [{ issuer: LEGACY_ISSUER, kid: om.kid, n: key.n, e: key.e, verifiesUntil: now + 90 * 86_400 }])
  t.strictSame(imported.keys, [])
  const lost = await act('a legacy key is revoked', 'POST', `/admin/keys/${om.kid}/revoke`, { reason: 'lost' })
  t.strictSame(lost.keys, [om.kid])
  t.strictSame(lost.legacy, [{ issuer: LEGACY_ISSUER, kid: om.kid, n: key.n, e: key.e, verifiesUntil: now }], 'its issuer stays known')

  const signer = service.parts.ring.signing()?.kid ?? ''
  const emergency = await act('an emergency', 'POST', '/admin/keys/rotate', { emergency: true, reason: 'drill' })
  t.strictSame(emergency.keys, [signer, om.kid])
  t.not(emergency.header.kid, signer, 'a revoked key does not sign it')
})

await t.test('what is over is forgotten', async t => {
  const service = await startService(t)
  const { jti = '', exp = 0 } = decodeJwt(await service.token(await service.bot('a-bot')))
  await service.parts.tokens.revokeToken(jti, exp, TEST_EVENT)
  await service.parts.changes.catchUp()
  t.strictSame((await readFeed(service)).tokens, { [jti]: exp })
  service.advance(3 * 3600)
  await service.bot('b-bot')
  t.strictSame((await readFeed(service)).tokens, {})
})

await t.test('how it is served', async t => {
  const service = await startService(t, { MINTMARK_MAX_STALENESS: '1m' })
  const answer = await ask(service.app, { url })
  t.equal(answer.status, 200)
  t.equal(answer.headers['content-type'], 'application/jwt')
  t.equal(answer.headers['cache-control'], 'public, max-age=10')
  const etag = String(answer.headers.etag)
  t.match(etag, /^"[^"]+"$/, 'strong')
  for (const given of [etag, `W/${etag}`, `"other", ${etag}`]) {
    const same = await ask(service.app, { url, headers: { 'if-none-match': given } })
    t.equal(same.status, 304, given)
    t.equal(same.text, '')
    t.equal(same.headers.etag, etag)
  }
  t.equal((await ask(service.app, { method: 'HEAD', url })).status, 200)
  await service.bot('a-bot')
  t.equal((await ask(service.app, { url, headers: { 'if-none-match': etag } })).status, 200, 'something has changed')

  const before = await ask(service.app, { url })
  service.advance(3600)
  t.equal((await ask(service.app, { url })).text, before.text, 'while the database is away it is served as it is, and is over')
  t.ok((decodeJwt(before.text).exp ?? 0) < secondsOf(service.clock()))
})

await t.test('it is no token', async t => {
  const service = await startService(t)
  const feed = (await ask(service.app, { url })).text
  t.strictSame(faultsOfRefusal(await verifyInHeader(service.app, feed), 'type_not_allowed'), [])
})
