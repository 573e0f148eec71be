/** `POST /verify` (contract 6.3 and 6.5). Attacks on tokens stand in test/verify. */
import t from 'tap'
import { ask, faultsOfRefusal, verifyInBody, verifyInHeader, type Answer } from '../fakes/pool-answers.ts'
import { openToken } from '../fakes/pool-forge.ts'
import { startService, TEST_EVENT } from '../fakes/service.ts'

const service = await startService(t)
const { app } = service
const token = await service.token(await service.bot('ingestion-bot', { scopes: ['metadata:write', 'metadata:read'], roles: ['IngestionBotRole', 'Other'], audiences: ['metadata-api', 'second'] }))

async function post (payload: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return await ask(app, { method: 'POST', url: '/verify', headers: { 'content-type': 'application/json', ...headers }, payload: typeof payload === 'string' ? payload : JSON.stringify(payload) })
}

await t.test('a bot token becomes the principal of the contract, by header and by body', async t => {
  const { payload } = openToken(token)
  for (const answer of [await verifyInHeader(app, token), await verifyInBody(app, token), await post({}, { authorization: `bearer ${token}` })]) {
    t.equal(answer.status, 200)
    t.strictSame(answer.body, {
      active: true,
      principal: {
        kind: 'bot',
        name: 'ingestion-bot',
        email: 'ingestion-bot@open-metadata.org',
        issuer: 'http://localhost:8590',
        subject: 'ingestion-bot',
        clientId: 'ingestion-bot',
        audience: ['metadata-api', 'second'],
        roles: ['IngestionBotRole', 'Other'],
        groups: [],
        scopes: ['metadata:write', 'metadata:read'],
        admin: false,
        legacy: false,
        tokenUse: 'access',
        tokenId: payload.jti,
        pipeline: null,
        runId: null,
        issuedAt: '2026-11-22T10:00:00.000Z',
        expiresAt: '2026-11-22T11:00:00.000Z',
        claims: payload
      }
    })
  }
})

await t.test('who sends no token, or two', async t => {
  t.strictSame(faultsOfRefusal(await ask(app, { method: 'POST', url: '/verify' }), 'token_missing'), [], 'no body at all')
  t.strictSame(faultsOfRefusal(await post({}), 'token_missing'), [])
  t.strictSame(faultsOfRefusal(await post({ audience: 'x' }), 'token_missing'), [])
  t.strictSame(faultsOfRefusal(await post({}, { authorization: 'Basic eDp5' }), 'token_missing'), [], 'another scheme is no token')
  t.strictSame(faultsOfRefusal(await post({ token }, { authorization: `Bearer ${token}` }), 'request_invalid'), [], 'both')
  t.strictSame(faultsOfRefusal(await post({ token: '' }, { authorization: `Bearer ${token}` }), 'request_invalid'), [], 'both, one of them empty')
  t.strictSame(faultsOfRefusal(await post({}, { authorization: 'Bearer' }), 'request_invalid'), [])
  t.equal((await post({ token }, { authorization: 'Basic eDp5' })).status, 200)
})

await t.test('an audience in place of ours', async t => {
  t.equal((await verifyInBody(app, token, { audience: 'second' })).status, 200)
  t.equal((await verifyInBody(app, token, { audience: ['elsewhere', 'second'] })).status, 200, 'any of them will do')
  for (const audience of ['elsewhere', ['elsewhere', 'other'], 'SECOND']) {
    t.strictSame(faultsOfRefusal(await verifyInBody(app, token, { audience }), 'audience_mismatch'), [], JSON.stringify(audience))
  }
  const elsewhere = await service.token(await service.bot('other-bot', { audiences: ['elsewhere'] }))
  t.strictSame(faultsOfRefusal(await verifyInBody(app, elsewhere), 'audience_mismatch'), [], 'ours by default')
  t.equal((await verifyInBody(app, elsewhere, { audience: 'elsewhere' })).status, 200)
  t.equal((await post({ audience: 'elsewhere' }, { authorization: `Bearer ${elsewhere}` })).status, 200, 'demands in the body for a token in the header')
  t.strictSame(faultsOfRefusal(await verifyInBody(app, token, { audience: 'évil"\r\nx-injected: 1' }), 'audience_mismatch'), [], 'the challenge stays one header')
})

await t.test('scopes and roles, all of them', async t => {
  t.equal((await verifyInBody(app, token, { scopes: ['metadata:read'], roles: ['Other'] })).status, 200)
  t.equal((await verifyInBody(app, token, { scopes: ['metadata:read', 'metadata:write'], roles: ['Other', 'IngestionBotRole'] })).status, 200)
  t.equal((await verifyInBody(app, token, { scopes: [], roles: [] })).status, 200)
  t.strictSame(faultsOfRefusal(await verifyInBody(app, token, { scopes: ['metadata:read', 'admin'] }), 'scope_insufficient'), [])
  t.strictSame(faultsOfRefusal(await verifyInBody(app, token, { scopes: ['metadata'] }), 'scope_insufficient'), [])
  t.strictSame(faultsOfRefusal(await verifyInBody(app, token, { roles: ['Other', 'Boss'] }), 'role_insufficient'), [])
  t.strictSame(faultsOfRefusal(await verifyInBody(app, token, { audience: 'elsewhere', scopes: ['admin'] }), 'audience_mismatch'), [], 'who it is comes before what it may')
})

await t.test('bodies with faults are told all of them', async t => {
  const answer = await post({ token: 7, audience: 7, scopes: 'x', roles: [1], extra: true })
  t.equal(answer.status, 400)
  t.equal(answer.code, 'validation_failed')
  t.equal(answer.body.type, 'urn:mintmark:validation_failed')
  t.equal(answer.body.requestId, answer.headers['x-request-id'])
  const fields = new Set(answer.body.errors?.map(({ field }) => field.split('.')[0]))
  for (const field of ['token', 'audience', 'scopes', 'roles', 'extra']) t.ok(fields.has(field), field)
  t.ok(answer.body.errors?.every(({ message }) => message !== ''))
  for (const body of ['[]', '"x"', 'null', '7']) {
    const odd = await post(body)
    t.ok([400, 401].includes(odd.status), `${body}: ${odd.status}`)
  }
})

await t.test('request ids', async t => {
  const given = await ask(app, { method: 'POST', url: '/verify', headers: { 'x-request-id': 'run-42.a_b' } })
  t.equal(given.headers['x-request-id'], 'run-42.a_b')
  t.equal(given.body.requestId, 'run-42.a_b')
  for (const odd of ['', 'a b', 'x'.repeat(65), 'é', '{"level":60}', '../..', token]) {
    const { headers } = await ask(app, { method: 'POST', url: '/verify', headers: { 'x-request-id': odd } })
    t.ok(/^[\w.-]{1,64}$/.test(String(headers['x-request-id'])), `${odd.slice(0, 10)} is answered with one that can go into a log`)
    if (odd !== '../..') t.not(headers['x-request-id'], odd)
  }
  const [one, two] = [await verifyInBody(app, token), await verifyInBody(app, token)]
  t.not(one.headers['x-request-id'], two.headers['x-request-id'])
})

await t.test('a bot that is switched off, a key that is revoked', async t => {
  const client = await service.bot('short-lived')
  const mine = await service.token(client)
  await service.parts.bots.update('short-lived', bot => ({ ...bot, enabled: false }), TEST_EVENT)
  await service.parts.changes.catchUp()
  t.strictSame(faultsOfRefusal(await verifyInBody(app, mine), 'bot_disabled'), [])
  await service.parts.bots.update('short-lived', bot => ({ ...bot, enabled: true }), TEST_EVENT)
  await service.parts.changes.catchUp()
  t.equal((await verifyInBody(app, mine)).status, 200)
  await service.parts.rotator.revoke(String(openToken(mine).header.kid), 'leaked', TEST_EVENT)
  t.strictSame(faultsOfRefusal(await verifyInBody(app, mine), 'key_revoked'), [], 'not key_unknown')
  t.equal((await verifyInBody(app, await service.token(client))).status, 200, 'the next key signs')
})

await t.test('a token lives until its exp, and no longer', async t => {
  const fresh = await service.token({ clientId: 'ingestion-bot', clientSecret: await secretOf('ingestion-bot') })
  service.advance(3600 + 4)
  t.equal((await verifyInBody(app, fresh)).status, 200)
  service.advance(1)
  t.strictSame(faultsOfRefusal(await verifyInBody(app, fresh), 'token_expired'), [])
})

async function secretOf (bot: string): Promise<string> {
  const { newSecret } = await import('../../src/bots/secret.ts')
  const { secret, stored } = newSecret(bot, { now: service.clock() })
  await service.parts.secrets.add(stored, () => {}, TEST_EVENT)
  return secret
}
