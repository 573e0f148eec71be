/** Users of a pool at the service's door: contract 6.2, and how the pool's keys are kept (6.7). */
import { generateKeyPairSync } from 'node:crypto'
import { exportJWK } from 'jose'
import t, { type Test } from 'tap'
import { issuerFormsOf } from '../../src/verify/cognito-tokens.ts'
import type { Get } from '../../src/verify/http-get.ts'
import { createRemoteKeys } from '../../src/verify/remote-keys.ts'
import { movableClock } from '../fakes/clock.ts'
import { faultsOfRefusal, verifyInBody, verifyInHeader, type Answer } from '../fakes/pool-answers.ts'
import { makePoolKey, startPool, USER_SUB, type Pool } from '../fakes/pool.ts'
import { openToken } from '../fakes/pool-forge.ts'
import { startService, type Service } from '../fakes/service.ts'

async function start (t: Test, settings: Record<string, string> = {}): Promise<{ pool: Pool, service: Service, advance: (seconds: number) => void }> {
  const time = movableClock()
  const pool = await startPool(t, time.clock)
  const service = await startService(t, { ...pool.settings, ...settings }, time)
  return { pool, service, advance: time.advance }
}

const knows = async ({ app }: Service, token: string): Promise<Answer> => await verifyInHeader(app, token)

async function nameOf (service: Service, token: string): Promise<string | undefined> {
  return (await knows(service, token)).body.principal?.name
}

async function isAdmin (service: Service, token: string): Promise<boolean | undefined> {
  const answer = await knows(service, token)
  if (answer.status !== 200) throw new Error(answer.text)
  return answer.body.principal?.admin
}

await t.test('an id token becomes the principal of the contract', async t => {
  const { pool, service } = await start(t)
  const token = await pool.idToken({ 'cognito:groups': ['analysts', 'owners'] })
  const answer = await knows(service, token)
  t.equal(answer.status, 200)
  const { payload } = openToken(token)
  t.strictSame(answer.body, {
    active: true,
    principal: {
      kind: 'user',
      name: 'alice',
      email: 'Alice@Example.com',
      issuer: pool.issuer,
      subject: USER_SUB,
      clientId: pool.clientId,
      audience: [pool.clientId],
      roles: [],
      groups: ['analysts', 'owners'],
      scopes: [],
      admin: false,
      legacy: false,
      tokenUse: 'id',
      tokenId: payload.jti,
      pipeline: null,
      runId: null,
      issuedAt: '2026-11-22T10:00:00.000Z',
      expiresAt: '2026-11-22T11:00:00.000Z',
      claims: payload
    }
  })
})

await t.test('an access token becomes the principal of the contract', async t => {
  const { pool, service } = await start(t)
  const token = await pool.accessToken()
  const answer = await knows(service, token)
  t.equal(answer.status, 200)
  const { payload } = openToken(token)
  t.strictSame(answer.body, {
    active: true,
    principal: {
      kind: 'user',
      name: 'cognito-alice',
      email: null,
      issuer: pool.issuer,
      subject: USER_SUB,
      clientId: pool.clientId,
      audience: [],
      roles: [],
      groups: [],
      scopes: ['openid', 'email', 'metadata/read'],
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
})

await t.test('where a name is taken from', async t => {
  const { pool, service } = await start(t)
  const nameFrom = async (claims: Record<string, unknown>): Promise<string | undefined> => await nameOf(service, await pool.idToken(claims))
  t.equal(await nameFrom({ preferred_username: 'Ally' }), 'alice', 'the first principal claim, cut at @, in lower case')
  t.equal(await nameFrom({ email: undefined, preferred_username: 'Ally@Corp' }), 'ally', 'the second one, where the first is absent')
  t.equal(await nameFrom({ email_verified: false, preferred_username: 'Ally' }), 'ally', 'an address that is not verified counts for nothing')
  t.equal(await nameFrom({ email_verified: 'false' }), 'cognito-alice', 'nor one that is not verified in writing')
  t.equal(await nameFrom({ email: undefined }), 'cognito-alice', 'cognito:username before sub')
  t.equal(await nameFrom({ email: undefined, 'cognito:username': undefined }), USER_SUB, 'sub at last')
  t.equal(await nameOf(service, await pool.accessToken({ username: 'Bob' })), 'bob', 'username in an access token')

  const renamed = await start(t, { AUTHENTICATION_JWT_PRINCIPAL_CLAIMS: '[sub,nickname]' })
  t.equal(await nameOf(renamed.service, await renamed.pool.idToken({ nickname: 'Nick' })), 'nick', 'sub comes last wherever it stands')
})

await t.test('e-mail addresses', async t => {
  const { pool, service } = await start(t)
  const emailFrom = async (claims: Record<string, unknown>): Promise<string | null | undefined> => (await knows(service, await pool.idToken(claims))).body.principal?.email
  t.equal(await emailFrom({ email_verified: undefined }), 'Alice@Example.com', 'the token does not say that it is not verified')
  t.equal(await emailFrom({ email_verified: 'true' }), 'Alice@Example.com')
  t.equal(await emailFrom({ email_verified: false }), null)
  t.equal(await emailFrom({ email_verified: 'false' }), null)
  t.equal(await emailFrom({ email: undefined }), null)
})

await t.test('refusals', async t => {
  const { pool, service, advance } = await start(t)
  await service.bot('reporter')
  const refused = async (token: Promise<string>, code: Parameters<typeof faultsOfRefusal>[1], message: string): Promise<void> => {
    t.strictSame(faultsOfRefusal(await knows(service, await token), code), [], message)
  }
  await refused(pool.idToken({ aud: 'another-client' }), 'client_mismatch', 'id token of another client')
  await refused(pool.accessToken({ client_id: 'another-client' }), 'client_mismatch', 'access token of another client')
  await refused(pool.accessToken({ aud: pool.clientId, client_id: 'another-client' }), 'client_mismatch', 'aud does not stand in for client_id')
  await refused(pool.idToken({ aud: undefined, client_id: pool.clientId }), 'claim_missing', 'nor client_id for aud')
  await refused(pool.accessToken({ token_use: 'refresh' }), 'token_use_mismatch', 'another token use')
  await refused(pool.accessToken({ token_use: undefined }), 'claim_missing', 'no token use')
  await refused(pool.idToken({ sub: undefined }), 'claim_missing', 'no sub')
  await refused(pool.idToken({ exp: undefined }), 'claim_missing', 'no exp')
  await refused(pool.idToken({ iat: undefined }), 'claim_missing', 'no iat')
  await refused(pool.idToken({ email: 'Reporter@example.com' }), 'name_collision', 'the name of a bot')
  await refused(pool.idToken({ iss: `${pool.issuer}2` }), 'issuer_unknown', 'another pool')
  await refused(pool.idToken({ iss: `${pool.issuer}/` }), 'issuer_unknown', 'a slash more')
  await refused(pool.idToken({}, { typ: 'at+jwt' }), 'type_not_allowed', 'typ of ours')
  await refused(pool.idToken({}, { alg: 'RS512' }), 'algorithm_not_allowed', 'another algorithm')
  await refused(pool.idToken({}, { kid: undefined }), 'key_unknown', 'no kid')
  await refused(pool.accessToken({ username: undefined, sub: pool.clientId }), 'machine_token_not_mapped', 'a machine of the pool')
  await refused(pool.accessToken({ username: undefined, sub: 'unheard-of', client_id: 'unheard-of' }), 'machine_token_not_mapped', 'a machine of another client')
  t.equal((await knows(service, await pool.idToken({}, { typ: 'JWT' }))).status, 200, 'typ JWT is good')

  const token = await pool.idToken()
  advance(3604)
  t.equal((await knows(service, token)).status, 200, 'good until exp and the tolerance')
  advance(1)
  await refused(Promise.resolve(token), 'token_expired', 'and over then')
})

await t.test('claims of another form are our own checks\' business, not the signature\'s', async t => {
  const { pool, service } = await start(t)
  for (const claims of [{ exp: '1795000000' }, { iat: '1' }, { nbf: '1' }, { exp: null }]) {
    const answer = await knows(service, await pool.idToken(claims))
    t.strictSame(faultsOfRefusal(answer, 'claim_missing'), [], JSON.stringify(claims))
  }
  t.strictSame(faultsOfRefusal(await knows(service, await pool.idToken({ sub: 7 })), 'claim_missing'), [], 'sub as a number')
  t.strictSame(faultsOfRefusal(await knows(service, await pool.idToken({ aud: [7] })), 'claim_missing'), [], 'aud as a number')
  t.strictSame(faultsOfRefusal(await knows(service, await pool.idToken({ nbf: 1_800_000_000 })), 'token_not_yet_valid'), [], 'nbf ahead')
  t.strictSame(faultsOfRefusal(await knows(service, await pool.idToken({ iat: 1_800_000_000 })), 'token_not_yet_valid'), [], 'iat ahead')
  t.strictSame(faultsOfRefusal(await knows(service, await pool.idToken({}, { typ: 7 })), 'type_not_allowed'), [], 'typ as a number')
})

await t.test('a token use can be switched off', async t => {
  const { pool, service } = await start(t, { MINTMARK_TOKEN_USE: '[id]' })
  t.equal((await knows(service, await pool.idToken())).status, 200)
  t.strictSame(faultsOfRefusal(await knows(service, await pool.accessToken()), 'token_use_mismatch'), [])
})

await t.test('several clients, and the caller\'s audience is for bots only', async t => {
  const { pool, service } = await start(t, { AUTHENTICATION_CLIENT_ID: '[first, 4kd2bq0example7n1v9c3p5t8u]' })
  t.equal((await knows(service, await pool.idToken())).status, 200)
  t.equal((await knows(service, await pool.idToken({ aud: 'first' }))).status, 200)
  t.equal((await verifyInBody(service.app, await pool.idToken(), { audience: 'elsewhere' })).status, 200, 'users are held to the client ids')
  t.equal((await verifyInBody(service.app, await pool.idToken({ aud: 'other' }), { audience: 'other' })).code, 'client_mismatch')
  t.equal((await verifyInBody(service.app, await pool.accessToken(), { scopes: ['openid', 'metadata/read'] })).status, 200)
  t.equal((await verifyInBody(service.app, await pool.accessToken(), { scopes: ['openid', 'metadata/write'] })).code, 'scope_insufficient')
  t.equal((await verifyInBody(service.app, await pool.accessToken({ 'cognito:groups': ['Admin'] }), { roles: ['Admin'] })).code, 'role_insufficient', 'a group is no role')
})

await t.test('the principal domain can be enforced', async t => {
  const { pool, service } = await start(t, { AUTHORIZER_ENFORCE_PRINCIPAL_DOMAIN: 'true', AUTHORIZER_PRINCIPAL_DOMAIN: 'Example.com' })
  const verdict = async (claims: Record<string, unknown>): Promise<number | string> => {
    const { status, code } = await knows(service, await pool.idToken(claims))
    return code ?? status
  }
  t.equal(await verdict({}), 200)
  t.equal(await verdict({ email_verified: 'true' }), 200)
  t.equal(await verdict({ email_verified: false }), 'domain_not_allowed')
  t.equal(await verdict({ email_verified: undefined }), 'domain_not_allowed', 'not known to be verified')
  t.equal(await verdict({ email: 'alice@evil-example.com' }), 'domain_not_allowed')
  t.equal(await verdict({ email: 'alice@sub.example.com' }), 'domain_not_allowed')
  t.equal(await verdict({ email: 'alice@example.com@evil.com' }), 'domain_not_allowed')
  t.equal((await knows(service, await pool.accessToken())).code, 'domain_not_allowed', 'an access token has no address')
  t.equal((await knows(service, await service.token(await service.bot('any-bot')))).status, 200, 'bots are not users')
})

await t.test('who is an admin', async t => {
  const { pool, service } = await start(t, {
    MINTMARK_ADMIN_GROUPS: '[platform]',
    AUTHORIZER_PRINCIPAL_DOMAIN: 'example.com',
    AUTHORIZER_ADMIN_PRINCIPALS: '[Carol, Dave@Other.org, 11111111-AAAA-4bbb-8ccc-222222222222]'
  })
  const admin = async (claims: Record<string, unknown>): Promise<boolean | undefined> => await isAdmin(service, await pool.idToken(claims))
  t.equal(await admin({}), false, 'nobody by default')
  t.equal(await admin({ 'cognito:groups': ['analysts', 'platform'] }), true, 'by group')
  t.equal(await admin({ 'cognito:groups': ['platforms'] }), false)
  t.equal(await admin({ sub: '11111111-aaaa-4BBB-8ccc-222222222222' }), true, 'by sub, letter case does not matter')
  t.equal(await admin({ email: 'CAROL@example.com' }), true, 'by bare name')
  for (const domain of ['evil.com', 'example.net', 'evil-example.com', 'sub.example.com', 'example.com.evil.com']) {
    t.equal(await admin({ email: `carol@${domain}` }), false, `a bare name is of the principal domain, not of ${domain}`)
  }
  t.equal(await admin({ email: 'carol@example.com', email_verified: false }), false, 'an address counts only if it is verified')
  t.equal(await admin({ email: 'carol@example.com', email_verified: undefined }), false)
  t.equal(await admin({ email: 'dave@other.org' }), true, 'by whole address')
  t.equal(await admin({ email: 'dave@example.com' }), false, 'a whole address is no bare name')
  t.equal(await admin({ email: undefined, preferred_username: 'carol', 'cognito:username': 'carol' }), false, 'a name that anyone can take makes no admin')
  t.equal(await isAdmin(service, await pool.accessToken({ username: 'carol' })), false)
  t.equal(await isAdmin(service, await pool.accessToken({ scope: 'admin' })), false, 'a user\'s scope makes no admin')
  t.equal(await isAdmin(service, await pool.accessToken({ 'cognito:groups': ['platform'] })), true)

  const ask = async (token: string): Promise<number> => (await service.app.inject({ url: '/admin/keys', headers: { authorization: `Bearer ${token}` } })).statusCode
  t.equal(await ask(await pool.accessToken({ 'cognito:groups': ['platform'] })), 200, 'an admin user comes in')
  t.equal(await ask(await pool.accessToken({ scope: 'admin keys:read' })), 403, 'another does not, whatever its scopes')
})

await t.test('keys are fetched when first needed, one fetch at a time', async t => {
  const { pool, service } = await start(t)
  t.equal(pool.fetches(), 0, 'not at the start')
  const tokens = await Promise.all(Array.from({ length: 20 }, async () => await pool.idToken()))
  const answers = await Promise.all(tokens.map(async token => await knows(service, token)))
  t.ok(answers.every(answer => answer.status === 200))
  t.equal(pool.fetches(), 1, 'one for twenty at once')
  await knows(service, await pool.accessToken())
  t.equal(pool.fetches(), 1, 'and kept')
})

await t.test('an unknown kid asks the pool again, then not for ten seconds', async t => {
  const { pool, service, advance } = await start(t)
  t.equal((await knows(service, await pool.idToken())).status, 200)
  await pool.rotate()
  t.equal((await knows(service, await pool.idToken())).status, 200, 'the first fetch starts no cooldown: a new key is known at once')
  t.equal(pool.fetches(), 2)

  const made = await Promise.all(['a', 'b', 'c'].map(async kid => await pool.idToken({}, { kid })))
  const refused = await Promise.all(made.map(async token => await knows(service, token)))
  t.strictSame(refused.map(answer => answer.code), ['key_unknown', 'key_unknown', 'key_unknown'])
  t.equal(pool.fetches(), 2, 'made-up kids do not make us knock')

  await pool.rotate()
  const token = await pool.idToken()
  advance(9)
  t.equal((await knows(service, token)).code, 'key_unknown', 'nor does a real one within the cooldown')
  t.equal(pool.fetches(), 2)
  advance(1.001)
  const after = await Promise.all([knows(service, token), knows(service, token), knows(service, token)])
  t.strictSame(after.map(answer => answer.status), [200, 200, 200], 'it is known after the cooldown')
  t.equal(pool.fetches(), 3, 'by one fetch')
})

await t.test('a pool that is down at the start stops nothing', async t => {
  const { pool, service, advance } = await start(t)
  pool.goDown()
  const bot = await service.token(await service.bot('ingestion-bot'))
  const answer = await knows(service, await pool.idToken())
  t.strictSame(faultsOfRefusal(answer, 'keys_unavailable'), [])
  t.equal((await knows(service, bot)).status, 200, 'bots are known all the same')
  t.equal((await service.app.inject('/health/ready')).statusCode, 200)
  pool.goUp()
  advance(2)
  t.equal((await knows(service, await pool.idToken())).status, 200, 'it heals')
  pool.goDown()
  advance(7200)
  t.equal((await knows(service, await pool.idToken())).status, 200, 'the keys in hand are kept while the pool is away')
})

await t.test('what a pool answers in place of keys', async t => {
  const { pool, service, advance } = await start(t)
  const answers: Array<[string, Parameters<Pool['answer']>[0]]> = [
    ['500', response => { response.writeHead(500).end('{"keys":[]}') }],
    ['no JSON', response => { response.end('<html>') }],
    ['no list', response => { response.end('{"keys":{}}') }],
    ['null', response => { response.end('null') }],
    ['too much', response => { response.end(`{"keys":[],"x":"${'x'.repeat(300 * 1024)}"}`) }],
    ['elsewhere', response => { response.writeHead(302, { location: `${pool.issuer}/moved.json` }).end() }]
  ]
  for (const [name, handler] of answers) {
    pool.answer(handler)
    t.strictSame(faultsOfRefusal(await knows(service, await pool.idToken()), 'keys_unavailable'), [], name)
    advance(2)
  }
  pool.answer(null)
  t.equal((await knows(service, await pool.idToken())).status, 200)
})

await t.test('a key that is not one for RS256 signatures counts as unknown', async t => {
  const { pool, service, advance } = await start(t)
  const good = pool.key()
  const weak = await makePoolKey(1024)
  const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const lists: Array<[string, unknown[]]> = [
    ['1024 bit', [weak.jwk]],
    ['a curve', [{ ...await exportJWK(curve.publicKey), kid: good.kid, use: 'sig', alg: 'RS256' }]],
    ['for encryption', [{ ...good.jwk, use: 'enc' }]],
    ['of another algorithm', [{ ...good.jwk, alg: 'RS512' }]],
    ['a secret', [{ kty: 'oct', k: 'AAAA', kid: good.kid, use: 'sig' }]],
    ['for other operations', [{ ...good.jwk, key_ops: ['encrypt'] }]],
    ['without modulus', [{ ...good.jwk, n: undefined }]],
    ['without kid', [{ ...good.jwk, kid: undefined }]],
    ['nonsense', [null, 7, 'key', []]],
    ['none', []]
  ]
  for (const [name, keys] of lists) {
    pool.publish(keys)
    advance(11)
    const token = await pool.idToken({}, name === '1024 bit' ? { kid: weak.kid } : {})
    t.strictSame(faultsOfRefusal(await knows(service, token), 'key_unknown'), [], name)
  }
  pool.publish([null, weak.jwk, { ...good.jwk, use: 'enc' }, good.jwk])
  advance(11)
  t.equal((await knows(service, await pool.idToken())).status, 200, 'a good one beside them is used')
})

await t.test('the keys in hand are looked at anew behind the back of whoever asks', async t => {
  const time = movableClock()
  const key = await makePoolKey()
  let fetches = 0
  const get: Get = async () => {
    fetches++
    return { status: 200, etag: null, text: JSON.stringify({ keys: [key.jwk] }) }
  }
  const keys = createRemoteKeys({ jwksUri: 'https://pool.example/jwks', clock: time.clock, get, refreshAfterSeconds: 300 })
  await keys.find(key.kid)
  time.advance(299)
  await keys.find(key.kid)
  t.equal(fetches, 1)
  time.advance(2)
  t.ok(await keys.find(key.kid))
  t.equal(fetches, 2)
})

await t.test('both forms of a Cognito issuer mean the same pool', async t => {
  const forms = ['https://cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8', 'https://issuer-cognito-idp.us-west-1.amazonaws.com/us-west-1_DL8xfTzj8']
  for (const form of forms) t.strictSame(issuerFormsOf(form).sort(), [...forms].sort(), form)
  t.match(issuerFormsOf('https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_x'), ['https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_x', 'https://issuer-cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_x'])
  for (const other of ['https://issuer.example', 'http://cognito-idp.us-west-1.amazonaws.com/us-west-1_x', 'https://cognito-idp.us-west-1.amazonaws.com.evil.example/us-west-1_x', 'https://cognito-idp.evil.example/x.amazonaws.com/y']) {
    t.strictSame(issuerFormsOf(other), [other], `${other} is taken as it is`)
  }
})
