import t from 'tap'
import { postForm } from '../../fakes/asking.ts'
import { startService } from '../../fakes/service.ts'

await t.test('POST /oauth/introspect (RFC 7662)', async t => {
  const service = await startService(t, { MINTMARK_MAX_STALENESS: '5m' })
  const { app } = service
  const asker = await service.bot('asker', { scopes: ['introspect'], audiences: ['metadata-api', 'search'] })
  const token = await service.token(await service.bot('ingestion-bot', { scopes: ['a', 'b'] }))
  const admin = await service.adminToken()

  await t.test('tells a bot of a token that is meant for one of its audiences', async t => {
    const response = await postForm(app, '/oauth/introspect', { token }, asker)
    t.equal(response.headers['cache-control'], 'no-store')
    const answer = response.json<Record<string, unknown>>()
    const now = service.clock().getTime() / 1000
    t.match(answer, { active: true, scope: 'a b', client_id: 'ingestion-bot', username: 'ingestion-bot', token_type: 'Bearer', sub: 'ingestion-bot', aud: 'metadata-api', iss: service.parts.config.issuer, iat: now, exp: now + 3600 })
    t.type(answer.jti, 'string')
  })

  await t.test('and of no other', async t => {
    const foreign = await service.token(await service.bot('foreign', { audiences: ['elsewhere'] }))
    t.same((await postForm(app, '/oauth/introspect', { token: foreign }, asker)).json(), { active: false })
    t.match((await postForm(app, '/oauth/introspect', { token: foreign }, undefined, { authorization: `Bearer ${admin}` })).json(), { active: true, sub: 'foreign' }, 'an admin sees all')
  })

  await t.test('says no more than that of a token that is not good', async t => {
    for (const bad of ['nonsense', `${token}x`]) t.same((await postForm(app, '/oauth/introspect', { token: bad }, asker)).json(), { active: false })
    service.advance(2 * 3600)
    await service.parts.changes.catchUp()
    t.same((await postForm(app, '/oauth/introspect', { token }, asker)).json(), { active: false })
  })

  await t.test('asks for scope introspect, or a full admin', async t => {
    const plain = await service.bot('plain')
    const refused = await postForm(app, '/oauth/introspect', { token }, plain)
    t.match({ status: refused.statusCode, body: refused.json<unknown>(), challenge: refused.headers['www-authenticate'] }, { status: 403, body: { error: 'insufficient_scope' }, challenge: /scope="introspect"/ })
    const reader = await service.token(await service.bot('reader', { scopes: ['keys:read'], audiences: [service.parts.config.issuer] }))
    const byBearer = await postForm(app, '/oauth/introspect', { token }, undefined, { authorization: `Bearer ${reader}` })
    t.match({ status: byBearer.statusCode, body: byBearer.json<unknown>() }, { status: 403, body: { error: 'insufficient_scope' } })
    t.match((await postForm(app, '/oauth/introspect', { token })).json(), { error: 'invalid_client' })
    t.match((await postForm(app, '/oauth/introspect', {}, asker)).json(), { error: 'invalid_request' })
  })

  await t.test('does not say "inactive" when it cannot know', async t => {
    const fresh = await service.token(asker)
    service.advance(service.parts.config.maxStalenessSeconds + 1)
    const response = await postForm(app, '/oauth/introspect', { token: fresh }, asker)
    t.match({ status: response.statusCode, body: response.json<unknown>() }, { status: 503, body: { error: 'temporarily_unavailable' } })
  })
})
