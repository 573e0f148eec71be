/** `/admin/keys` (contract 3.4). */
import t, { type Test } from 'tap'
import { ask, verifyInBody, type Answer } from '../../fakes/pool-answers.ts'
import { openToken } from '../../fakes/pool-forge.ts'
import { startService, type Service } from '../../fakes/service.ts'

interface Key {
  kid: string
  state: string
  signsFrom: string
  signsUntil: string | null
  revokedAt: string | null
  revokedReason: string | null
}
interface KeyList { now: string, policy: object, keys: Key[], nextRotationAt: string | null }
interface Rotation { effectiveAt: string, signing: string, next: string }

interface Door {
  service: Service
  token: string
  call: (method: 'GET' | 'POST', url: string, payload?: object) => Promise<Answer>
  list: (query?: string) => Promise<KeyList>
  rotate: (payload: object) => Promise<Rotation>
}

async function open (t: Test, settings: Record<string, string> = {}): Promise<Door> {
  const service = await startService(t, settings)
  const token = await service.adminToken()
  const client = await service.bot('second-admin', { scopes: ['admin'], audiences: [service.parts.config.issuer, 'metadata-api'] })
  const call: Door['call'] = async (method, url, payload) =>
    await ask(service.app, { method, url, headers: { authorization: `Bearer ${await service.token(client)}` }, ...(payload && { payload }) })
  const list: Door['list'] = async (query = '') => JSON.parse((await call('GET', `/admin/keys${query}`)).text) as KeyList
  const rotate: Door['rotate'] = async payload => {
    const answer = await call('POST', '/admin/keys/rotate', payload)
    if (answer.status !== 200) throw new Error(answer.text)
    return JSON.parse(answer.text) as Rotation
  }
  return { service, token, call, list, rotate }
}

await t.test('the list', async t => {
  const { list } = await open(t)
  const { now, policy, keys, nextRotationAt } = await list()
  t.equal(now, '2026-11-22T10:00:00.000Z')
  t.match(policy, { rotateEvery: '30d', publishAhead: '1d' })
  t.strictSame(keys.map(key => key.state).sort(), ['pending', 'signing'])
  const signing = keys.find(key => key.state === 'signing')
  const pending = keys.find(key => key.state === 'pending')
  t.match(signing, { alg: 'RS256', size: 2048, origin: 'generated', publishedAt: now, signsFrom: now, revokedAt: null, revokedReason: null })
  t.equal(nextRotationAt, pending?.signsFrom)
  t.equal(signing?.signsUntil, pending?.signsFrom)
  for (const key of keys) {
    t.strictSame(Object.keys(key).filter(name => /private|sealed|issuers|publicKey/i.test(name)), [], 'nothing of the inside')
  }
})

await t.test('a rotation waits until all verifiers can hold the key', async t => {
  const { service, rotate, list, token } = await open(t)
  const before = await list()
  const first = before.keys.find(key => key.state === 'signing')?.kid ?? ''
  const pending = before.keys.find(key => key.state === 'pending')?.kid ?? ''
  const rotation = await rotate({})
  t.strictSame(rotation, { effectiveAt: '2026-11-23T10:00:00.000Z', signing: first, next: pending }, 'publishedAt + PUBLISH_AHEAD')
  t.strictSame(await rotate({}), rotation, 'asked again, it is the same')
  service.advance(86_400)
  const after = await list()
  t.equal(after.keys.find(key => key.state === 'signing')?.kid, pending)
  t.equal(after.keys.find(key => key.kid === first)?.state, 'retired')
  t.equal(openToken(token).header.kid, first)
})

await t.test('a rotation that may take hold at once does', async t => {
  const { service, rotate, list } = await open(t)
  const pending = (await list()).keys.find(key => key.state === 'pending')?.kid ?? ''
  service.advance(2 * 86_400)
  const rotation = await rotate({})
  t.equal(rotation.effectiveAt, '2026-11-24T10:00:00.000Z', 'now')
  t.equal(rotation.signing, pending, 'the new key')
  t.not(rotation.next, pending)
  t.equal((await list()).keys.find(key => key.kid === rotation.next)?.state, 'pending', 'and the one just published')
})

await t.test('force: from now, and old tokens are good still', async t => {
  const { service, token, rotate, list } = await open(t)
  const before = await list()
  const pending = before.keys.find(key => key.state === 'pending')?.kid
  const rotation = await rotate({ force: true })
  t.equal(rotation.effectiveAt, '2026-11-22T10:00:00.000Z')
  t.equal(rotation.signing, pending)
  t.equal((await verifyInBody(service.app, token)).status, 200)
  t.equal((await list()).keys.length, 3)
  const fresh = await service.token(await service.bot('fresh-bot'))
  t.equal(openToken(fresh).header.kid, pending)
})

await t.test('calls that overlap rotate once', async t => {
  const { service, rotate } = await open(t)
  const rotations = await Promise.all(Array.from({ length: 5 }, async () => await rotate({ force: true })))
  t.equal(new Set(rotations.map(each => JSON.stringify(each))).size, 1, 'and all answer the same')
  t.equal(service.parts.ring.all().length, 3)
})

await t.test('emergency: from now, and the key that signed is revoked', async t => {
  const { service, token, rotate, list, call } = await open(t)
  for (const payload of [{ emergency: true }, { emergency: true, reason: '' }, { emergency: true, reason: 'x'.repeat(201) }]) {
    const answer = await call('POST', '/admin/keys/rotate', payload)
    t.equal(answer.status, 400)
    t.equal(answer.code, 'validation_failed')
    t.strictSame(answer.body.errors?.map(({ field }) => field), ['reason'])
  }
  t.equal(service.parts.ring.all().length, 2, 'nothing has changed')

  const first = String(openToken(token).header.kid)
  const pending = (await list()).keys.find(key => key.state === 'pending')?.kid
  const rotation = await rotate({ emergency: true, reason: 'laptop stolen' })
  t.equal(rotation.effectiveAt, '2026-11-22T10:00:00.000Z')
  t.equal(rotation.signing, pending)
  t.equal((await verifyInBody(service.app, token)).code, 'key_revoked')
  const revoked = (await list()).keys.find(key => key.kid === first)
  t.match(revoked, { state: 'revoked', revokedAt: '2026-11-22T10:00:00.000Z', revokedReason: 'laptop stolen' })
  t.equal(service.parts.ring.all().find(key => key.kid === first)?.sealedPrivateKey, null, 'the private half is erased')
  t.notMatch((await call('GET', '/.well-known/jwks.json')).text, new RegExp(first))
})

await t.test('revoke', async t => {
  const { service, token, call } = await open(t)
  const kid = String(openToken(token).header.kid)
  const url = `/admin/keys/${kid}/revoke`
  for (const payload of [{}, { reason: '' }, { reason: 7 }, { reason: 'x', extra: true }]) {
    t.equal((await call('POST', url, payload)).code, 'validation_failed', JSON.stringify(payload))
  }
  t.equal((await call('POST', url)).code, 'validation_failed', 'no body')
  const unknown = await call('POST', '/admin/keys/unheard-of/revoke', { reason: 'x' })
  t.equal(unknown.status, 404)
  t.equal(unknown.code, 'not_found')
  t.equal((await verifyInBody(service.app, token)).status, 200)

  const first = await call('POST', url, { reason: 'first' })
  t.equal(first.status, 200)
  t.match(JSON.parse(first.text), { kid, state: 'revoked', revokedReason: 'first' })
  service.advance(60)
  const second = await call('POST', url, { reason: 'second' })
  t.equal(second.status, 200, 'also when it is revoked already')
  t.match(JSON.parse(second.text), { kid, revokedReason: 'first', revokedAt: '2026-11-22T10:00:00.000Z' }, 'and then as it was')
  t.equal((await verifyInBody(service.app, token)).code, 'key_revoked')
  t.ok(service.parts.ring.signing(), 'the pending key signs')
  t.not(service.parts.ring.signing()?.kid, kid)

  const pending = service.parts.ring.all().find(key => key.signsFrom > service.clock())
  t.equal((await call('POST', `/admin/keys/${pending?.kid ?? ''}/revoke`, { reason: 'x' })).status, 200, 'a pending key too')
  t.ok(service.parts.ring.all().some(key => key.signsFrom > service.clock() && key.revokedAt === null), 'another is published in its place')
})

await t.test('keys that are gone are shown on demand', async t => {
  const { service, rotate, list, call } = await open(t, { MINTMARK_MAX_TOKEN_TTL: '1h' })
  const first = service.parts.ring.signing()?.kid
  await rotate({ force: true })
  service.advance(30 * 86_400 + 3600 + 6)
  t.notOk((await list()).keys.some(key => key.kid === first))
  t.equal((await list('?all=true')).keys.find(key => key.kid === first)?.state, 'gone')
  t.notOk((await list('?all=false')).keys.some(key => key.kid === first))
  t.equal((await call('GET', '/admin/keys?all=perhaps')).code, 'validation_failed')
  t.equal((await call('GET', '/admin/keys?unheard=of')).code, 'validation_failed')
})

await t.test('wishes with faults', async t => {
  const { service, call } = await open(t)
  for (const payload of [{ force: 'yes' }, { force: 1 }, { unheard: 'of' }, []]) {
    t.equal((await call('POST', '/admin/keys/rotate', payload)).code, 'validation_failed', JSON.stringify(payload))
  }
  t.equal(service.parts.ring.all().length, 2)
})
