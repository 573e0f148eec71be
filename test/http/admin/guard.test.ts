/** Who may come in at `/admin` (contract 7). */
import t from 'tap'
import type { AdminRight } from '../../../src/http/admin/guard.ts'
import { ask, faultsOfRefusal, verifyInBody, type Answer } from '../../fakes/pool-answers.ts'
import { startPool } from '../../fakes/pool.ts'
import { movableClock } from '../../fakes/clock.ts'
import { startService } from '../../fakes/service.ts'

const time = movableClock()
const pool = await startPool(t, time.clock)
const service = await startService(t, { ...pool.settings, MINTMARK_ADMIN_GROUPS: '[platform]' }, time)
const { app, parts: { config } } = service
const both = [...config.audience, config.issuer]
await service.bot('plain-bot', { scopes: ['metadata:write'] })
await service.bot('target-bot', { scopes: ['bots:read'] })

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'
const ROUTES: Array<[method: Method, url: string, needs: AdminRight, payload?: object]> = [
  ['GET', '/admin/keys', 'keys:read'],
  ['POST', '/admin/keys/rotate', 'keys:write', {}],
  ['POST', '/admin/keys/unheard-of/revoke', 'keys:write', { reason: 'test' }],
  ['GET', '/admin/bots', 'bots:read'],
  ['POST', '/admin/bots', 'bots:write', { name: 'made-bot' }],
  ['GET', '/admin/bots/plain-bot', 'bots:read'],
  ['PATCH', '/admin/bots/plain-bot', 'bots:write', { displayName: 'Plain' }],
  ['GET', '/admin/bots/plain-bot/secrets', 'bots:read'],
  ['POST', '/admin/bots/plain-bot/secrets', 'bots:write', {}],
  ['DELETE', '/admin/bots/plain-bot/secrets/unheard-of', 'bots:write']
]

async function call (method: Method, url: string, token: string | null, payload?: object): Promise<Answer> {
  return await ask(app, { method, url, headers: token === null ? {} : { authorization: `Bearer ${token}` }, ...(payload && { payload }) })
}

async function tokenWith (name: string, scopes: string[], audiences = both): Promise<string> {
  return await service.token(await service.bot(name, { scopes, audiences }))
}

const tokens = {
  full: await service.adminToken(),
  'keys:read': await tokenWith('keys-read', ['keys:read']),
  'keys:write': await tokenWith('keys-write', ['keys:write']),
  'bots:read': await tokenWith('bots-read', ['bots:read']),
  'bots:write': await tokenWith('bots-write', ['bots:write', 'metadata:write']),
  'audit:read': await tokenWith('audit-read', ['audit:read'])
}
const unprivileged = await tokenWith('unprivileged', ['metadata:write', 'introspect'])
const elsewhere = await tokenWith('elsewhere', ['admin'], ['metadata-api'])
const user = await pool.accessToken({ scope: 'admin keys:read keys:write bots:read bots:write' })
const adminUser = await pool.accessToken({ 'cognito:groups': ['platform'] })

for (const [method, url, needs, payload] of ROUTES) {
  await t.test(`${method} ${url}`, async t => {
    t.strictSame(faultsOfRefusal(await call(method, url, null, payload), 'token_missing'), [], 'nobody')
    t.strictSame(faultsOfRefusal(await call(method, url, 'a.b.c', payload), 'token_malformed'), [], 'nonsense')
    t.strictSame(faultsOfRefusal(await call(method, url, unprivileged, payload), 'admin_required'), [], 'a bot without a right')
    t.strictSame(faultsOfRefusal(await call(method, url, elsewhere, payload), 'audience_mismatch'), [], 'scope admin, but not meant for us')
    t.strictSame(faultsOfRefusal(await call(method, url, user, payload), 'admin_required'), [], 'a user, whatever its scopes')
    for (const [right, token] of Object.entries(tokens)) {
      const answer = await call(method, url, token, payload)
      if (right === 'full' || right === needs) t.ok([200, 201, 204, 404, 409].includes(answer.status), `${right} comes in: ${answer.status}`)
      else t.strictSame(faultsOfRefusal(answer, 'scope_insufficient'), [], `${right} is not ${needs}`)
    }
    t.ok([200, 201, 204, 404, 409].includes((await call(method, url, adminUser, payload)).status), 'a user in the admin group comes in')
  })
}

await t.test('nothing is read of a body before it is known who sends it', async t => {
  const answer = await ask(app, { method: 'POST', url: '/admin/bots', headers: { 'content-type': 'application/json' }, payload: '{' })
  t.strictSame(faultsOfRefusal(answer, 'token_missing'), [])
})

await t.test('a token in the query or in a cookie is no token', async t => {
  t.equal((await ask(app, { url: `/admin/keys?access_token=${tokens.full}` })).code, 'token_missing')
  t.equal((await ask(app, { url: '/admin/keys', cookies: { token: tokens.full } })).code, 'token_missing')
})

await t.test('bots:write cannot give itself or anyone more', async t => {
  const token = tokens['bots:write']
  const refused = async (method: Method, url: string, payload: object | undefined, message: string): Promise<void> => {
    t.strictSame(faultsOfRefusal(await call(method, url, token, payload), 'scope_insufficient'), [], message)
  }
  for (const scope of ['admin', 'keys:read', 'keys:write', 'bots:read', 'bots:write', 'audit:read']) {
    await refused('POST', '/admin/bots', { name: 'escalated', scopes: [scope] }, `a bot with ${scope}`)
    await refused('PATCH', '/admin/bots/plain-bot', { scopes: ['metadata:write', scope] }, `${scope} for a bot that there is`)
  }
  await refused('POST', '/admin/bots', { name: 'escalated', audiences: [config.issuer] }, 'our issuer as audience')
  await refused('PATCH', '/admin/bots/plain-bot', { audiences: both }, 'our issuer for a bot that there is')
  await refused('PATCH', '/admin/bots/bots-write', { scopes: [] }, 'itself, even to less')
  await refused('PATCH', '/admin/bots/target-bot', { scopes: [] }, 'the rights of another taken away')
  await refused('PATCH', '/admin/bots/admin-bot', { enabled: false }, 'an admin switched off')
  await refused('PATCH', '/admin/bots/elsewhere', { audiences: ['metadata-api'] }, 'a bot with scope admin alone')
  await refused('POST', '/admin/bots/admin-bot/secrets', {}, 'a secret of an admin')
  await refused('POST', '/admin/bots/target-bot/secrets', {}, 'a secret of a bot with a finer scope')
  await refused('DELETE', '/admin/bots/admin-bot/secrets/some-id', undefined, 'an admin\'s secret taken away')

  t.equal((await service.parts.bots.find('escalated')), null, 'nothing was made')
  t.match(await service.parts.bots.find('admin-bot'), { enabled: true, scopes: ['admin'] }, 'nothing was changed')
  t.match(await service.parts.bots.find('plain-bot'), { scopes: ['metadata:write'], audiences: config.audience })
  t.strictSame((await service.parts.secrets.list('target-bot')).length, 1)
  t.equal((await call('POST', '/admin/bots', token, { name: 'modest-bot', scopes: ['metadata:write'], audiences: ['elsewhere'] })).status, 201, 'what is left is allowed')
  t.equal((await call('POST', '/admin/bots', tokens.full, { name: 'new-admin', scopes: ['admin'], audiences: both })).status, 201, 'a full admin may')
})

await t.test('a right that was taken away', async t => {
  const client = await service.bot('fallen-admin', { scopes: ['admin'], audiences: both })
  const token = await service.token(client)
  t.equal((await call('GET', '/admin/keys', token)).status, 200)
  t.equal((await call('PATCH', '/admin/bots/fallen-admin', token, { enabled: false })).status, 200)
  t.strictSame(faultsOfRefusal(await call('GET', '/admin/keys', token), 'bot_disabled'), [], 'at once')
})

await t.test('who is told to be an admin', async t => {
  const told = async (token: string): Promise<boolean | undefined> => (await verifyInBody(app, token, { audience: both })).body.principal?.admin
  t.equal(await told(tokens.full), true)
  t.equal(await told(elsewhere), false, 'scope admin alone makes none')
  t.equal(await told(await tokenWith('meant-for-us', ['metadata:write'])), false, 'nor does our issuer as audience')
  t.equal(await told(await service.token({ clientId: 'admin-bot', clientSecret: await secretOfAdmin() }, { audience: 'metadata-api' })), false, 'nor an admin\'s token that is not meant for us')
  t.equal(await told(tokens['keys:write']), false)
  t.equal(await told(adminUser), true)
  t.equal(await told(user), false)
})

async function secretOfAdmin (): Promise<string> {
  const made = await call('POST', '/admin/bots/admin-bot/secrets', tokens.full, {})
  return (JSON.parse(made.text) as { secret: string }).secret
}
