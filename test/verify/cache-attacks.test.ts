/** Each way in which a cache of verified tokens has let somebody in elsewhere, tried on a token that is remembered. */
import t from 'tap'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { botTokens } from '../../src/verify/bot-tokens.ts'
import { judgeByJose } from '../../src/verify/jose-judge.ts'
import type { SignatureJudge, TokenUnderTest } from '../../src/verify/trusted-issuer.ts'
import { askAs, postForm } from '../fakes/asking.ts'
import { LEGACY_ISSUER, legacyServer } from '../fakes/legacy-server.ts'
import { freshRing, START } from '../fakes/memory-rings.ts'
import { ask, faultsOfRefusal, verifyInBody, verifyInHeader } from '../fakes/pool-answers.ts'
import { forge, openToken, realSigner } from '../fakes/pool-forge.ts'
import { makePoolKey, startPool } from '../fakes/pool.ts'
import { startService, TEST_EVENT, type Service, type Teardown } from '../fakes/service.ts'

/** Judges, and says how often it was asked to: each time is one RSA operation. */
function countingJudge (): SignatureJudge & { asked: () => number } {
  let asked = 0
  const judge: SignatureJudge = async (token, key, kind) => {
    asked++
    return await judgeByJose(token, key, kind)
  }
  return Object.assign(judge, { asked: () => asked })
}

interface Known { service: Service, token: string, admin: ReturnType<typeof askAs> }

/** A service to which the token of a bot is known: the next look finds it in memory. */
async function startKnowing (t: Teardown, environment: Record<string, string> = {}): Promise<Known> {
  const service = await startService(t, environment)
  const token = await service.token(await service.bot('ingestion-bot', { scopes: ['metadata:write'], roles: ['R'] }))
  const admin = askAs(service.app, await service.adminToken())
  await admin('GET', '/admin/keys')
  await verifyInHeader(service.app, token)
  const judge = countingJudge()
  await service.parts.verifier.verify(token, judge)
  if (judge.asked() > 0) throw new Error('the token is not remembered')
  return { service, token, admin }
}

async function isAccepted ({ parts }: Service, token: string): Promise<boolean> {
  try {
    await parts.verifier.verify(token, judgeByJose)
    return true
  } catch {
    return false
  }
}

const codeOf = async ({ app }: Service, token: string, demands: object = {}): Promise<string | null> => (await verifyInBody(app, token, demands)).code

await t.test('a signature is judged once, for all doors and judges', async t => {
  const service = await startService(t)
  const token = await service.token(await service.bot('ingestion-bot'))
  const judge = countingJudge()
  for (let time = 0; time < 3; time++) await service.parts.verifier.verify(token, judge)
  t.equal(judge.asked(), 1)
  t.equal((await verifyInHeader(service.app, token)).status, 200)
  t.equal((await verifyInBody(service.app, token)).status, 200)
  t.equal((await ask(service.app, { url: '/auth', headers: { authorization: `Bearer ${token}` } })).status, 200)
  await service.parts.verifier.identify(token, judge)
  await service.parts.verifier.explain(token, judge)
  t.equal(judge.asked(), 1)
})

await t.test('a key of the cache that two tokens share (as fast-jwt\'s cacheKeyBuilder could make)', async t => {
  const { service, token } = await startKnowing(t)
  const [header, payload, signature] = openToken(token).parts
  const other = await service.token(await service.bot('other-bot'))
  const [, otherPayload, otherSignature] = openToken(other).parts
  await verifyInHeader(service.app, other)
  t.equal(await codeOf(service, `${header}.${otherPayload}.${signature}`), 'signature_invalid', 'the signature of a known token')
  t.equal(await codeOf(service, `${header}.${payload}.${otherSignature}`), 'signature_invalid', 'header and payload of a known token')
  t.equal((await verifyInBody(service.app, other)).body.principal?.name, 'other-bot', 'and each speaks for itself')

  const accepted: string[] = []
  for (let place = 0; place < token.length; place++) {
    const changed = token.slice(0, place) + (token[place] === 'A' ? 'B' : 'A') + token.slice(place + 1)
    if (await isAccepted(service, changed)) accepted.push(changed)
  }
  t.strictSame(accepted, [], 'one character anywhere makes it another token')
})

await t.test('other spellings of a known token', async t => {
  const { service, token } = await startKnowing(t)
  for (const spelling of [` ${token}`, `${token} `, `${token}\n`, `${token}=`, `${token}\u0000`, `${token}\uD800`, `${token}\uFFFD`, token.toUpperCase(), token.toLowerCase(), token.replace('.', '..'), token.replace(/\./g, '\uFF0E'), `Bearer ${token}`]) {
    t.type(await codeOf(service, spelling), 'string', JSON.stringify(spelling.slice(-8)))
  }
  t.equal(await codeOf(service, token), null)
})

await t.test('forgeries leave no trace, and push nobody out', async t => {
  const { service, token } = await startKnowing(t)
  const { header, payload } = openToken(token)
  const before = service.parts.verifiedTokens.held()
  for (let number = 0; number < 300; number++) {
    const forged = await forge(header, { ...payload, jti: String(number) }, () => Buffer.alloc(256, number))
    t.notOk(await isAccepted(service, number % 2 ? forged : `${forged.slice(0, -8)}AAAAAAAA`))
  }
  const pool = await startPool(t)
  t.notOk(await isAccepted(service, await pool.idToken()))
  t.strictSame(service.parts.verifiedTokens.held(), before)
  const judge = countingJudge()
  await service.parts.verifier.verify(token, judge)
  t.equal(judge.asked(), 0, 'who was known still is')
})

await t.test('a refusal is not remembered: what was wrong may be mended', async t => {
  const { service, token, admin } = await startKnowing(t)
  await admin('PATCH', '/admin/bots/ingestion-bot', { enabled: false })
  t.equal(await codeOf(service, token), 'bot_disabled')
  await admin('PATCH', '/admin/bots/ingestion-bot', { enabled: true })
  t.equal(await codeOf(service, token), null)
})

await t.test('a known token that is over', async t => {
  const { service, token } = await startKnowing(t)
  service.advance(3_600 + 4)
  t.equal(await codeOf(service, token), null, 'within the tolerance it is good')
  service.advance(1)
  t.equal(await codeOf(service, token), 'token_expired')
  service.advance(60)
  await codeOf(service, token)
  t.equal(service.parts.verifiedTokens.held().tokens, 0, 'and nothing is left of it')
})

await t.test('a known token, when the clock is set back before its time', async t => {
  const { service } = await startKnowing(t)
  const { header, payload } = openToken(await service.token(await service.bot('other-bot')))
  const now = Math.floor(service.clock().getTime() / 1000)
  const notYet = await forge(header, { ...payload, nbf: now + 2 }, realSigner(service))
  t.equal(await codeOf(service, notYet), null, 'the tolerance')
  service.advance(-10)
  t.equal(await codeOf(service, notYet), 'token_not_yet_valid')
})

await t.test('a known token that was revoked: itself, its run, its bot, its key', async t => {
  const { service, token, admin } = await startKnowing(t)
  const client = await service.bot('second-bot')
  const [single, run, whole] = [await service.token(client), await service.token(client, { mintmark_run: 'r1' }), await service.token(client)]
  for (const each of [single, run, whole]) t.equal(await codeOf(service, each), null)
  await postForm(service.app, '/oauth/revoke', { token: single }, client)
  t.equal(await codeOf(service, single), 'token_revoked')
  t.equal(await codeOf(service, run), null)
  await admin('POST', '/admin/bots/second-bot/revoke-tokens', { run: 'r1' })
  t.equal(await codeOf(service, run), 'token_revoked')
  t.equal(await codeOf(service, whole), null)
  await admin('POST', '/admin/bots/second-bot/revoke-tokens', {})
  t.equal(await codeOf(service, whole), 'token_revoked')
  await admin('DELETE', '/admin/bots/second-bot')
  t.equal(await codeOf(service, whole), 'token_revoked')

  const before = service.parts.verifiedTokens.held().tokens
  t.ok(before > 3)
  await service.parts.rotator.revoke(String(openToken(token).header.kid), 'stolen', TEST_EVENT)
  t.equal(await codeOf(service, token), 'key_revoked')
  t.equal(service.parts.verifiedTokens.held().tokens, 0, 'with the first one go all of that key')
})

await t.test('a known token that is revoked between two of the checks that it goes through', async t => {
  const { service, token } = await startKnowing(t)
  const known = service.parts.verifiedTokens.recall(token, service.clock())
  if (!known) throw new Error('the token is not remembered')
  let held = { edition: {}, revoked: false, disabled: false }
  const issuer = botTokens({
    findKey: () => ({ found: 'key', key: known.key }),
    audience: null,
    revocations: { isStale: () => false, isRunRevoked: () => false, notBefore: () => 0, isTokenRevoked: () => held.revoked, isBotDisabled: () => held.disabled, edition: () => held.edition },
    isAdmin: () => false
  })
  const underTest: TokenUnderTest = { raw: token, now: service.clock(), demands: {}, judge: judgeByJose, known, header: known.header, payload: known.payload, issuer, key: known.key, principal: issuer.toPrincipal({ payload: known.payload } as TokenUnderTest) }
  issuer.checkRevocation(underTest)
  held = { edition: {}, revoked: true, disabled: false }
  issuer.checkEnabled(underTest)
  t.throws(() => { issuer.checkRevocation(underTest) }, { code: 'token_revoked' }, 'that its bot is enabled says nothing of the token')
  held = { edition: {}, revoked: false, disabled: true }
  issuer.checkRevocation(underTest)
  t.throws(() => { issuer.checkEnabled(underTest) }, { code: 'bot_disabled' }, 'nor the other way round')
  t.throws(() => { issuer.checkEnabled(underTest) }, { code: 'bot_disabled' }, 'a refusal is not remembered')
})

await t.test('a known token, when nobody has heard of revocations for too long', async t => {
  const { service, token } = await startKnowing(t, { MINTMARK_MAX_STALENESS: '60s' })
  service.advance(61)
  t.equal(await codeOf(service, token), 'state_stale')
})

await t.test('another key of the same kid: in our ring', async t => {
  const [first] = freshRing()
  if (!first) throw new Error('no key')
  const held = { ring: [first] }
  const ring = createKeyRing({ read: async () => held.ring, update: async () => { throw new Error('nobody updates') } }, () => START)
  await ring.refresh()
  const issuer = first.issuers[0] ?? ''
  const before = ring.find(issuer, first.kid)
  await ring.refresh()
  t.equal(before.found === 'key' && before.key, (found => found.found === 'key' && found.key)(ring.find(issuer, first.kid)), 'the same key is the same object')
  held.ring = [{ ...first, publicKey: (await makePoolKey().then(({ jwk }) => ({ n: jwk.n ?? '', e: jwk.e ?? '' }))) }]
  await ring.refresh()
  const after = ring.find(issuer, first.kid)
  t.ok(after.found === 'key' && before.found === 'key' && after.key !== before.key && after.key.jwk.n === held.ring[0]?.publicKey.n)
})

await t.test('another key of the same kid: in a pool', async t => {
  const pool = await startPool(t)
  const service = await startService(t, pool.settings)
  const token = await pool.idToken({ iat: Math.floor(service.clock().getTime() / 1000), exp: Math.floor(service.clock().getTime() / 1000) + 86_400 })
  t.equal(await codeOf(service, token), null)
  t.equal(await codeOf(service, token), null)
  const { jwk } = await makePoolKey()
  pool.publish([{ ...jwk, kid: pool.key().kid }])
  service.advance(2 * 3_600 + 1)
  t.equal(await codeOf(service, token), 'signature_invalid')
  t.equal(service.parts.verifiedTokens.held().tokens, 0, 'with the key went its tokens')
  pool.publish([pool.key().jwk])
  service.advance(2 * 3_600 + 1)
  t.equal(await codeOf(service, token), null, 'the key is back')
  pool.publish([])
  service.advance(2 * 3_600 + 1)
  t.equal(await codeOf(service, token), 'key_unknown')
})

await t.test('a legacy token, known, whose key is revoked', async t => {
  const { service, admin } = await startKnowing(t)
  const om = legacyServer(service.clock)
  await admin('POST', '/admin/keys/import', { publicKey: om.publicKey.export({ format: 'pem', type: 'spki' }), kid: om.kid, issuer: LEGACY_ISSUER })
  const token = await om.token()
  for (let time = 0; time < 2; time++) t.equal(await codeOf(service, token), null)
  const judge = countingJudge()
  await service.parts.verifier.verify(token, judge)
  t.equal(judge.asked(), 0)
  await admin('POST', `/admin/keys/${om.kid}/revoke`, { reason: 'lost' })
  t.equal(await codeOf(service, token), 'key_revoked')
})

await t.test('another door with other demands', async t => {
  const { service, token } = await startKnowing(t)
  t.equal(await codeOf(service, token, { audience: 'another-api' }), 'audience_mismatch')
  t.equal(await codeOf(service, token, { scopes: ['metadata:read'] }), 'scope_insufficient')
  t.equal(await codeOf(service, token, { roles: ['Other'] }), 'role_insufficient')
  t.equal((await ask(service.app, { url: '/auth?scope=other', headers: { authorization: `Bearer ${token}` } })).status, 403)
  t.equal((await ask(service.app, { url: '/auth?audience=other', headers: { authorization: `Bearer ${token}` } })).status, 401)
  t.strictSame(faultsOfRefusal(await ask(service.app, { url: '/admin/keys', headers: { authorization: `Bearer ${token}` } }), 'audience_mismatch'), [])
  t.equal(await codeOf(service, token, { scopes: ['metadata:write'], roles: ['R'] }), null, 'and none of it sticks')
})

await t.test('an explanation of a known token says as much as of a new one', async t => {
  const { service, token, admin } = await startKnowing(t)
  const explain = async (): Promise<object> => (await admin('POST', '/verify?explain=true', { token })).json<object>()
  const known = await explain()
  const key = service.parts.ring.find(service.parts.config.issuer, String(openToken(token).header.kid))
  if (key.found === 'key') service.parts.verifiedTokens.dropKey(key.key)
  t.equal(service.parts.verifiedTokens.held().tokens, 0)
  t.strictSame(known, await explain())
  t.ok((known as { checks: unknown[] }).checks.length > 15)
})
